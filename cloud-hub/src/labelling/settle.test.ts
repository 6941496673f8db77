import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SampleAnnotation } from '@edgeloop/protocol'
import { admitAnswer, type CountedAnswer, settle } from './settle.ts'

const box = (left: number, label = 'cup'): SampleAnnotation => ({
  kind: 'box',
  label,
  box: [left, 0.1, 0.2, 0.2],
})
const said = (person: string, ...annotations: SampleAnnotation[]): CountedAnswer => ({
  person,
  part: 'label',
  verdict: 'annotated',
  annotations,
})

test('one answer is enough where one person is asked', () => {
  assert.deepEqual(settle({}, []), { state: 'open' })
  assert.deepEqual(settle({}, [said('anna', box(0.1))]), {
    state: 'done',
    annotations: [box(0.1)],
  })
  assert.deepEqual(settle({}, [said('anna')]), { state: 'done', annotations: [] })
  assert.deepEqual(settle({}, [{ ...said('anna'), verdict: 'skip' }]), { state: 'open' })
  assert.deepEqual(settle({}, [{ ...said('anna'), verdict: 'bad' }]), { state: 'bad' })
  assert.deepEqual(settle({}, [{ ...said('anna'), verdict: 'flag' }]), { state: 'flagged' })
})

test('two who agree give their mean; two who do not need a third', () => {
  const rules = { annotators: 2, agreeIou: 0.5 }
  assert.deepEqual(settle(rules, [said('anna', box(0.1))]), { state: 'open' })
  const both = settle(rules, [said('anna', box(0.1)), said('bert', box(0.12))])
  assert.ok(both.state === 'done')
  const [mean] = both.annotations
  assert.ok(mean?.kind === 'box' && Math.abs(mean.box[0]! - 0.11) < 1e-9)
  const extra = settle(rules, [said('anna', box(0.1)), said('bert', box(0.1), box(0.6))])
  assert.ok(extra.state === 'review' && /drawn by 1 of 2/.test(extra.why ?? ''))
  const named = settle(rules, [said('anna', box(0.1)), said('bert', box(0.1, 'mug'))])
  assert.ok(named.state === 'review' && /"cup" or "mug"/.test(named.why ?? ''))
  const kept = settle(rules, [said('anna', box(0.1)), { ...said('bert'), verdict: 'bad' }])
  assert.ok(kept.state === 'review' && /1 of 2 want to keep it out/.test(kept.why ?? ''))
})

test('a review decides, and waits also where all agree when the queue says so', () => {
  const answers = [said('anna', box(0.1))]
  assert.deepEqual(settle({ review: true }, answers), { state: 'review' })
  const decided = settle({ review: true }, [
    ...answers,
    { ...said('carl', box(0.5)), part: 'review' },
  ])
  assert.deepEqual(decided, { state: 'done', annotations: [box(0.5)] })
  assert.deepEqual(
    settle({ review: true }, [...answers, { ...said('carl'), part: 'review', verdict: 'bad' }]),
    { state: 'bad' },
  )
})

test('an answer to what has changed since is a conflict, but for what only oneself has said', () => {
  const open = { state: 'open', revision: 3 } as const
  assert.deepEqual(admitAnswer({}, open, { revision: 3 }), { as: 'label' })
  assert.deepEqual(admitAnswer({}, open, { revision: 2 }), { outcome: 'conflict' })
  const own = { part: 'label', madeFor: 3, ledTo: 4 } as const
  const done = { state: 'done', revision: 4, own } as const
  assert.deepEqual(admitAnswer({}, done, { revision: 3, again: true }), { as: 'label' })
  assert.deepEqual(admitAnswer({}, { ...done, revision: 5 }, { revision: 3, again: true }), {
    outcome: 'conflict',
  })
  assert.match(JSON.stringify(admitAnswer({}, done, { revision: 4 })), /done already/)
  // Somebody else corrects it: as one who decides.
  assert.deepEqual(admitAnswer({}, { state: 'done', revision: 4 }, { revision: 4, again: true }), {
    as: 'review',
  })
})

test('nobody reviews their own work', () => {
  const own = { part: 'label', madeFor: 0, ledTo: 1 } as const
  const review = { state: 'review', revision: 1 } as const
  const mine = admitAnswer({ review: true }, { ...review, own }, { revision: 1 })
  assert.ok('reason' in mine && /further person/.test(mine.reason))
  assert.deepEqual(admitAnswer({ review: true }, review, { revision: 1 }), { as: 'review' })
  // Their own word they may change.
  const again = admitAnswer({ review: true }, { ...review, own }, { revision: 1, again: true })
  assert.deepEqual(again, { as: 'label' })
})
