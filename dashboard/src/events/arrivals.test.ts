import assert from 'node:assert/strict'
import { test } from 'node:test'
import { arrivalsMax, arrive, type Loaded, merge, newestId, noArrivals, trim } from './arrivals.ts'
import { storedEvent } from './stored-event.test-rows.ts'

const loaded = (...ids: number[]): Loaded => ({
  pages: [{ events: ids.map((id) => storedEvent(id)), next: null }],
  pageParams: [null],
})
const ids = (events: readonly { eventId: number }[]) => events.map(({ eventId }) => eventId)

test('arrive() keeps what is newer than the list, once, newest first', () => {
  const once = arrive(
    noArrivals,
    [4, 5, 6].map((id) => storedEvent(id)),
    loaded(4, 3),
  )
  assert.deepEqual(ids(once.events), [6, 5])
  assert.equal(arrive(once, [storedEvent(6)], loaded(4, 3)), once)
  assert.deepEqual(ids(arrive(once, [storedEvent(7)], loaded(4, 3)).events), [7, 6, 5])
})

test('arrive() says when more came than it keeps', () => {
  const many = Array.from({ length: arrivalsMax + 1 }, (_, n) => storedEvent(n + 1))
  const arrivals = arrive(noArrivals, many, undefined)
  assert.equal(arrivals.events.length, arrivalsMax)
  assert.equal(arrivals.overflowed, true)
  assert.equal(arrivals.events[0]?.eventId, arrivalsMax + 1)
})

test('merge() puts arrivals on top without doubling what was fetched meanwhile', () => {
  const arrivals = arrive(
    noArrivals,
    [5, 6].map((id) => storedEvent(id)),
    loaded(4),
  )
  assert.deepEqual(ids(merge(loaded(5, 4), arrivals).pages[0]?.events ?? []), [6, 5, 4])
  assert.deepEqual(ids(merge(loaded(), arrivals).pages[0]?.events ?? []), [6, 5])
})

test('trim() keeps the newest, and the rest can be loaded again', () => {
  const [first, second] = [loaded(9, 8, 7).pages[0], loaded(6, 5).pages[0]]
  assert.ok(first && second)
  const long = { pages: [{ ...first, next: 7 }, second], pageParams: [null, 7] }
  const cut = trim(long, 4)
  assert.deepEqual(ids(cut.pages.flatMap(({ events }) => events)), [9, 8, 7, 6])
  assert.deepEqual([cut.pages.at(-1)?.next, cut.pageParams], [6, [null]])
  assert.equal(trim(long, 5), long)
})

test('newestId() looks past pages that a filter left empty', () => {
  const [page] = loaded(7, 6).pages
  assert.ok(page)
  assert.equal(newestId({ pages: [{ events: [], next: 8 }, page], pageParams: [null, 8] }), 7)
  assert.equal(newestId(loaded()), 0)
})
