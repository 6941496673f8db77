import { onnxRuntimeCpu } from './onnxruntime-cpu.ts'
import type { TargetProfile } from './target.ts'

export const linuxArm64: TargetProfile = {
  ...onnxRuntimeCpu,
  name: 'linux-arm64',
  about: '64-bit ARM (Raspberry Pi 4 and 5, Jetson CPU, Rockchip), ONNX Runtime on the CPU',
  verified: false,
  basis:
    'ONNX Runtime 1.30, qdq_selectors.cc: on ARM activations may be signed or unsigned, weights are signed; udot/usdot take unsigned activations as they are. No such board here.',
  weights: { bits: 8, perChannel: true },
}
