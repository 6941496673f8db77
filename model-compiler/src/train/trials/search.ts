/**
 * A search: which keys of a recipe are tried with which values, and in what way. One schema checks what a user writes;
 * every candidate is then a part of a recipe, checked as one.
 */
import { SearchPlan, type SearchSpan, searchMethods, type TrialSettings } from '@edgeloop/protocol'
import { nearestName } from '@edgeloop/protocol/nearest'
import { Check, Errors } from 'typebox/value'
import { figures } from '../../evaluate/figures.ts'
import { seeded } from '../../evaluate/seeded.ts'
import { type Recipe, recipeOf } from '../run/recipe.ts'
import { TrainError } from '../run/train-error.ts'

/** Most trials of a grid: beyond, somebody has not multiplied. */
const gridMax = 1000
const trialsDefault = 20
export const factorDefault = 3

/**
 * @param given what a file of the user's holds
 * @param recipe what the candidates are laid over
 * @throws {TrainError} naming the key that is unknown, or the value that does not fit
 */
export function searchOf(given: unknown, recipe: Recipe): SearchPlan {
  if (!Check(SearchPlan, given)) throw refusal(given)
  const { metric } = given
  if (metric !== undefined && !Object.hasOwn(figures, metric)) {
    const near = nearestName(metric, Object.keys(figures))
    throw new TrainError(
      `Cannot search by "${metric}": there is no such figure`,
      near === undefined
        ? `figures are ${Object.keys(figures).join(', ')}`
        : `did you mean "${near}"?`,
    )
  }
  for (const [key, values] of Object.entries(given.keys)) {
    if (isBudget(key) && given.method === 'halving') {
      throw new TrainError(
        `Cannot search over "${key}" by halving: it is what halving changes`,
        'set it in the recipe, or use method random',
      )
    }
    checkSpan(key, values, given.method)
    // Ends and lists are checked by the recipe itself, value by value.
    const tried = Array.isArray(values) ? values : [valueAt(values, 0), valueAt(values, 1)]
    for (const value of tried) recipeOf(recipe, partOf({ [key]: value }))
  }
  const count = candidateCount(given)
  if (count > gridMax) {
    throw new TrainError(
      `Cannot search a grid of ${count} trials: at most ${gridMax} are run`,
      'take fewer values, or method random',
    )
  }
  return given
}

function refusal(given: unknown): TrainError {
  const isObject = typeof given === 'object' && given !== null && !Array.isArray(given)
  if (!isObject) {
    return new TrainError('Cannot use the search: it is no object', 'it has a method and keys')
  }
  const known = Object.keys(SearchPlan.properties)
  const unknown = Object.keys(given).find((key) => !known.includes(key))
  if (unknown !== undefined) {
    const near = nearestName(unknown, known)
    return new TrainError(
      `Cannot use the search: there is no key "${unknown}"`,
      near === undefined ? `it knows ${known.join(', ')}` : `did you mean "${near}"?`,
    )
  }
  const { instancePath, message } = Errors(SearchPlan, given)[0]!
  const place = instancePath.slice(1).replaceAll('/', '.')
  return new TrainError(
    `Cannot use the search: ${[place, message].filter((text) => text !== '').join(' ')}`,
    `method is one of ${searchMethods.join(', ')}; a key has a list of values, or { from, to, scale }`,
  )
}

function checkSpan(
  key: string,
  values: SearchPlan['keys'][string],
  method: SearchPlan['method'],
): void {
  if (Array.isArray(values)) return
  const { from, to, scale, steps } = values
  if (!(from < to)) {
    throw new TrainError(`Cannot search "${key}" from ${from} to ${to}: the first is not smaller`)
  }
  if (scale === 'log' && from <= 0) {
    throw new TrainError(
      `Cannot search "${key}" from ${from} on a log scale: it begins above 0`,
      'use scale linear',
    )
  }
  if (method === 'grid' && steps === undefined) {
    throw new TrainError(
      `Cannot search a grid over "${key}": it has two ends, and no steps`,
      'add steps, or give a list of values',
    )
  }
}

const isBudget = (key: string): boolean => key === 'epochs' || key === 'steps'

/** How many candidates a search has. */
export function candidateCount({ method, keys, trials = trialsDefault }: SearchPlan): number {
  if (method !== 'grid') return trials
  return Object.values(keys).reduce((product, values) => product * valuesOf(values).length, 1)
}

const valuesOf = (values: SearchPlan['keys'][string]): readonly TrialSettings[string][] =>
  Array.isArray(values)
    ? values
    : Array.from({ length: values.steps ?? 2 }, (_, at) =>
        valueAt(values, at / ((values.steps ?? 2) - 1)),
      )

/** @param share 0..1 of the way from one end to the other */
function valueAt({ from, to, scale = 'linear', whole = false }: SearchSpan, share: number): number {
  const value = scale === 'log' ? from * (to / from) ** share : from + (to - from) * share
  if (whole) return Math.min(Math.floor(to), Math.max(Math.ceil(from), Math.round(value)))
  // What a person can read and type again.
  return Number(value.toPrecision(6))
}

/**
 * The settings of one candidate, which do not depend on what came before: a search that goes on draws the same.
 * @param index from 0
 */
export function candidate(search: SearchPlan, seed: number, index: number): TrialSettings {
  const names = Object.keys(search.keys).sort()
  if (search.method === 'grid') {
    let rest = index
    return Object.fromEntries(
      names.map((name) => {
        const values = valuesOf(search.keys[name]!)
        const value = values[rest % values.length]!
        rest = Math.floor(rest / values.length)
        return [name, value]
      }),
    )
  }
  const random = seeded(Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b))
  return Object.fromEntries(
    names.map((name) => {
      const values = search.keys[name]!
      const share = random()
      return [
        name,
        Array.isArray(values) ? values[Math.floor(share * values.length)]! : valueAt(values, share),
      ]
    }),
  )
}

/** TrialSettings as the part of a recipe that they stand for. */
export function partOf(settings: TrialSettings): unknown {
  const part: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(settings)) {
    const path = key.split('.')
    let at = part
    for (const step of path.slice(0, -1)) {
      // An own property in any case: a key may be called __proto__, and is refused by the recipe then.
      if (!Object.hasOwn(at, step)) {
        Object.defineProperty(at, step, { value: {}, enumerable: true, writable: true })
      }
      at = at[step] as Record<string, unknown>
    }
    Object.defineProperty(at, path.at(-1)!, { value, enumerable: true, writable: true })
  }
  return part
}
