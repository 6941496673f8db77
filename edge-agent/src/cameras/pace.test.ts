import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lagMaxMs, pace, waitFor } from './pace.ts'

const idle = new AbortController().signal

test('pace() waits until a frame is due, and says when it was captured', async () => {
  const clock = pace(true, () => 1_000_000)
  const began = performance.now()
  for (const position of [0, 40, 80]) await waitFor(clock, position, idle)
  const tookMs = performance.now() - began
  assert.ok(tookMs >= 75, `took ${tookMs} ms`)
  assert.deepEqual([clock.at(0), clock.at(80)], [1_000_000, 1_000_080])
})

test('pace() does not wait for a clip that is read as fast as it can be', () => {
  let time = 0
  const clock = pace(
    false,
    () => 5000,
    () => time,
  )
  assert.equal(clock.wait(0, idle), undefined)
  assert.equal(clock.wait(60_000, idle), undefined)
  time = 50
  assert.ok(clock.wait(60_040, idle), 'other work gets its turn now and then')
  assert.equal(clock.at(60_000), 65_000)
})

test('pace() starts anew after a long lag instead of racing, and times never go back', () => {
  let time = 0
  let now = 1_000_000
  const clock = pace(
    true,
    () => now,
    () => time,
  )
  clock.wait(0, idle)
  const before = clock.at(40)
  // The machine slept; meanwhile someone has set the clock back by an hour.
  time = lagMaxMs + 5000
  now = 1_000_000 + time
  clock.wait(40, idle)
  assert.equal(clock.at(40), now)
  now -= 3_600_000
  time += lagMaxMs + 5000
  clock.wait(80, idle)
  assert.ok(clock.at(80) > before)
})

test('waitFor() throws the reason of the signal', async () => {
  const aborting = new AbortController()
  const clock = pace(true, Date.now)
  await waitFor(clock, 0, aborting.signal)
  const waiting = waitFor(clock, 60_000, aborting.signal)
  aborting.abort(new Error('enough'))
  await assert.rejects(waiting, { message: 'enough' })
})
