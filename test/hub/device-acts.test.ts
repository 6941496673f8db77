/** One act on many devices: counted first, done for each, and one that refuses holds up no other. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type {
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

  assert.deepEqual(await act(false), planned)
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
