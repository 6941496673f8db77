import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readServerSentEvents } from './server-sent-events.ts'

async function read(...chunks: string[]): Promise<{ event: string; data: string; id: string }[]> {
  const encoder = new TextEncoder()
  return Array.fromAsync(
    readServerSentEvents(ReadableStream.from(chunks.map((chunk) => encoder.encode(chunk)))),
  )
}

test('readServerSentEvents() gives type, data and id, whatever the chunks', async () => {
  const text = ': hello\n\nid: 1-2\nevent: change\ndata: {"a":\ndata: 1}\n\ndata: x\n\n'
  const expected = [
    { event: 'change', data: '{"a":\n1}', id: '1-2' },
    { event: 'message', data: 'x', id: '' },
  ]
  assert.deepEqual(await read(text), expected)
  assert.deepEqual(await read(...text), expected)
})

test('readServerSentEvents() refuses an event without an end', async () => {
  await assert.rejects(read('data: '.padEnd(5 * 1024 * 1024, 'x')), /one is longer/)
})
