/** What a model is, in numbers, without running it: interface, operators, parameters, work. */
import { OnnxError } from '../onnx/read.ts'
import type { ModelProto, NodeProto, TensorProto } from '../onnx/schema.ts'
import { bitsOf, tensorTypeName } from '../onnx/types.ts'
import { isNumber, type Shape } from '../shapes/dimensions.ts'
import { inferTypes } from '../shapes/infer-types.ts'
import { intOf } from './attributes.ts'
import { bodiesOf, Graph } from './graph.ts'
import { type Dimension, staticShape } from './value-type.ts'
import { findFaults, verify } from './verify.ts'

export type InspectedPort = {
  readonly name: string
  readonly type: string
  /** A free dimension has its name, or null where it has none; null where not even the rank is known. */
  readonly shape: readonly (number | string | null)[] | null
}

export type Inspection = {
  readonly irVersion: number
  /** By domain; ONNX's own is "". */
  readonly opsets: Readonly<Record<string, number>>
  readonly producer: string
  readonly inputs: readonly InspectedPort[]
  readonly outputs: readonly InspectedPort[]
  readonly nodes: number
  /** How often each operator occurs (bodies included), most frequent first. */
  readonly operators: Readonly<Record<string, number>>
  /** Elements of all constants. */
  readonly parameters: number
  /** Bytes of all constants, wherever they lie. */
  readonly weightBytes: number
  /** Multiplications with addition of one run, as far as shapes are known. */
  readonly macs: number
  /** Nodes that multiply and whose work is not known, because a shape is not. */
  readonly macsUnknown: number
  /** What makes no sense; such a model is not compiled. */
  readonly faults: readonly string[]
  /** What may surprise. */
  readonly warnings: readonly string[]
}

/**
 * Looks at a model. Tensors in other files are counted, not read.
 * @throws {OnnxError} with all its faults, where they leave no graph to look at (a cycle, a value made twice)
 */
export function inspect(model: ModelProto): Inspection {
  const { faults, count } = findFaults(model)
  const rest = count > faults.length ? [`and ${count - faults.length} more`] : []
  const { graph, work } = readable(model)
  const tensors = tensorsOf(graph)
  return {
    irVersion: graph.irVersion,
    opsets: Object.fromEntries(
      model.opsetImport.map(({ domain, version }) => [domain, Number(version)]),
    ),
    producer: [model.producerName, model.producerVersion].filter(Boolean).join(' '),
    inputs: graph.requiredInputs.map(({ name }) => portOf(graph, name)),
    outputs: graph.outputs.map(({ name }) => portOf(graph, name)),
    nodes: graph.nodes.length,
    operators: operatorsOf(graph.nodes),
    parameters: tensors.reduce((sum, one) => sum + sizeOf(one), 0),
    weightBytes: tensors.reduce((sum, one) => sum + bytesOf(one), 0),
    ...work,
    faults: [...faults, ...rest],
    warnings: warningsOf(graph, model, work.macsUnknown),
  }
}

function readable(model: ModelProto) {
  try {
    const graph = new Graph(model)
    return { graph, work: graphWork(graph) }
  } catch (error) {
    if (error instanceof OnnxError) verify(model)
    throw error
  }
}

/** What one run of a graph costs; infers types first. @throws {OnnxError} on a cycle */
export function graphWork(graph: Graph): { readonly macs: number; readonly macsUnknown: number } {
  inferTypes(graph)
  let macs = 0
  let macsUnknown = 0
  for (const node of graph.nodes) {
    const own = macsOf(node, graph)
    if (own === undefined) macsUnknown += 1
    else macs += own
  }
  return { macs, macsUnknown }
}

/** Multiplications with addition of one node: 0 for one that has none to speak of, undefined where it is not known. */
export function macsOf(node: NodeProto, graph: Graph): number | undefined {
  const shape = (name: string | undefined) => graph.typeOf(name ?? '')?.shape
  const result = shape(node.output[0])
  const input = (at: number) => shape(node.input[at])
  switch (node.opType) {
    case 'Conv':
    case 'FusedConv':
    case 'NhwcFusedConv':
    case 'ConvInteger':
      return times(result, input(1)?.slice(1))
    case 'QLinearConv':
      return times(result, input(3)?.slice(1))
    case 'ConvTranspose':
      return times(input(0), input(1)?.slice(1))
    case 'MatMul':
    case 'MatMulInteger':
    case 'MatMulIntegerToFloat':
    case 'QLinearMatMul':
    case 'DynamicQuantizeMatMul':
    case 'FusedMatMul':
      return times(
        result,
        input(0)
          ?.slice(node.opType === 'FusedMatMul' && intOf(node, 'transA', 0) ? -2 : -1)
          .slice(0, 1),
      )
    case 'Gemm':
    case 'FusedGemm':
    case 'QGemm':
      return times(result, [input(0)?.[intOf(node, 'transA', 0) ? 0 : 1]])
    case 'MatMulNBits':
      return times(result, [intOf(node, 'K', undefined)])
    case 'LSTM':
    case 'GRU':
    case 'RNN': {
      // Every step of every sequence goes through both matrices of weights.
      const steps = times(input(0)?.slice(0, 2), [])
      const [first, second] = [times(input(1), []), times(input(2), [])]
      return steps === undefined || first === undefined || second === undefined
        ? undefined
        : steps * (first + second)
    }
    default:
      return 0
  }
}

function times(a: Shape | undefined, b: Shape | undefined): number | undefined {
  if (!a || !b) return undefined
  const all: readonly Dimension[] = [...a, ...b]
  return all.every(isNumber)
    ? (all as number[]).reduce((product, one) => product * one, 1)
    : undefined
}

function portOf(graph: Graph, name: string): InspectedPort {
  const type = graph.typeOf(name)
  return {
    name,
    type: type ? tensorTypeName(type.elementType) : 'not a tensor',
    shape: type?.shape?.map((dimension) => dimension ?? null) ?? null,
  }
}

function operatorsOf(nodes: readonly NodeProto[]): Record<string, number> {
  const counts = new Map<string, number>()
  const count = (list: readonly NodeProto[], depth: number): void => {
    for (const node of list) {
      const plain = node.domain === '' || node.domain === 'ai.onnx'
      const name = plain ? node.opType : `${node.domain}.${node.opType}`
      counts.set(name, (counts.get(name) ?? 0) + 1)
      if (depth < 16) for (const body of bodiesOf(node)) count(body.node, depth + 1)
    }
  }
  count(nodes, 0)
  return Object.fromEntries([...counts].toSorted(([, a], [, b]) => b - a))
}

/** Constants of a graph: initializers, and what Constant nodes hold. */
function tensorsOf(graph: Graph): TensorProto[] {
  const constants = graph.nodes.filter(({ opType }) => opType === 'Constant')
  return [
    ...graph.initializers.values(),
    ...constants.flatMap(({ attribute }) => attribute.flatMap(({ t }) => t ?? [])),
  ]
}

const sizeOf = ({ dims }: TensorProto): number =>
  dims.reduce((product, dim) => product * Number(dim), 1)
const bytesOf = (tensor: TensorProto): number =>
  Math.ceil((sizeOf(tensor) * (bitsOf(tensor.dataType) ?? 0)) / 8)

function warningsOf(graph: Graph, model: ModelProto, macsUnknown: number): string[] {
  const warnings: string[] = []
  for (const { name } of graph.requiredInputs) {
    const type = graph.typeOf(name)
    if (type && !staticShape(type)) {
      warnings.push(`input "${name}" has free dimensions; fix them to compile for one shape`)
    }
  }
  const listed = graph.inputs.length - graph.requiredInputs.length
  if (listed > 0)
    warnings.push(`${listed} constants are listed as inputs; compiling makes them plain constants`)
  const unknown = graph.nodes.flatMap(({ output }) =>
    output.filter((one) => one !== '' && graph.typeOf(one)?.shape === undefined),
  )
  if (unknown.length > 0) {
    warnings.push(`the shape of ${unknown.length} values is not known before the model runs`)
  }
  if (macsUnknown > 0) {
    warnings.push(`the work of ${macsUnknown} nodes is not known, because their shapes are not`)
  }
  const unread = [...graph.initializers.keys()].filter(
    (one) => graph.usersOf(one).length === 0 && !graph.isOutput(one),
  )
  if (unread.length > 0) warnings.push(`${unread.length} constants are read by nothing`)
  const outside = tensorsOf(graph).filter(({ externalData }) => externalData.length > 0)
  if (outside.length > 0) warnings.push(`${outside.length} constants lie in other files`)
  if (model.functions.length > 0) {
    warnings.push(
      `${model.functions.length} operators are functions of its own; they are left as they are`,
    )
  }
  return warnings
}
