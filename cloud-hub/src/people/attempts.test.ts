import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Refusal } from '@edgeloop/protocol'
import { openAttempts } from './attempts.ts'

/** Seconds that the next attempt would have to wait; 0 where it is let through, and counted. */
function waitOf(attempts: ReturnType<typeof openAttempts>, address: string, account: string) {
  try {
    attempts.begin(address, account)
    return 0
  } catch (error) {
    assert.ok(error instanceof Refusal && error.code === 'tooManyRequests')
    return error.retryAfterS ?? assert.fail('no wait is named')
  }
}

test('failures of one account wait longer and longer, up to a minute, from whatever address', () => {
  let now = 0
  const attempts = openAttempts({ clock: () => now })
  for (let n = 0; n < 5; n++) assert.equal(waitOf(attempts, `10.0.0.${n}`, 'anna'), 0)
  const waits: number[] = []
  for (let n = 0; n < 10; n++) {
    assert.equal(waitOf(attempts, `10.0.1.${n}`, 'anna'), 0, 'after the wait it is let through')
    const wait = waitOf(attempts, `10.0.2.${n}`, 'anna')
    waits.push(wait)
    now += wait * 1000
  }
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60])
})

test('failures of one address wait, whatever account they name; other addresses do not', () => {
  const attempts = openAttempts({ clock: () => 0 })
  for (let n = 0; n < 21; n++) assert.equal(waitOf(attempts, '10.0.0.1', `user-${n}`), 0)
  assert.equal(waitOf(attempts, '10.0.0.1', 'another'), 1)
  assert.equal(waitOf(attempts, '10.0.0.2', 'another'), 0)
})

test('many at once gain nothing: an attempt counts before it is checked', () => {
  const attempts = openAttempts({ clock: () => 0 })
  const through = Array.from({ length: 100 }, () => waitOf(attempts, '10.0.0.1', 'anna'))
  assert.equal(through.filter((wait) => wait === 0).length, 6)
})

test('a success forgets what the account failed, not what the address did', () => {
  const attempts = openAttempts({ clock: () => 0 })
  for (let n = 0; n < 4; n++) waitOf(attempts, '10.0.0.1', 'anna')
  attempts.begin('10.0.0.1', 'anna').succeeded()
  for (let n = 0; n < 5; n++) assert.equal(waitOf(attempts, '10.0.0.9', 'anna'), 0)
  for (let n = 0; n < 16; n++) waitOf(attempts, '10.0.0.1', `user-${n}`)
  assert.equal(waitOf(attempts, '10.0.0.1', 'last'), 0)
  assert.equal(waitOf(attempts, '10.0.0.1', 'after'), 1)
})

test('failures are forgotten after an hour, and what is remembered is bounded', () => {
  let now = 0
  const attempts = openAttempts({ clock: () => now })
  for (let n = 0; n < 6; n++) waitOf(attempts, `10.0.0.${n}`, 'anna')
  assert.equal(waitOf(attempts, '10.0.9.9', 'anna'), 1)
  now += 3_600_001
  for (let n = 0; n < 5; n++) assert.equal(waitOf(attempts, `10.0.0.${n}`, 'anna'), 0)
  // 10,000 other keys push the oldest out.
  for (let n = 0; n < 6; n++) waitOf(attempts, `10.0.3.${n}`, 'bert')
  for (let n = 0; n < 5001; n++) waitOf(attempts, `10.${n >> 8}.${n & 255}.7`, `user-${n}`)
  assert.equal(waitOf(attempts, '10.0.9.8', 'bert'), 0)
})
