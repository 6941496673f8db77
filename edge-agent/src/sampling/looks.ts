/**
 * What a frame looks like, in 64 bits and in 60 numbers: enough to tell a picture that was sent before from one
 * that was not, cheap enough to be asked several times a second. Made of the motion gate's grey picture and of the
 * model's canvas, which are there anyway; no model is needed.
 */
import { gateHeight, gateWidth, type InputView } from '../cameras/camera.ts'

export type Looks = {
  /** Difference hash of the grey picture: 64 bits in hex. */
  readonly hash: string
  /** Layout of light, edges and colours; of length 1. */
  readonly embedding: readonly number[]
}

const hashSide = 8
const hashColumns = hashSide + 1
const lightColumns = 4
const lightRows = 3
const edgeColumns = 3
const edgeRows = 2
const edgeDirections = 4
const colourLevels = 3
/** Pixels of the canvas that are counted, in each direction. */
const colourSteps = 48
/** Gate pixels whose gradient is looked at, in each direction: every so many. */
const edgeStep = 2
/** A gradient below this (grey levels over two pixels) is noise. */
const gradientMin = 12

/** Numbers of an embedding. */
export const looksLength =
  lightColumns * lightRows + edgeColumns * edgeRows * edgeDirections + colourLevels ** 3 - 3

/**
 * @param grey 160×90 grey levels
 * @param canvas what the model is fed, height × width × 3, with where the frame lies on it
 */
export function looksOf(grey: Uint8Array, canvas?: { bytes: Uint8Array; view: InputView }): Looks {
  const { light, hash } = cellsOf(grey)
  const parts = [
    centred(light),
    scaled(edges(grey), 1),
    canvas ? scaled(colours(canvas.bytes, canvas.view), 1) : new Float64Array(colourCells),
  ]
  const all = parts.flatMap((part) => [...part])
  const length = Math.hypot(...all) || 1
  // Four digits: what travels with each sample stays small.
  const embedding = all.map((value) => Math.round((value / length) * 1e4) / 1e4)
  return { hash: hashOf(hash), embedding }
}

/** Columns that lie in one cell of both grids, with where those cells are in their rows. */
const runs = Array.from({ length: gateWidth }, (_, x) => ({
  light: Math.floor((x * lightColumns) / gateWidth),
  from: x,
  to: x + 1,
  hash: Math.floor((x * hashColumns) / gateWidth),
})).reduce<{ light: number; hash: number; from: number; to: number }[]>((all, column) => {
  const last = all.at(-1)
  if (last?.light === column.light && last.hash === column.hash) last.to = column.to
  else all.push(column)
  return all
}, [])

/** Mean grey levels of the cells of two grids over the picture, in one pass over its pixels. */
function cellsOf(grey: Uint8Array): { light: Float64Array; hash: Float64Array } {
  const sums = {
    light: new Float64Array(lightColumns * lightRows),
    hash: new Float64Array(hashColumns * hashSide),
  }
  const counts = { light: sums.light.slice(), hash: sums.hash.slice() }
  for (let y = 0; y < gateHeight; y++) {
    const row = y * gateWidth
    const lightRow = Math.floor((y * lightRows) / gateHeight) * lightColumns
    const hashRow = Math.floor((y * hashSide) / gateHeight) * hashColumns
    for (const { light, hash, from, to } of runs) {
      let sum = 0
      for (let x = from; x < to; x++) sum += grey[row + x]!
      sums.light[lightRow + light]! += sum
      counts.light[lightRow + light]! += to - from
      sums.hash[hashRow + hash]! += sum
      counts.hash[hashRow + hash]! += to - from
    }
  }
  return {
    light: sums.light.map((sum, cell) => sum / counts.light[cell]!),
    hash: sums.hash.map((sum, cell) => sum / counts.hash[cell]!),
  }
}

/** Each bit says whether a cell is darker than its right neighbour, row by row. */
function hashOf(cells: Float64Array): string {
  let hex = ''
  for (let row = 0; row < hashSide; row++) {
    let bits = 0
    for (let column = 0; column < hashSide; column++) {
      const at = row * hashColumns + column
      bits = bits * 2 + (cells[at]! < cells[at + 1]! ? 1 : 0)
    }
    hex += bits.toString(16).padStart(2, '0')
  }
  return hex
}

/** Bits in which two hashes differ, 0..64. */
export function hashDistance(a: string, b: string): number {
  let bits = 0
  for (let at = 0; at < 16; at += 8) {
    let differ =
      (Number.parseInt(a.slice(at, at + 8), 16) ^ Number.parseInt(b.slice(at, at + 8), 16)) >>> 0
    for (; differ !== 0; differ &= differ - 1) bits++
  }
  return bits
}

/** 0 for the same, 1 for nothing in common, 2 for opposites. @returns 1 where they are of different kinds */
export function cosineDistance(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) return 1
  let dot = 0
  for (let i = 0; i < a.length; i++) dot += a[i]! * b[i]!
  return 1 - dot
}

/** How much each part of the picture changes in each of four directions. */
function edges(grey: Uint8Array): Float64Array {
  const cells = new Float64Array(edgeColumns * edgeRows * edgeDirections)
  for (let y = 1; y < gateHeight - 1; y += edgeStep) {
    const row = Math.floor((y * edgeRows) / gateHeight) * edgeColumns
    for (let x = 1; x < gateWidth - 1; x += edgeStep) {
      const at = y * gateWidth + x
      const across = grey[at + 1]! - grey[at - 1]!
      const down = grey[at + gateWidth]! - grey[at - gateWidth]!
      const strength = Math.abs(across) + Math.abs(down)
      if (strength < gradientMin) continue
      const steep = Math.abs(down) > Math.abs(across) ? 1 : 0
      const direction = across >= 0 === down >= 0 ? steep : 2 + steep
      const cell = row + Math.floor((x * edgeColumns) / gateWidth)
      cells[cell * edgeDirections + direction]! += strength
    }
  }
  return cells
}

/** Greys are one cell: how bright they are is said elsewhere. */
const colourCells = colourLevels ** 3 - 3
const colourCellOf = colourIndexes()

/** Which colours there are, of a grid of the canvas's pixels, brightness left out as far as it is grey. */
function colours(bytes: Uint8Array, { width, channels, content }: InputView): Float64Array {
  const cells = new Float64Array(colourCells)
  const [red, blue] = channels === 'rgb' ? [0, 2] : [2, 0]
  for (let i = 0; i < colourSteps; i++) {
    const y = content.top + Math.floor(((i + 0.5) * content.height) / colourSteps)
    for (let k = 0; k < colourSteps; k++) {
      const x = content.left + Math.floor(((k + 0.5) * content.width) / colourSteps)
      const at = (y * width + x) * 3
      const index =
        levelOf(bytes[at + red]!) * colourLevels ** 2 +
        levelOf(bytes[at + 1]!) * colourLevels +
        levelOf(bytes[at + blue]!)
      const cell = colourCellOf[index]!
      if (cell >= 0) cells[cell]!++
    }
  }
  // Square roots: a colour that is on little of the picture still counts.
  return cells.map((count) => Math.sqrt(count / colourSteps ** 2))
}

const levelOf = (value: number): number => Math.min(colourLevels - 1, (value * colourLevels) >> 8)

function colourIndexes(): Int8Array {
  const indexes = new Int8Array(colourLevels ** 3)
  let next = 0
  for (let i = 0; i < indexes.length; i++) {
    const [r, g, b] = [Math.floor(i / 9), Math.floor(i / 3) % 3, i % 3]
    indexes[i] = r === g && g === b ? -1 : next++
  }
  return indexes
}

function centred(values: Float64Array): Float64Array {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  // Brightness itself counts for less than where it is bright.
  return values.map((value) => (value - mean) / 128 + (mean - 128) / 512)
}

function scaled(values: Float64Array, to: number): Float64Array {
  const length = Math.hypot(...values)
  return length === 0 ? values : values.map((value) => (value / length) * to)
}
