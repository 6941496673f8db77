/** Pipelines through a real hub: real training of a small net, real publishing, and boxes that speak the protocol. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type {
  DatasetSample,
  DatasetVersion,
  ModelVersion,
  PipelineDryRun,
  PipelineRequest,
  PipelineRound,
  PipelineRow,
  Problem,
  RolloutRow,
  Run,
  RunDetail,
  SamplePage,
} from '@edgeloop/protocol'
import { needs } from '../require.ts'
import { assertAudited } from './audited.ts'
import { cornerLabels, darkSquares, putCorners } from './corners.ts'
import { openTestHub, type TestHub } from './fixture.ts'
import { fails, publishedFor, quick, SimulatedBox, well } from './simulated-box.ts'

const wide = { timeout: 280_000 }
const dayMs = 86_400_000

async function json<T>(hub: TestHub, method: string, path: string, body?: unknown): Promise<T> {
  const reply = await hub.api(method, path, body)
  const text = await reply.text()
  assert.ok(reply.ok, `${method} ${path}: ${reply.status} ${text}`)
  return (text === '' ? undefined : JSON.parse(text)) as T
}

async function refused(hub: TestHub, method: string, path: string, body?: unknown) {
  const reply = await hub.api(method, path, body)
  assert.ok(!reply.ok, `${method} ${path} was not refused`)
  const { code, detail } = (await reply.json()) as Problem
  return { code, detail }
}

const quickRollout = {
  stages: [{ share: 1, soakMs: 0 }],
  rate: quick.rate,
  care: quick.care,
  jitterMs: 0,
}

const request = (more: Partial<PipelineRequest> = {}): PipelineRequest => ({
  dataset: 'corners',
  trigger: { annotations: 40 },
  freeze: { holdout: 0.3, validation: 0 },
  train: {
    from: 'new:mnist-cnn',
    recipe: { steps: 8, batch: 16, threads: 1, workers: 1, checkpointEvery: 4, evaluateEvery: 8 },
  },
  // Boxes get the file as it was trained: no pictures of cameras are here to compile with.
  compile: null,
  rollout: quickRollout,
  ...more,
})

/** A hub with boxes at two sites that run the model, and an empty dataset of corners. */
async function openWithBoxes(t: TestContext, clock?: () => number) {
  const artifacts = publishedFor('corners', [1, 2, 3, 4, 5, 6, 7, 8])
  const hub = await openTestHub(t, { site: 'mill' }, clock, { artifacts })
  const boxes: SimulatedBox[] = []
  for (const site of ['mill', 'yard']) {
    const enrolled = await hub.enrol(`box-${site}`)
    await json(hub, 'PUT', `/api/devices/box-${site}/place`, { name: site, site })
    boxes.push(await new SimulatedBox(enrolled, 'corners').connect())
  }
  await json(hub, 'POST', '/api/datasets', { name: 'corners', labels: [...cornerLabels] })
  return { hub, boxes }
}

/** Newly labelled samples, dealt out to two sites with a camera each. */
async function label(hub: TestHub, count: number, from: number) {
  return await putCorners(hub, 'corners', count, from, (at) => {
    const site = at % 8 < 4 ? 'mill' : 'yard'
    const capturedAt = new Date(1_700_000_000_000 + at * 60_000).toISOString()
    return { site, stream: `${site}-cam`, capturedAt }
  })
}

const show = (hub: TestHub) => json<PipelineRow>(hub, 'GET', '/api/pipelines/corners')

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
      round = await json(hub, 'GET', `/api/pipelines/corners/rounds/${number}`)
      const at = round?.steps.map(({ name, state, why }) => `${name} ${state} ${why}`).join('\n')
      assert.ok(round && is(round), `${round?.state}: ${round?.why}\n${at}`)
    },
    { interval: 100, timeout: 120_000 },
  )
  return round as PipelineRound
}
const stateIs = (state: string) => (round: PipelineRound) => round.state === state

test(
  'a pipeline goes from labels to boxes by itself; what it cannot do it says, and waits for somebody',
  wide,
  async (t) => {
    const { hub, boxes } = await openWithBoxes(t)
    await refuseNonsense(hub)
    await label(hub, 1, 0)
    const wish = request({ retries: 0, rollout: { ...quickRollout, approve: true } })
    const row = await json<PipelineRow>(hub, 'PUT', '/api/pipelines/corners', wish)
    assert.deepEqual([row.state, row.why], ['waiting', 'Waits: 1 of 40 new annotations'])
    const before = await json<PipelineDryRun>(hub, 'GET', '/api/pipelines/corners/dry-run')
    assert.equal(before.begins, false)
    assert.deepEqual(before.sites, [
      { site: 'mill', devices: 1 },
      { site: 'yard', devices: 1 },
    ])
    assert.match(before.steps.find(({ name }) => name === 'train')?.text ?? '', /new:mnist-cnn/)

    // One sample cannot be split: it says so, and waits.
    await json(hub, 'POST', '/api/pipelines/corners/rounds')
    const stuck = await until(t, hub, 1, stateIs('parked'))
    assert.match(stuck.why, /nothing is left for test/)
    assert.equal((await show(hub)).state, 'stuck')
    const open = await refused(hub, 'POST', '/api/pipelines/corners/rounds')
    assert.match(open.detail, /round 1 is not over/)
    await label(hub, 79, 1)
    await json(hub, 'POST', '/api/pipelines/corners/rounds/1/retry', {})

    // Everything is there but approval.
    const waits = await until(t, hub, 1, ({ approval }) => approval)
    assert.match(waits.why, /^Waits for approval before version 1 is offered/)
    assert.ok(boxes.every(({ heard }) => heard.every(({ offers }) => offers.length === 0)))
    await json(hub, 'POST', '/api/pipelines/corners/rounds/1/approve')
    const round = await until(t, hub, 1, stateIs('done'))
    assert.deepEqual(
      round.steps.map(({ name, state }) => `${name} ${state}`),
      ['freeze done', 'train done', 'gate done', 'compile skipped', 'publish done', 'rollout done'],
    )
    assert.deepEqual([round.version, round.championBefore, round.cause.kind], [1, null, 'asked'])
    assert.ok((round.key?.after ?? 0) > 0)
    const [version] = await json<ModelVersion[]>(hub, 'GET', '/api/models/corners')
    assert.deepEqual([version?.champion, version?.lineage?.runId], [true, round.runId])
    assert.match(version?.standing ?? '', /^promoted by Round 1 of the pipeline of corners$/)
    const [frozen] = await json<DatasetVersion[]>(hub, 'GET', '/api/datasets/corners/versions')
    assert.equal(frozen?.split.after, 0)
    // Each camera has given its share to the test.
    for (const { name, samples } of round.sites) assert.equal(samples, 12, name)
    await t.waitFor(
      () =>
        assert.deepEqual(
          boxes.map((box) => box.version),
          [1, 1],
        ),
      {
        timeout: 10_000,
      },
    )
    assert.deepEqual((await show(hub)).why, 'Waits: 0 of 40 new annotations')
    await assertAudited(hub, 'pipelinePut', 'pipelineStart', 'pipelineRetry', 'pipelineApprove')
    await assertAudited(
      hub,
      'datasetFreeze',
      'runAdd',
      'modelPromote',
      'modelPublish',
      'rolloutCreate',
    )
    const again = await refused(hub, 'POST', '/api/pipelines/corners/rounds/1/retry', {})
    assert.match(again.detail, /it is done; start the next one/)
  },
)

/** What cannot be is refused with the reason and a way out. */
async function refuseNonsense(hub: TestHub): Promise<void> {
  const put = async (more: object, model = 'corners') =>
    (await refused(hub, 'PUT', `/api/pipelines/${model}`, { ...request(), ...more })).detail
  assert.match(await put({ dataset: 'nothing' }), /dataset "nothing"/)
  assert.match(await put({ train: {} }), /"corners" has no version yet; say in train.from/)
  assert.match(await put({ trigger: { cron: 'every day' } }), /"every day" is no time/)
  assert.match(await put({ train: { from: 'new:mnist-cn' } }), /mnist-cnn/)
  const recipe = { batchs: 3 }
  assert.match(await put({ train: { from: 'new:mnist-cnn', recipe } }), /did you mean "batch"/)
  assert.match(await put({ freeze: { holdout: 0.5, validation: 0.5 } }), /nothing to learn from/)
  assert.match(await put({ compile: { targets: ['toaster'] } }), /compiled for "toaster"/)
  assert.match(await put({ rollout: { stages: [{ share: 0.5 }] } }), /do not grow to all devices/)
  assert.match(await put({ triger: {} }), /did you mean "trigger"/)
  for (const act of [
    'rounds',
    'park',
    'resume',
    'skip-wait',
    'rounds/1/cancel',
    'rounds/1/approve',
  ]) {
    const { code } = await refused(hub, 'POST', `/api/pipelines/nobody/${act}`)
    assert.ok(code === 'notFound' || code === 'conflict', `${act}: ${code}`)
  }
}

test('it is parked, hurried, cancelled and removed', async (t) => {
  const { hub } = await openWithBoxes(t)
  await label(hub, 1, 0)
  const path = '/api/pipelines/corners'
  // A split that fails is tried again, but not at once.
  await json(hub, 'PUT', path, request({ trigger: { intervalMinMs: dayMs, annotations: 1 } }))
  const tried = await until(t, hub, 1, ({ steps }) => steps[0]?.retryAt !== null)
  assert.match(tried.why, /nothing is left for test.* \(try 1\)$/)
  await json(hub, 'POST', `${path}/skip-wait`)
  await until(t, hub, 1, ({ steps: [freeze] }) => freeze?.attempt === 2 && freeze.retryAt !== null)
  assert.match((await refused(hub, 'DELETE', path)).detail, /round 1 is open; cancel it first/)
  const { state, why } = await json<PipelineRound>(hub, 'POST', `${path}/rounds/1/cancel`)
  assert.deepEqual([state, why], ['cancelled', 'Cancelled by local'])
  assert.match((await refused(hub, 'POST', `${path}/rounds/1/cancel`)).detail, /it is cancelled/)

  // What is due waits for its time, and for who parked it.
  assert.match((await show(hub)).why, /^1 of 1 new annotations; not before .*1 day after/)
  await json(hub, 'POST', `${path}/park`)
  assert.match((await refused(hub, 'POST', `${path}/park`)).detail, /local has already/)
  assert.match((await refused(hub, 'POST', `${path}/rounds`)).detail, /local parked it/)
  await json(hub, 'POST', `${path}/skip-wait`)
  assert.deepEqual([(await show(hub)).state, (await show(hub)).rounds], ['parked', 1])
  await json(hub, 'POST', `${path}/resume`)
  assert.match((await refused(hub, 'POST', `${path}/resume`)).detail, /nobody has parked it/)
  const second = await until(t, hub, 2, () => true)
  assert.equal(second.cause.text, '1 of 1 new annotations')
  await json(hub, 'POST', `${path}/rounds/2/cancel`)
  await json(hub, 'DELETE', path)
  assert.equal((await refused(hub, 'GET', path)).code, 'notFound')
  await assertAudited(hub, 'pipelinePark', 'pipelineResume', 'pipelineWaitSkip')
  await assertAudited(hub, 'pipelineCancel', 'pipelineRemove')
})

const sidesOf = async (hub: TestHub, version: number) => {
  const sides = new Map<string, string>()
  for (let after: number | null = 0; after !== null; ) {
    const page: SamplePage = await json(
      ...[hub, 'GET', `/api/datasets/corners/samples?version=${version}&limit=200&after=${after}`],
    )
    for (const { digest, split } of page.samples) sides.set(digest, split ?? 'none')
    after = page.next
  }
  return sides
}

test('three rounds: each begins from the one before, what was a test stays one, and nothing is done twice though the hub ends at every step', {
  ...wide,
  ...needs('time'),
}, async (t) => {
  const { hub, boxes } = await openWithBoxes(t)
  await label(hub, 80, 0)
  const train = { ...request().train, replayShare: 0.5 }
  await json(hub, 'PUT', '/api/pipelines/corners', request({ train }))
  await until(t, hub, 1, stateIs('done'))
  await label(hub, 40, 80)

  // The second round: the hub ends at each step, and what it knew of that is forgotten.
  const steps = ['freeze', 'train', 'gate', 'publish', 'rollout'] as const
  for (const name of steps) {
    await until(t, hub, 2, ({ steps }) => {
      const step = steps.find((one) => one.name === name)
      return step?.state === 'running' || step?.state === 'done'
    })
    await hub.close()
    await hub.inStore(async ({ writer }) => {
      // What was found out of the step is lost with the hub, what it began is not.
      const lost = { state: 'running', why: '', ended_at: null }
      const of = { model: 'corners', round: 2 }
      await writer
        .updateTable('pipeline_step')
        .set(lost)
        .where('step', '=', name)
        .where('state', '=', 'done')
        .where('model', '=', of.model)
        .where('round', '=', of.round)
        .execute()
      await writer
        .updateTable('pipeline_round')
        .set({ state: 'running', ended_at: null })
        .where('model', '=', of.model)
        .where('round', '=', of.round)
        .execute()
    })
    await hub.reopen()
    for (const box of boxes) await box.connect()
  }
  const second = await until(t, hub, 2, stateIs('done'))
  const versions = await json<ModelVersion[]>(hub, 'GET', '/api/models/corners')
  assert.deepEqual(
    versions.map(({ version, champion }) => [version, champion]),
    [
      [2, true],
      [1, false],
    ],
  )
  assert.equal(versions[0]?.lineage?.parent, 'corners/1')
  assert.equal(second.championBefore, 1)
  const frozen = await json<DatasetVersion[]>(hub, 'GET', '/api/datasets/corners/versions')
  assert.deepEqual(
    frozen.map(({ version, split }) => [version, split.after]),
    [
      [2, 1],
      [1, 0],
    ],
  )
  assert.equal((await json<Run[]>(hub, 'GET', '/api/runs')).length, 2)
  assert.equal((await json<RolloutRow[]>(hub, 'GET', '/api/rollouts')).length, 2)
  const before = await sidesOf(hub, 1)
  const after = await sidesOf(hub, 2)
  for (const [digest, side] of before) assert.equal(after.get(digest), side)
  assert.ok([...after.values()].filter((side) => side === 'test').length >= 30)

  // An id that was written down, and nothing begun: the hub died between the two.
  await label(hub, 40, 120)
  await until(t, hub, 3, ({ runId }) => runId !== null)
  await hub.close()
  const lostId = await hub.inStore(async ({ writer }) => {
    const run = await writer
      .selectFrom('run')
      .selectAll()
      .where('state', 'in', ['queued', 'running'])
      .executeTakeFirst()
    if (!run) return undefined
    await writer.deleteFrom('job').where('job_id', '=', run.job_id).execute()
    for (const table of ['run_curve', 'run_evaluation', 'run_file', 'run'] as const) {
      await writer.deleteFrom(table).where('run_id', '=', run.run_id).execute()
    }
    return run.run_id
  })
  await hub.reopen()
  for (const box of boxes) await box.connect()
  const third = await until(t, hub, 3, stateIs('done'))
  if (lostId !== undefined) assert.equal(third.runId, lostId)
  assert.deepEqual([third.version, third.championBefore], [3, 2])
  assert.equal((await json<Run[]>(hub, 'GET', '/api/runs')).length, 3)
  assert.match(
    (await json<RunDetail>(hub, 'GET', `/api/runs/${third.runId}`)).log
      .map(({ text }) => text)
      .join('\n'),
    /samples are new since version 2, \d+ are not/,
  )
})

test('a rollout that the field stops puts the champion back, and the next round begins from there', {
  ...wide,
  ...needs('time'),
}, async (t) => {
  const { hub, boxes } = await openWithBoxes(t)
  await label(hub, 80, 0)
  await json(hub, 'PUT', '/api/pipelines/corners', request())
  await until(t, hub, 1, stateIs('done'))
  for (const box of boxes) box.course = fails('download')
  await label(hub, 40, 80)
  const stopped = await until(t, hub, 2, stateIs('stopped'))
  assert.match(stopped.why, /^The rollout was stopped: 2 of 2 devices/)
  const versions = await json<ModelVersion[]>(hub, 'GET', '/api/models/corners')
  assert.deepEqual(
    versions.map(({ version, champion }) => [version, champion]),
    [
      [2, false],
      [1, true],
    ],
  )
  // A version that the gate does not want ends its round too, and the pipeline goes on.
  for (const box of boxes) box.course = well
  await json(hub, 'PUT', '/api/pipelines/corners', request({ gate: { gainMin: 0.99 } }))
  await label(hub, 40, 120)
  const refusedOne = await until(t, hub, 3, stateIs('refused'))
  assert.match(refusedOne.why, /^Not good enough: accuracy/)
  assert.equal(refusedOne.championBefore, 1)
  await json(hub, 'PUT', '/api/pipelines/corners', request({ gate: { gainMin: -1 } }))
  await label(hub, 40, 160)
  const fourth = await until(t, hub, 4, stateIs('done'))
  assert.deepEqual([fourth.championBefore, fourth.version], [1, 4])
  await t.waitFor(
    () =>
      assert.deepEqual(
        boxes.map((box) => box.version),
        [4, 4],
      ),
    {
      timeout: 10_000,
    },
  )
})

test('a site where a version is worse keeps what it has, until one is as good there', {
  ...wide,
  ...needs('time'),
}, async (t) => {
  const { hub, boxes } = await openWithBoxes(t)
  const train = { from: 'new:mnist-cnn', recipe: { ...request().train?.recipe, steps: 60 } }
  const gate = { gainMin: -1, siteSamplesMin: 8 }
  await json(hub, 'PUT', '/api/pipelines/corners', request({ train, gate, trigger: {} }))
  const add = (count: number, site: string, from: number) =>
    putCorners(hub, 'corners', count, from, (at) => ({
      site,
      stream: `${site}-cam`,
      capturedAt: new Date(1_700_000_000_000 + (at % darkSquares) * 60_000).toISOString(),
    }))
  await add(60, 'mill', 0)
  const yard = await add(60, 'yard', darkSquares)
  await json(hub, 'POST', '/api/pipelines/corners/rounds')
  const first = await until(t, hub, 1, stateIs('done'))
  const valueAt = ({ sites }: PipelineRound, site: string) =>
    sites.find(({ by, name }) => by === 'site' && name === site)
  assert.ok((valueAt(first, 'yard')?.after ?? 0) > 0.7, JSON.stringify(first.sites))

  // What is learned from at the yard is said wrongly; its test samples are right.
  const sides = await sidesOf(hub, 1)
  const learned = yard.filter(({ digest }) => sides.get(digest) === 'train')
  const say = async (turn: number) => {
    const samples = learned.map((sample, at) => ({
      ...sample,
      annotations: [
        {
          kind: 'class',
          label: cornerLabels[(at + turn + cornerLabels.indexOf(labelOf(sample))) % 4],
        },
      ],
    }))
    await json(hub, 'PUT', '/api/datasets/corners/samples', {
      samples: turn === 0 ? learned : samples,
    })
  }
  await say(1)
  await json(hub, 'POST', '/api/pipelines/corners/rounds')
  const second = await until(t, hub, 2, stateIs('done'))
  assert.deepEqual([valueAt(second, 'yard')?.verdict, second.sitesKept], ['worse', ['yard']])
  assert.notEqual(valueAt(second, 'mill')?.verdict, 'worse')
  await t.waitFor(
    () =>
      assert.deepEqual(
        boxes.map((box) => box.version),
        [2, 1],
      ),
    {
      timeout: 10_000,
    },
  )

  // Said rightly again, the next version is compared there with what the yard runs.
  await say(0)
  await json(hub, 'POST', '/api/pipelines/corners/rounds')
  const third = await until(t, hub, 3, stateIs('done'))
  assert.deepEqual([valueAt(third, 'yard')?.against, valueAt(third, 'mill')?.against], [1, 2])
  assert.deepEqual(third.sitesKept, [], JSON.stringify(third.sites))
  await t.waitFor(
    () =>
      assert.deepEqual(
        boxes.map((box) => box.version),
        [3, 3],
      ),
    {
      timeout: 10_000,
    },
  )
})

const labelOf = ({ annotations: [first] }: DatasetSample): (typeof cornerLabels)[number] => {
  const found = cornerLabels.find((one) => first?.kind === 'class' && first.label === one)
  return found ?? assert.fail('a sample without a class')
}
