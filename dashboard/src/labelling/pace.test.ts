import assert from 'node:assert/strict'
import { test } from 'node:test'
import { paceAnswersMax, paceOf } from './pace.ts'

test('paceOf() counts the last answers by the time they were looked at', () => {
  assert.equal(paceOf([]), undefined)
  const one = { at: 0, edits: 0, lookedMs: 3000 }
  assert.equal(paceOf([one])?.framesPerMinute, undefined)
  assert.deepEqual(paceOf([one, { ...one, edits: 3 }]), {
    framesPerMinute: 20,
    editsPerFrame: 1.5,
    untouched: 0.5,
    answers: 2,
  })
  const away = { ...one, lookedMs: 3_600_000 }
  assert.equal(paceOf([away, away])?.framesPerMinute, 1, 'a break is not an hour for one frame')
  const many = [
    ...Array<typeof away>(10).fill(away),
    ...Array<typeof one>(paceAnswersMax).fill(one),
  ]
  assert.equal(paceOf(many)?.framesPerMinute, 20)
})
