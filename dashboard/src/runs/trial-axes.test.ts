/** Trials on their axes: numbers by their size or by powers of ten, words by their order, failures nowhere. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SearchTrial } from '@edgeloop/protocol'
import { placeTrials } from './trial-axes.ts'

const trial = (name: string, settings: SearchTrial['settings'], value: number | null) => ({
  trial: name,
  runId: 'r',
  settings,
  round: 0,
  share: 1,
  over: true,
  value,
  seconds: 1,
  failure: value === null ? 'NaN' : '',
})

test('each key has an axis, the figure the last one, and the best is drawn above the others', () => {
  const plot = placeTrials(
    [
      trial('2-1', { rate: 0.01, optimizer: 'sgd' }, 0.9),
      trial('1-1', { rate: 0.0001, optimizer: 'adam' }, 0.5),
      trial('3-1', { rate: 1, optimizer: 'adam' }, 0.7),
      trial('4-1', { rate: 100, optimizer: 'adam' }, null),
    ],
    'accuracy',
    '2-1',
  )
  assert.deepEqual(
    plot?.axes.map(({ name }) => name),
    ['optimizer', 'rate', 'accuracy'],
  )
  assert.deepEqual(plot?.axes[1]?.marks.map(({ text }) => text).length, 2)
  const lines = new Map(plot?.lines.map((line) => [line.trial, line.places]))
  assert.deepEqual(lines.get('1-1'), [0, 0, 0])
  // Four powers of ten: 0.01 lies in the middle; words lie by their order.
  assert.deepEqual(lines.get('2-1'), [1, 0.5, 1])
  assert.ok(Math.abs((lines.get('3-1')?.[2] ?? 0) - 0.5) < 1e-9)
  assert.equal(lines.has('4-1'), false, 'what failed has no place')
  assert.deepEqual([plot?.lines.at(-1)?.trial, plot?.lines.at(-1)?.best], ['2-1', true])
  assert.match(plot?.lines.at(-1)?.says ?? '', /2-1: optimizer sgd, rate 0\.01, accuracy 0\.9/)
})

test('one value lies in the middle, and without any there is no plot', () => {
  const plot = placeTrials([trial('1-1', { batch: 8 }, 0.5)], 'accuracy', undefined)
  assert.deepEqual(plot?.lines[0]?.places, [0.5, 0.5])
  assert.equal(placeTrials([trial('1-1', { batch: 8 }, null)], 'accuracy', undefined), undefined)
})
