import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type Detection,
  objectSteps,
  profileColumns,
  sketchBytesMax,
  tileColumns,
  tileRows,
  unpackNibbles,
} from '@edgeloop/protocol'
import { checkEvent } from '@edgeloop/protocol/check'
import { gateHeight, gateWidth } from '../cameras/camera.ts'
import { normal, seededRandom } from '../demo/random.ts'
import { type SketchSummary, StreamSketch } from './stream-sketch.ts'

const begun = Date.UTC(2026, 0, 1)
const seed = 7

/** A wall with a door, a window and bricks; `shift` moves the camera, `gain` is the light. */
function wall({ shift = 0, gain = 1, noise = 0, at = 0, covered = 0 } = {}): Uint8Array {
  const random = seededRandom(seed + at)
  return Uint8Array.from({ length: gateWidth * gateHeight }, (_, i) => {
    const x = (i % gateWidth) + shift
    const y = Math.floor(i / gateWidth)
    const door = x > 30 && x < 52 && y > 30 ? -50 : 0
    const pane = x > 95 && x < 131 && y > 17 && y < 49 ? 60 : 0
    const brick = (x * 7 + (y >> 3) * 11) % 29 < 2 || y % 8 === 0 ? -14 : 0
    if (i % gateWidth < covered * gateWidth) return 20
    const level = gain * (120 + door + pane + brick) + noise * normal(random)
    return Math.max(0, Math.min(255, level))
  })
}

function sketchOf(pictures: readonly Uint8Array[], answers: readonly Detection[][] = []) {
  const sketch = new StreamSketch(60_000, (label) => (label === 'cup' ? 0.6 : 0.4))
  for (const [i, grey] of pictures.entries()) {
    assert.equal(sketch.picture(grey, begun + i * 1000), undefined)
  }
  for (const answer of answers) sketch.answer(answer, 'ab'.repeat(32))
  const summary = sketch.picture(wall(), begun + 60_000)
  assert.ok(summary)
  return summary
}

const asEvent = ({ at, ...rest }: SketchSummary) => ({
  sequence: 999_999_999,
  kind: 'sketch',
  at: new Date(at).toISOString(),
  streamId: 'yard-and-the-gate-of-the-north-side',
  ...rest,
})
const detection = (label: string, score: number): Detection => ({
  label,
  score,
  box: [0.4, 0.4, 0.2, 0.2],
})

test('an interval is summed up when the next one begins, at a whole multiple of its length', () => {
  const summary = sketchOf([wall(), wall()], [[detection('cup', 0.5), detection('jug', 0.5)], []])
  assert.equal(summary.at, begun + 60_000)
  assert.deepEqual([summary.pictures, summary.analysed, summary.intervalMs], [2, 2, 60_000])
  // A detection below the score of its label is in the scores and is no object.
  assert.equal(summary.scores[10], 2)
  assert.deepEqual(summary.objects.slice(0, 2), [1, 1])
  assert.deepEqual(
    summary.labels.map(({ label, count }) => [label, count]),
    [
      ['jug', 1],
      ['cup', 0],
    ],
  )
  assert.equal(summary.sizes.length, 10)
  assert.equal(summary.objects.length, objectSteps.length)
  const checked = checkEvent(asEvent(summary))
  assert.ok('event' in checked, JSON.stringify(checked))
})

test('what came before a clock was set back is summed up by itself, and 0 turns sketches off', () => {
  const sketch = new StreamSketch(60_000, () => 0.4)
  sketch.picture(wall(), begun + 30_000)
  const early = sketch.picture(wall(), begun + 10_000)
  assert.equal(early?.pictures, 1)
  assert.equal(sketch.end(begun + 20_000)?.pictures, 1)
  assert.equal(sketch.end(begun + 20_000), undefined)
  const off = new StreamSketch(0, () => 0.4)
  assert.equal(off.picture(wall(), begun), undefined)
  assert.equal(off.picture(wall(), begun + 120_000), undefined)
})

test('the background says by how much a camera was moved, in any light and noise', () => {
  const still = Array.from({ length: 20 }, (_, at) => wall({ noise: 4, at }))
  const moved = Array.from({ length: 20 }, (_, at) => wall({ shift: 6, gain: 0.6, noise: 4, at }))
  const columns = [still, moved].map((pictures) => {
    const { background } = sketchOf(pictures)
    assert.ok(background)
    return unpackNibbles(background.columns, profileColumns)
  })
  const differenceAt = (shift: number): number => {
    let sum = 0
    for (let i = 10; i < profileColumns - 10; i++)
      sum += Math.abs(columns[0]![i + shift]! - columns[1]![i]!)
    return sum
  }
  const shifts = [-6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6]
  const best = shifts.reduce((a, b) => (differenceAt(b) < differenceAt(a) ? b : a))
  assert.equal(best, 3, 'six pixels of 160 are three of 80 columns')
})

test('tiles that something covers are flat, however dark the others are', () => {
  const textures = (options: Parameters<typeof wall>[0]) => {
    const pictures = Array.from({ length: 20 }, (_, at) => wall({ noise: 3, ...options, at }))
    const { background } = sketchOf(pictures)
    return unpackNibbles(background?.textures ?? '', tileColumns * tileRows)
  }
  const flat = (values: Uint8Array) => values.filter((value) => value === 0).length / values.length
  assert.ok(flat(textures({})) < 0.05)
  assert.ok(flat(textures({ gain: 0.5 })) < 0.05)
  assert.ok(Math.abs(flat(textures({ covered: 0.5 })) - 0.5) < 0.1)
})

test('colour and sharpness are of the canvas, in either order of its channels', () => {
  const [width, height] = [160, 90]
  const content = { left: 0, top: 0, width, height }
  const draw = (smear: number, channels: 'rgb' | 'bgr') => {
    const canvas = new Uint8Array(width * height * 3)
    for (let i = 0; i < width * height; i++) {
      const x = i % width
      const ramp = Math.max(0, Math.min(1, (12 - Math.abs((x % 40) - 20)) / smear))
      const level = 40 + 120 * ramp
      const rgb = [level, level, level / 2]
      canvas.set(channels === 'rgb' ? rgb : rgb.reverse(), i * 3)
    }
    const sketch = new StreamSketch(60_000, () => 0.4)
    sketch.picture(wall(), begun)
    sketch.canvas(canvas, { width, height, channels, content, pad: 0 }, begun)
    return sketch.end(begun + 1000)?.colour
  }
  const [sharp, blurred, swapped] = [draw(1, 'rgb'), draw(6, 'rgb'), draw(1, 'bgr')]
  assert.ok(sharp?.sharpness && blurred?.sharpness)
  const [steep = 0] = sharp.sharpness
  const [smeared = 1] = blurred.sharpness
  assert.ok(steep > 0.95, String(steep))
  assert.ok(smeared < 0.5, String(smeared))
  assert.deepEqual(swapped, sharp)
  assert.ok(Math.abs(sharp.blue[0]! + 1) < 0.05 && sharp.red[0] === 0)
})

test('a sketch is never larger than stated, and its labels give way', () => {
  const random = seededRandom(seed)
  const answers = Array.from({ length: 900 }, () =>
    Array.from({ length: 100 }, () => {
      const { score } = detection('', random())
      const box = [random() * 0.9, random() * 0.9, random() ** 4, random() ** 4]
      return { label: `${'é'.repeat(80)}${Math.floor(random() * 300)}`, score, box }
    }),
  )
  const pictures = Array.from({ length: 60 }, (_, at) => wall({ noise: 20, at }))
  const sketch = new StreamSketch(3_600_000, () => 0)
  for (const [i, grey] of pictures.entries()) sketch.picture(grey, begun + i * 1000)
  for (const answer of answers) sketch.answer(answer, 'ab'.repeat(32))
  for (let i = 0; i < 40; i++) sketch.embed(Array.from({ length: 1024 }, () => normal(random) / 32))
  const summary = sketch.end(begun + 3_599_999)
  assert.ok(summary)
  const event = asEvent(summary)
  assert.ok('event' in checkEvent(event))
  assert.ok(Buffer.byteLength(JSON.stringify(event)) <= sketchBytesMax)
  const all = summary.labels.reduce((sum, { count }) => sum + count, summary.otherLabels)
  assert.equal(all, 90_000)
})
