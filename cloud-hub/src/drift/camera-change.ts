/**
 * Whether a background is still the one that was learnt: how far it was moved, how alike it is, and how much of it is
 * covered. Pure, and indifferent to light: it compares edges and textures, not levels.
 */
import {
  type Background,
  profileColumns,
  profileRows,
  tileColumns,
  tileRows,
  unpackNibbles,
} from '@edgeloop/protocol'

/** Means of backgrounds, or one of them. */
export type BackgroundMeans = {
  readonly levels: readonly number[]
  readonly textures: readonly number[]
  readonly columns: readonly number[]
  readonly rows: readonly number[]
}

const tiles = tileColumns * tileRows

export const meansOf = (background: Background): BackgroundMeans => ({
  levels: [...unpackNibbles(background.levels, tiles)],
  textures: [...unpackNibbles(background.textures, tiles)],
  columns: [...unpackNibbles(background.columns, profileColumns)],
  rows: [...unpackNibbles(background.rows, profileRows)],
})

export type CameraChange = {
  /** By how much the picture was moved, as shares of its width and height. */
  readonly shift: readonly [x: number, y: number]
  /** How much better the edges fit when moved by that, 0 and more. */
  readonly gain: number
  /** How alike the edges are where they lie, and when moved by that: -1..1. */
  readonly inPlace: number
  readonly likeness: number
  /** Share of the tiles with something to be seen that are flat now, and look otherwise than they did. */
  readonly covered: number
  /** Share of those tiles that are flat now. */
  readonly flat: number
}

/** Farthest move that is looked for, as a share of the picture. */
const shiftMax = 0.25
/** Texture of a tile with something to be seen (two octaves), and of one with nothing left. */
const texturedMin = 4
const flatMax = 2
/** A tile has lost its texture when it has fallen by this much. */
const textureLost = 3
/** Sixteenths of the scale by which the light of a covered tile differs. */
const levelMin = 1.5

/** @returns undefined where the reference shows too little to compare with */
export function compareBackgrounds(
  now: BackgroundMeans,
  reference: BackgroundMeans,
): CameraChange | undefined {
  const x = bestShift(now.columns, reference.columns)
  const y = bestShift(now.rows, reference.rows)
  if (!x || !y) return undefined
  return {
    shift: [x.shift / profileColumns, y.shift / profileRows],
    gain: Math.max(x.best - x.inPlace, y.best - y.inPlace),
    inPlace: (x.inPlace + y.inPlace) / 2,
    likeness: (x.best + y.best) / 2,
    ...coveredOf(now, reference),
  }
}

function coveredOf(now: BackgroundMeans, reference: BackgroundMeans) {
  const textured: number[] = []
  const lost: number[] = []
  for (const [tile, texture] of reference.textures.entries()) {
    if (texture < texturedMin) continue
    textured.push(tile)
    const left = now.textures[tile]!
    if (left <= flatMax && left <= texture - textureLost) lost.push(tile)
  }
  if (textured.length === 0) return { covered: 0, flat: 0 }
  const isLost = new Set(lost)
  const kept = textured.filter((tile) => !isLost.has(tile))
  const flat = lost.length / textured.length
  // The light of what is not covered says how it would be.
  const ratios = (kept.length >= 8 ? kept : textured)
    .map((tile) => (now.levels[tile]! + 0.5) / (reference.levels[tile]! + 0.5))
    .sort((a, b) => a - b)
  const light = ratios[ratios.length >> 1]!
  const differ = lost.filter((tile) => {
    const expected = (reference.levels[tile]! + 0.5) * light - 0.5
    return Math.abs(now.levels[tile]! - expected) >= levelMin * Math.min(1, Math.max(0.5, light))
  })
  // Behind a cover the layout of light is gone as well; in a blur it stays.
  const layout = correlation(now.levels, reference.levels)
  const covered = flat > 0.85 && layout < 0.6 ? flat : differ.length / textured.length
  return { covered, flat }
}

/** The shift of `now` against `reference`, in bins, at which they are most alike. */
function bestShift(now: readonly number[], reference: readonly number[]) {
  const most = Math.floor(reference.length * shiftMax)
  const found: number[] = []
  for (let shift = -most; shift <= most; shift++) found.push(alike(now, reference, shift))
  const inPlace = found[most]!
  if (Number.isNaN(inPlace)) return undefined
  let best = most
  for (const [i, value] of found.entries()) if (value > found[best]!) best = i
  const [before, at, after] = [found[best - 1], found[best]!, found[best + 1]]
  const curve = before === undefined || after === undefined ? 0 : before - 2 * at + after
  const between = curve < 0 ? (before! - after!) / (2 * curve) : 0
  return { shift: best - most + between, best: at, inPlace }
}

/** Correlation of the parts that overlap; NaN where the reference is flat. */
function alike(now: readonly number[], reference: readonly number[], shift: number): number {
  const from = Math.max(0, -shift)
  const to = Math.min(reference.length, reference.length - shift)
  const a: number[] = []
  const b: number[] = []
  for (let i = from; i < to; i++) {
    a.push(now[i + shift]!)
    b.push(reference[i]!)
  }
  return correlation(a, b)
}

/** Pearson's; 0 where the first is flat, NaN where the second is. */
export function correlation(a: readonly number[], b: readonly number[]): number {
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length
  const [meanA, meanB] = [mean(a), mean(b)]
  let [ab, aa, bb] = [0, 0, 0]
  for (const [i, value] of a.entries()) {
    const [da, db] = [value - meanA, b[i]! - meanB]
    ab += da * db
    aa += da * da
    bb += db * db
  }
  if (bb <= 1e-9) return Number.NaN
  return aa <= 1e-9 ? 0 : ab / Math.sqrt(aa * bb)
}
