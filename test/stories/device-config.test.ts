/** A whole agent that is asked for more than it can do: it says so, goes on as before, and is led back. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { ConfigVersion, DeviceDetail } from '@edgeloop/protocol'
import { startAgent } from '../faults/agent-process.ts'
import { startHub } from '../faults/hub-process.ts'

const soon = { timeout: 30_000, interval: 100 }

test('a box refuses a configuration, keeps the last good one over a restart, and is rolled back', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'device-config-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await using hub = await startHub({ dataDir: join(folder, 'hub') })
  await using agent = await startAgent({
    hub,
    deviceId: 'box',
    dataDir: join(folder, 'agent'),
    eventsPerSecond: 1,
    ledgerFolder: join(folder, 'ledger'),
    file: { media: { processesMax: 1, streamsPerProcess: 1 } },
  })
  const versions = () => hub.api<ConfigVersion[]>('GET', '/api/devices/box/config/versions')
  const inForce = async () =>
    (await hub.api<DeviceDetail>('GET', '/api/devices/box')).reported?.configVersion
  const outcomes = async () => (await versions()).map(({ outcome }) => outcome)
  await t.waitFor(async () => assert.deepEqual(await outcomes(), ['accepted']), soon)

  const streams = Array.from({ length: 5 }, (_, i) => ({ streamId: `s${i}`, source: 'demo:1' }))
  await hub.api('PUT', '/api/devices/box/desired', { version: 1, config: { streams } })
  await t.waitFor(async () => assert.deepEqual(await outcomes(), ['refused', 'accepted']), soon)
  const [refused] = await versions()
  assert.match(refused?.reason ?? '', /5 streams, this device runs at most 4/)
  assert.equal(await inForce(), 1)
  const { device } = await hub.api<DeviceDetail>('GET', '/api/devices/box')
  assert.match(device.reason, /Configuration 2 refused: .*at most 4/)

  await agent.stop()
  agent.start()
  await t.waitFor(async () => {
    const { device: row, reported } = await hub.api<DeviceDetail>('GET', '/api/devices/box')
    assert.equal(row.connectivity, 'online')
    assert.deepEqual([reported?.configVersion, reported?.config?.accepted], [1, false])
  }, soon)

  await hub.api('POST', '/api/devices/box/config/rollback', { version: 2, to: 1 })
  await t.waitFor(async () => assert.equal((await outcomes())[0], 'accepted'), soon)
  assert.equal(await inForce(), 3)
})
