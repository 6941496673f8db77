/**
 * The world of `npm run loop`: belts with parts under cameras, as a pure function of seed, time and conditions. It knows
 * what is true in every frame, and it changes when it is told to: other light, a camera that was pushed, a part that was
 * not made before. Each frame carries its number in a strip at its rim, as cameras burn in the time, so that whoever
 * has the picture can look up what is true in it.
 */
import type { Box } from '@edgeloop/protocol'
import { beltBottom, beltTop, drawBelt, drawFloor } from '../../edge-agent/src/demo/backdrop.ts'
import { drawPart, type PartKind, partPixels } from '../../edge-agent/src/demo/parts.ts'
import { mixSeed, normal, seededRandom } from '../../edge-agent/src/demo/random.ts'
import { drawSprite, type Sprite, stampSprite } from '../../edge-agent/src/demo/sprite.ts'

/** Of a picture as the camera gives it. */
export const frameWidth = 512
export const frameHeight = 288
/** Frames are numbered at this rate; a camera shows the number that the time is at. */
export const worldFps = 15

/** What the plant has in its catalogue; the last one is not made in the beginning. */
export const worldLabels = [
  'bolt',
  'nut',
  'gear',
  'washer',
  'bracket',
] as const satisfies PartKind[]
export type WorldLabel = (typeof worldLabels)[number]
const oldKinds = worldLabels.slice(0, 4)
const newKind = 'bracket'

/** What may change. Everything at 0 is how it was in the beginning; 1 is the drift in full. */
export type Conditions = {
  /** From daylight to a dim, yellow lamp. */
  readonly light: number
  /** The camera was pushed: nearer, turned and shifted. */
  readonly moved: number
  /** The new part comes along the belt too: share (0..1) of its usual frequency. */
  readonly part: number
}

export const undrifted: Conditions = { light: 0, moved: 0, part: 0 }

/** What happens, one after the other; what has happened stays. */
export const drifts = [
  { name: 'light', title: 'the light changes', conditions: { light: 1, moved: 0, part: 0 } },
  { name: 'camera', title: 'the cameras are pushed', conditions: { light: 1, moved: 1, part: 0 } },
  { name: 'part', title: 'a new part is made', conditions: { light: 1, moved: 1, part: 1 } },
] as const satisfies readonly { name: string; title: string; conditions: Conditions }[]

export type TrueThing = {
  readonly label: WorldLabel
  /** Around what can be seen of it, as shares of the frame. */
  readonly box: Box
  /** Of all its pixels those that are in the picture and not covered, 0..1. */
  readonly visibleShare: number
  /** Its place on the belt: one part has the same in every frame. */
  readonly slot: number
}

/** Things that show less of themselves are neither right nor wrong to find. */
export const visibleShareMin = 0.5

export type BeltOptions = {
  /** Of the plant: its parts look alike on every belt. */
  readonly seed: number
  /** Which belt of the plant: each has its own rubber, speed, camera and dust. */
  readonly belt: number
}

export type BeltWorld = {
  /** Draws frame `frame` (0 and up) into `rgb`, frameHeight × frameWidth × 3 bytes, its number in the strip. */
  render(frame: number, conditions: Conditions, rgb: Uint8Array): void
  /** All of which at least a pixel can be seen. */
  truth(frame: number, conditions: Conditions): TrueThing[]
}

const sceneWidth = 640
const sceneHeight = 360
const beltLength = 1440
/** Mean distance of two parts along the belt, in pixels of the scene. */
const pitch = 60
/** Ways a part of one kind may lie and look; the same on every belt of a plant. */
const variants = 40
/** Share of the new part among all, once it is made. */
const newShare = 0.3

/** Belts and floors are drawn once; a plant's parts when they are first seen. */
export function createBelt({ seed, belt }: BeltOptions): BeltWorld {
  const own = mixSeed(seed, 100 + belt)
  const random = seededRandom(mixSeed(own, 1))
  const speed = 50 + 24 * random()
  const pose = { zoom: 0.97 + 0.08 * random(), turn: (random() - 0.5) * 0.06 }
  const tone = { gain: 0.95 + 0.1 * random(), warmth: (random() - 0.5) * 0.06 }
  const floor = drawFloor(own, sceneWidth, sceneHeight)
  const rubber = drawBelt(own, beltLength)
  const parts = partsOf(seed)
  const noise = noiseTile(mixSeed(own, 2))
  const scene = new Uint8ClampedArray(sceneWidth * sceneHeight * 3)
  const views = new Map<number, View>()
  const viewAt = (moved: number): View => {
    const found = views.get(moved)
    if (found) return found
    const view = viewOf({
      zoom: pose.zoom * (1 + 0.62 * moved),
      turn: pose.turn + 0.45 * moved,
      right: 34 * moved,
      down: -16 * moved,
    })
    views.set(moved, view)
    return view
  }

  /** Parts in the scene, in the order in which they were laid down. */
  const present = (frame: number, { part }: Conditions) => {
    // Nobody sees the first part come.
    const travel = 10_000 + Math.floor((frame * speed) / worldFps)
    const last = Math.floor(travel / pitch)
    const first = Math.floor((travel - sceneWidth - 2 * partPixels) / pitch)
    const laid = []
    for (let slot = first; slot <= last; slot++) {
      const chance = seededRandom(mixSeed(own, slot))
      const along = slot * pitch + Math.floor(chance() * 26)
      const isNew = chance() < newShare * part
      const kind = isNew ? newKind : oldKinds[Math.floor(chance() * oldKinds.length)]!
      const lane = (slot % 3) / 2
      const room = beltBottom - beltTop - 84
      const across = Math.min(1, Math.max(0, lane + (chance() - 0.5) * 0.3))
      laid.push({
        kind,
        slot,
        sprite: parts(kind, Math.floor(chance() * variants)),
        left: travel - along - partPixels,
        top: Math.round(beltTop + 42 + across * room - partPixels / 2),
      })
    }
    return { travel, laid }
  }

  return {
    render(frame, conditions, rgb) {
      const { travel, laid } = present(frame, conditions)
      scene.set(floor.rgb)
      copyBelt(scene, rubber.rgb, travel)
      const picture = { width: sceneWidth, height: sceneHeight, rgb: scene }
      for (const { sprite, left, top } of laid) drawSprite(picture, sprite, left, top)
      // Clouds pass, on every belt at another time.
      const day = 1 + 0.07 * Math.sin(frame / (worldFps * 7) + belt)
      const levels = levelsOf(conditions.light, { ...tone, gain: tone.gain * day })
      const grain = 1 + conditions.light
      look(viewAt(conditions.moved), scene, levels, rgb, (at) => {
        return noise[(mixSeed(frame, at >> 8) + at) & noiseMask]! * grain
      })
      writeNumber(rgb, frame)
    },
    truth(frame, conditions) {
      const { laid } = present(frame, conditions)
      const ids = new Uint8Array(sceneWidth * sceneHeight)
      for (const [at, { sprite, left, top }] of laid.entries()) {
        stampSprite(ids, sceneWidth, sceneHeight, sprite, left, top, at + 1)
      }
      const view = viewAt(conditions.moved)
      return extents(view, ids, laid.length).flatMap((seen, at) => {
        const { kind, slot, sprite } = laid[at]!
        if (!seen) return []
        const whole = sprite.solid.reduce((sum, solid) => sum + solid, 0) * view.area
        const visibleShare = Math.min(1, seen.pixels / whole)
        return [{ label: kind, box: seen.box, visibleShare, slot }]
      })
    },
  }
}

/** A plant's parts, drawn when first asked for. */
function partsOf(seed: number): (kind: WorldLabel, variant: number) => Sprite {
  const drawn = new Map<string, Sprite>()
  return (kind, variant) => {
    const name = `${kind} ${variant}`
    const found = drawn.get(name)
    if (found) return found
    const of = mixSeed(mixSeed(seed, worldLabels.indexOf(kind) + 7), variant)
    const random = seededRandom(of)
    const sprite = drawPart({
      kind,
      defective: false,
      seed: mixSeed(of, 1),
      angle: random() * 2 * Math.PI,
      size: 0.9 + 0.25 * random(),
    })
    drawn.set(name, sprite)
    return sprite
  }
}

function copyBelt(scene: Uint8ClampedArray, rubber: ArrayLike<number>, travelled: number): void {
  const strip = rubber as Uint8ClampedArray
  const first = (beltLength - (travelled % beltLength)) % beltLength
  for (let y = 0; y < beltBottom - beltTop; y++) {
    let to = (beltTop + y) * sceneWidth * 3
    for (let from = first, left = sceneWidth; left > 0; from = 0) {
      const count = Math.min(left, beltLength - from)
      const start = (y * beltLength + from) * 3
      scene.set(strip.subarray(start, start + count * 3), to)
      to += count * 3
      left -= count
    }
  }
}

/** Where each pixel of the picture comes from, in 1/256 pixels of the scene. */
type View = { readonly x: Int32Array; readonly y: Int32Array; readonly area: number }

/** The camera turns around the middle of the scene; what lies beyond the scene is its rim. */
function viewOf(pose: { zoom: number; turn: number; right: number; down: number }): View {
  const scale = frameWidth / sceneWidth
  const step = 1 / (scale * pose.zoom)
  const [cosine, sine] = [Math.cos(pose.turn) * step, Math.sin(pose.turn) * step]
  const x = new Int32Array(frameWidth * frameHeight)
  const y = new Int32Array(frameWidth * frameHeight)
  for (let row = 0, at = 0; row < frameHeight; row++) {
    for (let column = 0; column < frameWidth; column++, at++) {
      const fromX = column + 0.5 - frameWidth / 2
      const fromY = row + 0.5 - frameHeight / 2
      const sceneX = sceneWidth / 2 + pose.right + fromX * cosine - fromY * sine - 0.5
      const sceneY = sceneHeight / 2 + pose.down + fromX * sine + fromY * cosine - 0.5
      x[at] = Math.round(256 * Math.min(sceneWidth - 1.01, Math.max(0, sceneX)))
      y[at] = Math.round(256 * Math.min(sceneHeight - 1.01, Math.max(0, sceneY)))
    }
  }
  return { x, y, area: (scale * pose.zoom) ** 2 }
}

/** What the sensor makes of each level of red, green and blue. */
function levelsOf(light: number, tone: { gain: number; warmth: number }): readonly Uint8Array[] {
  const lamp = [0.9, 0.74, 0.54]
  const day = [1 + tone.warmth, 1, 1 - tone.warmth]
  return day.map((colour, channel) => {
    const gain = tone.gain * (colour + (lamp[channel]! - colour) * light)
    // The lamp leaves dark things dark: contrast goes as well.
    const power = 1 + 0.2 * light
    return Uint8Array.from({ length: 256 }, (_, value) =>
      Math.min(255, Math.round(255 * gain * (value / 255) ** power)),
    )
  })
}

/** Samples the scene between its pixels, with a darker rim, in the light of the levels. */
function look(
  { x, y }: View,
  scene: Uint8ClampedArray,
  levels: readonly Uint8Array[],
  rgb: Uint8Array,
  noiseAt: (pixel: number) => number,
): void {
  const row = sceneWidth * 3
  const clamped = new Uint8ClampedArray(rgb.buffer, rgb.byteOffset, rgb.length)
  for (let at = 0, to = 0; at < x.length; at++) {
    const shareX = x[at]! & 255
    const shareY = y[at]! & 255
    const from = (y[at]! >> 8) * row + (x[at]! >> 8) * 3
    const grain = noiseAt(at)
    const rim = rims[at]!
    for (let channel = 0; channel < 3; channel++, to++) {
      const corner = from + channel
      const top = scene[corner]! * (256 - shareX) + scene[corner + 3]! * shareX
      const bottom = scene[corner + row]! * (256 - shareX) + scene[corner + row + 3]! * shareX
      const value = (top * (256 - shareY) + bottom * shareY) >> 16
      const lit = ((levels[channel]![value]! * rim) >> 8) + grain
      clamped[to] = lit
    }
  }
}

/** How bright the lens leaves each pixel, in 1/256. */
const rims = Int32Array.from({ length: frameWidth * frameHeight }, (_, at) => {
  const fromX = (at % frameWidth) / frameWidth - 0.47
  const fromY = Math.floor(at / frameWidth) / frameHeight - 0.45
  return Math.round(256 * (1.08 - 0.6 * fromX * fromX - 0.5 * fromY * fromY))
})

const noiseMask = 0xffff
function noiseTile(seed: number): Int8Array {
  const random = seededRandom(seed)
  return Int8Array.from({ length: noiseMask + 1 }, () => Math.round(normal(random) * 2.5))
}

/** Box and number of pixels of each id from 1; undefined for what cannot be seen. */
function extents({ x, y }: View, ids: Uint8Array, count: number) {
  const found = Array.from({ length: count }, () => ({
    pixels: 0,
    left: frameWidth,
    right: -1,
    top: frameHeight,
    bottom: -1,
  }))
  for (let row = 0, at = 0; row < frameHeight; row++) {
    for (let column = 0; column < frameWidth; column++, at++) {
      const id = ids[((y[at]! + 128) >> 8) * sceneWidth + ((x[at]! + 128) >> 8)]!
      const one = found[id - 1]
      if (!one) continue
      one.pixels++
      one.left = Math.min(one.left, column)
      one.right = Math.max(one.right, column)
      one.top = Math.min(one.top, row)
      one.bottom = row
    }
  }
  return found.map(({ pixels, left, right, top, bottom }) => {
    if (pixels === 0) return undefined
    const box: Box = [
      ...([left / frameWidth, top / frameHeight] as const),
      ...([(right + 1 - left) / frameWidth, (bottom + 1 - top) / frameHeight] as const),
    ]
    return { box, pixels }
  })
}

/** Side of a mark in the strip, in pixels; large enough for JPEG to leave it readable. */
const markPixels = 8
/** A frame's number, and a check of it. */
const numberBits = 24
const checkBits = 8

/** Black and white squares along the lower rim, most significant bit first. */
function writeNumber(rgb: Uint8Array, frame: number): void {
  const bits = bitsOf(frame)
  for (let y = frameHeight - markPixels; y < frameHeight; y++) {
    for (let x = 0; x < bits.length * markPixels; x++) {
      const value = bits[Math.floor(x / markPixels)] ? 235 : 20
      rgb.fill(value, (y * frameWidth + x) * 3, (y * frameWidth + x) * 3 + 3)
    }
  }
}

const bitsOf = (frame: number): boolean[] => [
  ...Array.from({ length: numberBits }, (_, at) => (frame >> (numberBits - 1 - at)) % 2 !== 0),
  ...Array.from({ length: checkBits }, (_, at) => (checkOf(frame) >> at) % 2 !== 0),
]
const checkOf = (frame: number): number => mixSeed(frame, 77) & 0xff

/**
 * The number of the frame that a picture shows, whatever size it was scaled to; undefined where none can be read.
 * @param rgb three bytes a pixel
 */
export function readNumber(rgb: Uint8Array, width: number, height: number): number | undefined {
  const y = Math.floor(((frameHeight - markPixels / 2) / frameHeight) * height)
  const isWhite = (mark: number): boolean => {
    const x = Math.floor((((mark + 0.5) * markPixels) / frameWidth) * width)
    return rgb[(y * width + x) * 3 + 1]! > 127
  }
  let frame = 0
  for (let mark = 0; mark < numberBits; mark++) frame = frame * 2 + (isWhite(mark) ? 1 : 0)
  return bitsOf(frame).every((bit, mark) => bit === isWhite(mark)) ? frame : undefined
}
