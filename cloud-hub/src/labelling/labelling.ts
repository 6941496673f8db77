/**
 * Labelling in the hub: queues of samples that wait for people, in the order of their use, and what people say of them,
 * which goes into a dataset. Samples come from boxes as they arrive, or by hand.
 */
import type { LabelAnswer, LabelOutcomes, QueueStatistics } from '@edgeloop/protocol'
import type { AuditNote } from '../audit/audit.ts'
import type { DatasetDesk } from '../datasets/datasets.ts'
import type { Store } from '../store/store.ts'
import { openAnswerDesk } from './answers.ts'
import { openQueueDesk, type QueueDesk } from './queues.ts'
import { rerank } from './rerank.ts'
import { readStatistics } from './statistics.ts'
import { openTaskDesk, type TaskDesk, type TaskSource } from './tasks.ts'

/** How long answers are gathered before tasks are put in order anew. */
const rerankDelayMs = 500

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
  /** Resolves when tasks are in the order that follows from all answers so far. */
  ranked(): Promise<void>
}

/** @param told of a queue whose tasks changed, and of a dataset that got something */
export function openLabelling(deps: {
  store: Store
  datasets: DatasetDesk
  clock: () => number
  failed: (error: unknown) => void
  queueChanged: (name: string) => void
  datasetChanged: (name: string) => void
  fieldSamples?: (digests: readonly string[]) => Promise<readonly TaskSource[]>
}): Labelling {
  const { store, datasets, clock, failed, queueChanged, datasetChanged } = deps
  const fieldSamples = deps.fieldSamples ?? (async () => [])
  const closing = new AbortController()
  /** Tasks that were answered since the order was made, by queue. */
  const answered = new Map<string, Set<number>>()
  let waiting: NodeJS.Timeout | undefined
  let ranking = Promise.resolve()

  function rankNow(): Promise<void> {
    clearTimeout(waiting)
    waiting = undefined
    ranking = ranking.then(async () => {
      for (const [queue, taskIds] of [...answered]) {
        answered.delete(queue)
        await rerank(store, queue, [...taskIds], clock(), closing.signal).catch(failed)
      }
    })
    return ranking
  }

  const answers = openAnswerDesk({
    ...{ store, datasets, clock },
    answered: (queue, taskIds) => {
      const some = answered.get(queue.name) ?? new Set()
      for (const taskId of taskIds) some.add(taskId)
      answered.set(queue.name, some)
      waiting ??= setTimeout(() => void rankNow(), rerankDelayMs)
      queueChanged(queue.name)
      datasetChanged(queue.config.dataset)
    },
  })

  return {
    queues: openQueueDesk({ store, clock, changed: queueChanged }),
    tasks: openTaskDesk({ store, datasets, clock, changed: queueChanged, fieldSamples }),
    answer: answers.take,
    statistics: (queue) => readStatistics(store, queue, clock()),
    ranked: rankNow,
    [Symbol.asyncDispose]: async () => {
      clearTimeout(waiting)
      closing.abort()
      await ranking
    },
  }
}
