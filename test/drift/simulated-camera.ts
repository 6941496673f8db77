/**
 * A camera over days, drawn from a seed: a scene with what passes through it, its light over the hours, weather, and
 * whatever is done to it. It gives what a box would measure (gate picture, canvas, detections with scores like those
 * of a detector) to the box's own sketches, quickly enough for thousands of hours.
 */
import type { Detection, Sketch } from '@edgeloop/protocol'
import { gateHeight, gateWidth } from '../../edge-agent/src/cameras/camera.ts'
import { mixSeed, normal, type Random, seededRandom } from '../../edge-agent/src/demo/random.ts'
import { createScene } from '../../edge-agent/src/demo/scene.ts'
import { StreamSketch } from '../../edge-agent/src/sketches/stream-sketch.ts'

export const width = 320
export const height = 180
/** Pictures and analysed frames of a minute: fewer than of a real stream, so that hours take seconds. */
const picturesPerMinute = 3
const framesPerMinute = 12
const minuteMs = 60_000

/** What the world does by itself; none of it is drift. */
export type Habits = {
  /** Daylight, and infrared in the dark. */
  readonly outdoors?: boolean
  /** Objects a minute at each hour. */
  readonly trafficAt?: (hour: number) => number
  /** Octaves by which clouds change the light. */
  readonly clouds?: number
  /** Octaves by which exposure hunts, from picture to picture. */
  readonly flicker?: number
  /** Hours of rain: noise and streaks. */
  readonly rain?: (hour: number) => boolean
}

/** What was done to the camera or its scene; each from 0 (nothing) on. */
export type Injection = {
  /** Octaves of light, warmth, and share of contrast that is lost. */
  readonly light?: number
  readonly warmth?: number
  readonly haze?: number
  /** Shares of the picture. */
  readonly movedX?: number
  readonly movedY?: number
  /** Looks at another scene. */
  readonly elsewhere?: boolean
  /** Standard deviation, in pixels of 320. */
  readonly blur?: number
  /** Share of the width that is covered, and the grey of what covers it. */
  readonly covered?: number
  readonly cover?: number
  /** Traffic is multiplied by this. */
  readonly traffic?: number
  /** Share of the objects that the model does not know. */
  readonly unknown?: number
  /** Taken from the logit of every score. */
  readonly doubt?: number
  /** Objects come along another way, and in another size. */
  readonly lane?: number
  readonly scale?: number
}

type Thing = {
  readonly label: string
  readonly entersAt: number
  readonly leavesAt: number
  readonly y: number
  readonly size: number
  /** How well the model takes to it. */
  readonly logit: number
  readonly rgb: readonly [number, number, number]
}

/** Sketches minute by minute of a camera from `startAt` on; `done(at)` says what is done to it then. */
export function* simulatedSketches(options: {
  seed: number
  habits: Habits
  startAt: number
  minutes: number
  done: (minute: number) => Injection
}): Generator<Sketch> {
  const { seed, habits, startAt, minutes, done } = options
  const random = seededRandom(mixSeed(seed, 1))
  const home = drawScene(seed)
  const other = drawScene(seed + 7919)
  const sketch = new StreamSketch(minuteMs, () => 0.4)
  const canvas = new Frame(width, height, random)
  const gate = new Frame(gateWidth, gateHeight, random)
  const view = {
    width,
    height,
    channels: 'rgb' as const,
    pad: 0,
    content: { left: 0, top: 0, width, height },
  }
  let things: Thing[] = []
  let cloud = 0
  let drawn = ''
  let base = home
  let smallBase = halved(home, width, height)
  for (let minute = 0; minute < minutes; minute++) {
    const injection = done(minute)
    const hour = (startAt / 3_600_000 + minute / 60) % 24
    cloud = 0.97 * cloud + 0.24 * normal(random)
    const key = JSON.stringify([
      ...[injection.movedX, injection.movedY, injection.blur],
      ...[injection.covered, injection.cover, injection.elsewhere],
    ])
    if (key !== drawn) {
      base = changed(injection.elsewhere ? other : home, injection)
      smallBase = halved(base, width, height)
      drawn = key
    }
    const rate = (habits.trafficAt?.(hour) ?? 8) * (injection.traffic ?? 1)
    const arrivals = poisson(rate, random)
    for (let i = 0; i < arrivals; i++) {
      things.push(newThing(startAt + (minute + random()) * minuteMs, injection, random))
    }
    const from = startAt + minute * minuteMs
    things = things.filter(({ leavesAt }) => leavesAt > from)
    const light = lightAt(hour, habits, cloud, injection)
    for (let i = 0; i < framesPerMinute; i++) {
      const at = from + ((i + 0.5) * minuteMs) / framesPerMinute
      const there = things.filter((each) => each.entersAt <= at && each.leavesAt > at)
      if (i % (framesPerMinute / picturesPerMinute) === 0) {
        const flicker = (habits.flicker ?? 0) * normal(random)
        const rain = habits.rain?.(hour) ?? false
        const shown = { ...light, octaves: light.octaves + flicker, rain }
        gate.draw(smallBase, there, at, shown, injection)
        const ended = sketch.picture(gate.grey(), at)
        if (ended) yield asSketch(ended)
        if (i === 0) {
          canvas.draw(base, there, at, shown, injection)
          sketch.canvas(canvas.rgb, view, at)
        }
      }
      sketch.answer(answers(there, at, light, injection, random), modelDigest)
    }
  }
}

export const modelDigest = 'c0'.repeat(32)

const asSketch = ({
  at,
  ...rest
}: Omit<Sketch, 'sequence' | 'kind' | 'streamId' | 'at'> & { at: number }): Sketch => ({
  sequence: 1,
  kind: 'sketch',
  at: new Date(at).toISOString(),
  streamId: 'yard',
  ...rest,
})

type Light = { readonly octaves: number; readonly infrared: boolean; readonly noise: number }

function lightAt(
  hour: number,
  { outdoors, clouds = 0.04 }: Habits,
  cloud: number,
  injection: Injection,
): Light {
  const by = (injection.light ?? 0) + clouds * cloud
  if (!outdoors) return { octaves: by, infrared: false, noise: 3 }
  // Dawn from 6 to 7.5, dusk from 18 to 19.5; exposure takes up most of what comes between.
  const up = Math.max(0, Math.min(1, (hour - 6) / 1.5))
  const down = Math.max(0, Math.min(1, (19.5 - hour) / 1.5))
  const day = Math.min(up, down)
  if (day < 0.15) return { octaves: -0.9 + 0.3 * by, infrared: true, noise: 7 }
  return { octaves: -0.9 * (1 - day) + by, infrared: false, noise: 3 + 4 * (1 - day) }
}

function newThing(
  entersAt: number,
  { unknown = 0, lane = 0, scale = 1 }: Injection,
  random: Random,
): Thing {
  const isUnknown = random() < unknown
  const kind = random()
  const label = isUnknown ? 'crate' : kind < 0.5 ? 'car' : kind < 0.85 ? 'person' : 'truck'
  const size =
    (label === 'person' ? 0.1 : label === 'truck' ? 0.22 : 0.15) * (0.85 + 0.3 * random()) * scale
  return {
    label: isUnknown ? (random() < 0.6 ? 'truck' : 'car') : label,
    entersAt,
    leavesAt: entersAt + (10_000 + 20_000 * random()),
    y: Math.min(0.9, 0.45 + 0.25 * random() + lane),
    size,
    logit: 1.6 + 0.8 * normal(random) - (isUnknown ? 2 : 0),
    rgb: [60 + 150 * random(), 60 + 150 * random(), 60 + 150 * random()],
  }
}

const placeOf = ({ entersAt, leavesAt }: Thing, at: number): number =>
  (at - entersAt) / (leavesAt - entersAt)

/** What a detector says: it doubts in bad light, in blur and in noise, and sees none behind a cover. */
function answers(
  things: readonly Thing[],
  at: number,
  light: Light,
  injection: Injection,
  random: Random,
): Detection[] {
  const {
    doubt = 0,
    blur = 0,
    covered = 0,
    movedX = 0,
    movedY = 0,
    haze = 0,
    elsewhere,
  } = injection
  const harm =
    doubt + 0.35 * Math.abs(light.octaves) + 0.5 * blur + 1.5 * haze + 0.08 * (light.noise - 3)
  const found: Detection[] = []
  for (const thing of things) {
    const { label, size, logit } = thing
    const x = placeOf(thing, at) - movedX
    const y = thing.y - movedY + (elsewhere ? -0.3 : 0)
    if (x < covered || x < 0 || x > 1 || y < 0 || y > 1 - size) continue
    const score = 1 / (1 + Math.exp(-(logit - harm + 0.5 * normal(random))))
    if (score < 0.2) continue
    const left = Math.max(0, Math.min(1 - size, x - size / 2))
    found.push({ label, score, box: [left, y, size, size] })
  }
  if (random() < 0.03) {
    found.push({
      label: 'person',
      score: 0.2 + 0.25 * random(),
      box: [random() * 0.9, random() * 0.9, 0.05, 0.1],
    })
  }
  return found
}

/** Every second seed a conveyor, as the demo draws it; otherwise a yard. */
function drawScene(seed: number): Uint8Array {
  return seed % 2 === 0 ? drawConveyor(seed) : drawYard(seed)
}

function drawConveyor(seed: number): Uint8Array {
  const scene = createScene({ seed, seconds: 10 })
  const large = new Uint8Array(scene.width * scene.height * 3)
  scene.render(0, large)
  return halved(large, scene.width, scene.height)
}

/** Every pixel the mean of four. */
function halved(large: Uint8Array, largeWidth: number, largeHeight: number): Uint8Array {
  const [w, h] = [largeWidth >> 1, largeHeight >> 1]
  const small = new Uint8Array(w * h * 3)
  for (let y = 0, to = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      for (let c = 0; c < 3; c++, to++) {
        const at = (y * 2 * largeWidth + x * 2) * 3 + c
        const below = at + largeWidth * 3
        small[to] = (large[at]! + large[at + 3]! + large[below]! + large[below + 3]!) >> 2
      }
    }
  }
  return small
}

function drawYard(seed: number): Uint8Array {
  const random = seededRandom(mixSeed(seed, 2))
  const picture = new Uint8Array(width * height * 3)
  const horizon = Math.floor(height * (0.25 + 0.15 * random()))
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const rgb = y < horizon ? [120, 150, 190] : [110, 105, 95]
      const grain = 8 * Math.sin(x * 0.37 + y * 0.11) + 6 * Math.sin(x * 0.05 * y * 0.03)
      for (let c = 0; c < 3; c++)
        picture[(y * width + x) * 3 + c] = rgb[c]! + (y < horizon ? 0 : grain)
    }
  }
  for (let i = 0; i < 26; i++) {
    const [w, h] = [12 + 60 * random(), 10 + 60 * random()]
    const [left, top] = [random() * width - 10, random() * height - 10]
    const rgb = [40 + 170 * random(), 40 + 170 * random(), 40 + 170 * random()]
    const stripes = random() < 0.5 ? 4 + Math.floor(10 * random()) : 0
    for (let y = Math.max(0, Math.floor(top)); y < Math.min(height, top + h); y++) {
      for (let x = Math.max(0, Math.floor(left)); x < Math.min(width, left + w); x++) {
        const shade = stripes > 0 && Math.floor((x - left) / stripes) % 2 === 0 ? 0.75 : 1
        for (let c = 0; c < 3; c++) picture[(y * width + x) * 3 + c] = rgb[c]! * shade
      }
    }
  }
  return picture
}

/** What stays as it is while the injection does: moved, blurred, covered. */
function changed(
  scene: Uint8Array,
  { movedX = 0, movedY = 0, covered = 0, cover = 20 }: Injection,
): Uint8Array {
  let picture = scene
  const [dx, dy] = [Math.round(movedX * width), Math.round(movedY * height)]
  if (dx !== 0 || dy !== 0) {
    const moved = new Uint8Array(scene.length)
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const [sx, sy] = [mirrored(x + dx, width), mirrored(y + dy, height)]
        const [to, from] = [(y * width + x) * 3, (sy * width + sx) * 3]
        for (let c = 0; c < 3; c++) moved[to + c] = picture[from + c]!
      }
    }
    picture = moved
  }
  if (covered > 0) {
    picture = picture.slice()
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < covered * width; x++)
        picture.fill(cover, (y * width + x) * 3, (y * width + x) * 3 + 3)
    }
  }
  return picture
}

const mirrored = (at: number, length: number): number =>
  at < 0 ? -at - 1 : at >= length ? 2 * length - 1 - at : at

function blurred(picture: Uint8Array, width: number, height: number, sigma: number): Uint8Array {
  const reach = Math.ceil(sigma * 3)
  const kernel = Array.from({ length: 2 * reach + 1 }, (_, i) =>
    Math.exp(-((i - reach) ** 2) / (2 * sigma * sigma)),
  )
  const whole = kernel.reduce((sum, each) => sum + each, 0)
  const along = (
    source: Uint8Array,
    step: number,
    length: number,
    atOf: (x: number, y: number) => number,
  ) => {
    const target = new Uint8Array(source.length)
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const place = step === 3 ? x : y
        for (let c = 0; c < 3; c++) {
          let sum = 0
          for (let k = -reach; k <= reach; k++) {
            const to = mirrored(place + k, length) - place
            sum += kernel[k + reach]! * source[atOf(x, y) + to * step + c]!
          }
          target[atOf(x, y) + c] = sum / whole
        }
      }
    }
    return target
  }
  const atOf = (x: number, y: number): number => (y * width + x) * 3
  return along(along(picture, 3, width, atOf), width * 3, height, atOf)
}

/** Noise drawn once: what is looked up costs a tenth. */
const noiseLength = 65_536
const noiseTable = ((): Int8Array => {
  const random = seededRandom(99)
  return Int8Array.from({ length: noiseLength }, () =>
    Math.round(16 * Math.max(-4, Math.min(4, normal(random)))),
  )
})()

/** A picture of one size, drawn again and again. */
class Frame {
  readonly rgb: Uint8Array
  readonly #grey: Uint8Array
  readonly #width: number
  readonly #height: number
  readonly #random: Random

  constructor(frameWidth: number, frameHeight: number, random: Random) {
    this.rgb = new Uint8Array(frameWidth * frameHeight * 3)
    this.#grey = new Uint8Array(frameWidth * frameHeight)
    this.#width = frameWidth
    this.#height = frameHeight
    this.#random = random
  }

  draw(
    base: Uint8Array,
    things: readonly Thing[],
    at: number,
    light: Light & { rain: boolean },
    { warmth = 0, haze = 0, covered = 0, blur = 0, movedX = 0, movedY = 0, elsewhere }: Injection,
  ): void {
    const { rgb } = this
    const [w, h] = [this.#width, this.#height]
    rgb.set(base)
    for (const thing of things) {
      const x = (placeOf(thing, at) - movedX) * w
      const y = (thing.y - movedY + (elsewhere ? -0.3 : 0)) * h
      const side = thing.size * h
      for (let py = Math.max(0, Math.floor(y)); py < Math.min(h, y + side); py++) {
        const from = Math.max(Math.ceil(covered * w), Math.floor(x - side / 2))
        for (let px = from; px < Math.min(w, x + side / 2); px++) {
          for (let c = 0; c < 3; c++) rgb[(py * w + px) * 3 + c] = thing.rgb[c]!
        }
      }
    }
    if (blur > 0) rgb.set(blurred(rgb, w, h, (blur * w) / width))
    const gains = [warmth / 2, 0, -warmth / 2].map((octaves) => 2 ** (light.octaves + octaves))
    const [reds, greens, blues] = gains.map((gain) =>
      Float32Array.from({ length: 256 }, (_, level) => (level * (1 - haze) + 150 * haze) * gain),
    ) as [Float32Array, Float32Array, Float32Array]
    // A pixel of half the size is the mean of four, and a box measures many more of those pictures in a minute.
    const calm = w === width ? 1 : 0.2
    const noise = ((light.noise + (light.rain ? 5 : 0)) / 16) * calm
    let draw = Math.floor(this.#random() * noiseLength)
    for (let i = 0; i < rgb.length; i += 3) {
      let red = reds[rgb[i]!]!
      let green = greens[rgb[i + 1]!]!
      let blue = blues[rgb[i + 2]!]!
      if (light.infrared) {
        green = (red + green + blue) / 3
        red = green
        blue = green
      }
      draw = (draw + 1) & (noiseLength - 1)
      const off = noise * noiseTable[draw]!
      rgb[i] = clamped(red + off)
      rgb[i + 1] = clamped(green + off)
      rgb[i + 2] = clamped(blue + off)
    }
    if (light.rain) this.#streaks()
  }

  grey(): Uint8Array {
    for (let i = 0; i < this.#grey.length; i++) this.#grey[i] = this.rgb[i * 3 + 1]!
    return this.#grey
  }

  #streaks(): void {
    const [w, h] = [this.#width, this.#height]
    for (let i = 0; i < 60; i++) {
      const x = Math.floor(this.#random() * w)
      const y = Math.floor(this.#random() * h * 0.9)
      for (let k = 0; k < h / 12; k++) {
        const at = (Math.min(h - 1, y + k) * w + x) * 3
        for (let c = 0; c < 3; c++) this.rgb[at + c] = clamped(this.rgb[at + c]! + 40)
      }
    }
  }
}

const clamped = (value: number): number => Math.max(0, Math.min(255, value))

function poisson(mean: number, random: Random): number {
  const limit = Math.exp(-mean)
  let [count, product] = [0, random()]
  while (product > limit && count < 1000) {
    count++
    product *= random()
  }
  return count
}
