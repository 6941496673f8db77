/** Progress of a run on standard error: one line that changes, a line for what lasts, or JSON for programs. */
import type { TrainProgress } from '@edgeloop/model-compiler/train'
import type { ProgressForm } from '../model/tell-progress.ts'
import { bytes } from '../output.ts'

type Out = Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'>

/** Without a terminal the steps are told this seldom. */
const stepLineEveryMs = 10_000

/** What a run is at, in words, for the error of a process that ended. */
export const trainingAt = (last: TrainProgress | undefined): string => {
  if (last === undefined) return 'starting'
  if ('step' in last)
    return last.kind === 'evaluation' ? `evaluating step ${last.step}` : `at step ${last.step}`
  return 'starting'
}

/** @returns the listener, and what ends the line that it may have left open */
export function trainingTeller(
  form: ProgressForm,
  out: Out = process.stderr,
): { tell(progress: TrainProgress): void; end(): void } {
  let isOpen = false
  let toldAt = Number.NEGATIVE_INFINITY
  const line = (text: string): void => {
    out.write(`${isOpen ? '\r\u001b[K' : ''}${text}\n`)
    isOpen = false
  }
  return {
    tell(progress) {
      if (form === 'none') return
      if (form === 'json') {
        out.write(`${JSON.stringify({ progress })}\n`)
        return
      }
      if (progress.kind !== 'step') {
        const text = lastingText(progress)
        if (text !== undefined) line(text)
      } else if (out.isTTY) {
        out.write(`\r\u001b[K${stepText(progress).slice(0, (out.columns ?? 80) - 1)}`)
        isOpen = true
      } else if (performance.now() - toldAt >= stepLineEveryMs) {
        toldAt = performance.now()
        line(stepText(progress))
      }
    },
    end() {
      if (isOpen) out.write('\r\u001b[K')
      isOpen = false
    },
  }
}

function stepText(word: Extract<TrainProgress, { kind: 'step' }>): string {
  const { step, steps, loss, imagesPerSecond, etaMs, dataWaitShare } = word
  const percent = `${Math.floor((step / steps) * 100)} %`.padStart(5)
  const waits = dataWaitShare > 0.05 ? `, waits ${Math.round(dataWaitShare * 100)} %` : ''
  const left = etaMs === null ? '' : `, ${duration(etaMs)} left`
  return `${percent}  step ${step}/${steps}  loss ${loss.toPrecision(4)}  ${Math.round(imagesPerSecond)} images/s${waits}${left}`
}

function lastingText(word: Exclude<TrainProgress, { kind: 'step' }>): string | undefined {
  switch (word.kind) {
    case 'started': {
      const { samples, steps, step, trainable, parameters, batch, memoryBytes } = word
      const parts = `${samples.train} samples to learn from, ${samples.validation} to choose by, ${samples.test} held out`
      // A trainer of others does not say how it goes about it.
      if (parameters === 0) return parts
      const resumed = step > 0 ? `, resumed at ${step}` : ''
      return `${parts}; ${steps} steps of ${batch}${resumed}; ${trainable} of ${parameters} parameters, about ${bytes(memoryBytes)}`
    }
    case 'evaluation': {
      const figures = Object.entries(word.figures)
        .slice(0, 4)
        .map(([name, value]) => `${name} ${value.toPrecision(4)}`)
      return `       step ${word.step}  ${word.on}: ${figures.join(', ')}${word.best ? ' (best)' : ''}`
    }
    case 'paused':
      return `paused at step ${word.step}`
    case 'warning':
      return `warning: ${word.text}`
    case 'checkpoint':
      return undefined
  }
}

/** `75000` as `1 min 15 s`. */
function duration(ms: number): string {
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`
}
