/**
 * YOLOv8 and its kin (Ultralytics 2023 and later, heads without objectness): per cell a box in canvas
 * pixels and class scores behind a sigmoid, as channels of one output; some exports have them as rows.
 */
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
import { asShares } from './presets.ts'

/** Centre, width and height before the class scores. */
const head = 4
const ownStrides = [8, 16, 32]

export const yolov8: Layout = {
  name: 'yolov8',
  task: 'detection',
  preset: { channels: 'rgb', fit: 'letterbox-center', pad: 114, ...asShares },
  strides: ownStrides,
  check: checkYolov8,
}

function checkYolov8(shape: ModelShape): Decoder | Expectation {
  const { width, height, outputs, strides = ownStrides } = shape
  const cells = strides.reduce((sum, s) => sum + cellsOf(width, s) * cellsOf(height, s), 0)
  const [output] = outputs
  const asChannels = shapeFits(output?.shape ?? [], [1, undefined, cells])
  const asRows = shapeFits(output?.shape ?? [], [1, cells, undefined])
  const classes = Number(output?.shape[asChannels ? 1 : 2]) - head
  if (!output || outputs.length !== 1 || !(asChannels || asRows) || !(classes >= 1)) {
    const maps = strides.map((s) => `${cellsOf(width, s)}×${cellsOf(height, s)}`).join(' + ')
    return {
      expected: `one output [1, 4 + classes, ${cells}] or [1, ${cells}, 4 + classes] (${cells} = ${maps} cells of strides ${strides.join(', ')} at ${width}×${height})`,
    }
  }
  const place = asChannels ? { channel: cells, cell: 1 } : { channel: 1, cell: head + classes }
  return {
    classes,
    decode: (tensors, scoreMin, candidates) =>
      decodeYolov8(floats(tensors, output.name), { classes, cells, place }, scoreMin, candidates),
    scores(tensors, visit) {
      const data = floats(tensors, output.name)
      for (let cell = 0; cell < cells; cell++) {
        for (let index = head; index < head + classes; index++) {
          visit(data[index * place.channel + cell * place.cell]!)
        }
      }
    },
  }
}

/** Steps from one channel, and from one cell, to the next. */
export type Place = { readonly channel: number; readonly cell: number }

/** Adds the best class of every cell that reaches `scoreMin`. */
export function decodeYolov8(
  data: Float32Array,
  { classes, cells, place }: { classes: number; cells: number; place: Place },
  scoreMin: number,
  candidates: Candidates,
): void {
  const { channel } = place
  for (let cell = 0, at = 0; cell < cells; cell++, at += place.cell) {
    let best = 0
    let bestScore = data[at + head * channel]!
    for (let index = 1; index < classes; index++) {
      const score = data[at + (head + index) * channel]!
      if (score > bestScore) {
        bestScore = score
        best = index
      }
    }
    if (!(bestScore >= scoreMin)) continue
    const [x, y] = [data[at]!, data[at + channel]!]
    const [halfWidth, halfHeight] = [data[at + 2 * channel]! / 2, data[at + 3 * channel]! / 2]
    candidates.add(bestScore, best, x - halfWidth, y - halfHeight, x + halfWidth, y + halfHeight)
  }
}
