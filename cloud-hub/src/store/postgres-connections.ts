/**
 * Connections to PostgreSQL, bounded in number and in how long anything may take, and Kysely's way to them. A
 * connection that broke is never used again; the next one is made when somebody asks.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import pg, { type PoolClient, type PoolConfig } from 'pg'
import { StoreUnavailable } from './store.ts'

/** One statement on the server; also what is waited for a lock. */
const statementTimeoutMs = 30_000
const lockTimeoutMs = 10_000
/** A hub that was cut off in the middle of a transaction keeps others out for so long. */
const idleTransactionTimeoutMs = 10_000
/** A server that does not answer at all: after this the connection is given up. */
const answerTimeoutMs = statementTimeoutMs + 5000
/** For a connection to be made, and for one to become free. */
const connectTimeoutMs = 10_000
const freeTimeoutMs = 30_000

/** A server notices a moment later that a connection with a claim was closed. */
const claimTimeoutMs = 3000
const claimRetryMs = 100

/** Says that a hub has the database open; taken shared by hubs, alone by who moves a store. */
export const openLock = 4_180_001
/** Held from before an event gets its id until the commit is visible; see `PostgresWriter`. */
export const eventOrderLock = 4_180_002

export type PostgresOptions = {
  readonly url: string
  readonly role: 'writer' | 'reader'
  /** Connections at once. */
  readonly max: number
  /** Which claim each connection makes before it is used; without it none. */
  readonly claim?: 'hub' | 'alone'
}

/** Integers fit into a double here: they are counts, keys and milliseconds. */
const types = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    oid === 20 || oid === 1700 ? Number : pg.types.getTypeParser(oid, format),
}

/** A connection that is lent; what cannot be bound is made bindable, what fails is told in our words. */
export type Lent = Disposable & {
  query<R>(
    sql: string | pg.QueryConfig,
    parameters?: readonly unknown[],
  ): Promise<pg.QueryResult<R & pg.QueryResultRow>>
  release(): void
}

export class PostgresConnections implements AsyncDisposable {
  readonly #pool: pg.Pool
  readonly #shown: string
  #closed = false
  /** Kysely looks at it; there is nothing to see. */
  readonly options = {}

  constructor({ url, role, max, claim }: PostgresOptions, shown: string) {
    this.#shown = shown
    const options: PoolConfig & { onConnect?: (client: pg.ClientBase) => Promise<void> } = {
      connectionString: url,
      application_name: `edgeloop-${role}`,
      max,
      types: types as never,
      keepAlive: true,
      statement_timeout: statementTimeoutMs,
      lock_timeout: lockTimeoutMs,
      idle_in_transaction_session_timeout: idleTransactionTimeoutMs,
      query_timeout: answerTimeoutMs,
      connectionTimeoutMillis: role === 'writer' ? freeTimeoutMs : connectTimeoutMs,
      // The writer stays, and with it its claim on the database.
      idleTimeoutMillis: role === 'writer' ? 0 : 30_000,
      onConnect: (client) => prepare(client, claim),
    }
    this.#pool = new pg.Pool(options)
    // A connection that breaks while nobody uses it is noticed by who asks for it next.
    this.#pool.on('error', () => {})
    this.#pool.on('connect', (client) => client.on('error', () => {}))
  }

  /** @throws {StoreUnavailable} when there is no connection in time */
  async connect(): Promise<Lent> {
    if (this.#closed) throw closedError()
    let client: PoolClient
    try {
      client = await this.#pool.connect()
    } catch (error) {
      throw this.#closed ? closedError() : this.#explain(error)
    }
    let broken = false
    let released = false
    const release = (): void => {
      if (!released) client.release(broken)
      released = true
    }
    return {
      query: async (sql, parameters) => {
        const text = typeof sql === 'string' ? { text: sql } : sql
        const values = parameters ?? text.values
        try {
          return await client.query({
            ...text,
            ...(values ? { values: values.map(bindable) } : {}),
          })
        } catch (error) {
          const explained = this.#explain(error)
          broken ||= explained instanceof StoreUnavailable
          throw explained
        }
      },
      release,
      [Symbol.dispose]: release,
    }
  }

  /** Kysely's word for closing; the store does that. */
  async end(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#pool.end()
  }

  #explain(error: unknown): unknown {
    if (!isUnavailable(error)) return error
    const { message } = error as Error
    return new StoreUnavailable(`Cannot use the store ${this.#shown}: ${message}`, { cause: error })
  }
}

async function prepare(client: pg.ClientBase, claim: PostgresOptions['claim']): Promise<void> {
  const { rows } = await client.query('show synchronous_commit')
  // A commit that was reported survives a power cut, whatever the server's default says.
  if (rows[0]?.synchronous_commit === 'off') await client.query('set synchronous_commit = on')
  if (claim === undefined) return
  const lock = claim === 'hub' ? 'pg_try_advisory_lock_shared' : 'pg_try_advisory_lock'
  const until = Date.now() + claimTimeoutMs
  do {
    const { rows } = await client.query(`select ${lock}(${openLock}) as held`)
    if (rows[0]?.held === true) return
    await sleep(claimRetryMs)
  } while (Date.now() < until)
  const who = claim === 'hub' ? 'it is being moved' : 'a hub has it open; stop that hub first'
  throw new Error(who)
}

/** PostgreSQL has no text with a NUL in it (postgresql.org/docs/15/datatype-character.html). */
export function bindable(value: unknown): unknown {
  return typeof value === 'string' && value.includes('\0')
    ? value.replaceAll('\0', '\ufffd')
    : value
}

/** True for what may be over in a moment: no connection, none free, the server stops or starts. */
function isUnavailable(error: unknown): boolean {
  if (!(error instanceof pg.DatabaseError)) return error instanceof Error
  // Classes of postgresql.org/docs/15/errcodes-appendix.html: connection, resources, intervention.
  return /^(08|53|57)/.test(error.code ?? '') || error.code === '25P03'
}

function closedError(): Error {
  return new Error('Cannot use the store: it is closed')
}
