import assert from 'node:assert/strict'
import { test } from 'node:test'
import { barsPath, dotsPath, sayLane, slotWindow, spanNames, spans, windowOf } from './timeline.ts'

const now = Date.parse('2026-11-20T12:34:56.000Z')

test('windowOf() ends with the slot that runs and begins one span before', () => {
  assert.deepEqual(windowOf('1h', now), {
    from: '2026-11-20T11:35:00.000Z',
    to: '2026-11-20T12:35:00.000Z',
    slots: 60,
  })
  for (const span of spanNames) {
    const { from, to } = windowOf(span, now)
    assert.ok(Date.parse(to) > now && Date.parse(from) < now, span)
    assert.equal(Date.parse(to) - Date.parse(from), spans[span].ms, span)
    assert.deepEqual(windowOf(span, now + 3000), windowOf(span, now), `${span} stands still`)
  }
})

test('windowOf() spans the hours that passed, also over a change of the clocks', () => {
  // Clocks in Europe go back at 01:00 UTC on 25 October 2026: a day of 25 hours there, not here.
  const { from, to } = windowOf('24h', Date.parse('2026-10-25T12:00:00.000Z'))
  assert.equal(Date.parse(to) - Date.parse(from), 24 * 3_600_000)
})

test('slotWindow() gives one slot, without a gap to the next', () => {
  const density = { from: '2026-11-20T11:00:00.000Z', slotMs: 60_000 }
  assert.deepEqual(slotWindow(density, 5), {
    from: '2026-11-20T11:05:00.000Z',
    to: '2026-11-20T11:06:00.000Z',
  })
  assert.equal(slotWindow(density, 5).to, slotWindow(density, 6).from)
})

test('barsPath() draws nothing for nothing and shows one beside thousands', () => {
  assert.equal(barsPath([0, 0], 10), '')
  assert.equal(barsPath([0, 1], 10_000), 'M1 1v-0.12h0.86v0.12z')
  assert.equal(barsPath([4], 4), 'M0 1v-1h0.86v1z')
})

test('dotsPath() has a dot for each slot with any', () => {
  assert.equal(dotsPath([0, 2, 0]), 'M1 0h0.86v0.2h-0.86z')
})

test('sayLane() says what a bar chart shows', () => {
  const lane = { deviceId: 'a', streamId: 'b', counts: [1, 3], alarms: [0, 1], important: [0, 0] }
  const density = { from: '2026-11-20T11:00:00.000Z', slotMs: 60_000 }
  assert.match(sayLane(lane, density), /^4 events, 1 alarm, most at \d\d:01$/)
  assert.equal(sayLane({ ...lane, counts: [0, 0] }, density), 'no events')
})
