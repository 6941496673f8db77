import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SampleAnnotation } from '@edgeloop/protocol'
import { sayTheSame } from './same-annotations.ts'

const box = (left: number, label = 'bolt', crowd?: boolean): SampleAnnotation => ({
  kind: 'box',
  label,
  box: [left, 0.1, 0.2, 0.3],
  ...(crowd !== undefined && { crowd }),
})
const outline = (x: number): SampleAnnotation => ({
  kind: 'polygon',
  label: 'nut',
  points: [
    [x, 0.1],
    [0.3, 0.1],
    [0.3, 0.4],
  ],
})
const good: SampleAnnotation = { kind: 'class', label: 'good' }

test('what a file rounds away, and another order of kinds, says nothing new', () => {
  const said = [good, box(1 / 3), outline(0.2), box(0.5, 'nut')]
  assert.ok(sayTheSame(said, said))
  assert.ok(sayTheSame(said, [box(0.333333), box(0.500005, 'nut', false), outline(0.2), good]))
  assert.ok(sayTheSame([], []))
})

test('a label, a thing more or less, a move, an outline and a crowd are something new', () => {
  const said = [box(0.2), outline(0.2), good]
  for (const [what, changed] of [
    ['another label', [box(0.2, 'nut'), outline(0.2), good]],
    ['one less', [box(0.2), outline(0.2)]],
    ['one more', [...said, box(0.6)]],
    ['a tenth of a pixel of 640', [box(0.2 + 0.1 / 640), outline(0.2), good]],
    ['a corner', [box(0.2), outline(0.21), good]],
    ['a crowd', [box(0.2, 'bolt', true), outline(0.2), good]],
    ['another class', [box(0.2), outline(0.2), { ...good, label: 'bad' }]],
    ['another kind', [box(0.2), box(0.2), good]],
  ] as const) {
    assert.ok(!sayTheSame(said, changed as readonly SampleAnnotation[]), what)
  }
})
