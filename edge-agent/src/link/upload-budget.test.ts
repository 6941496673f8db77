import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openUploadBudget, refill } from './upload-budget.ts'

const { signal } = new AbortController()

test('refill() gains with time and holds one second at most', () => {
  const empty = { bytes: -500, atMs: 0 }
  assert.equal(refill(empty, 1000, 250).bytes, -250)
  assert.equal(refill(empty, 1000, 60_000).bytes, 1000)
  assert.equal(refill(empty, 1000, -5).bytes, -500)
})

test('take() lets events go before live pictures before snapshots', async () => {
  const budget = openUploadBudget(20_000)
  await budget.take('snapshots', 22_000, signal)
  const order: string[] = []
  const uploads = ['snapshots', 'live', 'events', 'events'] as const
  await Promise.all(
    uploads.map(async (upload) => {
      await budget.take(upload, 1000, signal)
      order.push(upload)
    }),
  )
  assert.deepEqual(order, ['events', 'events', 'live', 'snapshots'])
})

test('take() keeps to the budget, and ends with its signal', async () => {
  const budget = openUploadBudget(100_000)
  const startedAt = performance.now()
  for (let i = 0; i < 8; i++) await budget.take('events', 20_000, signal)
  const tookMs = performance.now() - startedAt
  assert.ok(tookMs >= 350, `160 KB at 100 KB/s, of which one second is free, took ${tookMs} ms`)
  const gone = AbortSignal.abort(new Error('gone'))
  await assert.rejects(budget.take('live', 1, gone), /gone/)
})
