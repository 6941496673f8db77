/** The part of a picture that shows one object, on a model's canvas. */
import type { Box } from '@edgeloop/protocol'
import sharp from 'sharp'
import type { Lane } from '../media/inference.ts'
import type { InputView } from './camera.ts'
import { checkedView, paintCanvas } from './canvas.ts'
import { inOrder } from './still-picture.ts'

/** A crop is wider than its box by this share on each side: detectors cut a little off. */
const widened = 0.08

/**
 * Writes an object onto the canvas that the model has when the crop is ready.
 * @param jpeg the whole frame; what its masks cover is black on it, and so on the crop
 * @param box the object, in shares of the frame
 * @param lane whose canvas it is
 * @throws {Error} when the JPEG cannot be read
 */
export async function cropOnto(
  lane: Pick<Lane, 'canvas' | 'inputFor'>,
  jpeg: Uint8Array,
  box: Box,
): Promise<InputView> {
  const { width, height } = await sharp(jpeg).metadata()
  const region = regionOf(box, width, height)
  const view = checkedView(lane.inputFor(region.width, region.height))
  const { content } = view
  const pixels = await sharp(jpeg)
    .extract(region)
    .resize(content.width, content.height, { fit: 'fill', kernel: 'linear' })
    .toColourspace('srgb')
    .raw()
    .toBuffer()
  // The model was replaced meanwhile by one that takes another picture.
  if (lane.inputFor(region.width, region.height) !== view) return await cropOnto(lane, jpeg, box)
  paintCanvas(lane.canvas, view, inOrder(pixels, view), content.width * 3)
  return view
}

/** The widened box in whole pixels, within the picture and never empty. */
export function regionOf([left, top, w, h]: Box, width: number, height: number) {
  const clamp = (value: number, max: number) => Math.min(max, Math.max(0, value))
  const from = {
    x: clamp(Math.floor((left - w * widened) * width), width - 1),
    y: clamp(Math.floor((top - h * widened) * height), height - 1),
  }
  const to = {
    x: clamp(Math.ceil((left + w * (1 + widened)) * width), width),
    y: clamp(Math.ceil((top + h * (1 + widened)) * height), height),
  }
  return {
    left: from.x,
    top: from.y,
    width: Math.max(1, to.x - from.x),
    height: Math.max(1, to.y - from.y),
  }
}
