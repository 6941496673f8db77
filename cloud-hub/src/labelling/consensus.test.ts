import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SampleAnnotation } from '@edgeloop/protocol'
import fc from 'fast-check'
import { comparedOf, consensusOf, kappaOf, matchDrawn, overlap } from './consensus.ts'

type Drawn = Parameters<typeof overlap>[0]
const box = (left: number, top: number, side = 0.2, label = 'cup'): Drawn => ({
  kind: 'box',
  label,
  box: [left, top, side, side],
})
const outline = (points: [number, number][], label = 'cup'): Drawn => ({
  kind: 'polygon',
  label,
  points,
})
const named = (label: string): SampleAnnotation => ({ kind: 'class', label })

test('overlap of boxes is exact, of outlines nearly so', () => {
  assert.ok(Math.abs(overlap(box(0, 0), box(0.1, 0)) - 1 / 3) < 1e-9)
  assert.equal(overlap(box(0, 0), box(0.5, 0.5)), 0)
  // A triangle is half of its box.
  const half = outline([
    [0, 0],
    [0.4, 0],
    [0, 0.4],
  ])
  assert.ok(Math.abs(overlap(half, box(0, 0, 0.4)) - 0.5) < 0.02)
  assert.equal(overlap(half, half), 1)
})

test('each object is matched once, the best overlap first', () => {
  const found = matchDrawn([box(0, 0), box(0.05, 0)], [box(0.05, 0), box(0.6, 0.6)], 0.3)
  assert.deepEqual(
    found.map(({ one, other }) => [one, other]),
    [[1, 0]],
  )
})

test('of three people, two decide what is there, where and what it is', () => {
  const found = consensusOf(
    [[box(0.1, 0.1), box(0.7, 0.7)], [box(0.12, 0.1, 0.2, 'mug')], [box(0.14, 0.1)]],
    0.5,
  )
  assert.ok(found.agreed)
  assert.equal(found.annotations.length, 1)
  const [one] = found.annotations
  assert.ok(one?.kind === 'box' && one.label === 'cup' && Math.abs(one.box[0]! - 0.12) < 1e-9)
})

test('labels of whole pictures need a majority too', () => {
  assert.deepEqual(consensusOf([[named('day')], [named('day')], [named('night')]], 0.5), {
    agreed: true,
    annotations: [named('day')],
  })
  assert.equal(consensusOf([[named('day')], [named('night')]], 0.5).agreed, false)
  assert.equal(consensusOf([[named('a')], [named('b')], [named('c')]], 0.5).agreed, false)
  assert.deepEqual(consensusOf([[], [], []], 0.5), { agreed: true, annotations: [] })
})

test('people who say the same agree on it, in whatever order', () => {
  const share = fc.double({ min: 0, max: 0.7, noNaN: true })
  const drawn = fc
    .record({
      left: share,
      top: share,
      side: fc.double({ min: 0.05, max: 0.3, noNaN: true }),
      label: fc.constantFrom('cup', 'mug'),
    })
    .map(({ left, top, side, label }) => box(left, top, side, label))
  fc.assert(
    fc.property(
      fc.array(drawn, { maxLength: 8 }),
      fc.integer({ min: 2, max: 5 }),
      (all, people) => {
        const answers = Array.from({ length: people }, (_, at) => (at % 2 ? all.toReversed() : all))
        const found = consensusOf(answers, 0.6)
        assert.ok(found.agreed, JSON.stringify(found))
        assert.equal(found.annotations.length, all.length)
        for (const answer of answers) {
          const { matched, all: total } = comparedOf(answer, answers[0]!, 0.6)
          assert.equal(matched, total)
        }
      },
    ),
    { numRuns: 60 },
  )
})

test('kappa: 1 where all is named alike, 0 where chance names it, below where worse', () => {
  assert.equal(kappaOf([['a', 'a']]), undefined)
  assert.equal(
    kappaOf([
      ['a', 'a'],
      ['b', 'b'],
    ]),
    1,
  )
  assert.equal(
    kappaOf([
      ['a', 'a'],
      ['a', 'b'],
      ['b', 'a'],
      ['b', 'b'],
    ]),
    0,
  )
  assert.ok((kappaOf([['a', 'b']]) ?? 0) < 0)
})
