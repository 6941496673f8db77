/** The store in a PostgreSQL database: one connection that writes, a few that read. */
import { Kysely, PostgresDialect } from 'kysely'
import { migrate } from './migrate.ts'
import { PostgresConnections } from './postgres-connections.ts'
import { postgresSchema } from './postgres-schema.ts'
import { commitGroup } from './postgres-writer.ts'
import type { Store } from './store.ts'
import type { PostgresAddress } from './store-address.ts'
import type { Tables } from './tables.ts'

/** Queries of the rooms at once; further ones wait. */
const readersMax = 8

/**
 * Opens the store in the database of `address`, and brings its schema up to date. Several hubs may.
 * @throws {Error} when it cannot be reached, is being moved, or was written by a newer hub
 */
export async function openPostgresStore({ url, shown }: PostgresAddress): Promise<Store> {
  await using opened = new AsyncDisposableStack()
  const writing = opened.use(
    new PostgresConnections({ url, role: 'writer', max: 1, claim: 'hub' }, shown),
  )
  const reading = opened.use(
    new PostgresConnections({ url, role: 'reader', max: readersMax }, shown),
  )
  const writer = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: writing as never }) })
  const reader = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: reading as never }) })
  try {
    await migrate(writer.withPlugin(postgresSchema))
  } catch (cause) {
    const why = (cause as Error).message.replace(`Cannot use the store ${shown}: `, '')
    throw new Error(`Cannot open the store "${shown}": ${why}`, { cause })
  }
  const resources = opened.move()
  return {
    reader,
    writer,
    commit: (group) => commitGroup(writing, group),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}
