import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { mkdtemp, rm, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { storeKinds } from '../../../test/stores.ts'
import { openAudit } from '../audit/audit.ts'
import { openFolderBlobs } from '../blobs/folder-blobs.ts'
import { pruneStore, stepRows, surveyStore } from './retention.ts'
import { openRetention } from './retention-desk.ts'
import type { Store } from './store.ts'

const dayMs = 86_400_000
const now = 100 * dayMs
const { signal } = new AbortController()

for (const kind of storeKinds) {
  test(
    `${kind.name}: what the survey says is what goes, and nothing else`,
    kind.needs,
    async (t) => {
      const store = await kind.open(t)
      const [gate = 0, yard = 0] = await addDevices(store, 'gate', 'yard')
      // A box whose clock is far ahead came first: it keeps nobody's figures.
      await add(store, yard, { days: 10, count: 1, healthDays: 500 })
      await add(store, gate, { days: 10, count: 2 * stepRows + 7, healthDays: 10 })
      await add(store, gate, { days: 90, count: 5, healthDays: 90 })
      const kept = { now, eventsKeptDays: 30, healthKeptDays: 30 }
      const said = await surveyStore(store, kept)
      assert.deepEqual(said, {
        events: { count: 2 * stepRows + 8, oldestKeptAt: 90 * dayMs },
        health: { count: 1, oldestKeptAt: 90 * dayMs },
      })
      const none = await surveyStore(store, { ...kept, now: 40 * dayMs })
      assert.deepEqual(none.events, { count: 0, oldestKeptAt: 10 * dayMs })
      const gone = await pruneStore(store, { ...kept, signal })
      assert.deepEqual(gone, { events: 2 * stepRows + 8, health: 1 })
      assert.deepEqual((await surveyStore(store, kept)).events, {
        count: 0,
        oldestKeptAt: 90 * dayMs,
      })
      const figures = await store.reader.selectFrom('health_figure').select('at').execute()
      assert.deepEqual(figures.map(({ at }) => at / dayMs).sort(), [500, 90])
      const boots = await store.reader.selectFrom('boot').select('through').execute()
      assert.ok(
        boots.every(({ through }) => through > 0),
        'marks outlive their events',
      )
    },
  )

  test(
    `${kind.name}: events are committed between the steps of a long removal`,
    kind.needs,
    async (t) => {
      const store = await kind.open(t)
      const [gate = 0] = await addDevices(store, 'gate')
      await add(store, gate, { days: 1, count: 10 * stepRows })
      const pruning = pruneStore(store, { now, eventsKeptDays: 30, healthKeptDays: 30, signal })
      let over = false
      void pruning.then(() => {
        over = true
      })
      let commits = 0
      while (!over) {
        await add(store, gate, { days: 99, count: 1 })
        if (!over) commits++
      }
      assert.equal((await pruning).events, 10 * stepRows)
      assert.ok(commits >= 10, `${commits} commits during 10 steps`)
    },
  )
}

test('the desk says what will go, removes it when asked, and one run at a time', async (t) => {
  const { desk, store, gate, digest, blobs } = await openDesk(t, '17 3 * * *')
  await add(store, gate, { days: 1, count: 3 * stepRows, healthDays: 1 })
  await add(store, gate, { days: 99, count: 2, healthDays: 99 })
  const shown = await desk.show(signal)
  assert.deepEqual(
    shown.kinds.map(({ kind, keptDays, expired }) => [kind, keptDays, expired]),
    [
      ['events', 30, 3 * stepRows],
      ['health', 20, 1],
      ['audit', 400, 0],
      ['snapshots', 10, 1],
      ['samples', 5, 0],
      ['inferences', 5, 0],
    ],
  )
  assert.equal(shown.kinds[0]?.oldestKeptAt, new Date(99 * dayMs).toISOString())
  assert.equal(new Date(shown.nextAt ?? '').getMinutes(), 17)
  assert.equal(shown.running, false)
  assert.deepEqual(await desk.show(signal), shown, 'looking removes nothing')
  desk.begin()
  assert.throws(() => desk.begin(), /what is too old is being removed/)
  assert.equal((await desk.show(signal)).running, true)
  await t.waitFor(async () => assert.equal((await desk.show(signal)).running, false), {
    timeout: 30_000,
  })
  const after = await desk.show(signal)
  assert.ok(after.kinds.every(({ expired }) => expired === 0))
  assert.equal(await blobs.read(digest), undefined)
})

test('the schedule removes by itself', async (t) => {
  const { desk, store, gate } = await openDesk(t, '* * * * * *')
  await add(store, gate, { days: 1, count: 10 })
  await t.waitFor(
    async () => {
      assert.equal((await store.reader.selectFrom('event').selectAll().execute()).length, 0)
    },
    { timeout: 30_000 },
  )
  // Before the store: the next run may have begun.
  await desk[Symbol.asyncDispose]()
})

test('a schedule that is none is refused with an example', async (t) => {
  await assert.rejects(
    openDesk(t, 'every night'),
    /Cannot use the retention schedule "every night": .*"17 3 \* \* \*"/,
  )
})

async function openDesk(t: TestContext, retentionSchedule: string) {
  const [sqlite] = storeKinds
  const store = await sqlite!.open(t)
  const [gate = 0] = await addDevices(store, 'gate')
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-retention-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const blobs = await openFolderBlobs(folder)
  const picture = Buffer.from('as good as a JPEG')
  const digest = createHash('sha256').update(picture).digest('hex')
  const bytes = (async function* () {
    yield picture
  })()
  await blobs.put(digest, bytes, { bytesMax: 100 })
  await utimes(join(folder, digest.slice(0, 2), digest), 1, 1)
  const log = pino({ level: 'silent' })
  const clock = () => now
  const config = {
    eventsKeptDays: 30,
    healthKeptDays: 20,
    auditKeptDays: 400,
    snapshotsKeptDays: 10,
    samplesKeptDays: 5,
    inferencesKeptDays: 5,
  }
  const failed = (error: unknown) => assert.fail(String(error))
  const audit = openAudit({ store, log, clock })
  const desk = openRetention({
    store,
    blobs,
    files: blobs,
    audit,
    clock,
    log,
    failed,
    config: { ...config, retentionSchedule },
  })
  t.after(() => desk[Symbol.asyncDispose]())
  return { desk, store, gate, blobs, digest }
}

async function addDevices(store: Store, ...names: string[]): Promise<number[]> {
  const rows = await store.writer
    .insertInto('device')
    .values(
      names.map((name) => ({
        device_id: name,
        site: 'main',
        name,
        enrolled_at: 0,
        certificate_serial: '',
        certificate_not_after: 0,
      })),
    )
    .returning('device_key')
    .execute()
  return rows.map(({ device_key }) => device_key)
}

/** Commits `count` alarms of a new boot that came in on day `days`, and one figure of health of its own time. */
async function add(
  store: Store,
  deviceKey: number,
  { days, count, healthDays }: { days: number; count: number; healthDays?: number },
): Promise<void> {
  const rows = Array.from({ length: count }, (_, i) => [
    i + 1,
    ...['alarm', 0, 0, null, null, null, null, '{}'],
  ])
  const health = healthDays === undefined ? [] : [0, healthDays * dayMs, 0, 0, 0, 0, '[]']
  await store.commit([
    {
      deviceKey,
      bootId: randomUUID(),
      expected: 0,
      through: count,
      receivedAt: days * dayMs,
      events: rows.flat(),
      health,
      quarantined: [],
    },
  ])
}
