/** What the demo camera always sees: the floor, the rails, the belt itself and the gantry above it. */
import { mixSeed, seededRandom, valueNoise } from './random.ts'
import { makeSprite, type Picture, type Sprite } from './sprite.ts'

/** The belt's upper and lower edge, in pixels from the top. */
export const beltTop = 54
export const beltBottom = 314

/** Floor and rails, without the belt. */
export function drawFloor(seed: number, width: number, height: number): Picture {
  const rgb = new Uint8ClampedArray(width * height * 3)
  const stain = valueNoise(mixSeed(seed, 11))
  const grain = seededRandom(mixSeed(seed, 12))
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const soft = 0.6 * stain(x / 60, y / 60) + 0.4 * stain(x / 17 + 9, y / 17)
      const level = 96 + 26 * soft + 9 * (grain() - 0.5)
      paint(rgb, y * width + x, level, level * 0.985, level * 0.95)
    }
  }
  drawRail(rgb, width, beltTop - 26, beltTop)
  drawRail(rgb, width, beltBottom, beltBottom + 26)
  return { width, height, rgb }
}

/** An aluminium profile with a groove, screws at even distances and a striped edge towards the belt. */
function drawRail(rgb: Uint8ClampedArray, width: number, top: number, bottom: number): void {
  const above = top < beltTop
  for (let y = top; y < bottom; y++) {
    const across = (y - top + 0.5) / (bottom - top)
    const fromBelt = above ? bottom - 1 - y : y - top
    for (let x = 0; x < width; x++) {
      const at = y * width + x
      if (fromBelt < 6) {
        const stripe = (((x + (above ? y : -y)) % 24) + 24) % 24 < 12
        const shade = 1 - 0.35 * (fromBelt === 0 ? 1 : 0)
        if (stripe) paint(rgb, at, 214 * shade, 172 * shade, 36 * shade)
        else paint(rgb, at, 38 * shade, 38 * shade, 40 * shade)
        continue
      }
      const groove = Math.abs(across - (above ? 0.38 : 0.62)) < 0.09 ? -70 : 0
      const edge = y === top || y === bottom - 1 ? 34 : 0
      const level = 150 + 44 * Math.sin(across * Math.PI) + groove + edge
      paint(rgb, at, level * 0.97, level, level * 1.04)
      const screw = Math.hypot((x % 80) - 40, across * 26 - (above ? 10 : 16))
      if (screw < 4.5) {
        const slot = Math.abs((x % 80) - 40) < 0.9
        const shine = slot || screw > 3.7 ? 74 : 205 - 16 * screw
        paint(rgb, at, shine, shine, shine * 1.03)
      }
    }
  }
}

/**
 * The belt as one long strip that closes upon itself: rubber with a woven grain, streaks of wear, scuffs
 * and one splice, so that one sees it move.
 */
export function drawBelt(seed: number, length: number): Picture {
  const height = beltBottom - beltTop
  const rgb = new Uint8ClampedArray(length * height * 3)
  const random = seededRandom(mixSeed(seed, 21))
  const cell = length / Math.round(length / 12)
  const streak = valueNoise(mixSeed(seed, 22), Math.round(length / (cell * 10)))
  const blotch = valueNoise(mixSeed(seed, 23), Math.round(length / (cell * 2.5)))
  const streakCell = length / Math.round(length / (cell * 10))
  const blotchCell = length / Math.round(length / (cell * 2.5))
  const tone = 50 + 12 * random()
  const warm = 0.97 + 0.06 * random()
  const weave = length / Math.round(length / 6)
  for (let y = 0; y < height; y++) {
    const edge = Math.min(y, height - 1 - y)
    const shade = 1 - 0.5 * Math.exp(-edge / 7)
    for (let x = 0; x < length; x++) {
      const along = (((x / weave) % 1) + 1) % 1
      const across = (y / 6 + (Math.floor(x / weave) % 2) * 0.5) % 1
      const bump = Math.cos(2 * Math.PI * along) * Math.cos(2 * Math.PI * across)
      const wear = streak(x / streakCell, y / 5) - 0.5
      const dirt = blotch(x / blotchCell, y / 26) - 0.5
      const level = (tone + 3.4 * bump + 15 * wear + 15 * dirt + 5 * (random() - 0.5)) * shade
      paint(rgb, y * length + x, level * warm, level, level * (2.02 - warm))
    }
  }
  scuff(rgb, length, height, random)
  splice(rgb, length, height)
  return { width: length, height, rgb }
}

/** Pale scratches along the belt. */
function scuff(rgb: Uint8ClampedArray, length: number, height: number, random: () => number): void {
  for (let i = 0; i < length / 55; i++) {
    let y = random() * height
    const slope = (random() - 0.5) * 0.5
    const start = Math.floor(random() * length)
    const reach = 12 + random() * 60
    const pale = 8 + random() * 20
    for (let step = 0; step < reach; step++, y += slope) {
      const row = Math.floor(y)
      if (row < 2 || row >= height - 2) break
      const at = (row * length + ((start + step) % length)) * 3
      const fade = pale * Math.sin((Math.PI * step) / reach)
      for (let c = 0; c < 3; c++) rgb[at + c]! += fade
    }
  }
}

/** Where the belt's ends were joined: a slanted seam with rivets. */
function splice(rgb: Uint8ClampedArray, length: number, height: number): void {
  for (let y = 0; y < height; y++) {
    for (let k = 0; k < 26; k++) {
      const x = (Math.floor(length * 0.37) + k + Math.floor(y * 0.18)) % length
      const at = (y * length + x) * 3
      const rivet = Math.hypot((k - 13) * 1, (y % 20) - 10) < 3
      const change = rivet ? 62 : k === 0 || k === 25 ? -26 : k === 1 ? 16 : 7
      for (let c = 0; c < 3; c++) rgb[at + c]! += change
    }
  }
}

/** A beam across the belt that hides what passes below it, with the eye of a light barrier. */
export function drawGantry(width: number, height: number): Sprite {
  const margin = 20
  const pixels = (width + margin * 2) * height
  const cover = new Float32Array(pixels)
  const rgb = new Float32Array(pixels * 3)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * (width + margin * 2) + x + margin
      const across = (x + 0.5) / width
      const rim = x === 0 ? 46 : x === width - 1 ? -56 : 0
      const fold = Math.abs(across - 0.5) < 0.2 ? -20 : 0
      const level = 190 - 54 * across + rim + fold
      const bolt = Math.hypot(x - width / 2, (y % 60) - 30)
      const light = bolt < 3.2 ? (bolt < 2.3 ? 232 : 90) : level
      cover[at] = 1
      rgb[at * 3] = light
      rgb[at * 3 + 1] = light * 1.0
      rgb[at * 3 + 2] = light * 1.03
      const eye = Math.hypot(x - width / 2, y - beltTop + 13)
      if (eye < 8) {
        const glow = eye < 4 ? 1 : 0.12
        rgb[at * 3] = 40 + 40 * glow
        rgb[at * 3 + 1] = 44 + 200 * glow
        rgb[at * 3 + 2] = 48 + 90 * glow
      }
    }
  }
  return makeSprite(width + margin * 2, height, cover, rgb, {
    right: 12,
    down: 0,
    blur: 4,
    strength: 0.6,
  })
}

function paint(rgb: Uint8ClampedArray, at: number, red: number, green: number, blue: number): void {
  rgb[at * 3] = red
  rgb[at * 3 + 1] = green
  rgb[at * 3 + 2] = blue
}
