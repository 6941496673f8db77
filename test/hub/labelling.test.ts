/** Labelling at a hub: tasks are given out and kept from others, answers are taken once, and what counts is in the dataset. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import type {
  AuditPage,
  DatasetDetail,
  DatasetSample,
  LabelAnswer,
  LabelOutcomes,
  LabelQueueConfig,
  LabelQueueRow,
  LabelTask,
  QueueStatistics,
  SampleAnnotation,
  SampleDetail,
  TaskPage,
  TasksAdded,
  TasksTake,
} from '@edgeloop/protocol'
import { addDataset } from './dataset-parts.ts'
import { openTestHub, type TestBrowser, type TestHub } from './fixture.ts'

const wide = { timeout: 180_000 }
const minuteMs = 60_000

type Person = {
  get<T>(path: string): Promise<T>
  send(method: string, path: string, body?: unknown): Promise<Response>
  take(wish?: Partial<TasksTake>): Promise<LabelTask[]>
  answer(...answers: LabelAnswer[]): Promise<LabelOutcomes['outcomes']>
}

function personOf(hub: TestHub, { cookie, origin }: TestBrowser, queue = 'parts'): Person {
  const send: Person['send'] = async (method, path, body) =>
    await fetch(hub.hub.urls.browser + path, {
      method,
      headers: { cookie, origin, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
  const read = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const reply = await send(method, path, body)
    const text = await reply.text()
    assert.ok(reply.ok, `${method} ${path}: ${reply.status} ${text}`)
    return JSON.parse(text) as T
  }
  const at = `/api/label-queues/${queue}`
  return {
    send,
    get: <T>(path: string) => read<T>('GET', path),
    take: async (wish = {}) =>
      (await read<{ tasks: LabelTask[] }>('POST', `${at}/take`, { count: 5, ...wish })).tasks,
    answer: async (...answers) =>
      (await read<LabelOutcomes>('POST', `${at}/answers`, { answers })).outcomes,
  }
}

/** A hub with a dataset `set`, all its samples in a queue `parts`, and two who label. */
async function openScene(
  t: Parameters<typeof openTestHub>[0],
  config: Partial<LabelQueueConfig> = {},
  count = 4,
) {
  let now = Date.now()
  const hub = await openTestHub(t, {}, () => now)
  const samples = await addDataset(hub, 'set', count)
  const asked: LabelQueueConfig = { dataset: 'set', models: [], ...config }
  const put = await hub.api('PUT', '/api/label-queues/parts', asked)
  assert.equal(put.status, 200, await put.clone().text())
  const added = await hub.api('POST', '/api/label-queues/parts/tasks', { fitting: {} })
  assert.equal(((await added.json()) as TasksAdded).added, count)
  const [anna, bert] = [await hub.signIn('anna', 'operator'), await hub.signIn('bert', 'operator')]
  return {
    hub,
    samples,
    anna: personOf(hub, anna),
    bert: personOf(hub, bert),
    pass: (ms: number) => {
      now += ms
    },
    sample: async (digest: string) =>
      (await (await hub.api('GET', `/api/datasets/set/samples/${digest}`)).json()) as SampleDetail,
    queue: async () =>
      (await (await hub.api('GET', '/api/label-queues/parts')).json()) as LabelQueueRow,
  }
}

const box = (left: number, label = 'bolt'): SampleAnnotation => ({
  kind: 'box',
  label,
  box: [left, 0.1, 0.3, 0.3],
})

const answerTo = (
  { taskId, revision }: Pick<LabelTask, 'taskId' | 'revision'>,
  ...annotations: SampleAnnotation[]
): LabelAnswer => ({
  answerId: randomUUID(),
  taskId,
  revision,
  verdict: 'annotated',
  annotations,
  lookedMs: 2500,
  edits: 1,
})

test('what is answered is in the dataset, in the audit log and in the figures', wide, async (t) => {
  const { hub, anna, sample, queue } = await openScene(t)
  const tasks = await anna.take()
  assert.equal(tasks.length, 4)
  // What was said before is what is proposed.
  assert.deepEqual(tasks[0]!.suggestions, [
    { label: 'bolt', score: 1, from: 'dataset', box: [0.1, 0.1, 0.5, 0.5] },
  ])
  const [first, second, third] = tasks
  const outcomes = await anna.answer(answerTo(first!, box(0.2, 'nut')), answerTo(second!), {
    ...answerTo(third!),
    verdict: 'bad',
    note: 'blurred',
  })
  assert.deepEqual(
    outcomes.map(({ outcome, state, revision }) => ({ outcome, state, revision })),
    [
      { outcome: 'kept', state: 'done', revision: 1 },
      { outcome: 'kept', state: 'done', revision: 1 },
      { outcome: 'kept', state: 'bad', revision: 1 },
    ],
  )
  const { sample: kept, by, earlier } = await sample(first!.sample.digest)
  assert.deepEqual(kept.annotations, [box(0.2, 'nut')])
  assert.deepEqual([by, earlier.length], ['anna', 1])
  assert.deepEqual((await sample(second!.sample.digest)).sample.annotations, [])
  const gone = await hub.api('GET', `/api/datasets/set/samples/${third!.sample.digest}`)
  assert.equal(gone.status, 404)
  const detail = (await (await hub.api('GET', '/api/datasets/set')).json()) as DatasetDetail
  assert.deepEqual(
    detail.labelCounts.map(({ label, samples }) => [label, samples]),
    [
      ['bolt', 1],
      ['nut', 1],
    ],
  )
  const { counts, answersToday, labels } = await queue()
  assert.deepEqual(counts, { open: 1, review: 0, done: 2, bad: 1, flagged: 0 })
  assert.deepEqual([answersToday, labels], [3, ['bolt', 'nut']])
  const log = (await (await hub.api('GET', '/api/audit?action=labelAnswer')).json()) as AuditPage
  assert.deepEqual(
    log.entries.map(({ actor, target, detail }) => ({ actor, target, detail })),
    [{ actor: 'anna', target: 'parts', detail: '3 of 3 kept' }],
  )
  const figures = await anna.get<QueueStatistics>('/api/label-queues/parts/statistics')
  assert.equal(figures.answers, 3)
  assert.equal(figures.perMinute, 24)
  assert.deepEqual(figures.agreement, null)
  assert.equal(figures.days.at(-1)?.answers, 3)
  assert.deepEqual(figures.people[0], {
    by: 'anna',
    answers: 3,
    untouched: 0,
    lookedMs: 2500,
    perMinute: 24,
    editsPerFrame: 1,
    agreement: null,
  })
})

test('an answer that is sent again is one, and an undo takes its place', wide, async (t) => {
  const { anna, sample, samples } = await openScene(t)
  const [task] = await anna.take({ count: 1 })
  const answer = answerTo(task!, box(0.1))
  const [one] = await anna.answer(answer)
  const [two] = await anna.answer(answer)
  assert.deepEqual(two, one)
  const { digest } = task!.sample
  assert.equal((await sample(digest)).revision, 2)
  // Made before the first was heard: it speaks of the frame as it was looked at, and only oneself has said anything.
  const [undone] = await anna.answer({ ...answerTo(task!, box(0.6)), again: true })
  assert.deepEqual([undone?.outcome, undone?.revision], ['kept', 2])
  assert.deepEqual((await sample(digest)).sample.annotations, [box(0.6)])
  // Taken back altogether: the dataset says again what it said before the task.
  const [open] = await anna.answer({
    ...answerTo({ ...task!, revision: 2 }),
    again: true,
    verdict: 'skip',
  })
  assert.equal(open?.state, 'open')
  const before = samples.find((each: DatasetSample) => each.digest === digest)
  assert.deepEqual((await sample(digest)).sample.annotations, before?.annotations)
  // Skipped is not given again to who skipped it.
  assert.ok((await anna.take()).every(({ taskId }) => taskId !== task!.taskId))
})

test('two people on one frame never overwrite each other', wide, async (t) => {
  const { anna, bert, pass, sample } = await openScene(t)
  const [task, ...others] = await anna.take({ count: 2 })
  const given = await bert.take({ count: 5 })
  const taken = new Set([task!, ...others].map(({ taskId }) => taskId))
  assert.equal(given.length, 2)
  assert.ok(given.every(({ taskId }) => !taken.has(taskId)))
  assert.equal((await bert.get<LabelTask>(`/api/label-tasks/${task!.taskId}`)).heldBy, 'anna')
  // Asked for again within the time, they stay hers.
  pass(9 * minuteMs)
  const have = [task!, ...others].map(({ taskId }) => taskId)
  assert.deepEqual(await anna.take({ count: 1, have }), [])
  pass(2 * minuteMs)
  assert.ok((await bert.take()).every(({ taskId }) => !taken.has(taskId)))
  // Left alone for longer, they are anybody's.
  pass(9 * minuteMs)
  assert.equal((await bert.take()).length, 4)
  // Both answer the same: the second is told, and nothing of the first is lost.
  const [first] = await bert.answer(answerTo(others[0]!, box(0.1)))
  const [second] = await anna.answer(answerTo(others[0]!, box(0.6)))
  assert.equal(first?.outcome, 'kept')
  assert.deepEqual([second?.outcome, second?.state, second?.revision], ['conflict', 'done', 1])
  assert.deepEqual((await sample(others[0]!.sample.digest)).sample.annotations, [box(0.1)])
})

test(
  'two annotators who agree are averaged, and what they differ on is reviewed',
  wide,
  async (t) => {
    const { hub, anna, bert, sample } = await openScene(t, { annotators: 2, agreeIou: 0.5 }, 2)
    const carl = personOf(hub, await hub.signIn('carl', 'operator'))
    const [one, other] = await anna.take()
    assert.deepEqual((await bert.take()).length, 2)
    assert.deepEqual(await carl.take(), [])
    const [first] = await anna.answer(answerTo(one!, box(0.1)), answerTo(other!, box(0.1)))
    assert.deepEqual([first?.state, first?.revision], ['open', 0])
    // What one has said is not shown to the other before both have answered.
    const seen = await bert.get<LabelTask>(`/api/label-tasks/${one!.taskId}`)
    assert.deepEqual(seen.answers, [])
    await bert.answer(answerTo(one!, box(0.14)), answerTo(other!, box(0.6)))
    const { annotations } = (await sample(one!.sample.digest)).sample
    assert.ok(annotations[0]?.kind === 'box' && Math.abs(annotations[0].box[0]! - 0.12) < 1e-9)
    const [review] = await carl.take({ for: 'review' })
    assert.equal(review?.taskId, other!.taskId)
    assert.deepEqual(review!.answers.map(({ by }) => by).toSorted(), ['anna', 'bert'])
    assert.match(review!.why, /drawn by 1 of 2/)
    const [decided] = await carl.answer(answerTo(review!, box(0.6)))
    assert.equal(decided?.state, 'done')
    assert.deepEqual((await sample(other!.sample.digest)).sample.annotations, [box(0.6)])
    const { agreement, people } = await anna.get<QueueStatistics>(
      '/api/label-queues/parts/statistics',
    )
    // One and the other: agreed. The other frame: anna alone differs from bert and from carl.
    assert.deepEqual([agreement?.tasks, agreement?.kappa], [2, null])
    const agreementOf = (who: string) => people.find(({ by }) => by === who)?.agreement ?? -1
    assert.ok(agreementOf('bert') > agreementOf('anna'))
  },
)

test('what can never be kept is refused by itself, and the rest is kept', wide, async (t) => {
  const { anna, bert, sample } = await openScene(t, { kinds: ['box'] })
  const tasks = await anna.take()
  const before = (await sample(tasks[0]!.sample.digest)).revision
  const foreign = answerTo(tasks[3]!, box(0.1))
  await bert.answer(foreign)
  const outcomes = await anna.answer(
    answerTo(tasks[0]!, box(0.9)),
    answerTo(tasks[0]!, box(0.1, 'botl')),
    answerTo(tasks[0]!, { kind: 'class', label: 'bolt' }),
    answerTo({ taskId: 999, revision: 0 }, box(0.1)),
    { ...answerTo(tasks[1]!, box(0.1)), answerId: foreign.answerId },
    answerTo(tasks[2]!, box(0.1)),
  )
  assert.deepEqual(
    outcomes.map(({ outcome }) => outcome),
    [...Array.from({ length: 5 }, () => 'refused'), 'kept'],
  )
  const reasons = outcomes.map(({ reason }) => reason ?? '').join('\n')
  for (const part of [/beyond the picture/, /"bolt"/, /asks for box/, /no task 999/, /another/]) {
    assert.match(reasons, part)
  }
  assert.equal((await sample(tasks[0]!.sample.digest)).revision, before)
  // And none of them by somebody who may only look.
})

test('who may only look takes and answers nothing', wide, async (t) => {
  const { hub, anna } = await openScene(t)
  const dora = personOf(hub, await hub.signIn('dora', 'viewer'))
  const [task] = await anna.take({ count: 1 })
  for (const [method, path, body] of [
    ['PUT', '', { dataset: 'set', models: [] }],
    ['POST', '/take', { count: 1 }],
    ['POST', '/answers', { answers: [answerTo(task!)] }],
    ['POST', '/tasks', { fitting: {} }],
    ['DELETE', '', undefined],
  ] as const) {
    const reply = await dora.send(method, `/api/label-queues/parts${path}`, body)
    assert.equal(reply.status, 403, `${method} ${path}`)
  }
  const { total, tasks } = await dora.get<TaskPage>('/api/label-queues/parts/tasks?limit=2')
  assert.deepEqual([total, tasks.length], [4, 2])
  assert.equal((await dora.get<TaskPage>('/api/label-queues/parts/tasks?state=done')).total, 0)
})

test('a queue gives camera after camera, and holds no more than it may', wide, async (t) => {
  const { hub, anna } = await openScene(t, {}, 7)
  const tasks = await anna.take({ count: 7, order: 'camera' })
  const cameras = tasks.map(({ sample }) => sample.streamId)
  assert.equal(new Set(cameras).size, 3)
  // No camera comes back after another one.
  assert.equal(cameras.filter((one, at) => one !== cameras[at - 1]).length, 3)
  for (const [at, { sample }] of tasks.entries()) {
    const earlier = tasks[at - 1]?.sample
    if (earlier?.streamId !== sample.streamId) continue
    assert.ok((earlier?.capturedAt ?? '') < (sample.capturedAt ?? ''))
  }
  const small = { dataset: 'set', models: [], tasksMax: 3 }
  assert.equal((await hub.api('PUT', '/api/label-queues/small', small)).status, 200)
  const added = await hub.api('POST', '/api/label-queues/small/tasks', { fitting: {} })
  assert.deepEqual(await added.json(), { added: 7, already: 0, dropped: 4 })
  const again = await hub.api('POST', '/api/label-queues/small/tasks', {
    digests: ['0'.repeat(64)],
  })
  assert.equal(again.status, 400)
  // A dataset that a queue fills is not removed under it, and a queue keeps its dataset.
  assert.equal((await hub.api('DELETE', '/api/datasets/set')).status, 409)
  await hub.api('POST', '/api/datasets', { name: 'other' })
  const moved = await hub.api('PUT', '/api/label-queues/small', { ...small, dataset: 'other' })
  assert.equal(moved.status, 409)
  for (const name of ['small', 'parts']) {
    assert.equal((await hub.api('DELETE', `/api/label-queues/${name}`)).status, 204)
  }
  assert.equal((await hub.api('DELETE', '/api/datasets/set')).status, 204)
})
