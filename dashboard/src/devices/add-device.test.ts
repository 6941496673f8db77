import assert from 'node:assert/strict'
import { test } from 'node:test'
import { waitingFor } from './add-device.ts'
import { row } from './fleet-view.test-rows.ts'

const madeAt = Date.parse('2026-11-20T12:00:00.000Z')
const token = { deviceId: 'gate', madeAt, expiresAt: madeAt + 60_000 }
const word = (...given: Parameters<typeof waitingFor> extends [unknown, ...infer R] ? R : never) =>
  waitingFor(token, ...given).word
const never = row('gate', { connectivity: 'never', health: 'never', lastSeenAt: null })

test('waitingFor() follows a new box from nothing to connected', () => {
  assert.equal(word(undefined, undefined, madeAt), 'Waiting for the box')
  assert.equal(word(never, undefined, madeAt), 'Enrolled')
  assert.equal(word(row('gate'), undefined, madeAt), 'Connected')
})

test('waitingFor() says when nobody came in time, and not when somebody did', () => {
  assert.equal(word(undefined, undefined, token.expiresAt), 'Too old')
  assert.equal(word(row('gate'), undefined, token.expiresAt), 'Connected')
})

test('waitingFor() does not take a known device that goes on as before for the new one', () => {
  const before = row('gate', { lastSeenAt: '2026-11-20T11:59:59.000Z' })
  assert.equal(word(before, before, madeAt), 'Waiting for the box')
  const offline = row('gate', { connectivity: 'offline', health: 'offline' })
  assert.equal(word(offline, offline, madeAt), 'Waiting for the box')
  assert.equal(word(row('gate'), offline, madeAt), 'Connected')
})
