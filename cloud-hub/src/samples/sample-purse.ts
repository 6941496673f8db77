/**
 * The fleet's budget of samples as the store knows it: what may be sent in a day, what each stream would have sent, what
 * it spent. Days are those of the hub's clock, in UTC: a box whose clock jumps spends today's all the same.
 */
import type {
  SampleAllowance,
  SampleBudget,
  SampleBudgetShown,
  SampleOffers,
} from '@edgeloop/protocol'
import type { AuditNote } from '../audit/audit.ts'
import type { Device } from '../devices/device.ts'
import type { Fleet } from '../devices/fleet.ts'
import type { Store } from '../store/store.ts'
import { divideBudget, type StreamNeed, type StreamShare } from './fleet-budget.ts'

const dayMs = 86_400_000
/** Days from which it is expected what a stream will wish, and how doubtful it is. */
const lookedBackDays = 7
const shownDays = 30
/** How long a division is used: it costs a look at all streams. */
const dividedForMs = 60_000
/** Wishes of one stream in one day, at most: a box that counts wrong gets no more than that. */
const wishedMax = 10_000_000

/** Until somebody sets another one. */
export const sampleBudgetDefault: SampleBudget = {
  framesPerDay: 5000,
  bytesPerDay: 1_000_000_000,
}

/** What others know of streams, by `DEVICE/STREAM`. */
export type StreamKnowledge = {
  /** Samples that people answered, and those in which they changed what was proposed. */
  readonly labelled: () => Promise<ReadonlyMap<string, { labelled: number; mended: number }>>
  /** Streams with a drift alarm that is on. */
  readonly alarms: () => Promise<ReadonlySet<string>>
}

export type SamplePurse = {
  /** Notes what streams of the device would have sent. */
  wish(device: Device, wishes: SampleOffers['wishes']): Promise<void>
  /** What is left to the device now. */
  allowance(device: Device): Promise<SampleAllowance>
  show(): Promise<SampleBudgetShown>
  set(budget: SampleBudget, by: string, note: AuditNote): Promise<SampleBudgetShown>
}

export function openSamplePurse(deps: {
  store: Store
  fleet: Fleet
  known: StreamKnowledge
  clock: () => number
}): SamplePurse {
  const { store, fleet, known, clock } = deps
  let divided: { readonly at: number; readonly shares: Map<string, StreamShare> } | undefined
  const today = (): number => Math.floor(clock() / dayMs)

  async function budget() {
    const row = await store.reader.selectFrom('sample_budget').selectAll().executeTakeFirst()
    if (!row) return { ...sampleBudgetDefault, by: null, at: null }
    const { frames_per_day: framesPerDay, bytes_per_day: bytesPerDay } = row
    return { framesPerDay, bytesPerDay, by: row.author, at: new Date(row.at).toISOString() }
  }

  async function needs(): Promise<StreamNeed[]> {
    const since = today() - lookedBackDays
    const spends = await store.reader
      .selectFrom('sample_spend')
      .select(['device_id', 'stream_id', 'day', 'wished'])
      .where('day', '>', since)
      .execute()
    const reasons = await store.reader
      .selectFrom('field_sample')
      .select(['device_id', 'stream_id', 'reason'])
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .where('received_at', '>=', (since + 1) * dayMs)
      .groupBy(['device_id', 'stream_id', 'reason'])
      .execute()
    const [labelled, alarms] = [await known.labelled(), await known.alarms()]
    const streams = new Map<string, { deviceId: string; streamId: string; days: number[] }>()
    const of = (deviceId: string, streamId: string) => {
      const key = keyOf(deviceId, streamId)
      const stream = streams.get(key) ?? { deviceId, streamId, days: [] }
      streams.set(key, stream)
      return stream
    }
    for (const device of fleet.all()) {
      for (const { streamId, sampling } of device.desired?.config.streams ?? []) {
        if (sampling) of(device.deviceId, streamId)
      }
    }
    for (const { device_id, stream_id, wished } of spends)
      of(device_id, stream_id).days.push(wished)
    const doubts = new Map<string, { all: number; doubtful: number }>()
    for (const { device_id, stream_id, reason, count } of reasons) {
      const key = keyOf(device_id, stream_id)
      const { all, doubtful } = doubts.get(key) ?? { all: 0, doubtful: 0 }
      const more = doubtfulReasons.has(reason) ? Number(count) : 0
      doubts.set(key, { all: all + Number(count), doubtful: doubtful + more })
    }
    return [...streams]
      .filter(([, { deviceId }]) => fleet.find(deviceId)?.retiredAt === null)
      .map(([key, { days, ...stream }]) => {
        const { all, doubtful } = doubts.get(key) ?? { all: 0, doubtful: 0 }
        return {
          ...stream,
          wished: days.length === 0 ? 0 : days.reduce((sum, day) => sum + day, 0) / days.length,
          doubt: all === 0 ? 0 : doubtful / all,
          alarm: alarms.has(key),
          ...(labelled.get(key) ?? { labelled: 0, mended: 0 }),
        }
      })
  }

  async function shares(): Promise<Map<string, StreamShare>> {
    const age = divided ? clock() - divided.at : Number.POSITIVE_INFINITY
    // Negative where the clock was set back.
    if (divided && age >= 0 && age < dividedForMs) return divided.shares
    const dealt = divideBudget(await budget(), await needs())
    const byKey = new Map(dealt.map((one) => [keyOf(one.deviceId, one.streamId), one]))
    divided = { at: clock(), shares: byKey }
    return byKey
  }

  const wish: SamplePurse['wish'] = async (device, wishes) => {
    const dealt = await shares()
    for (const { streamId, frames } of wishes) {
      const isNew = !dealt.has(keyOf(device.deviceId, streamId))
      if (frames === 0 && !isNew) continue
      const wished = Math.min(frames, wishedMax)
      await store.writer
        .insertInto('sample_spend')
        .values({
          day: today(),
          device_id: device.deviceId,
          stream_id: streamId,
          wished,
          frames: 0,
          bytes: 0,
        })
        .onConflict((on) =>
          on.columns(['day', 'device_id', 'stream_id']).doUpdateSet(({ ref, eb }) => ({
            wished: eb(ref('sample_spend.wished'), '+', wished),
          })),
        )
        .execute()
      if (isNew) divided = undefined
    }
  }

  async function spent(deviceId?: string) {
    let found = store.reader
      .selectFrom('sample_spend')
      .select(['device_id', 'stream_id', 'wished', 'frames', 'bytes'])
      .where('day', '=', today())
    if (deviceId !== undefined) found = found.where('device_id', '=', deviceId)
    return await found.execute()
  }

  return {
    wish,
    allowance: async ({ deviceId }) => {
      let [frames, bytes] = [0, 0]
      for (const share of (await shares()).values()) {
        if (share.deviceId !== deviceId) continue
        frames += share.frames
        bytes += share.bytes
      }
      for (const row of await spent(deviceId)) {
        frames -= row.frames
        bytes -= row.bytes
      }
      const until = new Date((today() + 1) * dayMs).toISOString()
      return { frames: Math.max(0, frames), bytes: Math.max(0, bytes), until }
    },

    show: async () => {
      const dealt = await shares()
      const needed = new Map(
        (await needs()).map((need) => [keyOf(need.deviceId, need.streamId), need]),
      )
      const now = new Map(
        (await spent()).map((row) => [keyOf(row.device_id, row.stream_id), row] as const),
      )
      const days = await store.reader
        .selectFrom('sample_spend')
        .select('day')
        .select(({ fn }) => [
          fn.sum<number>('frames').as('frames'),
          fn.sum<number>('bytes').as('bytes'),
          fn.sum<number>('wished').as('wished'),
        ])
        .where('day', '>', today() - shownDays)
        .groupBy('day')
        .orderBy('day')
        .execute()
      return {
        ...(await budget()),
        streams: [...dealt].map(([key, { weight, frames, bytes, ...stream }]) => {
          const {
            wished = 0,
            doubt = 0,
            alarm = false,
            labelled = 0,
            mended = 0,
          } = needed.get(key) ?? {}
          const row = now.get(key)
          return {
            ...stream,
            framesPerDay: frames,
            bytesPerDay: bytes,
            weight,
            wishedPerDay: wished,
            doubt,
            alarm,
            labelled,
            mended,
            frames: row?.frames ?? 0,
            bytes: row?.bytes ?? 0,
          }
        }),
        days: days.map(({ day, frames, bytes, wished }) => ({
          day: new Date(day * dayMs).toISOString().slice(0, 10),
          frames: Number(frames),
          bytes: Number(bytes),
          wished: Number(wished),
        })),
      }
    },

    set: async function set({ framesPerDay, bytesPerDay }, by, note) {
      const row = {
        frames_per_day: framesPerDay,
        bytes_per_day: bytesPerDay,
        author: by,
        at: clock(),
      }
      await store.writer.transaction().execute(async (tx) => {
        await tx
          .insertInto('sample_budget')
          .values({ id: 1, ...row })
          .onConflict((on) => on.column('id').doUpdateSet(row))
          .execute()
        await note.within(tx)
      })
      divided = undefined
      return await this.show()
    },
  }
}

/** Reasons that say that the model is unsure, or wrong. */
const doubtfulReasons: ReadonlySet<string> = new Set([
  'uncertain',
  'inconsistent',
  'motion',
  'disagreement',
])

const keyOf = (deviceId: string, streamId: string): string => `${deviceId}/${streamId}`
