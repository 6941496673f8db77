/**
 * Moves a store from one database to another, row by row, and proves it: counts and digests of every table are
 * taken of what was read and again of what has arrived. The source is only read. The target
 * must be empty; it becomes a store at once in the end, or stays as it was.
 */
import { createHash } from 'node:crypto'
import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { bindable, type Lent, PostgresConnections } from './postgres-connections.ts'
import { openPostgresStore } from './postgres-store.ts'
import { claimSqliteStore } from './sqlite-claim.ts'
import { SqliteConnection } from './sqlite-connection.ts'
import { openSqliteStore } from './sqlite-store.ts'
import type { PostgresAddress, SqliteAddress, StoreAddress } from './store-address.ts'
import {
  knownSteps,
  openSource,
  type Row,
  readPostgres,
  readSqlite,
  type StoreSource,
  type Table,
} from './store-ends.ts'

export type TableMoved = { readonly table: string; readonly rows: number; readonly digest: string }
export type StoreMoved = {
  readonly from: string
  readonly to: string
  readonly rows: number
  readonly tables: readonly TableMoved[]
  /** Texts in which a NUL became U+FFFD, because PostgreSQL holds none. */
  readonly replaced: number
}

/** Told now and then: rows of one table that are over, of all of it. */
export type MoveProgress = (at: { table: string; rows: number; of: number }) => void

/** Somewhere that rows are put. */
type Target = AsyncDisposable & {
  put(table: Table, rows: readonly Row[]): Promise<void>
  /** What is there now, though nobody else can see it yet. */
  look(): Promise<StoreSource>
  /** Makes it what everybody sees. */
  finish(): Promise<void>
}

/**
 * Moves everything in the store at `from` to `to`.
 * @throws {Error} when either is open elsewhere, the source was last opened by another version, the target holds
 * anything, what arrived is not what was read, or `signal` aborts; the target is as it was then
 */
export async function moveStore(
  from: StoreAddress,
  to: StoreAddress,
  { progress = () => {}, signal }: { progress?: MoveProgress; signal?: AbortSignal } = {},
): Promise<StoreMoved> {
  await using source = await openSource(from, { alone: true })
  requireSteps(source)
  await using target = to.kind === 'sqlite' ? await sqliteTarget(to) : await postgresTarget(to)
  const expected: TableMoved[] = []
  let replaced = 0
  for (const table of source.tables) {
    const of = (await source.number(`select count(*) from "${table.name}"`)) ?? 0
    const sum = new RowDigest()
    for await (const page of source.pages(table)) {
      signal?.throwIfAborted()
      const rows = to.kind === 'postgres' ? page.map((row) => row.map(bindable) as Row) : page
      rows.forEach((row, r) => {
        sum.add(row)
        if (row !== page[r]) replaced += row.filter((cell, c) => cell !== page[r]?.[c]).length
      })
      await target.put(table, rows)
      progress({ table: table.name, rows: sum.rows, of })
    }
    expected.push({ table: table.name, rows: sum.rows, digest: sum.digest })
  }
  await prove(source, target, expected, signal)
  await target.finish()
  const rows = expected.reduce((total, { rows }) => total + rows, 0)
  return { from: source.shown, to: to.shown, rows, tables: expected, replaced }
}

function requireSteps({ steps, shown }: StoreSource): void {
  if (steps.length === 0) throw new Error(`Cannot move the store "${shown}": there is none in it`)
  if (JSON.stringify(steps) === JSON.stringify(knownSteps)) return
  throw new Error(
    `Cannot move the store "${shown}": its schema is at "${steps.at(-1)}", this version's at "${knownSteps.at(-1)}". ` +
      'Start the hub of this version on it once, stop it, and move it then',
  )
}

async function prove(
  source: StoreSource,
  target: Target,
  expected: readonly TableMoved[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const there = await target.look()
  for (const [t, table] of source.tables.entries()) {
    const sum = new RowDigest()
    for await (const rows of there.pages(table)) {
      signal?.throwIfAborted()
      for (const row of rows) sum.add(row)
    }
    const { rows, digest } = expected[t]!
    if (sum.rows === rows && sum.digest === digest) continue
    throw new Error(
      `Cannot move the store "${source.shown}": of table "${table.name}" ${rows} rows with digest ${digest.slice(0, 12)} ` +
        `were read, and ${sum.rows} with ${sum.digest.slice(0, 12)} arrived. Nothing was changed`,
    )
  }
}

/** A digest of rows in any order: two stores sort text each in their own way. */
class RowDigest {
  rows = 0
  #sum = 0n

  add(row: Row): void {
    const hash = createHash('sha256').update(JSON.stringify(row)).digest('hex')
    this.#sum = BigInt.asUintN(256, this.#sum + BigInt(`0x${hash}`))
    this.rows++
  }

  get digest(): string {
    return this.#sum.toString(16).padStart(64, '0')
  }
}

/** A file beside the one that is meant, which takes its name in the end. */
async function sqliteTarget({ file, shown }: SqliteAddress): Promise<Target> {
  await using opened = new AsyncDisposableStack()
  await mkdir(dirname(file), { recursive: true })
  opened.use(await claimSqliteStore(file))
  if (await exists(file)) {
    await using there = await openSource({ kind: 'sqlite', file, shown }, { alone: false })
    await requireEmpty(there)
  }
  const draft = `${file}.moving`
  const remove = async (): Promise<void> => {
    for (const end of ['', '-wal', '-shm']) await rm(draft + end, { force: true })
  }
  await remove()
  opened.defer(remove)
  // Makes the tables; what its steps put into them comes with the rows that are moved.
  await (await openSqliteStore({ file: draft }))[Symbol.asyncDispose]()
  let db: SqliteConnection | undefined = opened.use(
    await SqliteConnection.open({ file: draft, role: 'writer' }),
  )
  await db.query('pragma foreign_keys = off')
  await db.query('begin')
  const connection = db
  const { tables } = await readSqlite(connection, shown, nothing)
  for (const { name } of tables) await connection.query(`delete from "${name}"`)
  const resources = opened.move()
  return {
    put: async ({ name, columns }, rows) => {
      const names = columns.map((column) => `"${column.name}"`).join(', ')
      const one = `(${columns.map(() => '?').join(', ')})`
      // SQLite binds 32,766 values at most (sqlite.org/limits.html).
      const atOnce = Math.floor(30_000 / columns.length)
      for (let i = 0; i < rows.length; i += atOnce) {
        const part = rows.slice(i, i + atOnce)
        const values = part.map(() => one).join(', ')
        await connection.query(`insert into "${name}" (${names}) values ${values}`, part.flat())
      }
    },
    look: () => readSqlite(connection, shown, nothing),
    finish: async () => {
      const broken = await connection.query('pragma foreign_key_check')
      if (broken.rows.length > 0) {
        throw new Error(`Cannot move to "${shown}": ${broken.rows.length} rows refer to none`)
      }
      await connection.query('commit')
      await db?.[Symbol.asyncDispose]()
      db = undefined
      await sync(draft)
      for (const end of ['-wal', '-shm']) await rm(file + end, { force: true })
      await rename(draft, file)
      await sync(dirname(file))
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

/** One transaction. */
async function postgresTarget({ url, shown }: PostgresAddress): Promise<Target> {
  await using opened = new AsyncDisposableStack()
  {
    const options = { url, role: 'writer', max: 1, claim: 'alone' } as const
    await using looking = new PostgresConnections(options, shown)
    using client = await looking.connect()
    await client.query('begin')
    await requireEmpty(await readPostgres(client, shown, nothing))
  }
  // Makes the tables, as any hub would.
  await (await openPostgresStore({ kind: 'postgres', url, shown }))[Symbol.asyncDispose]()
  const connections = opened.use(
    new PostgresConnections({ url, role: 'writer', max: 1, claim: 'alone' }, shown),
  )
  const client = opened.use(await connections.connect())
  await client.query('begin')
  opened.defer(async () => {
    await client.query('rollback').catch(() => {})
  })
  const there = await readPostgres(client, shown, nothing)
  const types = new Map(
    there.tables.flatMap(({ name, columns }) =>
      columns.map((column) => [`${name}.${column.name}`, column.type] as const),
    ),
  )
  for (const { name } of there.tables.toReversed()) await client.query(`delete from "${name}"`)
  const resources = opened.move()
  return {
    put: async ({ name, columns }, rows) => {
      const names = columns.map((column) => `"${column.name}"`).join(', ')
      const arrays = columns.map(
        (column, i) => `$${i + 1}::${types.get(`${name}.${column.name}`) ?? 'text'}[]`,
      )
      await client.query(
        `insert into "${name}" (${names}) select * from unnest(${arrays.join(', ')})`,
        columns.map((_, i) => rows.map((row) => row[i])),
      )
    },
    look: () => readPostgres(client, shown, nothing),
    finish: async () => {
      await continueNumbers(client)
      await client.query('commit')
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

/** Columns that number themselves go on behind what was put there. */
async function continueNumbers(client: Lent): Promise<void> {
  const { rows } = await client.query<{ table: string; column: string }>(
    `select c.relname as "table", a.attname as "column" from pg_class c
      join pg_attribute a on a.attrelid = c.oid
      where c.relnamespace = current_schema()::regnamespace and a.attidentity <> ''`,
  )
  for (const { table, column } of rows) {
    await client.query(
      `select setval(pg_get_serial_sequence('"${table}"', '${column}'), coalesce(max("${column}"), 1),
        max("${column}") is not null) from "${table}"`,
    )
  }
}

async function requireEmpty(there: StoreSource): Promise<void> {
  for (const { name } of there.tables) {
    const rows = (await there.number(`select count(*) from "${name}"`)) ?? 0
    if (rows === 0) continue
    throw new Error(
      `Cannot move to "${there.shown}": it is not empty, table "${name}" has ${rows} rows. Name an empty database or a file that is not there`,
    )
  }
}

async function exists(file: string): Promise<boolean> {
  return await stat(file).then(
    () => true,
    () => false,
  )
}

async function sync(path: string): Promise<void> {
  await using handle = await open(path)
  await handle.sync()
}

const nothing: AsyncDisposable = { [Symbol.asyncDispose]: async () => {} }
