/** Label queues: each fills one dataset. What is asked in one may be said anew while people work in it. */
import {
  datasetLabelsMax,
  type LabelQueueConfig,
  type LabelQueueRow,
  Refusal,
  type taskStates,
} from '@edgeloop/protocol'
import type { Kysely } from 'kysely'
import type { AuditNote } from '../audit/audit.ts'
import { find as findDataset, labelsOf } from '../datasets/datasets.ts'
import type { Store } from '../store/store.ts'
import type { Tables } from '../store/tables.ts'
import { findQueue, type Queue, queueOf } from './queue-row.ts'

const queuesMax = 200
const dayMs = 86_400_000

export type QueueDesk = {
  list(): Promise<LabelQueueRow[]>
  /** @throws {Refusal} notFound */
  show(name: string): Promise<LabelQueueRow>
  /** @throws {Refusal} notFound without its dataset; conflict with another dataset than before, or too many queues */
  put(name: string, config: LabelQueueConfig, by: string, note: AuditNote): Promise<LabelQueueRow>
  /** @throws {Refusal} notFound */
  remove(name: string, note: AuditNote): Promise<void>
}

const sourceOf = ({ models, streams }: LabelQueueConfig): string =>
  JSON.stringify([models, streams ?? null])

/** @param changed is told the name of a queue that changed */
export function openQueueDesk(deps: {
  store: Store
  clock: () => number
  changed: (name: string) => void
}): QueueDesk {
  const { store, clock, changed } = deps

  async function rowsOf(db: Kysely<Tables>, queues: readonly Queue[]): Promise<LabelQueueRow[]> {
    const counts = await db
      .selectFrom('label_task')
      .select(({ fn }) => ['queue', 'state', fn.countAll<number>().as('count')])
      .groupBy(['queue', 'state'])
      .execute()
    const today = await db
      .selectFrom('label_answer')
      .select(({ fn }) => ['queue', fn.countAll<number>().as('count')])
      .where('at', '>', clock() - dayMs)
      .where('counts', '=', 1)
      .where('verdict', '<>', 'skip')
      .groupBy('queue')
      .execute()
    return await Promise.all(
      queues.map(async ({ name, config, by, createdAt }): Promise<LabelQueueRow> => {
        const { labels } = await findDataset(db, config.dataset)
        const count = (state: (typeof taskStates)[number]): number =>
          Number(counts.find((one) => one.queue === name && one.state === state)?.count ?? 0)
        return {
          name,
          config,
          by,
          createdAt: new Date(createdAt).toISOString(),
          labels: labelsOf({ labels }).slice(0, datasetLabelsMax),
          counts: {
            open: count('open'),
            review: count('review'),
            done: count('done'),
            bad: count('bad'),
            flagged: count('flagged'),
          },
          answersToday: Number(today.find((one) => one.queue === name)?.count ?? 0),
        }
      }),
    )
  }

  async function show(name: string): Promise<LabelQueueRow> {
    const [row] = await rowsOf(store.writer, [await findQueue(store.writer, name)])
    return row!
  }

  return {
    list: async () => {
      const rows = await store.reader
        .selectFrom('label_queue')
        .selectAll()
        .orderBy('name')
        .limit(queuesMax)
        .execute()
      return await rowsOf(store.reader, rows.map(queueOf))
    },

    show,

    put: async (name, config, by, note) => {
      await store.writer.transaction().execute(async (tx) => {
        await findDataset(tx, config.dataset)
        const before = await tx
          .selectFrom('label_queue')
          .select(['dataset', 'config'])
          .where('name', '=', name)
          .executeTakeFirst()
        if (before && before.dataset !== config.dataset) {
          throw new Refusal(
            'conflict',
            `Cannot let the queue "${name}" fill "${config.dataset}": it fills "${before.dataset}"; make another queue`,
          )
        }
        if (!before) {
          const { count } = await tx
            .selectFrom('label_queue')
            .select(({ fn }) => fn.countAll<number>().as('count'))
            .executeTakeFirstOrThrow()
          if (Number(count) >= queuesMax) {
            throw new Refusal(
              'conflict',
              `Cannot keep another label queue: there are ${queuesMax}; remove one first`,
            )
          }
        }
        const text = JSON.stringify(config)
        const taken = before && sourceOf(JSON.parse(before.config) as LabelQueueConfig)
        // Where samples come from elsewhere now, those that are here already are looked at again.
        const again = taken === sourceOf(config) ? {} : { taken_through: 0 }
        await tx
          .insertInto('label_queue')
          .values({
            name,
            dataset: config.dataset,
            config: text,
            revision: 0,
            author: by,
            created_at: clock(),
          })
          .onConflict((on) => on.column('name').doUpdateSet({ config: text, ...again }))
          .execute()
        await note.within(tx)
      })
      changed(name)
      return await show(name)
    },

    remove: async (name, note) => {
      await store.writer.transaction().execute(async (tx) => {
        await findQueue(tx, name)
        await tx
          .deleteFrom('label_hold')
          .where('task_id', 'in', (e) =>
            e.selectFrom('label_task').select('label_task.task_id').where('queue', '=', name),
          )
          .execute()
        await tx.deleteFrom('label_answer').where('queue', '=', name).execute()
        await tx.deleteFrom('label_task').where('queue', '=', name).execute()
        await tx.deleteFrom('label_queue').where('name', '=', name).execute()
        await note.within(tx)
      })
      changed(name)
    },
  }
}
