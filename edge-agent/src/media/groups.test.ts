import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StreamConfig } from '@edgeloop/protocol'
import { planGroups } from './groups.ts'

const bounds = { processesMax: 2, streamsPerProcess: 3 }
const streams = (...ids: string[]): StreamConfig[] =>
  ids.map((streamId) => ({ streamId, source: 'rtsp://camera' }))
const idsOf = (groups: StreamConfig[][]): string[][] =>
  groups.map((group) => group.map(({ streamId }) => streamId))

test('planGroups() fills one process before it starts another', () => {
  assert.deepEqual(idsOf(planGroups(streams('a', 'b'), new Map(), bounds)), [['a', 'b'], []])
  assert.deepEqual(idsOf(planGroups(streams('a', 'b', 'c', 'd'), new Map(), bounds)), [
    ['a', 'b', 'c'],
    ['d'],
  ])
})

test('planGroups() leaves a stream where it runs', () => {
  const before = new Map([
    ['c', 1],
    ['a', 0],
  ])
  assert.deepEqual(idsOf(planGroups(streams('a', 'b', 'c'), before, bounds)), [['a', 'b'], ['c']])
})

test('planGroups() fills up evenly when every process is full, and refuses what does not fit', () => {
  const eight = streams(...'abcdefgh')
  assert.deepEqual(
    planGroups(eight, new Map(), bounds).map(({ length }) => length),
    [4, 4],
  )
  const many = streams(...Array.from({ length: 25 }, (_, i) => `s${i}`))
  assert.throws(() => planGroups(many, new Map(), bounds), {
    message:
      'Cannot run 25 streams: this device runs at most 24; set media.streamsPerProcess or media.processesMax in agent.yaml higher',
  })
})

test('planGroups() moves a stream whose process is no longer allowed', () => {
  const plan = planGroups(streams('a'), new Map([['a', 5]]), bounds)
  assert.deepEqual(idsOf(plan), [['a'], []])
})
