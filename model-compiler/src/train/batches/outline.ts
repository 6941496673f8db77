/** Fills an outline with a class index: what lies within an odd number of its edges. Pure. */

/** @param points in pixels of the canvas */
export function fillOutline(
  mask: Uint8Array,
  { width, height }: { readonly width: number; readonly height: number },
  points: readonly (readonly [number, number])[],
  index: number,
): void {
  const crossings: number[] = []
  for (let row = 0; row < height; row++) {
    const y = row + 0.5
    crossings.length = 0
    for (const [at, [x1, y1]] of points.entries()) {
      const [x0, y0] = points.at(at - 1)!
      if (y0 < y !== y1 < y) crossings.push(x0 + ((y - y0) / (y1 - y0)) * (x1 - x0))
    }
    crossings.sort((a, b) => a - b)
    for (let pair = 0; pair + 1 < crossings.length; pair += 2) {
      const start = Math.max(0, Math.ceil(crossings[pair]! - 0.5))
      const end = Math.min(width, Math.ceil(crossings[pair + 1]! - 0.5))
      if (end > start) mask.fill(index, row * width + start, row * width + end)
    }
  }
}
