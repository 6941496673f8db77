/** What a still image looks like, in the numbers in which boxes say it of their frames: the two can be compared. */
import sharp from 'sharp'
import { gateHeight, gateWidth, type InputView } from '../cameras/camera.ts'
import { type Looks, looksOf } from '../sampling/looks.ts'
import type { PixelImage } from './images.ts'

/** Colours are counted in a grid of 48 pixels a side: a picture as small as the gate's has enough. */
const view: InputView = {
  width: gateWidth,
  height: gateHeight,
  channels: 'rgb',
  pad: 0,
  content: { left: 0, top: 0, width: gateWidth, height: gateHeight },
}

export async function looksOfImage({ width, height, channels, data }: PixelImage): Promise<Looks> {
  const small = sharp(data, { raw: { width, height, channels } }).resize(gateWidth, gateHeight, {
    fit: 'fill',
    kernel: 'linear',
  })
  const bytes = await small.clone().toColourspace('srgb').raw().toBuffer()
  const grey = await small.clone().toColourspace('b-w').raw().toBuffer()
  const rgb = channels === 3 ? bytes : tripled(grey)
  return looksOf(grey, { bytes: rgb, view })
}

const tripled = (grey: Uint8Array): Uint8Array => {
  const rgb = new Uint8Array(grey.length * 3)
  for (let at = 0; at < rgb.length; at++) rgb[at] = grey[Math.floor(at / 3)]!
  return rgb
}
