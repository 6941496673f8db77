/**
 * The thread that owns one SQLite connection, because `node:sqlite` blocks whoever calls it. It does
 * what it is told, in order, one message at a time, and answers each with `{ id, result }` or
 * `{ id, failure }`.
 */
import assert from 'node:assert'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { EventWriter } from './event-writer.ts'
import type { CheckedBatch, CommitOutcome } from './store.ts'

export type WorkerOptions = { readonly file: string; readonly role: 'writer' | 'reader' }

export type WorkerCall =
  | { readonly kind: 'query'; readonly sql: string; readonly parameters: readonly SQLInputValue[] }
  | { readonly kind: 'commit'; readonly group: readonly CheckedBatch[] }
  | { readonly kind: 'close' }

export type QueryAnswer = {
  readonly rows: readonly Record<string, unknown>[]
  readonly changes: number
  readonly insertId: number
}

export type WorkerFailure = { readonly message: string; readonly errcode: number | undefined }

/** Most statements that are kept prepared; the rooms have a few dozen. */
const statementsMax = 200

assert(parentPort, 'sqlite-worker.ts runs as a worker thread only')
const port = parentPort
const { file, role } = workerData as WorkerOptions
const db = open()
const statements = new Map<string, StatementSync>()
const events = role === 'writer' ? new EventWriter(db) : undefined

port.on('message', ({ id, call }: { id: number; call: WorkerCall }) => {
  try {
    port.postMessage({ id, result: perform(call) })
  } catch (error) {
    const { message, errcode } = error as Error & { errcode?: number }
    port.postMessage({ id, failure: { message, errcode } satisfies WorkerFailure })
  }
  if (call.kind === 'close') port.close()
})
port.postMessage({ id: 0, result: undefined })

function open(): DatabaseSync {
  const opened = new DatabaseSync(file, { readOnly: role === 'reader', timeout: 5000 })
  if (role === 'writer') {
    // Takes effect on a new file only: an event with its text is some 500 bytes, and larger pages hold
    // more of them (10 % less time per insert, measured).
    opened.exec('pragma page_size = 8192')
    // FULL: a commit that was reported survives a power cut (sqlite.org/pragma.html#pragma_synchronous).
    opened.exec('pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on')
    // A checkpoint stalls the commit that makes it: often and small (of 1000 pages, 8 MB) the slowest
    // commits took a third less time than with 4000 (measured).
    opened.exec('pragma wal_autocheckpoint = 1000; pragma journal_size_limit = 67108864')
  }
  return opened
}

function perform(call: WorkerCall): QueryAnswer | readonly CommitOutcome[] | undefined {
  switch (call.kind) {
    case 'query':
      return query(call.sql, call.parameters)
    case 'commit':
      assert(events, 'only the writer commits')
      return events.commit(call.group)
    case 'close':
      db.close()
      return undefined
  }
}

function query(sql: string, parameters: readonly SQLInputValue[]): QueryAnswer {
  const statement = prepare(sql)
  if (statement.columns().length > 0) {
    const rows = statement.all(...parameters)
    return { rows, changes: 0, insertId: 0 }
  }
  const { changes, lastInsertRowid } = statement.run(...parameters)
  return { rows: [], changes: Number(changes), insertId: Number(lastInsertRowid) }
}

function prepare(sql: string): StatementSync {
  const known = statements.get(sql)
  if (known) return known
  if (statements.size >= statementsMax) statements.clear()
  const statement = db.prepare(sql)
  statements.set(sql, statement)
  return statement
}
