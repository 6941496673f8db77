/** Marks and timelines of events, on every store. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { sql } from 'kysely'
import { type StoreKind, storeKinds } from '../../../test/stores.ts'
import { pruneStore } from '../store/retention.ts'
import type { Store } from '../store/store.ts'
import { readDensity } from './density.ts'
import { openEvents } from './events.ts'
import { setMark } from './marks.ts'

const base = Date.parse('2026-11-20T12:00:00.000Z')
const minute = 60_000
const iso = (at: number) => new Date(at).toISOString()

for (const kind of storeKinds) {
  test(
    `${kind.name}: a mark is its person's own, is set once, and is taken back`,
    kind.needs,
    async (t) => {
      const store = await seeded(t, kind)
      const events = openEvents({ store })
      const mark = (user: string, eventIds: number[], set = true) =>
        setMark(store, { eventIds, mark: 'reviewed', set, user, at: base })
      assert.deepEqual((await mark('anna', [1, 2, 2, 99])).changed.sort(), [1, 2])
      assert.deepEqual((await mark('anna', [2, 3])).changed, [3])
      assert.deepEqual((await mark('bob', [2])).changed, [2])
      await setMark(store, {
        eventIds: [5],
        mark: 'important',
        set: true,
        user: 'bob',
        at: base + 1,
      })
      const ids = async (query: Parameters<typeof events.list>[0], user: string) =>
        (await events.list(query, user)).events.map(({ eventId }) => eventId)
      assert.deepEqual(await ids({ mark: 'unreviewed' }, 'anna'), [6, 5, 4])
      assert.deepEqual(await ids({ mark: 'unreviewed' }, 'bob'), [6, 5, 4, 3, 1])
      assert.deepEqual(await ids({ mark: 'reviewed' }, 'carl'), [3, 2, 1])
      assert.deepEqual(await ids({ mark: 'important', device: 'yard' }, 'carl'), [5])
      assert.deepEqual((await mark('anna', [1, 2, 4], false)).changed.sort(), [1, 2])
      assert.deepEqual((await events.show(2)).marks, [
        { mark: 'reviewed', user: 'bob', at: iso(base) },
      ])
      assert.deepEqual((await events.show(5)).marks, [
        { mark: 'important', user: 'bob', at: iso(base + 1) },
      ])
      const page = await events.list({}, 'anna')
      assert.deepEqual(
        page.events.map(({ marks }) => marks.length),
        [0, 1, 0, 1, 1, 0],
      )
    },
  )

  test(`${kind.name}: marks go with their events`, kind.needs, async (t) => {
    const store = await seeded(t, kind)
    const all = {
      eventIds: [1, 2, 6],
      mark: 'reviewed',
      set: true,
      user: 'anna',
      at: base,
    } as const
    await setMark(store, all)
    const now = base + 6 * minute
    const { signal } = new AbortController()
    await pruneStore(store, { now, eventsKeptDays: 3 / 1440, healthKeptDays: 1, signal })
    const left = await store.reader.selectFrom('event_mark').select('event_id').execute()
    assert.deepEqual(
      left.map(({ event_id }) => event_id),
      [6],
    )
  })

  test(
    `${kind.name}: readDensity() counts per stream and slot, alarms and what is important`,
    kind.needs,
    async (t) => {
      const store = await seeded(t, kind)
      await setMark(store, { eventIds: [2], mark: 'important', set: true, user: 'bob', at: base })
      const span = { from: iso(base), to: iso(base + 6 * minute), slots: 6 }
      const density = await readDensity(store, span)
      assert.deepEqual(
        density.lanes.map((lane) => [lane.deviceId, lane.streamId, lane.counts]),
        [
          ['gate', 'north', [1, 1, 1, 0, 0, 0]],
          ['yard', 'ramp', [0, 0, 0, 1, 1, 0]],
          ['yard', null, [0, 0, 0, 0, 0, 1]],
        ],
      )
      assert.deepEqual(density.lanes[0]?.important, [0, 1, 0, 0, 0, 0])
      assert.deepEqual(density.lanes[2]?.alarms, [0, 0, 0, 0, 0, 1])
      assert.equal(density.slotMs, minute)
      assert.equal(density.countedFrom, span.from)

      const some = await readDensity(store, { ...span, device: 'yard', label: 'car' })
      assert.deepEqual(
        some.lanes.map((lane) => lane.counts),
        [[0, 0, 0, 1, 1, 0]],
      )
      const late = await readDensity(store, { ...span, from: iso(base + 4 * minute), slots: 2 })
      assert.deepEqual(
        late.lanes.map((lane) => lane.counts),
        [
          [0, 1],
          [1, 0],
        ],
      )
      await assert.rejects(readDensity(store, { ...span, to: span.from }), /no time between/)
    },
  )
}

/** Six events a minute apart on three lanes, the last an alarm of a device, and a health figure. */
async function seeded(t: TestContext, kind: StoreKind): Promise<Store> {
  const store = await kind.open(t)
  const row = (id: number, device: number, event: string, stream: string, label: string) => {
    const at = base + (id - 1) * minute
    return `insert into event values (${id}, ${device}, ${device}, ${id}, '${event}', ${at}, ${at + 100}, 0,
      ${stream}, ${label}, null, null, '{}')`
  }
  const statements = [
    `insert into device (device_key, device_id, site, name, enrolled_at, certificate_serial, certificate_not_after)
      values (1, 'gate', 'main', '', 0, '', 0), (2, 'yard', 'main', '', 0, '', 0)`,
    `insert into boot values (1, 1, '${randomUUID()}', 0, 0), (2, 2, '${randomUUID()}', 0, 0)`,
    row(1, 1, 'appeared', `'north'`, `'person'`),
    row(2, 1, 'appeared', `'north'`, `'person'`),
    row(3, 1, 'left', `'north'`, `'person'`),
    row(4, 2, 'appeared', `'ramp'`, `'car'`),
    row(5, 2, 'left', `'ramp'`, `'car'`),
    row(6, 2, 'alarm', 'null', 'null'),
    row(7, 2, 'health', 'null', 'null'),
  ]
  for (const statement of statements) await sql.raw(statement).execute(store.writer)
  return store
}
