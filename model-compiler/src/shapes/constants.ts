/** Constants whose elements inference follows: small tensors of numbers that lie in the file itself. */
import type { TensorProto } from '../onnx/schema.ts'
import { numberTypeOf, valuesOf } from '../onnx/tensor.ts'
import { type Inferred, inferred, valuesMax } from './node-facts.ts'

/** The type of a tensor and, where it is small, its elements. @throws {OnnxError} where they do not fill its shape */
export function valuesOfTensor(tensor: TensorProto): Inferred {
  const shape = tensor.dims.map(Number)
  const size = shape.reduce((product, one) => product * one, 1)
  const followed =
    size <= valuesMax &&
    numberTypeOf(tensor.dataType) !== undefined &&
    tensor.externalData.length === 0
  if (!followed) return inferred(tensor.dataType, shape)
  const values = Array.from(valuesOf(tensor) as ArrayLike<number | bigint>, Number)
  return inferred(tensor.dataType, shape, values)
}
