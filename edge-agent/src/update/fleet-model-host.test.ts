/** What is active is what is open: a host with a real media process, and files that are not what they should be. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import pino from 'pino'
import { channelMeans, plusOne, put } from '../../../test/detection/tiny-models.ts'
import { needs } from '../../../test/require.ts'
import { candidateOf } from '../../../test/updates/candidate.ts'
import { MediaFleet } from '../media/media-fleet.ts'
import { FleetModelHost } from './fleet-model-host.ts'
import type { Candidate } from './model-host.ts'

const parts = { name: 'colour', layout: 'classifier', labels: ['red', 'green', 'blue'] }
const log = pino({ level: 'silent' })

/** A host whose box has a model of its own, and delivered ones that are active. */
async function hostOf(t: TestContext, folder: string, delivered: readonly Candidate[]) {
  const abort = new AbortController()
  const { signal } = abort
  const file = await put(folder, 'own.onnx', channelMeans(16))
  const labels = await put(folder, 'labels.txt', parts.labels.join('\n'))
  const own = { name: 'colour', file, labels, layout: 'classifier', runtime: 'ort:cpu' }
  const clocks = { now: Date.now, monotonicMs: () => performance.now() }
  const host = await FleetModelHost.open({
    configured: [own],
    delivered,
    dataDir: folder,
    cacheFolder: folder,
    log,
    signal,
    ...clocks,
  })
  const fleet = new MediaFleet({
    module: new URL('../media/media-process.ts', import.meta.url),
    start: {
      deviceId: 'box',
      snapshotFolder: folder,
      cacheFolder: folder,
      clipFolder: folder,
      sampleFolder: folder,
      models: host.sources,
      heartbeatIntervalMs: 500,
      figuresIntervalMs: 1000,
    },
    only: 'colour',
    processesMax: 1,
    streamsPerProcess: 1,
    heartbeatTimeoutMs: 20_000,
    record: async () => 1,
    onSnapshot: () => {},
    onClip: () => {},
    onLive: () => {},
    onChange: () => {},
    ...clocks,
    random: Math.random,
    log,
    signal,
  })
  host.join(fleet)
  t.after(async () => {
    abort.abort()
    await fleet.done()
    await host[Symbol.asyncDispose]()
  })
  return { host, fleet, signal }
}

test('a delivered model stands in for the one of the box, and is what it was signed as or is not taken', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-host-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await mkdir(join(folder, 'slots'))
  const slot = (name: string) => join(folder, 'slots', name)
  const first = await candidateOf(slot('a'), channelMeans(24), { ...parts, version: 3 })
  const { host, fleet, signal } = await hostOf(t, folder, [first])
  // Asked for before any process has opened it.
  await host.activate('colour', first, signal)
  assert.deepEqual(host.running(), [{ name: 'colour', digest: first.digest }])
  assert.equal(fleet.models[0]?.version, 3)

  const second = await candidateOf(slot('b'), channelMeans(32), { ...parts, version: 4 })
  await writeFile(second.source.file, channelMeans(40))
  await assert.rejects(host.activate('colour', second, signal), /its file has the digest .*signed/)
  assert.deepEqual(host.running(), [{ name: 'colour', digest: first.digest }])
  assert.equal(fleet.models[0]?.version, 3)

  await host.activate('colour', undefined, signal)
  const [own] = host.running()
  assert.ok(own && own.digest !== first.digest)
  assert.equal(fleet.models[0]?.version, undefined)
  // New to the box, and gone again.
  const fresh = {
    ...(await candidateOf(slot('c'), channelMeans(8), { ...parts, name: 'hue', version: 1 })),
  }
  await host.activate('hue', fresh, signal)
  assert.deepEqual(
    host.running().map(({ name }) => name),
    ['colour', 'hue'],
  )
  await host.activate('hue', undefined, signal)
  assert.deepEqual(host.running(), [own])
})

test(
  'a delivered model that no process can open at its start is said to be so',
  needs('time'),
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'edgeloop-host-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    const odd = await candidateOf(join(folder, 'slot'), plusOne([1, 3, 8, 8]), {
      ...parts,
      version: 1,
    })
    const { host, signal } = await hostOf(t, folder, [odd])
    await assert.rejects(host.activate('colour', odd, signal), /Cannot use model/)
    await host.activate('colour', undefined, signal)
    assert.equal(host.running().length, 1)
  },
)
