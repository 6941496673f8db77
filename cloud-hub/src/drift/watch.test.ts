import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DriftKind } from '@edgeloop/protocol'
import { sketchOf } from '../../../test/hub/seeded-drift.ts'
import { newWatch, startOver, type WatchState, watch } from './watch.ts'

const learnsFrom = 30

/** Takes minutes in, and gives what was said of them in order. */
function said(
  state: WatchState,
  minutes: number,
  as: Parameters<typeof sketchOf>[1] & { hour?: number } = {},
): string[] {
  const { hour = 12.2, ...rest } = as
  const words: string[] = []
  for (let minute = 0; minute < minutes; minute++) {
    const sketch = { sequence: 1, ...sketchOf(minute, rest) }
    const { raised, ended } = watch(state, sketch, { hour, learnsFrom })
    for (const { kind, by } of ended) words.push(`${minute} ${kind} ended by ${by}`)
    for (const { kind } of raised) words.push(`${minute} ${kind}`)
  }
  return words
}

const learnt = (): WatchState => {
  const state = newWatch()
  assert.deepEqual(said(state, 60), [])
  return state
}

test('one odd minute, or two, say nothing; three in a row are told once', () => {
  const state = learnt()
  for (const brightness of [30, 250]) {
    assert.deepEqual(said(state, 1, { brightness }), [])
    assert.deepEqual(said(state, 20), [])
  }
  assert.deepEqual(said(state, 2, { brightness: 60 }), [])
  assert.deepEqual(said(state, 20), [])
  assert.deepEqual(said(state, 30, { brightness: 60 }), ['2 data'])
  assert.deepEqual(said(state, 12), ['4 data ended by itself'])
})

test('darkness at an hour for it is night and no alarm, and by day it is one', () => {
  const night = learnt()
  assert.deepEqual(said(night, 60, { brightness: 12, hour: 23 }), ['2 night'])
  assert.deepEqual(said(night, 20), ['2 night ended by itself'])
  const day = learnt()
  assert.deepEqual(said(day, 20, { brightness: 12 }), ['2 data'])
})

test('what a state says is the same when it was kept as JSON between any two minutes', () => {
  const whole = learnt()
  let kept: WatchState = JSON.parse(JSON.stringify(whole))
  const kinds: DriftKind[] = []
  for (let minute = 0; minute < 20; minute++) {
    const sketch = { sequence: 1, ...sketchOf(minute, { brightness: 70 }) }
    const [a, b] = [whole, kept].map((state) => watch(state, sketch, { hour: 12.4, learnsFrom }))
    assert.deepEqual(a, b)
    kinds.push(...a!.raised.map(({ kind }) => kind))
    kept = JSON.parse(JSON.stringify(kept))
  }
  assert.deepEqual(kinds, ['data'])
})

test('who starts over learns from what comes, and says nothing meanwhile', () => {
  const state = learnt()
  assert.deepEqual(said(state, 10, { brightness: 60 }), ['2 data'])
  startOver(state)
  assert.deepEqual(said(state, 60, { brightness: 60 }), [])
  assert.deepEqual(said(state, 10), ['2 data'])
})

test('a sketch without pictures or answers is no reason for anything', () => {
  const state = learnt()
  const { light: _, background: __, ...blind } = sketchOf(0)
  const empty = (bins: readonly number[]) => bins.map(() => 0)
  for (let minute = 0; minute < 20; minute++) {
    const sketch = {
      sequence: 1,
      ...blind,
      labels: [],
      analysed: 0,
      pictures: 0,
      scores: empty(blind.scores),
      objects: empty(blind.objects),
      sizes: empty(blind.sizes),
      places: empty(blind.places),
    }
    assert.deepEqual(watch(state, sketch, { hour: 12.2, learnsFrom }).raised, [])
  }
})
