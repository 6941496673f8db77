/**
 * FastestDet (2022, github.com/dog-qiuqiu/FastestDet): one map; per cell objectness, a box relative to the cell and class
 * probabilities, as channels of one output.
 */
import type { Candidates } from '../candidates.ts'
import {
  type Decoder,
  type Expectation,
  floats,
  type Layout,
  type ModelShape,
  shapeFits,
} from './layout.ts'
import { asShares } from './presets.ts'

/** Objectness and box (4) before the class channels. */
const channelHead = 5
/** The score weighs objectness and class probability: obj^0.6 · cls^0.4. */
const objectnessPower = 0.6
const classPower = 0.4

export const fastestdet: Layout = {
  name: 'fastestdet',
  task: 'detection',
  preset: { channels: 'bgr', fit: 'stretch', pad: 0, ...asShares },
  strides: [16],
  check: checkFastestdet,
}

function checkFastestdet(shape: ModelShape): Decoder | Expectation {
  const { width, height, outputs } = shape
  const stride = (shape.strides ?? fastestdet.strides)?.[0] ?? 16
  const columns = Math.floor(width / stride)
  const rows = Math.floor(height / stride)
  const output = outputs[0]
  const classes = output ? Number(output.shape[1]) - channelHead : 0
  if (
    !output ||
    outputs.length !== 1 ||
    !shapeFits(output.shape, [1, undefined, rows, columns]) ||
    !(classes >= 1)
  ) {
    return {
      expected: `one output [1, 5 + classes, ${rows}, ${columns}] (one map of stride ${stride} at ${width}×${height})`,
    }
  }
  const map = { columns, rows, stride }
  return {
    classes,
    decode: (tensors, scoreMin, candidates) =>
      decodeFastestdet(floats(tensors, output.name), classes, map, scoreMin, candidates),
    scores(tensors, visit) {
      for (const [at, value] of floats(tensors, output.name).entries()) {
        const channel = Math.floor(at / (columns * rows))
        if (channel === 0 || channel >= channelHead) visit(value)
      }
    },
  }
}

/**
 * Centre = (cell + tanh(xy)) · stride, size = sigmoid(wh) · canvas.
 * @param data (5 + classes) × rows × columns
 */
export function decodeFastestdet(
  data: Float32Array,
  classes: number,
  map: { readonly columns: number; readonly rows: number; readonly stride: number },
  scoreMin: number,
  candidates: Candidates,
): void {
  const { columns, rows, stride } = map
  const cells = columns * rows
  const objectnessMin = scoreMin ** (1 / objectnessPower)
  for (let cell = 0; cell < cells; cell++) {
    const objectness = data[cell]!
    if (!(objectness >= objectnessMin)) continue
    let best = 0
    let bestProbability = data[channelHead * cells + cell]!
    for (let index = 1; index < classes; index++) {
      const probability = data[(channelHead + index) * cells + cell]!
      if (probability > bestProbability) {
        bestProbability = probability
        best = index
      }
    }
    const score = objectness ** objectnessPower * bestProbability ** classPower
    if (!(score >= scoreMin)) continue
    const x = ((cell % columns) + Math.tanh(data[cells + cell]!)) * stride
    const y = (Math.floor(cell / columns) + Math.tanh(data[2 * cells + cell]!)) * stride
    const halfWidth = (sigmoid(data[3 * cells + cell]!) * columns * stride) / 2
    const halfHeight = (sigmoid(data[4 * cells + cell]!) * rows * stride) / 2
    candidates.add(score, best, x - halfWidth, y - halfHeight, x + halfWidth, y + halfHeight)
  }
}

function sigmoid(value: number): number {
  return 1 / (1 + Math.exp(-value))
}
