import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { EventBatch } from '@edgeloop/protocol'
import { type Outbox, openOutbox } from '../outbox/outbox.ts'
import { Acknowledgements, sendEvents } from './sender.ts'
import { openUploadBudget } from './upload-budget.ts'

const budget = openUploadBudget(0)

async function outboxWith(t: TestContext, events: number): Promise<Outbox> {
  const folder = await mkdtemp(join(tmpdir(), 'sender-'))
  const outbox = await openOutbox({ file: join(folder, 'outbox.db'), bootId: randomUUID() })
  t.after(async () => {
    await outbox[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })
  const at = new Date().toISOString()
  for (let i = 0; i < events; i++) {
    await outbox.append({ kind: 'stream', at, streamId: 'cam', state: 'live', reason: `${i}` })
  }
  return outbox
}

/** Sends to a hub that `answer` plays, until the outbox is empty or the sender gives up. */
async function sendTo(
  outbox: Outbox,
  answer: (batch: EventBatch, inbox: Acknowledgements, sends: number) => void,
): Promise<{ error: Error | undefined; sends: number }> {
  const acknowledgements = new Acknowledgements()
  const connection = new AbortController()
  let sends = 0
  const sending = sendEvents({
    outbox,
    budget,
    acknowledgements,
    batchEntries: 3,
    timeoutMs: 20,
    publishEvents: async (payload) => {
      const batch: EventBatch = JSON.parse(payload)
      sends++
      setImmediate(() => answer(batch, acknowledgements, sends))
    },
    signal: connection.signal,
  })
  const watch = setInterval(() => outbox.figures.entries === 0 && connection.abort('drained'), 5)
  const reason = await sending.catch((error: unknown) => error)
  clearInterval(watch)
  return { error: reason instanceof Error ? reason : undefined, sends }
}

const last = ({ entries }: EventBatch): number => entries.at(-1)?.sequence ?? 0

test('sendEvents() goes on batch by batch as the hub acknowledges', async (t) => {
  const outbox = await outboxWith(t, 7)
  const { error, sends } = await sendTo(outbox, (batch, inbox) =>
    inbox.offer({ bootId: batch.bootId, through: last(batch) }),
  )
  assert.deepEqual([error, sends], [undefined, 3])
})

test('sendEvents() sends again what is not acknowledged', async (t) => {
  const outbox = await outboxWith(t, 3)
  const { error, sends } = await sendTo(outbox, (batch, inbox, n) => {
    if (n > 1) inbox.offer({ bootId: batch.bootId, through: last(batch) })
  })
  assert.deepEqual([error, sends], [undefined, 2])
})

test('sendEvents() is not moved by acknowledgements that make no sense', async (t) => {
  const outbox = await outboxWith(t, 3)
  const { error, sends } = await sendTo(outbox, (batch, inbox) => {
    inbox.offer({ bootId: randomUUID(), through: 3 })
    inbox.offer({ bootId: batch.bootId, through: 0 })
  })
  assert.match(error?.message ?? '', /not acknowledged a batch that it was sent 3 times/)
  assert.deepEqual([sends, outbox.figures.entries], [3, 3])
})

test('sendEvents() goes on behind the part that a hub took', async (t) => {
  const outbox = await outboxWith(t, 3)
  const firsts: number[] = []
  const { error } = await sendTo(outbox, (batch, inbox) => {
    firsts.push(batch.entries[0]?.sequence ?? 0)
    inbox.offer({ bootId: batch.bootId, through: firsts.length })
  })
  assert.equal(error, undefined)
  assert.deepEqual(firsts, [1, 2, 3])
})
