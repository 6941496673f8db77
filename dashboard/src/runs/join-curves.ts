/** Curves of several runs in one chart: their steps put together, each line with gaps where another has its points. Pure. */
import type { RunCurves, RunPoints } from '@edgeloop/protocol'
import { curvePointsMax } from '@edgeloop/protocol'

type Curve = RunCurves['curves'][number]

/** @returns one column of values for each curve, null where it has no point */
export function joinCurves(curves: readonly Pick<Curve, 'steps' | 'values'>[]): {
  readonly steps: readonly number[]
  readonly values: readonly (readonly (number | null)[])[]
} {
  const steps = [...new Set(curves.flatMap((curve) => curve.steps))].sort((a, b) => a - b)
  const place = new Map(steps.map((step, at) => [step, at]))
  const values = curves.map((curve) => {
    const column: (number | null)[] = new Array(steps.length).fill(null)
    for (const [i, step] of curve.steps.entries()) {
      column[place.get(step) ?? 0] = curve.values[i] ?? null
    }
    return column
  })
  return { steps, values }
}

/**
 * Curves with new points behind them.
 * @returns undefined where they have become too many: what the hub thins is to be fetched anew
 */
export function appendPoints(
  curves: RunCurves,
  { points }: Pick<RunPoints, 'points'>,
): RunCurves | undefined {
  const byName = new Map(
    curves.curves.map((curve) => [
      curve.name,
      { ...curve, steps: [...curve.steps], values: [...curve.values] },
    ]),
  )
  let steps = 0
  for (const { step, figures } of points) {
    if ('loss' in figures) steps++
    for (const [name, value] of Object.entries(figures)) {
      const curve = byName.get(name) ?? { name, steps: [], values: [] }
      byName.set(name, curve)
      // What was fetched meanwhile is here already.
      if ((curve.steps.at(-1) ?? 0) >= step) continue
      curve.steps.push(step)
      curve.values.push(value)
    }
  }
  const all = [...byName.values()]
  if (all.some((curve) => curve.steps.length > curvePointsMax)) return undefined
  return { points: curves.points + steps, curves: all }
}
