import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { openSqliteStore } from '../store/sqlite-store.ts'
import { readSparklines, slotMs, slots } from './sparklines.ts'

test('readSparklines() gives the greatest of each minute and gaps where nothing was measured', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-sparklines-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'hub.db')
  const store = await openSqliteStore({ file })
  t.after(() => store[Symbol.asyncDispose]())
  const now = Date.parse('2026-11-20T12:00:30.000Z')
  const first = Date.parse('2026-11-20T11:31:00.000Z')
  using db = new DatabaseSync(file)
  db.exec(`insert into device (device_key, device_id, site, name, enrolled_at, certificate_serial, certificate_not_after)
    values (1, 'gate', 'main', '', 0, '', 0), (2, 'yard', 'main', '', 0, '', 0)`)
  const insert = db.prepare('insert into health_figure values (?, ?, ?, ?, 0, 0, 0, ?)')
  const figures: [number, number, number][] = [
    [1, first - 1, 9],
    [1, first, 0.1],
    [1, first + slotMs - 1, 0.4],
    [1, first + slotMs, 0.2],
    [1, now, 0.7],
    [1, now + slotMs, 9],
    [2, now, 0.5],
  ]
  for (const [index, [device, at, cpu]] of figures.entries()) {
    insert.run(index + 1, device, at, cpu, '[]')
  }
  const read = (devices: readonly { deviceKey: number; deviceId: string }[]) =>
    readSparklines(store, devices, now)

  const gate = { deviceKey: 1, deviceId: 'gate' }
  const lines = await read([gate])
  assert.equal(lines.from, '2026-11-20T11:31:00.000Z')
  const expected = new Array<number | null>(slots).fill(null)
  Object.assign(expected, { 0: 0.4, 1: 0.2, [slots - 1]: 0.7 })
  assert.deepEqual(lines.devices, [{ deviceId: 'gate', cpuShare: expected }])
  const both = await read([{ deviceKey: 2, deviceId: 'yard' }, gate])
  assert.deepEqual(
    both.devices.map(({ deviceId, cpuShare }) => [deviceId, cpuShare.at(-1)]),
    [
      ['yard', 0.5],
      ['gate', 0.7],
    ],
  )
  assert.deepEqual((await read([])).devices, [])
})
