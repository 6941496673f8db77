/** Ways to say which parameters move, as `trainable` of `differentiate` takes them. */
import type { ModelProto } from '../../onnx/schema.ts'
import { inferTypes } from '../../shapes/infer-types.ts'
import { type Candidate, candidatesOf } from './parameters.ts'
import { prepareConstants } from './prepare.ts'

export type ParameterOptions = {
  /** Values where the model ends for training (default: its outputs): what lies behind does not count. */
  readonly cut?: readonly string[]
}

/** Everything moves but what begins with one of these names. */
export const freezePrefix =
  (...prefixes: readonly string[]) =>
  (parameter: string): boolean =>
    !prefixes.some((prefix) => parameter.startsWith(prefix))

/**
 * Only the last `layers` layers (nodes with weights) move, with whatever scales and biases stand behind them; 0 freezes
 * everything, more than there are frees everything.
 */
export function freezeDepth(
  model: ModelProto,
  layers: number,
  options: ParameterOptions = {},
): (parameter: string) => boolean {
  const candidates = trainableParameters(model, options)
  const deepest = Math.max(-1, ...candidates.map(({ depth }) => depth))
  const moving = new Set(
    candidates.filter(({ depth }) => depth > deepest - layers).map(({ name }) => name),
  )
  return (parameter) => moving.has(parameter)
}

/** Every constant of a model that could be trained, in the order in which the model reads them. */
export function trainableParameters(
  model: ModelProto,
  options: ParameterOptions = {},
): readonly Candidate[] {
  const graph = prepareConstants(model, options.cut)
  inferTypes(graph)
  return candidatesOf(graph)
}
