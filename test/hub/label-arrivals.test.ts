/** Samples of boxes become tasks by themselves, and models say what is in them before a person looks. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  isOver,
  type Job,
  type LabelTask,
  type ModelVersion,
  type SimilarSamples,
  type TaskPage,
  type TasksAdded,
} from '@edgeloop/protocol'
import { needs } from '../require.ts'
import { addDataset, digestOf } from './dataset-parts.ts'
import { demoModel, demoModelFile, demoPictures, uploadTo } from './demo-model.ts'
import { offer, offerOf, offerRaw, putAll, type TakenPicture } from './field-box.ts'
import { openTestHub, type TestDevice, type TestHub } from './fixture.ts'

const wide = { timeout: 180_000 }
/** Each look at pictures is a process of its own. */
const patient = { ...wide, ...needs('time') }
const labels = ['box', 'bolt', 'gear']

async function json<T>(hub: TestHub, method: string, path: string, body?: unknown): Promise<T> {
  const reply = await hub.api(method, path, body)
  const text = await reply.text()
  assert.ok(reply.ok, `${method} ${path}: ${reply.status} ${text}`)
  return JSON.parse(text) as T
}

const tasksOf = (hub: TestHub, queue: string, query = ''): Promise<TaskPage> =>
  json(hub, 'GET', `/api/label-queues/${queue}/tasks${query}`)

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (let left = 600; left > 0; left--) {
    const found = await look()
    if (found !== undefined) return found
    await sleep(100)
  }
  throw new Error(`Waited in vain for ${what}`)
}

async function conveyorPictures(count: number): Promise<TakenPicture[]> {
  const jpegs = await demoPictures(count)
  const { default: sharp } = await import('sharp')
  return await Promise.all(
    jpegs.map(async (bytes) => {
      const { width, height } = await sharp(bytes).metadata()
      return { digest: digestOf(bytes), bytes, width, height }
    }),
  )
}

async function send(
  gate: TestDevice,
  picture: TakenPicture,
  more: Parameters<typeof offerOf>[2] = {},
): Promise<void> {
  const { answers } = await offer(gate, [offerOf(gate, picture, more)])
  assert.equal(answers[0]?.act, 'send', JSON.stringify(answers))
  assert.equal((await putAll(gate, picture)).status, 200)
}

test(
  'what a box sent becomes a task with what the box found, once, also after a restart',
  wide,
  async (t) => {
    const hub = await openTestHub(t)
    const gate = await hub.enrol('gate')
    const [first, second, third] = await conveyorPictures(3)
    const model = { name: 'conveyor', version: 2, digest: '1'.repeat(64) }
    const detections = [
      { label: 'bolt', score: 0.42, box: [0.1, 0.1, 0.2, 0.2] as const },
      { label: 'zebra', score: 0.9, box: [0.5, 0.5, 0.2, 0.2] as const },
    ].map((one) => ({ ...one, box: [...one.box] }))
    // Came before there was a queue.
    await send(gate, first!, { model, detections, reason: 'uncertain', looks: '0'.repeat(16) })
    await json(hub, 'POST', '/api/datasets', { name: 'parts', labels })
    const config = { dataset: 'parts', models: ['conveyor'] }
    await json(hub, 'PUT', '/api/label-queues/parts', config)
    await json(hub, 'PUT', '/api/label-queues/other', { ...config, models: ['cups'] })
    await json(hub, 'PUT', '/api/label-queues/hall', { ...config, streams: ['gate/hall'] })
    const [task] = await until('the task of the first sample', async () => {
      const { tasks } = await tasksOf(hub, 'parts')
      return tasks.length > 0 ? tasks : undefined
    })
    assert.deepEqual(
      [task?.sample.digest, task?.sample.deviceId, task?.sample.streamId, task?.reason],
      [first!.digest, 'gate', 'cam', 'uncertain'],
    )
    // Labels that the dataset does not have are nobody's to accept.
    assert.deepEqual(task?.suggestions, [
      { label: 'bolt', score: 0.42, box: [0.1, 0.1, 0.2, 0.2], from: 'box:conveyor@2' },
    ])
    await send(gate, second!, { model, looks: '000000000000ffff' })
    await until('the second task', async () => (await tasksOf(hub, 'parts')).tasks[1])
    await hub.reopen()
    await send(gate, third!, { model, looks: 'ffffff0000000000' })
    await until('the third task', async () => (await tasksOf(hub, 'parts')).tasks[2])
    assert.equal((await tasksOf(hub, 'parts')).total, 3)
    for (const queue of ['other', 'hall'] as const)
      assert.equal((await tasksOf(hub, queue)).total, 0)

    // By what boxes said of them, the second looks more like the first than the third does.
    const { similar, compared } = await json<SimilarSamples>(
      ...([hub, 'GET', `/api/samples/${first!.digest}/similar?limit=2`] as const),
    )
    assert.deepEqual(
      [compared, similar.map(({ digest }) => digest)],
      [2, [second!.digest, third!.digest]],
    )
    assert.deepEqual([similar[0]?.deviceId, similar[0]?.streamId], ['gate', 'cam'])
    const nowhere = await hub.api('GET', `/api/samples/${'0'.repeat(64)}/similar`)
    assert.equal(nowhere.status, 404)
    // Somebody asks for one of them by hand.
    const byHand = { digests: [third!.digest], why: 'like the first' }
    const put = await json<TasksAdded>(hub, 'POST', '/api/label-queues/other/tasks', byHand)
    assert.deepEqual(put, { added: 1, already: 0, dropped: 0 })
    const [asked] = (await tasksOf(hub, 'other')).tasks
    assert.deepEqual([asked?.why, asked?.sample.deviceId], ['like the first', 'gate'])

    // What is answered is in the dataset, with where it was taken.
    const [taken] = (
      await json<{ tasks: LabelTask[] }>(hub, 'POST', '/api/label-queues/parts/take', { count: 1 })
    ).tasks
    const { outcomes } = await json<{ outcomes: { outcome: string }[] }>(
      ...([hub, 'POST', '/api/label-queues/parts/answers'] as const),
      {
        answers: [
          {
            answerId: randomUUID(),
            taskId: taken?.taskId,
            revision: 0,
            verdict: 'annotated',
            annotations: [{ kind: 'box', label: 'gear', box: [0.1, 0.1, 0.2, 0.2] }],
            lookedMs: 1000,
            edits: 1,
          },
        ],
      },
    )
    assert.equal(outcomes[0]?.outcome, 'kept')
    const { sample } = await json<{ sample: Record<string, unknown> }>(
      ...([hub, 'GET', `/api/datasets/parts/samples/${taken?.sample.digest}`] as const),
    )
    assert.deepEqual([sample.site, sample.stream], [gate.site, 'cam'])
    assert.equal(sample.capturedAt, taken?.sample.capturedAt)

    // Another hub was slower: its sample has a smaller number than one that is a task already.
    await hub.inStore(async ({ writer }) => {
      const { sample_id, ...row } = await writer
        .selectFrom('field_sample')
        .selectAll()
        .where('digest', '=', second!.digest)
        .executeTakeFirstOrThrow()
      await writer
        .updateTable('field_sample')
        .set({ sample_id: sample_id + 5 })
        .where('digest', '=', third!.digest)
        .execute()
      const digest = 'f'.repeat(64)
      const offer = row.offer.replaceAll(row.digest, digest)
      const late = { ...row, digest, offer, sample_id: sample_id + 3 }
      await writer.insertInto('field_sample').values(late).execute()
    })
    await json(hub, 'PUT', '/api/label-queues/parts', { ...config, tasksMax: 100 })
    await until('the late one', async () => (await tasksOf(hub, 'parts')).tasks[3])

    // The box is removed in the middle: what it sent is labelled all the same, and no more of it comes.
    await json(hub, 'POST', '/api/devices/gate/retire')
    assert.equal((await hub.api('DELETE', '/api/devices/gate')).status, 200)
    assert.equal((await offerRaw(gate, [])).status, 403)
    const { tasks: open } = await json<{ tasks: LabelTask[] }>(
      ...([hub, 'POST', '/api/label-queues/parts/take', { count: 5 }] as const),
    )
    const orphan = open.find(({ sample }) => sample.digest === second!.digest)
    assert.equal(orphan?.sample.deviceId, 'gate')
    const last = await json<{ outcomes: { outcome: string }[] }>(
      ...([hub, 'POST', '/api/label-queues/parts/answers'] as const),
      {
        answers: [
          {
            answerId: randomUUID(),
            taskId: orphan?.taskId,
            revision: orphan?.revision,
            verdict: 'annotated',
            annotations: [],
            lookedMs: 1000,
            edits: 0,
          },
        ],
      },
    )
    assert.equal(last.outcomes[0]?.outcome, 'kept')
  },
)

test('the champion looks at what waits, and so does the next one', patient, async (t) => {
  const hub = await openTestHub(t)
  const gate = await hub.enrol('gate')
  const pictures = await conveyorPictures(3)
  const addModel = async (file: URL): Promise<void> => {
    const { readFile } = await import('node:fs/promises')
    const uploadId = await uploadTo(hub, await readFile(file))
    const added = await json<ModelVersion>(hub, 'POST', '/api/models', {
      name: 'conveyor',
      ...demoModel,
      uploadId,
    })
    if (!added.champion) await json(hub, 'POST', `/api/models/conveyor/${added.version}/promote`)
  }
  await addModel(demoModelFile)
  const known = (await json<ModelVersion[]>(hub, 'GET', '/api/models/conveyor'))[0]!
  await json(hub, 'POST', '/api/datasets', { name: 'parts', labels: known.labels.slice(0, 2) })
  const model = { name: 'conveyor', version: 1, digest: '1'.repeat(64) }
  const looks = ['0'.repeat(16), '00ff00ff00ff00ff', 'ffffffff00000000']
  for (const [at, one] of pictures.entries()) {
    await send(gate, one, { model, detections: [], looks: looks[at]! })
  }
  const config = { dataset: 'parts', models: ['conveyor'], suggestBy: 'conveyor' }
  await json(hub, 'PUT', '/api/label-queues/parts', config)
  const suggested = (version: number) => async () => {
    const { tasks } = await tasksOf(hub, 'parts')
    const from = tasks.flatMap(({ suggestions }) => suggestions.map((one) => one.from))
    return from.includes(`champion:conveyor@${version}`) ? tasks : undefined
  }
  const tasks = await until('what the champion found', suggested(1))
  const all = tasks.flatMap(({ suggestions }) => suggestions)
  assert.ok(all.every(({ label }) => known.labels.slice(0, 2).includes(label)))
  assert.ok(all.every(({ box }) => box?.length === 4))
  // What is put in by hand is looked at as well, and can then be found by how it looks.
  const set = await addDataset(hub, 'set', 3)
  const other = { dataset: 'set', models: [] }
  await json(hub, 'PUT', '/api/label-queues/set', other)
  await json(hub, 'POST', '/api/label-queues/set/tasks', { fitting: {} })
  const jobs = async () =>
    (await json<Job[]>(hub, 'GET', '/api/jobs')).filter(({ kind }) => kind === 'label-suggest')
  await until('its end', async () => ((await jobs()).every(isOver) ? true : undefined))
  assert.ok(
    (await jobs()).every(({ state, by, error }) => `${state} ${by} ${error}` === 'done hub '),
  )
  const like = await until('looks of a dataset', async () => {
    const path = `/api/samples/${set[0]!.digest}/similar?dataset=set`
    const found = await json<SimilarSamples>(hub, 'GET', path)
    return found.compared === 2 ? found : undefined
  })
  assert.deepEqual(
    like.similar.map(({ datasets }) => datasets),
    [['set'], ['set']],
  )
  // Another champion, other proposals: nobody has to ask.
  await addModel(new URL('conveyor.onnx', demoModelFile))
  const again = await until('what the next champion found', suggested(2))
  assert.ok(again.every(({ suggestions }) => suggestions.every(({ from }) => from.endsWith('@2'))))
})

test(
  'a larger teacher proposes beside the champion as soon as there is one, and each proposal says whose it is',
  patient,
  async (t) => {
    const hub = await openTestHub(t)
    const gate = await hub.enrol('gate')
    const { readFile } = await import('node:fs/promises')
    const addModel = async (
      name: string,
      file: URL,
      description: string,
    ): Promise<ModelVersion> => {
      const uploadId = await uploadTo(hub, await readFile(file))
      const body = { name, ...demoModel, description, uploadId }
      return await json<ModelVersion>(hub, 'POST', '/api/models', body)
    }
    const small = await addModel(
      'conveyor',
      new URL('conveyor.onnx', demoModelFile),
      demoModel.description,
    )
    await json(hub, 'POST', '/api/datasets', { name: 'parts', labels: small.labels })
    const model = { name: 'conveyor', version: 1, digest: '1'.repeat(64) }
    const found = { label: 'bolt', score: 0.5, box: [0, 0, 0.01, 0.01] }
    for (const [at, one] of (await conveyorPictures(4)).entries()) {
      const looks = `${at}`.repeat(16)
      await send(gate, one, { model, looks, detections: at === 0 ? [found] : [] })
    }
    const config = {
      dataset: 'parts',
      models: ['conveyor'],
      suggestBy: 'conveyor',
      teacher: 'tutor',
    }
    await json(hub, 'PUT', '/api/label-queues/parts', config)
    const [champion, teacher] = ['champion:conveyor@1', 'teacher:tutor@1']
    const of = (who: string) => async () => {
      const { tasks } = await tasksOf(hub, 'parts')
      const all = tasks.flatMap(({ suggestions }) => suggestions)
      return tasks.length === 4 && all.some(({ from }) => from === who) ? all : undefined
    }
    const alone = await until('what the champion found', of(champion))
    // What the box found is replaced: a model of the hub has looked.
    assert.deepEqual(new Set(alone.map(({ from }) => from)), new Set([champion]))
    assert.ok(alone.some(({ label }) => label === 'gear'))

    // A teacher knows more than it is asked for, and calls one thing by a word that the dataset does not have.
    const words = demoModel.description.replace('gear', 'cogwheel')
    assert.notEqual(words, demoModel.description)
    const large = await addModel('tutor', demoModelFile, words)
    assert.ok(large.sizeBytes > small.sizeBytes)
    const both = await until('what the teacher found', of(teacher))
    assert.deepEqual(new Set(both.map(({ from }) => from)), new Set([champion, teacher]))
    for (const { label, from } of both) {
      assert.ok(small.labels.includes(label), label)
      if (from === teacher) assert.notEqual(label, 'gear')
    }
    const count = (list: typeof both, label: string) =>
      list.filter((one) => one.label === label).length
    assert.equal(count(both, 'gear'), count(alone, 'gear'), 'the champion still says what it found')
    // Of one object there is one proposal, that of the larger model.
    const { tasks } = await tasksOf(hub, 'parts')
    for (const { suggestions } of tasks) {
      for (const one of suggestions.filter(({ from }) => from === champion)) {
        const twice = suggestions.some((other) => {
          const apart = one.box?.map((share, side) => Math.abs(share - (other.box?.[side] ?? 9)))
          return other.from === teacher && Math.max(...(apart ?? [9])) < 0.01
        })
        assert.ok(!twice, `${one.label} at ${one.box} is proposed twice`)
      }
    }
    // They differ on what one of them has no word for: such a frame is asked for first.
    const doubts = await hub.inStore(({ reader }) =>
      reader.selectFrom('label_task').select(['digest', 'doubt', 'suggested_by']).execute(),
    )
    assert.ok(doubts.every((one) => one.suggested_by === `${champion} ${teacher}`))
    const withGear = new Set(
      tasks
        .filter(({ suggestions }) => suggestions.some(({ label }) => label === 'gear'))
        .map(({ sample }) => sample.digest),
    )
    assert.ok(withGear.size > 0)
    for (const { digest, doubt } of doubts) {
      if (withGear.has(digest)) assert.ok(doubt > 0.1, `${digest}: ${doubt}`)
    }
  },
)
