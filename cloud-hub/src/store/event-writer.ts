/**
 * The hot path on the writer's thread: one transaction per group, prepared statements, and the guard
 * that makes ingest exactly once. A batch is taken only where its boot's mark is what it was planned on,
 * and the mark moves in the same transaction as the rows.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import {
  type CheckedBatch,
  type CommitOutcome,
  eventColumns,
  healthColumns,
  quarantineColumns,
  quarantineRowsMax,
} from './store.ts'

type Boot = { boot_key: number; through: number }

export class EventWriter {
  readonly #db: DatabaseSync
  /** Prepared at the first commit, when the migrations have made the tables. */
  #statements: ReturnType<typeof prepare> | undefined

  constructor(db: DatabaseSync) {
    this.#db = db
  }

  /** @throws when the transaction could not be committed; nothing of the group is stored then */
  commit(group: readonly CheckedBatch[]): CommitOutcome[] {
    this.#statements ??= prepare(this.#db)
    const statements = this.#statements
    statements.begin.run()
    try {
      const { newest } = statements.newestEvent.get() as { newest: number }
      let nextEventId = newest + 1
      let quarantined = 0
      const outcomes = group.map((batch): CommitOutcome => {
        const boot = this.#boot(batch, statements)
        if (boot.through !== batch.expected) return { kind: 'conflict', through: boot.through }
        const firstEventId = nextEventId
        nextEventId += insert(batch, boot.boot_key, firstEventId, statements)
        quarantined += batch.quarantined.length
        if (batch.through !== batch.expected) statements.moveMark.run(batch.through, boot.boot_key)
        return { kind: 'committed', through: batch.through, firstEventId }
      })
      if (quarantined > 0) statements.trimQuarantine.run(quarantineRowsMax)
      statements.commit.run()
      return outcomes
    } catch (error) {
      // SQLite may have rolled back by itself (disk full); a second rollback would only hide why.
      if (this.#db.isTransaction) statements.rollback.run()
      throw error
    }
  }

  #boot(batch: CheckedBatch, statements: ReturnType<typeof prepare>): Boot {
    const known = statements.boot.get(batch.deviceKey, batch.bootId) as Boot | undefined
    if (known) return known
    const { lastInsertRowid } = statements.newBoot.run(
      batch.deviceKey,
      batch.bootId,
      batch.receivedAt,
    )
    return { boot_key: Number(lastInsertRowid), through: 0 }
  }
}

/** Inserts the rows of one batch and says how many events it had. */
function insert(
  batch: CheckedBatch,
  bootKey: number,
  firstEventId: number,
  statements: ReturnType<typeof prepare>,
): number {
  const { deviceKey, bootId, receivedAt, events, health, quarantined } = batch
  const count = events.length / eventColumns.length
  // Cells by position and not by destructuring: this loop is most of what a commit costs.
  for (let i = 0, c = 0; i < count; i++, c += 9) {
    statements.event.run(
      firstEventId + i,
      deviceKey,
      bootKey,
      receivedAt,
      events[c]!,
      events[c + 1]!,
      events[c + 2]!,
      events[c + 3]!,
      events[c + 4]!,
      events[c + 5]!,
      events[c + 6]!,
      events[c + 7]!,
      events[c + 8]!,
    )
  }
  for (let c = 0; c < health.length; c += healthColumns.length) {
    const [index, ...figures] = health.slice(c, c + healthColumns.length)
    statements.health.run(firstEventId + Number(index), deviceKey, ...figures)
  }
  for (let c = 0; c < quarantined.length; c += quarantineColumns.length) {
    const cells = quarantined.slice(c, c + quarantineColumns.length)
    statements.quarantine.run(deviceKey, bootId, receivedAt, ...cells)
  }
  if (count > 0) statements.countEvents.run(count, deviceKey)
  return count
}

function prepare(db: DatabaseSync): Readonly<Record<Name, StatementSync>> {
  const prepared = Object.entries(sql).map(([name, text]) => [name, db.prepare(text)] as const)
  // Object.entries forgets the names; they are those of `sql`.
  return Object.fromEntries(prepared) as Record<Name, StatementSync>
}

const eventCells = `event_id, device_key, boot_key, received_at, ${eventColumns.join(', ')}`
const healthCells = `event_id, device_key, ${healthColumns.slice(1).join(', ')}`
const quarantineCells = `device_key, boot_id, received_at, ${quarantineColumns.join(', ')}`
const sql = {
  begin: 'begin immediate',
  commit: 'commit',
  rollback: 'rollback',
  // Numbers of events that were removed with their device are not given again to others: rules have looked at them.
  newestEvent: `select max((select coalesce(max(event_id), 0) from event),
    (select coalesce(max(event_id), 0) from rule_cursor where id = 1)) as newest`,
  boot: 'select boot_key, through from boot where device_key = ? and boot_id = ?',
  newBoot: 'insert into boot (device_key, boot_id, through, first_at) values (?, ?, 0, ?)',
  moveMark: 'update boot set through = ? where boot_key = ?',
  event: insertSql('event', eventCells),
  health: insertSql('health_figure', healthCells),
  quarantine: insertSql('quarantine', quarantineCells),
  trimQuarantine:
    'delete from quarantine where quarantine_id <= (select max(quarantine_id) from quarantine) - ?',
  countEvents: 'update device set events_stored = events_stored + ? where device_key = ?',
} as const
type Name = keyof typeof sql

function insertSql(table: string, columns: string): string {
  return `insert into ${table} (${columns}) values (${columns.replace(/\w+/g, '?')})`
}
