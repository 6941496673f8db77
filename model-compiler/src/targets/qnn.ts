import { onnxRuntimeOperators } from './onnxruntime-cpu.ts'
import type { TargetProfile } from './target.ts'

export const qnn: TargetProfile = {
  name: 'qnn',
  about:
    'Qualcomm Hexagon (HTP) through the QNN provider of ONNX Runtime; shapes have to be static',
  verified: false,
  basis:
    'ONNX Runtime 1.30, quantization/execution_providers/qnn: every operator between Q/DQ with unsigned activations, weights of Conv signed per channel, bias as int32; the device computes nothing in float.',
  activations: { codes: 'uint8', symmetric: false },
  weights: { bits: 8, perChannel: true },
  bias: 'int32',
  outputs: true,
  foldsClipping: true,
  // What stays float leaves the accelerator.
  ends: true,
  operators: {
    ...onnxRuntimeOperators,
    Sub: 'own',
    Div: 'own',
    Exp: 'own',
    Tanh: 'own',
    HardSwish: 'own',
    HardSigmoid: 'own',
    Gelu: 'own',
    ReduceMean: 'own',
    ConvTranspose: 'weights',
    DepthToSpace: 'same',
    SpaceToDepth: 'same',
  },
}
