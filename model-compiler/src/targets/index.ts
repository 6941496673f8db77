/** Every target there is, by name. */
import { linuxArm64 } from './linux-arm64.ts'
import { linuxX64 } from './linux-x64.ts'
import { linuxX64Vnni } from './linux-x64-vnni.ts'
import { openvino } from './openvino.ts'
import { qnn } from './qnn.ts'
import type { TargetProfile } from './target.ts'
import { tensorrt } from './tensorrt.ts'
import { webgpu } from './webgpu.ts'

export type { TargetProfile, Treatment } from './target.ts'

export const targets = {
  'linux-x64-vnni': linuxX64Vnni,
  'linux-x64': linuxX64,
  'linux-arm64': linuxArm64,
  tensorrt,
  openvino,
  qnn,
  webgpu,
} as const satisfies Readonly<Record<string, TargetProfile>>

export type TargetName = keyof typeof targets
