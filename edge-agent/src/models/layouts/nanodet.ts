/** NanoDet (2020, github.com/RangiLyu/nanodet): a GFL head on three strides. */
import { checkGfl } from './gfl.ts'
import type { Layout } from './layout.ts'
import { asImageNetBgr } from './presets.ts'

const strides = [8, 16, 32]

export const nanodet: Layout = {
  name: 'nanodet',
  task: 'detection',
  preset: { channels: 'bgr', fit: 'letterbox-center', pad: 0, ...asImageNetBgr },
  strides,
  check: (shape) => checkGfl({ ...shape, strides: shape.strides ?? strides }),
}
