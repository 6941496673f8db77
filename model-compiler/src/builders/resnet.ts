/** Residual nets (He et al., 2015): 18 layers for photographs, or 8 to 20 thin ones for small pictures. */
import type { BuildSettings } from './index.ts'
import { type Layer, Net } from './net.ts'

/** Four stages of two blocks behind a stem that divides the size by four. */
export function resnet18(settings: BuildSettings) {
  const { classes, channels, height, width, scale, seed } = settings
  const net = new Net('resnet-18', [channels, height, width], seed)
  const base = Math.max(1, Math.round(64 * scale))
  const stem = net.block('stem', net.input, base, { kernel: 7, stride: 2 })
  let x = net.maxPool('stem.pool', stem, 3, 2, 1)
  for (const [stage, factor] of [1, 2, 4, 8].entries()) {
    for (const block of [0, 1]) {
      const stride = stage > 0 && block === 0 ? 2 : 1
      x = residual(net, `stage${stage + 1}.${block}`, x, base * factor, stride)
    }
  }
  return ended(net, x, classes)
}

/** Three stages of `blocks` blocks at 16, 32 and 64 channels; the size is halved twice. */
export function smallResnet(settings: BuildSettings & { readonly blocks: number }) {
  const { classes, channels, height, width, scale, seed, blocks } = settings
  const net = new Net('resnet', [channels, height, width], seed)
  const base = Math.max(1, Math.round(16 * scale))
  let x = net.block('stem', net.input, base)
  for (const [stage, factor] of [1, 2, 4].entries()) {
    for (let block = 0; block < blocks; block += 1) {
      const stride = stage > 0 && block === 0 ? 2 : 1
      x = residual(net, `stage${stage + 1}.${block}`, x, base * factor, stride)
    }
  }
  return ended(net, x, classes)
}

function residual(net: Net, name: string, x: Layer, channels: number, stride: number): Layer {
  const first = net.block(`${name}.a`, x, channels, { stride })
  const second = net.block(`${name}.b`, first, channels, { activation: 'none' })
  const same = stride === 1 && x.shape[0] === channels
  const around = same
    ? x
    : net.block(`${name}.around`, x, channels, { kernel: 1, stride, activation: 'none' })
  return net.activation(`${name}.act`, net.add(`${name}.sum`, second, around), 'relu')
}

function ended(net: Net, x: Layer, classes: number) {
  const features = net.flatten('features', net.globalMean('mean', x))
  return net.toModel({ output: net.dense('head', features, classes, 0.5) })
}
