/**
 * How right answers are that have no boxes: the share of pictures whose class is among the first k, the
 * overlap of class maps, the angle between vectors. Pure.
 */

/** One picture: classes best first, and the one that is really there. */
export type Ranked = { readonly classes: readonly string[]; readonly truth: string }

/** Share (0..1) of pictures whose class is among the first `k`; NaN for none. */
export function topAccuracy(pictures: readonly Ranked[], k: number): number {
  const hits = pictures.filter(({ classes, truth }) => classes.slice(0, k).includes(truth))
  return hits.length / pictures.length
}

/** Counts pixels of class maps, so that no map has to be kept. */
export class MapOverlap {
  readonly #ignored: number | undefined
  /** Per class: pixels where both say so, and where at least one does. */
  readonly #both = new Map<number, number>()
  readonly #either = new Map<number, number>()
  #right = 0
  #pixels = 0

  /** @param ignored class in the truth whose pixels do not count (VOC: 255) */
  constructor(ignored?: number) {
    this.#ignored = ignored
  }

  /** @throws {RangeError} when the maps have not as many pixels */
  add(truth: ArrayLike<number>, found: ArrayLike<number>): void {
    if (truth.length !== found.length) {
      throw new RangeError(
        `Cannot compare class maps: one has ${truth.length} pixels, the other ${found.length}`,
      )
    }
    for (let at = 0; at < truth.length; at++) {
      const wanted = truth[at]!
      const said = found[at]!
      if (wanted === this.#ignored) continue
      count(this.#either, wanted)
      this.#pixels++
      if (said === wanted) {
        count(this.#both, wanted)
        this.#right++
      } else count(this.#either, said)
    }
  }

  /** Takes in what another has counted. @param times how often it counts */
  merge(other: MapOverlap, times = 1): void {
    for (const [index, pixels] of other.#both) count(this.#both, index, pixels * times)
    for (const [index, pixels] of other.#either) count(this.#either, index, pixels * times)
    this.#right += other.#right * times
    this.#pixels += other.#pixels * times
  }

  /** Every class that either names, by index: pixels where both say so, and where at least one does. */
  perClass(): { readonly index: number; readonly both: number; readonly either: number }[] {
    return [...this.#either]
      .map(([index, either]) => ({ index, both: this.#both.get(index) ?? 0, either }))
      .sort((a, b) => a.index - b.index)
  }

  /** Mean over the classes that either names of intersection over union, 0..1; NaN without a pixel. */
  meanIntersectionOverUnion(): number {
    const shares = this.perClass().map(({ both, either }) => both / either)
    return shares.reduce((sum, share) => sum + share, 0) / shares.length
  }

  /** Share of the pixels that count whose class is right, 0..1; NaN without a pixel. */
  pixelAccuracy(): number {
    return this.#right / this.#pixels
  }
}

const count = (counts: Map<number, number>, index: number, by = 1): void => {
  counts.set(index, (counts.get(index) ?? 0) + by)
}

/**
 * Cosine of the angle between two vectors, −1..1. Two of length 0 are equal (1); one of them is nothing like
 * the other (0). A number that is not finite on either side is 0 too: an answer is missing there.
 * @throws {RangeError} when they are not equally long
 */
export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) {
    throw new RangeError(`Cannot compare vectors of ${a.length} and ${b.length} numbers`)
  }
  let product = 0
  let squaresA = 0
  let squaresB = 0
  for (let at = 0; at < a.length; at++) {
    const x = a[at]!
    const y = b[at]!
    product += x * y
    squaresA += x * x
    squaresB += y * y
  }
  if (squaresA === 0 && squaresB === 0) return 1
  const result = product / Math.sqrt(squaresA * squaresB)
  return Number.isFinite(result) ? Math.max(-1, Math.min(1, result)) : 0
}
