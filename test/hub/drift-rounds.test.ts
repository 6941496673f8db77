/**
 * From sketches to a round: a box that sees otherwise than it used to makes the hub begin to train, once, whichever hub
 * is there when, and not where a person has said before that this is how it is from now on.
 */
import assert from 'node:assert/strict'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { DriftAlarm, PipelineRequest, PipelineRound, PipelineRow } from '@edgeloop/protocol'
import { startMosquitto } from '../broker/mosquitto.ts'
import { type Injection, simulatedSketches } from '../drift/simulated-camera.ts'
import { createDatabase } from '../postgres/shared-cluster.ts'
import { needs } from '../require.ts'
import { cornerLabels, putCorners } from './corners.ts'
import { openTestHub, type TestDevice, type TestHub } from './fixture.ts'
import { minutes, openSketcher } from './seeded-drift.ts'

const soon = { interval: 100, timeout: 60_000 }
const learnsFrom = 20
const seed = 101
/** Longer than a hub leaves anything lying. */
const looksMs = 1500

async function call<T>(hub: TestHub, method: string, path: string, body?: unknown): Promise<T> {
  const reply = await hub.api(method, path, body)
  const text = await reply.text()
  assert.ok(reply.ok, `${method} ${path}: ${reply.status} ${text}`)
  return JSON.parse(text) as T
}

/** A round begins at an alarm as soon as eight samples are labelled, and at nothing else. */
const request: PipelineRequest = {
  dataset: 'corners',
  trigger: { annotations: null, drift: { kinds: [], annotationsMin: 8 } },
  freeze: { holdout: 0.3, validation: 0 },
  train: { from: 'new:mnist-cnn', recipe: { steps: 2, batch: 8, threads: 1, workers: 1 } },
  compile: null,
}

/** A box whose camera runs the model, and the pipeline of that model. */
async function setUp(hub: TestHub): Promise<TestDevice> {
  const gate = await hub.enrol('gate')
  const streams = [{ streamId: 'yard', source: 'demo:1', model: 'corners' }]
  await call(hub, 'PUT', '/api/devices/gate/desired', { version: 0, config: { streams } })
  await call(hub, 'POST', '/api/datasets', { name: 'corners', labels: [...cornerLabels] })
  await call(hub, 'PUT', '/api/pipelines/corners', request)
  return gate
}

/** Minutes of a camera through the box's own sketches; `done` says what happens to it when. */
const sketches = (count: number, done: (minute: number) => Injection) => {
  const startAt = Date.parse('2026-11-21T11:00:00.000Z')
  // A sketch is whole when the next minute begins.
  return [...simulatedSketches({ seed, habits: {}, startAt, minutes: count + 1, done })]
}

const alarmsOf = (hub: TestHub) => call<DriftAlarm[]>(hub, 'GET', '/api/drift/alarms')
const pipelineOf = (hub: TestHub) => call<PipelineRow>(hub, 'GET', '/api/pipelines/corners')
const roundOf = (hub: TestHub, round: number) =>
  call<PipelineRound>(hub, 'GET', `/api/pipelines/corners/rounds/${round}`)

const untilAlarms = (t: TestContext, hub: TestHub, kinds: readonly string[]) =>
  t.waitFor(async () => {
    const alarms = await alarmsOf(hub)
    assert.deepEqual(
      alarms.map(({ kind }) => kind),
      kinds,
    )
  }, soon)

const untilHeard = (t: TestContext, hub: TestHub, count: number) =>
  t.waitFor(async () => {
    const { alarms, why } = await pipelineOf(hub)
    assert.equal(alarms.length, count, why)
  }, soon)

/** The round that an alarm began has frozen the dataset; what comes after it is not for this test. */
async function untilFrozen(t: TestContext, hub: TestHub, cause: string): Promise<void> {
  await t.waitFor(async () => assert.equal((await pipelineOf(hub)).rounds, 1), soon)
  await t.waitFor(async () => {
    const { steps, why } = await roundOf(hub, 1)
    assert.equal(steps[0]?.state, 'done', why)
  }, soon)
  const round = await roundOf(hub, 1)
  assert.deepEqual(round.cause, { kind: 'drift', text: cause })
  await call(hub, 'POST', '/api/pipelines/corners/rounds/1/cancel')
}

test(`a camera that drifts begins a round, once, also over restarts; one that was accepted begins none (seed ${seed})`, {
  timeout: 180_000,
}, async (t) => {
  const hub = await openTestHub(t, { driftLearnsFrom: learnsFrom })
  const box = await openSketcher(await setUp(hub))
  await box.send(...sketches(34, (minute) => (minute < 28 ? {} : { movedX: 0.06 })))
  await untilAlarms(t, hub, ['camera-moved'])
  await untilHeard(t, hub, 1)
  assert.match((await pipelineOf(hub)).why, /gate\/yard; 0 of 8 new annotations to answer it/)

  // Somebody says that the camera is to look there: then there is nothing to learn from it.
  await call(hub, 'POST', '/api/drift/streams/gate/yard/accept')
  await untilHeard(t, hub, 0)
  await putCorners(hub, 'corners', 40)
  await sleep(looksMs)
  const waits = await pipelineOf(hub)
  assert.deepEqual([waits.rounds, waits.annotations], [0, 40])
  assert.match(waits.why, /no drift alarm of a stream that runs it/i)

  // The next one is heard while nobody may begin, and forgotten with the hub that heard it.
  await call(hub, 'POST', '/api/pipelines/corners/park')
  await box.send(...minutes(40, 25), ...minutes(65, 6, { brightness: 55 }))
  await untilAlarms(t, hub, ['data', 'camera-moved'])
  await untilHeard(t, hub, 1)
  await hub.close()
  await hub.inStore(async ({ writer }) => {
    const [alarm] = await writer
      .selectFrom('drift_alarm')
      .select('alarm_id')
      .orderBy('alarm_id')
      .execute()
    const unheard = { alarms: '[]', alarms_through: alarm?.alarm_id ?? 0 }
    await writer.updateTable('pipeline').set(unheard).execute()
  })
  await hub.reopen()
  await untilHeard(t, hub, 1)
  assert.equal((await pipelineOf(hub)).rounds, 0)
  await call(hub, 'POST', '/api/pipelines/corners/resume')
  await untilFrozen(t, hub, 'Drift (data) on gate/yard')

  await hub.close()
  await hub.reopen()
  await sleep(looksMs)
  const after = await pipelineOf(hub)
  assert.deepEqual([after.rounds, after.alarms], [1, []])
  assert.equal((await alarmsOf(hub)).length, 2)
})

test('of two hubs on one store one raises the alarm and one begins the round, also when the first is gone', {
  timeout: 240_000,
  ...needs('mosquitto', 'postgresql', 'time'),
}, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-drift-rounds-'))
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
    driftLearnsFrom: learnsFrom,
  }
  const first = await openTestHub(t, { ...given, dataDir: firstDir })
  const gate = await setUp(first)
  await cp(join(firstDir, 'keys'), join(secondDir, 'keys'), { recursive: true })
  const second = await openTestHub(t, { ...given, dataDir: secondDir })
  const box = await openSketcher(gate)
  await box.send(...minutes(0, 30), ...minutes(30, 6, { brightness: 55 }))
  for (const hub of [first, second]) {
    await untilAlarms(t, hub, ['data'])
    await untilHeard(t, hub, 1)
  }
  await first.close()
  // Bytes of samples lie with the hub that took them: this one is asked, and this one freezes.
  await putCorners(second, 'corners', 40)
  await untilFrozen(t, second, 'Drift (data) on gate/yard')
  await sleep(looksMs)
  assert.equal((await pipelineOf(second)).rounds, 1)
  assert.equal((await alarmsOf(second)).length, 1)
})
