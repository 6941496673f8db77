import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DeviceRow } from '@edgeloop/protocol'
import { mayChangeReport, patchRow, patchRows } from './device-row.ts'
import { row } from './fleet-view.test-rows.ts'

test('patchRow() takes a newer change and ignores a stale one', () => {
  const before = row('a', { revision: 5, cpuShare: 0.1 })
  const change = { kind: 'device', deviceId: 'a', revision: 6, patch: { cpuShare: 0.9 } } as const
  assert.deepEqual(patchRow(before, change), { ...before, cpuShare: 0.9, revision: 6 })
  assert.equal(patchRow(before, { ...change, revision: 5 }), before)
})

test('patchRows() keeps order and identity of rows that did not change', () => {
  const rows: DeviceRow[] = [row('a'), row('b'), row('c')]
  const changes = [
    { kind: 'device', deviceId: 'b', revision: 9, patch: { health: 'offline' } },
  ] as const
  const patched = patchRows(rows, changes)
  assert.deepEqual(
    patched.rows.map(({ deviceId }) => deviceId),
    ['a', 'b', 'c'],
  )
  assert.equal(patched.rows[0], rows[0])
  assert.equal(patched.rows[1]?.health, 'offline')
  assert.equal(patched.unknown, false)
  assert.equal(patchRows(rows, []).rows, rows)
})

test('patchRows() says when a device is new to the list', () => {
  const change = { kind: 'device', deviceId: 'z', revision: 1, patch: {} } as const
  assert.deepEqual(patchRows([row('a')], [change]).unknown, true)
})

test('mayChangeReport() tells health figures from what a device reports', () => {
  const change = { kind: 'device', deviceId: 'a', revision: 1 } as const
  assert.equal(mayChangeReport({ ...change, patch: { cpuShare: 1, lastSeenAt: null } }), false)
  assert.equal(mayChangeReport({ ...change, patch: { streamsLive: 1 } }), true)
})
