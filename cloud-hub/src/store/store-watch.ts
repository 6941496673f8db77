/** Asks the store every few seconds whether it is there, so that the hub can say so before anybody needs it. */
import { sql } from 'kysely'
import type { Store } from './store.ts'

const intervalMs = 2000

export type StoreWatch = Disposable & {
  /** What the store said last. */
  readonly reachable: boolean
}

/** @param told of each change, with the reason when it is gone */
export function watchStore(store: Store, told: (gone: unknown) => void): StoreWatch {
  let reachable = true
  let asking = false
  const timer = setInterval(async () => {
    // One question at a time: each has its own limit in time.
    if (asking) return
    asking = true
    let gone: unknown
    try {
      await sql`select 1`.execute(store.reader)
    } catch (error) {
      gone = error
    }
    asking = false
    const now = gone === undefined
    if (now !== reachable) told(gone)
    reachable = now
  }, intervalMs)
  return {
    get reachable() {
      return reachable
    },
    [Symbol.dispose]: () => clearInterval(timer),
  }
}
