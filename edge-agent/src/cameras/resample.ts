/** A picture brought to a model's canvas here, where no decoder has made it for that canvas. */
import type { InputView } from './camera.ts'
import { paintCanvas } from './canvas.ts'

/** Red, green and blue, one byte each, rows without gaps. */
export type RgbPicture = {
  readonly pixels: Uint8Array
  readonly width: number
  readonly height: number
}

/**
 * Writes a whole picture onto a canvas: every pixel is the mean of what it covers. Costs a few ms for a large
 * picture, which is why decoders do it where they can.
 */
export function resampleOnto(target: Uint8Array, view: InputView, picture: RgbPicture): void {
  const { width, height } = view.content
  const scaled = Buffer.allocUnsafe(width * height * 3)
  const columns = spans(picture.width, width)
  const rows = spans(picture.height, height)
  const { pixels } = picture
  const [red, blue] = view.channels === 'rgb' ? [0, 2] : [2, 0]
  let at = 0
  for (let y = 0; y < height; y++) {
    const [top, bottom] = [rows[y]!, Math.max(rows[y + 1]!, rows[y]! + 1)]
    for (let x = 0; x < width; x++) {
      const [left, right] = [columns[x]!, Math.max(columns[x + 1]!, columns[x]! + 1)]
      let [r, g, b] = [0, 0, 0]
      for (let row = top; row < bottom; row++) {
        let from = (row * picture.width + left) * 3
        for (let column = left; column < right; column++, from += 3) {
          r += pixels[from]!
          g += pixels[from + 1]!
          b += pixels[from + 2]!
        }
      }
      const count = (bottom - top) * (right - left)
      scaled[at + red] = (r + count / 2) / count
      scaled[at + 1] = (g + count / 2) / count
      scaled[at + blue] = (b + count / 2) / count
      at += 3
    }
  }
  paintCanvas(target, view, scaled, width * 3)
}

/** Where each of `to` equal parts of `from` pixels begins; one more for the end. */
function spans(from: number, to: number): Int32Array {
  return Int32Array.from({ length: to + 1 }, (_, i) => Math.floor((i * from) / to))
}
