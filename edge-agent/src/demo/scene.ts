/**
 * The demo camera's world: parts of five kinds on a conveyor under a camera, some of them defective. It
 * is a pure function of a seed and a frame number, it closes upon itself, and it knows what is true:
 * every part's label, box and how much of it can be seen, so that a detector can be measured on it.
 */
import type { Box } from '@edgeloop/protocol'
import { beltBottom, beltTop, drawBelt, drawFloor, drawGantry } from './backdrop.ts'
import {
  type DemoLabel,
  drawPart,
  type Part,
  type PartKind,
  partKinds,
  partPixels,
} from './parts.ts'
import { mixSeed, normal, seededRandom, smoothStep } from './random.ts'
import { drawSprite, type Picture, type Sprite, stampSprite } from './sprite.ts'

export const sceneWidth = 640
export const sceneHeight = 360
export const sceneFps = 15

/** Raised whenever a seed looks different than before: cached clips are named after it. */
export const sceneVersion = 1

export type SceneOptions = {
  readonly seed: number
  /** Length of one loop; the last frame is followed by the first. At least 10. */
  readonly seconds: number
}

export type TruePart = {
  /** The same part has the same number in all frames of a loop. */
  readonly part: number
  readonly kind: PartKind
  readonly defective: boolean
  /** The kind, or `defect`. */
  readonly label: DemoLabel
  /** Around what can be seen of it, as shares of the frame. */
  readonly box: Box
  /** Visible pixels of all its pixels, 0..1: less below the gantry, below other parts, at the rims. */
  readonly visibleShare: number
}

export type Scene = {
  readonly width: number
  readonly height: number
  readonly fps: number
  /** Frames in one loop. */
  readonly frameCount: number
  /** Draws a frame (modulo the loop) into `rgb`, height × width × 3 bytes. */
  render(frame: number, rgb: Uint8Array): void
  /** Everything of which at least one pixel can be seen. */
  truth(frame: number): TruePart[]
}

/** Pixels a second while the belt runs. */
const beltSpeed = 66
const secondsMin = 10
/** How far left of the picture a part is put on the belt. */
const entry = partPixels
const gantryPixels = 26
/** Part numbers live in one byte of the id picture; 255 is the gantry, 0 is nothing. */
const partsMax = 250

/** @throws {RangeError} when the loop is too short */
export function createScene({ seed, seconds }: SceneOptions): Scene {
  if (!(seconds >= secondsMin)) {
    throw new RangeError(
      `Cannot make a demo scene of ${seconds} s: it takes at least ${secondsMin} s`,
    )
  }
  const frameCount = Math.round(seconds * sceneFps)
  const travel = beltTravel(seed, frameCount)
  const length = travel[frameCount]!
  const placed = placeParts(seed, length)
  const sprites: (Sprite | undefined)[] = placed.map(() => undefined)
  const spriteOf = (index: number): Sprite => (sprites[index] ??= drawPart(placed[index]!.part))
  const floor = drawFloor(seed, sceneWidth, sceneHeight)
  const belt = drawBelt(seed, length)
  const gantry = drawGantry(gantryPixels, sceneHeight)
  const gantryLeft = 150 + Math.floor(seededRandom(mixSeed(seed, 31))() * 320)
  const lighting = createLighting(seed, frameCount)
  const canvas = new Uint8ClampedArray(sceneWidth * sceneHeight * 3)

  const indexOf = (frame: number): number => ((frame % frameCount) + frameCount) % frameCount
  /** Parts in the picture, in the order in which they were laid down. */
  const present = (index: number) =>
    placed.flatMap(({ along, top }, part) => {
      const left = ((along + travel[index]!) % length) - entry
      return left < sceneWidth ? [{ part, left, top }] : []
    })

  return {
    width: sceneWidth,
    height: sceneHeight,
    fps: sceneFps,
    frameCount,
    render(frame, rgb) {
      const index = indexOf(frame)
      const picture: Picture = { width: sceneWidth, height: sceneHeight, rgb: canvas }
      canvas.set(floor.rgb)
      copyBelt(canvas, belt, travel[index]!)
      for (const { part, left, top } of present(index)) {
        drawSprite(picture, spriteOf(part), left, top)
      }
      drawSprite(picture, gantry, gantryLeft, 0)
      lighting(index, canvas, new Uint8ClampedArray(rgb.buffer, rgb.byteOffset, rgb.length))
    },
    truth(frame) {
      const shown = present(indexOf(frame))
      const ids = new Uint8Array(sceneWidth * sceneHeight)
      for (const { part, left, top } of shown) {
        stampSprite(ids, sceneWidth, sceneHeight, spriteOf(part), left, top, part + 1)
      }
      stampSprite(ids, sceneWidth, sceneHeight, gantry, gantryLeft, 0, 255)
      return shown.flatMap(({ part, left, top }) => {
        const seen = extent(ids, part + 1, left, top)
        if (seen === undefined) return []
        const { kind, defective } = placed[part]!.part
        const all = spriteOf(part).solid.reduce((sum, solid) => sum + solid, 0)
        return {
          part,
          kind,
          defective,
          label: defective ? 'defect' : kind,
          box: seen.box,
          visibleShare: seen.pixels / all,
        }
      })
    },
  }
}

/**
 * How far the belt has moved at each frame, whole pixels, one more entry than frames: it runs, slows down
 * to a stop twice a loop, and starts again.
 */
function beltTravel(seed: number, frameCount: number): Int32Array {
  const random = seededRandom(mixSeed(seed, 41))
  const stops = [0.3 + 0.1 * random(), 0.74 + 0.1 * random()].map((share) => ({
    middle: share * frameCount,
    half: frameCount * (0.04 + 0.025 * random()),
  }))
  const rampFrames = sceneFps * 0.8
  const travel = new Int32Array(frameCount + 1)
  let position = 0
  for (let frame = 0; frame < frameCount; frame++) {
    let speed = 1
    for (const { middle, half } of stops) {
      speed *= smoothStep((Math.abs(frame - middle) - half) / rampFrames)
    }
    position += (speed * beltSpeed) / sceneFps
    travel[frame + 1] = Math.round(position)
  }
  return travel
}

type Placed = { readonly part: Part; readonly along: number; readonly top: number }

/** Parts along the whole belt, some of them half on top of the one before. */
function placeParts(seed: number, length: number): Placed[] {
  const random = seededRandom(mixSeed(seed, 51))
  const placed: Placed[] = []
  const lane = beltBottom - beltTop - 84
  let across = random()
  for (let along = 0; along < length - 50 && placed.length < partsMax; ) {
    const kind = partKinds[Math.floor(random() * partKinds.length)]!
    const part: Part = {
      kind,
      defective: random() < 0.2,
      angle: random() * 2 * Math.PI,
      size: 0.9 + 0.25 * random(),
      seed: mixSeed(seed, 1000 + placed.length),
    }
    const top = Math.round(beltTop + 42 + across * lane - partPixels / 2)
    placed.push({ part, along: Math.round(along), top })
    if (random() < 0.16) {
      along += 24 + 14 * random()
      across = Math.min(1, Math.max(0, across + (random() - 0.5) * 0.25))
    } else {
      along += 46 + 46 * random()
      // At least a third of the belt away from the last one, so that most lie free.
      across = (across + 0.33 + 0.34 * random()) % 1
    }
  }
  return placed
}

function copyBelt(canvas: Uint8ClampedArray, belt: Picture, travelled: number): void {
  const first = (belt.width - (travelled % belt.width)) % belt.width
  for (let y = 0; y < belt.height; y++) {
    const row = y * belt.width
    let to = (beltTop + y) * sceneWidth * 3
    let from = first
    let left = sceneWidth
    while (left > 0) {
      const count = Math.min(left, belt.width - from)
      canvas.set(belt.rgb.subarray((row + from) * 3, (row + from + count) * 3), to)
      to += count * 3
      left -= count
      from = 0
    }
  }
}

type Lighting = (frame: number, from: Uint8ClampedArray, to: Uint8ClampedArray) => void

/**
 * Daylight that comes and goes, a tube that flickers now and then, someone who walks past the lamp, a
 * darker rim, and the noise of the sensor: all of it closes with the loop but the noise.
 */
function createLighting(seed: number, frameCount: number): Lighting {
  const random = seededRandom(mixSeed(seed, 61))
  const phase = random() * 2 * Math.PI
  const swing = 0.05 + 0.06 * random()
  const gain = 0.98 + 0.12 * random()
  const warmth = (random() - 0.5) * 0.08
  const red = Math.round((1 + warmth) * one)
  const blue = Math.round((1 - warmth) * one)
  const noiseDeviation = 2 + 2 * random()
  const flickers = [random(), random()].map((share) => share * frameCount)
  const passers = [random(), random()].map((share) => share * frameCount)
  const rim = vignette()
  const noise = noiseTile(mixSeed(seed, 62), noiseDeviation)
  const columns = new Float32Array(sceneWidth + sceneHeight)
  const levels = new Int32Array(columns.length)
  const gap = (frame: number, moment: number): number => {
    const distance = Math.abs(frame - moment)
    return Math.min(distance, frameCount - distance)
  }
  return (frame, from, to) => {
    const turn = (2 * Math.PI * frame) / frameCount
    let level = gain * (1 + swing * Math.sin(2 * turn + phase))
    for (const moment of flickers) {
      const distance = gap(frame, moment)
      if (distance < sceneFps) level *= distance % 3 < 1 ? 0.86 : 1
    }
    columns.fill(level)
    for (const moment of passers) {
      const seconds =
        (((frame - moment + 1.5 * frameCount) % frameCount) - frameCount / 2) / sceneFps
      if (Math.abs(seconds) > 4) continue
      // Crosses the picture in about five seconds, slanted, from right to left.
      const middle = sceneWidth * (0.5 - seconds / 5) + sceneHeight / 4
      for (let x = 0; x < columns.length; x++) {
        const distance = (x - middle) / 95
        columns[x]! *= 1 - 0.3 * Math.exp(-distance * distance)
      }
    }
    for (let x = 0; x < columns.length; x++) levels[x] = Math.round(columns[x]! * one)
    const start = mixSeed(mixSeed(seed, 63), frame)
    for (let y = 0; y < sceneHeight; y++) {
      // Each row begins elsewhere in the tile, so that no pattern can be seen.
      let grain = mixSeed(start, y) & noiseMask
      let pixel = y * sceneWidth
      let at = pixel * 3
      const slant = y >> 1
      for (let x = 0; x < sceneWidth; x++, pixel++, at += 3) {
        const share = (levels[x + slant]! * rim[pixel]!) >> oneBits
        const add = noise[grain]!
        grain = (grain + 1) & noiseMask
        to[at] = ((from[at]! * ((share * red) >> oneBits)) >> oneBits) + add
        to[at + 1] = ((from[at + 1]! * share) >> oneBits) + add
        to[at + 2] = ((from[at + 2]! * ((share * blue) >> oneBits)) >> oneBits) + add
      }
    }
  }
}

/** Light is counted in 1/1024, because whole numbers make the innermost loop twice as fast. */
const oneBits = 10
const one = 1 << oneBits

const noiseMask = 0xffff

function noiseTile(seed: number, deviation: number): Int8Array {
  const random = seededRandom(seed)
  const noise = new Int8Array(noiseMask + 1)
  for (let i = 0; i < noise.length; i++) noise[i] = Math.round(normal(random) * deviation)
  return noise
}

function vignette(): Int32Array {
  const rim = new Int32Array(sceneWidth * sceneHeight)
  for (let y = 0; y < sceneHeight; y++) {
    for (let x = 0; x < sceneWidth; x++) {
      const fromX = (x - sceneWidth * 0.46) / sceneWidth
      const fromY = (y - sceneHeight * 0.42) / sceneHeight
      const level = 1.12 - 0.75 * fromX * fromX - 0.55 * fromY * fromY
      rim[y * sceneWidth + x] = Math.round(level * one)
    }
  }
  return rim
}

/** Box and count of the pixels that carry `id`, looked for where the part was laid. */
function extent(
  ids: Uint8Array,
  id: number,
  left: number,
  top: number,
): { box: Box; pixels: number } | undefined {
  let pixels = 0
  let minX = sceneWidth
  let maxX = -1
  let minY = sceneHeight
  let maxY = -1
  for (let y = Math.max(0, top); y < Math.min(sceneHeight, top + partPixels); y++) {
    for (let x = Math.max(0, left); x < Math.min(sceneWidth, left + partPixels); x++) {
      if (ids[y * sceneWidth + x] !== id) continue
      pixels++
      if (x < minX) minX = x
      if (x > maxX) maxX = x
      if (y < minY) minY = y
      maxY = y
    }
  }
  if (pixels === 0) return undefined
  return {
    pixels,
    box: [
      minX / sceneWidth,
      minY / sceneHeight,
      (maxX + 1 - minX) / sceneWidth,
      (maxY + 1 - minY) / sceneHeight,
    ],
  }
}
