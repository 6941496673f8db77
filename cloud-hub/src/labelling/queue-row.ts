/** Label queues as the store has them. */
import { type LabelQueueConfig, Refusal } from '@edgeloop/protocol'
import type { Kysely, Selectable, Transaction } from 'kysely'
import type { LabelQueueTable, Tables } from '../store/tables.ts'

export type Queue = {
  readonly name: string
  readonly config: LabelQueueConfig
  readonly by: string
  readonly createdAt: number
}

/** @throws {Refusal} notFound */
export async function findQueue(db: Kysely<Tables>, name: string): Promise<Queue> {
  const row = await db
    .selectFrom('label_queue')
    .selectAll()
    .where('name', '=', name)
    .executeTakeFirst()
  if (row) return queueOf(row)
  throw new Refusal('notFound', `Cannot find the label queue "${name}"`)
}

/** Keeps everybody else who gives or takes tasks of a queue out until the transaction ends. @throws {Refusal} notFound */
export async function beginQueue(tx: Transaction<Tables>, name: string): Promise<Queue> {
  await tx
    .updateTable('label_queue')
    .set(({ eb }) => ({ revision: eb('revision', '+', 1) }))
    .where('name', '=', name)
    .execute()
  return await findQueue(tx, name)
}

export const queueOf = (row: Selectable<LabelQueueTable>): Queue => ({
  name: row.name,
  config: JSON.parse(row.config) as LabelQueueConfig,
  by: row.author,
  createdAt: row.created_at,
})
