/** What samples have a number of: each name with its mean and spread, so that a net learns around 0 and says real units. */
import type { Annotation, Dataset } from '../../datasets/index.ts'
import { TrainError } from '../run/train-error.ts'

export type NumberFacts = {
  readonly name: string
  readonly mean: number
  /** Standard deviation; 1 where all are the same. */
  readonly spread: number
}

/**
 * Of all names that samples have, in their order.
 * @throws {TrainError} when no sample has a number
 */
export function numbersIn({ name: set, samples }: Dataset): readonly NumberFacts[] {
  const values = new Map<string, number[]>()
  for (const { annotations } of samples) {
    for (const one of annotations) {
      if (one.kind !== 'number') continue
      const list = values.get(one.name) ?? []
      values.set(one.name, list)
      list.push(one.value)
    }
  }
  if (values.size === 0) {
    throw new TrainError(`Cannot learn numbers from "${set}": no sample has one`)
  }
  return [...values].sort(byName).map(([name, list]) => {
    const mean = list.reduce((sum, one) => sum + one, 0) / list.length
    const variance = list.reduce((sum, one) => sum + (one - mean) ** 2, 0) / list.length
    return { name, mean, spread: variance > 0 ? Math.sqrt(variance) : 1 }
  })
}

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number =>
  a < b ? -1 : a > b ? 1 : 0

/** The number of a name; undefined where the sample has none. */
export const numberOf = (annotations: readonly Annotation[], name: string): number | undefined => {
  for (const one of annotations) if (one.kind === 'number' && one.name === name) return one.value
  return undefined
}
