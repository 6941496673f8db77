/**
 * Drafts in this browser, in IndexedDB: what was drawn and not accepted yet. In a database of its own, so that a page of
 * an earlier version that still has the answers open is not waited for.
 */
import type { DBSchema } from 'idb'
import { databaseOf } from './browser-database.ts'
import type { Draft } from './desk.ts'

/** Of one person at one queue; beyond that the oldest give way. */
export const draftsMax = 50
/** Drafts that nobody came back to. */
const daysMax = 30
const dayMs = 86_400_000

/** Whose, and where: a review begins from other boxes than an answer. */
export type DraftPlace = {
  readonly user: string
  readonly queue: string
  readonly review: boolean
}

/** The drafts of one place. */
export type DraftStore = {
  /** Oldest first. */
  list(): Promise<readonly Draft[]>
  /** @throws {Error} when there is no room for it */
  put(draft: Draft): Promise<void>
  remove(taskId: number): Promise<void>
}

type Row = {
  readonly place: string
  readonly taskId: number
  readonly at: number
  readonly draft: Draft
}

type Schema = DBSchema & {
  drafts: { key: [string, number]; value: Row; indexes: { place: string; at: number } }
}

export function openDraftStore(
  { user, queue, review }: DraftPlace,
  now: () => number,
  name = 'edgeloop-label-drafts',
): DraftStore {
  const place = JSON.stringify([user, queue, review])
  const database = databaseOf<Schema>(name, (db) => {
    const drafts = db.createObjectStore('drafts', { keyPath: ['place', 'taskId'] })
    drafts.createIndex('place', 'place')
    drafts.createIndex('at', 'at')
  })
  const begin = async () =>
    (await database()).transaction('drafts', 'readwrite', { durability: 'strict' })
  return {
    async list() {
      const change = await begin()
      const tooOld = IDBKeyRange.upperBound(now() - daysMax * dayMs)
      for (const key of await change.store.index('at').getAllKeys(tooOld)) {
        await change.store.delete(key)
      }
      const rows = await change.store.index('place').getAll(place)
      await change.done
      return rows.toSorted((a, b) => a.at - b.at).map(({ draft }) => draft)
    },
    async put(draft) {
      const change = await begin()
      await change.store.put({ place, taskId: draft.taskId, at: now(), draft })
      const rows = await change.store.index('place').getAll(place)
      const gone = rows.toSorted((a, b) => a.at - b.at).slice(0, -draftsMax)
      for (const { taskId } of gone) await change.store.delete([place, taskId])
      await change.done
    },
    async remove(taskId) {
      const change = await begin()
      await change.store.delete([place, taskId])
      await change.done
    },
  }
}
