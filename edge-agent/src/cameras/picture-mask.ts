/**
 * Blanks what must not be seen. A mask is applied to every picture made of a frame at the moment it
 * is made, before anybody can hold it; the decoded frame itself stays as it is, because the decoder
 * predicts the next frames from it. Scaling mixes neighbouring pixels, so every pixel that could hold
 * something of a masked one goes with it.
 */
import type { Point } from '@edgeloop/protocol'

/** Corners in shares (0..1) of the frame, sides not crossing. */
export type MaskPolygon = readonly Point[]

type Size = { readonly width: number; readonly height: number }

/** One plane of a picture. */
export type Plane = Size & {
  /** Bytes from one row to the next. */
  readonly stride: number
  readonly bytesPerPixel: number
}

/**
 * How far scaling carries a pixel: so many pixels of the source (its colours may be stored at half
 * size, and are interpolated between two of those) and of the picture (the widest filter we use
 * reaches two, and writes colours for two at a time).
 */
const reachSource = 4
const reachPicture = 2

/** Sizes of pictures whose spans are kept: gate, canvas, JPEG with its planes, live picture with its. */
const sizesMax = 16

/** The mask of a camera; undefined where it has none, so that it costs nothing. */
export const pictureMask = (polygons: readonly MaskPolygon[]): PictureMask | undefined =>
  polygons.length === 0 ? undefined : new PictureMask(polygons)

/** Row, first column, column after the last; one triple after the other. */
type Spans = Uint32Array

export class PictureMask {
  readonly #polygons: readonly MaskPolygon[]
  readonly #spans = new Map<string, Spans>()

  constructor(polygons: readonly MaskPolygon[]) {
    this.#polygons = polygons
  }

  /**
   * Blanks one plane that shows the whole frame.
   * @param source size of the frame as it was coded, from which the plane was made
   * @param level what blanked bytes are set to
   */
  blank(pixels: Uint8Array, plane: Plane, source: Size, level = 0): void {
    const { stride, bytesPerPixel } = plane
    const spans = this.#spansOf(plane, source)
    for (let i = 0; i < spans.length; i += 3) {
      const row = spans[i]! * stride
      pixels.fill(level, row + spans[i + 1]! * bytesPerPixel, row + spans[i + 2]! * bytesPerPixel)
    }
  }

  #spansOf({ width, height }: Size, source: Size): Spans {
    const key = `${width}x${height} ${source.width}x${source.height}`
    let spans = this.#spans.get(key)
    if (spans === undefined) {
      const [oldest] = this.#spans.keys()
      if (oldest !== undefined && this.#spans.size >= sizesMax) this.#spans.delete(oldest)
      spans = coveredSpans(
        this.#polygons,
        { width, height },
        {
          x: reachPicture + (reachSource * width) / source.width,
          y: reachPicture + (reachSource * height) / source.height,
        },
      )
      this.#spans.set(key, spans)
    }
    return spans
  }
}

/**
 * The pixels that lie nearer to a polygon than `reach` (in pixels, each direction by itself), or have
 * any part within it: no pixel is left out because its centre lies outside.
 */
export function coveredSpans(
  polygons: readonly MaskPolygon[],
  { width, height }: Size,
  reach: { readonly x: number; readonly y: number },
): Spans {
  const spans: number[] = []
  const scaled = polygons.map((polygon) => polygon.map(([x, y]): Point => [x * width, y * height]))
  for (let row = 0; row < height; row++) {
    const covered = scaled
      .flatMap((polygon) => extentsIn(polygon, row - reach.y, row + 1 + reach.y))
      .map(
        ([from, to]) =>
          [
            Math.max(0, Math.floor(from - reach.x)),
            Math.min(width, Math.ceil(to + reach.x)),
          ] as const,
      )
      .sort(([a], [b]) => a - b)
    let open: [number, number] | undefined
    for (const [from, to] of covered) {
      if (open !== undefined && from <= open[1]) open[1] = Math.max(open[1], to)
      else {
        if (open !== undefined) spans.push(row, ...open)
        open = [from, to]
      }
    }
    if (open !== undefined && open[0] < open[1]) spans.push(row, ...open)
  }
  return Uint32Array.from(spans)
}

/**
 * From where to where a polygon reaches within a horizontal strip, for each of its parts there. The
 * strip is cut at every corner; between two cuts the polygon consists of trapezoids.
 */
function extentsIn(
  polygon: readonly Point[],
  top: number,
  bottom: number,
): [from: number, to: number][] {
  const heights = polygon.map(([, y]) => y)
  const cuts = [top, ...heights.filter((y) => y > top && y < bottom), bottom].sort((a, b) => a - b)
  const extents: [number, number][] = []
  for (let i = 1; i < cuts.length; i++) {
    const [above, below] = [cuts[i - 1]!, cuts[i]!]
    if (above === below) continue
    const middle = (above + below) / 2
    const sides = sidesAt(polygon, middle)
      .map(([a, b]) => ({
        at: crossing(a, b, middle),
        reached: [crossing(a, b, above), crossing(a, b, below)] as const,
      }))
      .sort((a, b) => a.at - b.at)
    for (let pair = 0; pair + 1 < sides.length; pair += 2) {
      extents.push([Math.min(...sides[pair]!.reached), Math.max(...sides[pair + 1]!.reached)])
    }
  }
  return extents
}

function sidesAt(polygon: readonly Point[], y: number): [Point, Point][] {
  const sides: [Point, Point][] = []
  for (const [i, a] of polygon.entries()) {
    const b = polygon[(i + 1) % polygon.length]!
    if (a[1] <= y !== b[1] <= y) sides.push([a, b])
  }
  return sides
}

/** Where a side is at this height. */
const crossing = ([ax, ay]: Point, [bx, by]: Point, y: number): number =>
  ax + ((bx - ax) * (y - ay)) / (by - ay)
