/**
 * A candidate meets live frames: two cameras on the demo's conveyor in two media processes, a probe and a shadow process of
 * their own, all of them real.
 */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { careDefaults, type NewEvent, type UpdateCare } from '@edgeloop/protocol'
import pino from 'pino'
import { demoModel } from '../../edge-agent/src/demo/demo-model.ts'
import type { SeenBlock } from '../../edge-agent/src/media/lane-watch.ts'
import { MediaFleet } from '../../edge-agent/src/media/media-fleet.ts'
import { readDescription } from '../../edge-agent/src/models/description-file.ts'
import { FleetModelHost } from '../../edge-agent/src/update/fleet-model-host.ts'
import { needs } from '../require.ts'
import { candidateOf } from '../updates/candidate.ts'

const soon = { timeout: 60_000, interval: 50 }
const care: UpdateCare = {
  ...careDefaults,
  shadowMs: 3_000,
  shadowFramesMin: 25,
  shadowCpuShare: 1,
  // This machine may be busy with other things: latency is not what is told apart here.
  probationMs: 4_000,
  latencyRatioMax: 20,
}

test('a candidate is tried, compared, put to work and watched on live cameras', {
  ...needs('node-av', 'time'),
  timeout: 300_000,
}, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-host-'))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  await mkdir(join(folder, 'snapshots'))
  await mkdir(join(folder, 'cache'))
  const abort = new AbortController()
  const { signal } = abort
  const log = pino({ level: 'silent' })
  const events: NewEvent[] = []
  const blocks: SeenBlock[] = []
  const cacheFolder = join(folder, 'cache')
  await using host = await FleetModelHost.open({
    configured: [{ ...demoModel, runtime: 'ort:cpu' }],
    delivered: [],
    dataDir: folder,
    cacheFolder,
    log,
    now: Date.now,
    monotonicMs: () => performance.now(),
    signal,
    tellIntervalMs: 500,
  })
  const fleet = new MediaFleet({
    module: new URL('../../edge-agent/src/media/media-process.ts', import.meta.url),
    start: {
      deviceId: 'box',
      snapshotFolder: join(folder, 'snapshots'),
      cacheFolder,
      sampleFolder: join(folder, 'samples'),
      clipFolder: join(folder, 'clips'),
      models: host.sources,
      heartbeatIntervalMs: 500,
      figuresIntervalMs: 1000,
    },
    only: 'conveyor',
    processesMax: 2,
    streamsPerProcess: 1,
    heartbeatTimeoutMs: 5_000,
    backoff: { firstMs: 100, maxMs: 200, resetAfterMs: 60_000 },
    record: async (event) => events.push(event),
    onSnapshot: () => {},
    onClip: () => {},
    onLive: () => {},
    onSeen: (block) => {
      blocks.push(block)
      host.saw(block)
    },
    onDown: (code, streams) => host.fell(code, streams),
    onChange: () => {},
    log,
    now: Date.now,
    monotonicMs: () => performance.now(),
    random: Math.random,
    signal,
  })
  t.after(async () => {
    abort.abort()
    await fleet.done()
  })
  host.join(fleet)
  const camera = { analysisFps: 5, motionGate: { enabled: false } }
  fleet.setStreams([
    { streamId: 'a', source: 'demo:1', ...camera },
    { streamId: 'b', source: 'demo:2', ...camera, model: 'conveyor' },
  ])
  const seenBy = (digest: string) =>
    new Set(blocks.filter((b) => b.digest === digest).map((b) => b.streamId))
  const own = await t.waitFor(
    () => {
      const [running] = host.running()
      assert.ok(running && seenBy(running.digest).size === 2)
      return running.digest
    },
    { ...soon, timeout: 120_000 },
  )

  const bytes = await readFile(demoModel.file)
  const { layout = '', labels } = await readDescription(demoModel.file)
  const description = await readFile(demoModel.file.replace(/onnx$/, 'model.yaml'), 'utf8')
  assert.ok(Array.isArray(labels), 'the demo has its labels in its description')
  const parts = { name: 'conveyor', layout, description }
  const slot = (name: string) => join(folder, 'slots', name)

  // Trained on wrong labels: golden vectors and outputs are its own, what it says is wrong.
  const turned = [...labels.slice(1), labels[0] ?? '']
  const wrong = await candidateOf(slot('a'), bytes, { ...parts, labels: turned, version: 1 })
  const alone = blocks.length
  const probed = await host.probe(wrong, signal)
  assert.ok(probed.ok, JSON.stringify(probed))
  const told: number[] = []
  const stopped = await host.shadow(wrong, care, ({ frames }) => told.push(frames), signal)
  assert.equal(!stopped.ok && stopped.code, 'shadow-disagreement', JSON.stringify(stopped))

  // Another file that says the same: a note in its metadata (metadata_props, field 14 of ModelProto).
  const note = Buffer.from([0x72, 0x06, 0x0a, 0x01, 0x6b, 0x12, 0x01, 0x76])
  const good = await candidateOf(slot('b'), Buffer.concat([bytes, note]), {
    ...parts,
    labels,
    version: 2,
  })
  assert.ok((await host.probe(good, signal)).ok)
  const compared = await host.shadow(good, care, ({ frames }) => told.push(frames), signal)
  assert.ok(compared.ok, JSON.stringify(compared))
  t.diagnostic(`compared: ${JSON.stringify(compared.comparison)}`)
  const medianMs = (some: readonly SeenBlock[]): string => {
    const all = some.flatMap(({ inferenceMs }) => inferenceMs).toSorted((a, b) => a - b)
    return (all[all.length >> 1] ?? 0).toFixed(1)
  }
  const [before, beside] = [medianMs(blocks.slice(0, alone)), medianMs(blocks.slice(alone))]
  t.diagnostic(`active model: median ${before} ms, beside the candidate ${beside} ms`)
  assert.ok(compared.comparison.agreement > 0.98 && told.length > 0)
  assert.deepEqual([...compared.comparison.streams].sort(), ['a', 'b'])

  const [eventsBefore, blocksBefore] = [events.length, blocks.length]
  const activatedAt = Date.now()
  await host.activate('conveyor', good, signal)
  assert.equal(fleet.models[0]?.version, 2)
  const watched = await host.probation(good, care, () => {}, signal)
  assert.ok(watched.ok, JSON.stringify(watched))
  t.diagnostic(`watched: ${JSON.stringify(watched.comparison)}`)
  assert.ok(watched.comparison.frames > 5)
  const gapMs = Math.max(...blocks.slice(blocksBefore).map((block) => block.gapMs))
  t.diagnostic(
    `longest time without detections around the change: ${gapMs.toFixed(0)} ms, frames come every 200 ms`,
  )
  assert.ok(gapMs < 20_000)
  // No stream went away for it, no track began twice or ended without having begun.
  const since = events.slice(eventsBefore)
  assert.deepEqual(
    since.filter(({ kind }) => kind === 'stream' || kind === 'alarm'),
    [],
  )
  const appeared = events.flatMap((e) =>
    e.kind === 'appeared' ? [`${e.streamId} ${e.trackId}`] : [],
  )
  const left = events.flatMap((e) => (e.kind === 'left' ? [`${e.streamId} ${e.trackId}`] : []))
  assert.equal(new Set(appeared).size, appeared.length)
  assert.equal(new Set(left).size, left.length)
  assert.deepEqual(
    left.filter((track) => !appeared.includes(track)),
    [],
  )
  // Objects that were there before the change were followed through it.
  const isThrough = (e: NewEvent): boolean =>
    e.kind === 'left' &&
    Date.parse(e.appearedAt) < activatedAt &&
    Date.parse(e.at) > activatedAt + 1_500
  await t.waitFor(() => assert.ok(events.some(isThrough)), soon)

  // A process that dies, and one that hangs, speak against what was just put to work.
  const crashing = host.probation(good, { ...care, probationMs: 60_000 }, () => {}, signal)
  process.kill(fleet.pids[0]!, 'SIGSEGV')
  const crashed = await crashing
  assert.equal(!crashed.ok && crashed.code, 'probation-crash', JSON.stringify(crashed))
  await t.waitFor(() => assert.equal(fleet.pids.length, 2), soon)
  const hanging = host.probation(good, { ...care, probationMs: 60_000 }, () => {}, signal)
  process.kill(fleet.pids[1]!, 'SIGSTOP')
  const hung = await hanging
  assert.equal(!hung.ok && hung.code, 'probation-hang', JSON.stringify(hung))

  // Back to what the box has of its own.
  await t.waitFor(() => assert.equal(fleet.pids.length, 2), soon)
  await host.activate('conveyor', undefined, signal)
  assert.equal(fleet.models[0]?.version, undefined)
  assert.deepEqual(host.running(), [{ name: 'conveyor', digest: own }])
})
