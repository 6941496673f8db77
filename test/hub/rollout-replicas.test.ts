/** Two hubs on one PostgreSQL behind one broker: one decides, the other takes its place, and either can be asked. */
import assert from 'node:assert/strict'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { RolloutDetail, RolloutPreview } from '@edgeloop/protocol'
import { startMosquitto } from '../broker/mosquitto.ts'
import { createDatabase } from '../postgres/shared-cluster.ts'
import { needs } from '../require.ts'
import { openTestHub, type TestHub } from './fixture.ts'
import { publishedFor, quick, SimulatedBox } from './simulated-box.ts'

test('a rollout goes on when the hub that decides is gone, and each device is offered it once', {
  timeout: 180_000,
  ...needs('mosquitto', 'postgresql', 'time'),
}, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-rollouts-'))
  const [firstDir, secondDir, files] = ['first', 'second', 'broker'].map((name) =>
    join(folder, name),
  ) as [string, string, string]
  const server = await startMosquitto(firstDir, files)
  t.after(async () => {
    await server[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })
  const given = {
    broker: { url: server.hubUrl, publicUrl: server.deviceUrl, files },
    store: await createDatabase(),
  }
  const artifacts = publishedFor('door', [1, 2, 3])
  const first = await openTestHub(t, { ...given, dataDir: firstDir }, Date.now, { artifacts })
  const devices = []
  for (let i = 0; i < 4; i++) devices.push(await first.enrol(`box-${i}`))
  await cp(join(firstDir, 'keys'), join(secondDir, 'keys'), { recursive: true })
  const second = await openTestHub(t, { ...given, dataDir: secondDir }, Date.now, { artifacts })
  const boxes: SimulatedBox[] = []
  for (const device of devices) boxes.push(await new SimulatedBox(device, 'door').connect())
  const request = {
    name: 'door',
    version: 2,
    select: { all: true },
    ...quick,
    approval: 'after-canary',
  }
  const patient = { interval: 100, timeout: 60_000 }
  await t.waitFor(async () => {
    const reply = await second.api('POST', '/api/rollout-previews', request)
    const preview = (await reply.json()) as RolloutPreview
    assert.deepEqual([preview.devices, preview.stages[0]?.reachable], [4, 1])
  }, patient)

  // Asked at the one that does not decide.
  const made = await second.api('POST', '/api/rollouts', request)
  const { rollout } = (await made.json()) as RolloutDetail
  const stateAt = async (hub: TestHub) => {
    const reply = await hub.api('GET', `/api/rollouts/${rollout.rolloutId}`)
    return ((await reply.json()) as RolloutDetail).rollout
  }
  await t.waitFor(async () => assert.equal((await stateAt(second)).state, 'held'), patient)
  assert.deepEqual((await stateAt(first)).counts, (await stateAt(second)).counts)
  await first.close()
  await second.api('POST', `/api/rollouts/${rollout.rolloutId}/approve`, { stage: 1 })
  await t.waitFor(async () => assert.equal((await stateAt(second)).state, 'complete'), patient)
  assert.equal((await stateAt(second)).counts.confirmed, 4)
  for (const { heard, version } of boxes) {
    const attempts = heard.flatMap(({ offers }) => offers.map(({ attempt }) => attempt))
    assert.ok(version === 2 && attempts.every((attempt) => attempt === 1))
  }
})
