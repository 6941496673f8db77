/** When a device came and went, as the hub saw it. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { type ConnectionChange, topicFor } from '@edgeloop/protocol'
import { openTestHub, type TestDevice, type TestHub } from './fixture.ts'

test('the hub remembers when a device came and went, over a restart, and only so often', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  assert.deepEqual(await connections(hub), [])
  const beganAt = Date.now()
  for (let i = 0; i < 2; i++) {
    const client = await come(device)
    await t.waitFor(async () => assert.equal((await connections(hub))[0]?.online, true), soon)
    client.end(true)
    await t.waitFor(async () => assert.equal((await connections(hub))[0]?.online, false), soon)
  }
  const changes = await connections(hub)
  assert.deepEqual(
    changes.map(({ online }) => online),
    [false, true, false, true],
  )
  const times = changes.map(({ at }) => Date.parse(at))
  assert.deepEqual(
    times,
    times.toSorted((a, b) => b - a),
  )
  assert.ok((times.at(-1) ?? 0) >= beganAt && (times[0] ?? 0) <= Date.now())
  await hub.reopen()
  assert.deepEqual(await connections(hub), changes)

  for (let i = 0; i < 55; i++) {
    const client = await come(device)
    await t.waitFor(async () => assert.equal((await connections(hub))[0]?.online, true), soon)
    client.end(true)
    await t.waitFor(async () => assert.equal((await connections(hub))[0]?.online, false), soon)
  }
  assert.equal((await connections(hub)).length, 100)
})

const soon = { timeout: 15_000, interval: 5 }

async function connections(hub: TestHub): Promise<ConnectionChange[]> {
  const reply = await hub.api('GET', '/api/devices/gate/connections')
  return (await reply.json()) as ConnectionChange[]
}

async function come(device: TestDevice) {
  const client = await device.connect()
  const status = { state: 'online', at: new Date().toISOString(), bootId: randomUUID() }
  await client.publishAsync(topicFor('status', device), JSON.stringify(status), {
    qos: 1,
    retain: true,
  })
  return client
}
