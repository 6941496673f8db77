/** Where boxes lie on a plot of one figure: along it by their value, above each other where they would overlap. Pure. */

export type PlacedBox = {
  readonly deviceId: string
  readonly value: number
  readonly x: number
  readonly y: number
}

export const plotSize = { width: 480, height: 120, inset: 26, bottom: 28, dot: 7 } as const

/**
 * @param limit a value that must be seen on the axis, too
 * @param whole ends of the axis where they are fixed
 */
export function placeBoxes(
  boxes: readonly { readonly deviceId: string; readonly value: number }[],
  limit: number,
  whole?: readonly [number, number],
): {
  readonly places: readonly PlacedBox[]
  readonly xOf: (value: number) => number
  readonly ticks: readonly number[]
} {
  const { width, height, inset, bottom, dot } = plotSize
  const values = boxes.map(({ value }) => value)
  const least = whole?.[0] ?? Math.min(limit, ...values)
  const most = whole?.[1] ?? Math.max(limit, ...values)
  const room = (most - least) * 0.06
  const [from, to] =
    whole ?? (most > least ? [least - room, most + room] : [least - 0.5, most + 0.5])
  const xOf = (value: number) => inset + ((value - from) / (to - from)) * (width - 2 * inset)
  const floor = height - bottom - dot
  const columns = new Map<number, number>()
  const places = boxes
    .toSorted((a, b) => a.value - b.value)
    .map(({ deviceId, value }) => {
      const column = Math.round(xOf(value) / dot)
      const below = columns.get(column) ?? 0
      columns.set(column, below + 1)
      // A column that is full stays full: more dots there would leave the picture.
      return { deviceId, value, x: xOf(value), y: Math.max(dot, floor - below * dot) }
    })
  const ticks = Array.from({ length: 5 }, (_, at) => from + ((to - from) * at) / 4)
  return { places, xOf, ticks }
}
