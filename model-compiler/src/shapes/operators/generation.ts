/** Operators that make values out of little: constants, fills, windows, random numbers. */
import { tensorTypes } from '../../onnx/types.ts'
import { valuesOfTensor } from '../constants.ts'
import { isNumber, product, type Shape, unknownDims } from '../dimensions.ts'
import {
  type Inference,
  inferred,
  type NodeFacts,
  type OperatorTable,
  repeated,
} from '../node-facts.ts'

const { float32, int32, int64, string } = tensorTypes

const constant: Inference = ({ node }) => {
  const [attribute] = node.attribute
  switch (attribute?.name) {
    case 'value':
      return [attribute.t && valuesOfTensor(attribute.t)]
    case 'value_float':
      return [inferred(float32, [], [attribute.f])]
    case 'value_floats':
      return [inferred(float32, [attribute.floats.length], attribute.floats)]
    case 'value_int':
      return [inferred(int64, [], [Number(attribute.i)])]
    case 'value_ints':
      return [inferred(int64, [attribute.ints.length], attribute.ints.map(Number))]
    case 'value_string':
      return [inferred(string, [])]
    case 'value_strings':
      return [inferred(string, [attribute.strings.length])]
    default:
      return []
  }
}

const filled: Inference = (facts) => {
  const fill = facts.node.attribute.find(({ name }) => name === 'value')?.t
  const what = fill && valuesOfTensor(fill)
  const rank = facts.shape(0)?.[0]
  const shape: Shape | undefined =
    facts.values(0) ?? (isNumber(rank) && rank <= 64 ? unknownDims(rank) : undefined)
  const value = fill ? what?.values?.[0] : 0
  const values =
    value === undefined || shape === undefined ? undefined : repeated(value, product(shape))
  return [inferred(fill?.dataType ?? float32, shape, values)]
}

const random: Inference = (facts) => [
  inferred(facts.int('dtype', float32), facts.ints('shape', undefined)),
]

const window: Inference = (facts) => [
  inferred(facts.int('output_datatype', float32), [facts.values(0)?.[0]]),
]

const eye: Inference = (facts) => [
  inferred(facts.int('dtype', facts.elementType(0)), facts.shape(0)),
]

const multinomial = (facts: NodeFacts) => [
  inferred(facts.int('dtype', int32), [facts.shape(0)?.[0], facts.int('sample_size', 1)]),
]

export const generation: OperatorTable = {
  Constant: constant,
  ConstantOfShape: filled,
  EyeLike: eye,
  RandomNormal: random,
  RandomUniform: random,
  Multinomial: multinomial,
  BlackmanWindow: window,
  HammingWindow: window,
  HannWindow: window,
  MelWeightMatrix: (facts) => {
    const [bins, length] = [facts.numbers(0)?.[0], facts.numbers(1)?.[0]]
    const rows = length === undefined ? undefined : Math.floor(length / 2) + 1
    return [inferred(facts.int('output_datatype', float32), [rows, bins])]
  },
}
