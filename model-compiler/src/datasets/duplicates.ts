/**
 * Pictures that are nearly the same: saved again, scaled, compressed, or the next frame of a still scene. Two are the
 * same whose colours are nearly equal in every cell of a grid, so that something that came into a still scene counts.
 * No pair is missed: what differs little in all cells differs little in the mean of each quarter, and on the whole, and
 * only pairs that do are compared.
 */
import type { Dataset, Picture, Sample } from './dataset.ts'
import { DatasetError } from './dataset-error.ts'
import { inTurns } from './draft.ts'
import { decodedPicture } from './pictures.ts'
import { Problems } from './problems.ts'

/** Of the grid, which has a number for each channel: colours of equal brightness are not the same. */
const [columns, rows] = [12, 10] as const
/** Steps of a byte by which a cell may differ, and all of them on average. */
const cellMax = 20
const meanMax = 4
/** Pairs that are looked at; among pictures of one kind (digits on black) nearly all have to be. */
const pairsMax = 20_000_000
const together = 4

export type Duplicates = {
  /** Digests of pictures that are nearly the same, at least two each; for `together` of `splitDataset`. */
  readonly groups: readonly (readonly string[])[]
  /** Whether all pairs were looked at that could be the same. */
  readonly complete: boolean
  /** Pictures that could not be decoded. */
  readonly problems: Problems
}

export type DuplicateOptions = {
  readonly signal?: AbortSignal
  readonly onPicture?: (done: number, total: number) => void
}

/** Pictures of a set that is about to be split: decoding more of them takes minutes. */
const splitPicturesMax = 20_000

/**
 * What of a set has to be dealt together, where it can be told at little cost: not for raw pixels, which are all of one
 * kind, nor for very many pictures.
 */
export async function nearCopies(
  dataset: Pick<Dataset, 'samples' | 'pictures'>,
  options: DuplicateOptions = {},
): Promise<Duplicates> {
  if (dataset.pictures.kind === 'raw' || dataset.samples.length > splitPicturesMax) {
    return { groups: [], complete: false, problems: new Problems() }
  }
  return await findDuplicates(dataset, options)
}

export async function findDuplicates(
  { samples, pictures }: Pick<Dataset, 'samples' | 'pictures'>,
  { signal, onPicture }: DuplicateOptions = {},
): Promise<Duplicates> {
  const problems = new Problems()
  let done = 0
  const grids = await inTurns(samples, together, async ({ digest, name }) => {
    signal?.throwIfAborted()
    try {
      const size = { width: 4 * columns, height: 4 * rows }
      return gridOf(await decodedPicture(pictures, digest, size))
    } catch (error) {
      if (!(error instanceof DatasetError)) throw error
      problems.add({ kind: 'unreadable-image', file: name, text: error.message })
      return undefined
    } finally {
      onPicture?.(++done, samples.length)
    }
  })
  return { ...groupsOf(samples, grids), problems }
}

/** Mean of red, green and blue in each cell. */
function gridOf({ width, height, channels, data }: Picture): Uint8Array {
  const grid = new Uint8Array(columns * rows * 3)
  for (let row = 0; row < rows; row++) {
    const [top, bottom] = span(row, rows, height)
    for (let column = 0; column < columns; column++) {
      const [left, right] = span(column, columns, width)
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0
        for (let y = top; y < bottom; y++) {
          const end = (y * width + right) * channels
          // Of grey the one channel stands for all three.
          const first = (y * width + left) * channels + (channels === 3 ? channel : 0)
          for (let at = first; at < end; at += channels) sum += data[at]!
        }
        const pixels = (bottom - top) * (right - left)
        grid[(row * columns + column) * 3 + channel] = sum / pixels + 0.5
      }
    }
  }
  return grid
}

function span(cell: number, cells: number, length: number): readonly [number, number] {
  const start = Math.min(length - 1, Math.floor((cell * length) / cells))
  return [start, Math.max(start + 1, Math.floor(((cell + 1) * length) / cells))]
}

type Seen = {
  readonly at: number
  readonly grid: Uint8Array
  /** Of all channels on the whole, and of each quarter. */
  readonly mean: number
  readonly quarters: Float32Array
}

function seenOf(grid: Uint8Array, at: number): Seen {
  const quarters = new Float32Array(4)
  for (const [place, value] of grid.entries()) {
    const cell = Math.floor(place / 3)
    const [row, column] = [Math.floor(cell / columns), cell % columns]
    quarters[(row < rows / 2 ? 0 : 2) + (column < columns / 2 ? 0 : 1)]! += value
  }
  for (let quarter = 0; quarter < 4; quarter++) quarters[quarter]! /= grid.length / 4
  return { at, grid, quarters, mean: quarters.reduce((sum, value) => sum + value, 0) / 4 }
}

function groupsOf(
  samples: readonly Sample[],
  grids: readonly (Uint8Array | undefined)[],
): Pick<Duplicates, 'groups' | 'complete'> {
  const leader = samples.map((_, at) => at)
  const leaderOf = (at: number): number => {
    let found = at
    while (leader[found] !== found) found = leader[found]!
    leader[at] = found
    return found
  }
  const seen = grids
    .flatMap((grid, at) => (grid ? [seenOf(grid, at)] : []))
    .sort((a, b) => a.mean - b.mean)
  let [pairs, first] = [0, 0]
  for (const [place, one] of seen.entries()) {
    while (one.mean - seen[first]!.mean > meanMax) first++
    pairs += place - first
    if (pairs > pairsMax) break
    for (let before = first; before < place; before++) {
      const other = seen[before]!
      if (!nearQuarters(one.quarters, other.quarters) || !sameGrid(one.grid, other.grid)) continue
      const [low, high] = [leaderOf(one.at), leaderOf(other.at)].sort((a, b) => a - b)
      leader[high!] = low!
    }
  }
  const groups = Map.groupBy(samples.keys(), leaderOf)
  return {
    groups: [...groups.values()]
      .filter((group) => group.length > 1)
      .map((group) => group.map((at) => samples[at]!.digest)),
    complete: pairs <= pairsMax,
  }
}

function nearQuarters(a: Float32Array, b: Float32Array): boolean {
  const sum =
    Math.abs(a[0]! - b[0]!) +
    Math.abs(a[1]! - b[1]!) +
    Math.abs(a[2]! - b[2]!) +
    Math.abs(a[3]! - b[3]!)
  return sum <= 4 * meanMax
}

function sameGrid(a: Uint8Array, b: Uint8Array): boolean {
  let sum = 0
  // With a step that has no factor in common with the grid: what differs is found sooner than from the edge.
  for (let step = 0, at = 0; step < a.length; step++, at = (at + 127) % a.length) {
    const difference = Math.abs(a[at]! - b[at]!)
    if (difference > cellMax) return false
    sum += difference
  }
  return sum <= meanMax * a.length
}
