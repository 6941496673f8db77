/** Noise of a sensor: to every byte something from a bell curve is added. */
import { drawsAt } from '../draws.ts'

/** Values of a bell curve of width 1 at evenly spaced shares: to draw is to look up. */
const bell = bellTable(4096)

/** @param sigma in steps of a byte */
export function addNoise(canvas: Uint8Array, sigma: number, seed: number): void {
  const draws = drawsAt(seed)
  for (let at = 0; at < canvas.length; at++) {
    const value = canvas[at]! + sigma * bell[(draws() * bell.length) | 0]!
    canvas[at] = value <= 0 ? 0 : value >= 255 ? 255 : value + 0.5
  }
}

/** Quantiles, found by walking along the sum of the curve. */
function bellTable(length: number): Float32Array {
  const table = new Float32Array(length)
  const step = 1e-4
  let [x, below] = [-5, 0]
  for (let at = 0; at < length; at++) {
    const wanted = (at + 0.5) / length
    while (below < wanted && x < 5) {
      below += (step * Math.exp(-(x * x) / 2)) / Math.sqrt(2 * Math.PI)
      x += step
    }
    table[at] = x
  }
  return table
}
