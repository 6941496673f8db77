import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { readBatch } from './read-batch.ts'

const bootId = randomUUID()
const good = { bootId, acknowledgedThrough: 0, entries: [{ sequence: 1, kind: 'alarm' }] }

test('readBatch() keeps the text of each entry as it came', () => {
  const text = `{"bootId":"${bootId}","acknowledgedThrough":0,"entries":[{ "sequence" : 1, "n":1.0 }]}`
  assert.deepEqual(readBatch(Buffer.from(text)).texts, ['{ "sequence" : 1, "n":1.0 }'])
})

test('readBatch() keeps texts that are not ASCII', () => {
  const entries = [
    { sequence: 1, text: 'Tür 😀' },
    { sequence: 2, text: 'gate' },
  ]
  const { texts } = readBatch(Buffer.from(JSON.stringify({ ...good, entries })))
  assert.deepEqual(
    texts,
    entries.map((entry) => JSON.stringify(entry)),
  )
})

test('readBatch() writes entries anew that it cannot cut out', () => {
  const text = JSON.stringify(good).replace('"entries"', '"\\u0065ntries"')
  assert.deepEqual(readBatch(Buffer.from(text)).texts, ['{"sequence":1,"kind":"alarm"}'])
})

test('readBatch() refuses what is no batch, and says why', () => {
  const bad: [Uint8Array, RegExp][] = [
    [Buffer.alloc(512 * 1024 + 1), /524289 bytes, allowed 524288/],
    [Buffer.from('{"bootId":'), /not JSON/],
    [Buffer.from([0x22, 0xff, 0xfe, 0x22]), /not JSON/],
    [Buffer.from('null'), /must be object/],
    [Buffer.from(JSON.stringify({ ...good, bootId: 'x' })), /\/bootId must match pattern/],
    [Buffer.from(JSON.stringify({ ...good, entries: [] })), /\/entries must not have fewer than 1/],
    [
      Buffer.from(JSON.stringify({ ...good, entries: [{ sequence: 1e300 }] })),
      /\/sequence must be/,
    ],
    [
      Buffer.from(JSON.stringify({ ...good, entries: [{ sequence: 0 }] })),
      /\/sequence must be >= 1/,
    ],
    [Buffer.from(JSON.stringify({ ...good, entries: [7] })), /\/entries\/0 must be object/],
  ]
  for (const [payload, reason] of bad) {
    assert.throws(() => readBatch(payload), { name: 'Misfit', message: reason })
  }
})
