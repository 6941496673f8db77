/**
 * The head of a detector read inside the graph: boxes come out as centre, width and height in pixels of the canvas,
 * scores as they are compared. One output [N, cells, 4 + classes], which is what heads in the manner of YOLOv8 give, so
 * that whoever reads those (the agent's layout `yolov8`) reads these.
 */
import type { Graph } from '../graph/graph.ts'
import { staticShape } from '../graph/value-type.ts'
import { OnnxError } from '../onnx/read.ts'
import { tensorTypes } from '../onnx/types.ts'
import type { Pass } from './pass.ts'
import { Sketch } from './sketch.ts'

export type Decoding = {
  /**
   * `yolox`: one output [N, cells, 5 + classes]: offsets in cells, logarithms of sizes, objectness, classes.
   * `gfl`: per stride scores [N, cells, classes] and distributions of the four distances [N, cells, 4 × bins].
   */
  readonly head: 'yolox' | 'gfl'
  /** Pixels per cell of each map (default 8, 16, 32). */
  readonly strides?: readonly number[]
}

/** What the output is called afterwards, where nothing else is called that. */
export const decodedName = 'decoded'

/** Travels with a model whose head is read in the graph. */
export const decodingKey = 'edgeloop.decoding'

/**
 * The pass that reads the head in the graph. It runs once.
 * @throws {OnnxError} from `run`, where the outputs are not those of the head, saying what was expected
 */
export function foldDecoding({ head, strides = [8, 16, 32] }: Decoding): Pass {
  return {
    name: 'fold-decoding',
    about: 'Makes the model give boxes in pixels and scores instead of what its head computes.',
    run(graph) {
      if (graph.metadata(decodingKey) !== undefined) return 0
      if (graph.opset < 11) refuse(`opset ${graph.opset} is too old, 11 is needed (upgradeOpset)`)
      const cells = cellsOf(canvasOf(graph), strides)
      const old = graph.outputs.map(({ name }) => name)
      if (head === 'yolox') yolox(graph, cells)
      else gfl(graph, cells)
      for (const name of old) graph.removeOutput(name)
      graph.setMetadata(decodingKey, head)
      return 1
    },
  }
}

function refuse(why: string): never {
  throw new OnnxError(`Cannot fold the decoding in: ${why}`)
}

type Cells = {
  /** How many each stride has. */
  readonly counts: readonly number[]
  /** Column and row of every cell, row by row, stride by stride. */
  readonly places: readonly number[]
  readonly strides: readonly number[]
}

function canvasOf(graph: Graph): { readonly width: number; readonly height: number } {
  const shape = graph.typeOf(graph.requiredInputs[0]?.name ?? '')?.shape
  const [height, width] =
    shape?.[1] === 3 || shape?.[1] === 1 ? shape.slice(2) : (shape?.slice(1) ?? [])
  if (shape?.length !== 4 || typeof width !== 'number' || typeof height !== 'number') {
    return refuse('the input is no picture of a fixed width and height (setInputShapes)')
  }
  return { width, height }
}

function cellsOf(
  { width, height }: { readonly width: number; readonly height: number },
  strides: readonly number[],
): Cells {
  const counts: number[] = []
  const places: number[] = []
  const all: number[] = []
  for (const stride of strides) {
    const [columns, rows] = [Math.ceil(width / stride), Math.ceil(height / stride)]
    counts.push(columns * rows)
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) places.push(column, row)
    }
    all.push(...new Array<number>(columns * rows).fill(stride))
  }
  return { counts, places, strides: all }
}

/** Sizes of an output after its batch. */
function sizesOf(graph: Graph, name: string): readonly number[] {
  const shape = graph.typeOf(name)?.shape
  return staticShape({ elementType: 0, shape: shape?.slice(1) }) ?? []
}

function yolox(graph: Graph, { strides, places }: Cells): void {
  const count = strides.length
  const [first, second] = graph.outputs
  const output = first?.name ?? ''
  const [cells, width = 0] = sizesOf(graph, output)
  if (second || cells !== count || width < 6) {
    refuse(`one output [N, ${count}, 5 + classes] was expected, it has ${shown(graph)}`)
  }
  const sketch = new Sketch(graph, decodedName)
  const stride = sketch.floats('stride', [1, count, 1], strides)
  const grid = sketch.floats('grid', [1, count, 2], places)
  const offset = sketch.op('Add', [sketch.slice(output, 2, 0, 2), grid])
  const centre = sketch.op('Mul', [offset, stride])
  const size = sketch.op('Mul', [sketch.op('Exp', [sketch.slice(output, 2, 2, 4)]), stride])
  const scores = [sketch.slice(output, 2, 5, width), sketch.slice(output, 2, 4, 5)]
  finish(graph, sketch, [centre, size, sketch.op('Mul', scores)], width - 1, count)
}

function gfl(graph: Graph, { counts, strides, places }: Cells): void {
  const count = strides.length
  const levels = counts.map((cells) => pairOf(graph, cells))
  const [level] = levels
  const isWhole =
    level && levels.every((one) => one?.classes === level.classes && one?.bins === level.bins)
  if (!level || !isWhole || graph.outputs.length !== 2 * counts.length) {
    refuse(
      `for each of ${counts.join(', ')} cells two outputs, [N, cells, classes] and [N, cells, 4 × bins], were expected, it has ${shown(graph)}`,
    )
  }
  const { bins, classes } = level
  const sketch = new Sketch(graph, decodedName)
  const join = (names: readonly string[]) => sketch.op('Concat', names, { axis: { int: 1 } })
  const scores = join(levels.map((one) => one!.scores))
  const sides = sketch.ints('sides', [0, count, 4, bins])
  const spread = sketch.op('Reshape', [join(levels.map((one) => one!.distances)), sides])
  const shares = sketch.op('Softmax', [spread], { axis: { int: 3 } })
  const bin = sketch.floats('bins', [bins, 1], [...Array(bins).keys()])
  const flat = sketch.ints('flat', [0, count, 4])
  const mean = sketch.op('Reshape', [sketch.op('MatMul', [shares, bin]), flat])
  const stride = sketch.floats('stride', [1, count, 1], strides)
  const distance = sketch.op('Mul', [mean, stride])
  const middles = places.map((place, at) => (place + 0.5) * strides[at >> 1]!)
  const middle = sketch.floats('middle', [1, count, 2], middles)
  const [before, behind] = [sketch.slice(distance, 2, 0, 2), sketch.slice(distance, 2, 2, 4)]
  const half = sketch.floats('half', [], [0.5])
  const moved = sketch.op('Mul', [sketch.op('Sub', [behind, before]), half])
  const centre = sketch.op('Add', [middle, moved])
  finish(graph, sketch, [centre, sketch.op('Add', [before, behind]), scores], 4 + classes, count)
}

type Level = {
  readonly scores: string
  readonly distances: string
  readonly classes: number
  readonly bins: number
}

/** The two outputs of a stride, told apart by name, else scores come first. */
function pairOf(graph: Graph, cells: number): Level | undefined {
  const found = graph.outputs
    .map(({ name }) => name)
    .filter((name) => sizesOf(graph, name)[0] === cells)
  const [first, second] = found
  if (!first || !second || found.length > 2) return undefined
  const isDistance = (name: string) => /dis|reg|box/i.test(name)
  const [scores, distances] =
    isDistance(first) && !isDistance(second) ? [second, first] : [first, second]
  const [classes, sides] = [sizesOf(graph, scores)[1], sizesOf(graph, distances)[1]]
  if (!classes || !sides || sides % 4 !== 0 || sides < 8) return undefined
  return { scores, distances, classes, bins: sides / 4 }
}

function finish(
  graph: Graph,
  sketch: Sketch,
  parts: readonly string[],
  width: number,
  cells: number,
): void {
  sketch.op('Concat', parts, { axis: { int: 2 } })
  const name = graph.freshName(decodedName)
  sketch.insert(name)
  const batch = graph.typeOf(graph.requiredInputs[0]!.name)?.shape?.[0]
  graph.addOutput(name, { elementType: tensorTypes.float32, shape: [batch, cells, width] })
}

const shown = (graph: Graph): string =>
  graph.outputs
    .map(({ name }) => `"${name}" [${graph.typeOf(name)?.shape?.join(', ') ?? '?'}]`)
    .join(' and ')
