/** How bytes become what networks were trained on: the few ways that exist, each said once. */
import type { InputPreset } from './layout.ts'

type Numbers = Pick<InputPreset, 'mean' | 'std'>

/** Bytes as they are, 0..255. */
export const asBytes: Numbers = { mean: [0, 0, 0], std: [1, 1, 1] }

/** 0..1. */
export const asShares: Numbers = { mean: [0, 0, 0], std: [255, 255, 255] }

/** −1..1. */
export const asSigned: Numbers = { mean: [127.5, 127.5, 127.5], std: [127.5, 127.5, 127.5] }

/** Mean and deviation of ImageNet's pictures, for the order red, green, blue. */
export const asImageNetRgb: Numbers = {
  mean: [123.675, 116.28, 103.53],
  std: [58.395, 57.12, 57.375],
}

/** The same for the order blue, green, red. */
export const asImageNetBgr: Numbers = {
  mean: [103.53, 116.28, 123.675],
  std: [57.375, 57.12, 58.395],
}
