import { onnxRuntimeCpu } from './onnxruntime-cpu.ts'
import type { TargetProfile } from './target.ts'

export const linuxX64: TargetProfile = {
  ...onnxRuntimeCpu,
  name: 'linux-x64',
  about: 'x86-64 without VNNI (AVX2 or AVX-512 alone), ONNX Runtime on the CPU',
  verified: false,
  basis:
    'vpmaddubsw adds two products of 8 bits in 16 with saturation (Intel SDM 2C), so weights keep to 7 bits: published results of Intel Neural Compressor lose 7 points of top-1 on MobileNetV2 without that. Results were run here, on a CPU with VNNI; its speed on one without was not.',
  weights: { bits: 7, perChannel: true },
  // The kernels of ONNX Runtime are chosen by the same rule there.
  channelBlocks: { input: 4, depthwise: 16 },
}
