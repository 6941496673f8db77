/**
 * A store as rows, for who looks at it as a whole: every table with its columns in the order in which they were
 * made, so that no row comes before one that it refers to. Nothing here knows what the tables mean.
 */
import { migrations } from './migrations.ts'
import { type Lent, openLock, PostgresConnections } from './postgres-connections.ts'
import { claimSqliteStore } from './sqlite-claim.ts'
import { SqliteConnection } from './sqlite-connection.ts'
import type { PostgresAddress, SqliteAddress, StoreAddress } from './store-address.ts'

/** Rows read at once. */
const pageRows = 1000

export type Row = readonly (string | number | null)[]
export type Table = {
  readonly name: string
  readonly columns: readonly { readonly name: string; readonly type: string }[]
}

/** A store that is read. */
export type StoreSource = AsyncDisposable & {
  readonly shown: string
  readonly sizeBytes: number
  /** Steps of the schema that it has been through, oldest first. */
  readonly steps: readonly string[]
  readonly tables: readonly Table[]
  /** Every row once, in pages. */
  pages(table: Table): AsyncIterable<readonly Row[]>
  /** One number of one statement, which both kinds of store understand. */
  number(sql: string): Promise<number | null>
}

/** The steps that this version of the hub knows. */
export const knownSteps: readonly string[] = Object.keys(migrations).sort()

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`
const listed = (table: Table): string => table.columns.map(({ name }) => quoted(name)).join(', ')

/**
 * Opens a store for reading; nothing in it is changed.
 * @param alone claims it, so that no hub can open it
 * @throws {Error} when there is none, or a hub has it open and it is to be read alone
 */
export async function openSource(
  address: StoreAddress,
  { alone }: { alone: boolean },
): Promise<StoreSource> {
  return address.kind === 'sqlite'
    ? await openSqliteSource(address, alone)
    : await openPostgresSource(address, alone)
}

/** True while somebody has the store open. */
export async function isOpen(address: StoreAddress): Promise<boolean> {
  if (address.kind === 'sqlite') {
    try {
      using _claim = await claimSqliteStore(address.file, false)
      return false
    } catch {
      return true
    }
  }
  const { url, shown } = address
  await using connections = new PostgresConnections({ url, role: 'reader', max: 1 }, shown)
  using client = await connections.connect()
  const { rows } = await client.query<{ free: boolean }>(
    `select pg_try_advisory_lock(${openLock}) as free`,
  )
  return rows[0]?.free !== true
}

async function openSqliteSource(
  { file, shown }: SqliteAddress,
  alone: boolean,
): Promise<StoreSource> {
  await using opened = new AsyncDisposableStack()
  try {
    // The reader opens nothing that is not there; a claim would make its file first.
    const db = opened.use(await SqliteConnection.open({ file, role: 'reader' }))
    if (alone) opened.use(await claimSqliteStore(file))
    return await readSqlite(db, shown, opened.move())
  } catch (cause) {
    const { message } = cause as Error
    if (message.startsWith('Cannot')) throw cause
    throw new Error(`Cannot read the store "${shown}": ${message}`, { cause })
  }
}

/** An SQLite store over a connection; `resources` are closed with it. */
export async function readSqlite(
  db: SqliteConnection,
  shown: string,
  resources: AsyncDisposable,
): Promise<StoreSource> {
  const all = async (sql: string, parameters: readonly unknown[] = []) =>
    (await db.query(sql, parameters)).rows
  const number = async (sql: string): Promise<number | null> => {
    const [row] = await all(sql)
    return (Object.values(row ?? {})[0] ?? null) as number | null
  }
  const names = await all("select name from sqlite_master where type = 'table' order by rowid")
  const tables: Table[] = []
  for (const { name } of names) {
    if (isOurs(String(name))) {
      const columns = await all('select name, type from pragma_table_info(?) order by cid', [name])
      tables.push({ name: String(name), columns: columns as Table['columns'] })
    }
  }
  return {
    shown,
    sizeBytes:
      ((await number('pragma page_count')) ?? 0) * ((await number('pragma page_size')) ?? 0),
    steps: (await all(stepsSql)).map(({ name }) => String(name)),
    tables,
    number,
    async *pages(table) {
      const sql = `select rowid as "row id", ${listed(table)} from ${quoted(table.name)}
        where rowid > ? order by rowid limit ${pageRows}`
      for (let last = -1; ; ) {
        const rows = await all(sql, [last])
        if (rows.length === 0) return
        last = Number(rows.at(-1)?.['row id'])
        // Columns come back in the order in which they were asked for, behind the row id.
        yield rows.map((row) => Object.values(row).slice(1) as Row)
      }
    },
    [Symbol.asyncDispose]: () => resources[Symbol.asyncDispose](),
  }
}

async function openPostgresSource(
  { url, shown }: PostgresAddress,
  alone: boolean,
): Promise<StoreSource> {
  await using opened = new AsyncDisposableStack()
  const claim = alone ? { claim: 'alone' as const } : {}
  const role = alone ? 'writer' : 'reader'
  const connections = opened.use(new PostgresConnections({ url, role, max: 1, ...claim }, shown))
  const client = opened.use(await connections.connect())
  await client.query('begin isolation level repeatable read read only')
  return await readPostgres(client, shown, opened.move())
}

/** A PostgreSQL store over a connection that is in a transaction; `resources` are closed with it. */
export async function readPostgres(
  client: Lent,
  shown: string,
  resources: AsyncDisposable,
): Promise<StoreSource> {
  // Whoever takes the rows may be slower than a hub is allowed to be.
  await client.query('set local idle_in_transaction_session_timeout = 0')
  const number = async (sql: string): Promise<number | null> => {
    const { rows } = await client.query<Record<string, number | null>>(sql)
    return Object.values(rows[0] ?? {})[0] ?? null
  }
  const { rows: columns } = await client.query<{ table: string; name: string; type: string }>(
    `select c.relname as "table", a.attname as name, t.typname as type
      from pg_class c join pg_attribute a on a.attrelid = c.oid join pg_type t on t.oid = a.atttypid
      where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace
        and a.attnum > 0 and not a.attisdropped
      order by c.oid, a.attnum`,
  )
  const names = [...new Set(columns.map(({ table }) => table))].filter(isOurs)
  const hasSteps = columns.some(({ table }) => table === 'kysely_migration')
  const steps = hasSteps ? (await client.query<{ name: string }>(stepsSql)).rows : []
  let cursors = 0
  return {
    shown,
    sizeBytes: (await number('select pg_database_size(current_database())')) ?? 0,
    steps: steps.map(({ name }) => name),
    tables: names.map((name) => ({
      name,
      columns: columns
        .filter(({ table }) => table === name)
        .map((column) => ({ name: column.name, type: column.type })),
    })),
    number,
    async *pages(table) {
      const cursor = `pages_${++cursors}`
      await client.query(
        `declare ${cursor} no scroll cursor for select ${listed(table)} from ${quoted(table.name)}`,
      )
      for (;;) {
        const { rows } = await client.query<Record<string, Row[number]>>(
          `fetch ${pageRows} from ${cursor}`,
        )
        if (rows.length === 0) break
        yield rows.map((row) => Object.values(row))
      }
      await client.query(`close ${cursor}`)
    },
    [Symbol.asyncDispose]: () => resources[Symbol.asyncDispose](),
  }
}

const stepsSql = 'select name from kysely_migration order by name'
const isOurs = (name: string): boolean => !/^(kysely_|sqlite_)/.test(name)
