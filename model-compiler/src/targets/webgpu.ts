import type { TargetProfile } from './target.ts'

export const webgpu: TargetProfile = {
  name: 'webgpu',
  about: 'WebGPU (browsers, and ONNX Runtime with that provider)',
  verified: false,
  basis:
    'ONNX Runtime 1.30 has no kernel there that computes convolutions with codes: Q/DQ would only cost time. float16 or int8 weights are what pays.',
  activations: { codes: 'uint8', symmetric: false },
  weights: { bits: 8, perChannel: true },
  bias: 'float',
  outputs: false,
  foldsClipping: false,
  ends: false,
  operators: {},
}
