/**
 * The parts on the demo belt: each kind is a little height map in pixels, lit from the upper left. A
 * defective part is rusty and damaged in the way its kind breaks.
 */
import { mixSeed, type Random, seededRandom, smoothStep, valueNoise } from './random.ts'
import { makeSprite, type Sprite } from './sprite.ts'

export const partKinds = ['bolt', 'nut', 'gear', 'washer', 'bracket'] as const
export type PartKind = (typeof partKinds)[number]

/** What a detector is to say: the kind of a good part, `defect` for a damaged one of any kind. */
export const demoLabels = [...partKinds, 'defect'] as const
export type DemoLabel = (typeof demoLabels)[number]

export type Part = {
  readonly kind: PartKind
  readonly defective: boolean
  /** Radians, clockwise on the screen. */
  readonly angle: number
  /** 1 is the kind's usual size. */
  readonly size: number
  /** Everything else about it: tint, rust, where it broke. */
  readonly seed: number
}

/** Side of the square that every part and its shadow fit in, in pixels. */
export const partPixels = 112

/** One point of a part: how far inside (negative) or outside, how high, how bright. */
type Point = { distance: number; height: number; tone: number }
type Shape = (x: number, y: number, broken: boolean, point: Point) => void

/** Twice as many points as pixels along each axis: smooth edges and smooth light. */
const oversampling = 2

const light = { x: -0.42, y: -0.56, z: 0.715 } as const

/** The part as it lies on the belt. */
export function drawPart(part: Part): Sprite {
  const random = seededRandom(part.seed)
  const size = partPixels * oversampling
  const { heights, covers, tones, rust } = sample(part, size, random)
  const base = tint(part.kind, random)
  const shine = part.kind === 'bracket' ? 0.16 : 0.5
  const cover = new Float32Array(partPixels * partPixels)
  const rgb = new Float32Array(partPixels * partPixels * 3)
  for (let y = 1; y < size - 1; y++) {
    for (let x = 1; x < size - 1; x++) {
      const at = y * size + x
      const share = covers[at]!
      if (share === 0) continue
      const slopeX = ((heights[at + 1]! - heights[at - 1]!) * oversampling) / 2
      const slopeY = ((heights[at + size]! - heights[at - size]!) * oversampling) / 2
      const length = Math.sqrt(slopeX * slopeX + slopeY * slopeY + 1)
      const facing = Math.max(0, (-slopeX * light.x - slopeY * light.y + light.z) / length)
      // Reflection towards the camera straight above: z of 2(n·l)n − l.
      const mirror = Math.max(0, (2 * facing) / length - light.z)
      const rusty = rust[at]!
      const gloss = shine * (1 - rusty) * mirror ** 10 * 255
      const lit = (0.3 + 0.85 * facing) * tones[at]!
      const to = (y >> 1) * partPixels + (x >> 1)
      const weight = share / oversampling ** 2
      cover[to]! += weight
      for (let c = 0; c < 3; c++) {
        const colour = base[c]! * (1 - rusty) + rustColour[c]! * rusty
        rgb[to * 3 + c]! += weight * (colour * lit + gloss)
      }
    }
  }
  for (let at = 0; at < cover.length; at++) {
    const share = cover[at]!
    if (share === 0) continue
    for (let c = 0; c < 3; c++) rgb[at * 3 + c]! /= share
  }
  return makeSprite(partPixels, partPixels, cover, rgb, {
    right: 4,
    down: 5,
    blur: 3,
    strength: 0.55,
  })
}

const rustColour = [158, 76, 26] as const

function sample(part: Part, size: number, random: Random) {
  const shape = shapes[part.kind]
  const heights = new Float32Array(size * size)
  const covers = new Float32Array(size * size)
  const tones = new Float32Array(size * size)
  const rust = new Float32Array(size * size)
  const stain = valueNoise(mixSeed(part.seed, 1))
  const grain = valueNoise(mixSeed(part.seed, 2))
  // From a few spots to nearly everything.
  const spread = 0.4 + 0.16 * random()
  const cosine = Math.cos(part.angle) / part.size
  const sine = Math.sin(part.angle) / part.size
  const point: Point = { distance: 0, height: 0, tone: 1 }
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const screenX = (column + 0.5 - size / 2) / oversampling
      const screenY = (row + 0.5 - size / 2) / oversampling
      const x = screenX * cosine + screenY * sine
      const y = -screenX * sine + screenY * cosine
      point.tone = 1
      shape(x, y, part.defective, point)
      const at = row * size + column
      covers[at] = Math.min(1, Math.max(0, 0.5 - point.distance * part.size * oversampling))
      if (covers[at] === 0) continue
      heights[at] = point.height * part.size
      tones[at] = point.tone * (0.94 + 0.12 * grain(x * 0.9, y * 0.9))
      if (!part.defective) continue
      const spot = 0.65 * stain(x * 0.085, y * 0.085) + 0.35 * stain(x * 0.27 + 40, y * 0.27)
      rust[at] = smoothStep((spot - spread + 0.1) / 0.14) * (0.7 + 0.3 * grain(x * 0.5, y * 0.5))
      heights[at]! += rust[at]! * 1.1 * grain(x * 0.7, y * 0.7)
    }
  }
  return { heights, covers, tones, rust }
}

/** The colour of a new part: metals of their kind, paint on brackets. */
function tint(kind: PartKind, random: Random): readonly number[] {
  const bright = 0.9 + 0.2 * random()
  const paint = brackets[Math.floor(random() * brackets.length)]!
  const colour = kind === 'bracket' ? paint : metals[kind]
  return colour.map((value) => value * bright + (random() - 0.5) * 10)
}

const metals = {
  bolt: [172, 178, 188],
  nut: [206, 166, 78],
  gear: [118, 128, 146],
  washer: [196, 200, 202],
} as const
const brackets = [
  [44, 106, 196],
  [36, 138, 150],
  [70, 92, 180],
] as const

/** Rises from the edge at `slope` up to `top`. */
const bevel = (distance: number, slope: number, top: number): number =>
  Math.min(top, Math.max(0, -distance) * slope)

const box = (
  x: number,
  y: number,
  halfWidth: number,
  halfHeight: number,
  round: number,
): number => {
  const outX = Math.abs(x) - halfWidth + round
  const outY = Math.abs(y) - halfHeight + round
  return (
    Math.hypot(Math.max(outX, 0), Math.max(outY, 0)) + Math.min(0, Math.max(outX, outY)) - round
  )
}

const hexagon = (x: number, y: number, inner: number): number => {
  const a = Math.abs(x)
  const b = Math.abs(y)
  return Math.max(a * 0.866025403784 + b * 0.5, b) - inner
}

const shapes: { readonly [K in PartKind]: Shape } = {
  /** Lies on its side: a head of six faces, a neck and a thread. */
  bolt(x, y, broken, point) {
    const bend = broken && x > 6 ? ((x - 6) * (x - 6)) / 95 : 0
    const across = y - bend
    const shank = box(x - 9, across, 28, 7.5, 2)
    const head = box(x + 26, y, 9, 16, 2)
    point.distance = Math.min(shank, head)
    if (head < 0) {
      point.height = bevel(head, 1.5, 15 - Math.max(0, Math.abs(y) - 8) * 0.9)
      point.tone = Math.abs(Math.abs(y) - 8) < 0.8 ? 0.8 : 1
      return
    }
    const thread = x > -6 ? Math.abs((((x + across * 0.22) / 3.6) % 1) - 0.5) * 2.2 : 0
    point.height = Math.sqrt(Math.max(0, 60 - across * across)) + thread
    point.tone = x > -6 ? 0.8 + 0.14 * thread : 1
  },
  nut(x, y, broken, point) {
    const radius = Math.hypot(x, y)
    const edge = Math.max(hexagon(x, y, 20), radius - 22.2)
    const crack = broken ? 2.6 - Math.abs(x - 2 + Math.sin(y * 0.8)) : -9
    point.distance = Math.max(edge, 10.5 - radius, y < 0 ? crack : -9)
    const chamfer = Math.max(0, radius - 18.5) * 0.9
    point.height = Math.max(0, bevel(edge, 1.6, 8) - chamfer)
    // The first turns of the thread, falling into the hole.
    if (radius < 13.5) {
      point.height -= (13.5 - radius) * 1.7
      point.tone = 0.62 + 0.12 * (Math.floor(radius * 1.3) % 2)
    }
  },
  gear(x, y, broken, point) {
    const radius = Math.hypot(x, y)
    const angle = Math.atan2(y, x)
    const wave = Math.cos(angle * 12) * 2.2
    // Three teeth are gone on a broken one.
    const lost = broken && angle > -0.5 && angle < 1.15
    const tooth = lost ? -3.4 + 0.8 * Math.sin(angle * 23) : 3 * Math.max(-1, Math.min(1, wave))
    const turn = Math.round((angle / Math.PI) * 2.5) * (Math.PI / 2.5)
    const spoke = 4.6 - Math.hypot(x - 16.5 * Math.cos(turn), y - 16.5 * Math.sin(turn))
    const edge = (radius - 28 - tooth) * 0.85
    point.distance = Math.max(edge, 6.2 - radius, spoke)
    point.height = bevel(point.distance, 1.3, 3.2)
    if (radius < 10.5) point.height = bevel(6.2 - radius, 1.4, 6)
    else if (radius > 23) point.height = bevel(edge, 1.3, 5.5)
    point.tone = radius > 23 || radius < 10.5 ? 1.08 : 0.84
  },
  washer(x, y, broken, point) {
    const radius = Math.hypot(x, y)
    const angle = Math.atan2(y, x)
    const cut = broken ? 3.4 - Math.abs(x * 0.4 + y - 3) : -9
    point.distance = Math.max(radius - 20.5, 9.5 - radius, x > 0 ? cut : -9)
    point.height = bevel(Math.max(radius - 20.5, 9.5 - radius), 0.9, 2.1)
    // Turned on a lathe: the light runs round the ring twice.
    point.tone = 0.92 + 0.16 * Math.cos(2 * angle + 1.1) + 0.03 * Math.cos(radius * 4)
  },
  bracket(x, y, broken, point) {
    const upright = box(x + 17, y, 10, 29, 4)
    const foot = box(x, y - 19, 28, 10, 4)
    const inner = Math.min(upright, foot)
    const holes = Math.min(
      Math.hypot(x + 17, y + 18),
      Math.hypot(x - 18, y - 19),
      Math.hypot(x + 17, y - 19),
    )
    // A corner is torn off a broken one.
    const torn = broken ? x - 13 + 0.35 * (y - 19) + 1.6 * Math.sin(y * 1.1) : -9
    point.distance = Math.max(inner, 4 - holes, torn)
    point.height = bevel(inner, 1.2, 3)
    if (holes < 7) {
      point.height += 0.6
      point.tone = 1.15
    }
    if (broken && torn > -2) point.tone = 0.7
  },
}
