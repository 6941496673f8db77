import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StreamConfig } from '@edgeloop/protocol'
import {
  beginDraft,
  changesOf,
  editDraft,
  isChanged,
  rebaseDraft,
  redoDraft,
  stepsMax,
  undoDraft,
  withRedaction,
  withSampling,
} from './stream-draft.ts'

const base: StreamConfig = { streamId: 'gate', source: 'demo:1', analysisFps: 5, scoreMin: 0.4 }

test('a draft goes back and forth through its steps, and a new step ends the way forth', () => {
  let draft = beginDraft(base, 3)
  draft = editDraft(draft, { analysisFps: 2 })
  draft = editDraft(draft, { scoreMin: 0.6 })
  assert.ok(isChanged(draft))
  draft = undoDraft(draft)
  assert.deepEqual(draft.stream, { ...base, analysisFps: 2 })
  draft = redoDraft(draft)
  assert.deepEqual(draft.stream, { ...base, analysisFps: 2, scoreMin: 0.6 })
  draft = editDraft(undoDraft(undoDraft(draft)), { analysisFps: 9 })
  assert.equal(redoDraft(draft), draft)
  assert.deepEqual(undoDraft(draft).stream, base)
  assert.equal(undoDraft(undoDraft(draft)).stream, base)
})

test('editDraft() leaves out what becomes undefined, and nothing is no step', () => {
  const draft = editDraft(beginDraft(base, 3), { scoreMin: undefined })
  assert.deepEqual(draft.stream, { streamId: 'gate', source: 'demo:1', analysisFps: 5 })
  assert.equal(editDraft(draft, { analysisFps: 5 }), draft)
})

test('editDraft() takes what goes on together as one step, and bounds how many there are', () => {
  let draft = editDraft(beginDraft(base, 3), { analysisFps: 1 })
  for (let n = 2; n < 20; n++) draft = editDraft(draft, { analysisFps: n }, true)
  assert.equal(undoDraft(draft).stream, base)
  for (let n = 0; n < stepsMax + 10; n++) draft = editDraft(draft, { analysisFps: 20 + n })
  assert.equal(draft.past.length, stepsMax)
})

test('changesOf() names what differs', () => {
  const zone = {
    name: 'door',
    polygon: [
      [0, 0],
      [1, 0],
      [1, 1],
    ],
  }
  const changes = changesOf(base, { ...base, analysisFps: 2, zones: [zone] })
  assert.deepEqual(
    changes.map(({ path, before }) => [path, before]),
    [
      ['/streams/gate/analysisFps', 5],
      ['/streams/gate/zones', undefined],
    ],
  )
  assert.deepEqual(changesOf(base, { ...base }), [])
})

test('rebaseDraft() keeps what each changed, and names what both did', () => {
  const draft = editDraft(beginDraft(base, 3), { analysisFps: 2, name: 'Gate' })
  const theirs = { ...base, analysisFps: 9, scoreMin: 0.7 }
  const { draft: next, both } = rebaseDraft(draft, theirs, 4)
  assert.deepEqual(next.stream, { ...base, analysisFps: 2, name: 'Gate', scoreMin: 0.7 })
  assert.equal(next.version, 4)
  assert.deepEqual(both, ['analysisFps'])
  assert.deepEqual(rebaseDraft(draft, { ...base, scoreMin: 0.7 }, 4).both, [])
  // Both came to the same: nothing is in dispute.
  assert.deepEqual(rebaseDraft(draft, { ...base, analysisFps: 2 }, 4).both, [])
})

test('withSampling() keeps what it does not name, and an empty field is no setting', () => {
  const sampling = { framesPerDay: 50, bytesPerDay: 5_000_000, rareLabels: ['washer'] }
  const draft = editDraft(
    beginDraft({ ...base, sampling }, 3),
    withSampling({ sampling }, { framesPerDay: 80, bytesPerDay: undefined }),
  )
  assert.deepEqual(draft.stream.sampling, { framesPerDay: 80, rareLabels: ['washer'] })
  assert.deepEqual(
    changesOf(draft.base, draft.stream).map(({ path }) => path),
    ['/streams/gate/sampling/framesPerDay', '/streams/gate/sampling/bytesPerDay'],
  )
  assert.deepEqual(withSampling({}, { framesPerDay: 1 }), { sampling: { framesPerDay: 1 } })
  // Off is the whole setting away, and on again begins anew.
  assert.equal(editDraft(draft, { sampling: undefined }).stream.sampling, undefined)
  // A draft in which nothing of it was touched is as it was, to the last key.
  const other = editDraft(beginDraft({ ...base, sampling }, 3), { analysisFps: 2 })
  assert.equal(other.stream.sampling, sampling)
})

test('withRedaction() keeps what it does not name, and goes with its labels', () => {
  const redact = { labels: ['face'], model: 'faces', margin: 0.3 }
  assert.deepEqual(withRedaction({ redact }, { method: 'fill' }).redact, {
    ...redact,
    method: 'fill',
  })
  assert.deepEqual(withRedaction({ redact }, { model: undefined }).redact, {
    labels: ['face'],
    margin: 0.3,
  })
  assert.equal(withRedaction({ redact }, { labels: undefined }).redact, undefined)
  assert.deepEqual(withRedaction({}, { labels: ['plate'] }).redact, { labels: ['plate'] })
  const draft = editDraft(
    beginDraft({ ...base, redact }, 3),
    withRedaction({ redact }, { labels: [] }),
  )
  assert.equal('redact' in draft.stream, false)
  assert.deepEqual(undoDraft(draft).stream.redact, redact)
})
