import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  boxStates,
  type Comparison,
  canaryGate,
  careDefaults,
  planDefaults,
  type RolloutPlan,
  stageDefaults,
} from '@edgeloop/protocol'
import fc from 'fast-check'
import {
  type Box,
  changedBy,
  confirmMs,
  type Decision,
  decide,
  gateOf,
  offersPerMinute,
  type Rollout,
  stageFacts,
} from './decide.ts'

const now = Date.parse('2026-11-21T12:00:00.000Z')
const minute = 60_000
const hour = 60 * minute
const [wanted, other] = ['a'.repeat(64), 'b'.repeat(64)]

const planWith = (change: Partial<RolloutPlan> = {}): RolloutPlan => ({
  ...planDefaults,
  windows: [],
  deadlines: {},
  stages: stageDefaults(10),
  care: careDefaults,
  name: 'door',
  version: 2,
  select: { all: true },
  ...change,
})
const rolloutWith = (change: Partial<Rollout> & { begun?: number } = {}): Rollout => {
  const { begun = 0, ...rest } = change
  const plan = rest.plan ?? planWith()
  return {
    state: 'running',
    stage: Math.max(0, begun),
    scope: 'all',
    integrityElsewhere: [],
    held: null,
    busy: false,
    stages: [...plan.stages, undefined].map((_, index) => ({
      startedAt: index <= begun ? now - 24 * hour : null,
      approved: false,
      regardless: false,
    })),
    ...rest,
    plan,
  }
}
const boxWith = (change: Partial<Box> = {}): Box => ({
  deviceId: 'box',
  stage: 0,
  state: 'waiting',
  since: now - hour,
  offeredAt: null,
  contactAt: null,
  confirmedAt: null,
  goingBack: false,
  code: null,
  current: true,
  digest: wanted,
  afterSequence: 0,
  running: null,
  shadow: null,
  probation: null,
  online: true,
  lastSeenAt: now - 1000,
  zone: 'UTC',
  ...change,
})
const many = (count: number, change: Partial<Box> = {}, prefix = 'box'): Box[] =>
  Array.from({ length: count }, (_, i) => boxWith({ ...change, deviceId: `${prefix}-${i}` }))
const good: Partial<Box> = {
  state: 'committed',
  contactAt: now - 3 * hour,
  offeredAt: now - 3 * hour,
  confirmedAt: now - hour,
  afterSequence: 7,
  running: { digest: wanted, version: 2, sequence: 9 },
}
const bad: Partial<Box> = { state: 'failed', code: 'probe-load', offeredAt: now - 3 * hour }
const actsOf = (decisions: readonly Decision[]) => decisions.map(({ act }) => act)
const one = (decisions: readonly Decision[]): Decision => {
  assert.equal(decisions.length, 1, JSON.stringify(decisions))
  return decisions[0] as Decision
}

test('a commitment alone is no success: the device is seen running it afterwards', () => {
  const committed = { state: 'committed', since: now - 5000, afterSequence: 7 } as const
  const running = (digest: string, sequence: number) => ({ digest, version: 2, sequence })
  const seen = (change: Partial<Box>) =>
    actsOf(decide(rolloutWith(), [boxWith({ ...committed, ...change }), ...many(9)], now)).filter(
      (act) => act === 'confirm' || act === 'revoke',
    )
  assert.deepEqual(seen({}), [])
  assert.deepEqual(seen({ running: running(wanted, 7) }), [])
  assert.deepEqual(seen({ running: running(wanted, 8) }), ['confirm'])
  // A device says what changes: heard later and silent about it, it still runs it.
  const late = { since: now - 2 * confirmMs, running: running(wanted, 7) }
  assert.deepEqual(seen({ ...late, lastSeenAt: now - 1000 }), ['confirm'])
  assert.deepEqual(seen({ ...late, online: false, lastSeenAt: now - confirmMs }), ['confirm'])
  assert.deepEqual(seen({ ...late, online: false, lastSeenAt: now - confirmMs - 1 }), [])
  // What it said before it committed says nothing.
  assert.deepEqual(seen({ running: running(other, 6) }), [])
  assert.deepEqual(seen({ running: running(other, 8) }), ['revoke'])
})

test('a device that falls back leaves the successes, also after the end, and a stage that was passed stops for it (T6)', () => {
  const fallen = { ...good, running: { digest: other, version: 0, sequence: 12 } }
  const decision = one(decide(rolloutWith({ state: 'superseded' }), [boxWith(fallen)], now))
  assert.equal(decision.act, 'revoke')
  assert.equal(decision.why, "It had committed version 2, and now runs the box's own file")
  for (const state of ['running', 'held', 'paused', 'complete'] as const) {
    const boxes = [...many(8, good), ...many(2, fallen, 'fallen')]
    const begun = state === 'complete' ? 4 : 2
    const acts = actsOf(decide(rolloutWith({ state, begun, stage: 2 }), boxes, now))
    assert.deepEqual(acts, ['revoke', 'revoke', 'stop'], state)
  }
  // It was not this rollout that changed it.
  assert.deepEqual(
    decide(
      rolloutWith({ state: 'complete', begun: 4, stage: 3 }),
      [boxWith({ ...fallen, current: false })],
      now,
    ),
    [],
  )
})

test('a device that runs a newer version than it committed was brought that by hand, and has not fallen back', () => {
  const newer = { ...good, running: { digest: other, version: 3, sequence: 12 } }
  for (const state of ['running', 'complete'] as const) {
    const boxes = [...many(8, good), ...many(2, newer, 'newer')]
    const acts = actsOf(
      decide(rolloutWith({ state, begun: state === 'complete' ? 4 : 2, stage: 2 }), boxes, now),
    )
    assert.ok(!acts.includes('revoke') && !acts.includes('stop'), `${state}: ${acts}`)
  }
})

test('silence runs out of time, from the first contact on, and counts as failed (T7)', () => {
  const cases: [Partial<Box>, string | undefined][] = [
    [{ state: 'offered', contactAt: null, since: now - 48 * hour }, undefined],
    [{ state: 'offered', contactAt: now - 10 * minute }, undefined],
    [{ state: 'offered', contactAt: now - 10 * minute - 1 }, 'time-out'],
    // The clock begins anew with each state.
    [{ state: 'staged', contactAt: now - 5 * hour, since: now - 9 * minute }, undefined],
    [{ state: 'staged', contactAt: now - 5 * hour, since: now - 11 * minute }, 'time-out'],
    [{ state: 'downloading', contactAt: now - 40 * hour, since: now - 24 * hour }, undefined],
    [{ state: 'downloading', contactAt: now - 40 * hour, since: now - 25 * hour }, 'time-out'],
    [{ state: 'shadowing', contactAt: now - 5 * hour, since: now - 2.4 * hour }, undefined],
    [{ state: 'shadowing', contactAt: now - 5 * hour, since: now - 2.6 * hour }, 'time-out'],
    [{ state: 'committed', contactAt: now - 99 * hour, since: now - 99 * hour }, undefined],
    [{ state: 'waiting', since: now - 99 * hour, online: false, lastSeenAt: null }, undefined],
  ]
  for (const [change, act] of cases) {
    const acts = actsOf(decide(rolloutWith(), [boxWith(change)], now))
    assert.equal(
      acts.find((each) => each === 'time-out'),
      act,
      JSON.stringify(change),
    )
  }
  const silent = many(2, { state: 'probed', contactAt: now - hour })
  const acts = actsOf(decide(rolloutWith(), [...silent, ...many(8, good)], now))
  assert.deepEqual(acts, ['time-out', 'time-out', 'stop'])
})

test('deadlines are those of the plan where it says so, and stand still out of a window', () => {
  const late = boxWith({ state: 'downloading', contactAt: now - hour, since: now - 10 * minute })
  const plan = planWith({ deadlines: { downloading: 60_000 }, jitterMs: 0 })
  assert.equal(decide(rolloutWith({ plan }), [late], now)[0]?.act, 'time-out')
  const everyDay = [1, 2, 3, 4, 5, 6, 7]
  const windows = (from: string, to: string) => ({
    ...plan,
    windows: [{ days: everyDay, from, to }],
  })
  assert.deepEqual(decide(rolloutWith({ plan: windows('22:00', '23:00') }), [late], now), [])
  // It opened half a minute ago.
  assert.deepEqual(
    decide(rolloutWith({ plan: windows('12:00', '13:00') }), [late], now + 30_000),
    [],
  )
  assert.equal(
    decide(rolloutWith({ plan: windows('11:00', '13:00') }), [late], now)[0]?.act,
    'time-out',
  )
})

test('a device that fell silent with the new model in use is asked to go back; one before that is not', () => {
  for (const [state, goBack] of [
    ['probation', true],
    ['activating', true],
    ['probed', false],
  ] as const) {
    const decision = decide(
      rolloutWith(),
      [boxWith({ state, contactAt: now - 5 * hour, since: now - 5 * hour })],
      now,
    )[0]
    assert.ok(decision?.act === 'time-out' && decision.goBack === goBack, state)
  }
})

test('the next stage begins when enough of the reachable run it, have for long enough, and half of all is reachable (T8)', () => {
  const waiting = many(2, { online: false, lastSeenAt: now - hour }, 'off')
  const cases: [string, Box[], string | undefined][] = [
    ['all', many(10, good), 'advance'],
    ['19 of 20', [...many(19, good), ...many(1, { ...bad }, 'bad')], 'advance'],
    [
      '18 of 20, one on its way',
      [
        ...many(18, good),
        ...many(1, { state: 'downloading', contactAt: now }, 'way'),
        ...many(1, bad, 'bad'),
      ],
      undefined,
    ],
    ['9 of 10, and no more to come', [...many(9, good), ...many(1, bad, 'bad')], 'hold'],
    ['offline ones are left out', [...many(8, good), ...waiting], 'advance'],
    [
      'half of them offline',
      [...many(5, good), ...many(5, { online: false, lastSeenAt: null }, 'off')],
      'advance',
    ],
    [
      'more than half offline',
      [...many(4, good), ...many(6, { online: false, lastSeenAt: null }, 'off')],
      undefined,
    ],
    [
      'gone after they came through',
      many(10, { ...good, online: false, lastSeenAt: now - 5 * hour }),
      'advance',
    ],
    [
      'not soaked',
      [...many(9, good), ...many(1, { ...good, confirmedAt: now - minute }, 'late')],
      undefined,
    ],
    ['committed, not seen', many(10, { ...good, confirmedAt: null, running: null }), undefined],
    [
      'taken back by request',
      [...many(9, good), ...many(1, { state: 'rolled-back', code: 'by-request' }, 'back')],
      'advance',
    ],
    ['nobody there', [], 'advance'],
  ]
  for (const [what, boxes, act] of cases) {
    const decisions = decide(rolloutWith(), boxes, now).filter((each) => each.act !== 'offer')
    assert.deepEqual(actsOf(decisions), act === undefined ? [] : [act], what)
  }
  const last = one(decide(rolloutWith({ begun: 3 }), many(10, { ...good, stage: 3 }), now))
  assert.ok(last.act === 'advance' && last.stage === 4)
})

test('the soak runs from the device that made it enough, not from each straggler', () => {
  const boxes = [...many(38, good), ...many(2, { ...good, confirmedAt: now - 1000 }, 'late')]
  assert.equal(one(decide(rolloutWith(), boxes, now)).act, 'advance')
  assert.deepEqual(decide(rolloutWith(), boxes.slice(2), now - 1000), [])
})

test('failures stop it: two in a small canary, three in a large one, then two of a hundred', () => {
  const later = { begun: 2, stage: 2 }
  const cases: [string, Partial<Rollout> & { begun?: number }, Box[], boolean][] = [
    ['1 of 10', {}, [...many(9, good), ...many(1, bad, 'bad')], false],
    ['2 of 10', {}, [...many(8), ...many(2, bad, 'bad')], true],
    [
      '2 of 50',
      { plan: planWith({ stages: stageDefaults(50) }) },
      [...many(48, good), ...many(2, bad, 'bad')],
      false,
    ],
    [
      '3 of 50',
      { plan: planWith({ stages: stageDefaults(50) }) },
      [...many(47), ...many(3, bad, 'bad')],
      true,
    ],
    [
      '3 of 400 after 20',
      later,
      many(400, { stage: 2 }).map((box, i) =>
        i < 3 ? { ...box, ...bad } : i < 30 ? { ...box, ...good } : box,
      ),
      false,
    ],
    [
      '7 of 400 after 20',
      later,
      many(400, { stage: 2 }).map((box, i) =>
        i < 7 ? { ...box, ...bad } : i < 30 ? { ...box, ...good } : box,
      ),
      false,
    ],
    [
      '8 of 400 after 20',
      later,
      many(400, { stage: 2 }).map((box, i) =>
        i < 8 ? { ...box, ...bad } : i < 30 ? { ...box, ...good } : box,
      ),
      true,
    ],
    [
      '8 of 400 of 8',
      later,
      many(400, { stage: 2 }).map((box, i) => (i < 8 ? { ...box, ...bad } : box)),
      false,
    ],
    [
      'by request',
      {},
      [...many(8, good), ...many(2, { state: 'rolled-back', code: 'by-request' }, 'back')],
      false,
    ],
    ['by us', {}, [...many(8, good), ...many(2, { state: 'cancelled' }, 'off')], false],
  ]
  for (const [what, rollout, boxes, stops] of cases) {
    assert.equal(actsOf(decide(rolloutWith(rollout), boxes, now)).includes('stop'), stops, what)
  }
  const stop = one(decide(rolloutWith(), [...many(8, good), ...many(2, bad, 'bad')], now))
  assert.equal(
    stop.why,
    '2 of 10 devices of stage "canary" failed, and it stops at 2: probe-load (2)',
  )
})

test('two devices with wrong bytes stop everything at once; one may be a bad disk', () => {
  const damaged: Partial<Box> = { state: 'failed', code: 'integrity', stage: 2 }
  const boxes = (count: number) => [
    ...many(400, { stage: 2, ...good }),
    ...many(count, damaged, 'bad'),
  ]
  const rollout = rolloutWith({ begun: 2 })
  assert.ok(!actsOf(decide(rollout, boxes(1), now)).includes('stop'))
  for (const decision of [
    one(decide(rollout, boxes(2), now)),
    one(decide({ ...rollout, integrityElsewhere: ['elsewhere'] }, boxes(1), now)),
  ]) {
    assert.ok(decision.act === 'stop' && decision.cause === 'integrity' && decision.everything)
  }
  // The same device twice is one device.
  assert.ok(
    !actsOf(decide({ ...rollout, integrityElsewhere: ['bad-0'] }, boxes(1), now)).includes('stop'),
  )
})

const compared: Comparison = {
  frames: 300,
  agreement: 0.9,
  latencyP95Ms: 20,
  activeLatencyP95Ms: 20,
  detections: 2,
  activeDetections: 2,
  confidence: 0.7,
  activeConfidence: 0.7,
  countDrift: 0,
  confidenceDrift: 0,
  memoryBytes: 1e8,
  crashes: 0,
  streams: ['s'],
}

test('a model that surely does worse stops it, before anything failed; one in doubt waits for somebody', () => {
  const shadowing = (agreement: number) =>
    many(10, { state: 'shadowing', contactAt: now, since: now, shadow: { ...compared, agreement } })
  assert.deepEqual(decide(rolloutWith(), shadowing(0.9), now), [])
  const stop = one(decide(rolloutWith(), shadowing(0.4), now))
  assert.ok(stop.act === 'stop' && stop.cause === 'quality')
  assert.match(stop.why, /^Stage "canary": 40 % of detections/)
  const doubtful = many(10, { ...good, shadow: { ...compared, agreement: 0.66 } })
  const hold = one(decide(rolloutWith(), doubtful, now))
  assert.ok(hold.act === 'hold' && hold.regardless)
  const crashing = many(2, { ...good, probation: { ...compared, crashes: 1 } })
  assert.match(
    one(decide(rolloutWith(), [...crashing, ...many(8, good, 'fine')], now)).why,
    /crashed on 2 devices/,
  )
})

test('what is stopped is taken back as far as it was asked, and called off where it touches nothing yet', () => {
  const boxes = [
    boxWith({ deviceId: 'a', ...good, stage: 0 }),
    boxWith({ deviceId: 'b', ...good, stage: 1 }),
    boxWith({ deviceId: 'c', state: 'probation', contactAt: now, since: now, stage: 1 }),
    boxWith({ deviceId: 'd', state: 'shadowing', contactAt: now, since: now, stage: 1 }),
    boxWith({ deviceId: 'e', stage: 2 }),
    boxWith({ deviceId: 'f', ...bad, stage: 1 }),
    boxWith({ deviceId: 'g', ...good, stage: 1, goingBack: true }),
    boxWith({ deviceId: 'h', ...good, stage: 0, current: false }),
  ]
  const back = (scope: Rollout['scope']) =>
    decide(rolloutWith({ state: 'stopped', scope, begun: 1 }), boxes, now).map((each) =>
      'devices' in each ? `${each.act} ${each.devices}` : each.act,
    )
  assert.deepEqual(back('all'), ['cancel d', 'roll-back a,b,c'])
  assert.deepEqual(back('stage'), ['cancel d', 'roll-back b,c'])
  assert.deepEqual(back('none'), ['cancel d'])
})

test('a device has gone back when it says that it runs something else', () => {
  const asked = { ...good, goingBack: true, afterSequence: 9 }
  const runs = (digest: string, sequence: number) =>
    decide(
      rolloutWith({ state: 'aborted' }),
      [boxWith({ ...asked, running: { digest, version: 1, sequence } })],
      now,
    )
  assert.deepEqual(runs(other, 9), [])
  assert.deepEqual(runs(wanted, 10), [])
  const decision = one(runs(other, 10))
  assert.equal(decision.why, 'It runs version 1 again')
  const after = changedBy(boxWith(asked), decision, now)
  assert.deepEqual([after.state, after.code, after.goingBack], ['rolled-back', 'by-request', false])
})

test('approval is waited for where the plan wants one', () => {
  const boxes = many(10, good)
  const asks = (approval: RolloutPlan['approval'], begun: number) => {
    const staged = boxes.map((box) => ({ ...box, stage: Math.max(0, begun) }))
    const [first] = decide(rolloutWith({ plan: planWith({ approval }), begun }), staged, now)
    return first && 'stage' in first ? `${first.act} ${first.stage}` : first?.act
  }
  assert.deepEqual(
    [-1, 0, 1, 3].map((begun) => asks('none', begun)),
    ['advance 0', 'advance 1', 'advance 2', 'advance 4'],
  )
  assert.deepEqual(
    [-1, 0, 1, 3].map((begun) => asks('after-canary', begun)),
    ['advance 0', 'hold 1', 'advance 2', 'advance 4'],
  )
  assert.deepEqual(
    [-1, 0, 1, 3].map((begun) => asks('every-stage', begun)),
    ['hold 0', 'hold 1', 'hold 2', 'advance 4'],
  )
  const plan = planWith({ approval: 'after-canary' })
  const said = rolloutWith({ plan })
  const stages = said.stages.map((stage, index) => ({ ...stage, approved: index === 1 }))
  assert.equal(one(decide({ ...said, stages }, boxes, now)).act, 'advance')
  // It is held already: nothing new.
  const held = { state: 'held', held: { stage: 1, regardless: false } } as const
  assert.deepEqual(decide(rolloutWith({ plan, ...held }), boxes, now), [])
})

test('what is held for too few successes goes on by itself when devices are on their way again, or regardless when somebody says so', () => {
  const short = [...many(9, good), boxWith({ ...bad, deviceId: 'bad' })]
  const held = { state: 'held', held: { stage: 1, regardless: true } } as const
  assert.deepEqual(decide(rolloutWith(held), short, now), [])
  const retried = [...many(9, good), boxWith({ deviceId: 'bad', offeredAt: now - hour })]
  assert.deepEqual(actsOf(decide(rolloutWith(held), retried, now)), ['go-on'])
  const rollout = rolloutWith()
  const stages = rollout.stages.map((stage, index) => ({
    ...stage,
    approved: index === 1,
    regardless: index === 1,
  }))
  const decision = one(decide({ ...rollout, stages }, short, now))
  assert.ok(decision.act === 'advance')
  assert.match(decision.why, /^Approved regardless: 9 of 10 reachable devices/)
})

test('offers keep to the rate, in the order of the devices, to those who can be reached and whose window is open', () => {
  const offered = (rollout: Rollout, boxes: Box[], at = now) => {
    const found = decide(rollout, boxes, at).find((each) => each.act === 'offer')
    return found?.act === 'offer' ? found.devices.length : 0
  }
  const plan = planWith({ rate: { perMinute: 12, doubledAfter: 0, perMinuteMax: 1000 } })
  const rollout = rolloutWith({ plan })
  assert.equal(offered(rollout, many(50)), 2)
  const before = (count: number, agoMs: number) =>
    many(count, { state: 'offered', offeredAt: now - agoMs }, `b${agoMs}`)
  assert.equal(offered(rollout, [...before(1, 5000), ...many(50)]), 1)
  assert.equal(offered(rollout, [...before(11, 30_000), ...many(50)]), 1)
  assert.equal(offered(rollout, [...before(12, 30_000), ...many(50)]), 0)
  assert.equal(offered(rollout, [...before(12, 60_000), ...many(50)]), 2)
  // One in two minutes.
  const slow = rolloutWith({
    plan: planWith({ rate: { perMinute: 0.5, doubledAfter: 0, perMinuteMax: 1 } }),
  })
  assert.equal(offered(slow, [...before(1, 90_000), ...many(5)]), 0)
  assert.equal(offered(slow, [...before(1, 120_000), ...many(5)]), 1)
  assert.equal(offered(rollout, many(5, { stage: 1 })), 0)
  assert.equal(offered(rollout, many(5, { online: false, lastSeenAt: now - hour })), 0)
  assert.equal(offered({ ...rollout, state: 'paused' }, many(5)), 0)
  assert.equal(
    offered(rolloutWith({ plan, begun: 4, stage: 3, state: 'complete' }), many(5, { stage: 3 })),
    2,
  )
  const night = { ...plan, windows: [{ days: [6], from: '20:00', to: '23:00' }] }
  // Noon in UTC is nine in the evening in Tokyo.
  const zones = [boxWith({ deviceId: 'here' }), boxWith({ deviceId: 'tokyo', zone: 'Asia/Tokyo' })]
  const found = decide(rolloutWith({ plan: night }), zones, now)[0]
  assert.deepEqual(found?.act === 'offer' && found.devices, ['tokyo'])
})

test('the rate doubles with what came through, up to its limit', () => {
  const rates = [0, 999, 1000, 4500, 99_000].map((confirmed) =>
    offersPerMinute(planWith(), confirmed),
  )
  assert.deepEqual(rates, [50, 50, 100, 800, 1000])
})

test('one that waits for another begins when that is over, and one that is over decides nothing for late devices', () => {
  assert.deepEqual(
    decide(rolloutWith({ state: 'queued', busy: true, begun: -1 }), many(3), now),
    [],
  )
  assert.equal(one(decide(rolloutWith({ state: 'queued', begun: -1 }), many(3), now)).act, 'begin')
  for (const state of ['stopped', 'aborted', 'superseded'] as const) {
    assert.deepEqual(decide(rolloutWith({ state }), many(3), now), [], state)
  }
})

/**
 * The same thresholds once more, as the notes state them: counted in whole numbers, one device after the other, without anything
 * of the code under test.
 */
function expected(
  boxes: readonly Box[],
  gate: { committed: number; reachable: number; stop: number; least: number },
): string {
  let [members, success, failure, alive] = [0, 0, 0, 0]
  for (const box of boxes) {
    const asked = box.code === 'by-request'
    const fails = ['rolled-back', 'failed', 'rejected', 'timed-out'].includes(box.state)
    if (box.state === 'superseded' || box.state === 'cancelled' || (fails && asked)) continue
    members++
    if (box.state === 'committed' && box.confirmedAt !== null) success++
    else if (fails) failure++
    else if (box.online) alive++
  }
  if (failure >= gate.stop && success + failure >= Math.min(gate.least, members)) return 'stop'
  if (members === 0) return 'advance'
  const known = success + failure + alive
  if (known === 0 || known * 100 < gate.reachable * members) return 'wait'
  if (success * 100 >= gate.committed * known) return 'advance'
  return alive === 0 ? 'hold' : 'wait'
}

test('thresholds are those of a plain model, whatever state devices are in (T13)', () => {
  const state = fc.record({
    state: fc.constantFrom(...boxStates, ...(['committed', 'committed', 'committed'] as const)),
    confirmed: fc.boolean(),
    asked: fc.boolean(),
    online: fc.boolean(),
  })
  const gates = fc.record({
    committed: fc.integer({ min: 0, max: 100 }),
    reachable: fc.integer({ min: 0, max: 100 }),
    stop: fc.integer({ min: 1, max: 8 }),
    least: fc.integer({ min: 0, max: 30 }),
  })
  fc.assert(
    fc.property(fc.array(state, { maxLength: 40 }), gates, (states, limits) => {
      const boxes = states.map((each, index) =>
        boxWith({
          deviceId: `box-${index}`,
          state: each.state,
          online: each.online,
          lastSeenAt: null,
          since: now,
          offeredAt: now - hour,
          afterSequence: 5,
          confirmedAt: each.state === 'committed' && each.confirmed ? now - hour : null,
          code: each.asked ? 'by-request' : 'download',
        }),
      )
      const gate = {
        ...canaryGate(10),
        committedShareMin: limits.committed / 100,
        reachableShareMin: limits.reachable / 100,
        failuresMax: limits.stop,
        executedMin: limits.least,
      }
      const plan = planWith({
        stages: [
          { name: 'first', share: 0.5, devicesMin: 0, soakMs: 0, gate },
          { name: 'rest', share: 1, devicesMin: 0, soakMs: 0, gate },
        ],
        rate: { perMinute: 1, doubledAfter: 0, perMinuteMax: 1 },
      })
      const decisions = decide(rolloutWith({ plan }), boxes, now)
      const found = decisions.find((each) => ['stop', 'advance', 'hold'].includes(each.act))
      assert.equal(found?.act ?? 'wait', expected(boxes, limits))
    }),
    { numRuns: 2000 },
  )
})

test('whatever is decided is decided once: carried out, the same question has no answer left (seeded walk)', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...boxStates), { minLength: 1, maxLength: 30 }),
      (states) => {
        const boxes = states.map((state, index) =>
          boxWith({
            deviceId: `box-${index}`,
            state,
            since: now - 30 * hour,
            contactAt: now - 30 * hour,
            afterSequence: 3,
            running: { digest: index % 3 ? wanted : other, version: 1, sequence: 4 },
            offeredAt: state === 'waiting' ? null : now - 30 * hour,
          }),
        )
        const single = (decisions: Decision[]) => decisions.filter((each) => 'deviceId' in each)
        let after = boxes
        for (const decision of single(decide(rolloutWith(), boxes, now))) {
          after = after.map((box) =>
            'deviceId' in decision && box.deviceId === decision.deviceId
              ? changedBy(box, decision, now)
              : box,
          )
        }
        assert.deepEqual(single(decide(rolloutWith(), after, now)), [])
      },
    ),
  )
})

test('what a gate still wants is a sentence', () => {
  const plan = planWith()
  const wants = (boxes: Box[]) => {
    const gate = gateOf(plan, 0, stageFacts(plan, 0, boxes, now), now)
    return gate.open ? '' : gate.wants
  }
  assert.equal(
    wants(many(10)),
    '0 of 10 reachable devices of stage "canary" run it, 95 % are wanted',
  )
  assert.equal(
    wants(many(10, { online: false, lastSeenAt: null })),
    '0 of 10 devices of stage "canary" can be reached, 50 % are wanted',
  )
  assert.equal(
    wants(many(10, { ...good, confirmedAt: now })),
    'Stage "canary" soaks until 2026-11-21T12:30:00.000Z',
  )
})
