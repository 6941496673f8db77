/**
 * Whether what a run made takes the champion's place: by one figure, on the same test samples, and never when it is worse.
 * Pure.
 */
import type { Figures } from '@edgeloop/model-compiler/train'

/** Figures that may decide, the first that there is; most are better when greater. */
const keyNames = [
  ...['ap', 'ap50', 'miou', 'accuracy', 'f1', 'r2'],
  ...['rmse', 'mse', 'mae', 'logLoss', 'loss'],
] as const
const lessIsBetter: ReadonlySet<string> = new Set(['rmse', 'mse', 'mae', 'logLoss', 'loss'])

export type Key = { readonly name: string; readonly value: number }

/**
 * The figure that stands for all of them; undefined where none is known.
 * @param metric the one that decides, where somebody says so
 */
export function keyFigure(figures: Figures | undefined, metric?: string): Key | undefined {
  for (const name of metric === undefined ? keyNames : [metric, ...keyNames]) {
    const value = figures?.[name]
    if (value !== undefined && Number.isFinite(value)) return { name, value }
  }
  return undefined
}

export type Verdict = { readonly champion: boolean; readonly why: string }

/** The champion on the same samples, or why it could not be evaluated. */
export type Rival =
  | {
      readonly version: number
      readonly figures: Figures
      /** Where 95 % of its values lie when samples are drawn again. */
      readonly interval?: readonly [number, number]
    }
  | { readonly version: number; readonly problem: string }

/** @param rival undefined where the name has no champion */
export function judge(
  figures: Figures | undefined,
  rival: Rival | undefined,
  metric?: string,
): Verdict {
  const key = keyFigure(figures, metric)
  if (!key) return { champion: false, why: 'there are no test samples to compare it on' }
  if (!rival) return { champion: true, why: `the first champion, with ${say(key)}` }
  const name = `the champion (version ${rival.version})`
  if ('problem' in rival) {
    return { champion: false, why: `${name} cannot be compared on these samples: ${rival.problem}` }
  }
  const other = rival.figures[key.name]
  if (other === undefined) {
    return { champion: false, why: `${name} has no ${key.name} to compare with` }
  }
  const ahead = lessIsBetter.has(key.name) ? other - key.value : key.value - other
  const sure = rival.interval ? ` (95 % within ${saySpan(rival.interval)})` : ''
  const both = `${say(key)} on the same test samples, ${name} ${other.toFixed(4)}${sure}`
  return ahead >= 0
    ? { champion: true, why: ahead === 0 ? `not worse: ${both}` : both }
    : { champion: false, why: `worse: ${both}` }
}

const say = ({ name, value }: Key): string => `${name} ${value.toFixed(4)}`
const saySpan = ([low, high]: readonly [number, number]): string =>
  `${low.toFixed(4)} … ${high.toFixed(4)}`
