/** The past of a device's configuration: who wished what, what became of it, and the way back. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  type ConfigDiff,
  type ConfigVersion,
  type ConfigVersionDetail,
  configVersionsMax,
  type Desired,
  type DeviceConfig,
  type DeviceDetail,
  type Problem,
  type Reported,
  topicFor,
} from '@edgeloop/protocol'
import { needs } from '../require.ts'
import { runCommand } from './command.ts'
import { openTestHub, type TestDevice, type TestHub } from './fixture.ts'

const camera = { streamId: 'one', source: 'rtsp://admin:secret@camera/1' }
const base = '/api/devices/gate/config'

test('versions are kept with author and outcome, compared, and wished again', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  await put(hub, 0, { streams: [camera] })
  await put(hub, 1, { streams: [{ ...camera, analysisFps: 2 }] })
  await put(hub, 2, { streams: [] })
  const versions = await get<ConfigVersion[]>(hub, `${base}/versions`)
  assert.deepEqual(
    versions.map(({ version, by, outcome }) => [version, by, outcome]),
    [3, 2, 1].map((version) => [version, 'local', 'sent']),
  )
  const second = await get<ConfigVersionDetail>(hub, `${base}/versions/2`)
  assert.equal(second.config.streams[0]?.source, 'rtsp://admin:…@camera/1')
  const { changes } = await get<ConfigDiff>(hub, `${base}/diff?from=1&to=2`)
  assert.deepEqual(changes, [{ path: '/streams/one/analysisFps', after: 2, secret: false }])
  assert.equal((await get<ConfigDiff>(hub, `${base}/diff?from=0&to=2`)).changes.length, 1)

  const back = await hub.api('POST', `${base}/rollback`, { version: 3, to: 2 })
  assert.equal(((await back.json()) as Desired).version, 4)
  const wished = await desiredOf(device)
  assert.deepEqual(wished.config.streams, [{ ...camera, analysisFps: 2 }], 'with its password')
  await hub.reopen()
  assert.equal((await get<ConfigVersion[]>(hub, `${base}/versions`)).length, 4)
})

test('of two admins who edit one device, the second is told what the first has changed', async (t) => {
  const hub = await openTestHub(t)
  await hub.enrol('gate')
  await put(hub, 0, { streams: [camera] })
  const config = (await get<DeviceDetail>(hub, '/api/devices/gate')).desired?.config
  const [stream] = config?.streams ?? []
  assert.ok(stream)
  await put(hub, 1, { streams: [{ ...stream, scoreMin: 0.7 }] })
  const late = await hub.api('PUT', '/api/devices/gate/desired', {
    version: 1,
    config: { streams: [{ ...stream, analysisFps: 9 }] },
  })
  assert.equal(late.status, 409)
  const problem = (await late.json()) as Problem
  assert.equal(problem.newest?.version, 2)
  assert.equal(problem.newest?.by, 'local')
  assert.deepEqual(problem.newest?.changes, [
    { path: '/streams/one/scoreMin', after: 0.7, secret: false },
  ])
  const rollback = await hub.api('POST', `${base}/rollback`, { version: 1, to: 1 })
  assert.equal(rollback.status, 409, 'a rollback overwrites nobody either')
})

test('the hub shows what the box made of a version: in force, or refused and why', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  await put(hub, 0, { streams: [camera] })
  await put(hub, 1, { streams: [camera, { ...camera, streamId: 'two' }] })
  const client = await device.connect()
  const report = async (config: Reported['config'], configVersion: number) => {
    await client.publishAsync(
      topicFor('reported', device),
      JSON.stringify(reportOf({ ...(config && { config }), configVersion })),
      { qos: 1, retain: true },
    )
  }
  const outcomes = async () =>
    (await get<ConfigVersion[]>(hub, `${base}/versions`)).map(({ outcome }) => outcome)
  await report({ version: 1, accepted: true, reason: '' }, 1)
  await t.waitFor(async () => assert.deepEqual(await outcomes(), ['sent', 'accepted']), soon)
  const reason = 'Cannot take desired configuration: 2 streams, this device runs at most 1'
  await report({ version: 2, accepted: false, reason }, 1)
  await t.waitFor(async () => assert.deepEqual(await outcomes(), ['refused', 'accepted']), soon)
  const [newest] = await get<ConfigVersion[]>(hub, `${base}/versions`)
  assert.equal(newest?.reason, reason)
  await client.publishAsync(
    topicFor('status', device),
    JSON.stringify({ state: 'online', at: now(), bootId: randomUUID() }),
    { qos: 1, retain: true },
  )
  await t.waitFor(async () => {
    const { device: row } = await get<DeviceDetail>(hub, '/api/devices/gate')
    assert.equal(row.reason, `Configuration 2 refused: ${reason}`)
  }, soon)
})

test('the oldest versions give way, and say so', async (t) => {
  const hub = await openTestHub(t)
  await hub.enrol('gate')
  const count = configVersionsMax + 3
  for (let version = 0; version < count; version++) {
    await put(hub, version, { streams: [{ ...camera, analysisFps: 1 + (version % 50) }] })
  }
  const versions = await get<ConfigVersion[]>(hub, `${base}/versions`)
  assert.deepEqual([versions.length, versions.at(-1)?.version], [configVersionsMax, 4])
  const refused: [Promise<Response>, number, RegExp][] = [
    [hub.api('GET', `${base}/versions/3`), 404, /older than the last 100/],
    [hub.api('GET', `${base}/diff?from=3&to=4`), 404, /version 3/],
    [hub.api('POST', `${base}/rollback`, { version: count, to: 3 }), 404, /version 3/],
    [hub.api('POST', `${base}/rollback`, { version: count }), 400, /to/],
    [hub.api('GET', `${base}/diff?from=4`), 400, /to/],
    [hub.api('GET', `${base}/versions/x`), 400, /version/],
    [hub.api('GET', '/api/devices/nobody/config/versions'), 404, /nobody/],
  ]
  for (const [asked, status, text] of refused) {
    const reply = await asked
    assert.match(((await reply.json()) as Problem).detail, text)
    assert.equal(reply.status, status)
  }
  // A conflict on a version that is not kept any more still says who was faster.
  const late = await hub.api('PUT', '/api/devices/gate/desired', {
    version: 2,
    config: { streams: [] },
  })
  const { newest } = (await late.json()) as Problem
  assert.deepEqual([newest?.version, newest?.changes], [count, undefined])
})

test(
  'device config on the command line: show, set from a file, diff, history, rollback',
  needs('time'),
  async (t) => {
    const hub = await openTestHub(t)
    const device = await hub.enrol('gate')
    await put(hub, 0, { streams: [camera] })
    const file = join(hub.dataDir, 'gate.yaml')
    const run = async (...words: string[]) => {
      const result = await runCommand(hub, 'device', 'config', ...words)
      assert.equal(result.code, 0, result.stderr)
      return result.stdout
    }
    const shown = await run('show', 'gate')
    assert.doesNotMatch(shown, /secret/)
    // What was shown, with one more line, goes back: the password survives.
    await writeFile(file, shown.replace('streamId: one', 'streamId: one\n      analysisFps: 3'))
    const diffed = await run('diff', 'gate', '--file', file)
    assert.match(diffed, /\/streams\/one\/analysisFps.*3/)
    const set = await runCommand(hub, 'device', 'config', 'set', 'gate', file)
    assert.equal(set.code, 0, set.stderr)
    assert.deepEqual((await desiredOf(device)).config.streams, [{ ...camera, analysisFps: 3 }])
    // The file says version 1, which is no longer the newest.
    const again = await runCommand(hub, 'device', 'config', 'set', 'gate', file)
    assert.equal(again.code, 1)
    assert.match(again.stderr, /Cannot replace version 1: the newest is 2/)
    assert.match(again.stderr, /\/streams\/one\/analysisFps/)
    await writeFile(file, JSON.stringify({ streams: [] }))
    assert.equal(JSON.parse(await run('set', 'gate', file, '--json')).version, 3)
    assert.match(await run('history', 'gate'), /3\s+\S+.*local\s+sent/)
    assert.match(await run('diff', 'gate', '1', '2'), /\/streams\/one\/analysisFps/)
    assert.equal(JSON.parse(await run('rollback', 'gate', '2', '--json')).version, 4)
    assert.match(await run('show', 'gate', '--version', '3'), /version: 3/)

    const wrong: [string, RegExp][] = [
      ['{ streams: [{ streamId: one, sauce: x }] }', /did you mean "source"/],
      ['{ streems: [] }', /streems/],
      ['a: [', /no YAML/],
    ]
    for (const [text, reason] of wrong) {
      await writeFile(file, text)
      const { code, stderr } = await runCommand(hub, 'device', 'config', 'set', 'gate', file)
      assert.equal(code, 1)
      assert.match(stderr, reason)
    }
    const missing = await runCommand(hub, 'device', 'config', 'set', 'gate', `${file}.not`)
    assert.match(missing.stderr, /no such file/)
    assert.ok(await readFile(file))
  },
)

const soon = { timeout: 15_000, interval: 50 }
const now = () => new Date().toISOString()

async function get<T>(hub: TestHub, path: string): Promise<T> {
  return (await (await hub.api('GET', path)).json()) as T
}

async function put(hub: TestHub, version: number, config: DeviceConfig): Promise<void> {
  const reply = await hub.api('PUT', '/api/devices/gate/desired', { version, config })
  assert.equal(reply.status, 200, await reply.text())
}

/** The wish that is retained for a device. */
async function desiredOf(device: TestDevice): Promise<Desired> {
  const client = await device.connect()
  const heard = new Promise<Desired>((resolve) =>
    client.once('message', (_topic, payload) => resolve(JSON.parse(payload.toString()))),
  )
  await client.subscribeAsync(topicFor('desired', device))
  return await heard
}

function reportOf(fields: Partial<Reported>): Reported {
  return {
    at: now(),
    bootId: randomUUID(),
    startedAt: now(),
    agentVersion: '1',
    platform: 'linux',
    cpu: 'x',
    cores: 2,
    memoryBytes: 1,
    configVersion: 0,
    streams: [],
    models: [],
    ...fields,
  }
}
