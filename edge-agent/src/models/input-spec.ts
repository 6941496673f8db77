/** What a model takes: from its real input, the layout's preset and what the description says. */
import type { TensorInfo } from '../runtimes/runtime.ts'
import type { InputSpec, TensorLayout } from './canvas.ts'
import type { Description } from './description.ts'
import type { InputPreset } from './layouts/layout.ts'

/** Largest canvas side in pixels: a wrong number in a file must not take all memory. */
const sideMax = 8192

/**
 * @throws {Error} saying what the model's input does not fit; the caller names the model
 */
export function inputSpecOf(
  inputs: readonly TensorInfo[],
  preset: InputPreset,
  described: Description['input'] = {},
): InputSpec {
  const [input, second] = inputs
  if (!input || second) throw new Error(`${wanted}, it has ${inputs.map(shown).join(' and ')}`)
  const { layout, gray } = tensorLayoutOf(input)
  if (described.layout !== undefined && described.layout !== layout) {
    throw new Error(`the description says input.layout ${described.layout}, it has ${shown(input)}`)
  }
  const { type } = input
  if (type !== 'float32' && type !== 'uint8') {
    throw new Error(`its input "${input.name}" is of type ${type}, float32 or uint8 was expected`)
  }
  if (described.type !== undefined && described.type !== type) {
    throw new Error(`the description says input.type ${described.type}, it takes ${type}`)
  }
  const takesBytes = type === 'uint8'
  if (takesBytes && (described.mean !== undefined || described.std !== undefined)) {
    throw new Error(`its input takes bytes as they are; leave input.mean and input.std out`)
  }
  const [height, width] = layout === 'nchw' ? input.shape.slice(2) : input.shape.slice(1)
  return {
    width: sideOf('width', width, described.width, input),
    height: sideOf('height', height, described.height, input),
    channels: described.channels ?? preset.channels,
    fit: described.fit ?? preset.fit,
    pad: described.pad ?? preset.pad,
    // A model that takes bytes does the arithmetic itself.
    mean: takesBytes ? [0, 0, 0] : (perChannel(described.mean) ?? preset.mean),
    std: takesBytes ? [1, 1, 1] : (perChannel(described.std) ?? preset.std),
    layout,
    ...(gray && { gray }),
    type,
  }
}

const wanted =
  'expected one input [1, 3, height, width] or [1, height, width, 3], or with 1 for a gray picture'

function tensorLayoutOf(input: TensorInfo): { layout: TensorLayout; gray?: true } {
  const [batch, second, , fourth] = input.shape
  if (input.shape.length === 4 && (batch === 1 || isFree(batch))) {
    if (second === 3) return { layout: 'nchw' }
    if (fourth === 3) return { layout: 'nhwc' }
    if (second === 1) return { layout: 'nchw', gray: true }
    if (fourth === 1) return { layout: 'nhwc', gray: true }
  }
  throw new Error(`${wanted}, it has ${shown(input)}`)
}

function sideOf(
  side: 'width' | 'height',
  real: number | string | undefined,
  described: number | undefined,
  input: TensorInfo,
): number {
  if (isFree(real)) {
    if (described !== undefined) return described
    throw new Error(
      `its input ${shown(input)} leaves the ${side} free; say input.${side} in a description file`,
    )
  }
  const size = Number(real)
  if (!(size >= 1 && size <= sideMax)) {
    throw new Error(`its input ${shown(input)} has the ${side} ${size}, allowed 1 to ${sideMax}`)
  }
  if (described !== undefined && described !== size) {
    throw new Error(`the description says input.${side} ${described}, it has ${shown(input)}`)
  }
  return size
}

function isFree(size: number | string | undefined): boolean {
  return typeof size === 'string' || size === -1 || size === undefined
}

function perChannel(
  value: number | readonly number[] | undefined,
): readonly [number, number, number] | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'number') return [value, value, value]
  const [first = 0, second = 0, third = 0] = value
  return [first, second, third]
}

/** A tensor as errors speak of it: `"images" [1, 3, 416, 416]`. */
export function shown({ name, shape }: Pick<TensorInfo, 'name' | 'shape'>): string {
  return `"${name}" [${shape.map((size) => (size === -1 ? '?' : size)).join(', ')}]`
}
