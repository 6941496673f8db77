/**
 * Ultra-Light-Fast face detector (SSD with priors, 2019): class scores (background, face) and boxes
 * already decoded to corners as shares of the canvas.
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

export const ultraface: Layout = {
  name: 'ultraface',
  task: 'detection',
  preset: {
    channels: 'rgb',
    fit: 'stretch',
    pad: 0,
    mean: [127, 127, 127],
    std: [128, 128, 128],
  },
  labels: ['face'],
  check: checkUltraface,
}

function checkUltraface({ width, height, outputs }: ModelShape): Decoder | Expectation {
  const scores = outputs.find(({ shape }) => shapeFits(shape, [1, undefined, 2]))
  const boxes = outputs.find(({ shape }) => shapeFits(shape, [1, undefined, 4]))
  if (outputs.length !== 2 || !scores || !boxes || scores.shape[1] !== boxes.shape[1]) {
    return { expected: 'two outputs, scores [1, priors, 2] and boxes [1, priors, 4]' }
  }
  return {
    classes: 1,
    decode: (tensors, scoreMin, candidates) =>
      decodeUltraface(
        floats(tensors, scores.name),
        floats(tensors, boxes.name),
        { width, height },
        scoreMin,
        candidates,
      ),
    scores(tensors, visit) {
      for (const score of floats(tensors, scores.name)) visit(score)
    },
  }
}

/** @param scores priors × (background, face); boxes priors × (left, top, right, bottom) in shares */
export function decodeUltraface(
  scores: Float32Array,
  boxes: Float32Array,
  canvas: { readonly width: number; readonly height: number },
  scoreMin: number,
  candidates: Candidates,
): void {
  for (let prior = 0; prior * 2 < scores.length; prior++) {
    const score = scores[prior * 2 + 1]!
    if (!(score >= scoreMin)) continue
    candidates.add(
      score,
      0,
      boxes[prior * 4]! * canvas.width,
      boxes[prior * 4 + 1]! * canvas.height,
      boxes[prior * 4 + 2]! * canvas.width,
      boxes[prior * 4 + 3]! * canvas.height,
    )
  }
}
