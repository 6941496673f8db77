import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Run } from '@edgeloop/protocol'
import { sampleRun } from './run.test-rows.ts'
import {
  orderCurves,
  sayFigure,
  sayRunState,
  sayStanding,
  saySteps,
  stalledMs,
} from './run-words.ts'

const now = Date.parse('2026-11-21T12:00:00.000Z')
const said = (more: Partial<Run>): string => sayRunState({ ...sampleRun, ...more }, now).word

test('a run that runs says when it does not', () => {
  const heardAt = (ago: number) => new Date(now - ago).toISOString()
  assert.equal(said({ state: 'running', heardAt: heardAt(1000) }), 'Runs')
  assert.equal(said({ state: 'running', heardAt: heardAt(1000), steps: 0 }), 'Starts')
  assert.equal(said({ state: 'running', heardAt: heardAt(stalledMs + 60_000) }), 'Silent for 3 min')
  assert.equal(said({ state: 'running', asked: 'pause' }), 'Is being paused')
  assert.equal(said({ state: 'running', asked: 'cancel' }), 'Is being cancelled')
  assert.equal(said({ state: 'ended', heardAt: heardAt(1e9) }), 'Ended')
})

test('steps and figures are said in full, and briefly', () => {
  assert.equal(saySteps({ step: 1240, steps: 5000 }), 'step 1,240 of 5,000')
  assert.equal(saySteps({ step: 0, steps: 0 }), 'no step yet')
  assert.deepEqual([0.973_12, 0, 1.23e-7, 12_345.6, 0.001, 34.567].map(sayFigure), [
    '0.9731',
    '0',
    '1.23e-7',
    '12,346',
    '0.001',
    '34.57',
  ])
})

test('charts come in the order of what they tell', () => {
  assert.deepEqual(
    orderCurves([
      ...['learningRate', 'loss: box', 'validation: loss', 'imagesPerSecond'],
      ...['validation: ap50', 'loss', 'loss'],
    ]),
    [
      'loss',
      'validation: ap50',
      'validation: loss',
      'loss: box',
      'learningRate',
      'imagesPerSecond',
    ],
  )
})

test('a version that was demoted since is said to have been the champion', () => {
  const words = ([became, is]: [boolean, boolean | undefined]) => sayStanding(became, is).word
  const all: [boolean, boolean | undefined][] = [
    ...([
      [true, true],
      [true, false],
      [true, undefined],
    ] as [boolean, boolean | undefined][]),
    ...([
      [false, false],
      [false, true],
      [false, undefined],
    ] as [boolean, boolean | undefined][]),
  ]
  assert.deepEqual(all.map(words), [
    ...['champion', 'was champion', 'became champion'],
    ...['candidate', 'champion', 'candidate'],
  ])
})
