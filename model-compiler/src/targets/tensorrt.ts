import type { TargetProfile } from './target.ts'

export const tensorrt: TargetProfile = {
  name: 'tensorrt',
  about:
    'NVIDIA TensorRT (explicit quantization), through trtexec, Triton or a runtime with that provider',
  verified: false,
  basis:
    'TensorRT developer guide, "Working with Quantized Types": int8 codes with zero point 0, activations per tensor, weights per channel, no Q/DQ on a bias; Q/DQ before what is to run with codes, none between Conv and the Relu that is fused into it.',
  activations: { codes: 'int8', symmetric: true },
  weights: { bits: 8, perChannel: true },
  bias: 'float',
  outputs: false,
  foldsClipping: false,
  ends: false,
  operators: { Conv: 'weights', Gemm: 'weights', MatMul: 'weights' },
}
