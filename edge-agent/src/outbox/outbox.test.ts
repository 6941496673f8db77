import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { EventBatch, NewEvent } from '@edgeloop/protocol'
import { openOutbox } from './outbox.ts'

const at = '2026-01-01T00:00:00.000Z'
const said = (reason: string): NewEvent => ({
  kind: 'stream',
  at,
  streamId: 'cam',
  state: 'live',
  reason,
})

async function fileFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'outbox-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return join(folder, 'outbox.db')
}

test('openOutbox(): numbers come back in the order of append(), after one commit for many', async (t) => {
  const file = await fileFor(t)
  await using outbox = await openOutbox({ file, bootId: randomUUID() })
  const numbers = await Promise.all(Array.from({ length: 2000 }, () => outbox.append(said('x'))))
  assert.deepEqual(
    numbers,
    Array.from({ length: 2000 }, (_, i) => i + 1),
  )
  assert.equal(outbox.figures.entries, 2000)
})

test('openOutbox(): whoever waits for entries is woken by one, and by the end', async (t) => {
  await using outbox = await openOutbox({ file: await fileFor(t), bootId: randomUUID() })
  const stop = new AbortController()
  assert.equal(await outbox.peekBatch(), undefined)
  const woken = outbox.filled(stop.signal)
  await outbox.append(said('x'))
  await woken
  const batch = await outbox.peekBatch()
  await outbox.acknowledge(batch?.bootId ?? '', batch?.through ?? 0)
  const never = outbox.filled(stop.signal)
  stop.abort()
  await never
})

test('openOutbox(): what was appended before the end is on disk after it', async (t) => {
  const file = await fileFor(t)
  const bootId = randomUUID()
  const first = await openOutbox({ file, bootId })
  const last = Promise.all([first.append(said('a')), first.append(said('b'))])
  await first[Symbol.asyncDispose]()
  assert.deepEqual(await last, [1, 2])
  assert.equal(await first.append(said('too late')), undefined)
  await assert.rejects(first.peekBatch(), /it is closed/)
  await using second = await openOutbox({ file, bootId: randomUUID() })
  const batch = await second.peekBatch()
  assert.deepEqual([batch?.bootId, batch?.entries], [bootId, 2])
})

test('append(): an event larger than an entry may be becomes a counted loss', async (t) => {
  await using outbox = await openOutbox({ file: await fileFor(t), bootId: randomUUID() })
  const large = outbox.append(said('x'.repeat(40_000)))
  assert.equal(await large, undefined)
  assert.equal(await outbox.append(said('small')), 2)
  const batch: EventBatch = JSON.parse((await outbox.peekBatch())?.payload ?? '')
  assert.deepEqual(
    batch.entries.map((entry) => ({ ...entry, at })),
    [
      {
        sequence: 1,
        through: 1,
        kind: 'loss',
        at,
        reason: 'outboxFull',
        aggregates: 0,
        events: 1,
        alarms: 0,
      },
      { sequence: 2, ...said('small') },
    ],
  )
})

test('openOutbox() refuses a bound that cannot work, and a file in use', async (t) => {
  const file = await fileFor(t)
  await assert.rejects(
    openOutbox({ file, bootId: randomUUID(), bytesMax: 1000 }),
    /bytesMax higher/,
  )
  await using _outbox = await openOutbox({ file, bootId: randomUUID() })
  await assert.rejects(openOutbox({ file, bootId: randomUUID() }), /another agent uses it/)
})
