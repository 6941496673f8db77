/** Operators between real numbers and their codes. */
import { tensorTypes } from '../../onnx/types.ts'
import { type Inference, inferred, type OperatorTable } from '../node-facts.ts'

const { uint8, float32 } = tensorTypes

const quantize: Inference = (facts) => {
  const said = facts.int('output_dtype', 0)
  const type = facts.has(2) ? facts.elementType(2) : said || uint8
  return [inferred(type, facts.shape(0))]
}
const dequantize: Inference = (facts) => {
  const type = facts.int('output_dtype', 0) || facts.elementType(1) || float32
  return [inferred(type, facts.shape(0))]
}

/** Domain `com.microsoft` has both under the same names. */
export const microsoftQuantization: OperatorTable = {
  QuantizeLinear: quantize,
  DequantizeLinear: dequantize,
}

export const quantization: OperatorTable = {
  QuantizeLinear: quantize,
  DequantizeLinear: dequantize,
  DynamicQuantizeLinear: (facts) => [
    inferred(uint8, facts.shape(0)),
    inferred(float32, []),
    inferred(uint8, []),
  ],
}
