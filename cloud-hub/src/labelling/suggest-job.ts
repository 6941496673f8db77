/**
 * Proposals for tasks that wait: the champion and the teacher of the queue look at each picture in a child, and where
 * nobody knows what a picture looks like, that is found out too, also of what the dataset holds. Batch by batch: what was kept is not done again by whoever begins the job anew.
 */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Job,
  type ModelVersion,
  Refusal,
  type SampleReason,
  type Suggestion,
} from '@edgeloop/protocol'
import type { AuditNote } from '../audit/audit.ts'
import type { Blobs } from '../blobs/blobs.ts'
import { find as findDataset, labelsOf } from '../datasets/datasets.ts'
import { withWorkFolder } from '../datasets/work-folder.ts'
import type { JobAct, JobProgress } from '../jobs/job-worker.ts'
import type { JobQueue } from '../jobs/jobs.ts'
import type { DescribedModel } from '../models/compiler.ts'
import type { ModelDesk } from '../models/models.ts'
import type { Store } from '../store/store.ts'
import { keepLooks, laySamples, looksOfProposed } from './looked-at.ts'
import type { ProposedSample, ProposedThing, Proposer } from './proposer.ts'
import { findQueue, type Queue } from './queue-row.ts'
import { disagreementOf, mergeSuggestions } from './suggest.ts'
import { embeddingText, suggestionsOf, type TaskRow, unknowable } from './task-row.ts'
import { answeredLooks } from './tasks.ts'
import { doubtOf, unlikeness, useOf } from './use.ts'

/** Tasks that are looked at in one child. */
const batchTasks = 100
/** Samples of a dataset that one job looks at. */
const lookedMax = 20_000

const subjectOf = (queue: string): string => `label-queues/${queue}`

type Wanted = {
  /** As `suggested_by` says it then. */
  readonly words: string
  readonly models: readonly { readonly from: string; readonly model: ModelVersion }[]
}

/** Who is to propose in a queue now: its champion, and the champion, or else the newest, of the teacher's name. */
export async function wantedModels(models: ModelDesk, { config }: Queue): Promise<Wanted> {
  const found: { from: string; model: ModelVersion }[] = []
  for (const [role, name] of [
    ['champion', config.suggestBy],
    ['teacher', config.teacher],
  ] as const) {
    if (name === undefined) continue
    const newest = role === 'teacher' ? (await models.versions(name).catch(() => []))[0] : undefined
    const model = (await models.champion(name)) ?? newest
    if (model) found.push({ from: `${role}:${model.name}@${model.version}`, model })
  }
  return { words: found.map(({ from }) => from).join(' '), models: found }
}

/** Whether any open task lacks what `wanted` says, or nobody knows what it looks like. */
export async function lacksSuggestions(
  store: Store,
  queue: string,
  { words }: Wanted,
): Promise<boolean> {
  const row = await lacking(store, queue, words, 0).select('task_id').limit(1).executeTakeFirst()
  return row !== undefined
}

const lacking = (store: Store, queue: string, words: string, after: number) =>
  store.writer
    .selectFrom('label_task')
    .where('queue', '=', queue)
    .where('state', '=', 'open')
    .where('task_id', '>', after)
    .where(({ eb, or }) => or([eb('suggested_by', '<>', words), eb('looks', '=', '')]))

/** @throws {Refusal} notFound; unavailable without a proposer; conflict while one runs; as `JobQueue.add` */
export async function queueSuggest(
  deps: { store: Store; queue: JobQueue; proposer: Proposer | undefined },
  { name, by }: { name: string; by: string },
  note: AuditNote,
): Promise<Job> {
  const { store, queue, proposer } = deps
  await findQueue(store.writer, name)
  if (!proposer) {
    throw new Refusal(
      'unavailable',
      'Cannot propose annotations: this hub was started without what executes models',
    )
  }
  if (await queue.isOpen(subjectOf(name))) {
    throw new Refusal('conflict', `Cannot queue proposals for "${name}": they are being made`)
  }
  return await queue.add(
    { kind: 'label-suggest', subject: subjectOf(name), request: { name }, by },
    note,
  )
}

export function suggestAct(deps: {
  store: Store
  models: ModelDesk
  /** Of samples. */
  files: Blobs
  proposer: Proposer
  clock: () => number
  /** Work is done in a new folder below this one. */
  folder: string
  changed: (queue: string) => void
}): JobAct {
  const { store, models, proposer, clock, folder } = deps
  return async ({ request }, progress, signal, kept) => {
    const { name } = request as { name: string }
    const queue = await findQueue(store.writer, name)
    const wanted = await wantedModels(models, queue)
    const labels = labelsOf(await findDataset(store.writer, queue.config.dataset))
    const { count } = await lacking(store, name, wanted.words, 0)
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow()
    const total = Number(count)
    await withWorkFolder(folder, 'suggest', async (work) => {
      const described = await layModels(wanted, work)
      let [done, after] = [0, 0]
      for (;;) {
        signal.throwIfAborted()
        const tasks = await lacking(store, name, wanted.words, after)
          .selectAll()
          .orderBy('task_id')
          .limit(batchTasks)
          .execute()
        if (tasks.length === 0) break
        after = tasks.at(-1)!.task_id
        const step = (looked: number) =>
          progress(
            Math.min(1, (done + looked) / Math.max(1, total)),
            `look at sample ${Math.min(total, done + looked)} of ${total}`,
          )
        step(0)
        const batch = join(work, `batch-${after}`)
        const digests = tasks.map(({ digest }) => digest)
        await laySamples(deps, digests, labels, batch, signal)
        const proposed = await proposer.propose(
          { folder: batch, models: described, looks: tasks.some(({ looks }) => looks === '') },
          (at) => step(at.done / Math.max(1, wanted.models.length)),
          signal,
        )
        const found = new Map(proposed.map((one) => [one.digest, one]))
        await keep(queue.name, tasks, found, wanted, labels)
        await rm(batch, { recursive: true })
        deps.changed(name)
        await kept()
        done += tasks.length
      }
      await lookThrough(queue.config.dataset, work, progress, signal)
    })
  }

  /** Samples of the dataset of which nobody knows what they look like: they are to be found by it. */
  async function lookThrough(
    dataset: string,
    work: string,
    progress: JobProgress,
    signal: AbortSignal,
  ): Promise<void> {
    for (let looked = 0; looked < lookedMax; ) {
      signal.throwIfAborted()
      const rows = await store.writer
        .selectFrom('dataset_sample')
        .select('digest')
        .where('dataset', '=', dataset)
        .where(({ not, exists, selectFrom }) =>
          not(
            exists(
              selectFrom('sample_looks')
                .select('sample_looks.digest')
                .whereRef('sample_looks.digest', '=', 'dataset_sample.digest'),
            ),
          ),
        )
        .where(({ not, exists, selectFrom }) =>
          not(
            exists(
              selectFrom('field_sample')
                .select('field_sample.digest')
                .whereRef('field_sample.digest', '=', 'dataset_sample.digest'),
            ),
          ),
        )
        .limit(batchTasks)
        .execute()
      if (rows.length === 0) return
      progress(1, `look at sample ${looked + 1} of the dataset`)
      const digests = rows.map(({ digest }) => digest)
      const batch = join(work, `looks-${looked}`)
      await laySamples(deps, digests, [], batch, signal)
      const order = { folder: batch, models: [], looks: true }
      await keepLooks(deps, digests, await proposer.propose(order, () => {}, signal))
      await rm(batch, { recursive: true })
      looked += rows.length
    }
  }

  async function layModels({ models: some }: Wanted, work: string): Promise<DescribedModel[]> {
    return await Promise.all(
      some.map(async ({ model }, at) => {
        const { name, version, layout, labels, description } = model
        const file = join(work, `model-${at}.onnx`)
        await writeFile(file, await models.file(name, version))
        return { file, name, layout, labels, description }
      }),
    )
  }

  async function keep(
    queue: string,
    tasks: readonly TaskRow[],
    found: ReadonlyMap<string, ProposedSample>,
    { words, models: some }: Wanted,
    labels: readonly string[],
  ): Promise<void> {
    const known = new Set(labels)
    const answered = await answeredLooks(store.writer, queue)
    await store.writer.transaction().execute(async (tx) => {
      for (const { task_id, digest } of tasks) {
        // As it is now: somebody may have been given it, or something was carried over to it.
        const task = await tx
          .selectFrom('label_task')
          .selectAll()
          .where('task_id', '=', task_id)
          .where('state', '=', 'open')
          .executeTakeFirst()
        if (!task) continue
        const said = found.get(digest)
        const lists = some.map(({ from }, at) =>
          (said?.found[at] ?? []).filter(({ label }) => known.has(label)).map(suggestionOf(from)),
        )
        const before = suggestionsOf(task)
        const isKept = ({ from }: Suggestion) =>
          from === 'dataset' || from === 'track' || some.length === 0
        // The teacher, who comes last, is trusted more.
        const suggestions = mergeSuggestions([before.filter(isKept), ...lists.toReversed()])
        const [champion, teacher] = lists
        const disagreement = champion && teacher ? disagreementOf(champion, teacher) : undefined
        const doubt = doubtOf(lists.length === 0 ? before : lists.flat(), disagreement)
        const ageMs = clock() - (task.captured_at ?? task.added_at)
        const reason = task.reason as SampleReason | ''
        const looks = task.looks === '' ? (said?.looks ?? unknowable) : undefined
        const seen = typeof looks === 'object' ? looksOfProposed(looks) : undefined
        const novelty = seen
          ? Math.min(task.novelty, ...answered.map((one) => unlikeness(seen, one)))
          : task.novelty
        await tx
          .updateTable('label_task')
          .set({
            suggestions: JSON.stringify(suggestions),
            suggested_by: words,
            doubt,
            use_share: useOf({ reason, doubt, novelty, ageMs }),
            ...(looks !== undefined && {
              looks: seen?.hash ?? unknowable,
              novelty,
              embedding: seen ? embeddingText(seen.embedding) : '',
            }),
          })
          .where('task_id', '=', task_id)
          .execute()
      }
    })
  }
}

const suggestionOf =
  (from: string) =>
  ({ label, score, box, points }: ProposedThing): Suggestion => ({
    label,
    score: Math.min(1, Math.max(0, score)),
    from,
    ...(box && { box: [...box] }),
    ...(points && { points: points.map(([x, y]): [number, number] => [x, y]) }),
  })
