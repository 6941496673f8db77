/** Brings the schema of an open store up to date. */
import type { Kysely } from 'kysely'
import { Migrator } from 'kysely/migration'
import { migrations } from './migrations.ts'
import type { Tables } from './tables.ts'

/** @throws {Error} when a newer hub has written the store */
export async function migrate(db: Kysely<Tables>): Promise<void> {
  const migrator = new Migrator({
    db,
    // Steps are numbered where they are written; a lower number may reach a store after a higher one.
    allowUnorderedMigrations: true,
    provider: { getMigrations: async () => ({ ...migrations }) },
  })
  const { error } = await migrator.migrateToLatest()
  if (error) throw error
}
