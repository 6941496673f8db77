/** Which function infers the results of which operator, by domain. A new operator is a row in the file of its family. */
import type { Inference, OperatorTable } from '../node-facts.ts'
import { control } from './control.ts'
import { convolutions, microsoftConvolution } from './convolution.ts'
import { elementwise, microsoftElementwise } from './elementwise.ts'
import { generation } from './generation.ts'
import { indexing } from './indexing.ts'
import { layouts, microsoftLayout } from './layout.ts'
import { matrices, microsoftMatrix } from './matrix.ts'
import { normalization } from './normalization.ts'
import { microsoftQuantization, quantization } from './quantization.ts'
import { recurrence } from './recurrent.ts'
import { reduction } from './reduction.ts'
import { mlOperators, signals } from './signal.ts'

const onnx: OperatorTable = {
  ...elementwise,
  ...reduction,
  ...convolutions,
  ...matrices,
  ...layouts,
  ...indexing,
  ...normalization,
  ...quantization,
  ...generation,
  ...recurrence,
  ...signals,
  ...control,
}
const microsoft: OperatorTable = {
  ...microsoftElementwise,
  ...microsoftConvolution,
  ...microsoftMatrix,
  ...microsoftLayout,
  ...microsoftQuantization,
}
const domains: Readonly<Record<string, OperatorTable>> = {
  '': onnx,
  'com.microsoft': microsoft,
  'ai.onnx.ml': mlOperators,
}

/** undefined where nothing is known of the operator. */
export function inferenceOf(domain: string, opType: string): Inference | undefined {
  const table = domains[domain]
  return table && Object.hasOwn(table, opType) ? table[opType] : undefined
}
