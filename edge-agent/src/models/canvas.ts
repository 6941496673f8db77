/**
 * The model's canvas: where a source frame lands on it, how its bytes become the tensor the model
 * takes, and the way back from canvas pixels to shares of the source frame. Pure.
 */
import type { Box } from '@edgeloop/protocol'
import type { InputView } from '../cameras/camera.ts'

/** How a source frame is brought to the size of the canvas. */
export const fits = ['letterbox-topleft', 'letterbox-center', 'stretch'] as const
export type Fit = (typeof fits)[number]

export const tensorLayouts = ['nchw', 'nhwc'] as const
export type TensorLayout = (typeof tensorLayouts)[number]

/** What a model takes: canvas size in pixels and what is done to the bytes, `(byte - mean) / std`. */
export type InputSpec = {
  readonly width: number
  readonly height: number
  readonly channels: 'rgb' | 'bgr'
  readonly fit: Fit
  /** Byte value of what the frame does not cover. */
  readonly pad: number
  /** Per channel, in the order of `channels`, in byte units (0..255). */
  readonly mean: readonly [number, number, number]
  readonly std: readonly [number, number, number]
  readonly layout: TensorLayout
  /** One channel, the canvas's brightness; `mean` and `std` are their first numbers. */
  readonly gray?: true
  readonly type: 'float32' | 'uint8'
}

/**
 * Where a source frame of this size lands on the canvas.
 * @throws {RangeError} when the source has no pixels
 */
export function placeFrame(spec: InputSpec, sourceWidth: number, sourceHeight: number): InputView {
  if (!(sourceWidth > 0 && sourceHeight > 0)) {
    throw new RangeError(`Cannot place a frame of ${sourceWidth}×${sourceHeight} pixels`)
  }
  const { width, height, channels, pad } = spec
  const content = contentOf(spec, sourceWidth, sourceHeight)
  return { width, height, channels, content, pad }
}

function contentOf({ fit, width, height }: InputSpec, sourceWidth: number, sourceHeight: number) {
  if (fit === 'stretch') return { left: 0, top: 0, width, height }
  const scale = Math.min(width / sourceWidth, height / sourceHeight)
  // A very long and thin frame still covers a pixel, or there would be nothing to look at.
  const content = {
    width: Math.max(1, Math.min(width, Math.round(sourceWidth * scale))),
    height: Math.max(1, Math.min(height, Math.round(sourceHeight * scale))),
  }
  if (fit === 'letterbox-topleft') return { left: 0, top: 0, ...content }
  return {
    left: (width - content.width) >> 1,
    top: (height - content.height) >> 1,
    ...content,
  }
}

/** Steps per unit that box shares are rounded to: finer than a pixel of any camera. */
const shareSteps = 1e5

/**
 * A box in canvas pixels as shares (0..1) of the source frame, cut at the frame's edges; undefined
 * where nothing of it lies on the frame.
 */
export function toSourceBox(
  view: InputView,
  left: number,
  top: number,
  right: number,
  bottom: number,
): Box | undefined {
  const { content } = view
  const l = share(left - content.left, content.width)
  const t = share(top - content.top, content.height)
  const w = rounded(share(right - content.left, content.width) - l)
  const h = rounded(share(bottom - content.top, content.height) - t)
  return w > 0 && h > 0 ? [l, t, w, h] : undefined
}

function share(pixels: number, size: number): number {
  return rounded(Math.min(1, Math.max(0, pixels / size)))
}

function rounded(value: number): number {
  return Math.round(value * shareSteps) / shareSteps
}

/** Writes a canvas (height × width × 3 bytes) into a tensor buffer of the same length. */
export type TensorWriter = (canvas: Uint8Array, target: Float32Array | Uint8Array) => void

/** Makes the function that turns a canvas into the tensor a model takes; both may be shared memory. */
export function tensorWriter(spec: InputSpec): TensorWriter {
  if (spec.gray) return brightness(spec)
  const scale = spec.std.map((std) => 1 / std)
  const shift = spec.mean.map((mean, channel) => -mean * (scale[channel] ?? 1))
  const pixels = spec.width * spec.height
  const asIs = scale.every((factor) => factor === 1) && spec.mean.every((mean) => mean === 0)
  if (spec.layout === 'nhwc') return asIs ? copy : interleaved(scale, shift)
  return asIs ? planes(pixels) : scaledPlanes(pixels, scale, shift)
}

/** ITU-R BT.601: how bright red, green and blue seem. */
const lumaShares = [0.299, 0.587, 0.114] as const

function brightness({ channels, mean: [mean], std: [std] }: InputSpec): TensorWriter {
  const [red, green, blue] = lumaShares
  const [first, third] = channels === 'rgb' ? [red, blue] : [blue, red]
  return (canvas, target) => {
    for (let pixel = 0, at = 0; pixel < target.length; pixel++, at += 3) {
      const level = canvas[at]! * first + canvas[at + 1]! * green + canvas[at + 2]! * third
      target[pixel] = (level - mean) / std
    }
  }
}

function copy(canvas: Uint8Array, target: Float32Array | Uint8Array): void {
  target.set(canvas)
}

function interleaved(scale: readonly number[], shift: readonly number[]): TensorWriter {
  const [scale0 = 1, scale1 = 1, scale2 = 1] = scale
  const [shift0 = 0, shift1 = 0, shift2 = 0] = shift
  return (canvas, target) => {
    for (let at = 0; at < target.length; at += 3) {
      target[at] = canvas[at]! * scale0 + shift0
      target[at + 1] = canvas[at + 1]! * scale1 + shift1
      target[at + 2] = canvas[at + 2]! * scale2 + shift2
    }
  }
}

/** Apart from `scaledPlanes`: arithmetic that changes nothing would take half as long again. */
function planes(pixels: number): TensorWriter {
  return (canvas, target) => {
    const first = target.subarray(0, pixels)
    const second = target.subarray(pixels, 2 * pixels)
    const third = target.subarray(2 * pixels)
    for (let pixel = 0, at = 0; pixel < pixels; pixel++, at += 3) {
      first[pixel] = canvas[at]!
      second[pixel] = canvas[at + 1]!
      third[pixel] = canvas[at + 2]!
    }
  }
}

function scaledPlanes(
  pixels: number,
  scale: readonly number[],
  shift: readonly number[],
): TensorWriter {
  const [scale0 = 1, scale1 = 1, scale2 = 1] = scale
  const [shift0 = 0, shift1 = 0, shift2 = 0] = shift
  return (canvas, target) => {
    // Views of the planes spare the loop two additions per pixel.
    const first = target.subarray(0, pixels)
    const second = target.subarray(pixels, 2 * pixels)
    const third = target.subarray(2 * pixels)
    for (let pixel = 0, at = 0; pixel < pixels; pixel++, at += 3) {
      first[pixel] = canvas[at]! * scale0 + shift0
      second[pixel] = canvas[at + 1]! * scale1 + shift1
      third[pixel] = canvas[at + 2]! * scale2 + shift2
    }
  }
}
