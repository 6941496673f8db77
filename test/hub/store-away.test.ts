/** A hub whose PostgreSQL is killed and comes back, as devices and people see it. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import type { HubHealth, Problem } from '@edgeloop/protocol'
import { topicFor } from '@edgeloop/protocol'
import { startCluster } from '../postgres/cluster.ts'
import { needs } from '../require.ts'
import { openTestHub, type TestHub } from './fixture.ts'

test(
  'PostgreSQL goes away and comes back: nothing is acknowledged meanwhile, and nothing is lost',
  needs('postgresql'),
  async (t) => {
    await using cluster = await startCluster()
    const store = await cluster.createDatabase()
    const hub = await openTestHub(t, { store })
    const device = await hub.enrol('gate')
    const client = await device.connect()
    const acknowledged: number[] = []
    client.on('message', (topic, payload) => {
      if (topic === topicFor('acknowledged', device)) {
        acknowledged.push(JSON.parse(payload.toString()).through)
      }
    })
    await client.subscribeAsync(topicFor('acknowledged', device), { qos: 1 })
    const bootId = randomUUID()
    const send = (sequence: number) =>
      client.publishAsync(
        topicFor('events', device),
        JSON.stringify({ bootId, acknowledgedThrough: 0, entries: [alarm(sequence)] }),
        { qos: 1 },
      )
    await send(1)
    await t.waitFor(() => assert.deepEqual(acknowledged, [1]), { timeout: 20_000 })

    await cluster.kill()
    await t.waitFor(async () => assert.equal(await status(hub), 'degraded'), { timeout: 20_000 })
    await send(2)
    const refused = await hub.api('GET', '/api/events')
    const problem = (await refused.json()) as Problem
    assert.deepEqual([refused.status, problem.code], [503, 'unavailable'])
    assert.doesNotMatch(problem.detail, /127\.0\.0\.1|edgeloop:/, 'where the store is stays inside')
    assert.deepEqual(acknowledged, [1])

    await cluster.start()
    await t.waitFor(
      async () => {
        // As a device does whose batch was not acknowledged.
        await send(2)
        assert.equal(acknowledged.at(-1), 2)
      },
      { timeout: 30_000, interval: 200 },
    )
    await t.waitFor(async () => assert.equal(await status(hub), 'ok'), { timeout: 20_000 })
    const { events } = (await (await hub.api('GET', '/api/events')).json()) as {
      events: { sequence: number }[]
    }
    assert.deepEqual(
      events.map(({ sequence }) => sequence),
      [2, 1],
    )
    // Nothing keeps a hub from ending whose store is gone for good.
    await cluster.kill()
    await hub.close()
  },
)

test(
  'a hub does not start without its PostgreSQL, and says why',
  needs('postgresql'),
  async (t) => {
    const cluster = await startCluster()
    const store = await cluster.createDatabase()
    await cluster[Symbol.asyncDispose]()
    await assert.rejects(
      openTestHub(t, { store }),
      /Cannot open the store "postgres:\/\/edgeloop:\*\*\*@127.0.0.1:\d+\/test_1": connect ECONNREFUSED/,
    )
  },
)

async function status(hub: TestHub): Promise<HubHealth['status']> {
  const reply = await fetch(`${hub.hub.urls.browser}/api/health`)
  return ((await reply.json()) as HubHealth).status
}

const alarm = (sequence: number) => ({
  sequence,
  kind: 'alarm',
  at: new Date().toISOString(),
  code: 'diskFull',
  active: true,
  text: '',
})
