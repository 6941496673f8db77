/** Rollouts through a real hub, with boxes that speak the protocol over real connections. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type AuditPage,
  careDefaults,
  type DeviceRow,
  type DeviceUpdates,
  type RolloutBoxPage,
  type RolloutDetail,
  type RolloutPreview,
  type RolloutRow,
  type SiteRow,
  topicFor,
} from '@edgeloop/protocol'
import { needs } from '../require.ts'
import { assertAudited } from './audited.ts'
import { openTestHub, type TestHub } from './fixture.ts'
import {
  type Course,
  digestOf,
  fails,
  fine,
  publishedFor,
  quick,
  SimulatedBox,
  well,
} from './simulated-box.ts'

type Problem = { code: string; detail: string }

async function openFleet(
  t: TestContext,
  count: number,
  versions = [1, 2, 3],
  clock?: () => number,
) {
  const hub = await openTestHub(t, { site: 'mill' }, clock, {
    artifacts: publishedFor('door', versions),
  })
  const boxes: SimulatedBox[] = []
  for (let i = 0; i < count; i++) {
    boxes.push(await new SimulatedBox(await hub.enrol(`box-${i}`), 'door').connect())
  }
  return { hub, boxes }
}
const call = async <T>(hub: TestHub, method: string, path: string, body?: unknown): Promise<T> => {
  const reply = await hub.api(method, path, body)
  const text = await reply.text()
  assert.ok(reply.ok, `${method} ${path}: ${reply.status} ${text}`)
  return JSON.parse(text) as T
}
const refused = async (
  hub: TestHub,
  method: string,
  path: string,
  body?: unknown,
): Promise<Problem> => {
  const reply = await hub.api(method, path, body)
  assert.ok(!reply.ok, `${method} ${path} was not refused`)
  return (await reply.json()) as Problem
}
const create = (hub: TestHub, given: object = {}) =>
  call<RolloutDetail>(hub, 'POST', '/api/rollouts', {
    name: 'door',
    version: 2,
    select: { all: true },
    ...quick,
    ...given,
  })
const show = (hub: TestHub, id: string) => call<RolloutDetail>(hub, 'GET', `/api/rollouts/${id}`)
const boxesOf = async (hub: TestHub, id: string, query = '') =>
  (await call<RolloutBoxPage>(hub, 'GET', `/api/rollouts/${id}/boxes${query}`)).boxes
/** Waits for what a rollout becomes. */
async function until(
  t: TestContext,
  hub: TestHub,
  id: string,
  is: (detail: RolloutDetail) => boolean,
): Promise<RolloutDetail> {
  let last: RolloutDetail | undefined
  await t.waitFor(
    async () => {
      last = await show(hub, id)
      assert.ok(
        is(last),
        `${last.rollout.state}: ${last.rollout.why} ${JSON.stringify(last.rollout.counts)}`,
      )
    },
    { interval: 50, timeout: 30_000 },
  )
  return last as RolloutDetail
}
/** What an open page hears from now on. */
async function changesOf(t: TestContext, hub: TestHub): Promise<() => string> {
  const gone = new AbortController()
  t.after(() => gone.abort())
  const token = (await readFile(hub.hub.localTokenFile, 'utf8')).trim()
  const headers = { authorization: `Bearer ${token}` }
  const { signal } = gone
  const { body } = await fetch(`${hub.hub.urls.browser}/api/changes`, { headers, signal })
  let text = ''
  const read = async (): Promise<void> => {
    for await (const part of body?.pipeThrough(new TextDecoderStream()) ?? []) text += part
  }
  void read().catch(() => {})
  return () => text
}
const stateIs = (state: string) => (detail: RolloutDetail) => detail.rollout.state === state

test('a rollout goes stage by stage to its end, and says what it cost', async (t) => {
  const { hub, boxes } = await openFleet(t, 8)
  const preview = await call<RolloutPreview>(hub, 'POST', '/api/rollout-previews', {
    name: 'door',
    version: 2,
    select: { sites: ['mill'] },
    ...quick,
  })
  assert.deepEqual(
    preview.stages.map(({ devices }) => devices),
    [2, 2, 4],
  )
  assert.deepEqual([preview.devices, preview.refused, preview.busy], [8, '', []])
  assert.equal(preview.bytes.whole, 8 * 80_000)

  const told = await changesOf(t, hub)
  const { rollout } = await create(hub)
  const done = await until(t, hub, rollout.rolloutId, stateIs('complete'))
  // Open pages hear of it.
  await t.waitFor(() => assert.match(told(), /"kind":"rollout".*"state":"complete"/), {
    timeout: 10_000,
  })
  assert.deepEqual(
    done.stages.map(({ state }) => state),
    ['passed', 'passed', 'passed'],
  )
  assert.deepEqual(done.rollout.counts, {
    devices: 8,
    waiting: 0,
    active: 0,
    committed: 0,
    confirmed: 8,
    failed: 0,
    revoked: 0,
    ended: 0,
    goingBack: 0,
  })
  assert.deepEqual(done.rollout.bytes, { fromHub: 16_000, fromMirrors: 0, whole: 640_000 })
  assert.deepEqual(done.decisions.map(({ act }) => act).reverse(), [
    'create',
    'begin',
    'advance',
    'advance',
    'advance',
    'advance',
  ])
  const canary = await boxesOf(hub, rollout.rolloutId, '?stage=0')
  assert.equal(canary.length, 2)
  assert.deepEqual(
    canary[0]?.history.map(({ state }) => state),
    [...well.states],
  )
  assert.equal(canary[0]?.versionBefore, 0)
  // Who is through is offered nothing any more.
  await t.waitFor(() => assert.ok(boxes.every(({ offers }) => offers.length === 0)), {
    timeout: 10_000,
  })
  const history = await call<DeviceUpdates>(hub, 'GET', '/api/devices/box-3/updates')
  assert.deepEqual([history.running[0]?.version, history.updates[0]?.state], [2, 'committed'])
  const again = await refused(hub, 'POST', '/api/rollouts', {
    name: 'door',
    version: 2,
    select: { all: true },
  })
  assert.match(again.detail, /^Cannot roll out version 2 of door: no device is hit/)
  const audit = await call<AuditPage>(hub, 'GET', '/api/audit?action=rolloutCreate')
  assert.deepEqual(
    audit.entries.map(({ target, outcome }) => `${target} ${outcome}`),
    ['door/2 badRequest', 'door/2 done'],
  )
})

test('a bad version stops in the canary, and what has it goes back by itself', async (t) => {
  const { hub, boxes } = await openFleet(t, 8)
  // One of the canary takes it up, the other goes back by itself; a third would never be asked.
  const bad: Course = {
    states: ['offered', 'downloading', 'activating', 'probation', 'rolled-back'],
    code: 'probation-crash',
  }
  for (const box of boxes) box.course = bad
  const { rollout } = await create(hub)
  const { rolloutId } = rollout
  const stopped = await until(t, hub, rolloutId, stateIs('stopped'))
  assert.equal(
    stopped.rollout.why,
    '2 of 2 devices of stage "canary" failed, and it stops at 2: probation-crash (2)',
  )
  assert.deepEqual(
    stopped.stages.map(({ state }) => state),
    ['failed', 'ahead', 'ahead'],
  )
  assert.ok(boxes.every(({ version }) => version === 0))
  assert.equal(boxes.filter(({ heard }) => heard.some(({ offers }) => offers.length > 0)).length, 2)

  // Made good, it is offered to them once more.
  for (const box of boxes) box.course = well
  await call(hub, 'POST', `/api/rollouts/${rolloutId}/retry`, {})
  const done = await until(t, hub, rolloutId, stateIs('complete'))
  assert.equal(done.rollout.counts.confirmed, 8)
  const [first] = await boxesOf(hub, rolloutId)
  assert.equal(first?.attempt, 2)
  await assertAudited(hub, 'rolloutRetry')
  assert.equal(done.rollout.bytes.fromHub, 10 * 2000)
})

test(
  'live frames decide: a version that sees something else is stopped and taken back before anything failed',
  needs('time'),
  async (t) => {
    const { hub, boxes } = await openFleet(t, 8)
    const wrong = { ...fine, agreement: 0.1, countDrift: 6 }
    for (const box of boxes) box.course = { ...well, comparison: wrong }
    const stages = [
      { name: 'canary', share: 0.5, soakMs: 60_000 },
      { name: 'all', share: 1 },
    ]
    const { rollout } = await create(hub, { stages })
    const stopped = await until(
      t,
      hub,
      rollout.rolloutId,
      (detail) => detail.rollout.state === 'stopped' && detail.rollout.counts.goingBack === 0,
    )
    assert.match(
      stopped.rollout.why,
      /^Stage "canary": 10 % of detections on \d devices are common/,
    )
    assert.ok(boxes.every(({ version }) => version === 0))
    const states = (await boxesOf(hub, rollout.rolloutId, '?stage=0')).map(
      ({ state, code }) => `${state} ${code}`,
    )
    assert.ok(
      states.every((state) => /^(rolled-back by-request|cancelled null)$/.test(state)),
      states.join(),
    )
  },
)

test(
  'a device that falls back after the end is told and counted (T6)',
  needs('time'),
  async (t) => {
    const { hub, boxes } = await openFleet(t, 4)
    const { rollout } = await create(hub)
    await until(t, hub, rollout.rolloutId, stateIs('complete'))
    await boxes[2]?.fallBack()
    const fallen = await until(
      t,
      hub,
      rollout.rolloutId,
      ({ rollout: { counts } }) => counts.revoked === 1,
    )
    assert.deepEqual([fallen.rollout.counts.confirmed, fallen.rollout.counts.failed], [3, 1])
    assert.match(
      fallen.decisions[0]?.text ?? '',
      /^box-2: It had committed version 2, and now runs the box's own file$/,
    )
  },
)

test('messages twice, late, or of nothing change nothing (T9)', async (t) => {
  const { hub, boxes } = await openFleet(t, 2)
  const [box, other] = boxes as [SimulatedBox, SimulatedBox]
  other.course = { states: ['offered', 'downloading'] }
  box.course = { states: ['offered', 'downloading', 'verified'] }
  const { rollout } = await create(hub, { stages: [{ share: 1, soakMs: 0 }] })
  const state = async (deviceId: string) =>
    (await boxesOf(hub, rollout.rolloutId)).find((one) => one.deviceId === deviceId)?.state
  await t.waitFor(async () => assert.equal(await state('box-0'), 'verified'), { timeout: 15_000 })
  const [update] = box.updates
  assert.ok(update)
  const old = {
    ...box.message(),
    sequence: 1,
    updates: [{ ...update, state: 'failed', code: 'download' }],
  }
  const nonsense: unknown[] = [
    ...[
      old,
      old,
      'nothing',
      {},
      { ...box.message(), sequence: 0 },
      { ...box.message(), running: 'all' },
    ],
    { ...box.message(), updates: Array.from({ length: 17 }, () => update) },
    // Of another rollout, another version, a try that was not made.
    box.message({ updates: [{ ...update, rolloutId: randomUUID(), state: 'failed' }] }),
    box.message({ updates: [{ ...update, version: 3, state: 'failed' }] }),
    box.message({ updates: [{ ...update, attempt: 7, state: 'failed' }] }),
  ]
  for (const message of nonsense) await box.say(message)
  await box.client?.publishAsync(topicFor('updates', box.device), '{"at":', { qos: 1 })
  await sleep(500)
  assert.deepEqual([await state('box-0'), await state('box-1')], ['verified', 'downloading'])
  // A box may not speak for another (S14): it is thrown out, and nothing is heard.
  const forged = JSON.stringify({
    ...other.message(),
    updates: [{ ...update, state: 'failed', code: 'download' }],
  })
  box.client?.publish(topicFor('updates', other.device), forged, { qos: 1 })
  await sleep(300)
  assert.equal(await state('box-1'), 'downloading')
  // It may not hear what another is offered either.
  await box.connect()
  await assert.rejects(async () => {
    const [granted] = (await box.client?.subscribeAsync(topicFor('offers', other.device))) ?? []
    if (granted?.qos === 128) throw new Error('refused')
  })
  // What counts goes on as before.
  box.updates = [{ ...update, state: 'failed', code: 'download', reason: 'cut' }]
  await box.connect()
  await t.waitFor(async () => assert.equal(await state('box-0'), 'failed'), { timeout: 15_000 })
})

test(
  'silence runs out of time and counts, half a fleet that is off holds nothing up (T7, T8)',
  needs('time'),
  async (t) => {
    const { hub, boxes } = await openFleet(t, 8)
    for (const box of boxes) box.course = { states: ['offered', 'downloading'] }
    const { rollout } = await create(hub, { deadlines: { downloading: 1000 } })
    const stopped = await until(t, hub, rollout.rolloutId, stateIs('stopped'))
    assert.match(
      stopped.rollout.why,
      /^2 of 2 devices of stage "canary" failed, .* deadline \(2\)$/,
    )
    assert.equal(stopped.decisions.filter(({ act }) => act === 'time-out').length, 2)

    for (const box of boxes.slice(4)) await box.disconnect()
    for (const box of boxes) box.course = well
    await sleep(1200)
    const second = await create(hub, { version: 3, reachableMs: 1000 })
    const { rollout: after } = await until(
      t,
      hub,
      second.rollout.rolloutId,
      ({ rollout: { counts } }) => counts.confirmed === 4,
    )
    assert.equal(after.counts.waiting, 4)
    // The last stage is only half there: it waits, and goes on when they are back.
    for (const box of boxes.slice(4)) await box.connect()
    await until(t, hub, second.rollout.rolloutId, stateIs('complete'))
  },
)

test('abort: nothing new is offered, and what was updated goes back where that is asked (T10)', async (t) => {
  const { hub, boxes } = await openFleet(t, 8)
  const stages = [
    { name: 'first', share: 0.5, soakMs: 0 },
    { name: 'rest', share: 1, soakMs: 600_000 },
  ]
  const { rollout } = await create(hub, { stages, rate: { perMinute: 12, perMinuteMax: 12 } })
  const { rolloutId } = rollout
  await until(t, hub, rolloutId, ({ rollout: { counts } }) => counts.confirmed >= 1)
  const aborted = await call<RolloutDetail>(hub, 'POST', `/api/rollouts/${rolloutId}/abort`, {
    rollBack: true,
  })
  const offered = 8 - aborted.rollout.counts.waiting
  assert.equal(aborted.rollout.state, 'aborted')
  const back = await until(
    t,
    hub,
    rolloutId,
    ({ rollout: { counts } }) => counts.goingBack === 0 && counts.active === 0,
  )
  assert.equal(back.rollout.counts.confirmed, 0)
  assert.ok(boxes.every(({ version }) => version === 0))
  await sleep(1000)
  assert.equal(8 - (await show(hub, rolloutId)).rollout.counts.waiting, offered)
  const again = await refused(hub, 'POST', `/api/rollouts/${rolloutId}/abort`, { rollBack: true })
  assert.equal(again.code, 'conflict')
  assert.equal(
    (await refused(hub, 'POST', `/api/rollouts/${rolloutId}/retry`, {})).detail,
    'Cannot retry the rollout: it is aborted; make a new one',
  )
  await assertAudited(hub, 'rolloutCreate', 'rolloutAbort')
})

test('a hub that was killed in the middle goes on from its rows, and says again what is offered (T11)', async (t) => {
  const { hub, boxes } = await openFleet(t, 8)
  const [half, rest] = [boxes.slice(0, 4), boxes.slice(4)]
  for (const box of rest) box.course = { states: ['offered', 'downloading'] }
  const { rollout } = await create(hub, { stages: [{ share: 1, soakMs: 0 }] })
  await until(
    t,
    hub,
    rollout.rolloutId,
    ({ rollout: { counts } }) => counts.confirmed === 4 && counts.active === 4,
  )
  for (const box of boxes) await box.disconnect()
  await hub.reopen()
  for (const box of boxes) {
    box.offers = []
    box.heard.length = 0
    await box.connect()
  }
  await t.waitFor(() => assert.ok(rest.every(({ offers }) => offers[0]?.version === 2)), {
    timeout: 20_000,
  })
  assert.ok(half.every(({ offers }) => offers.length === 0))
  // The rest goes on where it was.
  for (const box of rest) {
    box.version = 2
    box.updates = box.updates.map((update) => ({ ...update, state: 'committed' }))
    await box.say()
    await box.say()
  }
  const done = await until(t, hub, rollout.rolloutId, stateIs('complete'))
  assert.equal(done.rollout.counts.confirmed, 8)
})

test('a newer rollout takes devices over, or waits for the older one, as its plan says', async (t) => {
  const { hub, boxes } = await openFleet(t, 4)
  for (const box of boxes) box.course = { states: ['offered', 'downloading'] }
  const older = await create(hub, {
    stages: [
      { share: 0.5, soakMs: 0 },
      { share: 1, soakMs: 0 },
    ],
  })
  await until(t, hub, older.rollout.rolloutId, ({ rollout: { counts } }) => counts.active === 2)
  const waiting = await create(hub, { version: 3, whenBusy: 'wait' })
  assert.equal(waiting.rollout.state, 'queued')
  const request = { name: 'door', version: 3, select: { all: true }, ...quick }
  const preview = await call<RolloutPreview>(hub, 'POST', '/api/rollout-previews', request)
  assert.deepEqual(preview.busy.map(({ version, devices }) => `${version} ${devices}`).sort(), [
    '2 4',
    '3 4',
  ])

  for (const box of boxes) box.course = well
  const newer = await create(hub, { version: 3 })
  const done = await until(t, hub, newer.rollout.rolloutId, stateIs('complete'))
  assert.equal(done.rollout.counts.confirmed, 4)
  for (const { rollout } of [older, waiting]) {
    const over = await show(hub, rollout.rolloutId)
    assert.deepEqual(
      [over.rollout.state, over.supersededBy],
      ['superseded', newer.rollout.rolloutId],
    )
    assert.equal(over.rollout.counts.ended, 4)
  }
  const list = await call<RolloutRow[]>(hub, 'GET', '/api/rollouts?state=superseded')
  assert.equal(list.length, 2)
})

test(
  'stages wait for approval, one that is paused offers nothing, and approval of a stage that is over says nothing',
  needs('time'),
  async (t) => {
    const { hub } = await openFleet(t, 4)
    const { rollout } = await create(hub, { approval: 'after-canary' })
    const path = `/api/rollouts/${rollout.rolloutId}`
    const held = await until(t, hub, rollout.rolloutId, stateIs('held'))
    assert.match(held.rollout.why, /stage "half" waits for approval$/)
    assert.equal((await refused(hub, 'POST', `${path}/approve`, { stage: 0 })).code, 'conflict')
    assert.match((await refused(hub, 'POST', `${path}/resume`)).detail, /it is held; approve it$/)
    await call(hub, 'POST', `${path}/approve`, { stage: 1 })
    const done = await until(t, hub, rollout.rolloutId, stateIs('complete'))
    assert.equal(done.stages[1]?.approvedBy, 'local')
    assert.equal((await refused(hub, 'POST', `${path}/approve`, { stage: 1 })).code, 'conflict')
    assert.equal((await refused(hub, 'POST', `${path}/pause`)).code, 'conflict')

    const second = await create(hub, { version: 3, approval: 'every-stage' })
    const other = `/api/rollouts/${second.rollout.rolloutId}`
    await until(t, hub, second.rollout.rolloutId, stateIs('held'))
    assert.equal((await call<RolloutDetail>(hub, 'POST', `${other}/pause`)).rollout.state, 'paused')
    await sleep(400)
    assert.equal((await show(hub, second.rollout.rolloutId)).rollout.counts.waiting, 4)
    await call(hub, 'POST', `${other}/resume`)
    await until(t, hub, second.rollout.rolloutId, stateIs('held'))
    await assertAudited(hub, 'rolloutApprove', 'rolloutPause', 'rolloutResume')
  },
)

test(
  'too few successes are held for somebody, who retries or goes on regardless',
  needs('time'),
  async (t) => {
    const { hub, boxes } = await openFleet(t, 4)
    const stages = [
      { name: 'first', share: 0.75, soakMs: 0 },
      { name: 'rest', share: 1, soakMs: 0 },
    ]
    const preview = await call<RolloutPreview>(hub, 'POST', '/api/rollout-previews', {
      name: 'door',
      version: 2,
      select: { all: true },
      ...quick,
      stages,
    })
    const unlucky = boxes.find(({ id }) => id === preview.stages[0]?.first[0]) as SimulatedBox
    unlucky.course = fails('disk-full')
    const { rollout } = await create(hub, { stages })
    const { rolloutId } = rollout
    const held = await until(t, hub, rolloutId, stateIs('held'))
    assert.match(
      held.rollout.why,
      /^2 of 3 reachable devices of stage "first" run it, 95 % are wanted; retry/,
    )
    assert.equal(
      (await refused(hub, 'POST', `/api/rollouts/${rolloutId}/retry`, { devices: ['box-9'] })).code,
      'notFound',
    )
    unlucky.course = well
    await call(hub, 'POST', `/api/rollouts/${rolloutId}/retry`, { devices: [unlucky.id] })
    await until(t, hub, rolloutId, stateIs('complete'))
    assert.equal(
      (await refused(hub, 'POST', `/api/rollouts/${rolloutId}/retry`, {})).code,
      'conflict',
    )

    unlucky.course = fails('disk-full')
    const second = await create(hub, { version: 3, stages })
    await until(t, hub, second.rollout.rolloutId, stateIs('held'))
    await call(hub, 'POST', `/api/rollouts/${second.rollout.rolloutId}/approve`, { stage: 1 })
    await until(t, hub, second.rollout.rolloutId, stateIs('complete'))
  },
)

test(
  'devices are chosen by site, tag, kind and name; those that fit later join',
  needs('time'),
  async (t) => {
    const { hub, boxes } = await openFleet(t, 4)
    await call(hub, 'PUT', '/api/devices/box-0/tags', { tags: ['pilot', 'door-2'] })
    await call(hub, 'PUT', '/api/devices/box-1/tags', { tags: ['pilot'] })
    await call(hub, 'PUT', '/api/devices/box-1/place', { site: 'quarry' })
    const rows = await call<DeviceRow[]>(hub, 'GET', '/api/devices')
    assert.deepEqual(rows.find(({ deviceId }) => deviceId === 'box-0')?.tags, ['pilot', 'door-2'])
    await boxes[3]?.disconnect()
    await boxes[3]?.connect(['linux-arm64'])
    await t.waitFor(async () => {
      const hit = await call<RolloutPreview>(hub, 'POST', '/api/rollout-previews', {
        name: 'door',
        version: 2,
        select: { targets: ['linux-arm64'] },
      })
      assert.deepEqual(
        hit.leftOut.map(({ reason }) => reason),
        ['Version 2 of door is not published for linux-arm64'],
      )
    })
    const hits = async (select: object) => {
      const preview = await call<RolloutPreview>(hub, 'POST', '/api/rollout-previews', {
        name: 'door',
        version: 2,
        select,
      })
      return preview.stages
        .flatMap(({ first }) => first)
        .sort()
        .join(' ')
    }
    assert.equal(await hits({ all: true }), 'box-0 box-1 box-2')
    assert.equal(await hits({ tags: ['pilot'] }), 'box-0 box-1')
    assert.equal(await hits({ tags: ['pilot'], sites: ['mill'] }), 'box-0')
    assert.equal(await hits({ devices: ['box-2', 'box-9'] }), 'box-2')

    const { rollout } = await create(hub, { select: { tags: ['pilot'] }, join: true })
    await until(t, hub, rollout.rolloutId, stateIs('complete'))
    await call(hub, 'PUT', '/api/devices/box-2/tags', { tags: ['pilot'] })
    const late = await until(
      t,
      hub,
      rollout.rolloutId,
      ({ rollout: { counts } }) => counts.confirmed === 3,
    )
    assert.equal(late.rollout.state, 'complete')
    assert.equal(boxes[2]?.version, 2)
    // A retired device takes no part any more.
    await call(hub, 'POST', '/api/devices/box-2/retire')
    await call(hub, 'DELETE', '/api/devices/box-2')
    await t.waitFor(async () => assert.equal((await boxesOf(hub, rollout.rolloutId)).length, 2))
  },
)

test('one device is taken back to what it ran before, by hand', needs('time'), async (t) => {
  const { hub, boxes } = await openFleet(t, 2)
  const path = '/api/devices/box-0/models/door/roll-back'
  assert.match(
    (await refused(hub, 'POST', path)).detail,
    /^Cannot take "door" back on "box-0": no update of it was offered/,
  )
  const { rollout } = await create(hub)
  await until(t, hub, rollout.rolloutId, stateIs('complete'))
  assert.equal((await call<{ goingBack: boolean }>(hub, 'POST', path)).goingBack, true)
  const after = await until(
    t,
    hub,
    rollout.rolloutId,
    ({ rollout: { counts } }) => counts.ended === 1,
  )
  assert.deepEqual(
    [after.rollout.state, after.rollout.counts.confirmed, after.rollout.counts.failed],
    ['complete', 1, 0],
  )
  assert.equal(boxes[0]?.version, 0)
  await t.waitFor(() => assert.equal(boxes[0]?.offers.length, 0), { timeout: 10_000 })
  await assertAudited(hub, 'deviceModelRollBack')
  assert.match((await refused(hub, 'POST', path)).detail, /its update is rolled-back$/)
  assert.match(
    (await refused(hub, 'POST', '/api/devices/box-0/models/dor/roll-back')).detail,
    /did you mean "door"\?$/,
  )
})

test(
  'offers wait for the maintenance window of the site, and say when it ends',
  needs('time'),
  async (t) => {
    // Saturday noon in UTC.
    const base = Date.parse('2026-11-21T12:00:00.000Z')
    const opened = Date.now()
    const { hub, boxes } = await openFleet(t, 2, [1, 2], () => base + Date.now() - opened)
    const windows = [{ days: [6], from: '20:30', to: '23:00' }]
    await call(hub, 'PUT', '/api/sites/mill/time-zone', { timeZone: 'UTC' })
    assert.match(
      (await refused(hub, 'PUT', '/api/sites/mill/time-zone', { timeZone: 'Mars/Olympus' })).detail,
      /"Mars\/Olympus"/,
    )
    for (const box of boxes) box.course = { states: ['offered', 'downloading'] }
    const { rollout } = await create(hub, { windows })
    await sleep(500)
    assert.equal((await show(hub, rollout.rolloutId)).rollout.counts.waiting, 2)
    const row = await call<SiteRow>(hub, 'PUT', '/api/sites/mill/time-zone', {
      timeZone: 'Asia/Tokyo',
    })
    assert.deepEqual(row, { site: 'mill', timeZone: 'Asia/Tokyo', devices: 2 })
    await until(t, hub, rollout.rolloutId, ({ rollout: { counts } }) => counts.active === 1)
    const offered = boxes.find(({ offers }) => offers.length > 0)
    assert.equal(offered?.offers[0]?.activateBefore, '2026-11-21T14:00:00.000Z')
    assert.deepEqual(
      (await call<SiteRow[]>(hub, 'GET', '/api/sites')).map(({ site }) => site),
      ['mill'],
    )
  },
)

test(
  'boxes of a site that have the bytes are named as mirrors to the others',
  needs('time'),
  async (t) => {
    const { hub, boxes } = await openFleet(t, 2)
    const [near, asker] = boxes as [SimulatedBox, SimulatedBox]
    await near.say({
      ...near.message(),
      mirror: { url: 'https://10.0.0.7:4183', digests: [digestOf(2 + 0x3000)] },
    })
    await sleep(300)
    asker.course = { states: ['offered'] }
    await create(hub, { select: { devices: [asker.id] } })
    await t.waitFor(() => assert.deepEqual(asker.offers[0]?.mirrors, ['https://10.0.0.7:4183']), {
      timeout: 10_000,
    })
  },
)

test('plans that cannot be are refused with what to do', async (t) => {
  const { hub } = await openFleet(t, 1)
  const least = { name: 'door', version: 2, select: { all: true } }
  const cases: [object, RegExp][] = [
    [{ select: { all: true, sites: ['mill'] } }, /^Cannot select all devices and some at once/],
    [{ stages: [{ share: 0.5 }] }, /end at 50 % of the devices/],
    [{ stages: [{ share: 0.5 }, { share: 0.5 }] }, /do not grow: 50 % comes after 50 %/],
    [{ select: { sites: ['nowhere'] } }, /no device is hit/],
    [{ version: 9 }, /no device is hit/],
    [{ care: { ...careDefaults, shadowMs: -1 } }, /shadowMs/],
    [{ approval: 'sometimes' }, /approval/],
    [{ windows: [{ days: [8], from: '22:00', to: '05:00' }] }, /days/],
  ]
  for (const [change, why] of cases) {
    const { code, detail } = await refused(hub, 'POST', '/api/rollouts', { ...least, ...change })
    assert.deepEqual([code, why.test(detail)], ['badRequest', true], detail)
  }
  const id = randomUUID()
  for (const [method, path, body] of [
    ...(['', '/boxes'] as const).map((part) => ['GET', part, undefined] as const),
    ...(['/pause', '/resume'] as const).map((part) => ['POST', part, undefined] as const),
    ['POST', '/abort', { rollBack: true }] as const,
    ['POST', '/approve', { stage: 1 }] as const,
    ['POST', '/retry', {}] as const,
  ]) {
    assert.equal(
      (await refused(hub, method, `/api/rollouts/${id}${path}`, body)).code,
      'notFound',
      path,
    )
  }
  for (const path of ['/api/devices/box-9/updates'])
    assert.equal((await refused(hub, 'GET', path)).code, 'notFound')
  assert.equal(
    (await refused(hub, 'PUT', '/api/devices/box-9/tags', { tags: [] })).code,
    'notFound',
  )
  assert.equal(
    (await refused(hub, 'PUT', '/api/devices/box-0/tags', { tags: ['Not A Tag'] })).code,
    'badRequest',
  )
  assert.equal(
    (await refused(hub, 'POST', '/api/devices/box-9/models/door/roll-back')).code,
    'notFound',
  )
})
