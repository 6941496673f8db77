/** What is wrong in a data set without making it useless: listed with file and line, and left out. */

export const problemKinds = [
  /** An image that cannot be decoded, or is none. */
  'unreadable-image',
  /** A line or entry that its format does not know. */
  'unreadable-label',
  /** An image that nobody said anything about, in a set where others have labels. */
  'image-without-labels',
  'labels-without-image',
  /** A label that is not in the list. */
  'unknown-label',
  /** A box, or a point of an outline, that lies beyond the image; it is cut there. */
  'outside',
  'zero-size',
  /** The labels speak of an image of another size. */
  'size-differs',
  /** The bytes of another image again, under another name. */
  'same-bytes',
  /** A link that leads out of the folder. */
  'link',
  /** Something that is carried by no sample of this kind of set. */
  'not-carried',
  /** A box so small that hardly a pixel is in it. */
  'tiny',
  /** Two boxes of one label that cover each other nearly. */
  'overlapping',
  /** The same box with the same label again. */
  'duplicate-box',
  /** A box around nearly all of the image, among others that are not. */
  'whole-image',
  /** A box many times as long as wide. */
  'extreme-aspect',
  /** A label with far fewer annotations than the others. */
  'rare-label',
  /** A label of the list that occurs nowhere. */
  'missing-label',
] as const
export type ProblemKind = (typeof problemKinds)[number]

export type Problem = {
  readonly kind: ProblemKind
  /** Path within the folder of the set, or the name of the sample. */
  readonly file: string
  /** Of a text file, from 1. */
  readonly line?: number
  /** A sentence without the file's name. */
  readonly text: string
}

/** Problems of one kind that are kept word by word; the others are counted. */
const keptPerKindMax = 200

/** Gathers problems within a bound: a million broken lines must not fill the memory. */
export class Problems {
  readonly #kept: Problem[] = []
  readonly #counts = new Map<ProblemKind, number>()

  add(problem: Problem): void {
    const count = (this.#counts.get(problem.kind) ?? 0) + 1
    this.#counts.set(problem.kind, count)
    if (count <= keptPerKindMax) this.#kept.push(problem)
  }

  addAll(others: Problems): void {
    for (const problem of others.kept) this.add(problem)
    for (const [kind, count] of others.counts) {
      const lost = count - others.kept.filter((problem) => problem.kind === kind).length
      this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + lost)
    }
  }

  /** The first of each kind. */
  get kept(): readonly Problem[] {
    return this.#kept
  }

  /** All of them, by kind. */
  get counts(): ReadonlyMap<ProblemKind, number> {
    return this.#counts
  }

  get total(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0)
  }
}

/** A problem as one line: `labels/a.txt:3: …`. */
export const problemText = ({ file, line, text }: Problem): string =>
  `${file}${line === undefined ? '' : `:${line}`}: ${text}`
