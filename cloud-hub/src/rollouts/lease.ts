/** Something that one hub of several does: whoever holds the lease. It ends by itself where its holder dies. */
import { randomUUID } from 'node:crypto'
import type { Store } from '../store/store.ts'

export const leaseMs = 15_000

export type Lease = {
  /** Takes it where it is free, and renews it where it is held. @returns whether this hub holds it */
  hold(): Promise<boolean>
  release(): Promise<void>
}

/** @param alone no other hub can be there: what an earlier one held is free at once */
export function openLease(deps: {
  store: Store
  name: string
  clock: () => number
  alone: boolean
}): Lease {
  const { store, name, clock } = deps
  const worker = randomUUID()
  let heldUntil = 0
  let isFirst = deps.alone
  return {
    hold: async () => {
      const now = clock()
      // Renewed long before it ends.
      if (heldUntil > now + leaseMs / 2 && heldUntil <= now + leaseMs) return true
      const until = now + leaseMs
      const row = { name, worker, until }
      await store.writer
        .insertInto('lease')
        .values({ ...row, until: 0 })
        .onConflict((on) => on.column('name').doNothing())
        .execute()
      let update = store.writer.updateTable('lease').set(row).where('name', '=', name)
      if (!isFirst) {
        update = update.where((e) => e.or([e('worker', '=', worker), e('until', '<', now)]))
      }
      const { numUpdatedRows } = await update.executeTakeFirst()
      isFirst = false
      heldUntil = Number(numUpdatedRows) > 0 ? until : 0
      return heldUntil !== 0
    },
    release: async () => {
      heldUntil = 0
      await store.writer
        .updateTable('lease')
        .set({ until: 0 })
        .where('name', '=', name)
        .where('worker', '=', worker)
        .execute()
    },
  }
}
