import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MaintenanceWindow } from '@edgeloop/protocol'
import { checkTimeZone, openingAt } from './windows.ts'

const everyDay = [1, 2, 3, 4, 5, 6, 7]
const shown = (windows: MaintenanceWindow[], zone: string, at: string): string => {
  const opening = openingAt(windows, zone, Date.parse(at))
  if (!opening) return 'closed'
  const [from, until] = [opening.from, opening.until].map((time) => new Date(time).toISOString())
  return `${from?.slice(5, 16)} to ${until?.slice(5, 16)}`
}

test('windows are read by the clocks of their site, over midnight too', () => {
  const night = [{ days: everyDay, from: '22:00', to: '05:00' }]
  // 2026-11-21 is a Saturday.
  assert.equal(shown(night, 'UTC', '2026-11-21T21:59:59Z'), 'closed')
  assert.equal(shown(night, 'UTC', '2026-11-21T22:00:00Z'), '11-21T22:00 to 11-22T05:00')
  assert.equal(shown(night, 'UTC', '2026-11-22T04:59:59Z'), '11-21T22:00 to 11-22T05:00')
  assert.equal(shown(night, 'UTC', '2026-11-22T05:00:00Z'), 'closed')
  assert.equal(shown(night, 'Asia/Tokyo', '2026-11-21T13:30:00Z'), '11-21T13:00 to 11-21T20:00')
  assert.equal(shown(night, 'Asia/Kathmandu', '2026-11-21T16:15:00Z'), '11-21T16:15 to 11-21T23:15')
})

test('a window that goes past midnight is of the day on which it begins', () => {
  const saturday = [{ days: [6], from: '22:00', to: '05:00' }]
  assert.equal(shown(saturday, 'UTC', '2026-11-21T01:00:00Z'), 'closed')
  assert.equal(shown(saturday, 'UTC', '2026-11-22T01:00:00Z'), '11-21T22:00 to 11-22T05:00')
  // From a Sunday to the Monday after it.
  const sunday = [{ days: [7], from: '23:00', to: '01:00' }]
  assert.equal(shown(sunday, 'UTC', '2026-11-23T00:30:00Z'), '11-22T23:00 to 11-23T01:00')
})

test('a window from a time to the same time is a whole day', () => {
  const day = [{ days: [6], from: '08:00', to: '08:00' }]
  assert.equal(shown(day, 'UTC', '2026-11-22T07:59:00Z'), '11-21T08:00 to 11-22T08:00')
  assert.equal(shown(day, 'UTC', '2026-11-22T08:00:00Z'), 'closed')
})

test('clocks that are put back or on in a window do not move its end', () => {
  const night = [{ days: everyDay, from: '22:00', to: '05:00' }]
  // Berlin: back on 2026-10-25 at 3:00 (01:00 UTC), on at 2027-03-28 at 2:00 (01:00 UTC).
  assert.equal(shown(night, 'Europe/Berlin', '2026-10-24T21:00:00Z'), '10-24T20:00 to 10-25T04:00')
  assert.equal(shown(night, 'Europe/Berlin', '2026-10-25T02:00:00Z'), '10-24T20:00 to 10-25T04:00')
  assert.equal(shown(night, 'Europe/Berlin', '2027-03-27T21:30:00Z'), '03-27T21:00 to 03-28T03:00')
  assert.equal(shown(night, 'Europe/Berlin', '2027-03-28T02:30:00Z'), '03-27T21:00 to 03-28T03:00')
})

test('no windows are always open; of two that are open the one that closes last counts', () => {
  assert.equal(openingAt([], 'UTC', 0)?.until, Number.POSITIVE_INFINITY)
  const two = [
    { days: everyDay, from: '20:00', to: '23:00' },
    { days: everyDay, from: '22:00', to: '05:00' },
  ]
  assert.equal(shown(two, 'UTC', '2026-11-21T22:30:00Z'), '11-21T22:00 to 11-22T05:00')
})

test('a time zone that there is not is refused with a way out', () => {
  checkTimeZone('America/Argentina/Buenos_Aires')
  assert.throws(() => checkTimeZone('Europe/Atlantis'), /"Europe\/Atlantis".*Europe\/Berlin/)
})
