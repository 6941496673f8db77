import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SampleAnnotation, Suggestion } from '@edgeloop/protocol'
import { carryOver, disagreementOf, mergeSuggestions } from './suggest.ts'

const found = (
  left: number,
  { top = 0.4, label = 'cup', score = 0.8, from = 'champion:cups@1' } = {},
): Suggestion => ({ label, score, from, box: [left, top, 0.2, 0.2] })
const drawn = (left: number, label = 'cup', top = 0.4): SampleAnnotation => ({
  kind: 'box',
  label,
  box: [left, top, 0.2, 0.2],
})
const near = (suggestion: Suggestion | undefined, left: number): boolean =>
  Math.abs((suggestion?.box?.[0] ?? -1) - left) < 1e-9

test('of proposals for one thing the most trusted counts, whatever it is called', () => {
  const teacher = found(0.1, { label: 'mug', from: 'teacher:large@2', score: 0.4 })
  const merged = mergeSuggestions([[teacher], [found(0.11), found(0.6)]])
  assert.deepEqual(
    merged.map(({ label, from }) => [label, from]),
    [
      ['mug', 'teacher:large@2'],
      ['cup', 'champion:cups@1'],
    ],
  )
})

test('two models disagree by what only one of them has, or calls otherwise', () => {
  assert.equal(disagreementOf([found(0.1)], [found(0.12)]), 0)
  assert.equal(disagreementOf([found(0.1)], []), 1)
  assert.equal(disagreementOf([found(0.1)], [found(0.1, { label: 'mug' })]), 1)
  assert.equal(disagreementOf([found(0.1), found(0.6)], [found(0.1)]), 1 - 2 / 3)
  assert.equal(disagreementOf([], [found(0.1, { score: 0.1 })]), 0)
})

test('what people drew goes where the thing went', () => {
  const from = { looks: '', suggestions: [found(0.1), found(0.6)] }
  const to = { looks: '', suggestions: [found(0.15), found(0.62)] }
  const carried = carryOver([drawn(0.1), drawn(0.6)], from, to)
  assert.ok(near(carried[0], 0.15) && near(carried[1], 0.62))
  assert.ok(carried.every((one) => one.from === 'track'))
  // What the model missed goes with the others; what left the picture is not carried.
  const missed = carryOver([drawn(0.3, 'lid', 0.7)], from, to)
  assert.deepEqual([missed[0]?.label, missed[0]?.score], ['lid', 0.6])
  assert.ok(near(missed[0], 0.35))
  const far = { looks: '', suggestions: [found(0.1, { top: 0.52 }), found(0.6, { top: 0.52 })] }
  assert.equal(carryOver([drawn(0.1, 'lid', 0.79)], from, far).length, 0)
})

test('without anything that tells how it moved, only the same scene is carried over', () => {
  const nothing = { looks: '00ff00ff00ff00ff', suggestions: [] }
  const same = { looks: '00ff00ff00ff00fe', suggestions: [] }
  const other = { looks: 'ffffffff00000000', suggestions: [] }
  assert.ok(near(carryOver([drawn(0.1)], nothing, same)[0], 0.1))
  assert.deepEqual(carryOver([drawn(0.1)], nothing, other), [])
  assert.deepEqual(carryOver([drawn(0.1)], { ...nothing, looks: '' }, same), [])
  // Names of whole pictures too.
  const named = carryOver([{ kind: 'class', label: 'day' }], nothing, same)
  assert.deepEqual(named, [{ label: 'day', score: 0.6, from: 'track' }])
})
