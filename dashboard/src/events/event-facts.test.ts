import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  attributeFacts,
  closeUp,
  factsOf,
  groupByHour,
  pictureBox,
  sayDelay,
} from './event-facts.ts'
import { passes, readEventFilter } from './event-queries.ts'
import { storedEvent } from './stored-event.test-rows.ts'

const at = '2026-11-20T12:00:12.000Z'

test('factsOf() says what was lost, how much and why', () => {
  const data = {
    sequence: 5,
    through: 1404,
    kind: 'loss',
    at,
    reason: 'diskFull',
    aggregates: 1300,
    events: 99,
    alarms: 1,
  }
  assert.deepEqual(factsOf(storedEvent(1, { kind: 'loss', data })), {
    status: 'bad',
    title: '1,400 events lost',
    text: 'because the disk was full; 1 alarm, 99 events, 1,300 aggregates',
  })
})

test('factsOf() tells an alarm from its end', () => {
  const data = {
    sequence: 5,
    kind: 'alarm',
    at,
    code: 'mediaHung',
    active: true,
    text: 'No heartbeat for 3 s',
  }
  assert.deepEqual(factsOf(storedEvent(1, { kind: 'alarm', data })), {
    status: 'bad',
    title: 'Media process hung',
    text: 'No heartbeat for 3 s',
  })
  assert.equal(
    factsOf(storedEvent(1, { kind: 'alarm', data: { ...data, active: false } })).status,
    'ok',
  )
})

test('factsOf() says how long an object stayed and why a stream stopped', () => {
  const left = {
    kind: 'left',
    at,
    appearedAt: '2026-11-20T12:00:00.000Z',
    label: 'car',
    best: { box: [0, 0, 1, 1] },
  }
  assert.equal(factsOf(storedEvent(1, { kind: 'left', data: left })).text, 'Left after 12 s')
  assert.deepEqual(pictureBox(storedEvent(1, { kind: 'left', data: left })), [0, 0, 1, 1])
  const later = { at: '2026-11-20T12:00:05.000Z', snapshotAt: '2026-11-20T12:00:07.000Z' }
  const large = { ...left, best: { ...left.best, ...later } }
  const { text } = factsOf(storedEvent(1, { kind: 'left', data: large }))
  assert.equal(text, 'Left after 12 s; picture 2 s later')
  assert.equal(pictureBox(storedEvent(1, { kind: 'left', data: large })), undefined)
  const stream = { kind: 'stream', at, state: 'stalled', reason: 'No frame', gapMs: 65_000 }
  assert.deepEqual(factsOf(storedEvent(1, { kind: 'stream', data: stream })), {
    status: 'warn',
    title: 'Stream stalled',
    text: 'No frame; 1 min without a frame',
  })
})

test('factsOf() says what happened at a zone or a line, and what was counted', () => {
  const box = [0.1, 0.1, 0.2, 0.2]
  const seen = { at, streamId: 'north', trackId: 4, label: 'car', score: 0.8, box }
  const zone = { ...seen, kind: 'zone', zone: 'loading bay', act: 'entered' }
  const said = (data: Record<string, unknown>) =>
    factsOf(storedEvent(1, { kind: data.kind as 'zone', data })).text
  assert.equal(said(zone), 'Entered loading bay')
  assert.equal(
    said({ ...zone, act: 'dwelled', dwellMs: 65_000 }),
    'Has been in loading bay for 1 min',
  )
  assert.equal(said({ ...zone, act: 'left', dwellMs: 5000 }), 'Left loading bay after 5 s')
  const line = { ...seen, kind: 'line', line: 'gate', direction: 'toLeft' }
  assert.equal(said(line), 'Crossed gate to its left side')
  assert.deepEqual(pictureBox(storedEvent(1, { kind: 'line', data: line })), box)
  const counts = {
    kind: 'counts',
    at,
    streamId: 'north',
    intervalMs: 60_000,
    omitted: 0,
    objects: [{ label: 'car', appeared: 3, most: 2 }],
    zones: [{ zone: 'bay', label: 'car', entered: 1, left: 0, most: 1 }],
    lines: [{ line: 'gate', label: 'car', toRight: 2, toLeft: 1 }],
  }
  assert.equal(
    said(counts),
    'In 1 min; gate: car 2 to the right, 1 to the left; bay: car 1 in, 1 at most; car 3 appeared, 2 at most',
  )
})

test('attributeFacts() says what further models said of an object', () => {
  const attributes = [
    { model: 'colour', at, classes: [{ label: 'red', score: 0.934 }] },
    { model: 'look', at, embedding: [0.6, 0.8] },
    { model: 'brand', at, classes: [] },
  ]
  const data = { kind: 'left', at, appearedAt: at, label: 'car', best: {}, attributes }
  assert.deepEqual(attributeFacts(storedEvent(1, { kind: 'left', data })), [
    { model: 'colour', text: 'red 0.93' },
    { model: 'look', text: 'a vector of 2 numbers' },
    { model: 'brand', text: 'nothing sure enough' },
  ])
  assert.deepEqual(attributeFacts(storedEvent(1)), [])
})

test('closeUp() holds the box, stays within the picture and keeps its shape', () => {
  for (const box of [
    [0, 0, 0.1, 0.1],
    [0.9, 0.9, 0.1, 0.1],
    [0.3, 0.2, 0.5, 0.6],
    [0, 0, 1, 1],
  ] as const) {
    const { left, top, span } = closeUp(box)
    assert.ok(left >= 0 && top >= 0 && left + span <= 1.000001 && top + span <= 1.000001)
    assert.ok(left <= box[0] && top <= box[1], `${box}`)
    assert.ok(
      left + span >= box[0] + box[2] - 1e-9 && top + span >= box[1] + box[3] - 1e-9,
      `${box}`,
    )
  }
})

test('groupByHour() keeps the order and opens a group per hour', () => {
  const times = ['2026-11-20T12:59:00.000Z', '2026-11-20T12:01:00.000Z', '2026-11-20T11:59:00.000Z']
  const groups = groupByHour(times.map((time, n) => storedEvent(n, { at: time })))
  assert.deepEqual(
    groups.map(({ events }) => events.map(({ eventId }) => eventId)),
    [[0, 1], [2]],
  )
})

test('passes() leaves figures out unless they are asked for', () => {
  assert.equal(passes(storedEvent(1, { kind: 'health' }), {}), false)
  assert.equal(passes(storedEvent(1, { kind: 'counts' }), {}), false)
  assert.equal(passes(storedEvent(1, { kind: 'health' }), { kind: 'health' }), true)
  assert.equal(passes(storedEvent(1), { label: 'person', device: 'gate-1' }), true)
  assert.equal(passes(storedEvent(1), { label: 'car' }), false)
  assert.deepEqual(readEventFilter({ kind: 'nope', device: '', label: 'car', x: 1 }), {
    label: 'car',
  })
})

test('sayDelay() says how late an event came, and that a clock is ahead', () => {
  assert.deepEqual([420, 90_000, -300, -3 * 3_600_000].map(sayDelay), [
    '0.4 s later',
    '1 min later',
    '0 s later',
    '3 h earlier: the clock of the device is ahead',
  ])
})
