/**
 * A search as whoever keeps its table elsewhere asks about it: what is next, what is best, whether to go on. Everything
 * follows from plan, seed and table, so that whoever asks may be killed and another one go on.
 */
import type { SearchPlan, TrialSettings } from '@edgeloop/protocol'
import { type FigureName, figures as figureFacts } from '../../evaluate/figures.ts'
import type { Figures } from '../run/progress.ts'
import { recipeDefault, recipeOf } from '../run/recipe.ts'
import {
  type EndedTrial,
  hopelessness,
  metricOf,
  nextTrial,
  ranked,
  type Trial,
  trialCount,
} from './plan-trials.ts'
import { partOf, searchOf } from './search.ts'

/** A trial that is over, as its run left it. */
export type TriedTrial = Trial & {
  /** Of the validation samples; none where it failed. */
  readonly figures: Figures
  readonly seconds: number
  /** Why it failed. */
  readonly failure?: string
}

export type SearchStanding = {
  /** The figure that decides. */
  readonly metric: FigureName
  readonly better: 'more' | 'less'
  /** Best first; those without a value last. */
  readonly ranked: readonly EndedTrial[]
  /** What may begin now; undefined where all have begun, or others have to end first. */
  readonly next?: Trial
  /** Why it need not go on. */
  readonly hopeless?: string
}

type Part = Readonly<Record<string, unknown>>

export type TrialPlanner = {
  /**
   * @returns trials in all
   * @throws {TrainError} naming the key that is unknown, or the value that does not fit
   */
  check(plan: unknown, recipe: unknown): number
  /** A part of a recipe with the settings of a trial laid over it. */
  recipeWith(recipe: Part, settings: TrialSettings): Part
  /** @param open trials that have begun and are not over */
  look(
    plan: SearchPlan,
    seed: number,
    tried: readonly TriedTrial[],
    open: readonly Trial[],
  ): SearchStanding
}

export const trialPlanner: TrialPlanner = {
  check: (plan, recipe) => trialCount(searchOf(plan, recipeOf(recipeDefault, recipe))),

  recipeWith: (recipe, settings) => laidOver(recipe, partOf(settings) as Part),

  look: (plan, seed, tried, open) => {
    const metric = metricOf(plan, tried)
    const ended = tried.map((one): EndedTrial => {
      if (one.failure !== undefined) return { ...one, value: null }
      const value = one.figures[metric]
      if (value !== undefined) return { ...one, value: Number.isFinite(value) ? value : null }
      const names = Object.keys(one.figures).join(', ') || 'no figure'
      return { ...one, value: null, failure: `The validation samples gave no ${metric}: ${names}` }
    })
    const hopeless = hopelessness(ended)
    const begun = open.map((one): EndedTrial => ({ ...one, value: null, figures: {}, seconds: 0 }))
    const next = nextTrial(plan, seed, metric, [...ended, ...begun])
    // Who goes on to the next round is known when all of this one have ended.
    const waits = next !== undefined && open.some(({ round }) => round < next.round)
    return {
      metric,
      better: figureFacts[metric].better,
      ranked: ranked(ended, metric),
      ...(next && !waits && { next }),
      ...(hopeless !== undefined && { hopeless }),
    }
  },
}

function laidOver(below: Part, above: Part): Part {
  const both = { ...below }
  for (const [key, value] of Object.entries(above)) {
    const under = Object.hasOwn(below, key) ? below[key] : undefined
    both[key] = isPart(under) && isPart(value) ? laidOver(under, value) : value
  }
  return both
}

const isPart = (value: unknown): value is Part =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
