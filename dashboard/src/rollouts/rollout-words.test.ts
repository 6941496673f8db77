import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BoxCounts, Comparison } from '@edgeloop/protocol'
import {
  agreementOf,
  donePercent,
  driftOf,
  heldStage,
  hitsOf,
  latencyRatioOf,
  sayBox,
  sayRollout,
  saySaved,
  saySelection,
} from './rollout-words.ts'

const none: BoxCounts = {
  devices: 0,
  waiting: 0,
  active: 0,
  committed: 0,
  confirmed: 0,
  failed: 0,
  revoked: 0,
  ended: 0,
  goingBack: 0,
}

test('999 of 1,000 is never said to be all', () => {
  assert.equal(donePercent({ confirmed: 999, devices: 1000 }), 99)
  assert.equal(donePercent({ confirmed: 1000, devices: 1000 }), 100)
  assert.equal(donePercent({ confirmed: 0, devices: 0 }), 0)
})

test('a complete rollout says what is missing', () => {
  const complete = (counts: Partial<BoxCounts>) =>
    sayRollout({ state: 'complete', counts: { ...none, ...counts } }).word
  assert.equal(complete({ devices: 4, confirmed: 4 }), 'Complete')
  assert.equal(complete({ devices: 4, confirmed: 3, waiting: 1 }), 'Complete, 1 to follow')
  assert.equal(complete({ devices: 4, confirmed: 3, failed: 1 }), 'Complete, 1 failed')
})

test('committed is no success before the box was seen running it', () => {
  const box = { revoked: false, goingBack: false, code: null, state: 'committed' as const }
  assert.equal(sayBox({ ...box, confirmedAt: null }).word, 'Committed')
  const at = '2026-11-21T12:00:00.000Z'
  assert.equal(sayBox({ ...box, confirmedAt: at }).word, 'Runs it')
  assert.equal(sayBox({ ...box, confirmedAt: at, revoked: true }).kind, 'bad')
})

test('a held rollout waits before the stage where it is, or the one after it', () => {
  const at = '2026-11-21T12:00:00.000Z'
  assert.equal(heldStage({ stage: 0 }, [{ startedAt: null }, { startedAt: null }]), 0)
  assert.equal(heldStage({ stage: 0 }, [{ startedAt: at }, { startedAt: null }]), 1)
  assert.equal(heldStage({ stage: 1 }, [{ startedAt: at }, { startedAt: at }]), 2)
})

test('an abort hits those whose frames meet the version, and spares those that wait', () => {
  const states = { waiting: 5, downloading: 2, shadowing: 1, probation: 3, committed: 4, failed: 9 }
  assert.deepEqual(
    hitsOf([
      { counts: none, states },
      { counts: none, states: { waiting: 1 } },
    ]),
    {
      back: 7,
      givenUp: 3,
      spared: 6,
    },
  )
})

test('bytes are said beside those of whole files', () => {
  assert.equal(saySaved(12e6, 120e6), '12 MB instead of 120 MB, 10.0× less')
  assert.equal(saySaved(0, 0), 'Nothing was sent yet')
  assert.equal(saySaved(5e6, 4e6), '5 MB instead of 4 MB')
})

test('who is meant is said in words', () => {
  assert.equal(saySelection({ all: true }), 'every device')
  assert.equal(
    saySelection({ sites: ['a', 'b'], tags: ['pilot'], devices: ['1', '2', '3', '4'] }),
    'sites a, b; tag pilot; 4 devices',
  )
})

test('what was not measured has no figure, and latency is that of both models beside each other', () => {
  const seen: Comparison = {
    frames: 100,
    agreement: 0.9,
    latencyP95Ms: 22,
    activeLatencyP95Ms: 20,
    detections: 3,
    activeDetections: 3,
    confidence: 0.8,
    activeConfidence: 0.8,
    countDrift: 1,
    confidenceDrift: -2,
    memoryBytes: 1,
    crashes: 0,
    streams: [],
  }
  // What an update without a shadow says of it, and of its probation.
  const unseen = { ...seen, frames: 0, agreement: 1, latencyP95Ms: 0, activeLatencyP95Ms: 0 }
  const late = { ...seen, agreement: 1, latencyP95Ms: 60 }
  const figures = (shadow: Comparison | null, probation: Comparison | null) => {
    const box = { shadow, probation }
    return [agreementOf(box), latencyRatioOf(box), driftOf(box)]
  }
  assert.deepEqual(figures(null, null), [null, null, null])
  assert.deepEqual(figures(unseen, null), [null, null, null])
  assert.deepEqual(figures(unseen, late), [null, 3, -2])
  assert.deepEqual(figures(seen, late), [0.9, 1.1, -2])
  // Less than a millisecond is of the clock.
  const quick = { ...seen, latencyP95Ms: 0.9, activeLatencyP95Ms: 0.3 }
  assert.deepEqual(figures(quick, null)[1], 1)
})
