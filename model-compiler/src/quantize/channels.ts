/**
 * Which channels of a network are the same number in different places: a concatenation, a shuffle, a split or a
 * pool moves channels, and a residual sum ties two together. What scales one has to scale all of them.
 *
 * Rather than knowing each operator's way of moving elements, it lets the runtime move labels: every channel
 * that an operator makes anew gets a number of its own, only what moves elements is run, and where a number
 * comes out, there its channel is.
 */
import { Graph } from '../graph/graph.ts'
import { staticShape } from '../graph/value-type.ts'
import type { ModelProto, NodeProto } from '../onnx/schema.ts'
import { tensorTypes } from '../onnx/types.ts'
import { writeModel } from '../onnx/write.ts'
import { openSession, type Value } from '../runtime/session.ts'
import { inferTypes } from '../shapes/infer-types.ts'

/** Keep each element or drop it, and the same for all elements of a channel; exact for a channel that is constant. */
const moving = new Set([
  ...['Reshape', 'Transpose', 'Slice', 'Split', 'Gather', 'Concat', 'Squeeze', 'Unsqueeze'],
  ...['Flatten', 'Identity', 'MaxPool', 'Resize', 'GlobalAveragePool'],
  // These let positive numbers pass, and a positive scale passes them.
  ...['Relu', 'LeakyRelu', 'PRelu'],
])

/** Above this a label would no longer be a whole float32. */
const labelMax = 2 ** 24

export class Channels {
  readonly #labels: ReadonlyMap<string, readonly number[]>
  readonly #parents = new Map<number, number>()
  readonly #fixed = new Set<number>()

  constructor(labels: ReadonlyMap<string, readonly number[]>) {
    this.#labels = labels
  }

  /** Values whose channels are known. */
  get values(): IterableIterator<string> {
    return this.#labels.keys()
  }
  /** What each channel of a value is called, the same for channels that are tied; undefined where it is not known. */
  of(value: string): readonly number[] | undefined {
    return this.#labels.get(value)?.map((label) => this.#find(label))
  }
  /** Whether a channel must not be scaled, since somebody reads it who would notice. */
  isFixed(label: number): boolean {
    return this.#fixed.has(this.#find(label))
  }
  /** Fixed once everything that is tied to it has been tied. */
  fix(label: number): void {
    this.#fixed.add(this.#find(label))
  }
  tie(a: number, b: number): void {
    const [one, other] = [this.#find(a), this.#find(b)]
    if (one === other) return
    this.#parents.set(one, other)
    if (this.#fixed.has(one)) this.#fixed.add(other)
  }
  #find(label: number): number {
    let at = label
    for (let up = this.#parents.get(at); up !== undefined; up = this.#parents.get(at)) at = up
    return at
  }
}

/**
 * Channels (dimension 1) of all float values of rank 4 between convolutions. Shapes have to be known.
 * @returns undefined where a shape is not known, so that nothing can be said
 */
export async function traceChannels(model: ModelProto): Promise<Channels | undefined> {
  const graph = new Graph(model)
  inferTypes(graph)
  const isActivation = (value: string) =>
    value !== '' &&
    graph.constantOf(value) === undefined &&
    graph.typeOf(value)?.elementType === tensorTypes.float32
  const moves = new Set(graph.nodes.filter((node) => isMoving(graph, node, isActivation)))
  const made = [
    ...graph.requiredInputs.map(({ name }) => name),
    ...graph.nodes.filter((node) => !moves.has(node)).flatMap(({ output }) => output),
  ].filter(isActivation)
  const feeds: Record<string, Value> = {}
  const labels = new Map<string, readonly number[]>()
  const unclear = new Set<number>()
  let next = 1
  for (const value of made) {
    const dims = staticShape(graph.typeOf(value))
    if (dims === undefined) return undefined
    const channels = dims.length > 1 ? dims[1]! : 1
    const inner = dims.slice(2).reduce((product, dim) => product * dim, 1)
    const size = dims.reduce((product, dim) => product * dim, 1)
    const first = next
    const data = new Float32Array(size)
    for (let i = 0; i < size; i++) data[i] = first + (Math.floor(i / inner) % channels)
    next += channels
    feeds[value] = { type: 'float32', dims, data }
    const own = Array.from({ length: channels }, (_, i) => first + i)
    if (dims.length === 4) labels.set(value, own)
    else for (const label of own) unclear.add(label)
  }
  if (next > labelMax) return undefined
  const moved = [...moves].flatMap(({ output }) => output).filter((value) => value !== '')
  for (const [value, { dims, data }] of Object.entries(
    await moveLabels(graph, moves, feeds, moved),
  )) {
    const found = dims.length === 4 ? constantsOf(data as Float32Array, dims) : undefined
    if (found) labels.set(value, found)
    // Channels that are no longer apart: whoever reads them must find them as they were.
    else for (const label of new Set(data as Float32Array)) unclear.add(Math.round(label))
  }
  const channels = new Channels(labels)
  tie(graph, moves, channels)
  for (const label of unclear) channels.fix(label)
  fixWhatIsSeen(graph, moves, channels, isActivation)
  return channels
}

function isMoving(
  graph: Graph,
  node: NodeProto,
  isActivation: (value: string) => boolean,
): boolean {
  if (!moving.has(node.opType) || (node.domain !== '' && node.domain !== 'ai.onnx')) return false
  const [first = '', ...others] = node.input
  if (!isActivation(first)) return false
  // A constant among the inputs of a Concat would be taken for a label.
  if (node.opType === 'Concat') return others.every(isActivation)
  return others.every((value) => value === '' || graph.constantOf(value) !== undefined)
}

/** Runs only what moves elements, on labels in the place of everything else. */
async function moveLabels(
  graph: Graph,
  moves: ReadonlySet<NodeProto>,
  feeds: Readonly<Record<string, Value>>,
  wanted: readonly string[],
): Promise<Record<string, Value>> {
  if (wanted.length === 0) return {}
  const only = new Graph(graph.toModel())
  const outputs = new Set([...moves].map(({ output }) => output[0]!))
  only.remove(
    ...only.nodes.filter((node) => !outputs.has(node.output[0]!) && node.opType !== 'Constant'),
  )
  for (const { name } of [...only.inputs]) only.removeInput(name)
  for (const { name } of [...only.outputs]) only.removeOutput(name)
  const needed = Object.keys(feeds).filter((value) => only.usersOf(value).length > 0)
  for (const value of needed) {
    only.addInput(value, { elementType: tensorTypes.float32, shape: feeds[value]!.dims })
  }
  for (const value of wanted) only.addOutput(value)
  await using session = await openSession(writeModel(only.toModel()), { level: 'disabled' })
  return await session.run(Object.fromEntries(needed.map((value) => [value, feeds[value]!])))
}

/** The one number of each channel, or undefined where a channel holds several. */
function constantsOf(data: Float32Array, dims: readonly number[]): number[] | undefined {
  const [batch = 1, channels = 0, height = 1, width = 1] = dims
  const inner = height * width
  const found: number[] = []
  for (let i = 0; i < batch * channels * inner; i++) {
    const label = Math.round(data[i]!)
    const channel = Math.floor(i / inner) % channels
    found[channel] ??= label
    // An interpolation may be off by a rounding; a wrong label is off by one at least.
    if (found[channel] !== label || Math.abs(data[i]! - label) > 0.05) return undefined
  }
  return found
}

/** A sum of two activations needs both and its result at one scale. */
function tie(graph: Graph, moves: ReadonlySet<NodeProto>, channels: Channels): void {
  for (const node of graph.nodes) {
    if (moves.has(node) || !isSum(node, channels)) continue
    const [a, b, sum] = [node.input[0]!, node.input[1]!, node.output[0]!].map(
      (value) => channels.of(value)!,
    )
    for (const [i, label] of sum!.entries()) {
      channels.tie(a![i]!, label)
      channels.tie(b![i]!, label)
    }
  }
}

const isSum = (node: NodeProto, channels: Channels): boolean => {
  const sizes = [...node.input, ...node.output].map((value) => channels.of(value)?.length)
  return node.opType === 'Add' && sizes[0] !== undefined && sizes.every((size) => size === sizes[0])
}

/** Only convolutions with constant weights, and sums, can take a scale. */
function fixWhatIsSeen(
  graph: Graph,
  moves: ReadonlySet<NodeProto>,
  channels: Channels,
  isActivation: (value: string) => boolean,
): void {
  const fix = (value: string) => {
    for (const label of channels.of(value) ?? []) channels.fix(label)
  }
  for (const { name } of [...graph.requiredInputs, ...graph.outputs]) fix(name)
  for (const node of graph.nodes) {
    if (moves.has(node) || isSum(node, channels)) continue
    if (isScalable(graph, node) && channels.of(node.input[0]!) && channels.of(node.output[0]!))
      continue
    for (const value of [...node.input, ...node.output]) if (isActivation(value)) fix(value)
  }
}

/** A convolution whose weights and bias are constants. */
export function isScalable(graph: Graph, node: NodeProto): boolean {
  if (node.opType !== 'Conv' || (node.domain !== '' && node.domain !== 'ai.onnx')) return false
  const [, weights, bias = ''] = node.input
  const isFloat = (value: string | undefined) =>
    graph.constantOf(value)?.dataType === tensorTypes.float32
  return isFloat(weights) && (bias === '' || isFloat(bias))
}
