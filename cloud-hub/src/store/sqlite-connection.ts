/**
 * One SQLite connection in a worker thread, and Kysely's way to it. Calls are answered in the order they
 * were made; `hold()` keeps others out for as long as a transaction lasts.
 */
import { Worker } from 'node:worker_threads'
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import type { QueryAnswer, WorkerCall, WorkerFailure, WorkerOptions } from './sqlite-worker.ts'
import type { CheckedBatch, CommitOutcome } from './store.ts'

type Pending = { resolve: (result: unknown) => void; reject: (error: Error) => void }

/** Thrown for what SQLite refuses; `errcode` is its extended result code (sqlite.org/rescode.html). */
export class SqliteError extends Error {
  readonly errcode: number | undefined
  constructor({ message, errcode }: WorkerFailure) {
    super(message)
    this.name = 'SqliteError'
    this.errcode = errcode
  }
}

export class SqliteConnection implements AsyncDisposable {
  readonly #worker: Worker
  readonly #pending = new Map<number, Pending>()
  #nextId = 1
  #gone: Error | undefined
  #tail: Promise<void> = Promise.resolve()
  #waiting = 0

  private constructor(worker: Worker) {
    this.#worker = worker
    worker.on('message', ({ id, result, failure }) => this.#answer(id, result, failure))
    worker.on('error', (error) => this.#leave(error))
    worker.on('exit', () => this.#leave(new Error('Cannot use the store: it is closed')))
  }

  /** @throws {Error} when the file cannot be opened as a database */
  static async open(options: WorkerOptions): Promise<SqliteConnection> {
    const worker = new Worker(new URL('./sqlite-worker.ts', import.meta.url), {
      workerData: options,
      name: `store-${options.role}`,
    })
    const connection = new SqliteConnection(worker)
    await new Promise((resolve, reject) => connection.#pending.set(0, { resolve, reject }))
    return connection
  }

  query(sql: string, parameters: readonly unknown[] = []): Promise<QueryAnswer> {
    // Kysely types parameters as unknown; the worker refuses what SQLite cannot bind.
    return this.#call({ kind: 'query', sql, parameters: parameters as never })
  }

  commit(group: readonly CheckedBatch[]): Promise<readonly CommitOutcome[]> {
    return this.#call({ kind: 'commit', group })
  }

  /** Waits until nobody holds the connection, then holds it until the returned function is called. */
  async hold(): Promise<() => void> {
    const before = this.#tail
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#tail = promise
    this.#waiting++
    await before
    this.#waiting--
    return resolve
  }

  /** True while somebody waits to hold the connection. */
  get isAwaited(): boolean {
    return this.#waiting > 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#gone) return
    const exited = new Promise((resolve) => this.#worker.once('exit', resolve))
    await this.#call({ kind: 'close' })
    await exited
  }

  #call<R>(call: WorkerCall): Promise<R> {
    if (this.#gone) return Promise.reject(this.#gone)
    const id = this.#nextId++
    return new Promise<R>((resolve, reject) => {
      // The worker answers each kind of call with its own result; the callers above name it.
      this.#pending.set(id, { resolve: resolve as (result: unknown) => void, reject })
      this.#worker.postMessage({ id, call })
    })
  }

  #answer(id: number, result: unknown, failure: WorkerFailure | undefined): void {
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    if (failure) pending?.reject(new SqliteError(failure))
    else pending?.resolve(result)
  }

  #leave(error: Error): void {
    this.#gone ??= error
    for (const { reject } of this.#pending.values()) reject(this.#gone)
    this.#pending.clear()
  }
}

/** Kysely's dialect over one connection. */
export function sqliteDialect(connection: SqliteConnection): Dialect {
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new ConnectionDriver(connection),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  }
}

class Held implements DatabaseConnection {
  readonly #connection: SqliteConnection
  readonly release: () => void

  constructor(connection: SqliteConnection, release: () => void) {
    this.#connection = connection
    this.release = release
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const { rows, changes, insertId } = await this.#connection.query(query.sql, query.parameters)
    return {
      rows: rows as R[],
      numAffectedRows: BigInt(changes),
      insertId: BigInt(insertId),
    }
  }

  // biome-ignore lint/correctness/useYield: the contract wants a generator; results here are bounded pages
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('Cannot stream a query: results are read in bounded pages')
  }
}

class ConnectionDriver implements Driver {
  readonly #connection: SqliteConnection
  constructor(connection: SqliteConnection) {
    this.#connection = connection
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<Held> {
    return new Held(this.#connection, await this.#connection.hold())
  }

  async beginTransaction(held: Held): Promise<void> {
    await held.executeQuery(CompiledQuery.raw('begin immediate'))
  }

  async commitTransaction(held: Held): Promise<void> {
    await held.executeQuery(CompiledQuery.raw('commit'))
  }

  async rollbackTransaction(held: Held): Promise<void> {
    await held.executeQuery(CompiledQuery.raw('rollback'))
  }

  async releaseConnection(held: Held): Promise<void> {
    held.release()
  }

  /** The store that opened the connection closes it. */
  async destroy(): Promise<void> {}
}
