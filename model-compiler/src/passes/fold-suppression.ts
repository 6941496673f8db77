/**
 * Non-maximum suppression inside the graph, for whoever runs the model with nothing but a runtime: out come the
 * detections, best first, as rows of left, top, right, bottom in pixels of the canvas, score and class index.
 */
import type { Graph } from '../graph/graph.ts'
import { staticShape } from '../graph/value-type.ts'
import { OnnxError } from '../onnx/read.ts'
import { tensorTypes } from '../onnx/types.ts'
import type { Pass } from './pass.ts'
import { Sketch } from './sketch.ts'

export type Suppression = {
  /** Lowest score of a detection. */
  readonly scoreMin: number
  /** A box that overlaps a better one of its class by more than this goes. */
  readonly iouMax: number
  /** Most detections. */
  readonly keepMax: number
}

/** What the output is called afterwards, where nothing else is called that. */
export const detectionsName = 'detections'

/** Travels with a model that suppresses by itself. */
export const suppressionKey = 'edgeloop.suppression'

/**
 * The pass that suppresses in the graph, class by class; of each cell only the best class counts. The model's one
 * output has to be boxes and scores as `foldDecoding` makes them, [1, cells, 4 + classes], or turned around.
 * @throws {OnnxError} from `run`, where the output is another one or a bound makes no sense
 */
export function foldSuppression(options: Suppression): Pass {
  return {
    name: 'fold-suppression',
    about: 'Makes the model give detections, of which none shows what a better one shows.',
    run(graph) {
      if (graph.metadata(suppressionKey) !== undefined) return 0
      fold(graph, options)
      return 1
    },
  }
}

function refuse(why: string): never {
  throw new OnnxError(`Cannot fold non-maximum suppression in: ${why}`)
}

function fold(graph: Graph, { scoreMin, iouMax, keepMax }: Suppression): void {
  if (!(scoreMin > 0 && scoreMin <= 1)) refuse(`scoreMin ${scoreMin} is not above 0 and at most 1`)
  if (!(iouMax >= 0 && iouMax <= 1)) refuse(`iouMax ${iouMax} is not in 0 to 1`)
  if (!(Number.isInteger(keepMax) && keepMax > 0))
    refuse(`keepMax ${keepMax} is no number of boxes`)
  if (graph.opset < 11) refuse(`opset ${graph.opset} is too old, 11 is needed (upgradeOpset)`)
  const [output, second] = graph.outputs
  const [batch, first = 0, last = 0] = staticShape(graph.typeOf(output?.name ?? '')) ?? []
  // There are always more cells than numbers in one.
  const [cells, width] = first > last ? [first, last] : [last, first]
  if (!output || second || batch !== 1 || width < 5) {
    refuse('one output [1, cells, 4 + classes] of a fixed shape was expected (setInputShapes)')
  }
  const sketch = new Sketch(graph, detectionsName)
  const turn = (value: string) => sketch.op('Transpose', [value], { perm: { ints: [0, 2, 1] } })
  const rows = first > last ? output.name : turn(output.name)
  const boxes = sketch.slice(rows, 2, 0, 4)
  const scores = turn(bestOf(graph, sketch, sketch.slice(rows, 2, 4, width)))
  const bounds = [
    sketch.ints('most', [keepMax]),
    sketch.floats('iou', [1], [iouMax]),
    // The operator wants a score above its threshold, and what is exactly at ours counts.
    sketch.floats('least', [1], [below(scoreMin)]),
  ]
  const centred = { center_point_box: { int: 1 } }
  const kept = sketch.op('NonMaxSuppression', [boxes, scores, ...bounds], centred)
  const found = sketch.op('GatherND', [scores, kept])
  // As many as there are, or as are wanted; integers have no Min before opset 12.
  const count = sketch.op('Cast', [sketch.op('Shape', [found])], {
    to: { int: tensorTypes.float32 },
  })
  const fewer = sketch.op('Min', [count, sketch.floats('keep', [1], [keepMax])])
  const wanted = sketch.op('Cast', [fewer], { to: { int: tensorTypes.int64 } })
  const [score, order] = sketch.several('TopK', [found, wanted], 2) as [string, string]
  const chosen = sketch.op('Gather', [kept, order], { axis: { int: 0 } })
  const label = sketch.op('Cast', [sketch.slice(chosen, 1, 1, 2)], {
    to: { int: tensorTypes.float32 },
  })
  const cell = sketch.op('Reshape', [sketch.slice(chosen, 1, 2, 3), sketch.ints('list', [-1])])
  const list = sketch.op('Reshape', [boxes, sketch.ints('boxes', [cells, 4])])
  const box = sketch.op('Gather', [list, cell], { axis: { int: 0 } })
  const centre = sketch.slice(box, 1, 0, 2)
  const half = sketch.op('Mul', [sketch.slice(box, 1, 2, 4), sketch.floats('half', [], [0.5])])
  const column = sketch.op('Reshape', [score, sketch.ints('column', [-1, 1])])
  const corners = [sketch.op('Sub', [centre, half]), sketch.op('Add', [centre, half])]
  sketch.op('Concat', [...corners, column, label], { axis: { int: 1 } })
  const name = graph.freshName(detectionsName)
  sketch.insert(name)
  graph.setMetadata(suppressionKey, `score ${scoreMin}, overlap ${iouMax}, ${keepMax} boxes`)
  graph.removeOutput(output.name)
  graph.addOutput(name, { elementType: tensorTypes.float32, shape: ['found', 6] })
}

/** Scores of the best class of each cell, 0 for the others. */
function bestOf(graph: Graph, sketch: Sketch, scores: string): string {
  // Axes are an input from opset 18.
  const best =
    graph.opset < 18
      ? sketch.op('ReduceMax', [scores], { axes: { ints: [2] } })
      : sketch.op('ReduceMax', [scores, sketch.ints('classes', [2])])
  const isBest = sketch.op('Equal', [scores, best])
  return sketch.op('Where', [isBest, scores, sketch.floats('nothing', [], [0])])
}

/** The next float32 below a positive number. */
function below(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer)
  // Rounding to float32 may have gone down already.
  if (Math.fround(value) >= value) bits[0] = bits[0]! - 1
  return new Float32Array(bits.buffer)[0]!
}
