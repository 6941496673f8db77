/**
 * PP-PicoDet (Yu et al. 2021, arXiv:2111.00902): a GFL head on four strides, or, where its own decoding
 * was exported with it, all boxes in one output and all scores in another.
 */
import type { Candidates } from '../candidates.ts'
import { checkGfl } from './gfl.ts'
import {
  cellsOf,
  type Decoder,
  type Expectation,
  floats,
  type Layout,
  type ModelShape,
  shapeFits,
} from './layout.ts'
import { asImageNetRgb } from './presets.ts'

const ownStrides = [8, 16, 32, 64]

export const picodet: Layout = {
  name: 'picodet',
  task: 'detection',
  preset: { channels: 'rgb', fit: 'stretch', pad: 0, ...asImageNetRgb },
  strides: ownStrides,
  check: checkPicodet,
}

function checkPicodet(shape: ModelShape): Decoder | Expectation {
  const { width, height, outputs, strides = ownStrides } = shape
  const cells = strides.reduce((sum, s) => sum + cellsOf(width, s) * cellsOf(height, s), 0)
  const boxes = outputs.find((output) => shapeFits(output.shape, [1, cells, 4]))
  const scores = outputs.find(
    (output) => output !== boxes && shapeFits(output.shape, [1, undefined, cells]),
  )
  const classes = Number(scores?.shape[1])
  if (outputs.length === 2 && boxes && scores && classes >= 1) {
    return {
      classes,
      decode: (tensors, scoreMin, candidates) =>
        decodePicodet(
          floats(tensors, scores.name),
          floats(tensors, boxes.name),
          { classes, cells },
          scoreMin,
          candidates,
        ),
      scores(tensors, visit) {
        for (const score of floats(tensors, scores.name)) visit(score)
      },
    }
  }
  const bound = checkGfl({ ...shape, strides })
  if (!('expected' in bound)) return bound
  return {
    expected: `${bound.expected}, or boxes [1, ${cells}, 4] and scores [1, classes, ${cells}]`,
  }
}

/** @param scores classes × cells; boxes cells × (left, top, right, bottom) in canvas pixels */
export function decodePicodet(
  scores: Float32Array,
  boxes: Float32Array,
  { classes, cells }: { readonly classes: number; readonly cells: number },
  scoreMin: number,
  candidates: Candidates,
): void {
  for (let cell = 0; cell < cells; cell++) {
    let best = 0
    let bestScore = scores[cell]!
    for (let index = 1; index < classes; index++) {
      const score = scores[index * cells + cell]!
      if (score > bestScore) {
        bestScore = score
        best = index
      }
    }
    if (!(bestScore >= scoreMin)) continue
    const [left = 0, top = 0, right = 0, bottom = 0] = boxes.subarray(cell * 4, cell * 4 + 4)
    candidates.add(bestScore, best, left, top, right, bottom)
  }
}
