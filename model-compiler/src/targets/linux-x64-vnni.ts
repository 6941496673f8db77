import { onnxRuntimeCpu } from './onnxruntime-cpu.ts'
import type { TargetProfile } from './target.ts'

export const linuxX64Vnni: TargetProfile = {
  ...onnxRuntimeCpu,
  name: 'linux-x64-vnni',
  about:
    'x86-64 with VNNI (Intel from Ice Lake and Alder Lake, AMD from Zen 4), ONNX Runtime on the CPU',
  verified: true,
  basis:
    'Run on AVX512-VNNI: operators that fused, speed and signal-to-noise are in the tests and the bench. Unsigned weights were 2 to 5 times slower there, signed activations half as fast.',
  weights: { bits: 8, perChannel: true },
  channelBlocks: { input: 4, depthwise: 16 },
}
