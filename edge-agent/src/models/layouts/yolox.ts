/**
 * YOLOX (Ge et al. 2021, arXiv:2107.08430): one row per cell of every stride: box, objectness, class
 * scores, the last two behind a sigmoid. The demo's own detector speaks it too, with one stride.
 */
import type { TensorInfo } from '../../runtimes/runtime.ts'
import type { Candidates } from '../candidates.ts'
import {
  cellsOf,
  type Decoder,
  type Expectation,
  floats,
  type Layout,
  type ModelShape,
  shapeFits,
} from './layout.ts'
import { asBytes } from './presets.ts'

/** Box (4) and objectness before the class scores. */
const rowHead = 5

export const yolox: Layout = {
  name: 'yolox',
  task: 'detection',
  preset: { channels: 'bgr', fit: 'letterbox-topleft', pad: 114, ...asBytes },
  strides: [8, 16, 32],
  check: checkYolox,
}

function checkYolox(shape: ModelShape): Decoder | Expectation {
  const cells = gridCells(shape.width, shape.height, shape.strides ?? yolox.strides ?? [])
  const output = shape.outputs[0]
  const classes = output ? Number(output.shape[2]) - rowHead : 0
  if (!fitsYolox(shape.outputs, cells.stride.length) || !output || !(classes >= 1)) {
    return { expected: describe(shape, cells.stride.length) }
  }
  return {
    classes,
    decode: (outputs, scoreMin, candidates) =>
      decodeYolox(floats(outputs, output.name), classes, cells, scoreMin, candidates),
    scores(outputs, visit) {
      for (const [at, value] of floats(outputs, output.name).entries()) {
        if (at % (rowHead + classes) >= 4) visit(value)
      }
    },
  }
}

function fitsYolox(outputs: readonly TensorInfo[], rows: number): boolean {
  return outputs.length === 1 && shapeFits(outputs[0]?.shape ?? [], [1, rows, undefined])
}

function describe({ width, height, strides = yolox.strides ?? [] }: ModelShape, rows: number) {
  const maps = strides.map((s) => `${cellsOf(width, s)}×${cellsOf(height, s)}`).join(' + ')
  return `one output [1, ${rows}, 5 + classes] (${rows} = ${maps} cells of strides ${strides.join(', ')} at ${width}×${height})`
}

/** Left and top cell index and stride of every row, row by row of every map. */
export type GridCells = {
  readonly x: Float32Array
  readonly y: Float32Array
  readonly stride: Float32Array
}

/** The cells of all maps of a canvas, in the order of the strides. */
export function gridCells(width: number, height: number, strides: readonly number[]): GridCells {
  const x: number[] = []
  const y: number[] = []
  const stride: number[] = []
  for (const step of strides) {
    for (let row = 0; row < cellsOf(height, step); row++) {
      for (let column = 0; column < cellsOf(width, step); column++) {
        x.push(column)
        y.push(row)
        stride.push(step)
      }
    }
  }
  return { x: Float32Array.from(x), y: Float32Array.from(y), stride: Float32Array.from(stride) }
}

/**
 * Centre = (xy + cell) · stride, size = exp(wh) · stride; score = objectness × best class.
 * @param data rows × (5 + classes)
 */
export function decodeYolox(
  data: Float32Array,
  classes: number,
  cells: GridCells,
  scoreMin: number,
  candidates: Candidates,
): void {
  const width = rowHead + classes
  const rows = cells.stride.length
  for (let row = 0, at = 0; row < rows; row++, at += width) {
    const objectness = data[at + 4]!
    // A class score is at most 1, so most cells are done here without a look at their classes.
    if (!(objectness >= scoreMin)) continue
    let best = 0
    let bestScore = data[at + rowHead]!
    for (let index = 1; index < classes; index++) {
      const score = data[at + rowHead + index]!
      if (score > bestScore) {
        bestScore = score
        best = index
      }
    }
    const score = objectness * bestScore
    if (!(score >= scoreMin)) continue
    const stride = cells.stride[row]!
    const x = (data[at]! + cells.x[row]!) * stride
    const y = (data[at + 1]! + cells.y[row]!) * stride
    const halfWidth = (Math.exp(data[at + 2]!) * stride) / 2
    const halfHeight = (Math.exp(data[at + 3]!) * stride) / 2
    candidates.add(score, best, x - halfWidth, y - halfHeight, x + halfWidth, y + halfHeight)
  }
}
