import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventBytesMax } from '@edgeloop/protocol'
import { checkEvent } from '@edgeloop/protocol/check'
import type { AreaAct } from './area-watch.ts'
import { IntervalCounts } from './interval-counts.ts'
import type { Track } from './tracker.ts'

const track = (trackId: number, label = 'car'): Track => ({
  trackId,
  label,
  score: 0.8,
  startedAt: 0,
  seenAt: 0,
  frames: 3,
  box: [0, 0, 0.1, 0.1],
})
const nothing = { changes: [], acts: [], tracks: [], inside: [] }
const begun = Date.UTC(2026, 0, 1)

test('take() sums up an interval when the next one begins', () => {
  const counts = new IntervalCounts(60_000)
  const [a, b, person] = [track(1), track(2), track(3, 'person')]
  const entered = (t: Track): AreaAct => ({
    kind: 'zone',
    zone: 'bay',
    act: 'entered',
    track: t,
    dwellMs: undefined,
  })
  const crossed: AreaAct = { kind: 'line', line: 'gate', direction: 'toLeft', track: b }
  const inside = [{ zone: 'bay', trackIds: [1, 2] }]
  const confirmed = [a, b, person].map((each) => ({ kind: 'confirmed' as const, track: each }))
  assert.equal(
    counts.take(begun + 20_000, { ...nothing, changes: confirmed, tracks: [a] }),
    undefined,
  )
  assert.equal(
    counts.take(begun + 59_999, {
      changes: [],
      tracks: [a, b, person],
      inside,
      acts: [
        entered(a),
        entered(b),
        crossed,
        { ...entered(a), act: 'dwelled', dwellMs: 5 } as AreaAct,
      ],
    }),
    undefined,
  )
  assert.deepEqual(counts.take(begun + 60_000, { ...nothing, tracks: [a] }), {
    at: begun + 60_000,
    intervalMs: 40_000,
    objects: [
      { label: 'car', appeared: 2, most: 2 },
      { label: 'person', appeared: 1, most: 1 },
    ],
    zones: [{ zone: 'bay', label: 'car', entered: 2, left: 0, most: 2 }],
    lines: [{ line: 'gate', label: 'car', toRight: 0, toLeft: 1 }],
    omitted: 0,
  })
  // What was there all the time counts in every interval; an empty one is not told.
  const next = counts.take(begun + 120_000, nothing)
  assert.deepEqual(next?.objects, [{ label: 'car', appeared: 0, most: 1 }])
  assert.equal(next.intervalMs, 60_000)
  assert.equal(counts.take(begun + 180_000, nothing), undefined)
  assert.equal(counts.end(begun + 181_000), undefined)
})

test('end() tells what was counted so far, a clock set back ends the interval', () => {
  const counts = new IntervalCounts(60_000)
  counts.take(begun, { ...nothing, tracks: [track(1)] })
  assert.equal(counts.take(begun - 5000, { ...nothing, tracks: [track(1)] })?.intervalMs, 1)
  assert.equal(counts.end(begun)?.intervalMs, 5000)
  assert.equal(counts.end(begun), undefined)
})

test('with an interval of 0 nothing is counted', () => {
  const counts = new IntervalCounts(0)
  assert.equal(counts.take(begun, { ...nothing, tracks: [track(1)] }), undefined)
  assert.equal(counts.end(begun + 1e9), undefined)
})

test('a summary fits into an event, however many labels there are', () => {
  const counts = new IntervalCounts(60_000)
  const tracks = Array.from({ length: 200 }, (_, i) => track(i, `${i} ${'x'.repeat(90)}`))
  const zone = 'z'.repeat(60)
  const inside = [{ zone, trackIds: tracks.map(({ trackId }) => trackId) }]
  const acts = tracks.map(
    (each): AreaAct => ({
      kind: 'line',
      line: zone,
      direction: 'toLeft',
      track: each,
    }),
  )
  counts.take(begun, { changes: [], acts, tracks, inside })
  const summary = counts.take(begun + 60_000, nothing)
  assert.ok(summary)
  assert.equal(summary.omitted, 3 * 160)
  const at = new Date(summary.at).toISOString()
  const event = { ...summary, sequence: 1, kind: 'counts', at, streamId: 'gate' }
  assert.ok('event' in checkEvent(event))
  assert.ok(JSON.stringify(event).length < eventBytesMax)
})
