import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkEvent } from '@edgeloop/protocol/check'
import { TrackEvents } from './track-events.ts'
import type { Track } from './tracker.ts'

const track = (o: Partial<Track> = {}): Track => ({
  trackId: 1,
  label: 'car',
  score: 0.6,
  box: [0.4, 0.4, 0.1, 0.1],
  startedAt: 0,
  seenAt: 0,
  frames: 3,
  ...o,
})
const digest = (c: string): string => c.repeat(64)

test('TrackEvents.take() tells that an object appeared, and fits the protocol', () => {
  const events = new TrackEvents('gate')
  const changes = [{ kind: 'confirmed', track: track() }] as const
  assert.equal(events.toPicture(changes, 1000).length, 1)
  const [appeared] = events.take(changes, 1000, digest('a')).events
  assert.deepEqual(appeared, {
    kind: 'appeared',
    at: '1970-01-01T00:00:01.000Z',
    streamId: 'gate',
    trackId: 1,
    label: 'car',
    score: 0.6,
    box: [0.4, 0.4, 0.1, 0.1],
    snapshot: digest('a'),
  })
  assert.deepEqual(checkEvent({ ...appeared, sequence: 1 }), {
    event: { ...appeared, sequence: 1 },
  })
})

test('TrackEvents.take() chooses the frame that shows the object best', () => {
  const events = new TrackEvents('gate')
  events.take([{ kind: 'confirmed', track: track() }], 1000, digest('a'))
  const larger = [
    { kind: 'seen', track: track({ score: 0.7, box: [0.3, 0.3, 0.3, 0.3] }) },
  ] as const
  assert.equal(events.toPicture(larger, 1500).length, 0, 'too soon')
  assert.equal(events.toPicture(larger, 2000).length, 1)
  events.take(larger, 2000, digest('b'))
  const same = [{ kind: 'seen', track: track({ score: 0.75, box: [0.3, 0.3, 0.3, 0.3] }) }] as const
  assert.equal(events.toPicture(same, 9000).length, 0, 'not better by enough')
  // A picture that was taken for another track does not become this one's best.
  events.take(same, 9000, digest('c'))
  const cutOff = [
    { kind: 'seen', track: track({ score: 0.9, box: [0, 0.3, 0.35, 0.35] }) },
  ] as const
  assert.equal(events.toPicture(cutOff, 12_000).length, 0, 'cut off by the edge')
  const lost = { kind: 'lost', track: track({ frames: 40 }) } as const
  const [left] = events.take([lost], 15_000).events
  assert.deepEqual(left, {
    kind: 'left',
    at: '1970-01-01T00:00:15.000Z',
    streamId: 'gate',
    trackId: 1,
    label: 'car',
    score: 0.75,
    box: [0.4, 0.4, 0.1, 0.1],
    appearedAt: '1970-01-01T00:00:01.000Z',
    frames: 40,
    best: {
      at: '1970-01-01T00:00:02.000Z',
      box: [0.3, 0.3, 0.3, 0.3],
      score: 0.7,
      snapshot: digest('b'),
    },
  })
  assert.deepEqual(checkEvent({ ...left, sequence: 2 }), { event: { ...left, sequence: 2 } })
})

test('TrackEvents.take() names the pictures that are no longer needed', () => {
  const events = new TrackEvents('gate')
  const second = track({ trackId: 2 })
  events.take(
    [
      { kind: 'confirmed', track: track() },
      { kind: 'confirmed', track: second },
    ],
    0,
    digest('a'),
  )
  const larger = (size: number) =>
    ({ kind: 'seen', track: track({ box: [0.1, 0.1, size, size] }) }) as const
  const unnamed = (size: number, at: number, picture: string) =>
    events.take([larger(size)], at, digest(picture)).unnamed
  assert.deepEqual(unnamed(0.2, 2000, 'b'), [], 'picture a is still the second track’s best')
  assert.deepEqual(unnamed(0.4, 4000, 'c'), [digest('b')])
  assert.deepEqual(unnamed(0.4, 6000, 'd'), [digest('d')], 'not better than picture c')
  const gone = events.take([{ kind: 'lost', track: second }], 7000)
  assert.deepEqual(gone.unnamed, [], 'picture a is named by the event')
})

test('TrackEvents asks again for a picture that could not be taken, and not for ever', () => {
  const events = new TrackEvents('gate')
  events.take([{ kind: 'confirmed', track: track() }], 0)
  const seen = (size: number) =>
    [{ kind: 'seen', track: track({ box: [0.01, 0.01, size, size] }) }] as const
  assert.equal(events.toPicture(seen(0.1), 200).length, 1)
  let pictures = 0
  for (let i = 1; i < 40; i++) {
    const at = i * 1500
    const change = seen(Math.min(0.9, 0.01 * 1.3 ** i))
    if (events.toPicture(change, at).length === 0) continue
    events.take(change, at, digest('d'))
    pictures++
  }
  assert.equal(pictures, 6)
})

test('TrackEvents.enlarge() puts a larger picture in the place of a best one, and says when it is of', () => {
  const events = new TrackEvents('gate')
  events.take([{ kind: 'confirmed', track: track() }], 1000, digest('a'))
  assert.deepEqual(events.enlarge(digest('b'), digest('c'), 1500), [digest('b'), digest('c')])
  assert.deepEqual(events.enlarge(digest('a'), digest('b'), 1700), [digest('a')])
  const { events: told, unnamed } = events.take([{ kind: 'lost', track: track() }], 3000)
  assert.ok(told[0]?.kind === 'left')
  assert.deepEqual(
    [told[0].best.snapshot, told[0].best.at, told[0].best.snapshotAt],
    [digest('b'), '1970-01-01T00:00:01.000Z', '1970-01-01T00:00:01.700Z'],
  )
  assert.deepEqual(checkEvent({ ...told[0], sequence: 1 }), { event: { ...told[0], sequence: 1 } })
  assert.deepEqual(unnamed, [])
})

test('a better picture of the small source takes the large one’s place', () => {
  const events = new TrackEvents('gate')
  events.take([{ kind: 'confirmed', track: track() }], 1000, digest('a'))
  events.enlarge(digest('a'), digest('b'), 1700)
  const seen = [{ kind: 'seen', track: track({ score: 0.9, box: [0.3, 0.3, 0.3, 0.3] }) }] as const
  assert.equal(events.toPicture(seen, 3000).length, 1)
  assert.deepEqual(events.take(seen, 3000, digest('c')).unnamed, [digest('b')])
  const [left] = events.take([{ kind: 'lost', track: track() }], 5000).events
  assert.ok(left?.kind === 'left')
  assert.deepEqual([left.best.snapshot, left.best.snapshotAt], [digest('c'), undefined])
})
