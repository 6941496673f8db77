/** The world of the loop: the same on every machine, right about itself, and readable from a picture of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import sharp from 'sharp'
import { takeShot } from './shots.ts'
import {
  createBelt,
  drifts,
  frameHeight,
  frameWidth,
  readNumber,
  undrifted,
  visibleShareMin,
} from './world.ts'

const bytes = frameWidth * frameHeight * 3
const seed = 3
const belt = createBelt({ seed, belt: 0 })
const all = [undrifted, ...drifts.map(({ conditions }) => conditions)]

test('a frame depends on seed, belt, number and conditions alone', () => {
  const again = createBelt({ seed, belt: 0 })
  const other = createBelt({ seed, belt: 1 })
  for (const conditions of all) {
    const [one, two, three] = [belt, again, other].map((world) => {
      const rgb = new Uint8Array(bytes)
      world.render(4711, conditions, rgb)
      return rgb
    })
    assert.deepEqual(one, two)
    assert.deepEqual(belt.truth(4711, conditions), again.truth(4711, conditions))
    assert.notDeepEqual(one, three)
  }
})

test('the number of a frame is read from its JPEG, also from a smaller one; from no other picture', async () => {
  for (const [at, conditions] of all.entries()) {
    const frame = 65_000 * at + 4711
    const { jpeg } = await takeShot(belt, frame, conditions)
    for (const width of [frameWidth, 320]) {
      const { data, info } = await sharp(jpeg)
        .resize(width)
        .jpeg({ quality: 60 })
        .toBuffer()
        .then((small) => sharp(small).raw().toBuffer({ resolveWithObject: true }))
      assert.equal(readNumber(data, info.width, info.height), frame)
    }
  }
  assert.equal(readNumber(new Uint8Array(bytes).fill(128), frameWidth, frameHeight), undefined)
})

test('what is true changes with the camera and the catalogue, not with the light', () => {
  const [first, light, moved, part] = all.map((conditions) =>
    Array.from({ length: 10 }, (_, at) => belt.truth(at * 200, conditions)),
  )
  assert.deepEqual(light, first)
  const areaOf = (frames: typeof first) => {
    const boxes = frames!.flat().filter(({ visibleShare }) => visibleShare > 0.95)
    return boxes.reduce((sum, { box }) => sum + box[2]! * box[3]!, 0) / boxes.length
  }
  assert.ok(areaOf(moved) > 1.8 * areaOf(first), 'the camera is nearer')
  const share = (frames: typeof first) => {
    const things = frames!.flat()
    return things.filter(({ label }) => label === 'bracket').length / things.length
  }
  assert.equal(share(moved), 0)
  assert.ok(share(part) > 0.15 && share(part) < 0.45, `${share(part)}`)
})

test('boxes lie around what differs from an empty belt', () => {
  const frame = 1234
  const rgb = new Uint8Array(bytes)
  belt.render(frame, undrifted, rgb)
  const meanOf = ([left = 0, top = 0, width = 0, height = 0]: readonly number[]) => {
    let [sum, count] = [0, 0]
    for (let y = Math.ceil(top * frameHeight); y < (top + height) * frameHeight; y++) {
      for (let x = Math.ceil(left * frameWidth); x < (left + width) * frameWidth; x++, count++) {
        sum += rgb[(y * frameWidth + x) * 3]!
      }
    }
    return sum / count
  }
  const things = belt.truth(frame, undrifted).filter((one) => one.visibleShare > visibleShareMin)
  assert.ok(things.length >= 4)
  // Rubber is dark, metal is not.
  for (const { box, label } of things) assert.ok(meanOf(box) > 65, `${label} ${meanOf(box)}`)
})
