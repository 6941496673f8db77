/**
 * What goes wrong in a rollout, with boxes that are the agent's own connection, trust, download, plan and updates (they look at no
 * frames), and a real hub that has really published what they fetch: a box that falls back, one that falls silent, half of the boxes
 * off, an abort in the middle. Each story has boxes of its own; numbers are those of docs/update-tests.md.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Job,
  type ModelVersion,
  type RolloutBoxPage,
  type RolloutDetail,
  updateStates,
} from '@edgeloop/protocol'
import { json } from '../attacks/published-model.ts'
import { uploadTo } from '../hub/demo-model.ts'
import { openTestHub, type TestHub } from '../hub/fixture.ts'
import { needs } from '../require.ts'
import { fleetModel, fleetModels } from './fleet-models.ts'
import { randomOf } from './random.ts'
import { SimulatedBox } from './simulated-box.ts'

const soon = { interval: 100, timeout: 120_000 }
const care = { shadowMs: 300, shadowFramesMin: 0, probationMs: 600 }
const quick = { perMinute: 60_000, doubledAfter: 0, perMinuteMax: 60_000 }

type Stage = {
  readonly hub: TestHub
  readonly own: ModelVersion
  readonly next: ModelVersion
  readonly bytes: Uint8Array
  readonly random: () => number
}

/** A hub with two versions published. */
async function openStage(t: TestContext): Promise<Stage> {
  const seed = Date.now() % 2 ** 31
  t.diagnostic(`seed ${seed}`)
  const hub = await openTestHub(t)
  const { before, after } = fleetModels(1)
  const own = await publish(t, hub, before)
  const next = await publish(t, hub, after)
  return { hub, own, next, bytes: before, random: randomOf(seed) }
}

/** Boxes that run the first version. */
async function openFleet(t: TestContext, stage: Stage, name: string, count: number) {
  const { hub, own, next, bytes: before, random } = stage
  const boxes: SimulatedBox[] = []
  const devices = Array.from({ length: count }, (_, at) => `${name}-${at}`)
  for (const deviceId of devices) {
    const device = await hub.enrol(deviceId)
    const box = new SimulatedBox({
      identity: { ...device.enrolment, key: device.key, deviceUrl: hub.hub.urls.device },
      own: { name: fleetModel.name, digest: own.digest, bytes: before },
      targets: ['linux-x64'],
      conductOf: () => 'good',
      lossShare: 0,
      beatMs: 500,
      random,
    })
    boxes.push(box)
    box.start()
  }
  t.after(async () => void (await Promise.all(boxes.map((box) => box.cut()))))
  await t.waitFor(async () => {
    const body = { name: fleetModel.name, version: next.version, select: { devices } }
    const preview = await json<{ devices: number }>(hub, 'POST', '/api/rollout-previews', body)
    assert.equal(preview.devices, count)
  }, soon)
  const create = async (plan: object): Promise<string> => {
    const { rollout } = await json<RolloutDetail>(hub, 'POST', '/api/rollouts', {
      name: fleetModel.name,
      version: next.version,
      select: { devices },
      care,
      rate: quick,
      jitterMs: 0,
      ...plan,
    })
    return rollout.rolloutId
  }
  const show = (id: string) => json<RolloutDetail>(hub, 'GET', `/api/rollouts/${id}`)
  const until = async (id: string, is: (detail: RolloutDetail) => boolean) => {
    let last: RolloutDetail | undefined
    await t.waitFor(async () => {
      last = await show(id)
      const { state, why, counts } = last.rollout
      assert.ok(is(last), `${state}: ${why} ${JSON.stringify(counts)}`)
    }, soon)
    return last ?? assert.fail()
  }
  const stateOf = async (id: string) =>
    new Map(
      (await json<RolloutBoxPage>(hub, 'GET', `/api/rollouts/${id}/boxes`)).boxes.map(
        ({ deviceId, state }) => [deviceId, state],
      ),
    )
  const runs = (box: SimulatedBox) =>
    box.updates.running.find(({ name }) => name === fleetModel.name)?.digest
  const runIt = () => boxes.filter((box) => runs(box) === next.digest).length
  const taken = () => boxes.filter((box) => box.updates.updates.length > 0).length
  return { hub, boxes, create, show, until, stateOf, runIt, taken, next }
}

async function publish(t: TestContext, hub: TestHub, bytes: Uint8Array): Promise<ModelVersion> {
  const { name, layout, description } = fleetModel
  const uploadId = await uploadTo(hub, bytes)
  const body = { name, uploadId, layout, labels: [], description }
  const version = await json<ModelVersion>(hub, 'POST', '/api/models', body)
  const path = `/api/models/${name}/${version.version}/publish`
  const { jobId } = await json<Job>(hub, 'POST', path, {})
  await t.waitFor(async () => {
    const job = await json<Job>(hub, 'GET', `/api/jobs/${jobId}`)
    assert.ok(job.endedAt && job.error === '', `${job.state} ${job.error}`)
  }, soon)
  return version
}

type Fleet = Awaited<ReturnType<typeof openFleet>>
type Story = {
  readonly says: string
  readonly boxes: number
  readonly tell: (t: TestContext, fleet: Fleet) => Promise<void>
}
const stories: Story[] = []
const story = (says: string, boxes: number, tell: Story['tell']) =>
  stories.push({ says, boxes, tell })

story(
  'a box that committed and then starts with a damaged file leaves the successes, and the rollout goes no further (T6)',
  6,
  async (_, fleet) => {
    const { boxes, create, until, stateOf } = fleet
    const id = await create({
      stages: [
        { name: 'first', share: 0.5, soakMs: 120_000 },
        { name: 'rest', share: 1, soakMs: 0 },
      ],
    })
    await until(id, ({ rollout }) => rollout.counts.confirmed === 3)
    const committed = [...(await stateOf(id))].find(([, state]) => state === 'committed')?.[0]
    const box = boxes.find(({ deviceId }) => deviceId === committed) ?? assert.fail()
    await box.cut()
    // Its disk forgets a byte: at the next start frames go to what ran before, and the box says so.
    for (const slot of ['a', 'b']) {
      const path = `models/${fleetModel.name}/${slot}/model.onnx`
      const bytes = await box.disk.read(path)
      if (bytes) await box.disk.write(path, bytes.with(bytes.length >> 1, 77))
    }
    box.start()
    const after = await until(id, ({ rollout }) => rollout.counts.revoked === 1)
    assert.deepEqual([after.rollout.counts.confirmed, after.rollout.counts.failed], [2, 1])
    // Two of three are too few for its gate, and nobody is on the way: somebody has to say what is to become of it.
    const held = await until(id, ({ rollout }) => rollout.state === 'held')
    assert.match(
      held.rollout.why,
      /^2 of 3 reachable devices of stage "first" run it, 95 % are wanted/,
    )
    assert.equal(fleet.taken(), 3)
    assert.equal(held.stages[1]?.startedAt, null)
  },
)

story(
  'boxes that fall silent on the way run out of time, which counts as failing and stops it (T7)',
  6,
  async (t, fleet) => {
    const { boxes, create, until, stateOf } = fleet
    const id = await create({
      care: { ...care, shadowMs: 10_000 },
      // With three times the shadow on top, half a minute.
      deadlines: { shadowing: 1000 },
      stages: [
        { name: 'first', share: 0.33, soakMs: 0 },
        { name: 'rest', share: 1, soakMs: 0 },
      ],
    })
    await until(id, ({ stages }) => stages[0]?.states.shadowing === 2)
    const begun = [...(await stateOf(id))].flatMap(([name, state]) =>
      state === 'shadowing' ? [name] : [],
    )
    const silent = boxes.filter(({ deviceId }) => begun.includes(deviceId))
    for (const box of silent) await box.cut()
    const stopped = await until(id, ({ rollout }) => rollout.state === 'stopped')
    assert.match(
      stopped.rollout.why,
      /^2 of 2 devices of stage "first" failed, .*: deadline \(2\)$/,
    )
    for (const { deviceId } of silent) assert.equal((await stateOf(id)).get(deviceId), 'timed-out')
    assert.equal(fleet.taken(), 2)
    // They come back and hear that it is over: nothing of it runs.
    for (const box of silent) box.start()
    await t.waitFor(() => {
      for (const box of silent) {
        const state = box.updates.updates.at(-1)?.state
        assert.ok(state && updateStates[state].kind !== 'active', state)
      }
    }, soon)
    assert.equal(fleet.runIt(), 0)
  },
)

story(
  'half of the boxes off hold nothing up, and what they did not say lets nothing pass (T8)',
  8,
  async (_, fleet) => {
    const { boxes, create, show, until } = fleet
    const off = boxes.slice(0, 4)
    for (const box of off) await box.cut()
    await sleep(2500)
    const id = await create({
      reachableMs: 2000,
      stages: [
        { name: 'first', share: 0.25, soakMs: 0 },
        { name: 'half', share: 0.5, soakMs: 0 },
        { name: 'rest', share: 1, soakMs: 0 },
      ],
    })
    // Those that are there go through the first stages; the last has nobody to offer it to.
    await until(id, ({ rollout }) => rollout.counts.confirmed === 4)
    const waiting = await until(id, ({ stages }) => stages[2]?.startedAt !== null)
    assert.deepEqual([waiting.rollout.state, waiting.rollout.counts.waiting], ['running', 4])
    await sleep(1500)
    const still = await show(id)
    assert.equal(still.rollout.state, 'running', 'nobody of the last stage was heard of')
    assert.match(
      still.stages[2]?.wants ?? '',
      /^0 of 4 devices of stage "rest" can be reached, 50 %/,
    )
    for (const box of off) box.start()
    const done = await until(id, ({ rollout }) => rollout.state === 'complete')
    assert.equal(done.rollout.counts.confirmed, 8)
    assert.equal(fleet.runIt(), 8)
  },
)

story(
  'an abort in the middle of a stage: no box hears of it any more, and those that have it go back (T10)',
  8,
  async (t, fleet) => {
    const { hub, create, show, until, taken } = fleet
    const id = await create({
      // One every few seconds.
      rate: { perMinute: 20, doubledAfter: 0, perMinuteMax: 20 },
      stages: [{ name: 'all', share: 1, soakMs: 0 }],
    })
    await until(id, ({ rollout }) => rollout.counts.confirmed >= 1)
    const aborted = await json<RolloutDetail>(hub, 'POST', `/api/rollouts/${id}/abort`, {
      rollBack: true,
    })
    assert.equal(aborted.rollout.state, 'aborted')
    const offered = 8 - aborted.rollout.counts.waiting
    assert.ok(offered < 8, `${offered} were offered it`)
    const back = await until(
      id,
      ({ rollout: { counts } }) => counts.goingBack + counts.active + counts.confirmed === 0,
    )
    assert.equal(back.rollout.counts.failed, 0, 'whoever was asked to go back has not failed')
    await t.waitFor(() => assert.equal(fleet.runIt(), 0), soon)
    // Longer than it would take until the next is offered it.
    await sleep(7000)
    assert.deepEqual(
      [8 - (await show(id)).rollout.counts.waiting, taken() <= offered],
      [offered, true],
    )
  },
)

test('what goes wrong in a rollout to boxes', { ...needs('time'), timeout: 900_000 }, async (t) => {
  const stage = await openStage(t)
  for (const [at, { says, boxes, tell }] of stories.entries()) {
    await t.test(says, async (t) => {
      await tell(t, await openFleet(t, stage, `story-${at}`, boxes))
    })
  }
})
