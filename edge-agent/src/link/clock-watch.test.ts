import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NewEvent } from '@edgeloop/protocol'
import { jumpBetween, watchClock } from './clock-watch.ts'

test('jumpBetween() tells a jump from time passing and from being slewed', () => {
  const start = { wallMs: 1000, monotonicMs: 50 }
  assert.equal(jumpBetween(start, { wallMs: 61_000, monotonicMs: 60_050 }), 0)
  assert.equal(jumpBetween(start, { wallMs: 5900, monotonicMs: 1050 }), 0)
  assert.equal(jumpBetween(start, { wallMs: 3_602_000, monotonicMs: 1050 }), 3_600_000)
  assert.equal(jumpBetween(start, { wallMs: -9000, monotonicMs: 1050 }), -11_000)
})

test('watchClock() raises an alarm for a jump and ends it when the clock is steady', async () => {
  const stop = new AbortController()
  const recorded: NewEvent[] = []
  let offsetMs = 0
  const watching = watchClock({
    read: () => ({ wallMs: Date.now() + offsetMs, monotonicMs: performance.now() }),
    record: (event) => {
      recorded.push(event)
      if (recorded.length === 2) stop.abort()
    },
    intervalMs: 5,
    steadyMs: 30,
    signal: stop.signal,
  })
  offsetMs = -3_600_000
  await watching
  const said = recorded.map((event) => event.kind === 'alarm' && [event.active, event.text])
  assert.deepEqual(said[0], [true, 'The clock jumped back by 3600 s'])
  assert.deepEqual(said[1], [false, 'The clock has been steady since'])
})
