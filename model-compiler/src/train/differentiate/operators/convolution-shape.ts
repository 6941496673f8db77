/**
 * What a convolution is, in numbers: read from a node once, so that everything after it (which formulation, which
 * gradient) is arithmetic on these. Rows come before columns in every pair.
 */
import { intOf, intsOf, stringOf } from '../../../graph/attributes.ts'
import { OnnxError } from '../../../onnx/read.ts'
import type { NodeProto } from '../../../onnx/schema.ts'

export type Pair = readonly [rows: number, columns: number]

/** A window that slides over a map. */
export type Window = {
  readonly kernel: Pair
  readonly strides: Pair
  readonly dilations: Pair
  /** Zeros before and after the map. */
  readonly before: Pair
  readonly after: Pair
}

/** A convolution from `channels` maps of the size `input` to `outputs` maps of the size `output`. */
export type ConvolutionShape = Window & {
  readonly batch: number
  readonly channels: number
  readonly outputs: number
  readonly group: number
  readonly input: Pair
  readonly output: Pair
}

/** Multiplications with addition of one direction; each gradient costs as many. */
export function multiplicationsOf(shape: ConvolutionShape): number {
  const { batch, channels, outputs, group, output, kernel } = shape
  return batch * outputs * area(output) * (channels / group) * area(kernel)
}

export const area = ([rows, columns]: Pair): number => rows * columns
/** How many elements of a map the window spans. */
export const reachOf = ({ kernel, dilations }: Window): Pair =>
  pair((at) => (kernel[at] - 1) * dilations[at] + 1)
export const pair = (of: (at: 0 | 1) => number): Pair => [of(0), of(1)]
/** `pads` as ONNX orders them: all begins, then all ends. */
export const padsOf = ({ before, after }: Window): number[] => [...before, ...after]

/**
 * The window of a node with padding in numbers (`auto_pad` resolved).
 * @param kernel of the weights, or of `kernel_shape`
 * @throws {OnnxError} where it slides over other than two axes
 */
export function windowOf(node: NodeProto, kernel: readonly number[], input: Pair): Window {
  if (kernel.length !== 2) {
    throw new OnnxError(`it slides over ${kernel.length} axes; only two can be trained`)
  }
  const two = (name: string): Pair => {
    const [rows, columns] = intsOf(node, name, undefined) ?? [1, 1]
    return [rows ?? 1, columns ?? 1]
  }
  const [top, left, bottom, right] = intsOf(node, 'pads', undefined) ?? [0, 0, 0, 0]
  const window: Window = {
    kernel: [kernel[0]!, kernel[1]!],
    strides: two('strides'),
    dilations: two('dilations'),
    before: [top ?? 0, left ?? 0],
    after: [bottom ?? 0, right ?? 0],
  }
  const auto = stringOf(node, 'auto_pad', 'NOTSET')
  if (auto === 'NOTSET' || auto === '') return window
  if (auto === 'VALID') return { ...window, before: [0, 0], after: [0, 0] }
  const reach = reachOf(window)
  const missing = pair((at) => {
    const steps = Math.ceil(input[at] / window.strides[at])
    return Math.max(0, (steps - 1) * window.strides[at] + reach[at] - input[at])
  })
  const half = pair((at) =>
    auto === 'SAME_UPPER' ? Math.floor(missing[at] / 2) : Math.ceil(missing[at] / 2),
  )
  return { ...window, before: half, after: pair((at) => missing[at] - half[at]) }
}

/** How often the window fits, from the first element of the padding on. */
export const outputOf = (window: Window, input: Pair): Pair => {
  const reach = reachOf(window)
  return pair((at) => {
    const room = input[at] + window.before[at] + window.after[at] - reach[at]
    return Math.floor(room / window.strides[at]) + 1
  })
}

/**
 * @param x shape of the input, [channels, batch, rows, columns]
 * @param w shape of the weights, [outputs, channels of a group, rows, columns]
 */
export function convolutionShapeOf(
  node: NodeProto,
  x: readonly number[],
  w: readonly number[],
): ConvolutionShape {
  const input: Pair = [x[2]!, x[3]!]
  const window = windowOf(node, w.slice(2), input)
  return {
    ...window,
    batch: x[1]!,
    channels: x[0]!,
    outputs: w[0]!,
    group: intOf(node, 'group', 1),
    input,
    output: outputOf(window, input),
  }
}

/**
 * The convolution of which a ConvTranspose is the gradient to the input: its `input` is what the node makes.
 * @param x shape of the node's input, [channels, batch, rows, columns]
 * @param w shape of its weights, [channels, outputs of a group, rows, columns]
 * @throws {OnnxError} where it makes more than its windows reach
 */
export function transposedShapeOf(
  node: NodeProto,
  x: readonly number[],
  w: readonly number[],
): ConvolutionShape {
  const output: Pair = [x[2]!, x[3]!]
  const group = intOf(node, 'group', 1)
  const { window, input } = transposedWindowOf(node, w.slice(2), output)
  const shape = { batch: x[1]!, channels: w[1]! * group, outputs: x[0]!, group, input, output }
  if (outputOf(window, input).join() !== output.join()) {
    throw new OnnxError(
      `it makes ${input.join('×')}, more than its windows reach from ${output.join('×')}`,
    )
  }
  return { ...window, ...shape }
}

function transposedWindowOf(node: NodeProto, kernel: readonly number[], output: Pair) {
  const auto = stringOf(node, 'auto_pad', 'NOTSET')
  // "Same" says something else here than of a convolution: of the size of the result.
  const explicit = { ...node, attribute: node.attribute.filter(({ name }) => name !== 'auto_pad') }
  const window = windowOf(explicit as NodeProto, kernel, output)
  const reach = reachOf(window)
  const extra = intsOf(node, 'output_padding', undefined) ?? [0, 0]
  const full = pair((at) => (output[at] - 1) * window.strides[at] + reach[at] + (extra[at] ?? 0))
  const said = intsOf(node, 'output_shape', undefined)?.slice(-2)
  if (said === undefined && !auto.startsWith('SAME')) {
    const none: Pair = [0, 0]
    const pads = auto === 'VALID' ? { before: none, after: none } : window
    const input = pair((at) => full[at] - pads.before[at] - pads.after[at])
    return { window: { ...window, before: pads.before, after: pads.after }, input }
  }
  const input = pair((at) => said?.[at] ?? output[at] * window.strides[at])
  const cut = pair((at) => Math.max(0, full[at] - input[at]))
  const less = pair((at) => Math.floor(cut[at] / 2))
  const more = pair((at) => cut[at] - less[at])
  const upper = auto === 'SAME_UPPER'
  return {
    window: { ...window, before: upper ? less : more, after: upper ? more : less },
    input,
  }
}
