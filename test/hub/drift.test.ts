/** Drift at the hub: sketches come in, an alarm is raised once, people say what it is, and nothing is said twice. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AuditPage, DriftAlarm, DriftDetail, DriftStream, Problem } from '@edgeloop/protocol'
import { openTestHub, type TestDevice, type TestHub } from './fixture.ts'
import { minutes, openSketcher, type sketchOf, sketchesStart as start } from './seeded-drift.ts'

const soon = { timeout: 30_000, interval: 50 }
const learnsFrom = 20

/** A box that sends sketches, and what the hub says of them. */
const openBox = async (hub: TestHub, device: TestDevice) => ({
  ...(await openSketcher(device)),
  stream: async () => (await call<DriftStream[]>(hub, 'GET', '/api/drift/streams'))[0],
  alarms: (query = '') => call<DriftAlarm[]>(hub, 'GET', `/api/drift/alarms${query}`),
})

async function call<T>(hub: TestHub, method: string, path: string, body?: unknown): Promise<T> {
  const reply = await hub.api(method, path, body)
  return (await reply.json()) as T
}

test('light that changes raises one alarm, which ends by itself, and a restart says nothing twice', async (t) => {
  const hub = await openTestHub(t, { driftLearnsFrom: learnsFrom })
  const box = await openBox(hub, await hub.enrol('gate'))
  assert.equal(await box.stream(), undefined)
  await box.send(...minutes(0, learnsFrom - 1))
  await t.waitFor(async () => assert.equal((await box.stream())?.phase, 'learning'), soon)
  await box.send(...minutes(learnsFrom - 1, 20))
  await t.waitFor(async () => assert.equal((await box.stream())?.phase, 'watching'), soon)
  assert.deepEqual(await box.alarms(), [])
  await box.send(...minutes(39, 6, { brightness: 60 }))
  await t.waitFor(async () => assert.equal((await box.alarms()).length, 1), soon)
  const [raised] = await box.alarms()
  assert.deepEqual([raised?.kind, raised?.endedAt, raised?.deviceId], ['data', null, 'gate'])
  assert.match(raised?.why ?? '', /^Brightness is (5|6)[\d.]+ where 1[12]\d/)
  assert.match(
    await (await hub.api('GET', '/metrics')).text(),
    /edgeloop_drift_alarms\{kind="data"\} 1/,
  )

  await hub.close()
  await hub.reopen()
  await box.again()
  await box.send(...minutes(45, 3, { brightness: 60 }))
  const newest = new Date(start + 47 * 60_000).toISOString()
  await t.waitFor(async () => assert.equal((await box.stream())?.newestAt, newest), soon)
  assert.deepEqual(
    (await box.alarms()).map(({ alarmId }) => alarmId),
    [raised?.alarmId],
  )
  await box.send(...minutes(48, 6))
  await t.waitFor(async () => assert.equal((await box.alarms())[0]?.endedBy, 'itself'), soon)
  assert.deepEqual(await box.alarms('?state=active'), [])
  const shown = await call<DriftDetail>(hub, 'GET', '/api/drift/streams/gate/yard?hours=2')
  const brightness = shown.series.find(({ name }) => name === 'brightness')
  assert.equal(shown.at.length, brightness?.now.length)
  assert.ok(brightness?.now.some((value) => value !== null && value < 70))
  assert.deepEqual(
    shown.histograms.map(({ name }) => name),
    ['scores', 'sizes', 'places', 'labels'],
  )
  assert.deepEqual(shown.histograms[3]?.bins, ['cup', 'others'])
  assert.equal(shown.past.length, 1)
})

test('a person says that it is the new normal, or wants to hear nothing of it; both are in the audit log', async (t) => {
  const hub = await openTestHub(t, { driftLearnsFrom: learnsFrom })
  const box = await openBox(hub, await hub.enrol('gate'))
  await box.send(...minutes(0, 30), ...minutes(30, 6, { brightness: 60 }))
  await t.waitFor(async () => assert.equal((await box.alarms('?state=active')).length, 1), soon)
  const [alarm] = await box.alarms()
  const path = `/api/drift/alarms/${alarm?.alarmId}/snooze`
  const snoozed = await call<DriftAlarm>(hub, 'POST', path, { minutes: 60 })
  assert.ok(Date.parse(snoozed.snoozedUntil ?? '') > Date.now() + 3_500_000)
  assert.equal((await call<DriftAlarm>(hub, 'POST', path, { minutes: 0 })).snoozedUntil, null)
  assert.equal((await hub.api('POST', '/api/drift/alarms/999/snooze', { minutes: 5 })).status, 404)

  const accepted = await call<DriftStream>(hub, 'POST', '/api/drift/streams/gate/yard/accept')
  assert.deepEqual([accepted.phase, accepted.learnt, accepted.alarms], ['learning', 0, []])
  assert.equal((await box.alarms())[0]?.endedBy, 'accepted')
  await box.send(...minutes(36, 30, { brightness: 60 }))
  await t.waitFor(async () => assert.equal((await box.stream())?.phase, 'watching'), soon)
  assert.deepEqual(await box.alarms('?state=active'), [])
  for (const action of ['driftSnooze', 'driftAccept']) {
    const { entries } = await call<AuditPage>(hub, 'GET', `/api/audit?action=${action}`)
    assert.ok(
      entries.some(({ outcome }) => outcome === 'done'),
      action,
    )
  }
  const none = await hub.api('POST', '/api/drift/streams/gate/attic/accept')
  assert.equal(none.status, 404)
  assert.match(((await none.json()) as Problem).detail, /no sketch of it has come yet/)
})

test('another model is learnt anew, and what was said of the one before is over', async (t) => {
  const hub = await openTestHub(t, { driftLearnsFrom: learnsFrom })
  const box = await openBox(hub, await hub.enrol('gate'))
  const unsure = (sketch: ReturnType<typeof sketchOf>) => ({
    ...sketch,
    scores: sketch.scores.map((_, i) => (i === 9 ? 300 : 0)),
  })
  await box.send(...minutes(0, 30), ...minutes(30, 8).map(unsure))
  await t.waitFor(async () => {
    assert.deepEqual(
      (await box.alarms('?state=active')).map(({ kind }) => kind),
      ['output'],
    )
  }, soon)
  await box.send(...minutes(38, 30, { digest: 'b' }).map(unsure))
  await t.waitFor(async () => assert.equal((await box.alarms())[0]?.endedBy, 'relearnt'), soon)
  await t.waitFor(async () => {
    assert.equal((await box.stream())?.newestAt, new Date(start + 67 * 60_000).toISOString())
  }, soon)
  assert.equal((await box.alarms()).length, 1)
  assert.equal((await box.stream())?.modelDigest, 'b'.repeat(64))
})
