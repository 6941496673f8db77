/**
 * The trust repository in the store. Every change is one transaction over one number, so that of two replicas that sign at
 * the same time one begins again on what the other has written, and no device meets half of a change.
 */
import type { Transaction } from 'kysely'
import type { Store } from '../store/store.ts'
import type { Tables } from '../store/tables.ts'

/** What a change puts into the repository; `remove`: files that no device asks for any more. */
export type TrustChange = {
  readonly files: ReadonlyMap<string, Uint8Array>
  readonly remove?: readonly string[]
  /** Targets that wait for a signature from now on. */
  readonly stage?: readonly StagedTarget[]
  /** Paths that no longer wait. */
  readonly unstage?: readonly string[]
}

export type StagedTarget = {
  readonly path: string
  readonly digest: string
  readonly lengthBytes: number
  readonly at: number
}

export type TrustRows = {
  /** Undefined where there is no such file. */
  file(name: string): Promise<Uint8Array | undefined>
  /** The number that the next change is made on, and the names of all files with when they were written. */
  state(): Promise<{ revision: number; files: readonly { name: string; at: number }[] }>
  staged(): Promise<readonly StagedTarget[]>
  /** @returns false, with nothing changed, where somebody else has changed it since */
  change(revision: number, change: TrustChange): Promise<boolean>
}

/** Moves the number on, where it is still the one that was planned on. */
async function take(tx: Transaction<Tables>, revision: number): Promise<boolean> {
  if (revision === 0) {
    const first = { id: 1, revision: 1 }
    const { numInsertedOrUpdatedRows } = await tx
      .insertInto('trust_revision')
      .values(first)
      .onConflict((on) => on.doNothing())
      .executeTakeFirstOrThrow()
    return Number(numInsertedOrUpdatedRows) > 0
  }
  const { numUpdatedRows } = await tx
    .updateTable('trust_revision')
    .set({ revision: revision + 1 })
    .where('revision', '=', revision)
    .executeTakeFirstOrThrow()
  return Number(numUpdatedRows) > 0
}

export function openTrustRows(store: Store, clock: () => number): TrustRows {
  return {
    file: async (name) => {
      const row = await store.reader
        .selectFrom('trust_file')
        .select('text')
        .where('name', '=', name)
        .executeTakeFirst()
      return row && Buffer.from(row.text)
    },
    state: async () => {
      const row = await store.reader
        .selectFrom('trust_revision')
        .select('revision')
        .executeTakeFirst()
      const files = await store.reader.selectFrom('trust_file').select(['name', 'at']).execute()
      return { revision: row?.revision ?? 0, files }
    },
    staged: async () => {
      const rows = await store.reader
        .selectFrom('trust_staged')
        .selectAll()
        .orderBy('path')
        .execute()
      return rows.map(({ path, digest, length_bytes: lengthBytes, at }) => ({
        path,
        digest,
        lengthBytes,
        at,
      }))
    },
    change: async (revision, { files, remove = [], stage = [], unstage = [] }) => {
      const at = clock()
      return await store.writer.transaction().execute(async (tx) => {
        if (!(await take(tx, revision))) return false
        for (const [name, bytes] of files) {
          const cells = { text: Buffer.from(bytes).toString(), at }
          await tx
            .insertInto('trust_file')
            .values({ name, ...cells })
            .onConflict((on) => on.column('name').doUpdateSet(cells))
            .execute()
        }
        for (const name of remove) {
          await tx.deleteFrom('trust_file').where('name', '=', name).execute()
        }
        for (const { path, digest, lengthBytes, at: since } of stage) {
          const cells = { digest, length_bytes: lengthBytes, at: since }
          await tx
            .insertInto('trust_staged')
            .values({ path, ...cells })
            .onConflict((on) => on.column('path').doUpdateSet(cells))
            .execute()
        }
        for (const path of unstage) {
          await tx.deleteFrom('trust_staged').where('path', '=', path).execute()
        }
        return true
      })
    },
  }
}
