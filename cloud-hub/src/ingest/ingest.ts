/**
 * From batches to rows, exactly once. Batches of all devices are planned as they come, committed in groups,
 * in order, and acknowledged when they are durable. What cannot be stored is not acknowledged,
 * so the device keeps it and sends it again.
 */
import type { Event } from '@edgeloop/protocol'
import { Misfit } from '@edgeloop/protocol/check'
import type { Logger } from 'pino'
import type { Device } from '../devices/device.ts'
import {
  type CheckedBatch,
  type CommitOutcome,
  quarantineRowsMax,
  type Store,
} from '../store/store.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { type Plan, planBatch } from './plan-batch.ts'
import { type ReceivedBatch, readBatch } from './read-batch.ts'

/** Payload bytes that may wait; beyond it devices are not read from until there is room. */
export const queueBytesMax = 64 * 1024 * 1024
/** Events in one transaction: larger groups gain nothing and make the first wait for the last. */
export const groupEventsMax = 20_000
/** So many events are a group worth sending before this turn of the event loop is over. */
const groupEventsWorthwhile = 2000
/**
 * Groups on their way to the store. With a second one waiting the store never idles while we read; it is
 * planned on marks the first will have moved, and where that fails the store refuses it by its mark.
 */
const groupsInFlightMax = 2
/** Marks that are remembered; one that is not costs a second try. */
const marksMax = 50_000
/** How often a batch is planned anew when its mark was not what we thought. */
const attemptsMax = 5
/** Unreadable batches of one device are kept at most this often; all are counted. */
const quarantineIntervalMs = 1000

export type Stored = {
  readonly device: Device
  readonly firstEventId: number
  readonly batch: CheckedBatch
  /** The events of `batch`, in its order. */
  readonly events: readonly Event[]
}

export type Ingest = AsyncDisposable & {
  /** Takes an `events` payload as it came. Never throws: what is wrong with it is written down. */
  take(device: Device, payload: Uint8Array): void
  /** Undefined, or a promise of the moment when there is room again. */
  room(): Promise<void> | undefined
  /** False while nothing can be committed. */
  readonly storing: boolean
}

type Work = {
  readonly device: Device
  readonly received: ReceivedBatch
  readonly receivedAt: number
  readonly sizeBytes: number
  readonly plan: Plan
  readonly attempt: number
}

export function openIngest(deps: {
  store: Store
  clock: () => number
  log: Logger
  metrics: Metrics
  /** Tells the device that everything of the boot up to `through` is durable. */
  acknowledge: (device: Device, bootId: string, through: number) => void
  stored: (stored: Stored) => void
}): Ingest {
  const { store, clock, log, metrics } = deps
  /** Marks as they will be when everything that is planned has been committed. */
  const marks = new Map<string, number>()
  let group: Work[] = []
  let groupEvents = 0
  let queueBytes = 0
  let room: PromiseWithResolvers<void> | undefined
  const inFlight = new Set<Promise<void>>()
  let pumpScheduled = false
  let storing = true
  const quarantinedAt = new Map<number, number>()

  function take(device: Device, payload: Uint8Array): void {
    const receivedAt = clock()
    try {
      const received = readBatch(payload)
      queueBytes += payload.length
      metrics.ingestQueueBytes.set(queueBytes)
      plan({ device, received, receivedAt, sizeBytes: payload.length, attempt: 1 })
    } catch (error) {
      if (!(error instanceof Misfit)) throw error
      quarantine(device, receivedAt, error.message, payload)
    }
  }

  function plan(work: Omit<Work, 'plan'>): void {
    const key = markKey(work)
    const mark = marks.get(key) ?? 0
    const { deviceKey } = work.device
    const planned = planBatch({ deviceKey, mark, receivedAt: work.receivedAt }, work.received)
    remember(key, planned.batch.through)
    group.push({ ...work, plan: planned })
    groupEvents += planned.events.length
    if (groupEvents >= groupEventsWorthwhile) pump()
    else if (!pumpScheduled) {
      // Whatever arrives in this turn of the event loop goes together.
      pumpScheduled = true
      setImmediate(() => {
        pumpScheduled = false
        pump()
      })
    }
  }

  function remember(key: string, mark: number): void {
    marks.delete(key)
    marks.set(key, mark)
    if (marks.size > marksMax) marks.delete(marks.keys().next().value ?? '')
  }

  function pump(): void {
    while (group.length > 0 && inFlight.size < groupsInFlightMax) {
      const committing = commit(nextGroup()).finally(() => {
        inFlight.delete(committing)
        pump()
      })
      inFlight.add(committing)
    }
  }

  async function commit(works: readonly Work[]): Promise<void> {
    const started = performance.now()
    try {
      const outcomes = await store.commit(works.map(({ plan }) => plan.batch))
      metrics.commitSeconds.observe((performance.now() - started) / 1000)
      if (!storing) log.info('events can be stored again')
      storing = true
      settle(works, outcomes)
    } catch (error) {
      fail(works, error)
    }
  }

  function nextGroup(): Work[] {
    let events = 0
    let end = 0
    while (end < group.length && events < groupEventsMax) {
      events += group[end]!.plan.events.length
      end++
    }
    const works = group.slice(0, end)
    group = group.slice(end)
    groupEvents -= events
    return works
  }

  function settle(works: readonly Work[], outcomes: readonly CommitOutcome[]): void {
    const newest = new Map<string, { work: Work; through: number }>()
    for (const [index, work] of works.entries()) {
      const outcome = outcomes[index]!
      if (outcome.kind === 'conflict') {
        replan(work, outcome.through)
        continue
      }
      release(work)
      newest.set(markKey(work), { work, through: outcome.through })
      account(work, outcome.firstEventId)
    }
    for (const { work, through } of newest.values()) {
      deps.acknowledge(work.device, work.plan.batch.bootId, through)
    }
  }

  /** The mark was another one: after a start we do not know it, or another hub moved it. */
  function replan(work: Work, mark: number): void {
    remember(markKey(work), mark)
    if (work.attempt < attemptsMax) {
      plan({ ...work, attempt: work.attempt + 1 })
      return
    }
    release(work)
    metrics.ingestBatches.inc({ result: 'contended' })
    deps.acknowledge(work.device, work.plan.batch.bootId, mark)
  }

  function account({ device, plan }: Work, firstEventId: number): void {
    metrics.ingestBatches.inc({ result: plan.beyondGap > 0 ? 'gap' : 'committed' })
    if (plan.duplicates > 0) metrics.ingestDuplicates.inc(plan.duplicates)
    if (plan.quarantined > 0) {
      metrics.ingestQuarantined.inc(plan.quarantined)
      log.warn(
        { device: device.deviceId, entries: plan.quarantined, why: plan.batch.quarantined[1] },
        'events were quarantined',
      )
    }
    if (plan.events.length > 0) {
      deps.stored({ device, firstEventId, batch: plan.batch, events: plan.events })
    }
  }

  /** Nothing of the group is stored: forget what was planned; the devices send again. */
  function fail(works: readonly Work[], error: unknown): void {
    metrics.commitFailures.inc()
    if (storing) log.error({ err: error }, 'events cannot be stored; devices keep them')
    storing = false
    for (const work of [...works, ...group]) {
      marks.delete(markKey(work))
      release(work)
    }
    group = []
    groupEvents = 0
  }

  function release({ sizeBytes }: Work): void {
    queueBytes -= sizeBytes
    metrics.ingestQueueBytes.set(queueBytes)
    if (queueBytes < queueBytesMax) {
      room?.resolve()
      room = undefined
    }
  }

  function quarantine(
    device: Device,
    receivedAt: number,
    reason: string,
    payload: Uint8Array,
  ): void {
    metrics.ingestBatches.inc({ result: 'unreadable' })
    if (receivedAt - (quarantinedAt.get(device.deviceKey) ?? 0) < quarantineIntervalMs) return
    quarantinedAt.set(device.deviceKey, receivedAt)
    log.warn({ device: device.deviceId, why: reason }, 'a batch could not be read')
    keepUnreadable(store, device.deviceKey, receivedAt, reason, payload).catch((error) =>
      log.error({ err: error }, 'a batch could not be quarantined'),
    )
  }

  return {
    take,
    room: () => {
      if (queueBytes < queueBytesMax) return undefined
      room ??= Promise.withResolvers<void>()
      return room.promise
    },
    get storing() {
      return storing
    },
    async [Symbol.asyncDispose]() {
      pump()
      while (inFlight.size > 0) await Promise.all(inFlight)
    },
  }
}

const markKey = ({ device, received }: Pick<Work, 'device' | 'received'>): string =>
  `${device.deviceKey}/${received.batch.bootId}`

/** Bytes of an unreadable batch that are kept. */
const unreadableBytesMax = 4096

async function keepUnreadable(
  store: Store,
  deviceKey: number,
  receivedAt: number,
  reason: string,
  payload: Uint8Array,
): Promise<void> {
  const data = new TextDecoder().decode(payload.subarray(0, unreadableBytesMax))
  await store.writer
    .insertInto('quarantine')
    .values({ device_key: deviceKey, received_at: receivedAt, reason: reason.slice(0, 1000), data })
    .execute()
  await store.writer
    .deleteFrom('quarantine')
    .where('quarantine_id', '<=', (eb) =>
      eb
        .selectFrom('quarantine')
        .select((max) => max(max.fn.max('quarantine_id'), '-', quarantineRowsMax).as('oldest')),
    )
    .execute()
}
