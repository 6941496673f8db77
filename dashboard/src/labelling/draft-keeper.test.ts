import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Draft } from './desk.ts'
import { DraftKeeper } from './draft-keeper.ts'
import type { DraftStore } from './draft-store.ts'

const draft = (taskId: number, lookedMs = 0): Draft => ({
  taskId,
  lookedMs,
  revision: 0,
  pieces: [],
  proposed: [],
  steps: [],
  basis: 0,
  again: false,
})

/** A disk that counts what is written, and may be full. */
function open(there: Draft[] = []) {
  const [rows, now] = [new Map(there.map((one) => [one.taskId, one])), new Map<number, Draft>()]
  const seen = { puts: 0, states: 0, isFull: false }
  const store: DraftStore = {
    list: async () => [...rows.values()],
    put: async (one) => {
      seen.puts++
      await new Promise((resolve) => setTimeout(resolve, 1))
      if (seen.isFull) throw new Error('QuotaExceeded')
      rows.set(one.taskId, one)
    },
    remove: async (taskId) => void rows.delete(taskId),
  }
  const keeper = new DraftKeeper({
    store,
    draftOf: (taskId) => now.get(taskId),
    onState: () => void seen.states++,
  })
  return { rows, now, seen, keeper }
}

test('of many changes the last is kept, in few writes', async () => {
  const { rows, now, seen, keeper } = open()
  for (let n = 0; n < 200; n++) {
    now.set(1, draft(1, n))
    keeper.changed(1)
    if (n % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 3))
  }
  now.set(2, draft(2))
  keeper.changed(2)
  await keeper.settled()
  assert.equal(rows.get(1)?.lookedMs, 199)
  assert.ok(rows.has(2))
  assert.ok(seen.puts < 20, `${seen.puts} writes`)
})

test('a draft goes when the hub is told, also one of an earlier page', async () => {
  const { rows, now, seen, keeper } = open([draft(7)])
  assert.deepEqual(await keeper.restore(), [draft(7)])
  now.set(1, draft(1))
  keeper.changed(1)
  await keeper.settled()
  assert.deepEqual([...rows.keys()], [7, 1])
  now.clear()
  for (const taskId of [1, 7, 9]) keeper.changed(taskId)
  await keeper.settled()
  assert.equal(rows.size, 0)
  assert.equal(seen.puts, 1)
})

test('a disk without room is said, and so is that there is room again', async () => {
  const { rows, now, seen, keeper } = open()
  now.set(1, draft(1))
  seen.isFull = true
  keeper.changed(1)
  await keeper.settled()
  assert.deepEqual([keeper.isKept, seen.states], [false, 1])
  seen.isFull = false
  keeper.changed(1)
  await keeper.settled()
  assert.deepEqual([keeper.isKept, seen.states], [true, 2])
  assert.ok(rows.has(1))
})
