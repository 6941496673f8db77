/**
 * Answers that wait in this browser, in IndexedDB: they outlive the page, the tab and the machine's sleep. Each
 * belongs to who gave it; on a browser that several people use, nobody sends another's.
 */
import type { LabelAnswer } from '@edgeloop/protocol'
import type { DBSchema } from 'idb'
import { databaseOf } from './browser-database.ts'

export type Trouble = {
  /** `conflict`: somebody else answered meanwhile; `refused`: the hub will never take it. */
  readonly kind: 'conflict' | 'refused'
  readonly reason: string
}

export type WaitingAnswer = {
  readonly user: string
  readonly queue: string
  readonly answer: LabelAnswer
  /** When it was given, ms. */
  readonly at: number
  /** It is not sent again until somebody says what shall become of it. */
  readonly trouble?: Trouble
}

/** Where answers wait; one after the other, in the order in which they were given. */
export type AnswerStore = {
  /** @throws {Error} when there is no room for it */
  put(waiting: WaitingAnswer): Promise<void>
  /** Everybody's, oldest first. */
  list(): Promise<readonly WaitingAnswer[]>
  /** @returns whether it was there */
  remove(answerId: string): Promise<boolean>
}

type Row = WaitingAnswer & { readonly order?: number; readonly answerId: string }

type Schema = DBSchema & {
  answers: { key: number; value: Row; indexes: { answerId: string } }
}

/** The store of this browser for this hub; tabs share it. */
export function openAnswerStore(name = 'edgeloop-labels'): AnswerStore {
  const database = databaseOf<Schema>(name, (db) => {
    const answers = db.createObjectStore('answers', { keyPath: 'order', autoIncrement: true })
    answers.createIndex('answerId', 'answerId', { unique: true })
  })
  return {
    async put(waiting) {
      const { answerId } = waiting.answer
      const change = (await database()).transaction('answers', 'readwrite', {
        durability: 'strict',
      })
      const key = await change.store.index('answerId').getKey(answerId)
      await change.store.put({ ...waiting, answerId, ...(key !== undefined && { order: key }) })
      await change.done
    },
    async list() {
      const rows = await (await database()).getAll('answers')
      return rows.map(({ order: _, answerId: __, ...waiting }) => waiting)
    },
    async remove(answerId) {
      const change = (await database()).transaction('answers', 'readwrite', {
        durability: 'strict',
      })
      const key = await change.store.index('answerId').getKey(answerId)
      if (key !== undefined) await change.store.delete(key)
      await change.done
      return key !== undefined
    },
  }
}
