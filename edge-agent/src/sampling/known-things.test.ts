import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Detection } from '@edgeloop/protocol'
import { followKnown, withKnown } from './known-things.ts'

const at = (left: number, label = 'cup', score = 0.3): Detection => ({
  label,
  score,
  box: [left, 0.4, 0.1, 0.1],
})

test('a thing that was kept is known as it goes on, whatever it is called then', () => {
  let known = withKnown([], [at(0.1)])
  for (let step = 1; step <= 10; step++) {
    const left = 0.1 + 0.06 * step
    const other = step % 2 === 0 ? 'cup' : 'bowl'
    const next = followKnown(known, [at(left, other), at(left + 0.01, 'vase'), at(left - 0.4)])
    known = next.known
    assert.deepEqual(next.seen, ['passing', 'passing', 'new'], `step ${step}`)
  }
})

test('what comes after it is new, and two things do not become one', () => {
  const known = withKnown([], [at(0.3), at(0.42)])
  assert.equal(known.length, 2)
  const { seen } = followKnown(known, [at(0.35), at(0.47), at(0.2)])
  assert.deepEqual(seen, ['passing', 'passing', 'new'])
})

test('two opinions are one thing; what is missed for some frames is forgotten', () => {
  let known = withKnown([], [at(0.3), at(0.3, 'bowl')])
  assert.equal(known.length, 1)
  for (let missed = 0; missed < 3; missed++) known = followKnown(known, []).known
  assert.deepEqual(followKnown(known, [at(0.3)]).seen, ['standing'])
  known = followKnown(known, []).known
  assert.deepEqual(followKnown(known, [at(0.3)]).seen, ['new'])
})

test('so many things are followed and no more', () => {
  const many = Array.from({ length: 300 }, (_, i) => at(i))
  assert.equal(withKnown([], many).length, 256)
})
