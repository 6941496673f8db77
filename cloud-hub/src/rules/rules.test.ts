/** Rules over stored events and the queue of what they tell, on every store. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import type { EventRule } from '@edgeloop/protocol'
import { sql } from 'kysely'
import { pino } from 'pino'
import { type StoreKind, storeKinds } from '../../../test/stores.ts'
import { openAudit } from '../audit/audit.ts'
import type { Fleet } from '../devices/fleet.ts'
import { openCourier, pauseMs } from '../receivers/courier.ts'
import { type Message, Undelivered } from '../receivers/message.ts'
import { readyReceiver } from '../receivers/receivers.ts'
import type { Send } from '../receivers/send.ts'
import { evaluateNext } from './evaluate.ts'
import { attemptsMax, openDeliveryDesk, pauseAfter, waitingMax } from './queue.ts'

const base = Date.parse('2026-11-20T12:00:00.000Z')
const bootId = randomUUID()

/** A store with one box, a clock that stands, and what rooms need to look at it. */
async function openScene(t: TestContext, kind: StoreKind) {
  const store = await kind.open(t)
  let now = base
  await sql
    .raw(`insert into device (device_key, device_id, site, name, enrolled_at, certificate_serial, certificate_not_after)
      values (1, 'gate', 'mill', '', 0, '', 0)`)
    .execute(store.writer)
  const fleet = {
    find: () => ({ deviceId: 'gate', site: 'mill', movedTo: null, tags: ['pilot'] }),
  } as unknown as Fleet
  const clock = () => now
  const given = { store, fleet, clock, zoneOf: () => 'UTC' }
  let through = 0
  const audit = openAudit({ store, log: pino({ level: 'silent' }), clock })
  const deliveries = openDeliveryDesk({ store, clock, queued: () => {} })
  return {
    store,
    given,
    clock,
    deliveries,
    note: () => audit.begin({ actor: 'a', via: 'session', action: 'x', target: '', address: '' }),
    pass: (ms: number) => {
      now += ms
    },
    /** Stores events of one person, these milliseconds after the begin, as a box sends them. */
    seen: async (...offsets: number[]) => {
      const from = through
      through += offsets.length
      const [outcome] = await store.commit([
        {
          deviceKey: 1,
          bootId,
          expected: from,
          through,
          receivedAt: now,
          events: offsets.flatMap((offset, i) => {
            const at = base + offset
            const trackId = from + i + 1
            const data = { kind: 'appeared', at, label: 'person', trackId }
            return [
              from + i + 1,
              'appeared',
              at,
              0,
              'door',
              'person',
              0.9,
              null,
              JSON.stringify(data),
            ]
          }),
          health: [],
          quarantined: [],
        },
      ])
      assert.equal(outcome?.kind, 'committed')
    },
    rule: async (name: string, rule: Partial<EventRule> = {}, sinceEvent = 0) => {
      const whole: EventRule = { when: {}, tell: ['hook'], ...rule }
      await store.writer
        .insertInto('event_rule')
        .values({
          name,
          enabled: 1,
          rule: JSON.stringify(whole),
          author: 'a',
          created_at: 0,
          changed_at: 0,
          since_event: sinceEvent,
          fired_at: null,
        })
        .execute()
    },
    receiver: async (name: string) => {
      await store.writer
        .insertInto('receiver')
        .values({
          name,
          receiver: '{"kind":"webhook","url":"https://x.example"}',
          password: '',
          secret: 'whsec_AAAA',
          earlier_secret: '',
          earlier_until: null,
          author: 'a',
          created_at: 0,
          changed_at: 0,
          failures: 0,
          paused_until: 0,
          ok_at: null,
          error: '',
          worker: '',
          lease_until: 0,
        })
        .execute()
    },
    lookAtAll: async () => {
      for (let more = true; more; ) more = (await evaluateNext(given)).more
    },
    queued: async () =>
      (await store.reader.selectFrom('delivery').selectAll().orderBy('delivery_id').execute()).map(
        ({ rule, receiver, first_event_id, event_count, silenced, state }) => ({
          rule,
          receiver,
          state,
          first: first_event_id,
          events: event_count,
          silenced,
        }),
      ),
  }
}

for (const kind of storeKinds) {
  test(
    `${kind.name}: each event is looked at once, also by several hubs at once and after a restart`,
    kind.needs,
    async (t) => {
      const scene = await openScene(t, kind)
      await scene.rule('all', { tell: ['hook', 'mail'] })
      await scene.seen(0, 1, 2)
      await Promise.all([scene.lookAtAll(), scene.lookAtAll(), scene.lookAtAll()])
      await scene.seen(3)
      await Promise.all([scene.lookAtAll(), scene.lookAtAll()])
      await scene.lookAtAll()
      const queued = await scene.queued()
      assert.deepEqual(
        queued.map(({ receiver, first }) => `${first} ${receiver}`),
        [1, 2, 3, 4].flatMap((id) => [`${id} hook`, `${id} mail`]),
      )
    },
  )

  test(
    `${kind.name}: a rule looks at what is stored after it was set, and pages of many events are all looked at`,
    kind.needs,
    async (t) => {
      const scene = await openScene(t, kind)
      await scene.seen(...Array.from({ length: 700 }, (_, i) => i))
      assert.equal(
        (await evaluateNext(scene.given)).made,
        0,
        'without rules there is nothing to do',
      )
      await scene.rule('late', { coolDownSeconds: 1 }, 700)
      await scene.seen(...Array.from({ length: 1200 }, (_, i) => 10_000 + i))
      await scene.lookAtAll()
      assert.deepEqual(
        (await scene.queued()).map(({ first }) => first),
        [701, 1701],
      )
      assert.equal((await scene.queued())[1]?.silenced, 999)
    },
  )

  test(
    `${kind.name}: numbers of removed events are not given to others below what was looked at`,
    kind.needs,
    async (t) => {
      const scene = await openScene(t, kind)
      await scene.rule('all')
      await scene.seen(0, 1, 2)
      await scene.lookAtAll()
      await scene.store.writer.deleteFrom('event').execute()
      await scene.seen(3)
      await scene.lookAtAll()
      assert.deepEqual(
        (await scene.queued()).map(({ first }) => first),
        [1, 2, 3, 4],
      )
    },
  )

  test(
    `${kind.name}: what is counted, silenced and gathered goes on over restarts`,
    kind.needs,
    async (t) => {
      const scene = await openScene(t, kind)
      await scene.rule('three', { count: { atLeast: 3, withinSeconds: 60 } })
      await scene.rule('calm', { coolDownSeconds: 60 })
      await scene.rule('digest', { gatherSeconds: 30 })
      const of = async (name: string) => (await scene.queued()).filter(({ rule }) => rule === name)
      for (const offset of [0, 1000, 2000, 61_000]) {
        await scene.seen(offset)
        await scene.lookAtAll()
        scene.pass(10_000)
      }
      assert.deepEqual(
        (await of('three')).map(({ first }) => first),
        [3],
      )
      assert.deepEqual(
        (await of('calm')).map(({ first, silenced }) => [first, silenced]),
        [
          [1, 0],
          [4, 2],
        ],
      )
      assert.deepEqual(
        (await of('digest')).map(({ first, events }) => [first, events]),
        [
          [1, 3],
          [4, 1],
        ],
      )
      // In one page, too.
      scene.pass(100_000)
      await scene.seen(200_000, 200_001)
      await scene.lookAtAll()
      assert.deepEqual((await of('digest')).at(-1)?.events, 2)
    },
  )

  test(
    `${kind.name}: a receiver's queue is bounded; what finds no room is seen as given up`,
    kind.needs,
    async (t) => {
      const scene = await openScene(t, kind)
      await scene.store.writer.transaction().execute(async (tx) => {
        // As many as may wait, but one.
        await sql
          .raw(`insert into delivery (message_id, rule, receiver, group_key, state, events, event_count, first_event_id,
            silenced, created_at, gather_until, due_at, attempts, outcome)
          with recursive n(i) as (select 1 union all select i + 1 from n where i < ${waitingMax - 1})
          select 'm', 'old', 'hook', '', 'waiting', '[]', 1, i, 0, 0, 0, 0, 0, '' from n`)
          .execute(tx)
      })
      await scene.rule('all')
      await scene.seen(0, 1)
      await scene.lookAtAll()
      const fresh = (await scene.queued()).filter(({ rule }) => rule === 'all')
      assert.deepEqual(
        fresh.map(({ first, state }) => [first, state]),
        [
          [1, 'waiting'],
          [2, 'dead'],
        ],
      )
      const { deliveries } = await scene.deliveries.list({ state: 'dead' })
      assert.match(deliveries[0]?.outcome ?? '', /10000 deliveries wait/)
    },
  )

  test(
    `${kind.name}: deliveries are sent in order, tried again with pauses, given up, and tried once more when asked`,
    kind.needs,
    async (t) => {
      const scene = await openScene(t, kind)
      await scene.receiver('hook')
      await scene.rule('all')
      const sent: Message[] = []
      let answer: () => string = () => 'ok'
      const send: Send = async (message) => {
        sent.push(message)
        return answer()
      }
      const open = () =>
        openCourier({
          store: scene.store,
          clock: scene.clock,
          send,
          random: () => 0.5,
          changed: () => {},
          told: () => {},
          failed: (error) => assert.fail(error as Error),
        })
      let courier = open()
      const settle = async (what: () => Promise<boolean> | boolean) => {
        courier.wake()
        await t.waitFor(async () => assert.ok(await what()), { interval: 20, timeout: 20_000 })
      }
      const states = async () => (await scene.queued()).map(({ state }) => state)

      await scene.seen(0, 1, 2)
      await scene.lookAtAll()
      await settle(async () => (await states()).every((state) => state === 'done'))
      assert.deepEqual(
        sent.map(({ events }) => events[0]?.event.eventId),
        [1, 2, 3],
      )
      assert.equal(sent[0]?.events[0]?.site, 'mill')

      // It fails for good: nothing is lost, the id stays, and the receiver is left alone in between.
      answer = () => {
        throw new Undelivered('Answered 500')
      }
      sent.length = 0
      await scene.seen(3)
      await scene.lookAtAll()
      for (let attempt = 1; attempt <= attemptsMax; attempt++) {
        await settle(async () => sent.length === attempt)
        await settle(async () => {
          const [row] = await scene.store.reader
            .selectFrom('receiver')
            .select('failures')
            .where('lease_until', '=', 0)
            .execute()
          return row?.failures === attempt
        })
        // A hub that dies and comes back takes up what there is.
        await courier[Symbol.asyncDispose]()
        courier = open()
        scene.pass(pauseAfter(attempt, 0.5) + pauseMs)
      }
      await settle(async () => (await states()).at(-1) === 'dead')
      assert.equal(new Set(sent.map(({ messageId }) => messageId)).size, 1)
      const [dead] = (await scene.deliveries.list({ state: 'dead' })).deliveries
      assert.deepEqual(
        [dead?.attempts, dead?.outcome, dead?.dueAt],
        [attemptsMax, 'Answered 500', null],
      )

      answer = () => 'ok'
      assert.equal(await scene.deliveries.retry({ receiver: 'hook' }, scene.note()), 1)
      assert.equal(await scene.deliveries.retry({ receiver: 'hook' }, scene.note()), 0)
      await settle(async () => (await states()).every((state) => state === 'done'))
      await assert.rejects(scene.deliveries.retry({}, scene.note()), /name them/)

      // What says that it is final is not tried again.
      answer = () => {
        throw new Undelivered('Answered 410', { final: true })
      }
      await scene.seen(4)
      await scene.lookAtAll()
      await settle(async () => (await states()).at(-1) === 'dead')
      assert.equal((await scene.deliveries.list({ state: 'dead' })).deliveries[0]?.attempts, 1)
      await courier[Symbol.asyncDispose]()
    },
  )

  test(
    `${kind.name}: two hubs tell a receiver one after the other, and everything once`,
    kind.needs,
    async (t) => {
      const scene = await openScene(t, kind)
      await scene.receiver('hook')
      await scene.rule('all')
      const sent: string[] = []
      let open = 0
      const send: Send = async ({ messageId }) => {
        assert.equal(++open, 1, 'one at a time')
        await new Promise((resolve) => setTimeout(resolve, 5))
        sent.push(messageId)
        open--
        return 'ok'
      }
      const failed = (error: unknown) => assert.fail(error as Error)
      const couriers = [1, 2].map(() =>
        openCourier({
          store: scene.store,
          clock: Date.now,
          send,
          changed: () => {},
          told: () => {},
          failed,
        }),
      )
      await scene.seen(...Array.from({ length: 30 }, (_, i) => i))
      await scene.lookAtAll()
      for (const courier of couriers) courier.wake()
      await t.waitFor(() => assert.equal(sent.length, 30), { interval: 20, timeout: 30_000 })
      assert.equal(new Set(sent).size, 30)
      for (const courier of couriers) await courier[Symbol.asyncDispose]()
    },
  )
}

for (const kind of storeKinds) {
  test(
    `${kind.name}: alarms of drift are looked at once, those of before there was a rule not at all`,
    kind.needs,
    async (t) => {
      const scene = await openScene(t, kind)
      const raise = async (driftKind: string, snoozed: number | null = null) => {
        await scene.store.writer
          .insertInto('drift_alarm')
          .values({
            device_key: 1,
            stream_id: 'door',
            kind: driftKind,
            raised_at: base,
            ended_at: null,
            ended_by: null,
            why: 'It is darker',
            figures: '[]',
            model_digest: null,
            snoozed_until: snoozed,
          })
          .execute()
      }
      await raise('data')
      await scene.rule('camera', { when: { alarmCodes: ['drift-camera-moved'] } })
      await scene.rule('alarms', { when: { kinds: ['alarm'], sites: ['mill'] } })
      await scene.lookAtAll()
      assert.deepEqual(await scene.queued(), [])
      await raise('camera-moved')
      await raise('night')
      await raise('output')
      await raise('output', base + 1000)
      await Promise.all([scene.lookAtAll(), scene.lookAtAll()])
      await scene.lookAtAll()
      assert.deepEqual(
        (await scene.queued()).map(({ rule, first }) => `${rule} ${first}`),
        ['alarms -2', 'camera -2', 'alarms -4'],
      )
      const { deliveries } = await scene.deliveries.list({ rule: 'camera' })
      assert.equal(deliveries[0]?.firstEventId, null)
      // Numbers of events are not those of alarms.
      await scene.seen(0)
      const { newest } = await scene.store.reader
        .selectFrom('event')
        .select(({ fn }) => fn.max('event_id').as('newest'))
        .executeTakeFirstOrThrow()
      assert.equal(newest, 1)
    },
  )
}

test('pauses grow threefold up to six hours, and differ', () => {
  const steps = Array.from({ length: 10 }, (_, i) => pauseAfter(i + 1, 0.5) / 1000)
  assert.deepEqual(steps.slice(0, 4), [5, 15, 45, 135])
  assert.equal(steps.at(-1), 6 * 3600)
  assert.deepEqual([pauseAfter(1, 0), pauseAfter(1, 1)], [2500, 7500])
})

test('an earlier secret signs until its time is over', () => {
  const row = {
    name: 'x',
    receiver: '{}',
    password: '',
    secret: 'new',
    earlier_secret: 'old',
    earlier_until: 10,
    author: '',
    created_at: 0,
    changed_at: 0,
    failures: 0,
    paused_until: 0,
    ok_at: null,
    error: '',
    worker: '',
    lease_until: 0,
  }
  assert.deepEqual(readyReceiver(row, 9).secrets, ['new', 'old'])
  assert.deepEqual(readyReceiver(row, 10).secrets, ['new'])
})
