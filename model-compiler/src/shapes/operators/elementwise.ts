/** Operators that compute each element of the result from the elements at its place. */
import type { Dimension } from '../../graph/value-type.ts'
import { numberTypeOf } from '../../onnx/tensor.ts'
import { tensorTypes } from '../../onnx/types.ts'
import { broadcast, isNumber, plus, type Shape, times } from '../dimensions.ts'
import { type Inference, inferred, type NodeFacts, type OperatorTable } from '../node-facts.ts'

const { bool, float32, float16, float64 } = tensorTypes
const floatTypes: readonly number[] = [float32, float16, float64]

/** The result is like the first input. */
export const sameAsFirst: Inference = (facts) => [
  facts.input(0) && inferred(facts.elementType(0), facts.shape(0)),
]
/** The shape of the first input, with another element type. */
export const likeFirst =
  (elementType: number): Inference =>
  (facts) => [inferred(elementType, facts.shape(0))]

/** The value as the element type holds it, or undefined where that is not certain. */
function held(value: Dimension, elementType: number): Dimension {
  if (!isNumber(value)) return value
  if (elementType === float32) return Math.fround(value)
  if (elementType === float64) return value
  return Number.isSafeInteger(value) ? value : undefined
}

type OneValue = (value: Dimension, elementType: number) => Dimension
const ofNumber =
  (compute: (value: number) => number): OneValue =>
  (value) =>
    isNumber(value) ? compute(value) : undefined

const unary =
  (compute: OneValue): Inference =>
  (facts) => {
    const type = facts.elementType(0)
    const values = facts.values(0)?.map((value) => held(compute(value, type), type))
    return [inferred(type, facts.shape(0), values)]
  }

type TwoValues = (a: Dimension, b: Dimension, elementType: number) => Dimension
const numbers =
  (compute: (a: number, b: number, whole: boolean) => number): TwoValues =>
  (a, b, type) =>
    isNumber(a) && isNumber(b) ? compute(a, b, !floatTypes.includes(type)) : undefined

/** Elements of a shape as a larger shape reads them. */
function stretchedValues(
  values: readonly Dimension[],
  from: Shape,
  to: readonly number[],
): readonly Dimension[] {
  const size = to.reduce((product, one) => product * one, 1)
  return Array.from({ length: size }, (_, index) => {
    let at = 0
    let rest = index
    let stride = 1
    for (let axis = 1; axis <= to.length; axis++) {
      const place = rest % to[to.length - axis]!
      rest = (rest - place) / to[to.length - axis]!
      const own = axis <= from.length ? (from[from.length - axis] as number) : 1
      if (own > 1) at += place * stride
      stride *= own
    }
    return values[at]
  })
}

function valuesTogether(
  facts: NodeFacts,
  count: number,
  shape: Shape | undefined,
  compute: (values: readonly Dimension[]) => Dimension,
): readonly Dimension[] | undefined {
  if (!shape?.every(isNumber)) return undefined
  const size = shape.reduce((product, one) => product * one, 1)
  // A node may have lost its inputs: what it computes is then nothing.
  if (size > 1024 || count === 0) return undefined
  const each: (readonly Dimension[])[] = []
  for (let at = 0; at < count; at++) {
    const values = facts.values(at)
    const from = facts.shape(at)
    if (!values || !from) return undefined
    each.push(stretchedValues(values, from, shape))
  }
  return Array.from({ length: size }, (_, index) => compute(each.map((values) => values[index])))
}

/** Two or more inputs that stretch to each other; `to` is the element type of the result where it is another. */
const together =
  (compute?: TwoValues, to?: number): Inference =>
  (facts) => {
    const count = facts.inputs.length
    const shape = broadcast(...facts.inputs.map((one) => one?.shape))
    const type = facts.elementType(0) || (facts.inputs.find(Boolean)?.elementType ?? 0)
    const values =
      compute &&
      valuesTogether(facts, count, shape, (each) =>
        held(
          each.reduce((a, b) => compute(a, b, type)),
          to ?? type,
        ),
      )
    return [inferred(to ?? type, shape, values)]
  }
const comparison = (compute: (a: number, b: number) => boolean): Inference =>
  together(
    numbers((a, b) => Number(compute(a, b))),
    bool,
  )

/** A dimension is never negative and equals itself, also when only its name is known. */
const equal: TwoValues = (a, b) => {
  if (a === undefined || b === undefined) return undefined
  if (a === b) return 1
  if (isNumber(a) && isNumber(b)) return 0
  return (isNumber(a) && a < 0) || (isNumber(b) && b < 0) ? 0 : undefined
}

const where: Inference = (facts) => {
  const shape = broadcast(facts.shape(0), facts.shape(1), facts.shape(2))
  const values = valuesTogether(facts, 3, shape, ([condition, yes, no]) => {
    if (!isNumber(condition)) return yes === no ? yes : undefined
    return condition ? yes : no
  })
  return [inferred(facts.elementType(1) || facts.elementType(2), shape, values)]
}

function cast(facts: NodeFacts, to: number) {
  const values = facts.values(0)?.map((value) => {
    if (!isNumber(value)) return floatTypes.includes(to) ? undefined : value
    if (to === bool) return Number(value !== 0)
    return held(floatTypes.includes(to) ? value : Math.trunc(value), to)
  })
  const plain = numberTypeOf(to) !== undefined && to !== float16
  return [inferred(to, facts.shape(0), plain ? values : undefined)]
}

const dropout: Inference = (facts) => [
  inferred(facts.elementType(0), facts.shape(0), facts.values(0)),
  // The mask has the type of the data before version 10.
  inferred(facts.opset >= 10 ? bool : facts.elementType(0), facts.shape(0)),
]

const ofType: Inference = (facts) => [
  inferred(facts.int('dtype', facts.elementType(0)), facts.shape(0)),
]

const sameNames = [
  ...['Acos', 'Acosh', 'Asin', 'Asinh', 'Atan', 'Atanh', 'Cos', 'Cosh', 'Sin', 'Sinh', 'Tan'],
  ...['Tanh', 'Erf', 'Exp', 'Log', 'Round', 'Sigmoid', 'Softplus', 'Softsign', 'Elu', 'Celu'],
  ...['Selu', 'LeakyRelu', 'ThresholdedRelu', 'HardSigmoid', 'HardSwish', 'Mish', 'Gelu'],
  ...['Shrink', 'Hardmax', 'Softmax', 'LogSoftmax', 'BitwiseNot', 'Trilu', 'CumSum', 'Clip'],
  ...['PRelu', 'ReverseSequence', 'LpNormalization', 'LRN', 'MeanVarianceNormalization'],
  ...['Swish', 'CumProd', 'RMSNormalization', 'RotaryEmbedding', 'ImageScaler', 'Affine'],
  ...['ParametricSoftplus', 'ScaledTanh'],
]

/** Domain `com.microsoft`: what ONNX Runtime fuses activations into. */
export const microsoftElementwise: OperatorTable = {
  Gelu: sameAsFirst,
  FastGelu: sameAsFirst,
  BiasGelu: sameAsFirst,
  QuickGelu: sameAsFirst,
  QLinearSigmoid: sameAsFirst,
  QLinearLeakyRelu: sameAsFirst,
  QLinearSoftmax: sameAsFirst,
  QLinearAdd: (facts) => [
    inferred(facts.elementType(0), broadcast(facts.shape(0), facts.shape(3))),
  ],
  QLinearMul: (facts) => [
    inferred(facts.elementType(0), broadcast(facts.shape(0), facts.shape(3))),
  ],
}

export const elementwise: OperatorTable = {
  ...Object.fromEntries(sameNames.map((name) => [name, sameAsFirst])),
  Identity: unary((value) => value),
  Neg: unary(ofNumber((value) => -value)),
  Abs: unary((value) => (isNumber(value) ? Math.abs(value) : value)),
  Floor: unary(ofNumber(Math.floor)),
  Ceil: unary(ofNumber(Math.ceil)),
  Sqrt: unary(ofNumber(Math.sqrt)),
  Reciprocal: unary(ofNumber((value) => 1 / value)),
  Sign: unary(ofNumber(Math.sign)),
  Relu: unary((value) => (isNumber(value) ? Math.max(0, value) : value)),
  Not: unary(ofNumber((value) => Number(value === 0))),
  // It leaves words out.
  StringNormalizer: (facts) => {
    const shape = facts.shape(0)
    return [inferred(facts.elementType(0), shape && [...shape.slice(0, -1), undefined])]
  },
  OptionalHasElement: () => [inferred(bool, [])],
  SequenceLength: () => [inferred(tensorTypes.int64, [])],
  IsNaN: likeFirst(bool),
  IsInf: likeFirst(bool),
  StringConcat: together(),
  RegexFullMatch: likeFirst(bool),

  Add: together(plus),
  Sub: together((a, b) => (isNumber(a) && isNumber(b) ? a - b : b === 0 ? a : undefined)),
  Mul: together(times),
  Div: together((a, b, type) => {
    if (b === 1) return a
    return numbers((x, y, whole) => (whole ? Math.trunc(x / y) : x / y))(a, b, type)
  }),
  Mod: (facts) =>
    together(
      facts.int('fmod', 0)
        ? numbers((a, b) => a % b)
        : numbers((a, b) => a - b * Math.floor(a / b)),
    )(facts),
  Pow: (facts) => {
    const [result] = together(numbers((a, b) => a ** b))(facts)
    return [result]
  },
  Min: together(numbers((a, b) => Math.min(a, b))),
  Max: together(numbers((a, b) => Math.max(a, b))),
  Sum: together(plus),
  Mean: together(),
  And: together(
    numbers((a, b) => Number(a !== 0 && b !== 0)),
    bool,
  ),
  Or: together(
    numbers((a, b) => Number(a !== 0 || b !== 0)),
    bool,
  ),
  Xor: together(
    numbers((a, b) => Number((a !== 0) !== (b !== 0))),
    bool,
  ),
  Equal: together(equal, bool),
  Greater: comparison((a, b) => a > b),
  GreaterOrEqual: comparison((a, b) => a >= b),
  Less: comparison((a, b) => a < b),
  LessOrEqual: comparison((a, b) => a <= b),
  BitShift: together(),
  BitwiseAnd: together(),
  BitwiseOr: together(),
  BitwiseXor: together(),

  Where: where,
  Cast: (facts) => cast(facts, facts.int('to', 0)),
  CastLike: (facts) => cast(facts, facts.elementType(1)),
  Dropout: dropout,
  Bernoulli: ofType,
  RandomNormalLike: ofType,
  RandomUniformLike: ofType,
}
