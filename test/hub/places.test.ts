/** The name and the site of a device: changed for people at once, and never on the box. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AuditPage, DeviceDetail, EnrolmentToken, Problem } from '@edgeloop/protocol'
import { SimulatedDevice } from '../browser/simulated-device.ts'
import { runCommand } from './command.ts'
import { openTestHub, type TestHub } from './fixture.ts'

test('a device that moved goes on under its certificate, and is where it was moved to', async (t) => {
  const hub = await openTestHub(t)
  const gate = await SimulatedDevice.open(await hub.enrol('gate', 'Gate'))
  t.after(() => gate[Symbol.asyncDispose]())
  await gate.report([{ streamId: 'one', name: 'One' }])
  const words = ['--name', ' Gate 7, north ', '--site', 'harbour']
  const edited = await runCommand(hub, 'device', 'edit', 'gate', ...words)
  assert.equal(edited.code, 0, edited.stderr)
  assert.match(edited.stderr, /"gate" is "Gate 7, north" at site "harbour" now/)
  // It speaks under its first site, and is heard.
  const at = new Date().toISOString()
  await gate.tell({ kind: 'stream', at, streamId: 'one', state: 'live', reason: '' })
  const moved = await show(hub)
  assert.deepEqual(
    [moved.device.site, moved.device.name, moved.certificate.site, moved.device.connectivity],
    ['harbour', 'Gate 7, north', 'main', 'online'],
  )
  assert.equal(moved.device.eventsStored, 1)
  const listed = await hub.api('GET', '/api/streams?site=harbour')
  assert.equal(((await listed.json()) as { total: number }).total, 1)
  const { entries } = (await (
    await hub.api('GET', '/api/audit?action=deviceEdit')
  ).json()) as AuditPage
  assert.equal(entries[0]?.target, 'gate')
  assert.equal(entries[0]?.detail, '"Gate" is now "Gate 7, north", moved from main to harbour')

  await hub.close()
  await hub.reopen()
  const after = await show(hub)
  assert.deepEqual([after.device.site, after.device.name], ['harbour', 'Gate 7, north'])
  assert.equal((await edit(hub, { site: 'main' })).status, 200)
  assert.equal((await show(hub)).device.site, 'main', 'back where it was enrolled')
})

test('enrolling it again keeps the site of its topics, and where it stands', async (t) => {
  const hub = await openTestHub(t)
  await hub.enrol('gate')
  await edit(hub, { site: 'harbour' })
  const elsewhere = { deviceId: 'gate', site: 'yard' }
  const refused = await hub.api('POST', '/api/enrolment-tokens', elsewhere)
  assert.equal(refused.status, 409)
  const { detail } = (await refused.json()) as Problem
  assert.match(detail, /it belongs to "harbour"; move it with .*device edit gate --site yard/)
  const same = { deviceId: 'gate', site: 'harbour' }
  const made = await hub.api('POST', '/api/enrolment-tokens', same)
  assert.equal(made.status, 201)
  assert.equal(((await made.json()) as EnrolmentToken).site, 'main')
  const again = await hub.enrol('gate')
  assert.equal(again.site, 'main')
  assert.equal((await show(hub)).device.site, 'harbour')
})

test('nothing to change, and what is no name or site, is refused', async (t) => {
  const hub = await openTestHub(t)
  await hub.enrol('gate')
  for (const body of [
    {},
    { name: '' },
    { name: ' \t ' },
    { name: 'x'.repeat(121) },
    { site: 'Not A Site' },
    { site: 'a/b' },
    { deviceId: 'other' },
  ]) {
    assert.equal((await edit(hub, body)).status, 400, JSON.stringify(body))
  }
  assert.equal((await hub.api('PUT', '/api/devices/nobody/place', { name: 'x' })).status, 404)
  const empty = await runCommand(hub, 'device', 'edit', 'gate')
  assert.equal(empty.code, 2)
  assert.match(empty.stderr, /nothing to change/)
})

const edit = (hub: TestHub, body: object) => hub.api('PUT', '/api/devices/gate/place', body)

const show = async (hub: TestHub) =>
  (await (await hub.api('GET', '/api/devices/gate')).json()) as DeviceDetail
