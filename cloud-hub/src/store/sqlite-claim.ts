/**
 * Says that somebody has an SQLite store open: a lock on an empty database beside it, which the operating
 * system lets go of when its process ends, however it ends. (PostgreSQL's is `openLock`.)
 */
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'

/** A hub that was just told to stop may still be busy closing. */
const waitMs = 3000
const stepMs = 100

export type Claim = Disposable

/**
 * Claims the store in `file`, whose folder exists, until the claim is disposed.
 * @param wait whether to give another one a moment to let go
 * @throws {Error} when another process, or another part of this one, has it
 */
export async function claimSqliteStore(file: string, wait = true): Promise<Claim> {
  const until = Date.now() + (wait ? waitMs : 0)
  for (;;) {
    const db = new DatabaseSync(`${file}.open`, { timeout: 0 })
    try {
      db.exec('begin exclusive')
      return { [Symbol.dispose]: () => db.close() }
    } catch (cause) {
      db.close()
      // SQLITE_BUSY, sqlite.org/rescode.html
      if ((cause as { errcode?: number }).errcode !== 5) throw cause
      if (Date.now() >= until) {
        const why = 'a hub has it open, or somebody moves it; stop that first'
        throw new Error(`Cannot open the store "${file}": ${why}`, { cause })
      }
    }
    await sleep(stepMs)
  }
}
