/** The model's canvas: the scaled frame in its rectangle, the padding around it. */
import type { InputView } from './camera.ts'

/** Bytes that `input()` writes for this view. */
export const canvasBytes = (view: InputView): number => view.width * view.height * 3

/**
 * Writes the whole canvas (height × width × 3, row by row) into `target`.
 * @param pixels the frame scaled to `view.content`, 3 bytes a pixel in the view's channel order
 * @param stride bytes from one row of `pixels` to the next
 * @throws {RangeError} where `target` is smaller than the canvas
 */
export function paintCanvas(
  target: Uint8Array,
  view: InputView,
  pixels: Buffer,
  stride: number,
): void {
  const { left, top, width, height } = view.content
  const sizeBytes = canvasBytes(view)
  if (target.length < sizeBytes) {
    throw new RangeError(
      `Cannot write the model's input: ${view.width}×${view.height} takes ${sizeBytes} bytes, the target has ${target.length}`,
    )
  }
  const row = view.width * 3
  const used = width * 3
  if (used === row) {
    pad(target, view.pad, 0, top * row)
    pad(target, view.pad, (top + height) * row, sizeBytes)
    if (stride === row) {
      pixels.copy(target, top * row, 0, height * row)
      return
    }
  } else {
    pad(target, view.pad, 0, sizeBytes)
  }
  for (let y = 0; y < height; y++) {
    pixels.copy(target, (top + y) * row + left * 3, y * stride, y * stride + used)
  }
}

const padBlockBytes = 16 << 10

/** Copies a block again and again: in shared memory that takes a fifth of what `fill()` does (measured). */
function pad(target: Uint8Array, level: number, from: number, to: number): void {
  if (from >= to) return
  const block = Buffer.alloc(Math.min(padBlockBytes, to - from), level)
  for (let at = from; at < to; at += block.length) block.copy(target, at, 0, to - at)
}

/**
 * The view, if what `inputFor` returned can be painted.
 * @throws {RangeError} where the content does not lie within the canvas: a fault of the caller
 */
export function checkedView(view: InputView): InputView {
  const { left, top, width, height } = view.content
  const whole = [view.width, view.height, left, top, width, height].every(Number.isInteger)
  const inside = left >= 0 && top >= 0 && left + width <= view.width && top + height <= view.height
  if (!whole || !inside || width < 1 || height < 1) {
    throw new RangeError(
      `Cannot place the frame on the model's canvas: content ${width}×${height} at ${left},${top} does not fit ${view.width}×${view.height}`,
    )
  }
  return view
}

/** Size of a picture scaled down to at most `widthMax`, its shape kept. */
export function sizeWithin(
  width: number,
  height: number,
  widthMax: number,
): { readonly width: number; readonly height: number } {
  const to = Math.max(1, Math.min(width, Math.floor(widthMax)))
  return { width: to, height: Math.max(1, Math.round((height * to) / width)) }
}
