/**
 * Quantization-aware training: activations and weights are rounded to their codes on the way forward, as the compiler
 * will round them, and on the way back the rounding is not there (straight-through, Bengio et al. 2013; Jacob et al. 2018).
 * What is quantized, and with which parameters, is decided by the compiler's own placement, so that `quantize` with the
 * same ranges makes of the trained weights the very numbers that the loss has seen.
 */
import type { Range } from '../../calibrate/range.ts'
import { Graph } from '../../graph/graph.ts'
import { OnnxError } from '../../onnx/read.ts'
import type { ModelProto } from '../../onnx/schema.ts'
import { codeTypes, type Parameters } from '../../quantize/parameters.ts'
import { place } from '../../quantize/placement.ts'
import { axisOf, type QuantizeOptions } from '../../quantize/quantize.ts'
import { weightCodes } from '../../quantize/weights.ts'
import type { Through } from '../differentiate/lowering.ts'
import type { Sym } from '../tape/sym.ts'
import type { Tape } from '../tape/tape.ts'

/**
 * What readers of a value read instead of it, for `differentiate`.
 * @param model float, with BatchNorm folded, as `quantize` will be given it; operators that it fuses lose what lies between
 * @param ranges of its activations, as `calibrate` gives them; they stay as they are
 * @throws {OnnxError} when the target computes nothing of it with codes
 */
export function fakeQuantization(
  model: ModelProto,
  ranges: ReadonlyMap<string, Range>,
  { target, keepFloat = new Set<string>(), weightBits = target.weights.bits }: QuantizeOptions,
): Through {
  const graph = new Graph(model)
  graph.sort()
  const placement = place(graph, ranges, target, keepFloat)
  if (placement.values.size === 0) {
    throw new OnnxError(
      `Cannot train for int8: nothing of the model is computed with codes on "${target.name}"`,
    )
  }
  const codes = codeTypes[target.activations.codes]
  const weights = new Map<string, number | undefined>()
  for (const [node, treatment] of placement.nodes) {
    if (treatment !== 'weights') continue
    const name = node.input[1]!
    const rank = graph.constantOf(name)!.dims.length
    weights.set(name, target.weights.perChannel ? axisOf(node, rank) : undefined)
  }
  const largest = weightCodes(weightBits).max
  return (tape, name, value) => {
    const parameters = placement.values.get(name)
    if (parameters) return roundedToCodes(tape, value, parameters, codes)
    return weights.has(name) ? roundedWeights(tape, value, weights.get(name), largest) : value
  }
}

/** Rounds to the codes of a scale and a zero point; no gradient flows to what lies beyond their ends. */
function roundedToCodes(
  tape: Tape,
  x: Sym,
  { scale, zero }: Parameters,
  { min, max }: { readonly min: number; readonly max: number },
): Sym {
  const step = tape.scalar(scale)
  const inSteps = tape.emit('Div', [x, step])
  const within = tape.emit('Clip', [inSteps, tape.scalar(min - zero), tape.scalar(max - zero)])
  const rounded = tape.emit('Mul', [tape.emit('Round', [within]), step])
  return tape.record([x], rounded, (gradient) => {
    const inside = tape.emit('Cast', [tape.emit('Equal', [inSteps, within])], { to: { int: 1 } })
    return [tape.emit('Mul', [gradient, inside])]
  })
}

/** Rounds weights as `weightScales` and `weightCodesOf` do: each channel by its own largest. */
function roundedWeights(tape: Tape, w: Sym, axis: number | undefined, largest: number): Sym {
  const others = w.shape.map((_, at) => at).filter((at) => at !== axis)
  const peaks = tape.emit('ReduceMax', [tape.emit('Abs', [w]), tape.ints(others)])
  // A channel of zeros has no scale of its own; any does.
  const scales = tape.emit('Div', [
    tape.emit('Max', [peaks, tape.scalar(largest * 2 ** -126)]),
    tape.scalar(largest),
  ])
  const rounded = tape.emit('Mul', [tape.emit('Round', [tape.emit('Div', [w, scales])]), scales])
  return tape.record([w], rounded, (gradient) => [gradient])
}
