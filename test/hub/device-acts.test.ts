/** One act on many devices: counted first, done for each, and one that refuses holds up no other. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type {
  AuditPage,
  ConfigVersion,
  DeviceActs,
  DeviceDetail,
  DeviceRow,
  Problem,
} from '@edgeloop/protocol'
import { runCommand } from './command.ts'
import { openTestHub, type TestHub } from './fixture.ts'

const camera = { streamId: 'one', source: 'rtsp://admin:secret@camera/1' }

test('settings of streams: a dry run says what the act then does, device by device', async (t) => {
  const hub = await openTestHub(t)
  for (const id of ['a', 'b', 'c', 'd']) await hub.enrol(id)
  await put(hub, 'a', [camera, { ...camera, streamId: 'two', analysisFps: 2 }])
  await put(hub, 'b', [{ ...camera, analysisFps: 2 }])
  await put(hub, 'c', [camera])
  const act = async (dryRun: boolean) =>
    json<DeviceActs>(
      await hub.api('POST', '/api/device-acts/stream-settings', {
        devices: ['a', 'b', 'nobody', 'c', 'd', 'a'],
        set: { analysisFps: 2 },
        dryRun,
      }),
    )
  const planned = await act(true)
  assert.deepEqual(planned.devices, [
    { deviceId: 'a', outcome: 'changed', text: '1 of 2 streams' },
    { deviceId: 'b', outcome: 'unchanged', text: 'its streams are so already' },
    { deviceId: 'nobody', outcome: 'failed', text: 'Cannot find device "nobody": never enrolled' },
    { deviceId: 'c', outcome: 'changed', text: '1 of 1 streams' },
    { deviceId: 'd', outcome: 'unchanged', text: 'it has no streams' },
  ])
  assert.deepEqual([planned.changed, planned.unchanged, planned.failed], [2, 2, 1])
  assert.equal((await show(hub, 'a')).desired?.version, 1, 'nothing was changed')

  const done = await act(false)
  assert.deepEqual(
    done.devices.map(({ undo: _, ...one }) => one),
    planned.devices,
  )
  assert.deepEqual(
    done.devices.map(({ undo }) => undo),
    [{ version: 2, to: 1 }, undefined, undefined, { version: 2, to: 1 }, undefined],
  )
  const versions = await json<ConfigVersion[]>(
    await hub.api('GET', '/api/devices/a/config/versions'),
  )
  assert.deepEqual(
    versions.map(({ version, by }) => [version, by]),
    [
      [2, 'local'],
      [1, 'local'],
    ],
  )
  const { streams } = (await show(hub, 'a')).desired?.config ?? { streams: [] }
  assert.deepEqual(
    streams.map(({ analysisFps }) => analysisFps),
    [2, 2],
  )
  assert.equal((await act(false)).changed, 0)
})

test('what was set on many is taken back, but for who was edited since', async (t) => {
  const hub = await openTestHub(t)
  for (const id of ['a', 'b']) {
    await hub.enrol(id)
    await put(hub, id, [camera])
  }
  const set = { devices: ['a', 'b'], set: { analysisFps: 2 } }
  const done = await json<DeviceActs>(
    await hub.api('POST', '/api/device-acts/stream-settings', set),
  )
  const edit = { version: 2, config: { streams: [] } }
  assert.equal((await hub.api('PUT', '/api/devices/b/desired', edit)).status, 200)
  const devices = done.devices.map(({ deviceId, undo }) => ({ deviceId, ...undo }))
  const undone = await json<DeviceActs>(
    await hub.api('POST', '/api/device-acts/rollback', {
      devices: [...devices, { deviceId: 'nobody', version: 2, to: 1 }],
    }),
  )
  assert.deepEqual([undone.changed, undone.unchanged, undone.failed], [1, 0, 2])
  assert.deepEqual(undone.devices[0], {
    deviceId: 'a',
    outcome: 'changed',
    text: 'version 1 again',
    undo: { version: 3, to: 2 },
  })
  assert.match(undone.devices[1]?.text ?? '', /Cannot replace version 2: the newest is 3/)
  const { streams } = (await show(hub, 'a')).desired?.config ?? assert.fail()
  assert.equal(streams[0]?.analysisFps, undefined)
  assert.equal(streams[0]?.source, 'rtsp://admin:…@camera/1', 'its password has stayed')
})

test('each device of an act has an entry of its own in the audit log; looking leaves none', async (t) => {
  const hub = await openTestHub(t)
  for (const id of ['a', 'b']) await hub.enrol(id)
  await put(hub, 'a', [camera])
  const devices = ['a', 'b', 'nobody']
  const set = { devices, set: { analysisFps: 2 } }
  await hub.api('POST', '/api/device-acts/stream-settings', { ...set, dryRun: true })
  await hub.api('POST', '/api/device-acts/retire', { devices, dryRun: true })
  await hub.api('POST', '/api/device-acts/stream-settings', set)
  await hub.api('POST', '/api/device-acts/retire', { devices })
  const { entries } = await json<AuditPage>(await hub.api('GET', '/api/audit?limit=100'))
  assert.deepEqual(
    entries
      .filter(({ action }) => action.startsWith('devices'))
      .map(({ action, target }) => `${action} ${target}`),
    [
      'devicesRetire ',
      'devicesRetire b',
      'devicesRetire a',
      'devicesStreamsSet ',
      'devicesStreamsSet a',
    ],
  )
})

test('retiring many: the route, and the command line', async (t) => {
  const hub = await openTestHub(t)
  const devices = ['a', 'b', 'c']
  for (const id of devices) await hub.enrol(id)
  await hub.api('POST', '/api/devices/b/retire')
  const dry = await runCommand(hub, 'device', 'retire', ...devices, '--dry-run')
  assert.equal(dry.code, 0, dry.stderr)
  assert.match(dry.stdout, /a\s+changed\s+retired/)
  assert.match(dry.stderr, /Would change 2, leave 1 as they are, fail on 0/)
  assert.deepEqual(await retired(hub), ['b'])
  const done = await runCommand(hub, 'device', 'retire', ...devices, 'nobody', '--json')
  assert.equal(done.code, 1, 'one of them failed')
  const acts = JSON.parse(done.stdout) as DeviceActs
  assert.deepEqual([acts.changed, acts.unchanged, acts.failed], [2, 1, 1])
  assert.deepEqual(await retired(hub), devices)
})

test('acts on nothing, with nothing to set, or with what is no setting are refused', async (t) => {
  const hub = await openTestHub(t)
  const bodies: [string, object, RegExp][] = [
    ['retire', { devices: [] }, /devices/],
    ['retire', { devices: ['A B'] }, /devices/],
    ['retire', { devices: Array.from({ length: 10_001 }, () => 'a') }, /devices/],
    ['stream-settings', { devices: ['a'], set: {} }, /set/],
    ['stream-settings', { devices: ['a'], set: { source: 'rtsp://x' } }, /source/],
    ['stream-settings', { devices: ['a'], set: { analysisFps: 0 } }, /analysisFps/],
  ]
  for (const [act, body, reason] of bodies) {
    const reply = await hub.api('POST', `/api/device-acts/${act}`, body)
    assert.equal(reply.status, 400)
    assert.match((await json<Problem>(reply)).detail, reason)
  }
})

async function json<T>(reply: Response): Promise<T> {
  return (await reply.json()) as T
}

async function put(hub: TestHub, deviceId: string, streams: object[]): Promise<void> {
  const body = { version: 0, config: { streams } }
  assert.equal((await hub.api('PUT', `/api/devices/${deviceId}/desired`, body)).status, 200)
}

const show = async (hub: TestHub, deviceId: string) =>
  json<DeviceDetail>(await hub.api('GET', `/api/devices/${deviceId}`))

async function retired(hub: TestHub): Promise<string[]> {
  const rows = await json<DeviceRow[]>(await hub.api('GET', '/api/devices'))
  return rows.filter(({ health }) => health === 'retired').map(({ deviceId }) => deviceId)
}
