import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import type { Event, EventBatch } from '@edgeloop/protocol'
import fc from 'fast-check'
import { eventColumns } from '../store/store.ts'
import { historicalAfterMs, type Plan, planBatch } from './plan-batch.ts'
import type { ReceivedBatch } from './read-batch.ts'

const at = '2026-11-20T12:00:00.000Z'
const receivedAt = Date.parse(at)
const bootId = randomUUID()

test('planBatch() takes what follows the mark and moves the mark over it', () => {
  const plan = planOn(2, [alarm(3), alarm(4)])
  assert.equal(plan.batch.expected, 2)
  assert.equal(plan.batch.through, 4)
  assert.deepEqual(sequencesOf(plan), [3, 4])
})

test('planBatch() ignores what lies at or below the mark', () => {
  const plan = planOn(3, [alarm(2), alarm(3), alarm(4)])
  assert.deepEqual(sequencesOf(plan), [4])
  assert.equal(plan.duplicates, 2)
})

test('planBatch() takes nothing beyond a gap, not even what would be bad', () => {
  const plan = planOn(0, [alarm(1), alarm(3), { ...alarm(4), at: 'never' }])
  assert.deepEqual(sequencesOf(plan), [1])
  assert.equal(plan.batch.through, 1)
  assert.equal(plan.beyondGap, 2)
  assert.equal(plan.quarantined, 0)
})

test('planBatch() quarantines a bad event with its reason and goes on behind it', () => {
  const plan = planOn(0, [alarm(1), { ...alarm(2), code: 'unheardOf' }, alarm(3)])
  assert.deepEqual(sequencesOf(plan), [1, 3])
  assert.equal(plan.batch.through, 3)
  const [sequence, reason, text] = plan.batch.quarantined
  assert.equal(sequence, 2)
  assert.match(String(reason), /\/code must be equal to one of the allowed values/)
  assert.match(String(text), /unheardOf/)
})

test('planBatch() quarantines what no schema can catch', () => {
  const bad = [
    [{ ...alarm(1), at: '2026-99-99T99:99:99.999Z' }, /is no time/],
    [{ ...alarm(1), more: 'x'.repeat(40_000) }, /40\d+ characters, allowed 32768/],
    [{ ...loss(5, 9), sequence: 1, through: 0 }, /through/],
    [{ ...alarm(1), kind: 'constructor' }, /"constructor" is none of/],
  ] as const
  for (const [entry, reason] of bad) {
    const plan = planOn(0, [entry])
    assert.equal(plan.batch.through, 1)
    assert.equal(plan.events.length, 0)
    assert.match(String(plan.batch.quarantined[1]), reason)
  }
})

test('planBatch() moves over the whole range of a loss, even of one it quarantines', () => {
  assert.equal(planOn(4, [loss(5, 9), alarm(10)]).batch.through, 10)
  const bad = planOn(4, [{ ...loss(5, 9), reason: 'because' }, alarm(10)])
  assert.equal(bad.batch.through, 10)
  assert.equal(bad.quarantined, 1)
})

test('planBatch() takes the part of a loss above its mark', () => {
  const plan = planOn(6, [loss(5, 9)])
  assert.deepEqual(sequencesOf(plan), [7])
  assert.equal(plan.batch.through, 9)
  const data = JSON.parse(String(plan.batch.events[8]))
  assert.equal(data.sequence, 7)
  assert.equal(data.through, 9)
})

test('planBatch() records as lost what only an earlier store acknowledged', () => {
  const plan = planOn(2, [alarm(8)], 7)
  assert.deepEqual(sequencesOf(plan), [3, 8])
  assert.equal(plan.batch.through, 8)
  const [lost] = plan.events
  assert.ok(lost?.kind === 'loss')
  assert.equal(lost.reason, 'acknowledgedEarlier')
  assert.equal(lost.through, 7)
})

test('planBatch() marks events historical that come in late, and keeps the time of those from the future', () => {
  const late = { ...alarm(1), at: new Date(receivedAt - historicalAfterMs - 1).toISOString() }
  const intime = { ...alarm(2), at: new Date(receivedAt - historicalAfterMs).toISOString() }
  const early = { ...alarm(3), at: new Date(receivedAt + 86_400_000).toISOString() }
  const plan = planOn(0, [late, intime, early])
  const column = (name: (typeof eventColumns)[number]) =>
    plan.events.map(
      (_, i) => plan.batch.events[i * eventColumns.length + eventColumns.indexOf(name)],
    )
  assert.deepEqual(column('historical'), [1, 0, 0])
  assert.equal(column('at')[2], receivedAt + 86_400_000)
})

test('planBatch() takes each event once, in order, whatever is sent again or out of turn', () => {
  // Batches over random ranges of one sequence, as retries after lost acknowledgements make them.
  const ranges = fc.array(
    fc.record({ from: fc.integer({ min: 1, max: 40 }), count: fc.integer({ min: 1, max: 12 }) }),
    { maxLength: 60 },
  )
  fc.assert(
    fc.property(ranges, (batches) => {
      let mark = 0
      const stored: number[] = []
      for (const { from, count } of batches) {
        const entries = Array.from({ length: count }, (_, i) => alarm(from + i))
        const plan = planOn(mark, entries)
        assert.ok(plan.batch.through >= mark, 'a mark never moves back')
        stored.push(...sequencesOf(plan))
        mark = plan.batch.through
        const taken = plan.events.length + plan.duplicates + plan.quarantined + plan.beyondGap
        assert.equal(taken, count, 'every entry is accounted for')
      }
      assert.deepEqual(
        stored,
        Array.from({ length: mark }, (_, i) => i + 1),
      )
    }),
  )
})

function planOn(mark: number, entries: readonly object[], acknowledgedThrough = 0): Plan {
  const batch = { bootId, acknowledgedThrough, entries: [...entries] } as EventBatch
  const received: ReceivedBatch = { batch, texts: entries.map((entry) => JSON.stringify(entry)) }
  return planBatch({ deviceKey: 1, mark, receivedAt }, received)
}

const sequencesOf = ({ batch }: Plan): number[] =>
  batch.events.filter((_, i) => i % eventColumns.length === 0).map(Number)

function alarm(sequence: number): Event {
  return { sequence, kind: 'alarm', at, code: 'diskFull', active: true, text: '' }
}

function loss(sequence: number, through: number): Event {
  const counts = { aggregates: 0, events: through - sequence + 1, alarms: 0 }
  return { sequence, through, kind: 'loss', at, reason: 'outboxFull', ...counts }
}
