/** A cascade with a real inference worker: what is asked, what is kept, what is dropped. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import sharp from 'sharp'
import { channelMeans, put } from '../../../test/detection/tiny-models.ts'
import { regionOf } from '../cameras/crop.ts'
import { openInference } from '../media/inference.ts'
import { Cascade, cropsMax } from './cascade.ts'

const at = Date.UTC(2026, 0, 1)
const options = { scoreMin: 0.5, nmsIou: 1, maxDetections: 5 }

/** Red on the left half, blue on the right. */
const picture = sharp({ create: { width: 64, height: 32, channels: 3, background: '#ff0000' } })
  .composite([
    {
      input: { create: { width: 32, height: 32, channels: 3, background: '#0000ff' } },
      left: 32,
      top: 0,
    },
  ])
  .jpeg({ quality: 100, chromaSubsampling: '4:4:4' })

async function cascadeFor(t: TestContext, labels?: readonly string[]) {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-cascade-'))
  t.after(() => rm(folder, { recursive: true }))
  const inference = openInference((error) => assert.fail(error))
  t.after(() => inference[Symbol.asyncDispose]())
  const file = await put(folder, 'colour.onnx', channelMeans(16))
  const names = await put(folder, 'labels.txt', 'red\ngreen\nblue')
  const source = { name: 'colour', file, layout: 'classifier', labels: names }
  const lane = await inference.openLane(source, options)
  const failures: string[] = []
  const cascade = new Cascade([{ lane, labels }], (error) => failures.push(error.message))
  t.after(() => cascade[Symbol.dispose]())
  return { cascade, failures, lane, jpeg: new Uint8Array(await picture.toBuffer()) }
}

test('an answer is about the crop, and a better picture replaces it', async (t) => {
  const { cascade, failures, jpeg } = await cascadeFor(t)
  const crop = { trackId: 7, label: 'car', jpeg, at }
  cascade.look({ ...crop, box: [0.05, 0.1, 0.3, 0.8] })
  await cascade.settled()
  const [first, ...more] = cascade.attributesOf(7)
  assert.deepEqual(more, [])
  assert.equal(first?.model, 'colour')
  assert.equal(first.at, '2026-01-01T00:00:00.000Z')
  assert.deepEqual(
    first.classes?.map(({ label }) => label),
    ['red'],
  )
  cascade.look({ ...crop, box: [0.6, 0.1, 0.3, 0.8], at: at + 5 })
  await cascade.settled()
  assert.deepEqual(
    cascade.attributesOf(7)[0]?.classes?.map(({ label }) => label),
    ['blue'],
  )
  cascade.forget(7)
  assert.deepEqual(cascade.attributesOf(7), [])
  assert.deepEqual(failures, [])
})

test('objects of other labels are not asked about, lost ones not remembered', async (t) => {
  const { cascade, jpeg, lane } = await cascadeFor(t, ['car'])
  assert.deepEqual([cascade.concerns('car'), cascade.concerns('dog')], [true, false])
  const box = [0, 0, 0.4, 1] as const
  cascade.look({ trackId: 1, label: 'dog', box, jpeg, at })
  cascade.look({ trackId: 2, label: 'car', box, jpeg, at })
  cascade.forget(2)
  await cascade.settled()
  assert.deepEqual([cascade.attributesOf(1), cascade.attributesOf(2)], [[], []])
  assert.equal(lane.dropped, 0)
})

test('a picture that cannot be read is told and the next one is looked at', async (t) => {
  const { cascade, failures, jpeg } = await cascadeFor(t)
  const box = [0, 0, 0.4, 1] as const
  cascade.look({ trackId: 1, label: 'car', box, jpeg: new Uint8Array(10), at })
  cascade.look({ trackId: 2, label: 'car', box, jpeg, at })
  await cascade.settled()
  assert.equal(failures.length, 1)
  assert.deepEqual(cascade.attributesOf(1), [])
  assert.equal(cascade.attributesOf(2).length, 1)
})

test('waiting crops are bounded: the newest of each track, the oldest of all go', async (t) => {
  const { cascade, jpeg } = await cascadeFor(t)
  const box = [0, 0, 0.4, 1] as const
  const look = (trackId: number) => cascade.look({ trackId, label: 'car', box, jpeg, at })
  // The first is in work at once; the same track again replaces what waits.
  for (let trackId = 1; trackId <= cropsMax + 4; trackId++) {
    look(trackId)
    look(trackId)
  }
  await cascade.settled()
  assert.equal(cascade.dropped, 4)
  const answered = Array.from(
    { length: cropsMax + 4 },
    (_, i) => cascade.attributesOf(i + 1).length,
  )
  assert.equal(
    answered.reduce((a, b) => a + b, 0),
    cropsMax + 1,
  )
})

test('closing ends what waits, and nothing is asked afterwards', async (t) => {
  const { cascade, jpeg, failures } = await cascadeFor(t)
  for (let trackId = 1; trackId <= 4; trackId++) {
    cascade.look({ trackId, label: 'car', box: [0, 0, 0.4, 1], jpeg, at })
  }
  cascade[Symbol.dispose]()
  await cascade.settled()
  cascade.look({ trackId: 9, label: 'car', box: [0, 0, 0.4, 1], jpeg, at })
  await cascade.settled()
  assert.deepEqual([cascade.attributesOf(9), failures], [[], []])
})

test('regionOf() is a little wider than the box, within the picture and never empty', () => {
  assert.deepEqual(regionOf([0.25, 0.25, 0.5, 0.5], 100, 100), {
    left: 21,
    top: 21,
    width: 58,
    height: 58,
  })
  assert.deepEqual(regionOf([0, 0, 1, 1], 64, 32), { left: 0, top: 0, width: 64, height: 32 })
  assert.deepEqual(regionOf([1, 1, 0, 0], 64, 32), { left: 63, top: 31, width: 1, height: 1 })
})
