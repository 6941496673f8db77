/**
 * Tasks: how they come into a queue, and how they are given out. A task that somebody has open is kept from others for
 * ten minutes, unless the queue asks several people. How many wait is bounded: the least useful give way.
 */
import {
  type DatasetSample,
  type LabelTask,
  Refusal,
  type SampleReason,
  type Suggestion,
  sampleAnnotationsMax,
  type TaskPage,
  type TaskQuery,
  type TasksAdd,
  type TasksAdded,
  type TasksTake,
  type TasksTaken,
  taskHoldMs,
} from '@edgeloop/protocol'
import type { Insertable, Kysely, SelectQueryBuilder, Transaction } from 'kysely'
import type { AuditNote } from '../audit/audit.ts'
import type { DatasetDesk } from '../datasets/datasets.ts'
import type { Store } from '../store/store.ts'
import type { LabelTaskTable, Tables } from '../store/tables.ts'
import { fieldSamplesOf } from './arrivals.ts'
import { beginQueue, findQueue, type Queue } from './queue-row.ts'
import { ruleDefaults } from './settle.ts'
import {
  embeddingText,
  looksOf,
  queryRowsMax,
  shownTasks,
  type TaskRow,
  unknowable,
} from './task-row.ts'
import { doubtOf, type Looks, unlikeness, useOf } from './use.ts'

const openTasksDefault = 5000
/** Samples that one request puts into a queue. */
const addedMax = 5000
/** Cameras that are looked at for the next tasks. */
const camerasMax = 200
/** Answered tasks that a new one is compared with, the newest. */
export const comparedMax = 2000

/** A sample that is to become a task. */
export type TaskSource = {
  readonly sample: Omit<DatasetSample, 'annotations'>
  readonly deviceId?: string
  readonly reason: SampleReason | ''
  readonly why: string
  readonly suggestions: readonly Suggestion[]
  /** Who proposed them, as in their `from`. */
  readonly suggestedBy: readonly string[]
  readonly looks?: Looks
}

export type TaskDesk = {
  /** @throws {Refusal} notFound */
  take(queue: string, wish: TasksTake, person: string): Promise<TasksTaken>
  /** @throws {Refusal} notFound */
  list(queue: string, query: TaskQuery, person: string): Promise<TaskPage>
  /** @throws {Refusal} notFound */
  show(taskId: number, person: string): Promise<LabelTask>
  /** @throws {Refusal} notFound; badRequest for a sample that is not here */
  add(queue: string, wish: TasksAdd, note: AuditNote): Promise<TasksAdded>
  /** Puts samples in as part of a change of somebody else, who has begun it and tells of it. */
  enqueueWithin(
    tx: Transaction<Tables>,
    queue: Queue,
    sources: readonly TaskSource[],
  ): Promise<TasksAdded>
}

/** @param changed is told the name of a queue whose tasks changed */
export function openTaskDesk(deps: {
  store: Store
  datasets: DatasetDesk
  clock: () => number
  changed: (name: string) => void
}): TaskDesk {
  const { store, datasets, clock, changed } = deps

  async function enqueueWithin(
    tx: Transaction<Tables>,
    queue: Queue,
    sources: readonly TaskSource[],
  ): Promise<TasksAdded> {
    const now = clock()
    const known = new Set<string>()
    for (let at = 0; at < sources.length; at += queryRowsMax) {
      const rows = await tx
        .selectFrom('label_task')
        .select('digest')
        .where('queue', '=', queue.name)
        .where(
          'digest',
          'in',
          sources.slice(at, at + queryRowsMax).map(({ sample }) => sample.digest),
        )
        .execute()
      for (const { digest } of rows) known.add(digest)
    }
    const fresh = new Map(
      sources.flatMap((source) =>
        known.has(source.sample.digest) ? [] : [[source.sample.digest, source]],
      ),
    )
    const answered = fresh.size === 0 ? [] : await answeredLooks(tx, queue.name)
    const rows = [...fresh.values()].map((source) => rowOf(queue.name, source, answered, now))
    for (let at = 0; at < rows.length; at += queryRowsMax) {
      await tx
        .insertInto('label_task')
        .values(rows.slice(at, at + queryRowsMax))
        .execute()
    }
    const dropped = rows.length === 0 ? 0 : await makeRoom(tx, queue, now)
    return { added: rows.length, already: sources.length - rows.length, dropped }
  }

  return {
    take: async (name, wish, person) => {
      const now = clock()
      return await store.writer.transaction().execute(async (tx) => {
        const queue = await beginQueue(tx, name)
        await tx.deleteFrom('label_hold').where('until', '<=', now).execute()
        const have = wish.have ?? []
        if (have.length > 0) {
          await tx
            .updateTable('label_hold')
            .set({ until: now + taskHoldMs })
            .where('person', '=', person)
            .where('task_id', 'in', have)
            .execute()
        }
        const rows = await nextTasks(tx, { queue, wish, person, now })
        if (rows.length > 0) {
          await tx
            .insertInto('label_hold')
            .values(rows.map(({ task_id }) => ({ task_id, person, until: now + taskHoldMs })))
            .onConflict((on) =>
              on.columns(['task_id', 'person']).doUpdateSet({ until: now + taskHoldMs }),
            )
            .execute()
        }
        return { tasks: await shownTasks(tx, rows, person, now) }
      })
    },

    list: async (name, query, person) => {
      await findQueue(store.reader, name)
      const { state, stream, reason, by, order = 'new', offset = 0, limit = 50 } = query
      const fitting = (): SelectQueryBuilder<Tables, 'label_task', object> => {
        let found = store.reader.selectFrom('label_task').where('queue', '=', name)
        if (state !== undefined) found = found.where('state', '=', state)
        if (reason !== undefined) found = found.where('reason', '=', reason)
        if (stream !== undefined) {
          const [first, second] = stream.split('/') as [string, string | undefined]
          found = found.where('stream_id', '=', second ?? first)
          if (second !== undefined) found = found.where('device_id', '=', first)
        }
        if (by !== undefined) {
          found = found.where('task_id', 'in', (e) =>
            e
              .selectFrom('label_answer')
              .select('label_answer.task_id')
              .where('label_answer.queue', '=', name)
              .where('label_answer.person', '=', by)
              .where('label_answer.counts', '=', 1),
          )
        }
        return found
      }
      const { total } = await fitting()
        .select(({ fn }) => fn.countAll<number>().as('total'))
        .executeTakeFirstOrThrow()
      const rows = await fitting()
        .selectAll()
        .orderBy(order === 'use' ? 'use_share' : 'changed_at', 'desc')
        .orderBy('task_id', 'desc')
        .offset(offset)
        .limit(limit)
        .execute()
      return {
        tasks: await shownTasks(store.reader, rows, person, clock()),
        total: Number(total),
      }
    },

    show: async (taskId, person) => {
      const row = await store.writer
        .selectFrom('label_task')
        .selectAll()
        .where('task_id', '=', taskId)
        .executeTakeFirst()
      if (!row) throw new Refusal('notFound', `Cannot find the label task ${taskId}`)
      const [task] = await shownTasks(store.writer, [row], person, clock())
      return task!
    },

    add: async (name, { digests, fitting, why = 'asked for' }, note) => {
      const { config } = await findQueue(store.writer, name)
      const sources = new Map<string, TaskSource>()
      if (fitting) {
        let after = 0
        for (;;) {
          const page = await datasets.samples(config.dataset, { ...fitting, after, limit: 200 })
          for (const sample of page.samples) sources.set(sample.digest, ofDataset(sample, why))
          if (page.next === null || sources.size >= addedMax) break
          after = page.next
        }
      }
      const others: string[] = []
      for (const digest of new Set(digests)) {
        if (sources.has(digest)) continue
        if (await datasets.has(config.dataset, digest)) {
          const { sample } = await datasets.sample(config.dataset, digest)
          sources.set(digest, ofDataset(sample, why))
        } else others.push(digest)
      }
      if (others.length > 0) {
        const labels = new Set((await datasets.show(config.dataset)).labels)
        for (const source of await fieldSamplesOf(store.writer, others, labels)) {
          sources.set(source.sample.digest, { ...source, reason: '', why })
        }
      }
      const unknown = others.find((digest) => !sources.has(digest))
      if (unknown !== undefined) {
        throw new Refusal(
          'badRequest',
          `Cannot put the sample ${unknown} into the queue "${name}": it is neither in the dataset "${config.dataset}" nor came from a box`,
        )
      }
      const given = [...sources.values()].slice(0, addedMax)
      const added = await store.writer.transaction().execute(async (tx) => {
        const put = await enqueueWithin(tx, await beginQueue(tx, name), given)
        note.about({ detail: `${put.added} added, ${put.already} there before` })
        await note.within(tx)
        return put
      })
      if (added.added > 0) changed(name)
      return added
    },

    enqueueWithin,
  }
}

/** What was said of a sample of a dataset is what is proposed for it. */
function ofDataset(
  { annotations, ...sample }: DatasetSample & { problems?: unknown },
  why: string,
): TaskSource {
  const suggestions = annotations.flatMap((one): Suggestion[] => {
    if (one.kind === 'mask' || one.kind === 'number') return []
    const { label } = one
    return [
      {
        label,
        score: 1,
        from: 'dataset',
        ...(one.kind === 'box' && { box: one.box }),
        ...(one.kind === 'polygon' && { points: one.points }),
      },
    ]
  })
  return { sample, reason: '', why, suggestions, suggestedBy: [] }
}

/** What pictures that were answered last look like. */
export async function answeredLooks(tx: Kysely<Tables>, queue: string): Promise<Looks[]> {
  const rows = await tx
    .selectFrom('label_task')
    .select(['looks', 'embedding'])
    .where('queue', '=', queue)
    .where('state', 'in', ['done', 'review'])
    .where('looks', 'not in', ['', unknowable])
    .orderBy('changed_at', 'desc')
    .limit(comparedMax)
    .execute()
  return rows.map(looksOf)
}

function rowOf(
  queue: string,
  source: TaskSource,
  answered: readonly Looks[],
  now: number,
): Insertable<LabelTaskTable> {
  const { sample, deviceId, reason, why, suggestedBy, looks } = source
  const suggestions = source.suggestions.slice(0, sampleAnnotationsMax)
  const capturedAt = sample.capturedAt === undefined ? null : Date.parse(sample.capturedAt)
  const doubt = doubtOf(suggestions)
  const novelty = looks ? Math.min(1, ...answered.map((one) => unlikeness(looks, one))) : 1
  return {
    queue,
    digest: sample.digest,
    name: sample.name,
    state: 'open',
    reason,
    why,
    doubt,
    width: sample.width,
    height: sample.height,
    site: sample.site ?? null,
    novelty,
    device_id: deviceId ?? null,
    stream_id: sample.stream ?? null,
    captured_at: capturedAt,
    suggestions: JSON.stringify(suggestions),
    suggested_by: suggestedBy.join(' '),
    use_share: useOf({ reason, doubt, novelty, ageMs: now - (capturedAt ?? now) }),
    looks: looks?.hash ?? '',
    embedding: looks && looks.embedding.length > 0 ? embeddingText(looks.embedding) : '',
    before: null,
    revision: 0,
    added_at: now,
    changed_at: now,
  }
}

/** Lets the least useful open tasks go that nobody has begun. @returns how many */
async function makeRoom(tx: Transaction<Tables>, queue: Queue, now: number): Promise<number> {
  const { count } = await tx
    .selectFrom('label_task')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('queue', '=', queue.name)
    .where('state', '=', 'open')
    .executeTakeFirstOrThrow()
  const over = Number(count) - (queue.config.tasksMax ?? openTasksDefault)
  if (over <= 0) return 0
  const rows = await tx
    .selectFrom('label_task')
    .select('task_id')
    .where('queue', '=', queue.name)
    .where('state', '=', 'open')
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('label_hold')
            .select('label_hold.person')
            .whereRef('label_hold.task_id', '=', 'label_task.task_id')
            .where('label_hold.until', '>', now),
        ),
      ),
    )
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('label_answer')
            .select('label_answer.answer_id')
            .whereRef('label_answer.task_id', '=', 'label_task.task_id'),
        ),
      ),
    )
    .orderBy('use_share')
    .orderBy('task_id')
    .limit(over)
    .execute()
  for (let at = 0; at < rows.length; at += queryRowsMax) {
    const taskIds = rows.slice(at, at + queryRowsMax).map(({ task_id }) => task_id)
    await tx.deleteFrom('label_hold').where('task_id', 'in', taskIds).execute()
    await tx.deleteFrom('label_task').where('task_id', 'in', taskIds).execute()
  }
  return rows.length
}

type Next = {
  readonly queue: Queue
  readonly wish: TasksTake
  readonly person: string
  readonly now: number
}

/** The tasks that somebody gets next, in the order in which they are to be looked at. */
async function nextTasks(tx: Transaction<Tables>, next: Next): Promise<TaskRow[]> {
  const { wish } = next
  const part = wish.for ?? 'label'
  if (part === 'review') {
    const review = await freeTasks(tx, next, 'review')
      .orderBy('use_share', 'desc')
      .orderBy('task_id')
      .limit(wish.count)
      .execute()
    if (review.length === wish.count) return review
    const flagged = await freeTasks(tx, next, 'flagged')
      .orderBy('use_share', 'desc')
      .orderBy('task_id')
      .limit(wish.count - review.length)
      .execute()
    return [...review, ...flagged]
  }
  if (wish.order !== 'camera') {
    return await freeTasks(tx, next, 'open')
      .orderBy('use_share', 'desc')
      .orderBy('task_id')
      .limit(wish.count)
      .execute()
  }
  const rows: TaskRow[] = []
  for (const { device_id, stream_id } of await camerasInOrder(tx, next)) {
    const some = await freeTasks(tx, next, 'open')
      .where('device_id', device_id === null ? 'is' : '=', device_id)
      .where('stream_id', stream_id === null ? 'is' : '=', stream_id)
      .orderBy('captured_at')
      .orderBy('task_id')
      .limit(wish.count - rows.length)
      .execute()
    rows.push(...some)
    if (rows.length >= wish.count) break
  }
  return rows
}

/** Tasks in a state that this person may be given: not answered or skipped by them, nor held by enough others. */
function freeTasks(
  tx: Transaction<Tables>,
  { queue, wish, person, now }: Next,
  state: 'open' | 'review' | 'flagged',
): SelectQueryBuilder<Tables, 'label_task', TaskRow> {
  const { annotators, review } = { ...ruleDefaults, ...queue.config }
  let found = tx
    .selectFrom('label_task')
    .selectAll('label_task')
    .where('queue', '=', queue.name)
    .where('state', '=', state)
    .where(({ eb, selectFrom }) =>
      eb(
        selectFrom('label_hold')
          .select(({ fn }) => fn.countAll<number>().as('held'))
          .whereRef('label_hold.task_id', '=', 'label_task.task_id')
          .where('label_hold.person', '<>', person)
          .where('label_hold.until', '>', now),
        '<',
        // What others have answered already needs fewer people.
        state === 'open'
          ? eb(
              eb.lit(annotators),
              '-',
              selectFrom('label_answer')
                .select(({ fn }) => fn.countAll<number>().as('said'))
                .whereRef('label_answer.task_id', '=', 'label_task.task_id')
                .where('label_answer.counts', '=', 1)
                .where('label_answer.verdict', '<>', 'skip'),
            )
          : eb.lit(1),
      ),
    )
  const have = wish.have ?? []
  if (have.length > 0) found = found.where('task_id', 'not in', have)
  // Who has answered it may still say what a disagreement was about, but not look over their own work.
  const own = state === 'open' || review ? (['label', 'review'] as const) : (['review'] as const)
  return found.where(({ not, exists, selectFrom }) =>
    not(
      exists(
        selectFrom('label_answer')
          .select('label_answer.answer_id')
          .whereRef('label_answer.task_id', '=', 'label_task.task_id')
          .where('label_answer.person', '=', person)
          .where('label_answer.part', 'in', own)
          .where('label_answer.counts', '=', 1)
          // What one flagged one may take up again.
          .where(
            'label_answer.verdict',
            'not in',
            state === 'flagged' && !review ? ['flag'] : [''],
          ),
      ),
    ),
  )
}

/** The camera that the asker looks at, and then those where most is learned. */
async function camerasInOrder(
  tx: Transaction<Tables>,
  { queue, wish }: Next,
): Promise<readonly { device_id: string | null; stream_id: string | null }[]> {
  const cameras = await tx
    .selectFrom('label_task')
    .select(({ fn }) => ['device_id', 'stream_id', fn.max('use_share').as('use')])
    .where('queue', '=', queue.name)
    .where('state', '=', 'open')
    .groupBy(['device_id', 'stream_id'])
    .orderBy('use', 'desc')
    .orderBy('device_id')
    .orderBy('stream_id')
    .limit(camerasMax)
    .execute()
  const last = wish.have?.at(-1)
  if (last === undefined) return cameras
  const here = await tx
    .selectFrom('label_task')
    .select(['device_id', 'stream_id'])
    .where('task_id', '=', last)
    .executeTakeFirst()
  if (!here) return cameras
  const isHere = (one: typeof here): boolean =>
    one.device_id === here.device_id && one.stream_id === here.stream_id
  return [...cameras.filter(isHere), ...cameras.filter((one) => !isHere(one))]
}
