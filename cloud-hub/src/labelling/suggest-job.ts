/**
 * Proposals for tasks that wait: the champion and the teacher of the queue look at each picture in a child. Batch by
 * batch: what was kept is not done again by whoever begins the job anew.
 */
import { createWriteStream } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
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
import { layFrozen } from '../datasets/lay-pictures.ts'
import { withWorkFolder } from '../datasets/work-folder.ts'
import type { JobAct } from '../jobs/job-worker.ts'
import type { JobQueue } from '../jobs/jobs.ts'
import type { DescribedModel } from '../models/compiler.ts'
import type { ModelDesk } from '../models/models.ts'
import type { Store } from '../store/store.ts'
import type { ProposedSample, ProposedThing, Proposer } from './proposer.ts'
import { findQueue, type Queue } from './queue-row.ts'
import { disagreementOf, mergeSuggestions } from './suggest.ts'
import { suggestionsOf, type TaskRow } from './task-row.ts'
import { doubtOf, useOf } from './use.ts'

/** Tasks that are looked at in one child. */
const batchTasks = 100

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

/** Whether any open task lacks what `wanted` says. */
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
    .where('suggested_by', '<>', words)

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
  const { store, models, files, proposer, clock, folder } = deps
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
        await layTasks(tasks, labels, join(work, `batch-${after}`), signal)
        const proposed = await proposer.propose(
          { folder: join(work, `batch-${after}`), models: described },
          (at) => step(at.done / Math.max(1, wanted.models.length)),
          signal,
        )
        const found = new Map(proposed.map((one) => [one.digest, one]))
        await keep(tasks, found, wanted, labels)
        deps.changed(name)
        await kept()
        done += tasks.length
      }
    })
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

  /** Those whose pictures are here. */
  async function layTasks(
    tasks: readonly TaskRow[],
    labels: readonly string[],
    into: string,
    signal: AbortSignal,
  ): Promise<void> {
    await mkdir(into, { recursive: true })
    const here = await store.writer
      .selectFrom('sample')
      .select('digest')
      .where(
        'digest',
        'in',
        tasks.map(({ digest }) => digest),
      )
      .execute()
    const known = new Set(here.map(({ digest }) => digest))
    const there = tasks.filter(({ digest }) => known.has(digest))
    const lines = function* () {
      yield `${JSON.stringify({ labels })}\n`
      for (const { digest, width, height } of there) {
        yield `${JSON.stringify({ digest, name: digest, width, height, annotations: [] })}\n`
      }
    }
    await pipeline(lines, createWriteStream(join(into, 'samples.jsonl')))
    const samples = there.map(({ digest }) => ({ digest, annotations: [] }))
    await layFrozen({ store, files }, { name: 'tasks', labels, samples }, into, signal)
  }

  async function keep(
    tasks: readonly TaskRow[],
    found: ReadonlyMap<string, ProposedSample>,
    { words, models: some }: Wanted,
    labels: readonly string[],
  ): Promise<void> {
    const known = new Set(labels)
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
        await tx
          .updateTable('label_task')
          .set({
            ...{ suggestions: JSON.stringify(suggestions), suggested_by: words, doubt },
            use_share: useOf({ reason, doubt, novelty: task.novelty, ageMs }),
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
    ...{ label, score: Math.min(1, Math.max(0, score)), from },
    ...(box && { box: [...box] }),
    ...(points && { points: points.map(([x, y]): [number, number] => [x, y]) }),
  })
