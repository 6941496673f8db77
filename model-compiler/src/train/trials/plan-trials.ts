/**
 * Which trial is next. Looks only at the search and at what has ended: a search that was killed reads its table and asks
 * again. Halving gives all candidates a fraction of the epochs, the best of them more, and the last few all.
 */
import type { SearchPlan, TrialSettings } from '@edgeloop/protocol'
import { type FigureName, figures, isBetter } from '../../evaluate/figures.ts'
import { candidate, candidateCount, factorDefault } from './search.ts'

export type Trial = {
  /** Names its folder: candidate and round, from 1. */
  readonly id: string
  readonly candidate: number
  readonly settings: TrialSettings
  /** Of halving; else 0. */
  readonly round: number
  /** Share of the recipe's epochs (0..1]. */
  readonly share: number
}

export type EndedTrial = Trial & {
  /** The figure that decides, of the validation samples; null where the trial failed. */
  readonly value: number | null
  readonly figures: Readonly<Record<string, number>>
  readonly seconds: number
  /** Why it failed. */
  readonly failure?: string
}

/** Candidates and epochs of each round of halving; one round of all else. */
export function roundsOf(
  search: SearchPlan,
): readonly { readonly candidates: number; readonly share: number }[] {
  const count = candidateCount(search)
  if (search.method !== 'halving') return [{ candidates: count, share: 1 }]
  const factor = search.factor ?? factorDefault
  const rounds: number[] = []
  for (let left = count; left >= 1; left = Math.floor(left / factor)) rounds.push(left)
  return rounds.map((candidates, round) => ({
    candidates,
    share: factor ** (round - (rounds.length - 1)),
  }))
}

/** @returns undefined when all are done */
export function nextTrial(
  search: SearchPlan,
  seed: number,
  metric: FigureName,
  ended: readonly EndedTrial[],
): Trial | undefined {
  for (const [round, { candidates, share }] of roundsOf(search).entries()) {
    const before = ended.filter((one) => one.round === round - 1)
    const field =
      round === 0
        ? Array.from({ length: candidates }, (_, at) => at)
        : ranked(before, metric)
            .filter(({ value }) => value !== null)
            .slice(0, candidates)
            .map((one) => one.candidate)
    const done = new Set(ended.filter((one) => one.round === round).map((one) => one.candidate))
    const next = field.find((one) => !done.has(one))
    if (next === undefined) continue
    return {
      id: `${next + 1}-${round + 1}`,
      candidate: next,
      settings: candidate(search, seed, next),
      round,
      share,
    }
  }
  return undefined
}

/** What each task is judged by, where the search does not say. */
const deciding = ['accuracy', 'ap50', 'miou', 'rmse'] as const satisfies readonly FigureName[]

/** The figure that decides. */
export function metricOf(
  { metric }: SearchPlan,
  ended: readonly Pick<EndedTrial, 'figures'>[],
): FigureName {
  if (metric !== undefined && isFigure(metric)) return metric
  return deciding.find((name) => ended.some(({ figures: found }) => name in found)) ?? deciding[0]
}

/** Trials that all fail in the same words have nothing to do with what is searched. */
const sameFailuresMax = 3

/** Why a search need not go on: its first trials all say the same; undefined where it may. */
export function hopelessness(ended: readonly Pick<EndedTrial, 'failure'>[]): string | undefined {
  const [first] = ended
  if (ended.length < sameFailuresMax || first?.failure === undefined) return undefined
  if (!ended.every(({ failure }) => failure === first.failure)) return undefined
  return `the first ${ended.length} trials all fail; they say: ${first.failure}`
}

/** How many trials there are in all, if none fails. */
export const trialCount = (search: SearchPlan): number =>
  roundsOf(search).reduce((sum, { candidates }) => sum + candidates, 0)

/** Best first: those with more epochs before those with fewer, then by the figure; failed ones last. Ties by candidate. */
export function ranked(ended: readonly EndedTrial[], metric: FigureName): EndedTrial[] {
  return ended.toSorted((a, b) => {
    if ((a.value === null) !== (b.value === null)) return a.value === null ? 1 : -1
    if (a.round !== b.round) return b.round - a.round
    if (a.value !== null && b.value !== null && a.value !== b.value) {
      return isBetter(metric, a.value, b.value) ? -1 : 1
    }
    return a.candidate - b.candidate
  })
}

const isFigure = (name: string): name is FigureName => Object.hasOwn(figures, name)
