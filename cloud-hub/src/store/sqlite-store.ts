/** The store in one SQLite file: a writer and a reader, each in its own thread. */
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Kysely } from 'kysely'
import { migrate } from './migrate.ts'
import { SqliteConnection, sqliteDialect } from './sqlite-connection.ts'
import type { Store } from './store.ts'
import type { Tables } from './tables.ts'

/**
 * Opens the store in `file`, which is made where there is none, and brings its schema up to date.
 * @throws {Error} when the file is no database, or was written by a newer hub
 */
export async function openSqliteStore({ file }: { file: string }): Promise<Store> {
  await mkdir(dirname(file), { recursive: true })
  await using opened = new AsyncDisposableStack()
  try {
    const writing = opened.use(await SqliteConnection.open({ file, role: 'writer' }))
    const writer = new Kysely<Tables>({ dialect: sqliteDialect(writing) })
    await migrate(writer)
    const reading = opened.use(await SqliteConnection.open({ file, role: 'reader' }))
    const reader = new Kysely<Tables>({ dialect: sqliteDialect(reading) })
    const resources = opened.move()
    return {
      reader,
      writer,
      commit: committer(writing),
      [Symbol.asyncDispose]: () => resources.disposeAsync(),
    }
  } catch (cause) {
    throw new Error(`Cannot open the store "${file}": ${(cause as Error).message}`, { cause })
  }
}

/**
 * Commits that follow each other hold the connection together, so that the next one is already with the
 * worker when it is done with the last; whoever else waits for the connection goes between.
 */
function committer(writing: SqliteConnection): Store['commit'] {
  let held: { readonly release: Promise<() => void>; users: number } | undefined
  return async (group) => {
    if (!held || writing.isAwaited) held = { release: writing.hold(), users: 0 }
    const mine = held
    mine.users++
    const release = await mine.release
    try {
      return await writing.commit(group)
    } finally {
      mine.users--
      if (mine.users === 0) {
        if (held === mine) held = undefined
        release()
      }
    }
  }
}
