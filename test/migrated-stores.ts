/**
 * New stores of today's schema, as copies of one that was made step by step: all its steps, each safely on disk, take
 * longer than most tests of what is kept there. One is made in each process, so it is never older than the code.
 */

import { rmSync } from 'node:fs'
import { copyFile, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openPostgresStore } from '../cloud-hub/src/store/postgres-store.ts'
import { openSqliteStore } from '../cloud-hub/src/store/sqlite-store.ts'
import { parseStoreAddress } from '../cloud-hub/src/store/store-address.ts'
import { copyDatabase, createDatabase } from './postgres/shared-cluster.ts'

let file: Promise<string> | undefined
let database: Promise<string> | undefined

/** Makes a store without rows at `path`. */
export async function createStoreFile(path: string): Promise<void> {
  file ??= migratedFile()
  await copyFile(await file, path)
}

/** Address of a new database, with a store without rows. */
export async function createStoreDatabase(): Promise<string> {
  database ??= migratedDatabase()
  return await copyDatabase(await database)
}

async function migratedFile(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-migrated-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'hub.db')
  await using _made = await openSqliteStore({ file: path })
  return path
}

async function migratedDatabase(): Promise<string> {
  const url = await createDatabase()
  const address = parseStoreAddress(url, '')
  if (address.kind !== 'postgres') throw new Error(`Cannot make a store at ${url}`)
  await using _made = await openPostgresStore(address)
  return url
}
