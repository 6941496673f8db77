/** The backups that a running hub makes of itself, in the folder `backups` of its data; one at a time. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Refusal, type StoreBackup } from '@edgeloop/protocol'
import { type BackupManifest, makeBackup, readManifest } from './backup.ts'
import type { StoreAddress } from './store-address.ts'

/** Backups that are kept; who wants another one takes one away. */
export const backupsMax = 50

export type Backups = AsyncDisposable & {
  /**
   * Begins a backup; `list()` says when it is there.
   * @throws {Refusal} conflict while another is being made or where there are enough, badRequest for a store that
   * is not embedded
   */
  begin(): Promise<StoreBackup>
  /** Newest first. */
  list(): Promise<StoreBackup[]>
}

export function openBackups(deps: {
  address: StoreAddress
  dataDir: string
  /** False where blobs are not in the data folder. */
  ownBlobs: boolean
  version: string
  clock: () => number
  failed: (error: unknown) => void
}): Backups {
  const { address, dataDir, clock } = deps
  const parent = join(dataDir, 'backups')
  const stopping = new AbortController()
  let making: Promise<void> | undefined
  /** The newest that is not among the whole ones: being made, or failed. */
  let unfinished: StoreBackup | undefined

  async function list(): Promise<StoreBackup[]> {
    const names = await readdir(parent).catch(() => [])
    const backups: StoreBackup[] = unfinished ? [unfinished] : []
    for (const name of names.filter((name) => !name.endsWith('.partial'))) {
      const folder = join(parent, name)
      try {
        backups.push(rowOf(name, folder, await readManifest(folder)))
      } catch (error) {
        const { message } = error as Error
        backups.push({ ...emptyRow(name, folder), state: 'failed', problem: message })
      }
    }
    return backups.sort((a, b) => (a.name < b.name ? 1 : -1))
  }

  async function begin(): Promise<StoreBackup> {
    if (address.kind !== 'sqlite') {
      throw new Refusal(
        'badRequest',
        'Cannot back up a store in PostgreSQL from here: use pg_dump, and keep a copy of keys and blobs in the data folder',
      )
    }
    if (making) throw new Refusal('conflict', 'Cannot make a backup: one is being made')
    // Said before anything is waited for: of two who ask at once, one gets it.
    making = Promise.resolve()
    try {
      if ((await readdir(parent).catch(() => [])).length >= backupsMax) {
        throw new Refusal(
          'conflict',
          `Cannot make a backup: there are ${backupsMax} in ${parent}. Remove some first`,
        )
      }
    } finally {
      making = undefined
    }
    const name = new Date(clock()).toISOString().replaceAll(/[:.]/g, '-')
    const folder = join(parent, name)
    const row: StoreBackup = { ...emptyRow(name, folder), state: 'making' }
    unfinished = row
    making = make(address.file, row)
    return row
  }

  async function make(file: string, row: StoreBackup): Promise<void> {
    const { folder } = row
    const { version, ownBlobs: blobs } = deps
    const { signal } = stopping
    try {
      await makeBackup({ file, dataDir, folder, blobs, version, now: clock(), signal })
      unfinished = undefined
    } catch (error) {
      unfinished = { ...row, state: 'failed', problem: (error as Error).message }
      if (!signal.aborted) deps.failed(error)
    }
    making = undefined
  }

  return {
    begin,
    list,
    async [Symbol.asyncDispose]() {
      stopping.abort()
      await making
    },
  }
}

function emptyRow(name: string, folder: string): Omit<StoreBackup, 'state'> {
  return { name, folder, problem: null, databaseBytes: 0, pictures: 0, pictureBytes: 0 }
}

function rowOf(name: string, folder: string, manifest: BackupManifest): StoreBackup {
  const database = manifest.files.find((file) => file.name === 'hub.db')
  return {
    ...emptyRow(name, folder),
    state: 'whole',
    databaseBytes: database?.sizeBytes ?? 0,
    pictures: manifest.blobs,
    pictureBytes: manifest.blobBytes,
  }
}
