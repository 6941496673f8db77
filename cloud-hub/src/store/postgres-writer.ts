/**
 * The hot path on PostgreSQL: one transaction per group, one statement per table. The lock that is taken first
 * gives commits of all hubs on the database one order: ids are given under it, and it is let go when
 * the commit is visible, so no event ever appears below one that a page's cursor has passed. The mark of a boot
 * is read under its row's lock and moved only from the value that was read.
 */
import { eventOrderLock, type Lent, type PostgresConnections } from './postgres-connections.ts'
import {
  type Cell,
  type CheckedBatch,
  type CommitOutcome,
  eventColumns,
  healthColumns,
  quarantineColumns,
  quarantineRowsMax,
} from './store.ts'

type Boot = { readonly key: number; readonly before: number; through: number }

/**
 * Commits a group on a connection that nobody else uses meanwhile.
 * @throws when the transaction could not be committed; nothing of the group is stored then, but where the
 * connection broke during the commit itself: then all or nothing is, and the marks say which
 */
export async function commitGroup(
  connections: PostgresConnections,
  group: readonly CheckedBatch[],
): Promise<CommitOutcome[]> {
  const client = await connections.connect()
  try {
    await client.query(`begin; select pg_advisory_xact_lock(${eventOrderLock})`)
    const outcomes = await write(client, group)
    await client.query('commit')
    return outcomes
  } catch (error) {
    // Where the connection is gone the server rolls back by itself.
    await client.query('rollback').catch(() => {})
    throw error
  } finally {
    client.release()
  }
}

async function write(client: Lent, group: readonly CheckedBatch[]): Promise<CommitOutcome[]> {
  const boots = await readBoots(client, group)
  const newest = await client.query<{ newest: number }>(statements.newestEvent)
  const rows = new Rows((newest.rows[0]?.newest ?? 0) + 1)
  const outcomes = group.map((batch): CommitOutcome => {
    const boot = boots.get(bootName(batch))!
    if (boot.through !== batch.expected) return { kind: 'conflict', through: boot.through }
    boot.through = batch.through
    return { kind: 'committed', through: batch.through, firstEventId: rows.add(batch, boot.key) }
  })
  await rows.insert(client)
  await moveMarks(
    client,
    [...boots.values()].filter(({ before, through }) => before !== through),
  )
  return outcomes
}

const bootName = ({ deviceKey, bootId }: CheckedBatch): string => `${deviceKey}/${bootId}`

/** The boots of a group with their marks, locked; those that are new are made. */
async function readBoots(client: Lent, group: readonly CheckedBatch[]): Promise<Map<string, Boot>> {
  const wanted = new Map(group.map((batch) => [bootName(batch), batch]))
  const boots = new Map<string, Boot>()
  type Row = { boot_key: number; device_key: number; boot_id: string; through: number }
  const take = (rows: readonly Row[]): void => {
    for (const { boot_key, device_key, boot_id, through } of rows) {
      wanted.delete(`${device_key}/${boot_id}`)
      boots.set(`${device_key}/${boot_id}`, { key: boot_key, before: through, through })
    }
  }
  const names = () => [
    [...wanted.values()].map(({ deviceKey }) => deviceKey),
    [...wanted.values()].map(({ bootId }) => bootId),
  ]
  take((await client.query<Row>(statements.boots, names())).rows)
  if (wanted.size > 0) {
    const firstAt = [...wanted.values()].map(({ receivedAt }) => receivedAt)
    take((await client.query<Row>(statements.newBoots, [...names(), firstAt])).rows)
  }
  return boots
}

async function moveMarks(client: Lent, boots: readonly Boot[]): Promise<void> {
  if (boots.length === 0) return
  const { rowCount } = await client.query(statements.moveMarks, [
    boots.map(({ key }) => key),
    boots.map(({ before }) => before),
    boots.map(({ through }) => through),
  ])
  if (rowCount === boots.length) return
  throw new Error(`Cannot move ${boots.length} marks: only ${rowCount} were what they had been`)
}

/** Rows of a group by table, as the columns that PostgreSQL's `unnest` takes. */
class Rows {
  readonly #event = columns(4 + eventColumns.length)
  readonly #health = columns(1 + healthColumns.length)
  readonly #quarantine = columns(3 + quarantineColumns.length)
  readonly #stored = new Map<number, number>()
  #nextEventId: number

  constructor(firstEventId: number) {
    this.#nextEventId = firstEventId
  }

  /** Gives the id of the batch's first event. */
  add(batch: CheckedBatch, bootKey: number): number {
    const { deviceKey, bootId, receivedAt, events, health, quarantined } = batch
    const first = this.#nextEventId
    const count = events.length / eventColumns.length
    for (let i = 0; i < count; i++) {
      const head = [first + i, deviceKey, bootKey, receivedAt]
      push(this.#event, head, events, i * eventColumns.length, eventColumns.length)
    }
    for (let c = 0; c < health.length; c += healthColumns.length) {
      const head = [first + Number(health[c]), deviceKey]
      push(this.#health, head, health, c + 1, healthColumns.length - 1)
    }
    for (let c = 0; c < quarantined.length; c += quarantineColumns.length) {
      const head = [deviceKey, bootId, receivedAt]
      push(this.#quarantine, head, quarantined, c, quarantineColumns.length)
    }
    if (count > 0) this.#stored.set(deviceKey, (this.#stored.get(deviceKey) ?? 0) + count)
    this.#nextEventId += count
    return first
  }

  async insert(client: Lent): Promise<void> {
    if (this.#event[0]!.length > 0) await client.query(statements.events, this.#event)
    if (this.#health[0]!.length > 0) await client.query(statements.health, this.#health)
    if (this.#quarantine[0]!.length > 0) {
      await client.query(statements.quarantine, this.#quarantine)
      await client.query(statements.trimQuarantine, [quarantineRowsMax])
    }
    if (this.#stored.size === 0) return
    // Rows of devices are locked in one order by everybody, so that no two hubs wait for each other.
    const keys = [...this.#stored.keys()]
    await client.query(statements.lockDevices, [keys])
    await client.query(statements.countEvents, [keys, [...this.#stored.values()]])
  }
}

const columns = (count: number): Cell[][] => Array.from({ length: count }, () => [])

function push(
  table: readonly Cell[][],
  head: readonly Cell[],
  cells: readonly Cell[],
  from: number,
  count: number,
): void {
  for (let i = 0; i < head.length; i++) table[i]!.push(head[i]!)
  for (let i = 0; i < count; i++) table[head.length + i]!.push(storable(cells[from + i]!))
}

/** PostgreSQL has no text with a NUL in it; one event must not keep all others out. */
const storable = (cell: Cell): Cell =>
  typeof cell === 'string' && cell.includes('\0') ? cell.replaceAll('\0', '\ufffd') : cell

/** Types of the columns that are not text. */
const types: Readonly<Record<string, string>> = {
  score: 'float8',
  cpu_share: 'float8',
  memory_bytes: 'float8',
  loop_p99_ms: 'float8',
  outbox_events: 'float8',
  ...Object.fromEntries(
    ['event_id', 'device_key', 'boot_key', 'received_at', 'sequence', 'at', 'historical'].map(
      (name) => [name, 'int8'],
    ),
  ),
}

function insertSql(table: string, names: readonly string[]): string {
  const arrays = names.map((name, i) => `$${i + 1}::${types[name] ?? 'text'}[]`)
  return `insert into ${table} (${names.join(', ')}) select * from unnest(${arrays.join(', ')})`
}

/** Named, so that the server reads and plans each once per connection. */
const statements = Object.fromEntries(
  Object.entries({
    // Numbers of events that were removed with their device are not given again to others: rules have looked at them.
    newestEvent: `select greatest((select coalesce(max(event_id), 0) from event),
      (select coalesce(max(event_id), 0) from rule_cursor where id = 1)) as newest`,
    boots: `select boot_key, device_key, boot_id, through from boot
      where (device_key, boot_id) in (select * from unnest($1::int8[], $2::text[])) for update`,
    newBoots: `insert into boot (device_key, boot_id, through, first_at)
      select device_key, boot_id, 0, first_at
      from unnest($1::int8[], $2::text[], $3::int8[]) as new (device_key, boot_id, first_at)
      returning boot_key, device_key, boot_id, through`,
    events: insertSql('event', [
      'event_id',
      'device_key',
      'boot_key',
      'received_at',
      ...eventColumns,
    ]),
    health: insertSql('health_figure', ['event_id', 'device_key', ...healthColumns.slice(1)]),
    quarantine: insertSql('quarantine', [
      'device_key',
      'boot_id',
      'received_at',
      ...quarantineColumns,
    ]),
    trimQuarantine:
      'delete from quarantine where quarantine_id <= (select max(quarantine_id) from quarantine) - $1::int8',
    lockDevices:
      'select 1 from device where device_key = any($1::int8[]) order by device_key for no key update',
    countEvents: `update device set events_stored = events_stored + new.count
      from unnest($1::int8[], $2::int8[]) as new (device_key, count)
      where device.device_key = new.device_key`,
    moveMarks: `update boot set through = moved.through
      from unnest($1::int8[], $2::int8[], $3::int8[]) as moved (boot_key, expected, through)
      where boot.boot_key = moved.boot_key and boot.through = moved.expected`,
  } as const).map(([name, text]) => [name, { name, text }]),
) as Record<StatementName, { name: string; text: string }>
type StatementName =
  | 'newestEvent'
  | 'boots'
  | 'newBoots'
  | 'events'
  | 'health'
  | 'quarantine'
  | 'trimQuarantine'
  | 'lockDevices'
  | 'countEvents'
  | 'moveMarks'
