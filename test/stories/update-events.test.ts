/**
 * No event is lost when the model changes: a rendered camera, a real agent with its media process, a real hub that brings it a new
 * version and takes it back. Every event that the media process made is counted there, and again in the hub's store.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { enrol, readAgentConfig, runAgent } from '@edgeloop/edge-agent'
import {
  type DeviceUpdates,
  type EnrolmentToken,
  type Job,
  type ModelVersion,
  type RolloutBoxPage,
  type RolloutDetail,
  updateStates,
} from '@edgeloop/protocol'
import { pino } from 'pino'
import { demoModel } from '../../edge-agent/src/demo/demo-model.ts'
import { json } from '../attacks/published-model.ts'
import { type CountedLine, countingFolderVariable } from '../faults/counting-media.ts'
import { demoDescriptionFile, uploadTo } from '../hub/demo-model.ts'
import { openTestHub } from '../hub/fixture.ts'
import { needs } from '../require.ts'

const soon = { interval: 200, timeout: 240_000 }
const { name } = demoModel

test('an update and its rollback lose no event and count none twice', {
  ...needs('node-av', 'time'),
  timeout: 500_000,
}, async (t) => {
  const hub = await openTestHub(t)
  const description = await readFile(demoDescriptionFile, 'utf8')
  const publish = async (bytes: Uint8Array): Promise<ModelVersion> => {
    const uploadId = await uploadTo(hub, bytes)
    const body = { name, uploadId, layout: 'yolox', description }
    const version = await json<ModelVersion>(hub, 'POST', '/api/models', body)
    const path = `/api/models/${name}/${version.version}/publish`
    const { jobId } = await json<Job>(hub, 'POST', path, {})
    await t.waitFor(async () => {
      const job = await json<Job>(hub, 'GET', `/api/jobs/${jobId}`)
      assert.ok(job.endedAt && job.error === '', `${job.state} ${job.error}`)
    }, soon)
    return version
  }
  const own = await readFile(demoModel.file)
  await publish(own)
  // The same model as another file: a note in its metadata (metadata_props, field 14 of ModelProto).
  const note = Buffer.from([0x72, 0x06, 0x0a, 0x01, 0x6b, 0x12, 0x01, 0x76])
  const next = await publish(Buffer.concat([own, note]))

  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-counted-'))
  process.env[countingFolderVariable] = folder
  const dataDir = join(folder, 'agent')
  const abort = new AbortController()
  const { signal } = abort
  const made = await json<EnrolmentToken>(hub, 'POST', '/api/enrolment-tokens', { deviceId: 'box' })
  const { token, caFingerprint, deviceUrl } = made
  const identity = await enrol({ token, caFingerprint, deviceUrl, folder: dataDir, signal })
  const running = runAgent({
    config: await readAgentConfig(dataDir, {
      models: [demoModel],
      health: { intervalMs: 1000 },
      media: { processesMax: 1, heartbeatTimeoutMs: 60_000 },
    }),
    identity,
    signal,
    mediaModule: new URL('../faults/counting-media.ts', import.meta.url),
    log: pino({ level: process.env.EDGELOOP_TEST_LOG ?? 'silent' }, pino.destination(2)),
  })
  t.after(async () => {
    abort.abort()
    await running
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  const streams = ['demo:1', 'demo:2'].map((source, at) => ({
    streamId: `belt-${at}`,
    source,
    model: name,
    analysisFps: 5,
  }))
  const wish = (version: number, config: object) =>
    json(hub, 'PUT', '/api/devices/box/desired', { version, config })
  await wish(0, { streams })
  const lines = async (): Promise<CountedLine[]> => {
    const files = (await readdir(folder)).filter((file) => file.endsWith('.lines'))
    assert.ok(files.length <= 1, 'the media process went away')
    const text = files[0] ? await readFile(join(folder, files[0]), 'utf8') : ''
    return text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split('\n')
      .flatMap((line) => (line === '' ? [] : [JSON.parse(line) as CountedLine]))
  }
  const madeBy = (all: readonly CountedLine[]) => all.filter((line) => 'made' in line)
  const more = async (count: number) => {
    const before = madeBy(await lines()).length
    await t.waitFor(async () => assert.ok(madeBy(await lines()).length >= before + count), soon)
  }
  const runs = async () => {
    const { running: now } = await json<DeviceUpdates>(hub, 'GET', '/api/devices/box/updates')
    return now.find((one) => one.name === name)?.version
  }
  await t.waitFor(async () => assert.equal(await runs(), 0), soon)
  await more(5)

  const { rollout } = await json<RolloutDetail>(hub, 'POST', '/api/rollouts', {
    name,
    version: next.version,
    select: { all: true },
    jitterMs: 0,
    stages: [{ share: 1, soakMs: 0, gate: { latencyRatioMax: 100 } }],
    // This machine may be busy with other things: latency is not what is told apart here.
    care: {
      shadowMs: 3000,
      shadowFramesMin: 5,
      shadowCpuShare: 1,
      probationMs: 4000,
      latencyRatioMax: 100,
    },
  })
  await t.waitFor(async () => {
    const path = `/api/rollouts/${rollout.rolloutId}/boxes`
    const [box] = (await json<RolloutBoxPage>(hub, 'GET', path)).boxes
    const text = `${box?.state} ${box?.code} ${box?.reason}`
    assert.ok(box && box.state !== 'waiting' && updateStates[box.state].kind === 'success', text)
  }, soon)
  assert.equal(await runs(), next.version)
  await more(5)
  const back = await hub.api('POST', `/api/devices/box/models/${name}/roll-back`)
  assert.ok(back.ok, await back.text())
  await t.waitFor(async () => assert.equal(await runs(), 0), soon)
  await more(5)

  // No camera any more: what was made is recorded, and what is recorded comes to the hub.
  await wish(1, { streams: [] })
  const all = await t.waitFor(async () => {
    const now = await lines()
    const recorded = now.filter((line) => 'recorded' in line)
    assert.equal(recorded.length, madeBy(now).length)
    return now
  }, soon)
  const recorded = all.flatMap((line) => ('recorded' in line ? [line] : []))
  assert.ok(recorded.every(({ sequence }) => sequence !== undefined))
  const last = Math.max(...recorded.map(({ sequence = 0 }) => sequence))
  const stored = () =>
    hub.inStore(
      async ({ reader }) =>
        await reader
          .selectFrom('event')
          .select(['sequence', 'kind', 'at'])
          .orderBy('sequence')
          .execute(),
    )
  await t.waitFor(async () => assert.ok(((await stored()).at(-1)?.sequence ?? 0) >= last), soon)
  const events = await stored()
  assert.deepEqual(
    events.map(({ sequence }) => sequence),
    events.map((_, at) => at + 1),
    'none is missing and none is there twice',
  )
  for (const { sequence = 0, kind, at } of recorded) {
    const event = events[sequence - 1]
    assert.deepEqual([event?.kind, event?.at], [kind, Date.parse(at)], `event ${sequence}`)
  }
  const gaps = all.flatMap((line) => ('gapMs' in line ? [line.gapMs] : []))
  t.diagnostic(
    `${recorded.length} events made, recorded and stored, ${events.length} in the hub; longest time between two answers of a model ${Math.max(...gaps).toFixed(0)} ms, frames come every 200 ms`,
  )
})
