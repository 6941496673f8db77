/** Two hubs behind one mosquitto, on one PostgreSQL and with one authority: either may go. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Acknowledged, type EventPage, topicFor } from '@edgeloop/protocol'
import { startMosquitto } from '../broker/mosquitto.ts'
import { createDatabase } from '../postgres/shared-cluster.ts'
import { needs } from '../require.ts'
import { openTestHub } from './fixture.ts'

const batches = 40
const perBatch = 5

test('what both hear is stored once and acknowledged, and goes on when one of them ends', {
  ...needs('mosquitto', 'postgresql'),
}, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-replicas-'))
  const [firstDir, secondDir, files] = ['first', 'second', 'broker'].map((name) =>
    join(folder, name),
  ) as [string, string, string]
  const server = await startMosquitto(firstDir, files)
  t.after(async () => {
    await server[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })
  const given = {
    broker: { url: server.hubUrl, publicUrl: server.deviceUrl, files },
    store: await createDatabase(),
  }
  const first = await openTestHub(t, { ...given, dataDir: firstDir })
  const gate = await first.enrol('gate')
  // A replica has the keys of the others, and learns of devices when it starts.
  await cp(join(firstDir, 'keys'), join(secondDir, 'keys'), { recursive: true })
  const second = await openTestHub(t, { ...given, dataDir: secondDir })
  for (const hub of [first, second]) {
    await t.waitFor(
      async () => {
        const health = (await (await hub.api('GET', '/api/health')).json()) as { status: string }
        assert.equal(health.status, 'ok')
      },
      { interval: 50, timeout: 20_000 },
    )
  }

  const client = await gate.connect()
  const bootId = randomUUID()
  let mark = 0
  client.on('message', (_topic, payload) => {
    mark = Math.max(mark, (JSON.parse(payload.toString()) as Acknowledged).through)
  })
  await client.subscribeAsync(topicFor('acknowledged', gate), { qos: 0 })
  for (let batch = 0; batch < batches; batch++) {
    if (batch === batches / 2) await first.close()
    const from = batch * perBatch
    const entries = Array.from({ length: perBatch }, (_, index) => alarm(from + index + 1))
    const payload = JSON.stringify({ bootId, acknowledgedThrough: mark, entries })
    // As an agent does: what is not acknowledged is said again.
    while (mark < from + perBatch) {
      await client.publishAsync(topicFor('events', gate), payload, { qos: 1 })
      for (let i = 0; i < 200 && mark < from + perBatch; i++) await sleep(10)
    }
  }
  const stored: number[] = []
  for (let before: string | null = ''; before !== null; ) {
    const query: string = before === '' ? '?limit=100' : `?limit=100&before=${before}`
    const page = (await (await second.api('GET', `/api/events${query}`)).json()) as EventPage
    stored.push(...page.events.map(({ sequence }) => sequence))
    before = page.next === null ? null : String(page.next)
  }
  assert.deepEqual(
    stored.reverse(),
    Array.from({ length: batches * perBatch }, (_, index) => index + 1),
  )
})

function alarm(sequence: number) {
  const at = new Date().toISOString()
  return { sequence, kind: 'alarm', at, code: 'diskFull', active: true, text: '' }
}
