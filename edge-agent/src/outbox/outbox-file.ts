/**
 * The outbox on disk: opens the SQLite file, sets space aside in it while there is some, and moves a
 * damaged file out of the way after saving what can still be read.
 *
 * Two facts of SQLite shape this file. A WAL that cannot be checkpointed grows for ever, and a
 * checkpoint must be able to extend the database; so the database may only ever hold as many pages as
 * are already on disk (`max_page_count`), and growing is a step of its own that looks for space first.
 * A WAL keeps its size when it is started over, so it is made as large as it will ever need once.
 */
import { existsSync, renameSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

const formatVersion = 1

/** Pages of the WAL before it is written back and started over: 1 MB. */
const checkpointPages = 256
/** Size the WAL is given at the start: a checkpoint's worth and the largest transaction. */
const walReserveBytes = 4 * 1024 * 1024
/** The file grows only while the disk keeps this much beside it. */
const freeBytesMin = 4 * 1024 * 1024
const fillerBytes = 256 * 1024

const schema = `
  CREATE TABLE boots (
    boot INTEGER PRIMARY KEY,
    bootId TEXT NOT NULL UNIQUE,
    acknowledged INTEGER NOT NULL,
    last INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    boot INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    through INTEGER NOT NULL,
    class INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    json TEXT NOT NULL
  ) STRICT;
  CREATE INDEX giving ON entries (class, id) WHERE class < 3;
  CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE filler (id INTEGER PRIMARY KEY, blob BLOB NOT NULL) STRICT;
  INSERT INTO filler VALUES (1, randomblob(${fillerBytes}));
  PRAGMA user_version = ${formatVersion};
`

export type BootRow = { boot: number; bootId: string; acknowledged: number; last: number }
export type EntryRow = {
  id: number
  boot: number
  sequence: number
  through: number
  class: number
  bytes: number
  json: string
}

/** What could be read of a damaged file, boots and entries in order. */
export type Salvage = {
  readonly movedTo: string
  readonly reason: string
  readonly boots: readonly BootRow[]
  readonly entries: readonly EntryRow[]
}

export type OutboxFile = {
  readonly db: DatabaseSync
  readonly salvage: Salvage | undefined
}

/** Free bytes of the disk that holds `file`. Injected, so that a full disk can be had at will. */
export type FreeBytes = (file: string) => number

export const freeBytesOfDisk: FreeBytes = (file) => {
  const { bavail, bsize } = statfsSync(dirname(file))
  return bavail * bsize
}

/**
 * Opens the outbox file, or makes it. A damaged file is renamed to `FILE.damaged` (one is kept) and
 * what could be read of it comes back as `salvage`.
 * @throws {Error} when another process holds the file, or it cannot be made at all
 */
export function openOutboxFile(file: string): OutboxFile {
  try {
    return { db: openDatabase(file), salvage: undefined }
  } catch (error) {
    if (isBusy(error)) {
      throw new Error(
        `Cannot open outbox "${file}": another agent uses it; stop that one or choose another data folder`,
        { cause: error },
      )
    }
    if (!isDamage(error)) {
      throw new Error(`Cannot open outbox "${file}": ${(error as Error).message}`, { cause: error })
    }
    const movedTo = moveAside(file)
    const salvage = { movedTo, reason: (error as Error).message, ...readDamaged(movedTo) }
    return { db: openDatabase(file), salvage }
  }
}

/**
 * Sets space aside: the WAL at full size, the database at `bytes`; nothing where `bytes` is 0. Gives
 * the bytes the database now has; less than asked for where the disk is short.
 */
export function reserveSpace(
  db: DatabaseSync,
  file: string,
  bytes: number,
  free: FreeBytes,
): number {
  setPagesMax(db, pagesOf(db))
  if (bytes === 0) return sizeOf(db)
  // What is written here is filler: nothing is lost when a power cut takes it.
  db.exec('PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0')
  try {
    const ballast = ballastOf(file)
    const kept = existsSync(ballast)
    rmSync(ballast, { force: true })
    if (kept || free(file) >= walReserveBytes + freeBytesMin) growWal(db, file)
    if (sizeOf(db) < bytes) growFile(db, file, bytes - sizeOf(db), free)
  } finally {
    db.exec(`PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = ${checkpointPages}`)
    setPagesMax(db, pagesOf(db))
  }
  return sizeOf(db)
}

/**
 * Gives the database more pages that are on disk: about `bytes`, or what the disk can spare.
 * @returns false where the disk can spare nothing
 */
export function growFile(db: DatabaseSync, file: string, bytes: number, free: FreeBytes): boolean {
  const spareBytes = Math.min(bytes, free(file) - freeBytesMin)
  if (spareBytes < Math.min(bytes, fillerBytes)) return false
  const pages = pagesOf(db)
  const wanted = pages + Math.ceil(spareBytes / pageSizeOf(db))
  setPagesMax(db, wanted + fillerBytes / pageSizeOf(db))
  try {
    // Free pages inside the file are taken first; filling goes on until the file itself has grown.
    while (pagesOf(db) < wanted) {
      db.exec(`INSERT INTO filler (blob) VALUES (zeroblob(${fillerBytes}))`)
    }
  } catch (error) {
    if (!isFull(error)) throw error
  } finally {
    db.exec('DELETE FROM filler WHERE id > 1')
    checkpoint(db)
    setPagesMax(db, pagesOf(db))
  }
  return pagesOf(db) > pages
}

/**
 * Closes the database. SQLite deletes the WAL then, so with `reserve` its space is kept by a ballast
 * file that the next start exchanges for a WAL: a disk that fills up while the agent is down does not
 * silence it.
 */
export function closeOutboxFile(db: DatabaseSync, file: string, reserve: boolean): void {
  db.close()
  if (!reserve) return
  try {
    writeFileSync(ballastOf(file), new Uint8Array(walReserveBytes))
  } catch {
    // No room for ballast: the next start does with what it finds.
    rmSync(ballastOf(file), { force: true })
  }
}

/** True where SQLite says that there is no room, or the disk does not take what is written. */
export const isFull = (error: unknown): boolean => {
  const code = sqliteCode(error)
  return code === sqlite.full || code === sqlite.ioError
}

/** True where the file is not, or no longer, what SQLite wrote. */
export const isDamage = (error: unknown): boolean => {
  const code = sqliteCode(error)
  return code === sqlite.corrupt || code === sqlite.notADatabase
}

/** Primary result codes of SQLite, https://sqlite.org/rescode.html */
const sqlite = { busy: 5, ioError: 10, corrupt: 11, full: 13, notADatabase: 26 } as const

const isBusy = (error: unknown): boolean => sqliteCode(error) === sqlite.busy

/** Extended codes keep the primary one in their low byte. */
function sqliteCode(error: unknown): number | undefined {
  const { errcode } = error as { errcode?: number }
  return errcode === undefined ? undefined : errcode & 0xff
}

function openDatabase(file: string): DatabaseSync {
  const db = new DatabaseSync(file)
  try {
    // Exclusive before WAL: no shared-memory file, whose pages a full disk would turn into SIGBUS,
    // and no second agent on the same outbox.
    db.exec(`
      PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA wal_autocheckpoint = ${checkpointPages};
    `)
    const version = pragma(db, 'user_version')
    if (version > formatVersion) {
      throw new Error(`it was written by a newer agent (format ${version}, known ${formatVersion})`)
    }
    if (version === 0) db.exec(`BEGIN IMMEDIATE; ${schema} COMMIT`)
    const check = Object.values(db.prepare('PRAGMA quick_check(1)').get() ?? {})[0]
    if (check !== 'ok') throw Object.assign(new Error(String(check)), { errcode: sqlite.corrupt })
    db.exec('DELETE FROM filler WHERE id > 1')
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

const ballastOf = (file: string): string => `${file}.ballast`

/** Writes the same pages over and over: the WAL grows, the database does not. */
function growWal(db: DatabaseSync, file: string): void {
  try {
    while (sizeOnDisk(`${file}-wal`) < walReserveBytes) {
      db.exec(`UPDATE filler SET blob = randomblob(${fillerBytes}) WHERE id = 1`)
    }
  } catch (error) {
    if (!isFull(error)) throw error
  }
  checkpoint(db)
}

function checkpoint(db: DatabaseSync): void {
  try {
    db.exec('PRAGMA wal_checkpoint(PASSIVE)')
  } catch (error) {
    // The WAL keeps what could not be written back; the next checkpoint tries again.
    if (!isFull(error)) throw error
  }
}

const sizeOnDisk = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0

const pragma = (db: DatabaseSync, name: string): number =>
  Number(Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0])

const pagesOf = (db: DatabaseSync): number => pragma(db, 'page_count')
const pageSizeOf = (db: DatabaseSync): number => pragma(db, 'page_size')
const sizeOf = (db: DatabaseSync): number => pagesOf(db) * pageSizeOf(db)

function setPagesMax(db: DatabaseSync, pages: number): void {
  db.exec(`PRAGMA max_page_count = ${Math.ceil(pages)}`)
}

function moveAside(file: string): string {
  const movedTo = `${file}.damaged`
  for (const suffix of ['', '-wal', '-shm', '-journal']) {
    rmSync(movedTo + suffix, { force: true })
    if (existsSync(file + suffix)) renameSync(file + suffix, movedTo + suffix)
  }
  return movedTo
}

/** Reads from both ends until the damage is met; what lies between is gone. */
function readDamaged(file: string): Pick<Salvage, 'boots' | 'entries'> {
  const boots: BootRow[] = []
  const head: EntryRow[] = []
  const tail: EntryRow[] = []
  try {
    using db = new DatabaseSync(file)
    readAll(db, 'SELECT * FROM boots ORDER BY boot', boots)
    if (!readAll(db, 'SELECT * FROM entries ORDER BY id', head)) {
      readAll(db, 'SELECT * FROM entries ORDER BY id DESC', tail)
    }
  } catch {
    // Nothing more to be had: what was read so far is what is saved.
  }
  const lastId = head.at(-1)?.id ?? 0
  return { boots, entries: [...head, ...tail.filter(({ id }) => id > lastId).reverse()] }
}

/** @returns false where damage ended it */
function readAll<T>(db: DatabaseSync, sql: string, into: T[]): boolean {
  try {
    for (const row of db.prepare(sql).iterate()) into.push({ ...row } as T)
    return true
  } catch {
    return false
  }
}
