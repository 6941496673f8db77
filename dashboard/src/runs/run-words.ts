/** How runs are said: their state, their figures, their time. Pure: the moment to count from is an argument. */
import type { Run, RunState } from '@edgeloop/protocol'
import { sayCount, sayDuration, sayOf } from '../shell/say.ts'
import type { StatusKind } from '../shell/status.tsx'

/** A run that has said nothing for so long may have stopped learning. */
export const stalledMs = 120_000

const words: Readonly<Record<RunState, { kind: StatusKind; word: string }>> = {
  queued: { kind: 'offline', word: 'Waits' },
  running: { kind: 'updating', word: 'Runs' },
  paused: { kind: 'info', word: 'Paused' },
  ended: { kind: 'ok', word: 'Ended' },
  failed: { kind: 'bad', word: 'Failed' },
  cancelled: { kind: 'offline', word: 'Cancelled' },
}

/** @param now ms, for a run that says nothing any more */
export function sayRunState(run: Run, now: number): { kind: StatusKind; word: string } {
  if (run.asked === 'pause') return { kind: 'updating', word: 'Is being paused' }
  if (run.asked === 'cancel') return { kind: 'updating', word: 'Is being cancelled' }
  if (run.state === 'running') {
    const silentMs = run.heardAt === null ? 0 : now - Date.parse(run.heardAt)
    if (silentMs > stalledMs) {
      return { kind: 'warn', word: `Silent for ${sayDuration(silentMs)}` }
    }
    if (run.steps === 0) return { kind: 'updating', word: 'Starts' }
  }
  return words[run.state]
}

/** `step 1,240 of 5,000`, cut and never rounded up: what is not over is not at its end. */
export const saySteps = ({ step, steps }: Pick<Run, 'step' | 'steps'>): string =>
  steps === 0 ? 'no step yet' : `step ${sayCount(step)} of ${sayCount(steps)}`

/** A figure with as many digits as tell anything: `0.9731`, `1.2e-7`. */
export function sayFigure(value: number): string {
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size >= 1e6 || size < 1e-4) return value.toExponential(2)
  if (size >= 1000) return sayCount(value)
  return String(Number(value.toPrecision(4)))
}

/** `loss: box` as it stands over a chart. */
export const sayCurve = (name: string): string => curveWords[name] ?? name

const curveWords: Readonly<Record<string, string>> = {
  loss: 'Loss',
  learningRate: 'Learning rate',
  imagesPerSecond: 'Images per second',
  dataWaitShare: 'Share of time that steps waited for pictures',
}

/** Short name of a run where there is no room for more. */
export const runName = ({ runId }: Pick<Run, 'runId'>): string => runId.slice(0, 8)

/** What has to be waited for before a run begins. */
export const sayBefore = (before: number): string =>
  before === 0 ? 'It is the next one' : `${sayOf(before, 'run')} before it`

/** Order of charts: what tells most comes first. */
export function orderCurves(names: Iterable<string>): string[] {
  const rank = (name: string): number => {
    if (name === 'loss') return 0
    if (name.startsWith('validation: ')) return name === 'validation: loss' ? 2 : 1
    if (name.startsWith('loss: ')) return 3
    return name === 'learningRate' ? 4 : 5
  }
  return [...new Set(names)].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b))
}

/**
 * What a version that a run made is: `was champion` where another has its place since, or nobody.
 * @param became what was decided when the run ended
 * @param is whether it has the place now; undefined while that is not known
 */
export function sayStanding(
  became: boolean,
  is: boolean | undefined,
): { kind: 'ok' | 'info'; word: string } {
  if (is ?? became) return { kind: 'ok', word: is === undefined ? 'became champion' : 'champion' }
  return { kind: 'info', word: became ? 'was champion' : 'candidate' }
}
