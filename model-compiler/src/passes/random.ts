/** Operators whose result is another one each time. */
import type { NodeProto } from '../onnx/schema.ts'

const random = new Set([
  ...['RandomNormal', 'RandomNormalLike', 'RandomUniform', 'RandomUniformLike'],
  ...['Multinomial', 'Bernoulli'],
])

/** Also a Dropout that may be training (from opset 12 its third input says so). */
export const isRandom = (node: NodeProto): boolean =>
  random.has(node.opType) || (node.opType === 'Dropout' && (node.input[2] ?? '') !== '')
