/**
 * What the outbox does, synchronously, on its SQLite file: numbers events, keeps them in order, lets
 * them give way in the stated order when there is no room, and forgets what the hub acknowledged.
 * It runs inside the outbox's worker; tests drive it directly.
 *
 * Three rules carry exactly-once (docs/decisions/0005-outbox.md):
 * 1. A sequence number is spent only by the transaction that stores its event or its loss record.
 * 2. At most one batch is unacknowledged at a time, and its acknowledgement is stored before the next
 *    batch is taken. So what a hub may already have is known, even after a power cut: it is the first
 *    batch of the oldest boot. These entries never give way, so no loss record ever covers an event
 *    that a hub has stored, and none straddles a hub's mark.
 * 3. What could not be stored at all is counted, and the next write that succeeds records it.
 */
import type { DatabaseSync } from 'node:sqlite'
import {
  batchEntriesMax,
  eventClasses,
  type Loss,
  messages,
  type NewEvent,
} from '@edgeloop/protocol'
import {
  type ClassCounts,
  type LossReason,
  lossOf,
  mergeLosses,
  nothingLost,
  oneOf,
  sumOf,
  totalOf,
} from './loss.ts'
import {
  type BootRow,
  closeOutboxFile,
  type EntryRow,
  type FreeBytes,
  freeBytesOfDisk,
  growFile,
  isFull,
  openOutboxFile,
  reserveSpace,
  type Salvage,
} from './outbox-file.ts'

/** Bytes an entry costs besides its JSON: its row, its index entry and its share of page overhead. */
export const entryOverheadBytes = 64
/** Largest payload of a batch: what the message table allows, less the frame around the entries. */
const batchBytesMax = messages.events.bytesMax - 1024
/** The file may be larger than what is in it: pages are not full, and it holds some filler. */
const fileBytesFactor = 1.5
const fileBytesBeside = 1024 * 1024
/** It grows by so much at a time. */
const growBytes = 1024 * 1024
/** First room made on a full disk; doubled until the write fits. */
const roomBytesMin = 16 * 1024

/** Class of a loss record in the `class` column, after the classes that can give way. */
const lossClass = eventClasses.length

export type OutboxStoreOptions = {
  readonly file: string
  readonly bootId: string
  /** Bound of what waits, in bytes of JSON and `entryOverheadBytes` each. */
  readonly bytesMax: number
  /** Space set aside on disk when the outbox is opened; 0 for none. */
  readonly reserveBytes: number
  /** ISO time of opening, for what a damaged file lost. */
  readonly at: string
  readonly freeBytes?: FreeBytes
}

/** An event on its way in: its JSON without a number, and its class as an index of `eventClasses`. */
export type Arrival = { readonly class: number; readonly json: string }

/** What one `append()` came to: the first of the consecutive numbers given, or none. */
export type Appended = { readonly first: number | undefined }

export type Batch = {
  readonly bootId: string
  /** First and last sequence number in it. */
  readonly sequence: number
  readonly through: number
  readonly entries: number
  /** The `events` payload, ready to publish. */
  readonly payload: string
}

export type OutboxFigures = {
  readonly entries: number
  readonly bytes: number
  /** Given up since the outbox was first made, and recorded as such. */
  readonly lost: ClassCounts
  /** Given up and not yet recorded: there was no room even for that. */
  readonly unrecorded: ClassCounts
}

type AlarmCode = 'outboxFull' | 'diskFull'

/** Everything that a rolled-back transaction must not have changed. */
type State = {
  entries: number
  bytes: number
  nextId: number
  /** Last number given in this boot. */
  last: number
  lost: ClassCounts
  unrecorded: ClassCounts
  /** Alarms that are on, with the bytes that waited when they came on. */
  alarms: Readonly<Partial<Record<AlarmCode, number>>>
}

export class OutboxStore {
  /** What could be saved of a damaged file, when one was found. */
  readonly salvage: Salvage | undefined
  readonly #db: DatabaseSync
  readonly #options: OutboxStoreOptions
  readonly #free: FreeBytes
  readonly #sql: Statements
  readonly #boot: number
  #bootStored: boolean
  #state: State
  /** Highest id that a hub may have: rows up to it never give way. */
  #sentId = 0

  /** @throws {Error} when the file is in use or cannot be made */
  constructor(options: OutboxStoreOptions) {
    const { file, bootId, reserveBytes, at } = options
    this.#options = options
    this.#free = options.freeBytes ?? freeBytesOfDisk
    const { db, salvage } = openOutboxFile(file)
    this.#db = db
    this.salvage = salvage
    const savedBytes = (salvage?.entries ?? []).reduce((sum, { bytes }) => sum + bytes, 0)
    const restoreBytes = savedBytes * fileBytesFactor + fileBytesBeside
    reserveSpace(db, file, Math.max(reserveBytes, salvage ? restoreBytes : 0), this.#free)
    this.#sql = prepare(db)
    if (salvage) restore(db, this.#sql, salvage, at)
    const boot = this.#sql.bootById.get(bootId) as BootRow | undefined
    this.#bootStored = boot !== undefined
    this.#boot = boot?.boot ?? this.#number(this.#sql.nextBoot.get())
    this.#state = this.#readState(boot?.last ?? 0)
    this.#sentId = this.#head(batchEntriesMax).at(-1)?.id ?? 0
  }

  get figures(): OutboxFigures {
    const { entries, bytes, lost, unrecorded } = this.#state
    return { entries, bytes, lost, unrecorded }
  }

  /**
   * Stores events under the next numbers, in one transaction. Where there is no room, what is oldest
   * gives way: aggregates, then events, then alarms, the new ones included.
   * @param at ISO time, for loss records and alarms
   * @param turnedAway events that never got this far; they are recorded as lost
   * @returns no number when not even that helped; the events are counted as `unrecorded` then
   */
  append(arrivals: readonly Arrival[], at: string, turnedAway = nothingLost): Appended {
    const neededBytes = arrivals.reduce((sum, { json }) => sum + sizeOf(json), 0)
    try {
      return this.#withRoom(neededBytes, at, () => this.#write(arrivals, at, turnedAway))
    } catch (error) {
      if (!isFull(error)) throw error
      const all = [turnedAway, ...arrivals.map((arrival) => oneOf(eventClasses[arrival.class]!))]
      this.#state.unrecorded = all.reduce(sumOf, this.#state.unrecorded)
      return { first: undefined }
    }
  }

  /**
   * The oldest entries of the oldest boot, at most `entriesMax` and as many as fit a message; the
   * same again, and perhaps more, until they are acknowledged.
   */
  peekBatch(entriesMax: number): Batch | undefined {
    const rows = this.#head(entriesMax)
    const first = rows[0]
    const last = rows.at(-1)
    if (!first || !last) return undefined
    this.#sentId = Math.max(this.#sentId, last.id)
    const { bootId, acknowledged } = this.#sql.bootByNumber.get(first.boot) as BootRow
    const entries = rows.map(({ json }) => json).join(',')
    return {
      bootId,
      sequence: first.sequence,
      through: last.through,
      entries: rows.length,
      payload: `{"bootId":"${bootId}","acknowledgedThrough":${acknowledged},"entries":[${entries}]}`,
    }
  }

  /**
   * Forgets what the hub has stored. A hub that claims more than it was sent is believed only for
   * what it was sent, so a wrong one cannot make us forget.
   * @throws {Error} when the disk does not take it; the hub will say it again
   */
  acknowledge(bootId: string, through: number, at: string): void {
    const boot = this.#sql.bootById.get(bootId) as BootRow | undefined
    if (!boot || through <= boot.acknowledged) return
    this.#transaction(() => {
      let mark = boot.acknowledged
      for (const row of this.#sql.forget.all(this.#sentId, boot.boot, through)) {
        const gone = row as Pick<EntryRow, 'bytes' | 'through'>
        this.#state.entries -= 1
        this.#state.bytes -= gone.bytes
        mark = Math.max(mark, gone.through)
      }
      this.#sql.setAcknowledged.run(mark, boot.boot)
      if (boot.boot !== this.#boot && this.#head(1)[0]?.boot !== boot.boot) {
        this.#sql.forgetBoot.run(boot.boot)
      }
    })
    this.#easeAlarms(at)
  }

  /** Records what could not be recorded before, if there is room for that now. */
  settle(at: string): void {
    if (totalOf(this.#state.unrecorded) > 0) this.append([], at)
  }

  /** Closes the file; space for the next start stays set aside. */
  close(): void {
    const { file, reserveBytes } = this.#options
    closeOutboxFile(this.#db, file, reserveBytes > 0)
  }

  /** Rows of the oldest boot that would go into one batch. */
  #head(entriesMax: number): EntryRow[] {
    const rows: EntryRow[] = []
    let bytes = 0
    for (const found of this.#sql.head.iterate(Math.min(entriesMax, batchEntriesMax))) {
      const row = found as EntryRow
      bytes += row.bytes
      if (rows.length > 0 && (row.boot !== rows[0]?.boot || bytes > batchBytesMax)) break
      rows.push({ ...row })
    }
    return rows
  }

  /** Tries `write`; where it does not fit, in a larger file; then with more and more given up. */
  #withRoom<T>(neededBytes: number, at: string, write: () => T): T {
    for (let roomBytes = Math.max(roomBytesMin, neededBytes); ; ) {
      try {
        return this.#transaction(write)
      } catch (error) {
        if (!isFull(error)) throw error
        if (this.#grow()) continue
        if (!this.#makeRoom(roomBytes, at)) throw error
        roomBytes *= 2
      }
    }
  }

  #grow(): boolean {
    const { bytesMax, file } = this.#options
    const fileBytes = this.#number(this.#sql.fileBytes.get())
    return (
      fileBytes < bytesMax * fileBytesFactor + fileBytesBeside &&
      growFile(this.#db, file, growBytes, this.#free)
    )
  }

  /** @returns false where nothing more can give way */
  #makeRoom(roomBytes: number, at: string): boolean {
    const { bytes } = this.#state
    try {
      return this.#transaction(() => {
        const before = this.#state.lost
        this.#giveWay(Math.max(0, bytes - roomBytes), 'diskFull', at)
        if (this.#state.lost === before) return false
        this.#raise('diskFull', bytes, at)
        return true
      })
    } catch (error) {
      if (!isFull(error)) throw error
      return false
    }
  }

  #write(arrivals: readonly Arrival[], at: string, turnedAway: ClassCounts): Appended {
    this.#insertLoss(this.#state.unrecorded, 'diskFull', at)
    this.#state.unrecorded = nothingLost
    this.#insertLoss(turnedAway, 'outboxFull', at)
    const first = this.#state.last + 1
    for (const arrival of arrivals) this.#insert(arrival.class, arrival.json)
    const { bytesMax } = this.#options
    if (this.#state.bytes > bytesMax) {
      this.#raise('outboxFull', bytesMax, at)
      this.#giveWay(bytesMax, 'outboxFull', at)
    }
    return { first }
  }

  #insert(eventClass: number, json: string): void {
    const sequence = ++this.#state.last
    this.#insertRow(sequence, sequence, eventClass, `{"sequence":${sequence},${json.slice(1)}`)
  }

  /** A loss record at the end of the sequence, for events that never were in the outbox. */
  #insertLoss(lost: ClassCounts, reason: LossReason, at: string): void {
    if (totalOf(lost) === 0) return
    const sequence = this.#state.last + 1
    this.#state.last += totalOf(lost)
    this.#state.lost = sumOf(this.#state.lost, lost)
    const loss = lossOf(sequence, this.#state.last, lost, reason, at)
    this.#mergeAround(this.#insertRow(sequence, loss.through, lossClass, JSON.stringify(loss)))
  }

  #insertRow(sequence: number, through: number, eventClass: number, json: string): number {
    const id = this.#state.nextId++
    const bytes = sizeOf(json)
    this.#sql.insert.run(id, this.#boot, sequence, through, eventClass, bytes, json)
    this.#state.entries += 1
    this.#state.bytes += bytes
    return id
  }

  /** Lets the oldest of the lowest class go, then of the next, until at most `bytesMax` wait. */
  #giveWay(bytesMax: number, reason: LossReason, at: string): void {
    for (const eventClass of eventClasses.keys()) {
      while (this.#state.bytes > bytesMax) {
        const victim = this.#sql.oldest.get(eventClass, this.#sentId) as EntryRow | undefined
        if (!victim) break
        const lost = oneOf(eventClasses[eventClass]!)
        this.#state.lost = sumOf(this.#state.lost, lost)
        const { sequence, through } = victim
        this.#becomeLoss(victim, lossOf(sequence, through, lost, reason, at))
        this.#mergeAround(victim.id)
      }
    }
  }

  #becomeLoss({ id, bytes }: Pick<EntryRow, 'id' | 'bytes'>, loss: Loss): void {
    const json = JSON.stringify(loss)
    this.#sql.replace.run(loss.sequence, loss.through, lossClass, sizeOf(json), json, id)
    this.#state.bytes += sizeOf(json) - bytes
  }

  /** Joins the loss record at `id` with those that touch it. */
  #mergeAround(id: number): void {
    const here = this.#sql.byId.get(id) as EntryRow
    const before = this.#sql.before.get(id, this.#sentId) as EntryRow | undefined
    const after = this.#sql.after.get(id) as EntryRow | undefined
    const joined = this.#join(before, here) ?? here
    this.#join(joined, after)
  }

  #join(earlier: EntryRow | undefined, later: EntryRow | undefined): EntryRow | undefined {
    if (earlier?.class !== lossClass || later?.class !== lossClass) return undefined
    if (earlier.boot !== later.boot) return undefined
    // Parsed from our own column: written by `becomeLoss` and `insertLoss` alone.
    const [a, b] = [JSON.parse(earlier.json), JSON.parse(later.json)] as [Loss, Loss]
    this.#becomeLoss(earlier, mergeLosses(a, b))
    this.#sql.remove.run(later.id)
    this.#state.entries -= 1
    this.#state.bytes -= later.bytes
    return this.#sql.byId.get(earlier.id) as EntryRow
  }

  #raise(code: AlarmCode, atBytes: number, at: string): void {
    if (this.#state.alarms[code] !== undefined) return
    this.#state.alarms = { ...this.#state.alarms, [code]: atBytes }
    this.#insertAlarm(code, true, `${alarmTexts[code]}: the oldest gives way, aggregates first`, at)
  }

  /** Ends an alarm when half of what waited has drained: not sooner, so that it does not flutter. */
  #easeAlarms(at: string): void {
    for (const code of ['outboxFull', 'diskFull'] as const) {
      const atBytes = this.#state.alarms[code]
      if (atBytes === undefined || this.#state.bytes > atBytes / 2) continue
      try {
        this.#transaction(() => {
          const { [code]: _, ...alarms } = this.#state.alarms
          this.#state.alarms = alarms
          const { aggregates, events, alarms: alarmsLost } = this.#state.lost
          const text = `There is room again; given up so far: ${aggregates} aggregates, ${events} events, ${alarmsLost} alarms`
          this.#insertAlarm(code, false, text, at)
        })
      } catch (error) {
        // Stays on until there is room to end it.
        if (!isFull(error)) throw error
      }
    }
  }

  #insertAlarm(code: AlarmCode, active: boolean, text: string, at: string): void {
    const alarm: NewEvent = { kind: 'alarm', at, code, active, text }
    this.#insert(eventClasses.indexOf('alarm'), JSON.stringify(alarm))
  }

  /** All of `work` or nothing, on disk and in memory; on disk for good when it returns. */
  #transaction<T>(work: () => T): T {
    const before = this.#state
    const bootStored = this.#bootStored
    this.#state = { ...before }
    this.#db.exec('BEGIN IMMEDIATE')
    try {
      const result = work()
      this.#storeState(before)
      this.#db.exec('COMMIT')
      return result
    } catch (error) {
      this.#state = before
      this.#bootStored = bootStored
      // SQLite has rolled back by itself after some errors.
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      throw error
    }
  }

  #storeState(before: State): void {
    const { last, lost, alarms } = this.#state
    if (!this.#bootStored) {
      this.#sql.insertBoot.run(this.#boot, this.#options.bootId)
      this.#sql.forgetIdleBoots.run(this.#boot)
      this.#bootStored = true
    }
    if (last !== before.last) this.#sql.setLast.run(last, this.#boot)
    if (lost !== before.lost) {
      for (const [name, count] of Object.entries(lost)) this.#sql.setMark.run(`lost.${name}`, count)
    }
    if (alarms !== before.alarms) {
      for (const code of ['outboxFull', 'diskFull'] as const) {
        this.#sql.setMark.run(`alarm.${code}`, alarms[code] ?? -1)
      }
    }
  }

  #readState(last: number): State {
    const totals = this.#sql.totals.get() as { entries: number; bytes: number; nextId: number }
    const mark = (name: string): number => this.#number(this.#sql.mark.get(name))
    const alarms: Partial<Record<AlarmCode, number>> = {}
    for (const code of ['outboxFull', 'diskFull'] as const) {
      const atBytes = mark(`alarm.${code}`)
      if (atBytes > 0) alarms[code] = atBytes
    }
    return {
      ...totals,
      last,
      lost: {
        aggregates: mark('lost.aggregates'),
        events: mark('lost.events'),
        alarms: mark('lost.alarms'),
      },
      unrecorded: nothingLost,
      alarms,
    }
  }

  /** The one number of a row; 0 where there is no row. */
  #number(row: unknown): number {
    return Number(Object.values(row ?? {})[0] ?? 0)
  }
}

const alarmTexts = {
  outboxFull: 'The outbox is full',
  diskFull: 'The disk is full',
} as const satisfies Record<AlarmCode, string>

const sizeOf = (json: string): number => Buffer.byteLength(json) + entryOverheadBytes

type Statements = ReturnType<typeof prepare>

function prepare(db: DatabaseSync) {
  const sql = (text: string) => db.prepare(text)
  const [insert, byId] = [
    sql('INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)'),
    sql('SELECT * FROM entries WHERE id = ?'),
  ]
  return {
    insert,
    byId,
    head: sql('SELECT * FROM entries ORDER BY id LIMIT ?'),
    before: sql('SELECT * FROM entries WHERE id < ? AND id > ? ORDER BY id DESC LIMIT 1'),
    after: sql('SELECT * FROM entries WHERE id > ? ORDER BY id LIMIT 1'),
    oldest: sql(
      `SELECT * FROM entries WHERE class = ? AND class < ${lossClass} AND id > ? ORDER BY id LIMIT 1`,
    ),
    replace: sql(
      'UPDATE entries SET sequence = ?, through = ?, class = ?, bytes = ?, json = ? WHERE id = ?',
    ),
    remove: sql('DELETE FROM entries WHERE id = ?'),
    forget: sql(
      'DELETE FROM entries WHERE id <= ? AND boot = ? AND through <= ? RETURNING bytes, through',
    ),
    totals: sql(`SELECT count(*) AS entries, coalesce(sum(bytes), 0) AS bytes,
      coalesce(max(id), 0) + 1 AS nextId FROM entries`),
    insertBoot: sql('INSERT INTO boots VALUES (?, ?, 0, 0)'),
    nextBoot: sql('SELECT coalesce(max(boot), 0) + 1 FROM boots'),
    bootById: sql('SELECT * FROM boots WHERE bootId = ?'),
    bootByNumber: sql('SELECT * FROM boots WHERE boot = ?'),
    setLast: sql('UPDATE boots SET last = ? WHERE boot = ?'),
    setAcknowledged: sql('UPDATE boots SET acknowledged = ? WHERE boot = ?'),
    forgetBoot: sql('DELETE FROM boots WHERE boot = ?'),
    forgetIdleBoots: sql(
      'DELETE FROM boots WHERE boot <> ? AND boot NOT IN (SELECT boot FROM entries)',
    ),
    mark: sql('SELECT value FROM marks WHERE name = ?'),
    setMark: sql('INSERT OR REPLACE INTO marks VALUES (?, ?)'),
    fileBytes: sql('SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()'),
  }
}

/** Writes back what was saved of a damaged file; what is missing in between becomes loss records. */
function restore(db: DatabaseSync, sql: Statements, salvage: Salvage, at: string): void {
  let id = 0
  db.exec('BEGIN IMMEDIATE')
  try {
    for (const { boot, bootId, acknowledged, last } of salvage.boots) {
      sql.insertBoot.run(boot, bootId)
      let next = acknowledged + 1
      const put = (sequence: number, through: number, eventClass: number, json: string) => {
        sql.insert.run(++id, boot, sequence, through, eventClass, sizeOf(json), json)
        next = through + 1
      }
      const putMissing = (through: number) => {
        const loss = lossOf(next, through, nothingLost, 'damaged', at)
        if (next <= through) put(next, through, lossClass, JSON.stringify(loss))
      }
      for (const entry of salvage.entries) {
        if (entry.boot !== boot || entry.sequence < next || !isJson(entry.json)) continue
        putMissing(entry.sequence - 1)
        put(entry.sequence, entry.through, entry.class, entry.json)
      }
      putMissing(last)
      sql.setAcknowledged.run(acknowledged, boot)
      sql.setLast.run(next - 1, boot)
    }
    db.exec('COMMIT')
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    // Without room the saved entries stay in the damaged file, and the agent starts without them.
    if (!isFull(error)) throw error
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
