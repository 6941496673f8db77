/** Operators that bring values to a common mean and scale. */

import { tensorTypes } from '../../onnx/types.ts'
import { axisFrom } from '../dimensions.ts'
import { inferred, type OperatorTable } from '../node-facts.ts'
import { sameAsFirst } from './elementwise.ts'

export const normalization: OperatorTable = {
  BatchNormalization: (facts) => {
    const statistic = inferred(facts.elementType(3), facts.shape(3))
    return [
      inferred(facts.elementType(0), facts.shape(0)),
      ...facts.node.output.slice(1).map(() => statistic),
    ]
  },
  InstanceNormalization: sameAsFirst,
  GroupNormalization: sameAsFirst,
  LayerNormalization: (facts) => {
    const shape = facts.shape(0)
    const axis = shape && axisFrom(facts.int('axis', -1), shape.length)
    const statistic = inferred(
      tensorTypes.float32,
      shape?.map((size, at) => (at < axis! ? size : 1)),
    )
    return [inferred(facts.elementType(0), shape), statistic, statistic]
  },
}
