/** Where the trials of a search go in a plot of parallel coordinates: an axis for each key, and one for what came out. Pure. */
import type { SearchTrial } from '@edgeloop/protocol'
import { sayFigure } from './run-words.ts'

type Value = string | number | boolean | null

export type TrialAxis = {
  readonly name: string
  /** Texts beside the axis; 0 at its foot, 1 at its head. */
  readonly marks: readonly { readonly text: string; readonly place: number }[]
}

export type TrialLine = {
  readonly trial: string
  /** One for each axis, 0..1. */
  readonly places: readonly number[]
  readonly best: boolean
  /** `3-1: batch 32, accuracy 0.91`. */
  readonly says: string
}

/** What spans more than this is drawn by powers of ten, as it was searched. */
const linearSpanMax = 100
/** Words on one axis; of more, the first and the last are written. */
const wordsMax = 12

/**
 * @param trials those with a value are drawn
 * @param metric the figure that decides
 */
export function placeTrials(
  trials: readonly SearchTrial[],
  metric: string,
  best: string | undefined,
): { readonly axes: readonly TrialAxis[]; readonly lines: readonly TrialLine[] } | undefined {
  const known = trials.filter(({ value }) => value !== null)
  if (known.length === 0) return undefined
  const keys = [...new Set(known.flatMap(({ settings }) => Object.keys(settings)))].sort()
  const columns = [
    ...keys.map((key) => ({ name: key, of: ({ settings }: SearchTrial) => settings[key] ?? null })),
    { name: metric, of: ({ value }: SearchTrial) => value },
  ]
  const axes = columns.map(({ name, of }) => axisOf(name, known.map(of)))
  const lines = known.map((one) => ({
    trial: one.trial,
    places: axes.map(({ placeOf }, at) => placeOf(columns[at]?.of(one) ?? null)),
    best: one.trial === best,
    says: `${one.trial}: ${columns.map(({ name, of }) => `${name} ${say(of(one))}`).join(', ')}`,
  }))
  // The best is drawn last, above the others.
  return { axes, lines: lines.toSorted((a, b) => Number(a.best) - Number(b.best)) }
}

const say = (value: Value): string =>
  typeof value === 'number' ? sayFigure(value) : String(value ?? '–')

function axisOf(name: string, values: readonly Value[]) {
  const numbers = values.filter((value) => typeof value === 'number')
  if (numbers.length < values.length) {
    const words = [...new Set(values.map(String))].sort()
    const placeOf = (value: Value) =>
      words.length > 1 ? words.indexOf(String(value)) / (words.length - 1) : 0.5
    const written = words.length > wordsMax ? [words[0] ?? '', words.at(-1) ?? ''] : words
    return { name, placeOf, marks: written.map((text) => ({ text, place: placeOf(text) })) }
  }
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)]
  const isWide = low > 0 && high / low > linearSpanMax
  const scaled = (value: number) => (isWide ? Math.log10(value) : value)
  const placeOf = (value: Value) =>
    high > low ? (scaled(Number(value)) - scaled(low)) / (scaled(high) - scaled(low)) : 0.5
  const ends = high > low ? [low, high] : [low]
  return { name, placeOf, marks: ends.map((end) => ({ text: say(end), place: placeOf(end) })) }
}
