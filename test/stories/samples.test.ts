/**
 * Frames kept for learning, whole: a real agent on the demo camera chooses them, the network fails, the agent is
 * started again, and a real hub gets each of them once.
 */
process.env.UV_THREADPOOL_SIZE ??= '16'

import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { demoModel, enrol, readAgentConfig, runAgent } from '@edgeloop/edge-agent'
import type { FieldSample, FieldSamplePage } from '@edgeloop/protocol'
import { pino } from 'pino'
import sharp from 'sharp'
import { openTcpProxy } from '../faults/tcp-proxy.ts'
import { openTestHub, type TestHub } from '../hub/fixture.ts'
import { needs } from '../require.ts'

const soon = { timeout: 120_000, interval: 200 }

async function samplesOf(hub: TestHub): Promise<FieldSample[]> {
  const answer = await hub.api('GET', '/api/field-samples?limit=200')
  return ((await answer.json()) as FieldSamplePage).samples
}

const eventsAt = async (hub: TestHub): Promise<number> => {
  const answer = await hub.api('GET', '/api/events?device=box&limit=500')
  return ((await answer.json()) as { events: unknown[] }).events.length
}

/** Digests of the samples that wait on the box. */
const waiting = async (folder: string): Promise<string[]> =>
  (await readdir(folder).catch(() => []))
    .filter((name) => name.endsWith('.json'))
    .map((name) => name.slice(0, -'.json'.length))

test('what a box keeps for learning reaches the hub once, through cuts and a restart', {
  ...needs('node-av', 'time'),
  timeout: 240_000,
}, async (t: TestContext) => {
  const hub = await openTestHub(t)
  const dataDir = await mkdtemp(join(tmpdir(), 'edgeloop-sampling-'))
  const samples = join(dataDir, 'samples')
  const made = await hub.api('POST', '/api/enrolment-tokens', { deviceId: 'box' })
  const ticket = (await made.json()) as Record<'token' | 'caFingerprint' | 'deviceUrl', string>
  const identity = await enrol({ ...ticket, folder: dataDir, signal: t.signal })
  const mqtt = await openTcpProxy(Number(new URL(identity.mqttUrl).port))
  const https = await openTcpProxy(Number(new URL(identity.deviceUrl).port))
  const put = await hub.api('PUT', '/api/devices/box/desired', {
    version: 0,
    config: {
      streams: [
        {
          streamId: 'belt',
          source: 'demo:7',
          model: demoModel.name,
          scoreMin: 0.5,
          sampling: { intervalMinMs: 200, framesPerDay: 5_000, bytesPerDay: 1e9, randomShare: 0.5 },
        },
      ],
    },
  })
  assert.equal(put.status, 200, await put.text())
  const through = (url: string, port: number): string => {
    const changed = new URL(url)
    changed.port = String(port)
    return changed.href.replace(/\/$/, '')
  }
  const config = await readAgentConfig(dataDir, {
    models: [demoModel],
    // Slow enough that a sample takes a while.
    link: { bytesPerSecondMax: 400_000 },
  })
  const log = pino({ level: process.env.EDGELOOP_TEST_LOG ?? 'silent' }, pino.destination(2))
  const start = () => {
    const abort = new AbortController()
    const running = runAgent({
      config,
      log,
      signal: abort.signal,
      identity: {
        ...identity,
        mqttUrl: through(identity.mqttUrl, mqtt.port),
        deviceUrl: through(identity.deviceUrl, https.port),
      },
    })
    return async () => {
      abort.abort()
      await running
    }
  }
  let stop = start()
  t.after(async () => {
    await stop()
    await mqtt[Symbol.asyncDispose]()
    await https[Symbol.asyncDispose]()
    await rm(dataDir, { recursive: true })
  })

  // The hub is away for bytes: what is chosen stays on the box, over a restart too.
  await t.waitFor(async () => assert.ok((await eventsAt(hub)) > 0), soon)
  https.down()
  const before = new Set((await samplesOf(hub)).map(({ digest }) => digest))
  await t.waitFor(async () => assert.ok((await waiting(samples)).length >= 6), soon)
  await stop()
  const kept = await waiting(samples)
  assert.ok(kept.length >= 6)

  stop = start()
  await t.waitFor(async () => assert.ok((await waiting(samples)).length > kept.length), soon)
  https.heal()
  // Cut again and again while they go.
  const cutting = setInterval(() => https.cut(), 700)
  await t.waitFor(async () => {
    const there = new Set((await samplesOf(hub)).map(({ digest }) => digest))
    assert.ok(kept.some((digest) => there.has(digest)))
  }, soon)
  clearInterval(cutting)
  // No more is chosen than comes: the stream is taken away, and all that was kept is there or was alike.
  const desired = await hub.api('DELETE', '/api/devices/box/streams/belt')
  assert.equal(desired.status, 200)
  await t.waitFor(async () => assert.deepEqual(await waiting(samples), []), soon)

  const came = await samplesOf(hub)
  const digests = came.map(({ digest }) => digest)
  assert.equal(new Set(digests).size, digests.length, 'each is there once')
  const fromOutage = came.filter(({ digest }) => !before.has(digest) && kept.includes(digest))
  assert.ok(fromOutage.length >= 3, `${fromOutage.length} of ${kept.length} came`)
  for (const sample of came) {
    assert.equal(sample.signatureValid, true)
    assert.equal(sample.streamId, 'belt')
    assert.ok(sample.why.length > 0 && sample.probability > 0)
    assert.equal(sample.model.name, demoModel.name)
  }
  assert.ok(came.some(({ reason }) => reason !== 'random'))
  const [first] = came
  const picture = await hub.api('GET', `/api/samples/${first?.digest}/picture`)
  assert.equal(picture.status, 200)
  const { width, height } = await sharp(await picture.arrayBuffer()).metadata()
  assert.deepEqual([width, height], [first?.width, first?.height])
})
