/**
 * What ONNX Runtime's CPU kernels compute with codes (its QDQ selectors, read in 1.30, and each seen in a dump of
 * the optimized graph). Sub, Div, HardSigmoid, Tanh, norms and ConvTranspose have no such kernel.
 */
import type { TargetProfile } from './target.ts'

export const onnxRuntimeOperators = {
  Conv: 'weights',
  Gemm: 'weights',
  MatMul: 'weights',
  Add: 'own',
  Mul: 'own',
  LeakyRelu: 'own',
  Sigmoid: 'own',
  Softmax: 'own',
  AveragePool: 'own',
  GlobalAveragePool: 'own',
  Concat: 'join',
  MaxPool: 'same',
  Resize: 'same',
  Reshape: 'same',
  Transpose: 'same',
  Slice: 'same',
  Split: 'same',
  Squeeze: 'same',
  Unsqueeze: 'same',
  Flatten: 'same',
  Gather: 'same',
} as const satisfies TargetProfile['operators']

/** Common to every CPU: unsigned activations, since signed ones keep residuals from fusing. */
export const onnxRuntimeCpu = {
  activations: { codes: 'uint8', symmetric: false },
  bias: 'int32',
  outputs: true,
  foldsClipping: true,
  ends: false,
  operators: onnxRuntimeOperators,
} as const satisfies Partial<TargetProfile>
