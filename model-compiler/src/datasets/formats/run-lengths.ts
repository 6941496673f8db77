/**
 * Masks as COCO writes them: lengths of runs, down one column after the other, beginning with what is outside; as numbers,
 * or packed into text, five bits a character (pycocotools' maskApi). Pure.
 */

/** A mask of a picture: where runs of its pixels begin and end, column by column. */
export type RunLengths = {
  readonly width: number
  readonly height: number
  /** Pixels outside, inside, outside … of the mask; their sum is width × height. */
  readonly counts: readonly number[]
}

/** Most runs of one mask: a picture of noise has more, and is no outline of anything. */
const runsMax = 1_000_000
/** Most pixels of a side. */
const sideMax = 65_535

/**
 * @param given `{ counts, size: [height, width] }` as a file has it
 * @returns the mask, or what is wrong with it
 */
export function readRunLengths(given: {
  readonly counts?: unknown
  readonly size?: unknown
}): RunLengths | { readonly problem: string } {
  const { counts, size } = given
  const [height, width] = Array.isArray(size) && size.length === 2 ? (size as unknown[]) : []
  if (!isSide(height) || !isSide(width)) return { problem: 'has a mask without a size' }
  if (typeof counts !== 'string' && !Array.isArray(counts)) {
    return { problem: 'has a mask without runs' }
  }
  if (counts.length > runsMax) return { problem: `has a mask of more than ${runsMax} runs` }
  const runs = typeof counts === 'string' ? unpacked(counts) : (counts as unknown[])
  if (!runs?.every((run): run is number => Number.isInteger(run) && (run as number) >= 0)) {
    return { problem: 'has a mask whose runs cannot be read' }
  }
  const sum = runs.reduce((whole, run) => whole + run, 0)
  if (sum !== width * height) {
    return { problem: `has a mask of ${sum} pixels for a picture of ${width}×${height}` }
  }
  return { width, height, counts: runs }
}

const isSide = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) > 0 && (value as number) <= sideMax

/** Bits of a character that count; the next one says that more follow. */
const bits = 5
const [zeroCode, codes] = ['0'.charCodeAt(0), 64]
/** More characters than a number that counts pixels has. */
const charactersMax = 8

/** @returns undefined where the text is none of packed runs */
function unpacked(text: string): number[] | undefined {
  const runs: number[] = []
  for (let at = 0; at < text.length; ) {
    let [value, shift, more] = [0, 0, true]
    while (more) {
      const code = text.charCodeAt(at) - zeroCode
      if (!(code >= 0 && code < codes) || shift >= bits * charactersMax) return undefined
      // No shift of 32-bit numbers: eight characters hold forty bits.
      value += (code & 31) * 2 ** shift
      more = (code & 32) !== 0
      shift += bits
      at += 1
      if (!more && (code & 16) !== 0) value -= 2 ** shift
    }
    // From the fourth on it is told by how much a run differs from the one before the last.
    runs.push(runs.length > 2 ? value + runs[runs.length - 2]! : value)
  }
  return runs
}

/** The runs of a rectangle: how a crowd without a mask is written. @param box left, top, width, height in pixels, cut to the picture */
export function boxRuns(
  [left, top, across, down]: readonly [number, number, number, number],
  width: number,
  height: number,
): readonly number[] {
  const counts: number[] = []
  let outside = left * height + top
  for (let column = 0; column < across; column += 1) {
    if (down === height && counts.length > 0) counts[counts.length - 1]! += down
    else counts.push(outside, down)
    outside = height - down
  }
  const rest = width * height - counts.reduce((sum, count) => sum + count, 0)
  return rest > 0 || counts.length === 0 ? [...counts, rest] : counts
}

/** A part of a mask as bytes, row by row: 1 inside. Empty where nothing is inside. */
export type MaskPart = {
  /** Of its left upper pixel. */
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
  readonly pixels: Uint8Array
}

/** Most pixels of a part that is unpacked: a whole picture of 64 megapixels. */
export const partPixelsMax = 64 * 1024 * 1024

/** What of the mask is inside, without what is empty around it; undefined where that is too much. */
export function unpackMask({ width, height, counts }: RunLengths): MaskPart | undefined {
  let [left, top, right, bottom] = [width, height, -1, -1]
  eachRun(counts, (from, to) => {
    const [first, last] = [Math.floor(from / height), Math.floor((to - 1) / height)]
    left = Math.min(left, first)
    right = Math.max(right, last)
    // A run that goes on in the next column touches foot and head.
    top = Math.min(top, last > first ? 0 : from % height)
    bottom = Math.max(bottom, last > first ? height - 1 : (to - 1) % height)
  })
  if (right < 0) return { x: 0, y: 0, width: 0, height: 0, pixels: new Uint8Array(0) }
  const [across, down] = [right - left + 1, bottom - top + 1]
  if (across * down > partPixelsMax) return undefined
  const pixels = new Uint8Array(across * down)
  eachRun(counts, (from, to) => {
    for (let at = from; at < to; at += 1) {
      pixels[((at % height) - top) * across + Math.floor(at / height) - left] = 1
    }
  })
  return { x: left, y: top, width: across, height: down, pixels }
}

function eachRun(counts: readonly number[], see: (from: number, to: number) => void): void {
  let at = 0
  for (const [index, count] of counts.entries()) {
    if (index % 2 === 1 && count > 0) see(at, at + count)
    at += count
  }
}
