/** A small net for maps of classes: down in steps, up again, joined at each size (Ronneberger et al., 2015). */
import type { BuildSettings } from './index.ts'
import { type Layer, Net } from './net.ts'

const widths = [16, 24, 32, 48] as const

/** Sides are divided by eight on the way down, and must be multiples of it. */
export function unet({ classes, channels, height, width, scale, seed }: BuildSettings) {
  const net = new Net('unet', [channels, height, width], seed)
  const wide = (count: number) => Math.max(4, Math.round(count * scale))
  const joined: Layer[] = []
  let x = net.input
  for (const [level, count] of widths.entries()) {
    x = net.block(`down${level}.a`, x, wide(count), { stride: level === 0 ? 1 : 2 })
    x = net.block(`down${level}.b`, x, wide(count))
    joined.push(x)
  }
  for (let level = widths.length - 2; level >= 0; level -= 1) {
    const larger = net.twice(`up${level}.twice`, x)
    const both = net.join(`up${level}.join`, [larger, joined[level]!])
    x = net.block(`up${level}.conv`, both, wide(widths[level]!))
  }
  return net.toModel({
    output: net.convolution('head', x, classes, { kernel: 1, bias: true, gain: 0.5 }),
  })
}
