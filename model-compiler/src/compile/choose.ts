/** Which candidate is shipped, from what was measured of each. Pure: the same figures, the same choice. */

import { precisions } from '@edgeloop/protocol'

export { precisions }

/** What `auto` measures. */
const autoNames = ['original', 'fp32', 'fp16', 'int8-weights', 'int8', 'int8-search'] as const
/** The last two are made only when they are asked for: few models gain by them, and fewer programs read them. */
export const candidateNames = [...autoNames, 'int8-qoperator', 'int4-weights'] as const
export type CandidateName = (typeof candidateNames)[number]

export type Precision = (typeof precisions)[number]

/** What a candidate is judged by. */
export type Judged = {
  readonly name: CandidateName
  /** Why it cannot be made, or does not run. */
  readonly failure?: string
  readonly sizeBytes: number
  /** Time of the original over its time: above 1 is faster. */
  readonly latencyRatio: number
  /** What the task's metric lost against the original; below 0 where it won. */
  readonly drop: number
}

/** `passed`: it might have been shipped, and another is better. */
export type Verdict = {
  readonly verdict: 'chosen' | 'passed' | 'refused'
  readonly why: string
}

export type Choice = {
  readonly chosen: CandidateName
  /** By candidate, in their order. */
  readonly verdicts: ReadonlyMap<CandidateName, Verdict>
}

/** Two that differ by less are equally fast: medians of two measurements of one model differ by as much. */
const equalShare = 0.02

/** Candidates that a precision asks for; all are measured beside the original. */
export function candidatesFor(precision: Precision): readonly CandidateName[] {
  switch (precision) {
    case 'auto':
      return autoNames
    case 'int8':
      return ['original', 'int8', 'int8-search']
    default:
      return ['original', precision]
  }
}

/**
 * `auto`: the fastest that is neither slower than the original nor loses more than `maxDrop`; of those that are
 * equally fast the smallest. The original itself always stands. With a precision asked for, speed refuses nobody, and
 * the original is no way out.
 * @param maxDrop largest loss of the metric, absolute
 * @returns undefined where a precision was asked for and nothing of it may be shipped
 */
export function choose(
  candidates: readonly Judged[],
  { precision, maxDrop }: { readonly precision: Precision; readonly maxDrop: number },
): Choice | { readonly chosen: undefined; readonly verdicts: Choice['verdicts'] } {
  const refusals = new Map(
    candidates.map((candidate) => [candidate.name, refusal(candidate, precision, maxDrop)]),
  )
  const standing = candidates.filter(({ name }) => refusals.get(name) === undefined)
  const fastest = Math.max(...standing.map(({ latencyRatio }) => latencyRatio))
  const [best] = standing
    .filter(({ latencyRatio }) => latencyRatio >= fastest * (1 - equalShare))
    .toSorted((a, b) => a.sizeBytes - b.sizeBytes || b.latencyRatio - a.latencyRatio)
  const verdicts = new Map(
    candidates.map((candidate): [CandidateName, Verdict] => {
      const { name } = candidate
      const refused = refusals.get(name)
      if (refused !== undefined) return [name, { verdict: 'refused', why: refused }]
      return candidate === best
        ? [name, { verdict: 'chosen', why: reason(candidate, standing, fastest) }]
        : [name, { verdict: 'passed', why: behind(candidate, best!, fastest) }]
    }),
  )
  return { chosen: best?.name, verdicts } as ReturnType<typeof choose>
}

function refusal(
  { name, failure, latencyRatio, drop }: Judged,
  precision: Precision,
  maxDrop: number,
): string | undefined {
  if (failure !== undefined) return `fails: ${failure}`
  if (name === 'original') return precision === 'auto' ? undefined : `${precision} was asked for`
  if (!(drop <= maxDrop)) return `loses ${drop.toFixed(3)}, at most ${maxDrop} is allowed`
  if (precision === 'auto' && !(latencyRatio >= 1)) {
    return `slower than the original: ${latencyRatio.toFixed(2)} times as fast`
  }
  return undefined
}

function reason(candidate: Judged, standing: readonly Judged[], fastest: number): string {
  const others = standing.length - 1
  if (others === 0) {
    return candidate.name === 'original'
      ? 'nothing else is as fast and as right'
      : 'the only one that is as right as it has to be'
  }
  return candidate.latencyRatio >= fastest
    ? `the fastest of ${standing.length} that are right enough`
    : `as fast as the fastest (within ${equalShare * 100} %), and smaller`
}

function behind(candidate: Judged, best: Judged, fastest: number): string {
  return candidate.latencyRatio >= fastest * (1 - equalShare)
    ? `as fast as ${best.name}, but larger`
    : `slower than ${best.name}: ${candidate.latencyRatio.toFixed(2)} against ${best.latencyRatio.toFixed(2)} times as fast as the original`
}
