/** Puts the open tasks of a queue in their order anew after answers: what shows the same as an answered one comes last. */
import type { SampleReason } from '@edgeloop/protocol'
import type { Store } from '../store/store.ts'
import { looksOf, queryRowsMax } from './task-row.ts'
import { unlikeness, useOf } from './use.ts'

/** Smallest change of a task's use that is worth a write. */
const worthwhile = 0.005
/** Tasks that are looked at in one step; others get their turn between. */
const stepTasks = 500

/** @param answered tasks that have been answered since the last time */
export async function rerank(
  store: Store,
  queue: string,
  answered: readonly number[],
  now: number,
  signal: AbortSignal,
): Promise<void> {
  const rows = await store.reader
    .selectFrom('label_task')
    .select(['looks', 'embedding'])
    .where('task_id', 'in', answered.slice(-queryRowsMax))
    .where('state', 'in', ['done', 'review'])
    .execute()
  const seen = rows
    .map(looksOf)
    .filter(({ hash, embedding }) => hash !== '' || embedding.length > 0)
  for (let after = 0; !signal.aborted; ) {
    const open = await store.reader
      .selectFrom('label_task')
      .select(['task_id', 'looks', 'embedding', 'reason', 'doubt', 'novelty', 'use_share'])
      .select(['captured_at', 'added_at'])
      .where('queue', '=', queue)
      .where('state', '=', 'open')
      .where('task_id', '>', after)
      .orderBy('task_id')
      .limit(stepTasks)
      .execute()
    if (open.length === 0) return
    after = open.at(-1)!.task_id
    const changed = open.flatMap((task) => {
      const looks = looksOf(task)
      const novelty = Math.min(task.novelty, ...seen.map((one) => unlikeness(looks, one)))
      const reason = task.reason as SampleReason | ''
      const ageMs = now - (task.captured_at ?? task.added_at)
      const use = useOf({ reason, doubt: task.doubt, novelty, ageMs })
      if (Math.abs(use - task.use_share) < worthwhile) return []
      return [{ taskId: task.task_id, novelty, use }]
    })
    if (changed.length === 0) continue
    await store.writer.transaction().execute(async (tx) => {
      for (const { taskId, novelty, use } of changed) {
        await tx
          .updateTable('label_task')
          .set({ novelty, use_share: use })
          .where('task_id', '=', taskId)
          .where('state', '=', 'open')
          .execute()
      }
    })
  }
}
