/** Drift at the hub: sketches come in, an alarm is raised once, people say what it is, and nothing is said twice. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import {
  type AuditPage,
  type DriftAlarm,
  type DriftDetail,
  type DriftStream,
  greyBins,
  labelScoreBins,
  objectSteps,
  type Problem,
  packNibbles,
  placeColumns,
  placeRows,
  profileColumns,
  profileRows,
  type Sketch,
  scoreBins,
  sizeSteps,
  tileColumns,
  tileRows,
  topicFor,
} from '@edgeloop/protocol'
import { checkEvent } from '@edgeloop/protocol/check'
import type { MqttClient } from 'mqtt'
import { openTestHub, type TestDevice, type TestHub } from './fixture.ts'

const soon = { timeout: 30_000, interval: 50 }
const start = Date.parse('2026-11-21T12:00:00.000Z')
const learnsFrom = 20

/** A minute like any other, or one in which the light has changed; `minute` makes it differ a little. */
function sketchOf(
  minute: number,
  { brightness = 120, digest = 'a' } = {},
): Omit<Sketch, 'sequence'> {
  const off = Math.sin(minute * 2.399)
  const bins = (count: number, at: number, worth: number) =>
    Array.from({ length: count }, (_, i) => (i === at ? worth : i === at + 1 ? 20 : 0))
  const nibbles = (count: number) =>
    packNibbles(Array.from({ length: count }, (_, i) => (i * 7 + (i >> 3) * 5) % 16))
  return {
    ...{ kind: 'sketch', at: new Date(start + minute * 60_000).toISOString(), streamId: 'yard' },
    ...{ intervalMs: 60_000, pictures: 60, analysed: 300, modelDigest: digest.repeat(64) },
    scores: bins(scoreBins, 16, 300 + Math.round(20 * off)),
    objects: bins(objectSteps.length, 1, 280),
    sizes: bins(sizeSteps.length, 5, 300),
    places: bins(placeColumns * placeRows, 8, 300),
    labels: [{ label: 'cup', count: 320, scores: bins(labelScoreBins, 8, 300) }],
    otherLabels: 0,
    light: {
      brightness: [brightness * (1 + 0.02 * off), 2],
      contrast: [40, 1],
      greys: bins(greyBins, 7, 980),
    },
    background: {
      levels: nibbles(tileColumns * tileRows),
      textures: nibbles(tileColumns * tileRows),
      columns: nibbles(profileColumns),
      rows: nibbles(profileRows),
    },
  }
}

/** A box that has said what it is and says sketches, in order. */
async function openBox(hub: TestHub, device: TestDevice) {
  const bootId = randomUUID()
  let sequence = 0
  let client: MqttClient = await device.connect()
  return {
    send: async (...sketches: readonly object[]) => {
      const entries = sketches.map((sketch) => ({ sequence: ++sequence, ...sketch }))
      for (const entry of entries) assert.deepEqual(Object.keys(checkEvent(entry)), ['event'])
      const payload = JSON.stringify({ bootId, acknowledgedThrough: 0, entries })
      await client.publishAsync(topicFor('events', device), payload, { qos: 1 })
    },
    again: async () => {
      client = await device.connect()
    },
    stream: async () => (await call<DriftStream[]>(hub, 'GET', '/api/drift/streams'))[0],
    alarms: (query = '') => call<DriftAlarm[]>(hub, 'GET', `/api/drift/alarms${query}`),
  }
}

async function call<T>(hub: TestHub, method: string, path: string, body?: unknown): Promise<T> {
  const reply = await hub.api(method, path, body)
  return (await reply.json()) as T
}

const minutes = (from: number, count: number, as: Parameters<typeof sketchOf>[1] = {}) =>
  Array.from({ length: count }, (_, i) => sketchOf(from + i, as))

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
