/** Spectra, sampling grids, pictures, and losses. */
import { tensorTypes } from '../../onnx/types.ts'
import { axisFrom, isNumber, type Shape } from '../dimensions.ts'
import { type Inference, inferred, type OperatorTable } from '../node-facts.ts'
import { sameAsFirst } from './elementwise.ts'

const dft: Inference = (facts) => {
  const shape = facts.shape(0)
  const type = facts.elementType(0)
  const said =
    facts.opset >= 20 ? (facts.has(2) ? facts.numbers(2)?.[0] : -2) : facts.int('axis', 1)
  if (!shape || said === undefined) return [inferred(type, undefined)]
  const axis = axisFrom(said, shape.length)
  const length = facts.has(1) ? facts.values(1)?.[0] : shape[axis]
  const halved = facts.int('onesided', 0) !== 0
  const inverse = facts.int('inverse', 0) !== 0
  const bins = halved && !inverse && isNumber(length) ? Math.floor(length / 2) + 1 : length
  const complex = halved && inverse ? 1 : 2
  return [
    inferred(
      type,
      shape.with(axis, halved && !isNumber(length) ? undefined : bins).with(-1, complex),
    ),
  ]
}

const stft: Inference = (facts) => {
  const shape = facts.shape(0)
  const step = facts.numbers(1)?.[0]
  const frame = facts.has(3) ? facts.numbers(3)?.[0] : facts.shape(2)?.[0]
  const length = shape?.[1]
  const type = facts.elementType(0)
  if (!shape || !step || !isNumber(frame) || !isNumber(length)) {
    return [inferred(type, [shape?.[0], undefined, undefined, 2])]
  }
  const bins = facts.int('onesided', 1) ? Math.floor(frame / 2) + 1 : frame
  return [inferred(type, [shape[0], Math.floor((length - frame) / step) + 1, bins, 2])]
}

const gridSample: Inference = (facts) => {
  const shape = facts.shape(0)
  const grid = facts.shape(1)
  return [
    inferred(facts.elementType(0), shape && grid && [shape[0], shape[1], ...grid.slice(1, -1)]),
  ]
}

const affineGrid: Inference = (facts) => {
  const size = facts.values(1)
  const result: Shape | undefined = size && [size[0], ...size.slice(2), size.length - 2]
  return [inferred(facts.elementType(0), result)]
}

const loss: Inference = (facts) => {
  const type = facts.elementType(0)
  const none = facts.string('reduction', 'mean') === 'none'
  return [inferred(type, none ? facts.shape(1) : []), inferred(type, facts.shape(0))]
}

const attention: Inference = (facts) => {
  const query = facts.shape(0)
  const values = facts.shape(2)
  const type = facts.elementType(0)
  if (!query || !values) return [inferred(type, undefined)]
  if (query.length === 4) return [inferred(type, [...query.slice(0, 3), values[3]])]
  const heads = facts.int('q_num_heads', 0)
  const groups = facts.int('kv_num_heads', 0)
  const width = values[2]
  const wide = isNumber(width) && groups > 0 ? (width / groups) * heads : undefined
  return [inferred(type, [query[0], query[1], wide])]
}

export const signals: OperatorTable = {
  DFT: dft,
  STFT: stft,
  GridSample: gridSample,
  AffineGrid: affineGrid,
  NegativeLogLikelihoodLoss: (facts) => loss(facts).slice(0, 1),
  SoftmaxCrossEntropyLoss: loss,
  Attention: attention,
  ImageDecoder: (facts) => {
    const gray = facts.string('pixel_format', 'RGB') === 'Grayscale'
    return [inferred(tensorTypes.uint8, [undefined, undefined, gray ? 1 : 3])]
  },
}

/** Domain `ai.onnx.ml`, as far as its results follow from their inputs. */
export const mlOperators: OperatorTable = {
  ArrayFeatureExtractor: (facts) => {
    const shape = facts.shape(0)
    const picked = facts.shape(1)?.at(-1)
    return [
      inferred(
        facts.elementType(0),
        shape && [...(shape.length > 1 ? shape.slice(0, -1) : [1]), picked],
      ),
    ]
  },
  Binarizer: sameAsFirst,
  Scaler: (facts) => [inferred(tensorTypes.float32, facts.shape(0))],
}
