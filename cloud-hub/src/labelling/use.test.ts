import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sampleReasons } from '@edgeloop/protocol'
import fc from 'fast-check'
import { bitsApart, doubtOf, type Looks, unlikeness, useOf } from './use.ts'

const none = new Float32Array()
const suggestion = (score: number) => ({ label: 'cup', score, from: 'champion:cups@1' })

test('what models are unsure of is worth more', () => {
  assert.ok(doubtOf([suggestion(0.5)]) > doubtOf([suggestion(0.9)]))
  assert.ok(doubtOf([suggestion(0.99), suggestion(0.45)]) > 0.85)
  assert.equal(doubtOf([suggestion(0.99)], 0.8), 0.8)
  // What people said or a neighbour showed is no model's doubt.
  assert.equal(doubtOf([{ ...suggestion(1), from: 'dataset' }]), doubtOf([]))
})

test('near copies of what was answered come last, whatever else speaks for them', () => {
  const looks: Looks = { hash: '00ff00ff00ff00ff', embedding: none }
  const copy: Looks = { hash: '00ff00ff00ff00fd', embedding: none }
  const other: Looks = { hash: 'ff00ff0012345678', embedding: none }
  assert.equal(bitsApart(looks.hash, copy.hash), 1)
  const best = { reason: 'asked', doubt: 1, ageMs: 0 } as const
  const least = { reason: 'random', doubt: 0, ageMs: 1e12 } as const
  assert.ok(
    useOf({ ...best, novelty: unlikeness(looks, copy) }) <
      useOf({ ...least, novelty: unlikeness(looks, other) }),
  )
  assert.equal(unlikeness(looks, { hash: '', embedding: none }), 1)
})

test('embeddings tell pictures apart that look alike from afar', () => {
  const [east, north] = [new Float32Array([1, 0]), new Float32Array([0, 1])]
  const at = (embedding: Float32Array): Looks => ({ hash: '', embedding })
  assert.ok(unlikeness(at(east), at(east)) < 0.05)
  assert.equal(unlikeness(at(east), at(north)), 1)
})

test('use is a share for any facts, and falls with age', () => {
  const share = fc.double({ min: 0, max: 1, noNaN: true })
  const reason = fc.constantFrom(...sampleReasons, '' as const)
  const ageMs = fc.integer({ min: -1e9, max: 1e13 })
  fc.assert(
    fc.property(reason, share, share, ageMs, (why, doubt, novelty, age) => {
      const use = useOf({ reason: why, doubt, novelty, ageMs: age })
      assert.ok(use >= 0 && use <= 1)
      assert.ok(useOf({ reason: why, doubt, novelty, ageMs: age + 1e10 }) <= use)
    }),
  )
})
