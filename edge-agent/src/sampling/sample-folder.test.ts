import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import pino from 'pino'
import { DeviceDay } from './device-day.ts'
import { dayMs } from './pace.ts'
import { type KeptSample, readSample, readState, writeSample, writeState } from './sample-disk.ts'
import { SampleFolder } from './sample-folder.ts'

const log = pino({ level: 'silent' })

async function tempFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-samples-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const about = (use: number, second = 0): Omit<KeptSample, 'digest' | 'sizeBytes'> => ({
  width: 64,
  height: 48,
  streamId: 'cam',
  reason: 'uncertain',
  why: 'score 0.41',
  use,
  capturedAt: new Date(Date.UTC(2026, 10, 21, 12, 0, second)).toISOString(),
  probability: 0.5,
  model: { name: 'parts', version: 0, digest: 'ab'.repeat(32) },
  detections: [{ label: 'cup', score: 0.41, box: [0.1, 0.1, 0.2, 0.2] }],
  looks: '0123456789abcdef',
  embedding: [1, 0],
  redaction: { masks: 0, method: 'none', labels: [], regions: [] },
})
const picture = (seed: number, sizeBytes = 1_000): Uint8Array =>
  Uint8Array.from({ length: sizeBytes }, (_, i) => (i * seed) & 255)

test('samples are there again after a restart, best first', async (t) => {
  const folder = await tempFolder(t)
  const digests: string[] = []
  for (const [k, use] of [0.3, 0.9, 0.6].entries()) {
    digests.push(await writeSample(folder, picture(k + 1), about(use, k)))
  }
  const first = await SampleFolder.open({ folder, bytesMax: 1e6, log })
  const second = await SampleFolder.open({ folder, bytesMax: 1e6, log })
  for (const { samples } of [first, second]) {
    assert.deepEqual(
      samples.map(({ digest }) => digest),
      [1, 2, 0].map((k) => digests[k]),
    )
  }
  const bytes = await second.bytesOf(digests[0]!)
  assert.equal(createHash('sha256').update(bytes!).digest('hex'), digests[0])
  await second.remove(digests[0]!)
  assert.equal(second.figures.bytes, 2_000)
  assert.equal((await readdir(folder)).length, 4)
})

test('at every point where a write may end, a start finds whole samples only', async (t) => {
  const folder = await tempFolder(t)
  const whole = await writeSample(folder, picture(1), about(0.5))
  // Cut off between picture and record; in the middle of either; a record of another picture; no JSON; no picture.
  const names = ['a', 'b', 'c', 'd', 'e'].map((letter) => letter.repeat(64))
  const [lonely, short, other, broken, gone] = names as [string, string, string, string, string]
  await writeFile(join(folder, `${lonely}.jpg`), picture(2))
  await writeFile(join(folder, '.0001.part'), picture(2, 10))
  const cut = await writeSample(folder, picture(3), about(0.5))
  await truncate(join(folder, `${cut}.jpg`), 500)
  const record = await readFile(join(folder, `${whole}.json`), 'utf8')
  await writeFile(join(folder, `${short}.json`), record.slice(0, 100))
  await writeFile(join(folder, `${other}.json`), record)
  await writeFile(join(folder, `${other}.jpg`), picture(1))
  await writeFile(join(folder, `${broken}.json`), '{"digest":4}')
  await writeFile(join(folder, `${gone}.json`), record.replace(whole, gone))
  const opened = await SampleFolder.open({ folder, bytesMax: 1e6, log })
  assert.deepEqual(
    opened.samples.map(({ digest }) => digest),
    [whole],
  )
  assert.deepEqual((await readdir(folder)).sort(), [`${whole}.jpg`, `${whole}.json`].sort())
  assert.equal(await readSample(folder, gone), undefined)
})

test('when it is full the least useful gives way, of equals the newest', async (t) => {
  const folder = await tempFolder(t)
  const opened = await SampleFolder.open({ folder, bytesMax: 3_000, log })
  for (const [k, use] of [0.5, 0.2, 0.9, 0.5, 0.1].entries()) {
    await opened.add(await writeSample(folder, picture(k + 1), about(use, k)))
  }
  assert.deepEqual(
    opened.samples.map(({ use }) => use),
    [0.9, 0.5, 0.5],
  )
  assert.deepEqual(opened.figures, { samples: 3, bytes: 3_000, dropped: 2 })
  assert.equal((await readdir(folder)).length, 6)
  const fewer = await SampleFolder.open({ folder, bytesMax: 1e6, countMax: 1, log })
  assert.deepEqual(
    fewer.samples.map(({ use }) => use),
    [0.9],
  )
})

test('a picture that was changed is not given out', async (t) => {
  const folder = await tempFolder(t)
  const digest = await writeSample(folder, picture(1), about(0.5))
  const opened = await SampleFolder.open({ folder, bytesMax: 1e6, log })
  await writeFile(join(folder, `${digest}.jpg`), picture(2))
  assert.equal(await opened.bytesOf(digest), undefined)
})

test('change() tells of what came since a revision, also before it was asked', async (t) => {
  const folder = await tempFolder(t)
  const opened = await SampleFolder.open({ folder, bytesMax: 1e6, log })
  const { revision } = opened
  const waiting = opened.change(revision, new AbortController().signal)
  assert.equal(await Promise.race([waiting.then(() => 'told'), sleep(20, 'quiet')]), 'quiet')
  await opened.add(await writeSample(folder, picture(1), about(0.5)))
  await waiting
  await opened.change(revision, new AbortController().signal)
  await opened.change(opened.revision, AbortSignal.abort())
})

test('what a chooser remembers is read back, and a damaged one is no reason to stop', async (t) => {
  const folder = await tempFolder(t)
  const spent = {
    day: 1,
    dayMs: 0,
    frames: 3,
    bytes: 9,
    bucket: 1,
    reserve: 2,
    randomMs: 0,
    randomDueMs: 5,
  }
  const state = { spent, sent: [], cover: [[1, 0]], labels: { cup: 3 }, bytes: 1_000 }
  await writeState(folder, 'cam', state)
  assert.deepEqual(await readState(folder, 'cam'), state)
  await writeFile(join(folder, 'cam.state'), '{"spent":')
  assert.equal(await readState(folder, 'cam'), undefined)
  assert.equal(await readState(folder, 'other'), undefined)
})

test('what a device may send in a day outlives restarts and ends with the day', async (t) => {
  const folder = await tempFolder(t)
  let wallMs = Date.UTC(2026, 10, 21, 12)
  const open = () =>
    DeviceDay.open({
      folder,
      framesPerDay: 2,
      bytesPerDay: 1_000,
      now: () => wallMs,
      monotonicMs: () => 0,
    })
  const first = await open()
  assert.ok(first.hasRoom(1_000) && !first.hasRoom(1_001))
  await first.spend(600)
  const second = await open()
  assert.ok(second.hasRoom(400) && !second.hasRoom(401))
  wallMs -= 5 * dayMs
  assert.ok(!(await open()).hasRoom(401))
  wallMs += 6 * dayMs
  assert.ok((await open()).hasRoom(1_000))
})
