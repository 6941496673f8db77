/** A net of one operator, as it stands alone and as it stands behind a convolution, where values lie with their axes exchanged. */
import { type Attribute, model, node, value } from '../../model-compiler/src/onnx/build.ts'
import type { ModelProto, TensorProto } from '../../model-compiler/src/onnx/schema.ts'
import { tensor } from '../../model-compiler/src/onnx/tensor.ts'
import { sequence } from '../../model-compiler/src/passes/equivalence.ts'
import { type CheckOptions, checkGradient } from './check-gradient.ts'

export type OperatorNet = {
  readonly op: string
  readonly attributes?: Readonly<Record<string, Attribute>>
  /** Of the input `x`, without the batch. */
  readonly shape: readonly number[]
  /** Inputs of the node (default `x`); what is neither `x` nor in `constants` is left out where it is ''. */
  readonly inputs?: readonly string[]
  readonly constants?: readonly TensorProto[]
  /** Outputs of the node (default `y`). */
  readonly outputs?: readonly string[]
  readonly opset?: number
  readonly domain?: string
  /** Only alone: its input has fewer than four axes, or the check is about `x` itself. */
  readonly alone?: boolean
}

/** Random numbers between -scale and scale. */
export function randomTensor(
  name: string,
  dims: readonly number[],
  seed = 1,
  scale = 1,
  shift = 0,
): TensorProto {
  const next = sequence(seed)
  const length = dims.reduce((a, b) => a * b, 1)
  return tensor(
    name,
    dims,
    Float32Array.from({ length }, () => (next() * 2 - 1) * scale + shift),
  )
}
export const floats = (name: string, ...values: readonly number[]): TensorProto =>
  tensor(name, [values.length], Float32Array.from(values))
export const ints = (name: string, ...values: readonly number[]): TensorProto =>
  tensor(name, [values.length], BigInt64Array.from(values, BigInt))

export function operatorNet(net: OperatorNet, behind: boolean): ModelProto {
  const { op, attributes = {}, shape, inputs = ['x'], outputs = ['y'], constants = [] } = net
  const channels = shape[0]!
  const own = node(
    op,
    behind ? inputs.map((name) => (name === 'x' ? 'conv' : name)) : inputs,
    outputs,
    attributes,
  )
  own.domain = net.domain ?? ''
  const result = model({
    name: op,
    opset: net.opset ?? 20,
    inputs: [value('x', 'float32', ['n', ...shape])],
    outputs: outputs.map((name) => value(name, 'float32', [])),
    initializers: [
      ...constants,
      ...(behind ? [randomTensor('conv.w', [channels, channels, 1, 1], 5)] : []),
    ],
    nodes: [...(behind ? [node('Conv', ['x', 'conv.w'], ['conv'])] : []), own],
  })
  // Their shapes follow from the nodes.
  for (const output of result.graph!.output) {
    output.type = value('', 'float32', []).type!
    if (output.type.value.case === 'tensorType') delete output.type.value.value.shape
  }
  if (net.domain)
    result.opsetImport.push({ ...result.opsetImport[0]!, domain: net.domain, version: 1n })
  return result
}

/** Checks the gradients of one operator, alone and behind a convolution. @returns the worst relative error */
export async function checkOperator(net: OperatorNet, asked: CheckOptions = {}): Promise<number> {
  const options = { tried: 6, ...asked }
  const { worst } = await checkGradient(operatorNet(net, false), options)
  if (net.shape.length !== 3 || net.alone) return worst
  const behind = await checkGradient(operatorNet(net, true), options)
  return Math.max(worst, behind.worst)
}
