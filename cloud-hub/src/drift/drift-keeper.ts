/**
 * Looks at sketches as they come into the store, in their order, one hub of several. What follows of them (states,
 * points, alarms, and how far it looked) is written in one transaction: after a restart nothing is said twice and
 * nothing is left out. Only then are pages and listeners told.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Change, DriftAlarm, DriftKind, Sketch } from '@edgeloop/protocol'
import type { Kysely } from 'kysely'
import type { Logger } from 'pino'
import { type Device, siteOf } from '../devices/device.ts'
import type { Fleet } from '../devices/fleet.ts'
import { openLease } from '../rollouts/lease.ts'
import type { Sites } from '../rollouts/sites.ts'
import { localHour } from '../rollouts/windows.ts'
import type { Store } from '../store/store.ts'
import type { DriftStreamTable, Tables } from '../store/tables.ts'
import {
  alarmOf,
  type DriftAlarmRow,
  pointText,
  referenceOf,
  stateOf,
  stateText,
  streamKey,
} from './drift-rows.ts'
import { newWatch, type Verdict, type WatchState, watch } from './watch.ts'

/** How often it is looked without a reason: another hub may have stored sketches. */
const lookIntervalMs = 2000
/** Sketches of one transaction. */
const batchMax = 300
/** Points are kept for charts, alarms for whoever asks what was. */
const pointsKeptMs = 8 * 86_400_000
const alarmsKeptMs = 180 * 86_400_000
/** A stream without sketches for so long has gone; its alarms end, and it is learnt anew if it comes back. */
const goneMs = 14 * 86_400_000
const pruneIntervalMs = 3_600_000
const progressName = 'sketches'

/** Told of an alarm when it is raised and when it ends, after that is stored. At most once; what is told while a hub dies is only in the store. */
export type DriftListener = (alarm: DriftAlarm, change: 'raised' | 'ended') => void

export type DriftKeeper = AsyncDisposable & {
  begin(): void
  /** Sketches have come. */
  wake(): void
  /** Resolves when it was looked at everything that is there now. */
  look(): Promise<void>
  /** Alarms that are told: not those of the night, nor of streams where somebody snoozed the kind. @returns how to stop */
  onAlarm(listener: DriftListener): () => void
  /** Alarms that are not over, by kind, as this hub knew it last. */
  readonly active: ReadonlyMap<DriftKind, number>
}

/** Somebody else has changed a stream since it was read. */
class Overtaken extends Error {}

/** A stream while its sketches are looked at. */
type Held = {
  readonly device: Device
  readonly streamId: string
  /** Undefined for one that is new. */
  readonly revision: number | undefined
  readonly state: WatchState
  readonly points: { at: number; figures: string }[]
  /** In the order in which they have to be written. */
  readonly writes: (
    | { readonly act: 'raise'; readonly row: Omit<DriftAlarmRow, 'alarm_id'> }
    | { readonly act: 'end'; readonly kind: DriftKind; readonly at: number; readonly by: string }
  )[]
  figures: Verdict['figures']
  newestAt: number
  intervalMs: number
}

export function openDriftKeeper(deps: {
  store: Store
  fleet: Fleet
  sites: Sites
  clock: () => number
  log: Logger
  /** No other hub can work on this store. */
  alone: boolean
  learnsFrom: number
  tell: (change: Change) => void
  failed: (error: unknown) => void
}): DriftKeeper {
  const { store, fleet, sites, clock, log, learnsFrom, tell, failed } = deps
  const lease = openLease({ store, name: 'drift', clock, alone: deps.alone })
  const closing = new AbortController()
  const listeners = new Set<DriftListener>()
  let woken = new AbortController()
  let asked: (() => void)[] = []
  let active: ReadonlyMap<DriftKind, number> = new Map()
  let prunedAt = Number.NEGATIVE_INFINITY

  async function round(): Promise<void> {
    if (!(await lease.hold())) return
    await sites.refresh()
    for (;;) {
      const from = await readProgress()
      const rows = await store.writer
        .selectFrom('event')
        .select(['event_id', 'device_key', 'data'])
        .where('kind', '=', 'sketch')
        .where('label', 'is', null)
        .where('event_id', '>', from)
        .orderBy('event_id')
        .limit(batchMax)
        .execute()
      const newest = rows.at(-1)
      if (!newest) break
      const held = await hold(rows)
      const told = await write([...held.values()], from, newest.event_id)
      for (const { device, streamId, writes } of held.values()) {
        if (writes.length > 0) tell({ kind: 'drift', deviceId: device.deviceId, streamId })
      }
      for (const { alarm, change } of told) say(alarm, change)
      if (rows.length < batchMax || closing.signal.aborted) break
      if (!(await lease.hold())) return
    }
    await prune()
    active = await countActive()
  }

  async function readProgress(): Promise<number> {
    const row = await store.writer
      .selectFrom('drift_progress')
      .select('event_id')
      .where('name', '=', progressName)
      .executeTakeFirst()
    if (row) return row.event_id
    await store.writer
      .insertInto('drift_progress')
      .values({ name: progressName, event_id: 0 })
      .onConflict((on) => on.column('name').doNothing())
      .execute()
    return 0
  }

  /** Takes sketches into the states of their streams. */
  async function hold(
    rows: readonly { device_key: number; data: string }[],
  ): Promise<Map<string, Held>> {
    const devices = new Map([...fleet.all()].map((device) => [device.deviceKey, device]))
    const keys = [...new Set(rows.map(({ device_key }) => device_key))]
    const kept = await store.writer
      .selectFrom('drift_stream')
      .selectAll()
      .where('device_key', 'in', keys)
      .execute()
    const known = new Map(kept.map((row) => [streamKey(row.device_key, row.stream_id), row]))
    const held = new Map<string, Held>()
    for (const { device_key, data } of rows) {
      const device = devices.get(device_key)
      // Removed meanwhile.
      if (!device) continue
      // Ingest has checked it against its schema.
      const sketch = JSON.parse(data) as Sketch
      const key = streamKey(device_key, sketch.streamId)
      let stream = held.get(key)
      if (!stream) {
        stream = heldOf(device, sketch.streamId, known.get(key))
        held.set(key, stream)
      }
      take(stream, sketch)
    }
    return held
  }

  function heldOf(device: Device, streamId: string, row: DriftStreamTable | undefined): Held {
    return {
      device,
      streamId,
      revision: row?.revision,
      state: row ? stateOf(row) : newWatch(),
      points: [],
      writes: [],
      figures: [],
      newestAt: 0,
      intervalMs: 0,
    }
  }

  function take(held: Held, sketch: Sketch): void {
    const { device, streamId, state } = held
    const at = Date.parse(sketch.at)
    const zone = sites.zoneOf(siteOf(device))
    const hour = localHour(zone, at - sketch.intervalMs / 2)
    const { raised, ended, figures } = watch(state, sketch, { hour, learnsFrom })
    for (const { kind, by } of ended) held.writes.push({ act: 'end', kind, at, by })
    for (const { kind, why, figures: shown } of raised) {
      const row = {
        device_key: device.deviceKey,
        stream_id: streamId,
        kind,
        raised_at: at,
        ended_at: null,
        ended_by: null,
        why: why.slice(0, 500),
        figures: JSON.stringify(shown),
        model_digest: state.modelDigest,
        snoozed_until: null,
      }
      held.writes.push({ act: 'raise', row })
      log.info({ device: device.deviceId, stream: streamId, kind, why }, 'a stream has drifted')
    }
    if (figures.length > 0) {
      held.figures = figures
      held.points.push({ at, figures: pointText(figures) })
    }
    held.newestAt = at
    held.intervalMs = sketch.intervalMs
  }

  /** Writes all of it or nothing. @throws {Overtaken} where somebody else was faster */
  async function write(all: readonly Held[], from: number, through: number) {
    return await store.writer.transaction().execute(async (tx) => {
      const told: { alarm: DriftAlarm; change: 'raised' | 'ended' }[] = []
      const moved = await tx
        .updateTable('drift_progress')
        .set({ event_id: through })
        .where('name', '=', progressName)
        .where('event_id', '=', from)
        .executeTakeFirst()
      if (moved.numUpdatedRows === 0n) throw new Overtaken()
      for (const held of all) {
        await putStream(tx, held)
        for (const one of held.writes) {
          const isRaised = one.act === 'raise'
          const row = isRaised ? await raise(tx, one.row) : await end(tx, held, one)
          const change = isRaised ? 'raised' : 'ended'
          if (row) told.push({ alarm: alarmOf(row, held.device), change })
        }
      }
      return told
    })
  }

  async function putStream(tx: Kysely<Tables>, held: Held): Promise<void> {
    const { device, streamId, revision, state, points } = held
    const key = { device_key: device.deviceKey, stream_id: streamId }
    const row = {
      state: stateText(state),
      figures: JSON.stringify(held.figures),
      learnt: referenceOf(state).sketches,
      is_night: state.isNight ? 1 : 0,
      model_digest: state.modelDigest,
      newest_at: held.newestAt,
      seen_at: clock(),
      interval_ms: held.intervalMs,
    }
    if (revision === undefined) {
      await tx
        .insertInto('drift_stream')
        .values({ ...key, ...row, revision: 1 })
        .execute()
    } else {
      const { numUpdatedRows } = await tx
        .updateTable('drift_stream')
        .set({ ...row, revision: revision + 1 })
        .where('device_key', '=', key.device_key)
        .where('stream_id', '=', key.stream_id)
        .where('revision', '=', revision)
        .executeTakeFirst()
      if (numUpdatedRows === 0n) throw new Overtaken()
    }
    // Two of one time are there where a clock was set back: the newer one counts.
    const byTime = new Map(points.map((point) => [point.at, { ...key, ...point }]))
    if (byTime.size === 0) return
    await tx
      .insertInto('drift_point')
      .values([...byTime.values()])
      .onConflict((on) =>
        on
          .columns(['device_key', 'stream_id', 'at'])
          .doUpdateSet((eb) => ({ figures: eb.ref('excluded.figures') })),
      )
      .execute()
  }

  async function raise(
    tx: Kysely<Tables>,
    row: Omit<DriftAlarmRow, 'alarm_id'>,
  ): Promise<DriftAlarmRow> {
    const snoozed = await tx
      .selectFrom('drift_alarm')
      .select('snoozed_until')
      .where('device_key', '=', row.device_key)
      .where('stream_id', '=', row.stream_id)
      .where('kind', '=', row.kind)
      .where('snoozed_until', '>', clock())
      .orderBy('alarm_id', 'desc')
      .executeTakeFirst()
    return await tx
      .insertInto('drift_alarm')
      .values({ ...row, snoozed_until: snoozed?.snoozed_until ?? null })
      .returningAll()
      .executeTakeFirstOrThrow()
  }

  async function end(
    tx: Kysely<Tables>,
    { device, streamId }: Held,
    { kind, at, by }: { kind: DriftKind; at: number; by: string },
  ): Promise<DriftAlarmRow | undefined> {
    return await tx
      .updateTable('drift_alarm')
      .set({ ended_at: at, ended_by: by })
      .where('device_key', '=', device.deviceKey)
      .where('stream_id', '=', streamId)
      .where('kind', '=', kind)
      .where('ended_at', 'is', null)
      .returningAll()
      .executeTakeFirst()
  }

  function say(alarm: DriftAlarm, change: 'raised' | 'ended'): void {
    const isSnoozed = alarm.snoozedUntil !== null && Date.parse(alarm.snoozedUntil) > clock()
    if (alarm.kind === 'night' || isSnoozed) return
    for (const listener of listeners) {
      try {
        listener(alarm, change)
      } catch (error) {
        failed(error)
      }
    }
  }

  async function prune(): Promise<void> {
    const now = clock()
    if (Math.abs(now - prunedAt) < pruneIntervalMs) return
    prunedAt = now
    const { writer } = store
    await writer
      .deleteFrom('drift_point')
      .where('at', '<', now - pointsKeptMs)
      .execute()
    await writer
      .deleteFrom('drift_alarm')
      .where('ended_at', '<', now - alarmsKeptMs)
      .execute()
    const gone = await writer
      .selectFrom('drift_stream')
      .select(['device_key', 'stream_id'])
      .where('seen_at', '<', now - goneMs)
      .limit(batchMax)
      .execute()
    for (const { device_key, stream_id } of gone) {
      await writer.transaction().execute(async (tx) => {
        await tx
          .updateTable('drift_alarm')
          .set({ ended_at: now, ended_by: 'removed' })
          .where('device_key', '=', device_key)
          .where('stream_id', '=', stream_id)
          .where('ended_at', 'is', null)
          .execute()
        await tx
          .deleteFrom('drift_stream')
          .where('device_key', '=', device_key)
          .where('stream_id', '=', stream_id)
          .execute()
      })
    }
  }

  async function countActive(): Promise<ReadonlyMap<DriftKind, number>> {
    const rows = await store.reader
      .selectFrom('drift_alarm')
      .select(({ fn }) => ['kind', fn.countAll<number>().as('alarms')])
      .where('ended_at', 'is', null)
      .groupBy('kind')
      .execute()
    return new Map(rows.map(({ kind, alarms }) => [kind as DriftKind, Number(alarms)]))
  }

  async function loop(): Promise<void> {
    while (!closing.signal.aborted) {
      woken = new AbortController()
      const waiting = asked
      asked = []
      let again = false
      await round().catch((error: unknown) => {
        if (error instanceof Overtaken) again = true
        else failed(error)
      })
      if (again) {
        asked.push(...waiting)
        continue
      }
      for (const done of waiting) done()
      if (asked.length > 0) continue
      const either = AbortSignal.any([closing.signal, woken.signal])
      await sleep(lookIntervalMs, undefined, { signal: either, ref: false }).catch(() => {})
    }
    for (const done of asked) done()
  }

  let running: Promise<void> = Promise.resolve()
  const wake = (): void => woken.abort()
  return {
    begin: () => {
      running = loop()
    },
    wake,
    look: async () => {
      if (closing.signal.aborted) return
      await new Promise<void>((resolve) => {
        asked.push(resolve)
        wake()
      })
    },
    onAlarm: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    get active() {
      return active
    },
    async [Symbol.asyncDispose]() {
      closing.abort()
      await running
      await lease.release().catch(failed)
    },
  }
}
