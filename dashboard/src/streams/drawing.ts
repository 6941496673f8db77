/** Zones, lines and masks as one list of drawings on a picture; points are shares of it. */
import { type Point, pointsMax, type StreamConfig } from '@edgeloop/protocol'

export const drawingKinds = ['zone', 'line', 'mask'] as const
export type DrawingKind = (typeof drawingKinds)[number]

export const drawingWords: Record<DrawingKind, { word: string; does: string; pointsMin: number }> =
  {
    zone: { word: 'Zone', does: 'Says who enters, leaves and stays', pointsMin: 3 },
    line: { word: 'Line', does: 'Counts who crosses it, and to which side', pointsMin: 2 },
    mask: { word: 'Mask', does: 'Nobody ever sees what it covers', pointsMin: 3 },
  }

/** Which one: by kind and place in its list. */
export type DrawingId = { readonly kind: DrawingKind; readonly index: number }

export type Drawing = DrawingId & { readonly name: string; readonly points: readonly Point[] }

type Areas = Pick<StreamConfig, 'zones' | 'lines' | 'masks'>

/** Every drawing of a stream, in the order in which they are painted: masks below. */
export function drawingsOf({ zones = [], lines = [], masks = [] }: Areas): Drawing[] {
  const one = (kind: DrawingKind, index: number, name: string, points: number[][]): Drawing => ({
    kind,
    index,
    name,
    points: points as unknown as Point[],
  })
  return [
    ...masks.map(({ name, polygon }, index) => one('mask', index, name, polygon)),
    ...zones.map(({ name, polygon }, index) => one('zone', index, name, polygon)),
    ...lines.map(({ name, points }, index) => one('line', index, name, points)),
  ]
}

/** The areas with other points for one drawing. */
export function withPoints(areas: Areas, id: DrawingId, points: readonly Point[]): Areas {
  const given = points.map(([x, y]) => [clampShare(x), clampShare(y)])
  if (id.kind === 'line') {
    return { lines: replaced(areas.lines, id.index, (line) => ({ ...line, points: given })) }
  }
  const key = id.kind === 'zone' ? 'zones' : 'masks'
  return { [key]: replaced(areas[key], id.index, (area) => ({ ...area, polygon: given })) }
}

/** The areas with one more drawing, which gets a name that none of its kind has. */
export function withDrawing(
  areas: Areas,
  kind: DrawingKind,
  points: readonly Point[],
): { areas: Areas; id: DrawingId } {
  const lists = { zone: areas.zones ?? [], line: areas.lines ?? [], mask: areas.masks ?? [] }
  const taken = new Set(lists[kind].map(({ name }) => name))
  let number = lists[kind].length + 1
  while (taken.has(`${drawingWords[kind].word} ${number}`)) number++
  const name = `${drawingWords[kind].word} ${number}`
  const given = points.map(([x, y]) => [clampShare(x), clampShare(y)])
  const id = { kind, index: lists[kind].length }
  if (kind === 'line') return { areas: { lines: [...lists.line, { name, points: given }] }, id }
  const area = { name, polygon: given }
  return kind === 'zone'
    ? { areas: { zones: [...lists.zone, area] }, id }
    : { areas: { masks: [...lists.mask, area] }, id }
}

/** The areas without one drawing; an empty list is left out. */
export function withoutDrawing(
  areas: Areas,
  { kind, index }: DrawingId,
): { [K in keyof Areas]?: Areas[K] | undefined } {
  const key = `${kind}s` as const
  const left = (areas[key] ?? []).filter((_, at) => at !== index)
  return { [key]: left.length > 0 ? left : undefined }
}

/** The list with one entry changed. */
export const replaced = <T>(
  list: readonly T[] | undefined,
  index: number,
  change: (one: T) => T,
): T[] => (list ?? []).map((one, at) => (at === index ? change(one) : one))

/** The points with one more in the middle of the longest side, for somebody who types. */
export function withMiddle(points: readonly Point[], closed: boolean): readonly Point[] {
  if (points.length >= pointsMax) return points
  const sides = closed ? points.length : points.length - 1
  let longest = 0
  let lengthMax = -1
  for (let side = 0; side < sides; side++) {
    const length = lengthOf(points, side)
    if (length > lengthMax) {
      lengthMax = length
      longest = side
    }
  }
  const [a, b] = [points[longest], points[(longest + 1) % points.length]]
  if (!a || !b) return points
  const middle: Point = [clampShare((a[0] + b[0]) / 2), clampShare((a[1] + b[1]) / 2)]
  return [...points.slice(0, longest + 1), middle, ...points.slice(longest + 1)]
}

function lengthOf(points: readonly Point[], side: number): number {
  const [a, b] = [points[side], points[(side + 1) % points.length]]
  return a && b ? Math.hypot(a[0] - b[0], a[1] - b[1]) : 0
}

/** Inside the picture, to a hundredth of a percent: finer than any pixel. */
export const clampShare = (value: number): number =>
  Math.round(Math.max(0, Math.min(1, value)) * 10_000) / 10_000
