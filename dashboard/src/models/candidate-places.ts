/** Where candidates lie in their plot, and its grid. Pure. */
import type { Candidate } from '@edgeloop/protocol'

/** Of the drawing, in its own units; what is left of `left` and below `bottom` holds the words. */
export const plotSize = { width: 560, height: 260, left: 52, bottom: 40, rim: 24 } as const

export type Placed = {
  readonly candidate: Candidate
  readonly x: number
  readonly y: number
  /** Where its name stands: never on another one. */
  readonly labelY: number
  readonly anchor: 'start' | 'middle' | 'end'
}

type Mark = { readonly at: number; readonly text: string }

const lineHeight = 14
/** Of the longest name, roughly. */
const nameWidth = 80

/** @returns undefined where less than two candidates have both figures */
export function placeCandidates(candidates: readonly Candidate[]):
  | {
      readonly metric: string
      readonly places: readonly Placed[]
      readonly rows: readonly Mark[]
      readonly columns: readonly Mark[]
    }
  | undefined {
  const measured = candidates.filter((one) => one.latencyRatio !== null && one.metric !== null)
  if (measured.length < 2) return undefined
  const { width, height, left, bottom, rim } = plotSize
  const across = scale(
    measured.map((one) => one.latencyRatio ?? 1),
    [left + rim, width - rim],
  )
  const upwards = scale(
    measured.map((one) => one.metric?.value ?? 0),
    [height - bottom - rim, rim],
  )
  const points = measured.map((candidate) => ({
    candidate,
    x: across.place(candidate.latencyRatio ?? 1),
    y: upwards.place(candidate.metric?.value ?? 0),
  }))
  // The middle of each line of text that stands already.
  const lines: { x: number; y: number }[] = []
  const isFree = (x: number, y: number): boolean =>
    lines.every((line) => Math.abs(line.x - x) > nameWidth || Math.abs(line.y - y) > lineHeight) &&
    points.every((point) => Math.abs(point.x - x) > nameWidth / 2 || Math.abs(point.y - y) > 9)
  const places = points
    .toSorted((a, b) => a.y - b.y)
    .map((point): Placed => {
      const { x } = point
      let labelY = point.y - 10
      while (!isFree(x, labelY - 4) && labelY < point.y + 8 * lineHeight) labelY += lineHeight
      lines.push({ x, y: labelY - 4 })
      const anchor = x > width - 60 ? 'end' : x < left + 60 ? 'start' : 'middle'
      return { ...point, labelY, anchor }
    })
  return {
    metric: measured[0]?.metric?.name ?? '',
    places,
    rows: upwards.marks,
    columns: across.marks.map(({ at, text }) => ({ at, text: `${text}×` })),
  }
}

/** Maps figures onto `[from, to]` with round marks between; one figure alone lies in the middle. */
function scale(values: readonly number[], [from, to]: readonly [number, number]) {
  const low = Math.min(...values)
  const high = Math.max(...values)
  const room = high - low || Math.max(Math.abs(high) * 0.1, 0.01)
  const [start, end] = high === low ? [low - room / 2, high + room / 2] : [low, high]
  const place = (value: number) => from + ((value - start) / (end - start)) * (to - from)
  const step = niceStep((end - start) / 3)
  const digits = Math.max(0, -Math.floor(Math.log10(step)))
  const marks: Mark[] = []
  for (let n = Math.ceil(start / step); n * step <= end + step * 1e-9; n++) {
    marks.push({ at: place(n * step), text: (n * step).toFixed(digits) })
  }
  return { place, marks }
}

/** The next larger of 1, 2 and 5 times a power of ten. */
function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough))
  const factor = rough / power
  return power * (factor <= 1 ? 1 : factor <= 2 ? 2 : factor <= 5 ? 5 : 10)
}
