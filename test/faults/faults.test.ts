/** The fault story in its small form; `npm run bench -- faults` is the full one. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startMosquitto } from '../broker/mosquitto.ts'
import { startCluster } from '../postgres/cluster.ts'
import { needs } from '../require.ts'
import { faultKinds, runFaults } from './fault-run.ts'
import { runFullDisk } from './full-disk-run.ts'

/** A process that is killed loses nothing it has written, to memory or to disk; memory is faster. */
const memoryOrTmp = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

test('PostgreSQL is killed as well: nothing is lost or doubled', needs('postgresql'), async (t) => {
  const folder = await mkdtemp(join(memoryOrTmp, 'faults-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await using cluster = await startCluster()
  const url = await cluster.createDatabase()
  const seed = Number(process.env.EDGELOOP_SEED ?? Date.now() % 2 ** 31)
  t.diagnostic(`seed ${seed} (EDGELOOP_SEED)`)
  const report = await runFaults({
    folder,
    seed,
    agents: 1,
    events: 3000,
    eventsPerSecond: 500,
    faults: 9,
    store: { url, kill: cluster.kill, start: cluster.start },
    signal: t.signal,
  })
  t.diagnostic(JSON.stringify(report))
  assert.ok(report.recorded >= 3000)
  assert.ok([...faultKinds, 'killStore' as const].every((kind) => report.faults[kind] >= 1))
  const { lost, doubled, gaps, quarantined, lossRecords, left } = report
  assert.deepEqual(
    { lost, doubled, gaps, quarantined, lossRecords, left },
    { lost: 0, doubled: 0, gaps: 0, quarantined: 0, lossRecords: 0, left: 0 },
  )
})

test('mosquitto is killed as well: nothing is lost or doubled', needs('mosquitto'), async (t) => {
  const folder = await mkdtemp(join(memoryOrTmp, 'faults-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const seed = Number(process.env.EDGELOOP_SEED ?? Date.now() % 2 ** 31)
  t.diagnostic(`seed ${seed} (EDGELOOP_SEED)`)
  const report = await runFaults({
    folder,
    seed,
    agents: 1,
    events: 3000,
    eventsPerSecond: 500,
    faults: 9,
    broker: async (hubDataDir) => {
      const files = join(folder, 'broker')
      const server = await startMosquitto(hubDataDir, files)
      const config = { url: server.hubUrl, publicUrl: server.deviceUrl, files }
      return Object.assign(server, { config })
    },
    signal: t.signal,
  })
  t.diagnostic(JSON.stringify(report))
  assert.ok(report.recorded >= 3000)
  assert.ok([...faultKinds, 'killBroker' as const].every((kind) => report.faults[kind] >= 1))
  const { lost, doubled, gaps, quarantined, lossRecords, left } = report
  assert.deepEqual(
    { lost, doubled, gaps, quarantined, lossRecords, left },
    { lost: 0, doubled: 0, gaps: 0, quarantined: 0, lossRecords: 0, left: 0 },
  )
})

test('agent, media process, hub and link are killed and cut while events flow: nothing is lost or doubled', async (t) => {
  const folder = await mkdtemp(join(memoryOrTmp, 'faults-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const seed = Number(process.env.EDGELOOP_SEED ?? Date.now() % 2 ** 31)
  t.diagnostic(`seed ${seed} (EDGELOOP_SEED)`)
  const report = await runFaults({
    folder,
    seed,
    agents: 1,
    events: 3000,
    eventsPerSecond: 500,
    faults: 8,
    signal: t.signal,
  })
  t.diagnostic(JSON.stringify(report))
  assert.ok(report.recorded >= 3000)
  assert.ok(faultKinds.every((kind) => report.faults[kind] >= 1))
  const { lost, doubled, gaps, quarantined, lossRecords, left } = report
  assert.deepEqual(
    { lost, doubled, gaps, quarantined, lossRecords, left },
    { lost: 0, doubled: 0, gaps: 0, quarantined: 0, lossRecords: 0, left: 0 },
  )
})

test('a full outbox gives way in the stated order, and the hub learns exactly what the box counted', async (t) => {
  const folder = await mkdtemp(join(memoryOrTmp, 'faults-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const report = await runFullDisk({
    folder,
    what: 'bound',
    events: 14_000,
    eventsPerSecond: 5000,
    signal: t.signal,
  })
  t.diagnostic(JSON.stringify(report))
  assert.ok(report)
  assert.deepEqual(report.givenUp, report.givenUpOnBox)
  assert.ok(report.givenUp.events > 0 && report.givenUp.aggregates > 0)
  const { lost, doubled, gaps, quarantined, outOfOrder, left } = report
  assert.deepEqual(
    { lost, doubled, gaps, quarantined, outOfOrder, left, alarms: report.givenUp.alarms },
    { lost: 0, doubled: 0, gaps: 0, quarantined: 0, outOfOrder: 0, left: 0, alarms: 0 },
  )
})
