/**
 * From a model to its training step: one graph of ordinary operators that takes a batch and the parameters, and gives the
 * loss and the gradients. The runtime that serves the model executes it; what moves the parameters stands outside.
 */
import { Graph } from '../../graph/graph.ts'
import { verify } from '../../graph/verify.ts'
import { OnnxError } from '../../onnx/read.ts'
import type { ModelProto, NodeProto } from '../../onnx/schema.ts'
import { floatsOf, tensor } from '../../onnx/tensor.ts'
import { type TensorTypeName, tensorTypeName } from '../../onnx/types.ts'
import { removeDead } from '../../passes/remove-dead.ts'
import type { Port } from '../../runtime/session.ts'
import { dropInitializerInputs } from '../../shapes/input-shapes.ts'
import { peakBytes } from '../tape/memory.ts'
import { type Sym, sizeOf } from '../tape/sym.ts'
import { Tape } from '../tape/tape.ts'
import { LoweringContext, type Through } from './lowering.ts'
import { loweringOf } from './operators/index.ts'
import {
  candidatesOf,
  layOut,
  type Parameter,
  type ParameterInput,
  smallName,
} from './parameters.ts'
import { type Preparation, prepare, prepareConstants } from './prepare.ts'

export type Loss = {
  /** One number: what is made smaller. */
  readonly total: Sym
  /** Numbers to be shown beside it. */
  readonly terms?: Readonly<Record<string, Sym>>
}

export type DifferentiateOptions = Preparation & {
  /** Which parameters move; the others are constants, and nothing is computed for them on the way back. */
  readonly trainable: (parameter: string) => boolean
  /**
   * `train` normalizes by the batch and gives its figures out; `frozen` by the running figures. A BatchNorm before which nothing
   * is trained always keeps its running figures.
   */
  readonly batchNorm: 'train' | 'frozen'
  /** Writes the loss onto the tape. Outputs have the layout of the model; what else it needs it asks for with `tape.input`. */
  readonly loss: (tape: Tape, outputs: Readonly<Record<string, Sym>>) => Loss
  /** What readers of a value read instead of it: fake quantization. */
  readonly through?: Through
  /** Gives the gradients of the model's inputs as well (saliency). */
  readonly inputGradient?: boolean
  /** Values of the model to be given out as they are, in its layout. */
  readonly values?: readonly string[]
  /** Values of the model of which the gradient is given out, in its layout (Grad-CAM). */
  readonly gradientsOf?: readonly string[]
}

/** A running figure of BatchNorm, kept by whoever runs the steps: running = momentum · running + (1 − momentum) · batch. */
export type RunningFigure = {
  readonly name: string
  /** The output of the step graph that holds the batch's figures, all in one. */
  readonly output: string
  /** Within that output, and within the flat state. */
  readonly offset: number
  readonly elements: number
  /** Share that stays at each step. */
  readonly momentum: number
}

export type Step = {
  /** The step graph. */
  readonly model: ModelProto
  /** What is fed beside the parameters: the model's inputs, and what the loss asked for. */
  readonly dataInputs: readonly Port[]
  /** Where each parameter lies in the flat vector. Small ones come first, packed into one input. */
  readonly parameters: readonly Parameter[]
  /** The inputs of the step graph that are views of the flat vector. */
  readonly inputs: readonly ParameterInput[]
  /** Outputs that hold gradients, at the places of their parameters. */
  readonly gradients: readonly {
    readonly name: string
    readonly offset: number
    readonly elements: number
  }[]
  readonly state: readonly RunningFigure[]
  /** Names of the other outputs. */
  readonly outputs: {
    readonly loss: string
    readonly terms: Readonly<Record<string, string>>
    /** By name of the value in the model. */
    readonly values: Readonly<Record<string, string>>
    readonly gradients: Readonly<Record<string, string>>
  }
  readonly initial: { readonly parameters: Float32Array; readonly state: Float32Array }
  /** Estimated most that one step holds at a time, parameters and gradients included. */
  readonly memoryBytes: number
  /**
   * Puts weights and running figures back into the model that was differentiated.
   * @throws {OnnxError} when the lengths are not those of this step
   */
  write(parameters: Float32Array, state: Float32Array): ModelProto
}

/** Name of the output with the figures of BatchNorm. */
const stateOutput = 'batch-figures'
/** More nodes that are refused are counted, not listed. */
const refusedMax = 50

/**
 * @throws {OnnxError} naming every node that cannot be differentiated, or when nothing is trained
 */
export function differentiate(model: ModelProto, options: DifferentiateOptions): Step {
  const graph = prepare(model, options)
  const chosen = candidatesOf(graph).filter(({ name }) => options.trainable(name))
  const inputNames = graph.requiredInputs.map(({ name }) => name)
  const gradientsOf = [...(options.inputGradient ? inputNames : []), ...(options.gradientsOf ?? [])]
  if (chosen.length === 0 && gradientsOf.length === 0) {
    const count = candidatesOf(graph).length
    throw new OnnxError(
      count === 0
        ? 'Cannot train the model: it has no weights in float32; take the float model that it was made from'
        : `Cannot train the model: none of its ${count} parameters is to be trained; say which are`,
    )
  }
  const { parameters, inputs } = layOut(chosen)
  const tape = new Tape()
  const context = new LoweringContext(
    ...([tape, graph, options.batchNorm, new Set(gradientsOf)] as const),
    options.through,
  )
  for (const name of inputNames) context.write(name, modelInput(tape, graph, name))
  const leaves = readParameters(tape, parameters, inputs)
  for (const [at, { name }] of parameters.entries()) context.write(name, leaves[at]!)
  for (const constant of graph.initializers.values()) {
    if (!context.isKnown(constant.name)) context.write(constant.name, tape.adopt(constant))
  }
  lower(graph, context)

  const results = graph.outputs.map(({ name }) => [name, context.read(name)] as const)
  const { total, terms = {} } = tape.within('loss', () =>
    options.loss(tape, Object.fromEntries(results)),
  )
  const asked = gradientsOf.map((name) => context.readOwn(name))
  for (const [at, { type }] of asked.entries()) {
    if (type === 'float32') continue
    throw new OnnxError(`Cannot give the gradient of "${gradientsOf[at]}": it holds ${type}`)
  }
  const found = tape.gradients(total, [...leaves, ...asked])
  const gradientAt = (at: number, { shape }: Sym) => found[at] ?? tape.zeros(shape)

  const lossName = tape.freshName('loss')
  const outputs = new Map<string, Sym>([[lossName, total]])
  const give = (kind: string, syms: readonly (readonly [string, Sym])[]) =>
    Object.fromEntries(
      syms.map(([name, sym]) => {
        outputs.set(`${kind}/${name}`, sym)
        return [name, `${kind}/${name}`]
      }),
    )
  const names: Step['outputs'] = {
    loss: lossName,
    terms: give('term', Object.entries(terms)),
    values: give(
      'value',
      (options.values ?? []).map((name) => [name, context.read(name)]),
    ),
    gradients: give(
      'gradient-of',
      gradientsOf.map((name, at) => {
        const gradient = gradientAt(leaves.length + at, asked[at]!)
        return [name, context.asInModel(gradient, context.layoutOf(name))]
      }),
    ),
  }
  const gradients = inputs.map(({ name, offset, elements }) => {
    const parts = parameters.flatMap((one, at) =>
      one.offset >= offset && one.offset < offset + elements ? [gradientAt(at, leaves[at]!)] : [],
    )
    const flat = parts.map((one) => tape.reshape(one, [sizeOf(one.shape)]))
    outputs.set(`gradient/${name}`, name === smallName ? tape.concat(flat, 0) : parts[0]!)
    return { name: `gradient/${name}`, offset, elements }
  })
  const state = runningFigures(context, outputs)
  const stepModel = tape.toModel('training step', Object.fromEntries(outputs))
  const ofParameters = new Set(inputs.map(({ name }) => name))
  return {
    model: stepModel,
    dataInputs: tape.inputs
      .filter(({ name }) => !ofParameters.has(name))
      .map(({ name, type, shape }) => ({ name, type, shape })),
    parameters,
    inputs,
    gradients,
    state,
    outputs: names,
    initial: { parameters: flatOf(graph, parameters), state: flatOf(graph, state) },
    memoryBytes: peakBytes(stepModel, (name) => outputs.get(name) ?? tape.symOf(name)),
    write: (weights, figures) =>
      withWeights(model, [
        [parameters, weights],
        [state, figures],
      ]),
  }
}

function modelInput(tape: Tape, graph: Graph, name: string): Sym {
  const type = graph.typeOf(name)!
  return tape.input(
    name,
    tensorTypeName(type.elementType) as TensorTypeName,
    type.shape as readonly number[],
  )
}

/** The parameters as values of the step graph, in their order. */
function readParameters(
  tape: Tape,
  parameters: readonly Parameter[],
  inputs: readonly ParameterInput[],
): readonly Sym[] {
  const fed = new Map(inputs.map(({ name, shape }) => [name, tape.input(name, 'float32', shape)]))
  const packed = fed.get(smallName)
  const small = parameters.filter(({ name }) => !fed.has(name))
  const pieces = packed
    ? tape.split(
        packed,
        small.map(({ elements }) => elements),
        0,
      )
    : []
  return parameters.map(({ name, shape }, at) =>
    tape.watch(fed.get(name) ?? tape.within(name, () => tape.reshape(pieces[at]!, shape))),
  )
}

/** Writes each node down; what nothing trained goes into stays as the model has it. */
function lower(graph: Graph, context: LoweringContext): void {
  const refused: string[] = []
  for (const node of graph.nodes) {
    // An operator behind one that was refused may lack what it reads: it is not at fault.
    if (!node.input.every((name) => name === '' || context.isKnown(name))) continue
    if (!context.isTracked(node)) {
      context.copy(node)
      continue
    }
    const why = whyNot(node, context)
    if (why === undefined) continue
    const operator = node.domain === '' ? node.opType : `${node.domain}.${node.opType}`
    refused.push(`"${node.name || node.output[0]}" (${operator}): ${why}`)
    try {
      context.copy(node, true)
    } catch (error) {
      if (!(error instanceof OnnxError)) throw error
    }
  }
  if (refused.length === 0) return
  const some = refused.slice(0, refusedMax)
  const rest = refused.length - some.length
  throw new OnnxError(
    [
      `Cannot differentiate the model at ${refused.length === 1 ? 'a node' : `${refused.length} nodes`}:`,
      ...some.map((one) => `  ${one}`),
      ...(rest > 0 ? [`  and ${rest} more`] : []),
      'Freeze the parameters before them, end the model before them, or train it elsewhere.',
    ].join('\n'),
  )
}

/** Lowers a node. @returns why it cannot be */
function whyNot(node: NodeProto, context: LoweringContext): string | undefined {
  const lowering = loweringOf(node.domain, node.opType)
  if (lowering === undefined) return 'no gradient is known'
  try {
    context.tape.within(node.output[0] ?? node.opType, () => lowering(node, context))
    return undefined
  } catch (error) {
    if (!(error instanceof OnnxError)) throw error
    return error.message
  }
}

/** All figures of BatchNorm in one output. */
function runningFigures(
  { tape, statistics }: LoweringContext,
  outputs: Map<string, Sym>,
): readonly RunningFigure[] {
  if (statistics.length === 0) return []
  let offset = 0
  const figures = statistics.map(({ name, batch, momentum }) => {
    const elements = sizeOf(batch.shape)
    const figure = { name, output: stateOutput, offset, elements, momentum }
    offset += elements
    return figure
  })
  outputs.set(
    stateOutput,
    tape.concat(
      statistics.map(({ batch }) => batch),
      0,
    ),
  )
  return figures
}

type Piece = { readonly name: string; readonly offset: number; readonly elements: number }

const lengthOf = (pieces: readonly Piece[]): number =>
  pieces.reduce((sum, { elements }) => sum + elements, 0)

/** The values of initializers behind each other. */
function flatOf(graph: Graph, pieces: readonly Piece[]): Float32Array {
  const flat = new Float32Array(lengthOf(pieces))
  for (const { name, offset } of pieces) flat.set(floatsOf(graph.initializers.get(name)!), offset)
  return flat
}

/** The model with other values in some of its constants, wherever it keeps them. */
function withWeights(
  model: ModelProto,
  vectors: readonly (readonly [readonly Piece[], Float32Array])[],
): ModelProto {
  const graph = new Graph(model)
  dropInitializerInputs(graph)
  // Their shapes are those of the file: prepare() changes no constant under its name.
  const { initializers } = prepareConstants(model)
  for (const [pieces, vector] of vectors) {
    if (vector.length !== lengthOf(pieces)) {
      throw new OnnxError(
        `Cannot write ${vector.length} values into the model: it takes ${lengthOf(pieces)}`,
      )
    }
    for (const { name, offset, elements } of pieces) {
      const dims = initializers.get(name)!.dims.map(Number)
      const producer = graph.producerOf(name)
      if (producer) graph.remove(producer)
      graph.setInitializer(tensor(name, dims, vector.slice(offset, offset + elements)))
    }
  }
  removeDead.run(graph)
  const result = graph.toModel()
  verify(result)
  return result
}
