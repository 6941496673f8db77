/** A model changes under running lanes: in one process, and in all of them or none. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NewEvent, StreamConfig } from '@edgeloop/protocol'
import pino from 'pino'
import { constantDetector, put } from '../../../test/detection/tiny-models.ts'
import { needs } from '../../../test/require.ts'
import { makeClip } from '../../../test/rtsp/make-clip.ts'
import type { ModelSource } from '../models/model.ts'
import { openInference } from './inference.ts'
import { MediaFleet } from './media-fleet.ts'

const options = { scoreMin: 0.3, nmsIou: 0.6, maxDetections: 10 }

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-change-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Always sees one thing of this label in the middle of its canvas, whose sides are multiples of 32. */
async function modelOf(
  folder: string,
  label: string,
  side: number,
  version?: number,
): Promise<ModelSource> {
  const rows = [8, 16, 32].map((stride) => side / stride)
  const cells = rows.reduce((sum, row) => sum + row * row, 0)
  const values = new Float32Array(cells * 6)
  const middle = side / 8 / 2
  values.set([0, 0, Math.log(2), Math.log(2), 1, 0.9], (middle * (side / 8) + middle) * 6)
  const input = { type: 'float32', shape: [1, 3, side, side] } as const
  const bytes = constantDetector(input, { output: { shape: [1, cells, 6], values } })
  const file = await put(folder, `${label}-${side}.onnx`, bytes)
  const labels = await put(folder, `${label}.txt`, `${label}\n`)
  const source = { name: 'm', file, layout: 'yolox', labels }
  return { ...source, ...(version !== undefined && { version }) }
}

test('a model with another canvas takes the place of one under a lane, and no answer is lost', async (t) => {
  const folder = await folderOf(t)
  const inference = openInference((error) => assert.fail(error))
  t.after(() => inference[Symbol.asyncDispose]())
  const [small, large] = [await modelOf(folder, 'old', 32), await modelOf(folder, 'new', 64)]
  using lane = await inference.openLane(small, options)
  using other = await inference.openLane({ ...small, name: 'other' }, options)
  const answers: { label: string; atMs: number }[] = []
  let asked = 0
  let running = true
  const looking = (async () => {
    while (running) {
      asked++
      const detected = await lane.detect(lane.inputFor(640, 640))
      const label = detected?.detections[0]?.label ?? 'none'
      answers.push({ label, atMs: performance.now() })
      await sleep(10)
    }
  })()
  await t.waitFor(() => assert.ok(answers.length > 5), { timeout: 20_000, interval: 20 })
  // A picture that was made for the old model comes when the new one is there.
  const stale = lane.inputFor(640, 640)
  const opened = await inference.change('m', large)
  assert.deepEqual(opened?.labels, ['new'])
  assert.equal(lane.model.input.width, 64)
  const [droppedBefore, answer] = [lane.dropped, await lane.detect(stale)]
  assert.deepEqual([answer, lane.dropped], [undefined, droppedBefore + 1])
  const changedAt = answers.length
  await t.waitFor(() => assert.ok(answers.length > changedAt + 5), { timeout: 20_000 })
  running = false
  await looking
  assert.equal(answers.length, asked)
  const labels = answers.map(({ label }) => label)
  const first = labels.indexOf('new')
  assert.deepEqual([...new Set(labels.slice(0, first))], ['old'])
  assert.deepEqual([...new Set(labels.slice(first))], ['new'])
  const gaps = answers.slice(1).map(({ atMs }, i) => atMs - answers[i]!.atMs)
  t.diagnostic(`longest time between two answers: ${Math.max(...gaps).toFixed(0)} ms`)
  // Whoever else is served goes on.
  const seen = await other.detect(other.inputFor(640, 640))
  assert.equal(seen?.detections[0]?.label, 'old')
  // A lane that opens with what it knew before the change.
  using late = await inference.openLane(small, options)
  assert.deepEqual(late.model.labels, ['new'])
})

test('a model that a lane cannot use is refused, and everything goes on', async (t) => {
  const folder = await folderOf(t)
  const inference = openInference((error) => assert.fail(error))
  t.after(() => inference[Symbol.asyncDispose]())
  const model = await modelOf(folder, 'bolt', 32)
  using lane = await inference.openLane(model, { ...options, labels: ['bolt'] })
  const other = await modelOf(folder, 'bolts', 32)
  await assert.rejects(inference.change('m', other), {
    name: 'ModelError',
    message:
      'Cannot put model "m" in place of the one before: a stream looks for "bolt", which it does not know; it has "bolts"',
  })
  const page = { ...model, file: await put(folder, 'page.onnx', '<html></html>') }
  await assert.rejects(inference.change('m', page), { name: 'ModelError' })
  const seen = await lane.detect(lane.inputFor(640, 640))
  assert.equal(seen?.detections[0]?.label, 'bolt')
  // Opened for nobody, to be sure.
  const fresh = { ...(await modelOf(folder, 'gear', 32)), name: 'fresh' }
  assert.deepEqual((await inference.change('fresh', fresh))?.labels, ['gear'])
  assert.equal(await inference.change('m', undefined), undefined)
  await assert.rejects(lane.detect(lane.inputFor(640, 640)), /it was taken from this device/)
})

async function fleetOf(t: TestContext, models: readonly ModelSource[], folder: string) {
  await mkdir(join(folder, 'snapshots'))
  const abort = new AbortController()
  const events: NewEvent[] = []
  const fleet = new MediaFleet({
    module: new URL('./media-process.ts', import.meta.url),
    start: {
      deviceId: 'box',
      snapshotFolder: join(folder, 'snapshots'),
      models,
      sampleFolder: join(folder, 'samples'),
      clipFolder: join(folder, 'clips'),
      cacheFolder: join(folder, 'cache'),
      heartbeatIntervalMs: 500,
      figuresIntervalMs: 1000,
    },
    only: 'm',
    processesMax: 2,
    streamsPerProcess: 1,
    heartbeatTimeoutMs: 20_000,
    backoff: { firstMs: 100, maxMs: 200, resetAfterMs: 10_000 },
    record: async (event) => events.push(event),
    onSnapshot: () => {},
    onClip: () => {},
    onLive: () => {},
    onChange: () => {},
    log: pino({ level: 'silent' }),
    now: Date.now,
    monotonicMs: () => performance.now(),
    random: Math.random,
    signal: abort.signal,
  })
  t.after(async () => {
    abort.abort()
    await fleet.done()
  })
  return { fleet, events }
}

test('all media processes change over or none, and those that start later have the new model', {
  ...needs('node-av', 'time'),
  timeout: 120_000,
}, async (t) => {
  const folder = await folderOf(t)
  const old = await modelOf(folder, 'old', 32)
  const { fleet, events } = await fleetOf(t, [old], folder)
  const source = await makeClip({ width: 320, height: 180, fps: 15, seconds: 2 })
  const camera = { source, analysisFps: 5, motionGate: { enabled: false } }
  const streams: StreamConfig[] = [
    { streamId: 'a', ...camera },
    { streamId: 'b', ...camera },
    { streamId: 'waits', ...camera, model: 'later' },
  ]
  fleet.setStreams(streams)
  const soon = { timeout: 60_000, interval: 50 }
  const seen = (streamId: string, label: string) =>
    events.some((e) => e.kind === 'appeared' && e.streamId === streamId && e.label === label)
  await t.waitFor(() => assert.ok(seen('a', 'old') && seen('b', 'old')), soon)
  assert.equal(fleet.pids.length, 2)

  const broken = { ...old, file: await put(folder, 'page.onnx', '<html></html>'), version: 2 }
  const { signal } = new AbortController()
  await assert.rejects(fleet.changeModel('m', broken, signal), /page\.onnx/)
  assert.equal(fleet.models.find(({ name }) => name === 'm')?.version, undefined)

  const fresh = await modelOf(folder, 'new', 64, 3)
  await fleet.changeModel('m', fresh, signal)
  const changedAt = events.length
  await t.waitFor(() => assert.ok(seen('a', 'new') && seen('b', 'new')), soon)
  assert.equal(fleet.models.find(({ name }) => name === 'm')?.version, 3)
  const digests = new Set(
    events.flatMap((e) => (e.kind === 'appeared' ? [`${e.label} ${e.modelDigest}`] : [])),
  )
  // Each event leads to the model that saw it.
  assert.equal(digests.size, 2)
  const digest = fleet.models.find(({ name }) => name === 'm')?.digest
  assert.ok(digests.has(`new ${digest}`))
  // Nobody reconnected for it.
  const states = events
    .slice(changedAt)
    .filter((e) => e.kind === 'stream' && e.streamId !== 'waits')
  assert.deepEqual(states, [])
  // What the new model does not know leaves as anything does that is not seen any more.
  await t.waitFor(() => {
    const left = events.filter((e) => e.kind === 'left' && e.label === 'old')
    assert.deepEqual(left.map((e) => 'streamId' in e && e.streamId).sort(), ['a', 'b'])
  }, soon)

  assert.equal(fleet.streams.find(({ streamId }) => streamId === 'waits')?.state, 'failed')
  await fleet.changeModel('later', { ...fresh, name: 'later', version: 1 }, signal)
  await t.waitFor(() => assert.ok(seen('waits', 'new')), soon)
  await fleet.changeModel('later', undefined, signal)
  await t.waitFor(() => {
    const waits = fleet.streams.find(({ streamId }) => streamId === 'waits')
    assert.match(waits?.reason ?? '', /"later"/)
    assert.equal(waits?.state, 'failed')
  }, soon)

  const news = events.filter((e) => e.kind === 'appeared' && e.label === 'new').length
  for (const pid of fleet.pids) process.kill(pid, 'SIGKILL')
  await t.waitFor(() => {
    const again = events.filter((e) => e.kind === 'appeared' && e.label === 'new').length
    assert.ok(again >= news + 2, `${again} of ${news + 2}`)
  }, soon)
})
