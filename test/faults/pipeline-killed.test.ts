/**
 * A round of a pipeline whose hub is killed: at every step once, at a moment that the seed chooses, and in the middle of a
 * training of which another hub on the same store takes over. Training, publishing and what boxes run are real; nothing is done twice.
 */
import assert from 'node:assert/strict'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type {
  AuditPage,
  DatasetVersion,
  Enrolment,
  ModelVersion,
  PipelineRequest,
  PipelineRound,
  PipelineStepName,
  Published,
  RolloutRow,
  Run,
} from '@edgeloop/protocol'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { startMosquitto } from '../broker/mosquitto.ts'
import { cornerLabels, putCorners } from '../hub/corners.ts'
import { makeRequest, send, type TestDevice } from '../hub/fixture.ts'
import { quick, SimulatedBox } from '../hub/simulated-box.ts'
import { createDatabase } from '../postgres/shared-cluster.ts'
import { needs } from '../require.ts'
import { startS3 } from '../s3/s3.ts'
import { type HubProcess, startHub } from './hub-process.ts'

const path = '/api/pipelines/corners'
const requestOf = (steps: number): PipelineRequest => ({
  dataset: 'corners',
  freeze: { holdout: 0.3, validation: 0 },
  compile: null,
  train: {
    from: 'new:mnist-cnn',
    recipe: {
      steps,
      batch: 16,
      threads: 1,
      workers: 1,
      checkpointEvery: Math.ceil(steps / 8),
      evaluateEvery: steps,
    },
  },
  rollout: {
    stages: [{ share: 1, soakMs: 0 }],
    rate: quick.rate,
    care: quick.care,
    jitterMs: 0,
  },
})

/** A device that enrols with a hub in another process, and speaks MQTT as a box does. */
async function enrol(t: TestContext, hub: HubProcess, deviceId: string): Promise<TestDevice> {
  const { token } = await hub.createToken(deviceId)
  const { key, csr } = await makeRequest()
  const reply = await send(`${hub.urls.device}/enrol`, 'POST', {}, { token, csr })
  assert.equal(reply.status, 201, reply.text)
  const enrolment = JSON.parse(reply.text) as Enrolment
  const connect = async (options: IClientOptions = {}): Promise<MqttClient> => {
    const { certificate: cert, ca, mqttUrl } = enrolment
    const client = await mqtt.connectAsync(mqttUrl, {
      key,
      cert,
      ca,
      clientId: deviceId,
      reconnectPeriod: 0,
      ...options,
    })
    t.after(() => client.end(true))
    return client
  }
  const put = () => assert.fail('this box sends no bytes')
  return { deviceId, site: enrolment.site, key, enrolment, connect, put }
}

/** Samples of corners, and the pipeline. */
async function prepare(hub: HubProcess, steps: number): Promise<void> {
  const { localTokenFile, browser } = hub.urls
  const reached = {
    hub: { localTokenFile, urls: { browser } },
    api: async (method: string, at: string, body?: unknown) =>
      Response.json((await hub.api(method, at, body)) ?? null),
  }
  await hub.api('POST', '/api/datasets', { name: 'corners', labels: [...cornerLabels] })
  await putCorners(reached, 'corners', 80)
  await hub.api('PUT', path, requestOf(steps))
}

/** A box that runs what is really published. */
async function boxOf(device: TestDevice, hub: () => HubProcess): Promise<SimulatedBox> {
  const box = new SimulatedBox(device, 'corners')
  box.fileOf = async (version) => {
    const at = `/api/models/corners/${version}/published`
    return (await hub().api<Published[]>('GET', at))[0]?.file.digest ?? ''
  }
  return await box.connect()
}

/** Waits for what the first round becomes; a hub that has just been started may not answer yet. */
async function until(
  hub: HubProcess,
  is: (round: PipelineRound) => boolean,
  withinMs = 600_000,
): Promise<PipelineRound> {
  const endAt = performance.now() + withinMs
  for (;;) {
    const round = await hub.api<PipelineRound>('GET', `${path}/rounds/1`)
    if (is(round)) return round
    const at = round.steps.map(({ name, state, why }) => `${name} ${state} ${why}`).join('\n')
    assert.notEqual(round.state, 'parked', at)
    assert.ok(performance.now() < endAt, `${round.state}: ${round.why}\n${at}`)
    await sleep(20)
  }
}

/** Of everything there is one, whoever was killed. */
async function assertOnce(hub: HubProcess, heard: readonly SimulatedBox[]): Promise<void> {
  const get = <T>(at: string): Promise<T> => hub.api<T>('GET', at)
  assert.equal((await get<DatasetVersion[]>('/api/datasets/corners/versions')).length, 1)
  assert.equal((await get<Run[]>('/api/runs')).length, 1)
  const versions = await get<ModelVersion[]>('/api/models/corners')
  assert.deepEqual(
    versions.map(({ version, champion }) => [version, champion]),
    [[1, true]],
  )
  assert.equal((await get<Published[]>('/api/models/corners/1/published')).length, 1)
  assert.equal((await get<RolloutRow[]>('/api/rollouts')).length, 1)
  for (const action of [
    'datasetFreeze',
    'runAdd',
    'modelPromote',
    'modelPublish',
    'rolloutCreate',
  ]) {
    const { entries } = await get<AuditPage>(`/api/audit?action=${action}`)
    assert.deepEqual(
      entries.map(({ outcome }) => outcome),
      ['done'],
      action,
    )
  }
  const attempts = heard.flatMap((box) =>
    box.heard.flatMap(({ offers }) => offers.map(({ attempt }) => attempt)),
  )
  assert.deepEqual(new Set(attempts), new Set([1]), 'nobody was asked twice')
}

test('a hub that is killed at every step of a round goes on with it, and does nothing twice', {
  timeout: 900_000,
  ...needs('time'),
}, async (t) => {
  const seed = Number(process.env.EDGELOOP_SEED ?? Date.now() % 1_000_000)
  t.diagnostic(`EDGELOOP_SEED=${seed}`)
  let state = seed
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  const dataDir = await mkdtemp(join(tmpdir(), 'edgeloop-killed-'))
  t.after(() => rm(dataDir, { recursive: true, force: true, maxRetries: 5 }))
  await using hub = await startHub({ dataDir, training: true })
  const device = await enrol(t, hub, 'mill')
  const boxes = [await boxOf(device, () => hub)]
  await prepare(hub, 8)
  await hub.api('POST', `${path}/rounds`)

  const steps: PipelineStepName[] = ['freeze', 'train', 'gate', 'publish', 'rollout']
  for (const wanted of steps) {
    // As it begins, in the middle of it, or as it ends.
    const moment = Math.floor(next() * 3)
    const states = moment === 2 ? ['done'] : ['running', 'done']
    const round = await until(hub, ({ steps }) =>
      states.includes(steps.find(({ name }) => name === wanted)?.state ?? ''),
    )
    if (moment === 1) await sleep(next() * 1500)
    await hub.kill()
    const found = round.steps.find(({ name }) => name === wanted)?.state
    t.diagnostic(`killed at ${wanted}, which was ${found}; moment ${moment}`)
    await hub.start()
    // The box has lost its connection, and what it was doing; it says again what it runs.
    const before = boxes.at(-1)!
    const box = await boxOf(device, () => hub)
    for (const [version, digest] of before.files) box.files.set(version, digest)
    box.version = before.version
    box.before = before.before
    await box.say()
    boxes.push(box)
  }
  const done = await until(hub, ({ state }) => state === 'done')
  assert.deepEqual(
    done.steps.map(({ name, state }) => `${name} ${state}`),
    [
      ...['freeze done', 'train done', 'gate done', 'compile skipped', 'publish done'],
      'rollout done',
    ],
  )
  await assertOnce(hub, boxes)
  assert.equal(boxes.at(-1)?.version, 1)
})

test('of two hubs on one PostgreSQL one is killed in the middle of a training, and the other ends the round', {
  timeout: 900_000,
  ...needs('mosquitto', 'postgresql', 'time'),
}, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-killed-'))
  const [firstDir, secondDir, files] = ['first', 'second', 'broker'].map((name) =>
    join(folder, name),
  ) as [string, string, string]
  const server = await startMosquitto(firstDir, files)
  t.after(async () => {
    await server[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  // Both see the same pictures and models.
  const s3 = await startS3(t)
  const config = {
    broker: { url: server.hubUrl, publicUrl: server.deviceUrl, files },
    store: await createDatabase(),
    blobs: { url: s3.url, ...s3.credentials },
  }
  await using first = await startHub({ dataDir: firstDir, config, training: true })
  const device = await enrol(t, first, 'mill')
  await prepare(first, 400)
  // What the first has begun before there was a second is its own: round and training.
  await first.api('POST', `${path}/rounds`)
  const isTraining = ({ steps }: PipelineRound) => /step [1-9]/.test(steps[1]?.why ?? '')
  await until(first, isTraining)
  await cp(join(firstDir, 'keys'), join(secondDir, 'keys'), { recursive: true })
  await using second = await startHub({ dataDir: secondDir, config, training: true })
  const box = await boxOf(device, () => second)
  const [train] = (await until(second, isTraining)).steps.slice(1)
  assert.equal(train?.state, 'running', 'the training was over before the second hub was there')
  await first.kill()
  t.diagnostic(`killed at: ${train?.why}`)
  const [run] = await second.api<Run[]>('GET', '/api/runs')
  const done = await until(second, ({ state }) => state === 'done')
  assert.equal(done.runId, run?.runId)
  await assertOnce(second, [box])
  assert.equal(box.version, 1)
})
