/**
 * Decides which frames are worth an inference. Looks only at a 160×90 grey picture and at what the
 * scene looked like before: most cameras see nothing happen most of the time, and a gate costs a
 * few hundredths of a millisecond where a detector costs ten.
 */
import type { MotionGate as MotionGateConfig } from '@edgeloop/protocol'
import { gateHeight, gateWidth } from '../cameras/camera.ts'

export type MotionGateOptions = Required<MotionGateConfig>

/** Gate pixels of one side of a cell of `moving()`. */
const cellPixels = 10
/** Share of a cell's pixels that makes it a moving one. */
const cellShare = 0.12

/** A coarse grid over the picture; a cell is 1 where a good part of it differs from the background. */
export type MovingCells = {
  readonly columns: number
  readonly rows: number
  readonly cells: Uint8Array
}

export type GateDecision = {
  /** Whether the frame should be analysed. */
  readonly analyse: boolean
  readonly because: 'motion' | 'hold' | 'idle' | 'off' | 'still'
  /** Share (0..1) of the gate pixels that differ from the background. */
  readonly area: number
}

const pixels = gateWidth * gateHeight
/** How fast an unchanged pixel of the background follows slow light. */
const stillSettlesMs = 4_000
/** How fast a changed pixel does: what was put down becomes background after about this long. */
const changedSettlesMs = 30_000
/** A pixel must differ by at least this many deviations of the sensor's noise… */
const noiseDeviations = 3.5
/** …which raises `levelMin` to at most this much of itself: a picture full of change is no noise. */
const noiseRaiseMax = 1.5
/** Light and noise are measured on one pixel in this many (not a divisor of the width). */
const sampleStep = 7
/** Above this share the whole picture has changed (lights, exposure, camera moved): start over. */
const sceneCutArea = 0.6

/**
 * A gate with the scene's background as its memory. Deterministic: the same pictures and times give
 * the same decisions.
 */
export class MotionGate {
  readonly #options: MotionGateOptions
  #background: Float32Array | undefined
  readonly #changed = new Uint8Array(pixels)
  #isCompared = false
  #at = 0
  #movedAt = Number.NEGATIVE_INFINITY
  #analysedAt = Number.NEGATIVE_INFINITY

  constructor(options: MotionGateOptions) {
    this.#options = options
  }

  /**
   * Looks at the next picture.
   * @param grey 160×90 grey levels, row by row; not kept
   * @param at capture time in ms; not before the last one's
   */
  look(grey: Uint8Array, at: number): GateDecision {
    const { enabled, areaMin, holdMs, idleIntervalMs } = this.#options
    if (!enabled) return { analyse: true, because: 'off', area: 0 }
    const area = this.#compare(grey, at)
    if (area >= areaMin && area > 0) this.#movedAt = at
    const because =
      this.#movedAt === at
        ? 'motion'
        : at - this.#movedAt <= holdMs
          ? 'hold'
          : idleIntervalMs > 0 && at - this.#analysedAt >= idleIntervalMs
            ? 'idle'
            : 'still'
    if (because !== 'still') this.#analysedAt = at
    return { analyse: because !== 'still', because, area }
  }

  /** Where the last picture differed from the background; undefined where that is not known, or all of it did. */
  get moving(): MovingCells | undefined {
    if (!this.#isCompared) return undefined
    const [columns, rows] = [gateWidth / cellPixels, gateHeight / cellPixels]
    const cells = new Uint8Array(columns * rows)
    const enough = cellPixels ** 2 * cellShare
    // Asked with every frame that is analysed: what did not change is passed over by the machine's own search.
    const changed = this.#changed
    let i = changed.indexOf(1)
    while (i >= 0) {
      const x = i % gateWidth
      const end = i - (x % cellPixels) + cellPixels
      const cell = Math.floor(i / gateWidth / cellPixels) * columns + Math.floor(x / cellPixels)
      for (; i < end; i++) cells[cell]! += changed[i]!
      i = changed.indexOf(1, i)
    }
    for (let cell = 0; cell < cells.length; cell++) cells[cell] = cells[cell]! >= enough ? 1 : 0
    return { columns, rows, cells }
  }

  /** Share of pixels that differ from the background, which then takes in the picture. */
  #compare(grey: Uint8Array, at: number): number {
    const background = this.#background
    const elapsedMs = Math.max(0, at - this.#at)
    this.#at = at
    this.#isCompared = false
    if (!background) {
      this.#background = Float32Array.from(grey)
      return 0
    }
    const { levelMin } = this.#options
    const { light, noise } = stillPixels(grey, background, levelMin)
    const raised = Math.min(noise * noiseDeviations, levelMin * noiseRaiseMax)
    const count = this.#mark(grey, background, light, Math.max(levelMin, raised))
    if (count > pixels * sceneCutArea) {
      for (let i = 0; i < pixels; i++) background[i] = grey[i]!
      return count / pixels
    }
    this.#isCompared = true
    const still = 1 - Math.exp(-elapsedMs / stillSettlesMs)
    const changed = 1 - Math.exp(-elapsedMs / changedSettlesMs)
    for (let i = 0; i < pixels; i++) {
      const level = background[i]!
      background[i] = level + (grey[i]! - level) * (this.#changed[i] ? changed : still)
    }
    return count / pixels
  }

  /**
   * Marks what changed by `levelMin` or more beyond the change of light, and counts it. A changed
   * pixel alone among unchanged ones is sensor noise: it counts only beside another one.
   */
  #mark(grey: Uint8Array, background: Float32Array, light: number, levelMin: number): number {
    const changed = this.#changed
    let count = 0
    for (let y = 0, i = 0; y < gateHeight; y++) {
      for (let x = 0; x < gateWidth; x++, i++) {
        const differs = Math.abs(grey[i]! - background[i]! - light) >= levelMin ? 1 : 0
        changed[i] = differs
        if (differs && ((x > 0 && changed[i - 1]) || (y > 0 && changed[i - gateWidth]))) count++
      }
    }
    return count
  }
}

/**
 * What the pixels that are not themselves moving say, found in two passes: by how much the whole
 * picture got brighter or darker, and the deviation of its noise, both in grey levels.
 */
function stillPixels(
  grey: Uint8Array,
  background: Float32Array,
  levelMin: number,
): { light: number; noise: number } {
  let light = 0
  let noise = 0
  for (let pass = 0; pass < 2; pass++) {
    let sum = 0
    let sumAbsolute = 0
    let count = 0
    for (let i = 0; i < pixels; i += sampleStep) {
      const difference = grey[i]! - background[i]!
      const beyond = Math.abs(difference - light)
      if (pass === 1 && beyond >= levelMin) continue
      sum += difference
      sumAbsolute += beyond
      count++
    }
    if (count === 0) break
    light = sum / count
    // The mean absolute deviation of normal noise is √(2/π) of its standard deviation.
    noise = (sumAbsolute / count) * Math.sqrt(Math.PI / 2)
  }
  return { light, noise }
}
