/**
 * Why a classifier says what it says: gradients of one label's logit. Saliency is their size at each pixel of the input;
 * Grad-CAM weighs the maps of a late layer by their mean gradient (Selvaraju et al., "Grad-CAM", 2017). Both come out of
 * one run of the graph that training differentiates, with nothing trained in it.
 */

import { nearestName } from '@edgeloop/protocol/nearest'
import { Graph } from '../graph/graph.ts'
import { staticShape } from '../graph/value-type.ts'
import { OnnxError } from '../onnx/read.ts'
import type { ModelProto } from '../onnx/schema.ts'
import { tensorTypes } from '../onnx/types.ts'
import { writeModel } from '../onnx/write.ts'
import { openSession, type Value } from '../runtime/session.ts'
import { differentiate } from '../train/differentiate/differentiate.ts'
import { prepare } from '../train/differentiate/prepare.ts'

/** Numbers over places, row by row. */
export type HeatMap = {
  readonly width: number
  readonly height: number
  /** 0..1: the strongest place is 1; all 0 where nothing speaks for the label. */
  readonly values: Float32Array
}

export type Explanation = {
  /** Index of the label that is explained. */
  readonly label: number
  /** Logits of all labels. */
  readonly logits: Float32Array
  /** What speaks for the label, at the size of the layer. */
  readonly gradCam: HeatMap
  /** What the label depends on, at the size of the input. */
  readonly saliency: HeatMap
}

export type Explainer = AsyncDisposable & {
  /** The value whose maps Grad-CAM weighs. */
  readonly layer: string
  readonly labels: number
  /**
   * @param input for the model's one input, with a batch of 1
   * @param label index of the label; without it the one that is said
   * @throws {OnnxError} when the input does not fit, or there is no such label
   */
  explain(input: Value, label?: number): Promise<Explanation>
}

/** Operators whose results are maps over places that still are the picture's. */
const mapping: ReadonlySet<string> = new Set([
  ...[
    'Conv',
    'BatchNormalization',
    'Relu',
    'Clip',
    'LeakyRelu',
    'PRelu',
    'Elu',
    'HardSwish',
    'Add',
  ],
  ...[
    'Mul',
    'Concat',
    'MaxPool',
    'AveragePool',
    'Gelu',
    'QuickGelu',
    'Sigmoid',
    'HardSigmoid',
    'Tanh',
  ],
])

/**
 * Differentiates a classifier.
 * @param options.layer a value [N, C, H, W] for Grad-CAM (default: the last that still has places)
 * @param options.inputShapes as for `differentiate`, where the file leaves more free than the batch
 * @throws {OnnxError} when the model is no classifier with one input, the layer is none, or an operator has no gradient
 */
export async function openExplainer(
  model: ModelProto,
  options: {
    readonly layer?: string
    readonly inputShapes?: Readonly<Record<string, readonly number[]>>
  } = {},
): Promise<Explainer> {
  const { inputShapes } = options
  const logits = logitsOf(model)
  const given = { batch: 1, cut: [logits], ...(inputShapes && { inputShapes }) }
  const graph = prepare(model, given)
  const [input, second] = graph.requiredInputs
  if (!input || second) {
    throw new OnnxError(
      `Cannot explain the model: it has ${graph.requiredInputs.length} inputs, and one picture is explained`,
    )
  }
  const source = floatSource(graph, input.name)
  const layer = layerOf(graph, options.layer)
  const step = differentiate(model, {
    ...given,
    trainable: () => false,
    batchNorm: 'frozen',
    gradientsOf: [source, layer],
    values: [layer, logits],
    loss: (tape, outputs) => {
      const said = outputs[logits]!
      const labels = said.shape.reduce((a, b) => a * b, 1)
      const wanted = tape.input('wanted label', 'float32', [labels])
      return { total: tape.reduceSum(tape.mul(tape.reshape(said, [labels]), wanted)) }
    },
  })
  const wanted = step.dataInputs.find(({ name }) => name === 'wanted label')!
  const labels = Number(wanted.shape[0])
  const session = await openSession(writeModel(step.model))
  const run = async (fed: Value, label: number) => {
    const choice = new Float32Array(labels)
    if (label >= 0) choice[label] = 1
    return await session.run({
      [input.name]: fed,
      'wanted label': { type: 'float32', dims: [labels], data: choice },
    })
  }
  return {
    layer,
    labels,
    async explain(fed, label) {
      if (label !== undefined && !(Number.isInteger(label) && label >= 0 && label < labels)) {
        throw new OnnxError(`Cannot explain label ${label}: the model has ${labels}`)
      }
      const { outputs } = step
      const first = label ?? bestOf((await run(fed, -1))[outputs.values[logits]!]!.data)
      const found = await run(fed, first)
      const gradient = found[outputs.gradients[source]!]!
      return {
        label: first,
        logits: Float32Array.from(found[outputs.values[logits]!]!.data as Float32Array),
        gradCam: gradCam(found[outputs.values[layer]!]!, found[outputs.gradients[layer]!]!),
        saliency: saliency(gradient),
      }
    },
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  }
}

/** Steps that only give the logits another form. */
const reforming: ReadonlySet<string> = new Set([
  ...['Flatten', 'Reshape', 'Squeeze', 'Unsqueeze', 'Identity', 'Cast'],
])

/** Steps that make shares of logits. */
const shares: ReadonlySet<string> = new Set(['Softmax', 'LogSoftmax', 'Sigmoid'])

/** What goes into the last softmax: behind it a sure answer has hardly any gradient. Else the output itself. */
function logitsOf(model: ModelProto): string {
  const graph = new Graph(model)
  const [output, second] = graph.outputs
  if (!output || second) {
    throw new OnnxError(
      `Cannot explain the model: it has ${graph.outputs.length} outputs, and a classifier has one`,
    )
  }
  let at = graph.producerOf(output.name)
  while (at && reforming.has(at.opType)) at = graph.producerOf(at.input[0] ?? '')
  if (at === undefined || !shares.has(at.opType)) return output.name
  return at.input[0] ?? output.name
}

/** The input, or what it becomes as a float where it is taken as bytes. */
function floatSource(graph: Graph, input: string): string {
  const isFloat = (name: string) => graph.typeOf(name)?.elementType === tensorTypes.float32
  if (isFloat(input)) return input
  const cast = graph
    .usersOf(input)
    .flatMap(({ output }) => output)
    .find(isFloat)
  if (cast !== undefined && graph.usersOf(input).length === 1) return cast
  throw new OnnxError(
    `Cannot explain the model: its input "${input}" is no float, and nothing right behind it is`,
  )
}

function layerOf(graph: Graph, wanted: string | undefined): string {
  const maps = graph.nodes.flatMap(({ opType, output: [name = ''] }) =>
    mapping.has(opType) && hasPlaces(graph, name) ? name : [],
  )
  if (wanted === undefined) {
    const last = maps.at(-1)
    if (last !== undefined) return last
    throw new OnnxError(
      'Cannot explain the model: none of its values is a map [N, C, H, W] over places',
    )
  }
  if (maps.includes(wanted)) return wanted
  const near = nearestName(wanted, maps)
  throw new OnnxError(
    `Cannot explain by layer "${wanted}": it is no map over places${near === undefined ? '' : `; did you mean "${near}"?`}`,
  )
}

function hasPlaces(graph: Graph, name: string): boolean {
  const shape = staticShape(graph.typeOf(name))
  return shape?.length === 4 && shape[2]! * shape[3]! > 1
}

function bestOf(values: ArrayLike<number | bigint>): number {
  let best = 0
  for (let at = 1; at < values.length; at++) if (values[at]! > values[best]!) best = at
  return best
}

function gradCam(maps: Value, gradients: Value): HeatMap {
  const [, channels = 0, height = 0, width = 0] = maps.dims
  const places = width * height
  const map = maps.data as Float32Array
  const gradient = gradients.data as Float32Array
  const values = new Float32Array(places)
  for (let channel = 0; channel < channels; channel++) {
    const from = channel * places
    let weight = 0
    for (let at = 0; at < places; at++) weight += gradient[from + at]! / places
    for (let at = 0; at < places; at++) values[at]! += weight * map[from + at]!
  }
  // What speaks against the label is left out.
  for (let at = 0; at < places; at++) values[at] = Math.max(0, values[at]!)
  return { width, height, values: scaled(values) }
}

/** The strongest of the channels at each pixel; [N, C, H, W], or [N, H, W, C] where that has so few channels. */
function saliency({ dims, data }: Value): HeatMap {
  const isLast = dims[3] === 1 || (dims[3] === 3 && dims[1] !== 3 && dims[1] !== 1)
  const [channels = 1, height = 0, width = 0] = isLast
    ? [dims[3], dims[1], dims[2]]
    : [dims[1], dims[2], dims[3]]
  const places = width * height
  const gradient = data as Float32Array
  const values = new Float32Array(places)
  for (let at = 0; at < places; at++) {
    for (let channel = 0; channel < channels; channel++) {
      const one = gradient[isLast ? at * channels + channel : channel * places + at]!
      values[at] = Math.max(values[at]!, Math.abs(one))
    }
  }
  return { width, height, values: scaled(values) }
}

/** By the largest, in place. */
function scaled(values: Float32Array): Float32Array {
  const most = values.reduce((a, b) => Math.max(a, b), 0)
  if (most > 0) for (let at = 0; at < values.length; at++) values[at]! /= most
  return values
}
