import { onnxRuntimeOperators } from './onnxruntime-cpu.ts'
import type { TargetProfile } from './target.ts'

export const openvino: TargetProfile = {
  name: 'openvino',
  about: 'Intel OpenVINO on CPU, GPU or NPU, which reads the same file (OpenVINO Model Server)',
  verified: false,
  basis:
    'NNCF hardware setups cpu.py and npu.py: activations per tensor with or without a zero point, weights signed per channel; low precision transformations fuse the bias as it is.',
  activations: { codes: 'uint8', symmetric: false },
  weights: { bits: 8, perChannel: true },
  bias: 'float',
  outputs: true,
  foldsClipping: true,
  ends: false,
  operators: onnxRuntimeOperators,
}
