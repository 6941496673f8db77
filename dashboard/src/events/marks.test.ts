import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Act, actsMax, isMarked, remember, withMarking } from './marks.ts'
import { storedEvent } from './stored-event.test-rows.ts'

const at = '2026-11-20T12:00:00.000Z'
const mark = { mark: 'reviewed', user: 'anna', at } as const

test('withMarking() sets and takes back, changes nothing twice and nobody else', () => {
  const event = storedEvent(1)
  const marked = withMarking(event, { eventIds: [1, 2], mark, set: true })
  assert.deepEqual(marked.marks, [mark])
  assert.equal(withMarking(marked, { eventIds: [1], mark, set: true }), marked)
  assert.equal(withMarking(event, { eventIds: [2], mark, set: true }), event)
  assert.equal(withMarking(event, { eventIds: [1], mark, set: false }), event)
  const both = withMarking(marked, { eventIds: [1], mark: { ...mark, user: 'bob' }, set: true })
  const left = withMarking(both, { eventIds: [1], mark, set: false })
  assert.deepEqual(
    left.marks.map(({ user }) => user),
    ['bob'],
  )
  assert.ok(isMarked(left, 'reviewed', 'bob'))
  assert.ok(!isMarked(left, 'reviewed', 'anna'))
  assert.ok(!isMarked(left, 'important', 'bob'))
})

test('remember() keeps the newest acts, and none that did nothing', () => {
  const act = (id: number): Act => ({ eventIds: [id], mark: 'important', set: true })
  let acts: readonly Act[] = []
  for (let n = 0; n < actsMax + 5; n++) acts = remember(acts, act(n))
  assert.equal(acts.length, actsMax)
  assert.deepEqual(acts.at(-1)?.eventIds, [actsMax + 4])
  assert.equal(remember(acts, { ...act(1), eventIds: [] }), acts)
})
