/**
 * Every step of a round for real: a net is trained, compiled with pictures of the boxes, published and signed, and offered to boxes
 * that then run that very file. What a step cannot do is said, and goes on when somebody has helped.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type {
  PipelineRequest,
  PipelineRound,
  PipelineRow,
  Published,
  RolloutDetail,
} from '@edgeloop/protocol'
import { needs } from '../require.ts'
import { cornerLabels, putCorners } from './corners.ts'
import { addSnapshots } from './demo-model.ts'
import { openTestHub, type TestHub } from './fixture.ts'
import { quick, SimulatedBox } from './simulated-box.ts'

const wide = { timeout: 600_000 }
const recipe = { steps: 8, batch: 16, threads: 1, workers: 1, checkpointEvery: 4, evaluateEvery: 8 }

async function json<T>(hub: TestHub, method: string, path: string, body?: unknown): Promise<T> {
  const reply = await hub.api(method, path, body)
  const text = await reply.text()
  assert.ok(reply.ok, `${method} ${path}: ${reply.status} ${text}`)
  return (text === '' ? undefined : JSON.parse(text)) as T
}

const path = '/api/pipelines/corners'
const request = (more: Partial<PipelineRequest> = {}): PipelineRequest => ({
  dataset: 'corners',
  freeze: { holdout: 0.3, validation: 0 },
  retries: 0,
  train: { from: 'new:mnist-cnn', recipe },
  rollout: {
    stages: [{ share: 1, soakMs: 0 }],
    rate: quick.rate,
    care: quick.care,
    jitterMs: 0,
    approve: true,
  },
  ...more,
})

/** Waits for what a round becomes. */
async function until(
  t: TestContext,
  hub: TestHub,
  number: number,
  is: (round: PipelineRound) => boolean,
): Promise<PipelineRound> {
  let round: PipelineRound | undefined
  await t.waitFor(
    async () => {
      round = await json(hub, 'GET', `${path}/rounds/${number}`)
      const at = round?.steps.map(({ name, state, why }) => `${name} ${state} ${why}`).join('\n')
      assert.ok(round && is(round), `${round?.state}: ${round?.why}\n${at}`)
    },
    { interval: 200, timeout: 240_000 },
  )
  return round as PipelineRound
}

const stateOf = ({ steps }: PipelineRound, wanted: string): string | undefined =>
  steps.find(({ name }) => name === wanted)?.state

/** A hub with samples of corners, and boxes that run the model. */
async function openScene(t: TestContext, names: readonly string[]) {
  const hub = await openTestHub(t)
  const boxes: SimulatedBox[] = []
  for (const name of names) {
    boxes.push(await new SimulatedBox(await hub.enrol(name), 'corners').connect())
  }
  await json(hub, 'POST', '/api/datasets', { name: 'corners', labels: [...cornerLabels] })
  await putCorners(hub, 'corners', 80)
  return { hub, boxes }
}

test('a round compiles with pictures of the boxes, publishes what they then run, and a device that is removed holds nobody up', {
  ...wide,
  ...needs('time'),
}, async (t) => {
  const { hub, boxes } = await openScene(t, ['mill', 'yard', 'old'])
  const published = () => json<Published[]>(hub, 'GET', '/api/models/corners/1/published')
  for (const box of boxes) box.fileOf = async () => (await published())[0]?.file.digest ?? ''
  await json(hub, 'PUT', path, request())
  await json<PipelineRow>(hub, 'POST', `${path}/rounds`)

  // No camera has sent a picture yet: there is nothing to compile with, and somebody has to look.
  const stuck = await until(t, hub, 1, ({ state }) => state === 'parked')
  assert.deepEqual([stateOf(stuck, 'gate'), stateOf(stuck, 'compile')], ['done', 'failed'])
  assert.match(stuck.why, /^linux-x64: Cannot compile without pictures: 0 snapshots/)
  t.diagnostic(`parked: ${stuck.why}`)
  await addSnapshots(hub, boxes[0]!.device, 16)
  await json(hub, 'POST', `${path}/rounds/1/retry`, { step: 'compile' })
  const waits = await until(t, hub, 1, ({ approval }) => approval)
  assert.deepEqual(
    waits.steps.map(({ name, state }) => `${name} ${state}`),
    [
      ...['freeze done', 'train done', 'gate done', 'compile done', 'publish done'],
      'rollout waiting',
    ],
  )
  const whyOf = (wanted: string) => waits.steps.find(({ name }) => name === wanted)?.why ?? ''
  assert.match(whyOf('compile'), /^linux-x64: [a-z0-9-]+, \d+\.\d (kB|MB)$/)
  assert.match(whyOf('publish'), /^linux-x64: .* as zstd of /)
  const [one, ...more] = await published()
  assert.ok(one)
  assert.deepEqual([more.length, one.target, one.signed], [0, 'linux-x64', true])
  assert.ok(one.artifactId !== null, 'what was compiled is what is published')

  // One box is gone for a while, and is then removed altogether: the others have theirs, and the round ends.
  await boxes[2]!.disconnect()
  await json(hub, 'POST', `${path}/rounds/1/approve`)
  await t.waitFor(
    () =>
      assert.deepEqual(
        boxes.map(({ version }) => version),
        [1, 1, 0],
      ),
    { interval: 100, timeout: 60_000 },
  )
  const open = await json<PipelineRound>(hub, 'GET', `${path}/rounds/1`)
  assert.equal(open.state, 'running', 'one box has not said anything')
  await json(hub, 'POST', '/api/devices/old/retire')
  await json(hub, 'DELETE', '/api/devices/old')
  const done = await until(t, hub, 1, ({ state }) => state === 'done')
  // It is over when the box is retired, and that is removed a moment later.
  assert.match(done.steps.at(-1)?.why ?? '', /^Complete: 2 of [23] devices run it$/)
  const { rollout } = await json<RolloutDetail>(hub, 'GET', `/api/rollouts/${done.rolloutId}`)
  assert.deepEqual([rollout.state, rollout.counts.confirmed], ['complete', 2])
  for (const box of boxes.slice(0, 2)) assert.equal(box.files.get(1), one.file.digest)
})

test('a training that fails is tried again, then waits for somebody with its reason; one that is cancelled waits at once', {
  ...wide,
  ...needs('time'),
}, async (t) => {
  const { hub } = await openScene(t, ['mill'])
  // Weights grow by a hundred times with each step, until the loss is no number any more.
  const optimizer = { name: 'sgd', learningRate: 100, momentum: 0, weightDecay: 1, clipNorm: 0 }
  const train = { from: 'new:mnist-cnn', recipe: { ...recipe, steps: 60, optimizer } }
  const wish = { compile: null, rollout: null, retries: 1 } as const
  await json(hub, 'PUT', path, request({ ...wish, train }))
  await json(hub, 'POST', `${path}/rounds`)
  const tried = await until(t, hub, 1, ({ steps }) => steps[1]?.retryAt !== null)
  assert.match(tried.why, /step \d+.* \(try 1\)$/)
  assert.equal(tried.state, 'running')
  await json(hub, 'POST', `${path}/skip-wait`)
  const stuck = await until(t, hub, 1, ({ state }) => state === 'parked')
  assert.deepEqual([stateOf(stuck, 'freeze'), stateOf(stuck, 'train')], ['done', 'failed'])
  assert.equal(stuck.steps[1]?.attempt, 2)
  assert.match(stuck.why, /step \d+/)
  t.diagnostic(`parked: ${stuck.why}`)
  await json(hub, 'POST', `${path}/rounds/1/cancel`)
  assert.deepEqual(await (await hub.api('GET', '/api/models')).json(), [], 'nothing was kept of it')

  // Somebody cancels the run of the next round: that is not tried again by itself.
  const long = { from: 'new:mnist-cnn', recipe: { ...recipe, steps: 100_000 } }
  await json(hub, 'PUT', path, request({ ...wish, train: long }))
  await json(hub, 'POST', `${path}/rounds`)
  const runs = await until(t, hub, 2, ({ runId, steps }) => {
    return runId !== null && /step [1-9]/.test(steps[1]?.why ?? '')
  })
  await json(hub, 'POST', `/api/runs/${runs.runId}/cancel`)
  const cancelled = await until(t, hub, 2, ({ state }) => state === 'parked')
  assert.equal(cancelled.why, 'Somebody cancelled the run')
  assert.equal(cancelled.steps[1]?.attempt, 1)
})
