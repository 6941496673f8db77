/** Zones and lines: by hand, for any path and any trembling, and on the demo's conveyor. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Box, Point } from '@edgeloop/protocol'
import fc from 'fast-check'
import { createScene } from '../demo/scene.ts'
import { type AreaAct, AreaWatch, type LineSettings, type ZoneSettings } from './area-watch.ts'
import { crossingsOf, footOf, isInside, piecesOf } from './geometry.ts'
import { type Track, type TrackChange, Tracker, trackerDefaults } from './tracker.ts'

const size = 0.1

/** A track that stands at this point. */
const standing = ([x, y]: Point, seenAt = 0, label = 'person', trackId = 1): Track => ({
  trackId,
  label,
  score: 0.8,
  startedAt: 0,
  seenAt,
  frames: 3,
  box: [x - size / 2, y - size, size, size],
})
const seen = (track: Track): TrackChange => ({ kind: 'seen', track })

const zone = (more: Partial<ZoneSettings> = {}): ZoneSettings => ({
  name: 'yard',
  polygon: [
    [0.2, 0.2],
    [0.6, 0.2],
    [0.6, 0.8],
    [0.2, 0.8],
  ],
  labels: undefined,
  dwellMs: undefined,
  ...more,
})
/** From the bottom upwards: its right side is the picture's right. */
const line = (more: Partial<LineSettings> = {}): LineSettings => ({
  name: 'door',
  points: [
    [0.5, 1],
    [0.5, 0],
  ],
  labels: undefined,
  direction: 'both',
  ...more,
})

/** Walks a track from point to point, a second each, and says what happened. */
function walk(watch: AreaWatch, path: readonly Point[], label = 'person'): AreaAct[] {
  return path.flatMap((point, i) => {
    const track = standing(point, i * 1000, label)
    return watch.take([seen(track)], [track], i * 1000)
  })
}
const told = (acts: readonly AreaAct[]): string[] =>
  acts.map((act) =>
    act.kind === 'zone' ? `${act.act} ${act.zone}` : `${act.direction} ${act.line}`,
  )

test('an object enters where it stands inside, and leaves when it is clearly outside', () => {
  const watch = new AreaWatch([zone()], [])
  const path: Point[] = [
    [0.1, 0.5],
    [0.21, 0.5],
    // Outside, but by less than 15 % of its size.
    [0.19, 0.5],
    [0.21, 0.5],
    [0.1, 0.5],
  ]
  const acts = walk(watch, path)
  assert.deepEqual(told(acts), ['entered yard', 'left yard'])
  assert.deepEqual(
    acts.map((act) => act.kind === 'zone' && act.dwellMs),
    [undefined, 3000],
  )
})

test('it is the foot that counts, not the middle of the box', () => {
  const watch = new AreaWatch([zone()], [])
  const track: Track = { ...standing([0.4, 0.85]), box: [0.35, 0.5, 0.1, 0.35] }
  assert.deepEqual(watch.take([seen(track)], [track], 0), [])
})

test('an object that the lower edge cuts off stands in a zone that was drawn down to it', () => {
  const whole: Point[] = [
    [0, 0],
    [1, 0],
    [1, 1],
    [0, 1],
  ]
  const watch = new AreaWatch([zone({ polygon: whole })], [])
  assert.deepEqual(told(walk(watch, [[0.5, 1]])), ['entered yard'])
})

test('dwelling is told once per visit, also while nothing moves', () => {
  const watch = new AreaWatch([zone({ dwellMs: 5000 })], [])
  const inside = (seenAt: number) => standing([0.4, 0.5], seenAt)
  assert.deepEqual(told(watch.take([seen(inside(0))], [inside(0)], 0)), ['entered yard'])
  // At rest there are no changes, only tracks that are still there.
  assert.deepEqual(told(watch.take([], [inside(4999)], 4999)), [])
  const dwelled = watch.take([], [inside(5200)], 5200)
  assert.deepEqual(told(dwelled), ['dwelled yard'])
  assert.equal(dwelled[0]?.kind === 'zone' && dwelled[0].dwellMs, 5200)
  assert.deepEqual(told(watch.take([], [inside(9000)], 9000)), [])
  // Missed since then: nobody knows that it is still there.
  const again = new AreaWatch([zone({ dwellMs: 5000 })], [])
  again.take([seen(inside(0))], [inside(0)], 0)
  assert.deepEqual(told(again.take([], [inside(3000)], 6000)), [])
})

test('a lost object leaves every zone it was in, when it was last seen', () => {
  const watch = new AreaWatch([zone(), zone({ name: 'all', polygon: zone().polygon })], [])
  walk(watch, [[0.4, 0.5]])
  assert.deepEqual(
    watch.inside.map(({ trackIds }) => trackIds),
    [[1], [1]],
  )
  const acts = watch.take([{ kind: 'lost', track: standing([0.4, 0.5], 2500) }], [], 4500)
  assert.deepEqual(told(acts), ['left yard', 'left all'])
  assert.deepEqual(
    acts.map((act) => act.kind === 'zone' && act.dwellMs),
    [2500, 2500],
  )
  assert.deepEqual(
    watch.inside.map(({ trackIds }) => trackIds),
    [[], []],
  )
})

test('labels and directions that were not asked for are passed over', () => {
  const there: Point[] = [
    [0.4, 0.5],
    [0.6, 0.5],
    [0.4, 0.5],
  ]
  const of = (lines: LineSettings[], zones: ZoneSettings[] = []) =>
    told(walk(new AreaWatch(zones, lines), there))
  assert.deepEqual(of([line()]), ['toRight door', 'toLeft door'])
  assert.deepEqual(of([line({ direction: 'toLeft' })]), ['toLeft door'])
  assert.deepEqual(of([line({ labels: ['car'] })], [zone({ labels: ['car'] })]), [])
  const watch = new AreaWatch([zone({ labels: ['car'] })], [line({ labels: ['car'] })])
  assert.deepEqual(told(walk(watch, there, 'car')), ['entered yard', 'toRight door', 'toLeft door'])
})

test('a line is crossed between its ends, however the object comes back', () => {
  const short = line({
    points: [
      [0.5, 0.6],
      [0.5, 0.4],
    ],
  })
  const around: Point[] = [
    [0.3, 0.5],
    [0.5, 0.3],
    [0.7, 0.5],
  ]
  assert.deepEqual(told(walk(new AreaWatch([], [short]), around)), [])
  assert.deepEqual(told(walk(new AreaWatch([], [short]), [...around, [0.3, 0.5]])), ['toLeft door'])
})

test('an object that is lost just beyond a line has crossed it', () => {
  const watch = new AreaWatch([], [line()])
  assert.deepEqual(
    walk(watch, [
      [0.4, 0.5],
      [0.505, 0.5],
    ]),
    [],
  )
  const lost: TrackChange = { kind: 'lost', track: standing([0.505, 0.5]) }
  assert.deepEqual(told(watch.take([lost], [], 0)), ['toRight door'])
})

const share = fc.double({ min: 0, max: 1, noNaN: true })
const point = fc.tuple(share, share)
/** Less than half of what counts as clearly, in both directions together. */
const trembling = fc.double({ min: -0.05, max: 0.05, noNaN: true }).map((part) => part * size)

test('an object that stands still never flickers, wherever it stands', () => {
  fc.assert(
    fc.property(
      point,
      fc.array(fc.tuple(trembling, trembling), { minLength: 2, maxLength: 60 }),
      ([x, y], tremble) => {
        const watch = new AreaWatch(
          [zone()],
          [
            line({
              points: [
                [0.2, 0.9],
                [0.6, 0.2],
                [0.6, 0],
              ],
            }),
          ],
        )
        const acts = walk(
          watch,
          tremble.map(([dx, dy]): Point => [x + dx, y + dy]),
        )
        assert.ok(acts.length <= 1, told(acts).join())
        assert.ok(acts.every((act) => act.kind === 'zone' && act.act === 'entered'))
      },
    ),
  )
})

test('on any path visits begin and end in turn, and crossings add up to where it has come', () => {
  fc.assert(
    fc.property(fc.array(point, { minLength: 1, maxLength: 40 }), (path) => {
      // Longer than the picture: no path leads around its ends.
      const points: Point[] = [
        [0.5, 2],
        [0.5, -1],
      ]
      const watch = new AreaWatch([zone()], [line({ points })])
      const last = path.at(-1)!
      const acts = [
        ...walk(watch, path),
        ...watch.take([{ kind: 'lost', track: standing(last) }], [], path.length * 1000),
      ]
      const visits = acts.flatMap((act) => (act.kind === 'zone' ? [act.act] : []))
      assert.deepEqual(
        visits,
        visits.map((_, i) => (i % 2 === 0 ? 'entered' : 'left')),
      )
      assert.equal(visits.length % 2, 0)
      const crossings = acts.flatMap((act) => (act.kind === 'line' ? [act.direction] : []))
      assert.ok(crossings.every((direction, i) => direction !== crossings[i - 1]))
      const net = crossings.reduce((sum, d) => sum + (d === 'toRight' ? 1 : -1), 0)
      const side = ([x]: Point) => (x >= 0.5 ? 1 : 0)
      assert.equal(net, side(last) - side(path[0]!))
    }),
  )
})

test('crossingsOf() counts a line of many pieces like the same line of one, and there and back as nothing', () => {
  // So coarse that steps often end on the line and lead through its ends and joints, and without rounding.
  const coarse = fc.integer({ min: 0, max: 16 }).map((n) => n / 16)
  const place = fc.tuple(coarse, coarse)
  fc.assert(
    fc.property(place, place, fc.array(coarse, { maxLength: 5 }), (from, to, cuts) => {
      const joints = [0, ...cuts.toSorted((a, b) => a - b), 1].map((y): Point => [0.5, y])
      const ends: Point[] = [
        [0.5, 0],
        [0.5, 1],
      ]
      const whole = crossingsOf(piecesOf(ends), from, to)
      assert.equal(crossingsOf(piecesOf(joints), from, to), whole)
      assert.equal(crossingsOf(piecesOf(joints), to, from) + whole, 0)
    }),
    { numRuns: 1000 },
  )
})

test('every part on the conveyor is counted once at a line and in a zone', () => {
  const seed = 20_262
  const scene = createScene({ seed, seconds: 48 })
  const tracker = new Tracker({ ...trackerDefaults, scoreMin: 0.4 })
  // Right of the gantry, below which a part may stay hidden for so long that it is another one after.
  const [left, right] = [0.8, 0.95]
  const watch = new AreaWatch(
    [
      zone({
        name: 'end',
        polygon: [
          [left, 0],
          [right, 0],
          [right, 1],
          [left, 1],
        ],
      }),
    ],
    [line()],
  )
  const acts: AreaAct[] = []
  const [wasLeft, crossed, visited] = [new Set<number>(), new Set<number>(), new Set<number>()]
  for (let frame = 0; frame < scene.frameCount; frame += 3) {
    const at = (frame * 1000) / scene.fps
    // Half hidden parts are measured wrongly by any detector; the truth's boxes shrink with them.
    const parts = scene.truth(frame).filter(({ visibleShare }) => visibleShare > 0.8)
    for (const { part, box } of parts) {
      const foot = footOf(box)
      if (
        isInside(
          [
            [left, 0],
            [right, 0],
            [right, 1],
            [left, 1],
          ],
          foot,
        )
      )
        visited.add(part)
      if (foot[0] < 0.5) wasLeft.add(part)
      else if (wasLeft.has(part)) crossed.add(part)
    }
    const detections = parts.map(({ label, box }) => ({ label, score: 0.9, box: [...box] as Box }))
    const { changes } = tracker.update(
      detections.map((d) => ({ ...d, box: [...d.box] })),
      at,
    )
    acts.push(...watch.take(changes, tracker.tracks, at))
  }
  const count = (what: string) => told(acts).filter((act) => act === what).length
  assert.ok(crossed.size >= 10, `seed ${seed}: ${crossed.size} parts`)
  assert.equal(count('toRight door'), crossed.size, `seed ${seed}`)
  assert.equal(count('toLeft door'), 0, `seed ${seed}`)
  assert.equal(count('entered end'), visited.size, `seed ${seed}`)
})
