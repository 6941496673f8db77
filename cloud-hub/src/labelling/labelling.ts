/**
 * Labelling in the hub: queues of samples that wait for people, in the order of their use, and what people say of them,
 * which goes into a dataset. Samples come from boxes as they arrive, or by hand; models propose what is in them.
 */
import {
  isOver,
  type Job,
  type LabelAnswer,
  type LabelOutcomes,
  type QueueStatistics,
  type SimilarQuery,
  type SimilarSamples,
} from '@edgeloop/protocol'
import type { Audit, AuditNote } from '../audit/audit.ts'
import type { Blobs } from '../blobs/blobs.ts'
import type { DatasetDesk } from '../datasets/datasets.ts'
import type { JobActs } from '../jobs/job-worker.ts'
import type { JobQueue } from '../jobs/jobs.ts'
import type { ModelDesk } from '../models/models.ts'
import type { Store } from '../store/store.ts'
import { openAnswerDesk } from './answers.ts'
import { takeArrivals } from './arrivals.ts'
import { carryAnswers } from './carry-answers.ts'
import type { Proposer } from './proposer.ts'
import { findQueue } from './queue-row.ts'
import { openQueueDesk, type QueueDesk } from './queues.ts'
import { rerank } from './rerank.ts'
import { findSimilar } from './similar.ts'
import { readStatistics } from './statistics.ts'
import { lacksSuggestions, queueSuggest, suggestAct, wantedModels } from './suggest-job.ts'
import { openTaskDesk, type TaskDesk } from './tasks.ts'

/** How long answers are gathered before tasks are put in order anew. */
const rankDelayMs = 500
/** How long samples are gathered before they become tasks, and before models look at them. */
const arriveDelayMs = 200
const suggestDelayMs = 3000
/** Who does what nobody asked for. */
const byHub = 'hub'

export type Labelling = AsyncDisposable & {
  readonly queues: QueueDesk
  readonly tasks: TaskDesk
  /** @throws {Refusal} notFound */
  answer(
    queue: string,
    answers: readonly LabelAnswer[],
    person: string,
    note: AuditNote,
  ): Promise<LabelOutcomes>
  /** @throws {Refusal} notFound */
  statistics(queue: string): Promise<QueueStatistics>
  /** @throws {Refusal} as `queueSuggest` */
  suggest(queue: string, by: string, note: AuditNote): Promise<Job>
  /** @throws {Refusal} as `findSimilar` */
  similar(digest: string, query: SimilarQuery, signal: AbortSignal): Promise<SimilarSamples>
  /** Samples of boxes have come. */
  arrived(): void
  /** Some name has another champion, or another version. */
  modelsChanged(): void
  /** A job has changed. */
  heard(job: Job): void
  /** Resolves when samples that came are tasks, and these in the order that follows from all answers so far. */
  settled(): Promise<void>
  /** For the worker. */
  readonly acts: JobActs
}

/** @param proposer without it nothing is proposed but what boxes found and people carried over */
export function openLabelling(deps: {
  store: Store
  datasets: DatasetDesk
  models: ModelDesk
  jobs: JobQueue
  audit: Audit
  /** Of samples. */
  files: Blobs
  proposer: Proposer | undefined
  clock: () => number
  failed: (error: unknown) => void
  queueChanged: (name: string) => void
  datasetChanged: (name: string) => void
  /** A job was queued. */
  queued: () => void
  /** Work is done in new folders below this one. */
  folder: string
}): Labelling {
  const { store, datasets, models, jobs, audit, proposer, clock, failed, queueChanged } = deps
  const closing = new AbortController()
  /** Tasks that were answered since the order was made, by queue, with its dataset. */
  const answered = new Map<string, { dataset: string; taskIds: Set<number> }>()
  /** What was wanted when a job for a queue failed: it is not begun again by itself for the same. */
  const failedFor = new Map<string, string>()
  /** Whatever is done in the background, one after the other. */
  let work = Promise.resolve()
  const soon = (delayMs: number, act: () => Promise<void>) => {
    let timer: NodeJS.Timeout | undefined
    const now = (): Promise<void> => {
      clearTimeout(timer)
      timer = undefined
      work = work.then(async () => {
        if (!closing.signal.aborted) await act().catch(failed)
      })
      return work
    }
    const later = (): void => {
      if (!closing.signal.aborted) timer ??= setTimeout(() => void now(), delayMs)
    }
    return { now, later, stop: () => clearTimeout(timer) }
  }

  const ranking = soon(rankDelayMs, async () => {
    for (const [queue, { dataset, taskIds }] of [...answered]) {
      answered.delete(queue)
      await carryAnswers(store, queue, dataset, [...taskIds])
      await rerank(store, queue, [...taskIds], clock(), closing.signal)
    }
  })
  const arriving = soon(arriveDelayMs, async () => {
    for (const { name } of await namesOf()) {
      const added = await takeArrivals({ store, tasks, clock }, name, closing.signal)
      if (added > 0) changed(name)
    }
  })
  const suggesting = soon(suggestDelayMs, async () => {
    if (!proposer) return
    for (const { name } of await namesOf()) {
      const queue = await findQueue(store.writer, name)
      const wanted = await wantedModels(models, queue)
      if (failedFor.get(name) === wanted.words) continue
      if (!(await lacksSuggestions(store, name, wanted))) continue
      if (await jobs.isOpen(`label-queues/${name}`)) continue
      const facts = { actor: byHub, via: 'hub', action: 'queueSuggest' } as const
      const note = audit.begin({ ...facts, target: name, address: '', detail: wanted.words })
      await queueSuggest({ store, queue: jobs, proposer }, { name, by: byHub }, note)
      deps.queued()
    }
  })
  const namesOf = () => store.writer.selectFrom('label_queue').select('name').execute()
  const changed = (name: string): void => {
    queueChanged(name)
    suggesting.later()
  }

  const answers = openAnswerDesk({
    store,
    datasets,
    clock,
    answered: ({ name, config: { dataset } }, taskIds) => {
      const some = answered.get(name) ?? { dataset, taskIds: new Set() }
      for (const taskId of taskIds) some.taskIds.add(taskId)
      answered.set(name, some)
      ranking.later()
      queueChanged(name)
      deps.datasetChanged(dataset)
    },
  })
  const tasks = openTaskDesk({ store, datasets, clock, changed })
  const queues = openQueueDesk({
    store,
    clock,
    changed: (name) => {
      arriving.later()
      failedFor.delete(name)
      changed(name)
    },
  })
  // What came while no hub was there to see it.
  arriving.later()
  suggesting.later()

  return {
    queues,
    tasks,
    answer: answers.take,
    statistics: (queue) => readStatistics(store, queue, clock()),
    suggest: async (name, by, note) => {
      const job = await queueSuggest({ store, queue: jobs, proposer }, { name, by }, note)
      deps.queued()
      return job
    },
    similar: (digest, query, signal) =>
      findSimilar(
        { store, files: deps.files, proposer, clock, folder: deps.folder },
        digest,
        query,
        signal,
      ),
    arrived: arriving.later,
    modelsChanged: suggesting.later,
    heard: (job) => {
      if (job.kind !== 'label-suggest' || !isOver(job)) return
      const name = job.subject.slice('label-queues/'.length)
      work = work.then(async () => {
        if (job.state === 'done') return void failedFor.delete(name)
        const queue = await findQueue(store.writer, name).catch(() => undefined)
        if (queue) failedFor.set(name, (await wantedModels(models, queue)).words)
      })
      work = work.catch(failed)
      suggesting.later()
    },
    settled: async () => {
      await arriving.now()
      await ranking.now()
    },
    acts: proposer
      ? {
          'label-suggest': suggestAct({
            store,
            models,
            files: deps.files,
            proposer,
            clock,
            folder: deps.folder,
            changed: queueChanged,
          }),
        }
      : {},
    [Symbol.asyncDispose]: async () => {
      closing.abort()
      for (const one of [ranking, arriving, suggesting]) one.stop()
      await work
    },
  }
}
