/** Heads read cell by cell, against what the same model says at its end; and old classes asked about new boxes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { numbersFrom, tinyYolov8, tinyYolox } from '../../../../test/training/tiny-detectors.ts'
import { writeModel } from '../../onnx/write.ts'
import { openSession } from '../../runtime/session.ts'
import { findOrigins, type OriginPicture, originOf } from './class-origins.ts'
import { recognizeHead } from './head.ts'
import { HeadReader } from './read-head.ts'

const side = 64
function image(seed: number) {
  const random = numbersFrom(seed)
  const data = Float32Array.from({ length: 3 * side * side }, () => random() * 2 - 1)
  return { type: 'float32', dims: [1, 3, side, side], data } as const
}

test('HeadReader reads the boxes and scores that a YOLOv8 decodes itself', async () => {
  const model = tinyYolov8({ classes: 3 })
  await using reader = await HeadReader.open(model, recognizeHead(model))
  const reading = await reader.read(image(1))
  await using session = await openSession(writeModel(model))
  const { output } = await session.run({ images: image(1) })
  const said = output!.data as Float32Array
  const { count } = reader.anchors
  for (let cell = 0; cell < count; cell++) {
    const at = (channel: number) => said[channel * count + cell]!
    const [l, t, r, b] = reading.boxOf(cell)
    const box = [(l + r) / 2, (t + b) / 2, r - l, b - t]
    for (const [i, one] of box.entries()) assert.ok(Math.abs(one - at(i)) < 1e-3, `cell ${cell}`)
    for (let index = 0; index < 3; index++) {
      assert.ok(Math.abs(reading.scoreOf(cell, index) - at(4 + index)) < 1e-5)
    }
    assert.equal(reading.objectnessOf(cell), 1)
  }
})

test('HeadReader reads what a YOLOX says, boxes as its layout decodes them', async () => {
  const model = tinyYolox({ classes: 2 })
  await using reader = await HeadReader.open(model, recognizeHead(model))
  const reading = await reader.read(image(2))
  await using session = await openSession(writeModel(model))
  const { output } = await session.run({ images: image(2) })
  const said = output!.data as Float32Array
  const { count, stride, x } = reader.anchors
  for (let cell = 0; cell < count; cell++) {
    const row = said.subarray(cell * 7, cell * 7 + 7)
    const [l, , r] = reading.boxOf(cell)
    const centre = row[0]! * stride[cell]! + x[cell]! - stride[cell]! / 2
    assert.ok(Math.abs((l + r) / 2 - centre) < 1e-3)
    assert.ok(Math.abs(r - l - Math.exp(row[2]!) * stride[cell]!) < 1e-3)
    assert.ok(Math.abs(reading.objectnessOf(cell) - row[4]!) < 1e-5)
    assert.ok(Math.abs(reading.scoreOf(cell, 1) - row[6]!) < 1e-5)
  }
})

test('originOf() takes the three best old classes by what they said, or none where nothing was asked', () => {
  const shares = originOf(Float64Array.of(1, 4, 0, 3, 2), 5)
  assert.deepEqual(
    shares.map(({ index }) => index),
    [1, 3, 4],
  )
  assert.ok(Math.abs(shares.reduce((sum, { share }) => sum + share, 0) - 1) < 1e-12)
  assert.deepEqual(originOf(new Float64Array(2), 5), [
    { index: 0, share: 0.5 },
    { index: 1, share: 0.5 },
  ])
  assert.deepEqual(originOf(new Float64Array(3), 0), [])
})

test('findOrigins() keeps the class of the same name and asks about the others', async () => {
  const model = tinyYolox({ classes: 4 })
  const head = recognizeHead(model)
  await using reader = await HeadReader.open(model, head)
  const reading = await reader.read(image(3))
  // The box of the surest cell: what that cell says is what the label begins as.
  const cells = Array.from({ length: reader.anchors.count }, (_, cell) => cell)
  const surest = cells.toSorted((a, b) => reading.objectnessOf(b) - reading.objectnessOf(a))[0]!
  const corners = reading.boxOf(surest)
  async function* pictures(): AsyncGenerator<OriginPicture> {
    yield { image: image(3), boxes: [{ label: 'new', corners }] }
  }
  const [same, found, missing] = await findOrigins(
    model,
    ['Dog', 'new', 'never seen'],
    ['cat', 'dog', 'cow', 'hen'],
    pictures(),
  )
  assert.deepEqual(same, [{ index: 1, share: 1 }])
  const scores = [0, 1, 2, 3].map((index) => reading.scoreOf(surest, index))
  assert.equal(found![0]!.index, scores.indexOf(Math.max(...scores)))
  assert.deepEqual(missing, [])
})
