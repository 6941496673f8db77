/**
 * Colour and sharpness of a picture, from the canvas that the model is about to see: a few dozen of its rows, which
 * costs a tenth of a millisecond.
 */
import type { InputView } from '../cameras/camera.ts'

export type CanvasLook = {
  /** Mean of (largest - smallest channel), 0..255. */
  readonly saturation: number
  /** Octaves by which red exceeds green, and blue green. */
  readonly red: number
  readonly blue: number
  /** Rise of the strongest edges over two pixels as a share of that over eight; undefined where there is none. */
  readonly sharpness: number | undefined
}

const rowsMax = 48
/** Colour is looked at on one pixel in this many. */
const colourStep = 4
/** Half of the eight pixels over which an edge rises. */
const reach = 4
/** Share of the pixels that count as the strongest edges, and the least rise of an edge. */
const edgeShare = 0.01
const riseMin = 24
/** Fewer pixels on edges say nothing. */
const edgesMin = 20

/** @param canvas height × width × 3 bytes, as `view` says */
export function lookAtCanvas(canvas: Uint8Array, view: InputView): CanvasLook {
  const { content, width, channels } = view
  const step = Math.max(1, Math.floor(content.height / rowsMax))
  const rises = new Uint32Array(256)
  let seen = 0
  const [redAt, blueAt] = channels === 'rgb' ? [0, 2] : [2, 0]
  const sums = { red: 0, green: 0, blue: 0, spread: 0, pixels: 0 }
  for (let y = content.top; y < content.top + content.height; y += step) {
    const start = (y * width + content.left) * 3
    const end = start + content.width * 3
    for (let at = start; at < end; at += 3 * colourStep) {
      const red = canvas[at + redAt]!
      const green = canvas[at + 1]!
      const blue = canvas[at + blueAt]!
      sums.red += red
      sums.green += green
      sums.blue += blue
      sums.spread += Math.max(red, green, blue) - Math.min(red, green, blue)
      sums.pixels++
    }
    for (let at = start + reach * 3 + 1; at < end - reach * 3; at += 3) {
      rises[Math.abs(canvas[at + reach * 3]! - canvas[at - reach * 3]!)]!++
      seen++
    }
  }
  const { pixels } = sums
  const octaves = (sum: number): number => Math.log2((sum / pixels + 1) / (sums.green / pixels + 1))
  return {
    saturation: sums.spread / pixels,
    red: octaves(sums.red),
    blue: octaves(sums.blue),
    sharpness: sharpnessOf(canvas, view, step, strongOf(rises, seen)),
  }
}

/** The rise from which an edge is one of the strongest. */
function strongOf(rises: Uint32Array, seen: number): number {
  let above = 0
  for (let rise = 255; rise > riseMin; rise--) {
    above += rises[rise]!
    if (above >= seen * edgeShare) return rise
  }
  return riseMin
}

function sharpnessOf(
  canvas: Uint8Array,
  { content, width }: InputView,
  step: number,
  strong: number,
): number | undefined {
  let steepest = 0
  let whole = 0
  let edges = 0
  for (let y = content.top; y < content.top + content.height; y += step) {
    const start = (y * width + content.left) * 3
    const end = start + content.width * 3
    for (let at = start + reach * 3 + 1; at < end - reach * 3; at += 3) {
      const rise = Math.abs(canvas[at + reach * 3]! - canvas[at - reach * 3]!)
      if (rise < strong) continue
      let most = 0
      for (let near = at - reach * 3 + 3; near <= at + reach * 3 - 3; near += 3) {
        most = Math.max(most, Math.abs(canvas[near + 3]! - canvas[near - 3]!))
      }
      steepest += Math.min(most, rise)
      whole += rise
      edges++
    }
  }
  return edges < edgesMin ? undefined : steepest / whole
}
