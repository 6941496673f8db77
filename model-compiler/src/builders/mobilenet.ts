/**
 * MobileNets of any width: V2 (Sandler et al., 2018) with ReLU6, which int8 arithmetic likes, and the small V3
 * (Howard et al., 2019). Pictures below 64 pixels are halved less often, so that enough of them is left to look at.
 */
import type { BuildSettings } from './index.ts'
import { type Activation, type Layer, Net } from './net.ts'

/** Expansion, channels, blocks, stride of the first of them. */
const v2Stages = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const

/** Kernel, expanded channels, channels, squeeze, activation, stride. */
const v3SmallBlocks = [
  [3, 16, 16, true, 'relu', 2],
  [3, 72, 24, false, 'relu', 2],
  [3, 88, 24, false, 'relu', 1],
  [5, 96, 40, true, 'hard-swish', 2],
  [5, 240, 40, true, 'hard-swish', 1],
  [5, 240, 40, true, 'hard-swish', 1],
  [5, 120, 48, true, 'hard-swish', 1],
  [5, 144, 48, true, 'hard-swish', 1],
  [5, 288, 96, true, 'hard-swish', 2],
  [5, 576, 96, true, 'hard-swish', 1],
  [5, 576, 96, true, 'hard-swish', 1],
] as const

export function mobilenetV2({ classes, channels, height, width, scale, seed }: BuildSettings) {
  const net = new Net('mobilenet-v2', [channels, height, width], seed)
  const halve = halvings(Math.min(height, width))
  let x = net.block('stem', net.input, eighths(32 * scale), {
    stride: halve(2),
    activation: 'relu6',
  })
  let index = 0
  for (const [expansion, count, blocks, firstStride] of v2Stages) {
    for (let block = 0; block < blocks; block += 1) {
      x = inverted(net, `block${index}`, x, {
        expanded: x.shape[0]! * expansion,
        channels: eighths(count * scale),
        kernel: 3,
        stride: block === 0 ? halve(firstStride) : 1,
        activation: 'relu6',
        squeezed: false,
      })
      index += 1
    }
  }
  const wide = eighths(1280 * Math.max(1, scale))
  x = net.block('last', x, wide, { kernel: 1, activation: 'relu6' })
  const features = net.flatten('features', net.globalMean('mean', x))
  return net.toModel({ output: net.dense('head', features, classes, 0.5) })
}

export function mobilenetV3Small({ classes, channels, height, width, scale, seed }: BuildSettings) {
  const net = new Net('mobilenet-v3-small', [channels, height, width], seed)
  const halve = halvings(Math.min(height, width))
  let x = net.block('stem', net.input, eighths(16 * scale), {
    stride: halve(2),
    activation: 'hard-swish',
  })
  for (const [index, block] of v3SmallBlocks.entries()) {
    const [kernel, expanded, count, squeezed, activation, stride] = block
    x = inverted(net, `block${index}`, x, {
      expanded: eighths(expanded * scale),
      channels: eighths(count * scale),
      kernel,
      stride: halve(stride),
      activation,
      squeezed,
    })
  }
  x = net.block('last', x, eighths(576 * scale), { kernel: 1, activation: 'hard-swish' })
  const features = net.flatten('features', net.globalMean('mean', x))
  const hidden = net.dense('dense', features, eighths(1024 * scale))
  const active = net.activation('dense.act', hidden, 'hard-swish')
  return net.toModel({ output: net.dense('head', active, classes, 0.5) })
}

/** Wide inside, narrow at its ends, which are joined where they fit each other. */
function inverted(
  net: Net,
  name: string,
  x: Layer,
  form: {
    readonly expanded: number
    readonly channels: number
    readonly kernel: number
    readonly stride: number
    readonly activation: Activation
    readonly squeezed: boolean
  },
): Layer {
  const { expanded, channels, kernel, stride, activation, squeezed } = form
  let inner = x
  if (expanded !== x.shape[0]) {
    inner = net.block(`${name}.expand`, inner, expanded, { kernel: 1, activation })
  }
  inner = net.block(`${name}.depth`, inner, expanded, {
    kernel,
    stride,
    groups: expanded,
    activation,
  })
  if (squeezed) inner = net.squeeze(`${name}.squeeze`, inner, eighths(expanded / 4))
  const narrow = net.block(`${name}.project`, inner, channels, { kernel: 1, activation: 'none' })
  return stride === 1 && x.shape[0] === channels ? net.add(`${name}.sum`, x, narrow) : narrow
}

/** Channels come in eights, which processors like, and never lose more than a tenth by it. */
function eighths(count: number): number {
  const rounded = Math.max(8, Math.round(count / 8) * 8)
  return rounded < 0.9 * count ? rounded + 8 : rounded
}

/** Five halvings bring 224 to 7; a smaller picture skips the first of them, and keeps at least 4 pixels. */
function halvings(size: number): (stride: number) => number {
  let skip = 5 - Math.max(0, Math.min(5, Math.floor(Math.log2(size / (size < 64 ? 4 : 3)))))
  return (stride) => {
    if (stride === 1 || skip <= 0) return stride
    skip -= 1
    return 1
  }
}
