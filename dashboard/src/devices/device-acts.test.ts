import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DeviceActs } from '@edgeloop/protocol'
import { actOn, countReasons, thoseThat, undoOf } from './device-acts.ts'

const ids = Array.from({ length: 250 }, (_, i) => `box-${i}`)
const { signal } = new AbortController()

/** What a hub answers that changes every device but each tenth. */
async function answer(some: readonly string[]): Promise<DeviceActs> {
  const devices = some.map((deviceId): DeviceActs['devices'][number] =>
    deviceId.endsWith('0')
      ? { deviceId, outcome: 'unchanged', text: 'it has no streams' }
      : { deviceId, outcome: 'changed', text: 'ok', undo: { version: 2, to: 1 } },
  )
  return { changed: 0, unchanged: 0, failed: 0, devices }
}

test('every device is acted on once, in order, and progress is told', async () => {
  const progress: number[] = []
  const done = await actOn(ids, answer, (count) => progress.push(count), signal)
  assert.deepEqual(
    done.devices.map(({ deviceId }) => deviceId),
    ids,
  )
  assert.deepEqual(progress, [100, 200, 250])
  assert.deepEqual(done.left, [])
  assert.equal(thoseThat(done, 'unchanged').length, 25)
  assert.equal(undoOf(done).length, 225)
  assert.deepEqual(undoOf(done)[0], { deviceId: 'box-1', version: 2, to: 1 })
})

test('who stops it, and a hub that goes away, leave the rest as it is', async () => {
  const stop = new AbortController()
  const stopped = await actOn(ids, answer, () => stop.abort(), stop.signal)
  assert.deepEqual(
    [stopped.devices.length, stopped.left.length, stopped.why],
    [100, 150, undefined],
  )
  let asked = 0
  const failing = async (some: readonly string[]) => {
    if (++asked > 2) throw new Error('The hub does not answer')
    return await answer(some)
  }
  const failed = await actOn(ids, failing, () => {}, signal)
  assert.deepEqual(
    [failed.devices.length, failed.left, failed.why],
    [200, ids.slice(200), 'The hub does not answer'],
  )
})

test('reasons are counted, the most frequent first', () => {
  const of = (text: string) => ({ deviceId: 'a', outcome: 'unchanged' as const, text })
  assert.deepEqual(countReasons([of('b'), of('a'), of('c'), of('c')]), [
    { text: 'c', count: 2 },
    { text: 'a', count: 1 },
    { text: 'b', count: 1 },
  ])
})
