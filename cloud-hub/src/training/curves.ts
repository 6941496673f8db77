/**
 * Curves of a run: figures over steps, kept in parts of bounded size. A run of very many steps keeps of each stretch of
 * steps the one with the least and the one with the greatest loss, so that a spike stays; what is shown is thinned the
 * same way, for each figure by itself. Pure.
 */
import type { RunCurves } from '@edgeloop/protocol'

/** Figures of one step, by name. */
export type CurvePoint = {
  readonly step: number
  readonly figures: Readonly<Record<string, number>>
}

/** Points of a run that are kept, about; beyond that stretches of steps share two. */
export const keptPointsMax = 50_000
/** Points in one part. */
export const partPointsMax = 500
/** Figures of one point; a loss has a handful of terms. */
const figuresMax = 24

/** A part as it is stored: one column of numbers a figure, null where a step has none. */
export type CurvePart = {
  readonly step: readonly number[]
  readonly figures: Readonly<Record<string, readonly (number | null)[]>>
}

/** The figures of a step as they are kept: few, and numbers. */
export function keptFigures(figures: Readonly<Record<string, number>>): Record<string, number> {
  const finite = Object.entries(figures).filter(([, value]) => Number.isFinite(value))
  return Object.fromEntries(
    finite.slice(0, figuresMax).map(([name, value]) => [name, round(value)]),
  )
}

/** Figures of an evaluation as curves have them: `validation: accuracy`. */
export const named = (
  on: string,
  figures: Readonly<Record<string, number>>,
): Record<string, number> =>
  Object.fromEntries(Object.entries(figures).map(([name, value]) => [`${on}: ${name}`, value]))

/** Six digits tell any two points of a chart apart. */
const round = (value: number): number => Number(value.toPrecision(6))

/**
 * Takes the points of a run as they come and gives those that are kept.
 * @param steps of the whole run
 * @param knownStep steps up to here are kept already: a run that goes on from a checkpoint repeats what was lost, with
 * the same figures
 */
export class CurveSieve {
  readonly #stretch: number
  #knownStep: number
  #least: CurvePoint | undefined
  #greatest: CurvePoint | undefined

  constructor(steps: number, knownStep: number) {
    this.#stretch = Math.max(1, Math.ceil((2 * steps) / keptPointsMax))
    this.#knownStep = knownStep
  }

  take(point: CurvePoint): CurvePoint[] {
    if (point.step <= this.#knownStep) return []
    this.#knownStep = point.step
    if (this.#stretch === 1) return [point]
    const ready = this.#stretchOf(this.#least) === this.#stretchOf(point) ? [] : this.flush()
    const loss = lossOf(point)
    if (!this.#least || loss < lossOf(this.#least)) this.#least = point
    if (!this.#greatest || loss >= lossOf(this.#greatest)) this.#greatest = point
    return ready
  }

  /** What is held back of the stretch that has not ended. */
  flush(): CurvePoint[] {
    const held = new Set([this.#least, this.#greatest])
    this.#least = undefined
    this.#greatest = undefined
    return [...held].filter((point) => point !== undefined).sort((a, b) => a.step - b.step)
  }

  #stretchOf(point: CurvePoint | undefined): number {
    return point === undefined ? Number.NaN : Math.floor((point.step - 1) / this.#stretch)
  }
}

const lossOf = ({ figures }: CurvePoint): number => figures.loss ?? 0

export function packPart(points: readonly CurvePoint[]): CurvePart {
  const names = new Set(points.flatMap(({ figures }) => Object.keys(figures)))
  return {
    step: points.map(({ step }) => step),
    figures: Object.fromEntries(
      [...names].map((name) => [name, points.map(({ figures }) => figures[name] ?? null)]),
    ),
  }
}

export const unpackPart = ({ step, figures }: CurvePart): CurvePoint[] =>
  step.map((at, i) => ({
    step: at,
    figures: Object.fromEntries(
      Object.entries(figures).flatMap(([name, values]) => {
        const value = values[i]
        return value === null || value === undefined ? [] : [[name, value]]
      }),
    ),
  }))

/**
 * The curves of parts within a range, each with `pointsMax` points at most: of every stretch its least and its greatest.
 * @param parts in the order of their steps
 */
export function curvesOf(
  parts: readonly CurvePart[],
  range: { readonly from: number; readonly to: number; readonly pointsMax: number },
): RunCurves {
  const names = new Set(parts.flatMap(({ figures }) => Object.keys(figures)))
  const within = (step: number): boolean => step >= range.from && step <= range.to
  const curves = [...names].map((name) => {
    const steps: number[] = []
    const values: number[] = []
    for (const part of parts) {
      const column = part.figures[name]
      if (!column) continue
      for (const [i, value] of column.entries()) {
        const step = part.step[i]
        if (value === null || step === undefined || !within(step)) continue
        steps.push(step)
        values.push(value)
      }
    }
    return { name, ...thinned(steps, values, range.pointsMax) }
  })
  const points = parts.reduce((sum, { step }) => sum + step.filter(within).length, 0)
  return { points, curves: curves.filter(({ steps }) => steps.length > 0) }
}

/** Of every stretch the least and the greatest, in their order; everything where it is few enough. */
export function thinned(
  steps: readonly number[],
  values: readonly number[],
  pointsMax: number,
): { steps: number[]; values: number[] } {
  if (steps.length <= pointsMax) return { steps: [...steps], values: [...values] }
  const stretches = Math.max(1, Math.floor(pointsMax / 2))
  const kept: number[] = []
  for (let s = 0; s < stretches; s++) {
    const begin = Math.floor((s * steps.length) / stretches)
    const end = Math.floor(((s + 1) * steps.length) / stretches)
    let least = begin
    let greatest = begin
    for (let i = begin + 1; i < end; i++) {
      if ((values[i] ?? 0) < (values[least] ?? 0)) least = i
      if ((values[i] ?? 0) >= (values[greatest] ?? 0)) greatest = i
    }
    kept.push(...new Set([Math.min(least, greatest), Math.max(least, greatest)]))
  }
  return { steps: kept.map((i) => steps[i] ?? 0), values: kept.map((i) => values[i] ?? 0) }
}
