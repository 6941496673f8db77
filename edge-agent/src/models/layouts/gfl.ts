/**
 * The generalized focal loss head (Li et al. 2020, arXiv:2006.04388), which several families of detectors
 * share: per stride one output of class scores (sigmoid) and one of distance distributions, four sides of
 * equal bins each.
 */
import type { TensorInfo } from '../../runtimes/runtime.ts'
import type { Candidates } from '../candidates.ts'
import {
  cellsOf,
  type Decoder,
  type Expectation,
  floats,
  type ModelShape,
  shapeFits,
} from './layout.ts'

/** The two outputs of one stride. */
type Level = {
  readonly stride: number
  readonly columns: number
  readonly rows: number
  readonly scores: string
  readonly distances: string
  readonly bins: number
}

/** Binds the head to a model, or says which outputs were expected. */
export function checkGfl({
  width,
  height,
  outputs,
  strides,
}: ModelShape & { readonly strides: readonly number[] }): Decoder | Expectation {
  const levels: Level[] = []
  const classCounts = new Set<number>()
  for (const stride of strides) {
    const columns = cellsOf(width, stride)
    const rows = cellsOf(height, stride)
    const pair = pairOf(outputs, columns * rows)
    const classes = Number(pair?.scores.shape[2])
    const bins = Number(pair?.distances.shape[2]) / 4
    if (!pair || !(classes >= 1) || !(Number.isInteger(bins) && bins >= 2)) break
    classCounts.add(classes)
    const { scores, distances } = pair
    levels.push({ stride, columns, rows, scores: scores.name, distances: distances.name, bins })
  }
  const [classes] = classCounts
  if (
    levels.length !== strides.length ||
    outputs.length !== strides.length * 2 ||
    classCounts.size !== 1 ||
    classes === undefined
  ) {
    return { expected: describe(width, height, strides) }
  }
  return {
    classes,
    decode(tensors, scoreMin, candidates) {
      for (const level of levels) {
        const scores = floats(tensors, level.scores)
        const distances = floats(tensors, level.distances)
        decodeLevel(scores, distances, classes, level, scoreMin, candidates)
      }
    },
    scores(tensors, visit) {
      for (const level of levels) for (const score of floats(tensors, level.scores)) visit(score)
    },
  }
}

/** Scores and distances of the stride with this many cells; by name, else scores come first. */
function pairOf(outputs: readonly TensorInfo[], cells: number) {
  const found = outputs.filter(({ shape }) => shapeFits(shape, [1, cells, undefined]))
  const [first, second] = found
  if (!first || !second || found.length > 2) return undefined
  const namesDistances = ({ name }: TensorInfo) => /dis|reg|box/i.test(name)
  return namesDistances(first) && !namesDistances(second)
    ? { scores: second, distances: first }
    : { scores: first, distances: second }
}

function describe(width: number, height: number, strides: readonly number[]): string {
  const cells = strides.map((s) => cellsOf(width, s) * cellsOf(height, s)).join(', ')
  return `two outputs per stride, [1, cells, classes] and [1, cells, 4 × bins], with ${cells} cells (strides ${strides.join(', ')} at ${width}×${height})`
}

/**
 * Adds the cells of one map. Each side's distance is the mean of its distribution, in strides from
 * the centre of the cell.
 */
export function decodeLevel(
  scores: Float32Array,
  distances: Float32Array,
  classes: number,
  level: Pick<Level, 'stride' | 'columns' | 'rows' | 'bins'>,
  scoreMin: number,
  candidates: Candidates,
): void {
  const { stride, columns, rows, bins } = level
  for (let cell = 0, at = 0; cell < columns * rows; cell++, at += classes) {
    let best = 0
    let bestScore = scores[at]!
    for (let index = 1; index < classes; index++) {
      const score = scores[at + index]!
      if (score > bestScore) {
        bestScore = score
        best = index
      }
    }
    if (!(bestScore >= scoreMin)) continue
    const x = ((cell % columns) + 0.5) * stride
    const y = (Math.floor(cell / columns) + 0.5) * stride
    const side = cell * bins * 4
    candidates.add(
      bestScore,
      best,
      x - stride * meanBin(distances, side, bins),
      y - stride * meanBin(distances, side + bins, bins),
      x + stride * meanBin(distances, side + 2 * bins, bins),
      y + stride * meanBin(distances, side + 3 * bins, bins),
    )
  }
}

/** Mean bin of the softmax of `bins` logits. */
function meanBin(logits: Float32Array, from: number, bins: number): number {
  let highest = Number.NEGATIVE_INFINITY
  for (let bin = 0; bin < bins; bin++) highest = Math.max(highest, logits[from + bin]!)
  let sum = 0
  let weighted = 0
  for (let bin = 0; bin < bins; bin++) {
    const weight = Math.exp(logits[from + bin]! - highest)
    sum += weight
    weighted += weight * bin
  }
  return weighted / sum
}
