/** An IndexedDB database of this browser: opened when it is first asked for, and again when the browser has closed it. */
import { type DBSchema, type IDBPDatabase, openDB } from 'idb'

/** @param make makes its stores, in a browser that has none yet */
export function databaseOf<S extends DBSchema>(
  name: string,
  make: (database: IDBPDatabase<S>) => void,
): () => Promise<IDBPDatabase<S>> {
  let opening: Promise<IDBPDatabase<S>> | undefined
  return () => {
    opening ??= openDB<S>(name, 1, {
      upgrade: make,
      // Storage was cleared, say.
      terminated: () => {
        opening = undefined
      },
    }).catch((error: unknown) => {
      opening = undefined
      throw error
    })
    return opening
  }
}
