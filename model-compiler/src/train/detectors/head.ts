/**
 * Where an exported detector says its raw numbers: the convolutions at its end, one map per stride, before they become
 * shares and boxes. Training cuts the graph there. Which exporter wrote the file does not matter; what counts is how
 * the last nodes hang together:
 *
 * - `sized` (YOLOX, and heads of our own): per map a Concat along channels of a box (4), Sigmoid of an objectness (1)
 *   and Sigmoid of the classes. A box is centre (x + cell)·stride and size exp(w)·stride.
 * - `distances` (YOLOv8 and its kin; the generalized focal loss head of NanoDet): per map a box of 4 × bins and the
 *   classes, either two convolutions that a Concat joins, or one that a Split parts. A side's distance from the middle
 *   of its cell is the mean of its softmaxed bins, in strides.
 */
import { intOf } from '../../graph/attributes.ts'
import { Graph } from '../../graph/graph.ts'
import { OnnxError } from '../../onnx/read.ts'
import type { ModelProto, NodeProto } from '../../onnx/schema.ts'
import { isOp, onlyUserOf, producerAs } from '../../passes/matching.ts'
import { inferTypes } from '../../shapes/infer-types.ts'
import { dropInitializerInputs } from '../../shapes/input-shapes.ts'

/** Channels `from` to before `from + channels` of what a convolution makes. */
export type HeadPiece = {
  /** The output of the convolution. */
  readonly value: string
  readonly from: number
  readonly channels: number
}

/** One map of a head. */
export type HeadLevel = {
  /** Pixels per cell. */
  readonly stride: number
  readonly columns: number
  readonly rows: number
  readonly box: HeadPiece
  readonly objectness?: HeadPiece
  readonly classes: HeadPiece
}

export type Head = {
  readonly kind: 'sized' | 'distances'
  /** Pixels of the canvas. */
  readonly width: number
  readonly height: number
  readonly classes: number
  /** Numbers per side of a box; 1 where a box is four numbers. */
  readonly bins: number
  /** By stride, the smallest first. */
  readonly levels: readonly HeadLevel[]
}

const looked =
  'looked for maps that join box (4 channels), Sigmoid of objectness (1) and Sigmoid of classes, as YOLOX has them; for ' +
  'maps that join 4 × bins and classes before a Softmax over the bins, as YOLOv8 has them; and for convolutions that a ' +
  'Split parts into classes and 4 × bins, as NanoDet has them'

/**
 * Recognizes the head of a detector.
 * @throws {OnnxError} saying what was looked for, when it is none that we know
 */
export function recognizeHead(model: ModelProto): Head {
  const graph = new Graph(model)
  dropInitializerInputs(graph)
  inferTypes(graph)
  const refuse = (why: string): never => {
    throw new OnnxError(`Cannot find the head of the detector: ${why}; ${looked}`)
  }
  const [image, ...more] = graph.requiredInputs
  const [, , height, width] = (image && graph.typeOf(image.name)?.shape) ?? []
  if (!image || more.length > 0 || typeof height !== 'number' || typeof width !== 'number') {
    return refuse('it has to have one input [N, C, height, width] of known height and width')
  }
  const kinds = [sizedLevel, joinedLevel, partedLevel] as const
  for (const levelOf of kinds) {
    const found = graph.nodes.flatMap((node) => levelOf(graph, node, width, height) ?? [])
    if (found.length === 0) continue
    const levels = found.toSorted((a, b) => a.stride - b.stride)
    const [first] = levels
    if (new Set(levels.map(({ classes }) => classes.channels)).size !== 1) {
      return refuse('its maps do not tell as many classes apart')
    }
    if (new Set(levels.map(({ stride }) => stride)).size !== levels.length) {
      return refuse('two of its maps have the same stride')
    }
    const bins = first!.box.channels / 4
    if (levels.some(({ box }) => box.channels !== 4 * bins)) {
      return refuse('its maps have not as many bins')
    }
    return {
      kind: levelOf === sizedLevel ? 'sized' : 'distances',
      width,
      height,
      bins,
      levels,
      classes: first!.classes.channels,
    }
  }
  return refuse('none of its nodes looks like one')
}

/** Values at which the graph is cut for training, each once. */
export const cutsOf = ({ levels }: Head): readonly string[] => [
  ...new Set(levels.flatMap((level) => piecesOf(level).map(({ value }) => value))),
]

/** Cells of all maps. */
export const anchorsOf = ({ levels }: Head): number =>
  levels.reduce((sum, { columns, rows }) => sum + columns * rows, 0)

export const piecesOf = ({ box, objectness, classes }: HeadLevel): readonly HeadPiece[] =>
  objectness ? [box, objectness, classes] : [box, classes]

type LevelOf = (
  graph: Graph,
  node: NodeProto,
  width: number,
  height: number,
) => HeadLevel | undefined

/** Concat(box, Sigmoid(objectness), Sigmoid(classes)). */
const sizedLevel: LevelOf = (graph, node, width, height) => {
  if (!joinsChannels(node) || node.input.length !== 3) return undefined
  const box = wholeConv(graph, node.input[0])
  const [objectness, classes] = node.input
    .slice(1)
    .map((value) => wholeConv(graph, producerAs(graph, value, 'Sigmoid')?.input[0]))
  if (box?.channels !== 4 || objectness?.channels !== 1 || !classes) return undefined
  return levelWith(graph, { box, objectness, classes }, width, height)
}

/** Concat(4 × bins, classes), with a Softmax over the bins somewhere after. */
const joinedLevel: LevelOf = (graph, node, width, height) => {
  if (!joinsChannels(node) || node.input.length !== 2) return undefined
  const [box, classes] = node.input.map((value) => wholeConv(graph, value))
  if (!box || !classes || !softensBins(graph, box.channels / 4)) return undefined
  return levelWith(graph, { box, classes }, width, height)
}

/** Split of one convolution into classes, which go through a Sigmoid, and 4 × bins. */
const partedLevel: LevelOf = (graph, node, width, height) => {
  if (!isOp(node, 'Split') || intOf(node, 'axis', 0) !== 1 || node.output.length !== 2) {
    return undefined
  }
  const [first = '', second = ''] = node.output
  const whole = wholeConv(graph, node.input[0])
  const shares = channelsOf(graph, first)
  const bins = channelsOf(graph, second)
  if (!whole || !shares || !bins || shares + bins !== whole.channels) return undefined
  if (!isOp(onlyUserOf(graph, first), 'Sigmoid') || bins % 4 !== 0 || bins < 8) return undefined
  const classes = { value: whole.value, from: 0, channels: shares }
  const box = { value: whole.value, from: shares, channels: bins }
  return levelWith(graph, { box, classes }, width, height)
}

const joinsChannels = (node: NodeProto): boolean =>
  isOp(node, 'Concat') && intOf(node, 'axis', 0) === 1

/** All channels of a value that a convolution with constant weights makes. */
function wholeConv(graph: Graph, value: string | undefined): HeadPiece | undefined {
  const conv = producerAs(graph, value, 'Conv')
  const channels = value === undefined ? undefined : channelsOf(graph, value)
  if (!conv || channels === undefined || !graph.constantOf(conv.input[1])) return undefined
  return { value: value!, from: 0, channels }
}

function channelsOf(graph: Graph, value: string): number | undefined {
  const channels = graph.typeOf(value)?.shape?.[1]
  return typeof channels === 'number' ? channels : undefined
}

/** Whether somewhere a Softmax goes over this many numbers. */
function softensBins(graph: Graph, bins: number): boolean {
  if (!Number.isInteger(bins) || bins < 2) return false
  return graph.nodes.some((node) => {
    if (!isOp(node, 'Softmax')) return false
    const shape = graph.typeOf(node.input[0]!)?.shape
    return shape?.at(intOf(node, 'axis', graph.opset >= 13 ? -1 : 1)) === bins
  })
}

/** A map of cells, where its size says one stride for both directions. */
function levelWith(
  graph: Graph,
  pieces: Pick<HeadLevel, 'box' | 'objectness' | 'classes'>,
  width: number,
  height: number,
): HeadLevel | undefined {
  const sizes = [pieces.box, pieces.objectness, pieces.classes].flatMap((piece) => {
    const shape = piece && graph.typeOf(piece.value)?.shape
    return shape ? [shape.slice(2)] : []
  })
  const [[rows, columns] = []] = sizes
  if (typeof rows !== 'number' || typeof columns !== 'number') return undefined
  if (!sizes.every((size) => size[0] === rows && size[1] === columns)) return undefined
  const stride = 2 ** Math.round(Math.log2(width / columns))
  if (Math.ceil(width / stride) !== columns || Math.ceil(height / stride) !== rows) return undefined
  return { stride, columns, rows, ...pieces }
}
