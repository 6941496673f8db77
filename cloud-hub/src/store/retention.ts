/**
 * Removes what is older than it is kept, and says before what that would be. Rows go in small steps, and after each
 * the store is left to others for as long as the step took, so that events are committed as fast as ever.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import type { Store } from './store.ts'

const dayMs = 86_400_000
/** Rows removed in one transaction. */
export const stepRows = 2000
/** Events come in order of time but where a clock was set: so many steps without an old one end the search. */
const barrenStepsMax = 5

export type Kept = {
  readonly now: number
  readonly eventsKeptDays: number
  readonly healthKeptDays: number
}

/** What is too old of one kind, and when the oldest came in that stays, in ms; null where none does. */
export type Expired = { readonly count: number; readonly oldestKeptAt: number | null }

/**
 * Removes rows that are too old.
 * @returns how many of each kind; fewer than there are when `signal` aborts
 */
export async function pruneStore(
  store: Store,
  { now, eventsKeptDays, healthKeptDays, signal }: Kept & { signal: AbortSignal },
): Promise<{ events: number; health: number }> {
  const events = await pruneEvents(store, now - eventsKeptDays * dayMs, signal)
  const health = await pruneHealth(store, now - healthKeptDays * dayMs, signal)
  // Marks of events that are gone. Where there is no event at all there is none to compare with.
  await store.writer
    .deleteFrom('event_mark')
    .where('event_id', '<', (eb) =>
      eb.selectFrom('event').select(({ fn }) => fn.min('event_id').as('first')),
    )
    .execute()
  return { events, health }
}

async function pruneEvents(store: Store, before: number, signal: AbortSignal): Promise<number> {
  let removed = 0
  let barren = 0
  for (let low = 0; barren < barrenStepsMax && !signal.aborted; ) {
    const step = store.reader
      .selectFrom('event')
      .select('event_id')
      .where('event_id', '>', low)
      .orderBy('event_id')
      .limit(stepRows)
    const { last } = await store.reader
      .selectFrom(step.as('step'))
      .select(({ fn }) => fn.max('event_id').as('last'))
      .executeTakeFirstOrThrow()
    if (last === null) break
    const gone = await paced(signal, async () => {
      const { numDeletedRows } = await store.writer
        .deleteFrom('event')
        .where('event_id', '>', low)
        .where('event_id', '<=', last)
        .where('received_at', '<', before)
        .executeTakeFirstOrThrow()
      return Number(numDeletedRows)
    })
    barren = gone === 0 ? barren + 1 : 0
    removed += gone
    low = last
  }
  return removed
}

/** By device, along the index: boxes have clocks of their own, and one that is wrong keeps no other's figures. */
async function pruneHealth(store: Store, before: number, signal: AbortSignal): Promise<number> {
  const devices = await store.reader.selectFrom('device').select('device_key').execute()
  let removed = 0
  for (const { device_key } of devices) {
    for (let gone = stepRows; gone === stepRows && !signal.aborted; removed += gone) {
      const old = store.writer
        .selectFrom('health_figure')
        .select('event_id')
        .where('device_key', '=', device_key)
        .where('at', '<', before)
        .orderBy('at')
        .limit(stepRows)
      const some = await old.execute()
      if (some.length === 0) break
      const ids = some.map(({ event_id }) => event_id)
      gone = await paced(signal, async () => {
        const { numDeletedRows } = await store.writer
          .deleteFrom('health_figure')
          .where('event_id', 'in', ids)
          .executeTakeFirstOrThrow()
        return Number(numDeletedRows)
      })
    }
  }
  return removed
}

/** Does a step, and then nothing for as long. */
async function paced<R>(signal: AbortSignal, step: () => Promise<R>): Promise<R> {
  const started = performance.now()
  const result = await step()
  await sleep(performance.now() - started, undefined, { signal }).catch(() => {})
  return result
}

/** Says what `pruneStore()` would remove now. */
export async function surveyStore(
  store: Store,
  { now, eventsKeptDays, healthKeptDays }: Kept,
): Promise<{ events: Expired; health: Expired }> {
  return {
    events: await surveyEvents(store, now - eventsKeptDays * dayMs),
    health: await surveyHealth(store, now - healthKeptDays * dayMs),
  }
}

async function surveyEvents({ reader }: Store, before: number): Promise<Expired> {
  const ends = await reader
    .selectFrom('event')
    .select(({ fn }) => [fn.min('event_id').as('first'), fn.max('event_id').as('last')])
    .executeTakeFirstOrThrow()
  if (ends.first === null) return { count: 0, oldestKeptAt: null }
  const from = (eventId: number) =>
    reader
      .selectFrom('event')
      .select(['event_id', 'received_at'])
      .where('event_id', '>=', eventId)
      .orderBy('event_id')
      .limit(1)
      .executeTakeFirst()
  // The first id that stays, found by halves: a look at every old row would read all their text.
  let low = ends.first
  let high = ends.last + 1
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2)
    const row = await from(middle)
    if (row && row.received_at < before) low = row.event_id + 1
    else high = middle
  }
  const { count } = await reader
    .selectFrom('event')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('event_id', '<', low)
    .executeTakeFirstOrThrow()
  return { count, oldestKeptAt: (await from(low))?.received_at ?? null }
}

async function surveyHealth({ reader }: Store, before: number): Promise<Expired> {
  const { rows } = await sql<{ count: number; kept: number | null }>`
    select coalesce(sum((select count(*) from health_figure
        where health_figure.device_key = device.device_key and health_figure.at < ${before})), 0) as count,
      min((select min(at) from health_figure
        where health_figure.device_key = device.device_key and health_figure.at >= ${before})) as kept
    from device`.execute(reader)
  return { count: rows[0]?.count ?? 0, oldestKeptAt: rows[0]?.kept ?? null }
}
