/** Schedules on every store: due once, whoever notices; never beside a run of their own. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import {
  type DatasetVersion,
  type ModelVersion,
  Refusal,
  type Run,
  type RunRequest,
  type ScheduleRequest,
} from '@edgeloop/protocol'
import { pino } from 'pino'
import { type StoreKind, storeKinds } from '../../../test/stores.ts'
import { openAudit } from '../audit/audit.ts'
import { type Calendar, openSchedules } from './schedules.ts'

/** Two hubs on one store, with calendars that a test turns. What is asked of runs and datasets is written down. */
async function openTwo(t: TestContext, kind: StoreKind) {
  const store = await kind.open(t)
  let now = 1_000_000_000
  const clock = () => now
  const audit = openAudit({ store, log: pino({ level: 'silent' }), clock })
  const note = () =>
    audit.begin({ actor: 'ada', via: 'session', action: 'schedule', target: '', address: '' })
  const begun: { request: RunRequest; by: string; schedule: string }[] = []
  const open = new Set<string>()
  const frozen: string[] = []
  const world = { newlySaid: 0, version: 3, refusal: '' }
  const failures: unknown[] = []
  const hub = async () => {
    const due = new Map<string, () => void>()
    const calendar: Calendar = (cron, act) => {
      due.set(cron, act)
      return { next: () => new Date(now + 1000), end: async () => void due.delete(cron) }
    }
    const desk = await openSchedules({
      store,
      audit,
      clock,
      calendar,
      changed: () => {},
      failed: (error) => failures.push(error),
      runs: {
        isOpen: async (schedule) => open.has(schedule),
        add: async (request, by, _note, { schedule = '' } = {}) => {
          if (world.refusal !== '') throw new Refusal('conflict', world.refusal)
          begun.push({ request, by, schedule })
          open.add(schedule)
          return { runId: randomUUID() } as Run
        },
      },
      models: {
        versions: async (name) => {
          if (name !== 'parts') throw new Refusal('notFound', `Cannot find the model "${name}"`)
          return [
            { version: 5, champion: false },
            { version: 4, champion: true },
          ] as ModelVersion[]
        },
      },
      datasets: {
        versions: async (dataset) => {
          if (dataset !== 'gate') throw new Refusal('notFound', `Cannot find "${dataset}"`)
          return [{ version: 3, createdAt: new Date(now).toISOString() }] as DatasetVersion[]
        },
        annotatedSince: async () => world.newlySaid,
        freeze: async (dataset) => {
          frozen.push(dataset)
          return { version: world.version } as DatasetVersion
        },
      },
    })
    t.after(() => desk[Symbol.asyncDispose]())
    return { desk, due }
  }
  const [one, two] = [await hub(), await hub()]
  const pass = (ms: number): void => {
    now += ms
  }
  return { one, two, note, begun, open, frozen, world, failures, pass, audit }
}

const weekly: ScheduleRequest = {
  cause: { kind: 'calendar', cron: '17 3 * * 1' },
  run: { dataset: 'gate', parent: 'parts', recipe: { epochs: 3 } },
  enabled: true,
}

for (const kind of storeKinds) {
  test(
    `${kind.name}: what is due begins one run, from the champion, on what is frozen then`,
    kind.needs,
    async (t) => {
      const { one, two, note, begun, open, frozen, pass, audit, failures } = await openTwo(t, kind)
      const put = await one.desk.put('weekly', weekly, 'ada', note())
      assert.ok(put.nextAt)
      // The other hub knows of it when it touches its schedules.
      await two.desk.put('other', { ...weekly, enabled: false }, 'ada', note())
      const turn = async () => {
        for (const { due } of [one, two]) due.get('17 3 * * 1')?.()
        await Promise.all([one.desk.list(), two.desk.list()])
      }
      const until = async (check: () => Promise<void> | void) =>
        await t.waitFor(check, { interval: 20, timeout: 10_000 })
      await turn()
      await until(() => assert.equal(begun.length, 1))
      assert.deepEqual(begun[0], {
        request: {
          dataset: { name: 'gate', version: 3 },
          parent: 'parts/4',
          recipe: { epochs: 3 },
        },
        by: 'ada',
        schedule: 'weekly',
      })
      assert.deepEqual(frozen, ['gate'])
      await until(async () => assert.ok((await one.desk.list()).some((row) => row.lastRun)))
      // While that run is open no second one begins, and the schedule says so.
      pass(7 * 86_400_000)
      await turn()
      await until(async () =>
        assert.match(
          (await two.desk.list()).find(({ name }) => name === 'weekly')?.lastOutcome ?? '',
          /is not over/,
        ),
      )
      assert.equal(begun.length, 1)
      open.clear()
      pass(7 * 86_400_000)
      await turn()
      await until(() => assert.equal(begun.length, 2))
      const entries = (await audit.list({ action: 'runAdd' })).entries
      assert.deepEqual([entries.length, entries[0]?.via, entries[0]?.actor], [2, 'hub', 'ada'])
      assert.deepEqual(failures, [])
    },
  )

  test(
    `${kind.name}: enough newly annotated samples begin a run, fewer none`,
    kind.needs,
    async (t) => {
      const { one, note, begun, world } = await openTwo(t, kind)
      const cause = { kind: 'annotations', count: 20 } as const
      await one.desk.put('fresh', { ...weekly, cause }, 'ada', note())
      world.newlySaid = 19
      one.desk.wake()
      assert.equal((await one.desk.list())[0]?.have, 19)
      await new Promise((resolve) => setTimeout(resolve, 1500))
      assert.equal(begun.length, 0)
      world.newlySaid = 20
      one.desk.wake()
      await t.waitFor(() => assert.equal(begun.length, 1), { interval: 20, timeout: 10_000 })
      one.desk.wake()
      await new Promise((resolve) => setTimeout(resolve, 1500))
      assert.equal(begun.length, 1, 'its run is open')
    },
  )

  test(
    `${kind.name}: a schedule that cannot be kept is refused, one that fails says why`,
    kind.needs,
    async (t) => {
      const { one, note, begun, world, failures } = await openTwo(t, kind)
      const put = (more: Partial<ScheduleRequest>) =>
        one.desk.put('weekly', { ...weekly, ...more }, 'ada', note())
      const refused = (code: string) => (error: unknown) =>
        error instanceof Refusal && error.code === code
      for (const cron of ['every day', '61 * * * *', '* * * * * *']) {
        await assert.rejects(put({ cause: { kind: 'calendar', cron } }), refused('badRequest'))
      }
      await assert.rejects(put({ run: { dataset: 'no', parent: 'parts' } }), refused('notFound'))
      await assert.rejects(put({ run: { dataset: 'gate', parent: 'no' } }), refused('notFound'))
      assert.deepEqual(await one.desk.list(), [])
      await put({})
      world.refusal = '100 jobs wait already'
      one.due.get('17 3 * * 1')?.()
      await t.waitFor(
        async () => assert.equal((await one.desk.list())[0]?.lastOutcome, world.refusal),
        { interval: 20, timeout: 10_000 },
      )
      assert.deepEqual([begun.length, failures.length], [0, 0])
      await assert.rejects(one.desk.remove('weekl', note()), /did you mean "weekly"/)
      await one.desk.remove('weekly', note())
      assert.equal(one.due.size, 0)
    },
  )
}
