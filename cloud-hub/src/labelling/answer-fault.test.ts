import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SampleAnnotation } from '@edgeloop/protocol'
import { answerFault } from './answer-fault.ts'

const config = { dataset: 'cups', models: [], kinds: ['box' as const, 'polygon' as const] }
const fault = (one: SampleAnnotation, before: SampleAnnotation[] = []) =>
  answerFault([one], { config, labels: ['cup', 'mug'], before })
const box = (...place: [number, number, number, number]): SampleAnnotation => ({
  kind: 'box',
  label: 'cup',
  box: place,
})

test('what lies in the picture and has a label of the dataset is taken', () => {
  assert.equal(fault(box(0, 0, 1, 1)), undefined)
  assert.equal(fault(box(0.3, 0.3, 0.7000000001, 0.2)), undefined)
  assert.equal(answerFault([], { config, labels: [], before: [] }), undefined)
})

test('what can never be right is told with its reason', () => {
  assert.match(fault(box(0.5, 0, 0.6, 0.1)) ?? '', /beyond the picture/)
  assert.match(fault(box(0.5, 0.9, 0.1, 0.2)) ?? '', /beyond the picture/)
  assert.match(fault(box(0.5, 0.5, 0, 0.2)) ?? '', /no size/)
  assert.match(fault({ kind: 'box', label: 'cpu', box: [0, 0, 1, 1] }) ?? '', /did you mean "cup"/)
  assert.match(fault({ kind: 'class', label: 'cup' }) ?? '', /asks for box, polygon/)
  const line: [number, number][] = [
    [0, 0],
    [0.5, 0.5],
    [1, 1],
  ]
  assert.match(fault({ kind: 'polygon', label: 'cup', points: line }) ?? '', /no area/)
})

test('what is not asked for may come back as it is', () => {
  const count: SampleAnnotation = { kind: 'number', name: 'parts', value: 3 }
  assert.match(fault(count) ?? '', /is a number/)
  assert.equal(fault(count, [count]), undefined)
  assert.match(fault({ ...count, value: 4 }, [count]) ?? '', /is a number/)
})
