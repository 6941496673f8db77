import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EventRule, RuleCondition, StoredEvent } from '@edgeloop/protocol'
import fc from 'fast-check'
import { advance, fitsCondition, groupOf, noMemory, type PlacedEvent } from './match.ts'

const at = '2026-11-20T22:30:00.000Z'
const bootId = '0f6b2b9c-6a3a-4a51-9d1c-0c2f1b6f5a11'

function placed(given: Partial<StoredEvent> & { data?: Record<string, unknown> }): PlacedEvent {
  const event: StoredEvent = {
    eventId: 1,
    deviceId: 'gate',
    bootId,
    sequence: 1,
    kind: 'zone',
    at,
    receivedAt: at,
    historical: false,
    streamId: 'door',
    label: 'person',
    score: 0.8,
    snapshot: null,
    marks: [],
    ...given,
    data: { zone: 'dock', act: 'entered', trackId: 7, ...given.data },
  }
  return { event, site: 'mill', tags: ['outdoor', 'pilot'] }
}

const fits = (when: RuleCondition, given: Parameters<typeof placed>[0] = {}): boolean =>
  fitsCondition(when, placed(given), () => 'Europe/Berlin')

test('a condition fits where every key does, and a list where one word does', () => {
  assert.ok(fits({}))
  assert.ok(fits({ kinds: ['zone', 'line'], labels: ['person'], zones: ['dock', 'yard'] }))
  for (const when of [
    { kinds: ['line'] },
    { labels: ['dog'] },
    { zones: ['yard'] },
    { zoneActs: ['left'] },
    { lines: ['dock'] },
    { directions: ['toLeft'] },
    { scoreMin: 0.81 },
    { alarmCodes: ['diskFull'] },
    { alarmActive: true },
    { streamStates: ['live'] },
    { devices: ['yard'] },
    { sites: ['farm'] },
    { streams: ['yard'] },
    { tags: ['indoor'] },
  ] as const satisfies readonly object[]) {
    assert.ok(!fits(when as unknown as RuleCondition), JSON.stringify(when))
  }
  assert.ok(fits({ tags: ['indoor', 'pilot'], scoreMin: 0.8 }))
  const alarm = { kind: 'alarm', score: null, label: null } as const
  assert.ok(
    fits(
      { alarmCodes: ['diskFull'], alarmActive: true },
      { ...alarm, data: { code: 'diskFull', active: true } },
    ),
  )
  assert.ok(!fits({ alarmActive: true }, { ...alarm, data: { code: 'diskFull', active: false } }))
  assert.ok(!fits({ scoreMin: 0 }, alarm), 'an event without a score is not one of score 0')
  // A track that is gone is no visit that ended.
  assert.ok(!fits({ zoneActs: ['left'] }, { kind: 'left', data: { act: undefined } }))
})

test('hours are those of the site, and days are those on which they begin', () => {
  // 23:30 on a Friday in Berlin.
  const night = { days: [5], from: '22:00', to: '06:00' }
  assert.ok(fits({ hours: [night] }))
  assert.ok(fits({ hours: [night] }, { at: '2026-11-21T04:59:00.000Z' }), 'Saturday 05:59')
  assert.ok(!fits({ hours: [night] }, { at: '2026-11-21T05:00:00.000Z' }), 'Saturday 06:00')
  assert.ok(!fits({ hours: [night] }, { at: '2026-11-20T20:30:00.000Z' }), 'Friday 21:30')
  assert.ok(!fits({ hours: [{ ...night, days: [6] }] }))
})

test('what came in too late is left where a rule says so', () => {
  const late = { receivedAt: '2026-11-20T22:31:00.001Z' }
  assert.ok(!fits({ lateSecondsMax: 60 }, late))
  assert.ok(fits({ lateSecondsMax: 61 }, late))
  assert.ok(fits({}, late))
})

test('groups are told apart by the parts that a rule names', () => {
  const rule: EventRule = { when: {}, tell: ['x'] }
  assert.equal(groupOf(rule, placed({})), '')
  const groupBy = ['site', 'device', 'stream', 'label', 'area', 'track'] as const
  assert.equal(
    groupOf({ ...rule, groupBy: [...groupBy] }, placed({})),
    'mill/gate/door/person/dock/0f6b2b9c:7',
  )
  const loss = placed({
    kind: 'loss',
    streamId: null,
    label: null,
    data: { zone: undefined, trackId: undefined },
  })
  assert.equal(groupOf({ ...rule, groupBy: [...groupBy] }, loss), 'mill/gate/-/-/-/-')
})

/** When a rule fires, of matches at these seconds. */
function firings(rule: Partial<EventRule>, seconds: readonly number[]) {
  let memory = noMemory
  const fired: { at: number; silenced: number }[] = []
  for (const second of seconds) {
    const step = advance({ when: {}, tell: ['x'], ...rule }, memory, second * 1000)
    if (step.act === 'fire') fired.push({ at: second, silenced: step.silenced })
    memory = step.memory
  }
  return { fired, memory }
}

test('without more a rule fires at each match; a cool-down keeps matches back and says how many', () => {
  assert.equal(firings({}, [0, 0, 1]).fired.length, 3)
  assert.deepEqual(firings({ coolDownSeconds: 60 }, [0, 1, 59, 60, 61, 200]).fired, [
    { at: 0, silenced: 0 },
    { at: 60, silenced: 2 },
    { at: 200, silenced: 1 },
  ])
  // One that comes in late is not silenced by what happened long after it.
  assert.equal(firings({ coolDownSeconds: 60 }, [1000, 10, 1030]).fired.length, 2)
})

test('so many within a time fire once, and begin anew', () => {
  const count = { atLeast: 3, withinSeconds: 10 }
  assert.deepEqual(
    firings({ count }, [0, 6, 12, 13, 14, 15, 16, 17]).fired.map(({ at }) => at),
    [13, 16],
  )
  assert.equal(firings({ count }, [0, 5, 10]).fired.length, 0, 'ten seconds later is not within')
  // Out of order is as good.
  assert.equal(firings({ count }, [5, 0, 4]).fired.length, 1)
})

test('a rule remembers fewer matches than it counts, whatever comes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 200 }),
      fc.integer({ min: 2, max: 9 }),
      fc.integer({ min: 0, max: 60 }),
      (seconds, atLeast, coolDownSeconds) => {
        const count = { atLeast, withinSeconds: 20 }
        const { fired, memory } = firings({ count, coolDownSeconds }, seconds)
        assert.ok(memory.seen.length < atLeast)
        assert.ok(fired.length <= seconds.length / atLeast)
      },
    ),
  )
})
