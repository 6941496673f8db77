/**
 * Weights stored as int8 codes, arithmetic in float: for networks that gain nothing from int8 arithmetic, but whose
 * file is a quarter and whose next version travels as differences of codes.
 *
 * The file says `Cast(codes) × scales` in front of each operator. Every runtime folds operators on constants while it
 * loads, so that what runs is the float network at its own speed; nobody who loads the file has to know about it.
 * DequantizeLinear would say the same in one node, but ONNX Runtime keeps it in the graph for its int8 fusions and
 * pays for it in each inference (docs/decisions/0027-int8-weights-are-cast.md).
 */
import { intOf } from '../graph/attributes.ts'
import { Graph } from '../graph/graph.ts'
import { node } from '../onnx/build.ts'
import { OnnxError } from '../onnx/read.ts'
import type { ModelProto, NodeProto } from '../onnx/schema.ts'
import { floatsOf, tensor } from '../onnx/tensor.ts'
import { tensorTypes } from '../onnx/types.ts'
import { dropInitializerInputs } from '../shapes/input-shapes.ts'
import { cast, nameless } from './conversion-nodes.ts'
import { float16Max } from './float16.ts'
import { weightCodes } from './weight-codes.ts'

export type Int8WeightsOptions = {
  /** Names of weights that stay as they are. */
  readonly keepFloat?: ReadonlySet<string>
  /** Names of weights that are stored as float16, because int8 costs them too much (see `searchWeights`). */
  readonly float16?: ReadonlySet<string>
  /**
   * Share of all bytes by which the file may grow so that the smallest weights are float16 (default 0.01). They stand
   * at the network's entrance, where everything passes through a few channels of very different loudness: in
   * yolox_nano 512 of 900,000 weights make most of the noise.
   */
  readonly float16Share?: number
}

/** Bytes in the file for a node, beside the names of the weight itself. */
const nodeBytes = 50

type Weight = {
  readonly name: string
  readonly dims: readonly number[]
  readonly axis: number
  readonly values: Float32Array
  /** Bytes in the file, in each form. */
  readonly bytes: { readonly float32: number; readonly float16: number; readonly int8: number }
}

/**
 * The same model with its weights as int8 codes, one scale for each channel; a few as float16. Weights that would not
 * get smaller stay float, as do those that an input of the graph may override.
 * @throws {OnnxError} below opset 7, where multiplication does not broadcast, or when a weight is not finite
 */
export function toInt8Weights(model: ModelProto, options: Int8WeightsOptions = {}): ModelProto {
  const { keepFloat = new Set() } = options
  const graph = new Graph(model)
  if (graph.opset < 7) {
    throw new OnnxError(
      `Cannot store weights as int8 in a model of opset ${graph.opset}: it takes 7; upgrade it first`,
    )
  }
  // Before IR 4 an initializer is listed as an input, too, and the listing would still say that it is float.
  if (graph.irVersion < 4) dropInitializerInputs(graph)
  const weights = weightsOf(graph).filter(({ name }) => !keepFloat.has(name))
  const halves = float16Of(weights, options)
  for (const weight of weights) {
    if (halves.has(weight)) storeFloat16(graph, weight)
    else if (weight.bytes.int8 < weight.bytes.float32) storeInt8(graph, weight)
  }
  graph.sort()
  return graph.toModel()
}

function weightsOf(graph: Graph): Weight[] {
  return [...graph.initializers.values()].flatMap((initializer) => {
    const { name, dataType } = initializer
    const dims = initializer.dims.map(Number)
    const axis = channelAxisOf(graph, name, dims)
    if (axis === undefined || dataType !== tensorTypes.float32) return []
    if (graph.constantOf(name) === undefined) return []
    const values = floatsOf(initializer)
    const bytes = {
      float32: 4 * values.length,
      float16: 2 * values.length + nodeBytes + name.length,
      int8: values.length + 4 * (dims[axis] ?? 1) + 2 * nodeBytes + 3 * name.length,
    }
    return [{ name, dims, axis, values, bytes }]
  })
}

/** Which weights are float16: those that are asked for, those that get no larger by it, and the smallest that fit. */
function float16Of(weights: readonly Weight[], options: Int8WeightsOptions): Set<Weight> {
  const { float16 = new Set(), float16Share = 0.01 } = options
  const chosen = new Set(weights.filter(({ name }) => float16.has(name)))
  let room = float16Share * weights.reduce((sum, { bytes }) => sum + bytes.int8, 0)
  for (const weight of weights.toSorted((a, b) => a.values.length - b.values.length)) {
    const { bytes, values } = weight
    if (chosen.has(weight) || bytes.float16 >= bytes.float32) continue
    if (values.some((value) => Math.abs(value) > float16Max)) continue
    const more = bytes.float16 - Math.min(bytes.int8, bytes.float32)
    if (more > room) break
    room -= Math.max(0, more)
    chosen.add(weight)
  }
  return chosen
}

function storeInt8(graph: Graph, { name, dims, axis, values }: Weight): void {
  const { codes, scales } = weightCodes(name, values, dims, axis)
  // The codes take the name of the weight: by it two versions of a model find each other's tensors.
  graph.setInitializer(tensor(name, dims, codes))
  const scaleDims = dims.map((dim, at) => (at === axis ? dim : 1))
  const scale = graph.addInitializer(tensor(`${name}_scale`, scaleDims, scales))
  const [integers, floats] = [graph.freshName('i'), graph.freshName('f')]
  graph.redirect(name, floats)
  graph.insert(
    [cast(name, integers, 'float32'), nameless(node('Mul', [integers, scale], [floats]))],
    graph.nodes[0],
  )
}

function storeFloat16(graph: Graph, { name, dims, values }: Weight): void {
  const halves = Float16Array.from(values)
  if (halves.some((value) => !Number.isFinite(value))) {
    throw new OnnxError(
      `Cannot store tensor "${name}" as float16: it holds a value beyond ±${float16Max}, or none`,
    )
  }
  graph.setInitializer(tensor(name, dims, halves))
  const floats = graph.freshName('f')
  graph.redirect(name, floats)
  graph.insert([cast(name, floats, 'float32')], graph.nodes[0])
}

/**
 * Along which dimension a weight gets its scales: that of the outputs, so that one loud channel costs the others
 * nothing. Undefined where it is no weight, to at least one of its users.
 */
export function channelAxisOf(
  graph: Graph,
  name: string,
  dims: readonly number[],
): number | undefined {
  const users = graph.usersOf(name)
  if (users.length === 0 || graph.isOutput(name) || dims.length < 2) return undefined
  const axes = users.map((user) => (readsOnceAsWeight(user, name) ? axisOf(user, dims) : undefined))
  return axes.includes(undefined) ? undefined : axes[0]
}

/** Weights are the second input; of recurrent operators also the third. */
function readsOnceAsWeight({ input, opType }: NodeProto, name: string): boolean {
  const at = input.indexOf(name)
  return at === input.lastIndexOf(name) && (at === 1 || (at === 2 && recurrent.has(opType)))
}

const recurrent: ReadonlySet<string> = new Set(['LSTM', 'GRU', 'RNN'])

function axisOf(user: NodeProto, dims: readonly number[]): number | undefined {
  if (user.domain !== '' && user.domain !== 'ai.onnx') return undefined
  switch (user.opType) {
    case 'Conv':
      return 0
    case 'ConvTranspose': // Inputs × outputs of a group: with groups no dimension is that of the outputs.
      return intOf(user, 'group', 1) === 1 ? 1 : 0
    case 'Gemm':
      return intOf(user, 'transB', 0) === 1 ? 0 : 1
    case 'MatMul':
      return dims.length - 1
    default: // Directions × outputs × inputs.
      return recurrent.has(user.opType) ? 1 : undefined
  }
}
