import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type PlacedParameter, relativeScale, stretchesOf } from './stretches.ts'

const parameters: readonly PlacedParameter[] = [
  { name: 'conv.bias', shape: [2], offset: 0, elements: 2, channelAxis: 0 },
  { name: 'conv.weight', shape: [2, 3], offset: 2, elements: 6, channelAxis: 0 },
  { name: 'head.weight', shape: [3, 2], offset: 8, elements: 6, channelAxis: 1 },
  { name: 'head.bias', shape: [2], offset: 14, elements: 2, channelAxis: 0 },
]

test('stretchesOf() decays weights only and joins neighbours of one rate', () => {
  assert.deepEqual(stretchesOf(parameters, { groups: [], weightDecay: 0 }), [
    { offset: 0, elements: 16, rate: 1, weightDecay: 0 },
  ])
  assert.deepEqual(stretchesOf(parameters, { groups: [], weightDecay: 0.1 }), [
    { offset: 0, elements: 2, rate: 1, weightDecay: 0 },
    { offset: 2, elements: 12, rate: 1, weightDecay: 0.1 },
    { offset: 14, elements: 2, rate: 1, weightDecay: 0 },
  ])
})

test('stretchesOf() gives a group its rate; the first that matches counts', () => {
  const groups = [
    { match: 'head.*', rate: 10 },
    { match: '*.bias', rate: 2, weightDecay: 0.5 },
  ]
  assert.deepEqual(stretchesOf(parameters, { groups, weightDecay: 0.1 }), [
    { offset: 0, elements: 2, rate: 2, weightDecay: 0.5 },
    { offset: 2, elements: 6, rate: 1, weightDecay: 0.1 },
    { offset: 8, elements: 6, rate: 10, weightDecay: 0.1 },
    { offset: 14, elements: 2, rate: 10, weightDecay: 0 },
  ])
})

test('stretchesOf() refuses a group that matches nothing, and names the nearest', () => {
  assert.throws(
    () => stretchesOf(parameters, { groups: [{ match: 'head.wieght', rate: 1 }], weightDecay: 0 }),
    (error: Error & { hint?: string }) =>
      /"head.wieght"/.test(error.message) && error.hint === 'did you mean "head.weight"?',
  )
  // A dot is a dot.
  assert.throws(() =>
    stretchesOf(parameters, { groups: [{ match: 'headxweight', rate: 1 }], weightDecay: 0 }),
  )
})

test('relativeScale() is the size of each channel, with a floor', () => {
  const values = Float32Array.of(
    ...[3, 4],
    ...[1, 1, 1, 0, 0, 0],
    ...[2, 0, 2, 0, 2, 1e-6],
    ...[0, 0],
  )
  const scale = Array.from(relativeScale(parameters, values))
  const near = (i: number, expected: number) =>
    assert.ok(Math.abs(scale[i]! - expected) < 1e-6, `${i}: ${scale[i]} is not ${expected}`)
  near(0, Math.sqrt(12.5))
  near(1, Math.sqrt(12.5))
  for (const i of [2, 3, 4]) near(i, 1)
  for (const i of [5, 6, 7]) near(i, 0.05 * Math.SQRT1_2)
  // Channels along the second axis.
  for (const i of [8, 10, 12]) near(i, 2)
  for (const i of [9, 11, 13]) near(i, 0.05 * Math.SQRT2)
  near(14, 0.1)
})
