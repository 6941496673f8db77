/** Outlines of what a picture of classes shows, bounded in number and detail. */

/** One class index per pixel, row by row. */
export type ClassPicture = {
  readonly width: number
  readonly height: number
  readonly classes: Uint16Array
}

type Corner = readonly [x: number, y: number]

/** Most outlines of one class, and most points of one. */
export const outlinesMax = 16
export const outlinePointsMax = 64
/** Parts that cover less of the picture are left out. */
const partShareMin = 0.002

/**
 * The outer outlines of the largest parts of one class, largest first, as shares (0..1) of the picture.
 * Holes are not told apart.
 */
export function outlinesOf(picture: ClassPicture, classIndex: number): [number, number][][] {
  const { width, height, classes } = picture
  const parts = new Uint32Array(classes.length)
  const found: { part: number; start: number; size: number }[] = []
  for (let start = 0; start < classes.length; start++) {
    if (classes[start] !== classIndex || parts[start] !== 0) continue
    const part = found.length + 1
    found.push({ part, start, size: flood(picture, parts, start, part) })
  }
  return found
    .filter(({ size }) => size >= partShareMin * classes.length)
    .sort((a, b) => b.size - a.size)
    .slice(0, outlinesMax)
    .map(({ part, start }) =>
      simplified(trace(picture, parts, part, start)).map(([x, y]): [number, number] => [
        share(x / width),
        share(y / height),
      ]),
    )
}

/** Marks everything that hangs together with `start` over sides; returns its number of pixels. */
function flood(
  { width, height, classes }: ClassPicture,
  parts: Uint32Array,
  start: number,
  part: number,
): number {
  const open = [start]
  parts[start] = part
  let size = 0
  const visit = (at: number): void => {
    if (classes[at] !== classes[start] || parts[at] !== 0) return
    parts[at] = part
    open.push(at)
  }
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    size++
    const x = at % width
    if (x > 0) visit(at - 1)
    if (x < width - 1) visit(at + 1)
    if (at >= width) visit(at - width)
    if (at < width * (height - 1)) visit(at + width)
  }
  return size
}

/** Right, down, left, up; and the pixels right and left of the way ahead of a corner, in that order. */
const ways = [
  { step: [1, 0], right: [0, 0], left: [0, -1] },
  { step: [0, 1], right: [-1, 0], left: [0, 0] },
  { step: [-1, 0], right: [-1, -1], left: [-1, 0] },
  { step: [0, -1], right: [0, -1], left: [-1, -1] },
] as const

/**
 * Walks around a part with it on the right hand, along the sides of its pixels.
 * @param start its first pixel in reading order, so that its upper side is outside
 */
function trace(
  { width, height }: ClassPicture,
  parts: Uint32Array,
  part: number,
  start: number,
): Corner[] {
  const isIn = (x: number, y: number): boolean =>
    x >= 0 && y >= 0 && x < width && y < height && parts[y * width + x] === part
  const first: Corner = [start % width, Math.floor(start / width)]
  const corners: Corner[] = []
  let [x, y] = first
  let way = 0
  do {
    corners.push([x, y])
    // Straight on until the part or the outside is no longer where it was.
    let turned = false
    while (!turned) {
      x += ways[way]!.step[0]
      y += ways[way]!.step[1]
      const { right, left } = ways[way]!
      if (!isIn(x + right[0], y + right[1])) {
        way = (way + 1) % 4
        turned = true
      } else if (isIn(x + left[0], y + left[1])) {
        way = (way + 3) % 4
        turned = true
      }
    }
  } while (x !== first[0] || y !== first[1] || way !== 0)
  return corners
}

/** Fewer points: what deviates by less than a pixel goes, and more where there are still too many. */
function simplified(corners: readonly Corner[]): Corner[] {
  let tolerance = 0.8
  let points = [...corners]
  do {
    points = reduce(corners, tolerance)
    tolerance *= 1.6
  } while (points.length > outlinePointsMax)
  return points
}

/** Ramer–Douglas–Peucker on a closed outline, cut at its first corner and the one farthest from it. */
function reduce(corners: readonly Corner[], tolerance: number): Corner[] {
  const far = farthest(corners, (corner) =>
    Math.hypot(corner[0] - corners[0]![0], corner[1] - corners[0]![1]),
  )
  const kept = new Set([0, far.index])
  const spans: [number, number][] = [
    [0, far.index],
    [far.index, corners.length],
  ]
  for (let span = spans.pop(); span !== undefined; span = spans.pop()) {
    const [from, to] = span
    const [a, b] = [corners[from]!, corners[to % corners.length]!]
    const inner = corners.slice(from + 1, to)
    if (inner.length === 0) continue
    const worst = farthest(inner, (corner) => distance(a, b, corner))
    if (worst.value <= tolerance) continue
    const index = from + 1 + worst.index
    kept.add(index)
    spans.push([from, index], [index, to])
  }
  return [...kept].sort((x, y) => x - y).map((index) => corners[index]!)
}

function farthest(corners: readonly Corner[], measure: (corner: Corner) => number) {
  let best = { index: 0, value: Number.NEGATIVE_INFINITY }
  for (const [index, corner] of corners.entries()) {
    const value = measure(corner)
    if (value > best.value) best = { index, value }
  }
  return best
}

/** From a point to the line through both, or to their place where they are one. */
function distance([ax, ay]: Corner, [bx, by]: Corner, [x, y]: Corner): number {
  const length = Math.hypot(bx - ax, by - ay)
  if (length === 0) return Math.hypot(x - ax, y - ay)
  return Math.abs((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / length
}

const share = (value: number): number => Math.round(value * 1e4) / 1e4
