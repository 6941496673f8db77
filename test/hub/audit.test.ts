/** The audit log: every change is in it, with who made it, and no secret is. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import {
  type AuditEntry,
  type AuditPage,
  deviceRoutes,
  type OneTimeLink,
  pathOf,
  type Route,
  type RouteName,
  routes,
  type SessionRow,
} from '@edgeloop/protocol'
import { addCorners } from './corners.ts'
import { addDataset } from './dataset-parts.ts'
import { demoModel, demoModelFile, uploadTo } from './demo-model.ts'
import { openTestHub, type TestHub, testPassword, tokenOf } from './fixture.ts'
import { seedRun, seedSearch, seedVersions } from './seeded-runs.ts'

const wide = { timeout: 120_000 }
const dayMs = 86_400_000

/** Routes that need devices which answer, or signed models: their entries are looked at there. */
const elsewhere: { readonly [N in RouteName]?: string } = {
  eventClipAsk: './clips.test.ts',
  datasetEventPut: './dataset-pictures.test.ts',
  trustKeyMake: './trust.test.ts',
  trustRoot: './trust.test.ts',
  trustTargets: './keys-commands.test.ts',
  bundleMake: './bundles.test.ts',
  bundleTake: './bundles.test.ts',
  rolloutCreate: './rollouts.test.ts',
  rolloutPause: './rollouts.test.ts',
  rolloutResume: './rollouts.test.ts',
  rolloutAbort: './rollouts.test.ts',
  rolloutApprove: './rollouts.test.ts',
  rolloutRetry: './rollouts.test.ts',
  deviceModelRollBack: './rollouts.test.ts',
  driftAccept: './drift.test.ts',
  driftSnooze: './drift.test.ts',
  pipelinePut: './pipelines.test.ts',
  pipelineRemove: './pipelines.test.ts',
  pipelineStart: './pipelines.test.ts',
  pipelineRetry: './pipelines.test.ts',
  pipelineApprove: './pipelines.test.ts',
  pipelineCancel: './pipelines.test.ts',
  pipelineWaitSkip: './pipelines.test.ts',
  pipelinePark: './pipelines.test.ts',
  pipelineResume: './pipelines.test.ts',
  inferenceBatchAdd: './inference.test.ts',
  inferenceBatchCancel: './inference.test.ts',
  inferenceBatchRetry: './inference.test.ts',
  inferenceBatchRemove: './inference.test.ts',
}

/** What makes a route that changes something succeed. One that is missing here fails the walk below. */
type Given = { params?: Record<string, string>; body?: object; target?: string }

test(
  'each route that changes something leaves its entry: who, what, on which target',
  wide,
  async (t) => {
    const hub = await openTestHub(t)
    await hub.enrol('gate')
    await hub.enrol('old')
    const anna = await hub.signIn('anna', 'admin')
    const other = await hub.signIn('bert', 'viewer')
    await hub.signIn('carl', 'viewer')
    await hub.signIn('dora', 'viewer')
    const sessions = await json<SessionRow[]>(hub, '/api/sessions?user=bert')
    const { token } = await json<OneTimeLink>(hub, '/api/users/carl/password-links', 'POST')
    const made = await json<{ apiToken: { tokenId: string } }>(hub, '/api/tokens', 'POST', {
      name: 'old',
      role: 'viewer',
    })
    assert.ok(other)
    const demo = await readFile(demoModelFile)
    await json(hub, '/api/models', 'POST', {
      name: 'other',
      ...demoModel,
      uploadId: await uploadTo(hub, demo),
    })
    const jobId = await addRunningJob(hub)
    const samples = await addDataset(hub, 'set', 2)
    await json(hub, '/api/receivers/signed', 'PUT', {
      receiver: { kind: 'webhook', url: 'https://nobody.invalid/' },
    })
    await addDataset(hub, 'kept', 2)
    await addCorners(hub, 'learned', 12)
    await addCorners(hub, 'chosen', 24, { holdout: 0.25, validation: 0.25, seed: 1 })
    const [searching, searched] = [
      await seedSearch(hub, 'running', [
        { trial: '1-1', settings: { batch: 8 }, open: await seedRun(hub, 'paused') },
      ]),
      await seedSearch(hub, 'cancelled'),
    ]
    await seedVersions(hub, 'ranked', 2)
    const [going, paused, waiting, over] = [
      ...[await seedRun(hub, 'running'), await seedRun(hub, 'paused')],
      ...[await seedRun(hub, 'queued'), await seedRun(hub, 'ended')],
    ]
    const device = { deviceId: 'gate' }
    const stream = { streamId: 'one', source: 'demo:1', model: 'conveyor', sampling: {} }
    const good: { readonly [N in RouteName]?: Given } = {
      signIn: { body: { token: tokenOf(await hub.hub.signInLink()) }, target: 'owner' },
      passwordSignIn: { body: { user: 'anna', password: testPassword }, target: 'anna' },
      passwordChoose: { body: { token, password: 'nine small boats' }, target: 'carl' },
      signInLinkCreate: { target: 'anna' },
      sessionEnd: { params: { sessionId: sessions[0]?.sessionId ?? '' }, target: 'bert' },
      userAdd: { body: { user: 'emil', role: 'viewer' }, target: 'emil' },
      userRoleSet: { params: { user: 'dora' }, body: { role: 'operator' }, target: 'dora' },
      userSessionsEnd: { params: { user: 'dora' }, target: 'dora' },
      passwordLinkCreate: { params: { user: 'dora' }, target: 'dora' },
      userRemove: { params: { user: 'emil' }, target: 'emil' },
      apiTokenAdd: { body: { name: 'new', role: 'viewer' } },
      apiTokenRemove: { params: { tokenId: made.apiToken.tokenId }, target: made.apiToken.tokenId },
      enrolmentCreate: { body: { deviceId: 'yard' }, target: 'yard' },
      deviceEdit: { params: device, body: { name: 'Gate', site: 'yard' }, target: 'gate' },
      deviceRetire: { params: { deviceId: 'old' }, target: 'old' },
      deviceRemove: { params: { deviceId: 'old' }, target: 'old' },
      desiredPut: { params: device, body: { version: 0, config: { streams: [] } }, target: 'gate' },
      devicesRetire: { body: { devices: ['nobody'] } },
      devicesStreamsSet: { body: { devices: ['gate'], set: { analysisFps: 2 } } },
      devicesRollBack: { body: { devices: [{ deviceId: 'nobody', version: 2, to: 1 }] } },
      configRollback: { params: device, body: { version: 1, to: 1 }, target: 'gate' },
      eventMark: { body: { eventIds: [1, 2], mark: 'reviewed', set: true }, target: '1,2' },
      streamAdd: { params: device, body: stream, target: 'gate/one' },
      sampleAsk: { params: { ...device, streamId: 'one' }, body: {}, target: 'gate/one' },
      streamRemove: { params: { ...device, streamId: 'one' }, target: 'gate/one' },
      modelAdd: {
        body: { name: 'parts', uploadId: await uploadTo(hub, demo, anna), ...demoModel },
        target: 'parts/1',
      },
      // Not of the version that is being compiled then.
      modelRemove: { params: { name: 'other', version: '1' }, target: 'other/1' },
      modelCompile: { params: { name: 'parts', version: '1' }, body: {}, target: 'parts/1' },
      modelPublish: { params: { name: 'parts', version: '1' }, body: {}, target: 'parts/1' },
      deviceTagsSet: { params: device, body: { tags: ['pilot'] }, target: 'gate' },
      forget: { body: { deviceId: 'gate' }, target: 'gate' },
      sampleBudgetPut: { body: { framesPerDay: 10, bytesPerDay: 10_000 } },
      siteTimeZoneSet: {
        params: { site: 'yard' },
        body: { timeZone: 'Europe/Berlin' },
        target: 'yard',
      },
      modelPromote: { params: { name: 'ranked', version: '2' }, target: 'ranked/2' },
      modelDemote: { params: { name: 'ranked', version: '2' }, target: 'ranked/2' },
      runAdd: {
        body: {
          dataset: { name: 'learned', version: 1 },
          parent: 'new:lenet',
          recipe: { steps: 1 },
        },
      },
      searchAdd: {
        body: {
          run: { dataset: { name: 'chosen', version: 1 }, parent: 'new:lenet' },
          plan: { method: 'grid', keys: { steps: [1] } },
        },
      },
      searchCancel: { params: { searchId: searching }, target: searching },
      searchRemove: { params: { searchId: searched }, target: searched },
      runPause: { params: { runId: going ?? '' }, target: going ?? '' },
      runResume: { params: { runId: paused ?? '' }, target: paused ?? '' },
      runCancel: { params: { runId: waiting ?? '' }, target: waiting ?? '' },
      runRemove: { params: { runId: over ?? '' }, target: over ?? '' },
      receiverPut: {
        params: { name: 'hook' },
        body: { receiver: { kind: 'webhook', url: 'https://hooks.example/' } },
        target: 'hook',
      },
      receiverSecretRotate: { params: { name: 'signed' }, body: {}, target: 'signed' },
      // A name that nobody has: it is not reached, and that is an answer.
      receiverTest: { params: { name: 'signed' }, target: 'signed' },
      receiverRemove: { params: { name: 'hook' }, target: 'hook' },
      rulePut: {
        params: { name: 'dock' },
        body: { when: { labels: ['person'] }, tell: ['signed'] },
        target: 'dock',
      },
      ruleRemove: { params: { name: 'dock' }, target: 'dock' },
      deliveryRetry: { body: { receiver: 'signed' } },
      trainingSchedulePut: {
        params: { name: 'weekly' },
        body: {
          cause: { kind: 'calendar', cron: '17 3 * * 1' },
          run: { dataset: 'learned', parent: 'new:lenet' },
          enabled: true,
        },
        target: 'weekly',
      },
      trainingScheduleRemove: { params: { name: 'weekly' }, target: 'weekly' },
      datasetAdd: { body: { name: 'spare' }, target: 'spare' },
      datasetEdit: { params: { dataset: 'set' }, body: { addLabels: ['x'] }, target: 'set' },
      datasetRemove: { params: { dataset: 'spare' }, target: 'spare' },
      queuePut: {
        params: { queue: 'parts' },
        body: { dataset: 'kept', models: [] },
        target: 'parts',
      },
      tasksAdd: { params: { queue: 'parts' }, body: { fitting: {} }, target: 'parts' },
      queueSuggest: { params: { queue: 'parts' }, target: 'parts' },
      labelAnswer: {
        params: { queue: 'parts' },
        body: {
          answers: [
            {
              answerId: randomUUID(),
              taskId: 1,
              revision: 0,
              verdict: 'skip',
              annotations: [],
              lookedMs: 0,
              edits: 0,
            },
          ],
        },
        target: 'parts',
      },
      queueRemove: { params: { queue: 'parts' }, target: 'parts' },
      datasetImport: {
        params: { dataset: 'set' },
        body: { uploadId: await uploadTo(hub, demo, anna) },
        target: 'set',
      },
      datasetInspect: { params: { dataset: 'kept' }, target: 'kept' },
      datasetFreeze: { params: { dataset: 'kept' }, body: { split: {} }, target: 'kept' },
      datasetSamplePut: { params: { dataset: 'set' }, body: { samples }, target: 'set' },
      datasetSampleRemove: {
        params: { dataset: 'set' },
        body: { digests: samples.map(({ digest }) => digest) },
        target: 'set',
      },
      jobCancel: { params: { jobId }, target: jobId },
      storeBackupBegin: {},
      retentionBegin: {},
      // These two end the session that walks: they come last.
      passwordChange: {
        body: { current: testPassword, password: 'ten small boats' },
        target: 'anna',
      },
      signOut: { target: 'anna' },
    }
    for (const [name, file] of Object.entries(elsewhere)) {
      const text = await readFile(new URL(file, import.meta.url), 'utf8')
      assert.ok(text.includes(`'${name}'`), `${file} does not look for the entry of ${name}`)
    }
    const changing = Object.entries(routes as Record<string, Route>).filter(
      ([name, route]) => route.method !== 'GET' && !route.unaudited && !(name in elsewhere),
    )
    const last = ['passwordChange', 'signOut']
    const inOrder = [
      ...changing.filter(([name]) => !last.includes(name)),
      ...last.flatMap((name) => changing.filter((each) => each[0] === name)),
    ]
    let headers: Record<string, string> = { ...anna }
    for (const [name, route] of inOrder) {
      // Only an embedded store is backed up by its hub.
      if (name === 'storeBackupBegin' && process.env.EDGELOOP_TEST_STORE) continue
      const given = good[name as RouteName]
      assert.ok(given, `the walk does not know how to call ${name}: say so in this test`)
      const reply = await fetch(hub.hub.urls.browser + pathOf(route, given.params), {
        method: route.method,
        headers: { ...headers, ...(given.body ? { 'content-type': 'application/json' } : {}) },
        ...(given.body ? { body: JSON.stringify(given.body) } : {}),
      })
      const text = await reply.text()
      assert.ok(reply.ok, `${name}: ${reply.status} ${text}`)
      const [entry] = (await list(hub, `action=${name}&limit=1`)).entries
      assert.ok(entry, `${name} left no entry`)
      assert.equal(entry.outcome, 'done')
      if (given.target !== undefined) assert.equal(entry.target, given.target, name)
      assert.equal(entry.address, '127.0.0.1')
      if (route.access !== 'public') {
        assert.deepEqual([entry.actor, entry.via], ['anna', 'session'], name)
      }
      if (name === 'passwordChange') {
        headers = {
          ...headers,
          cookie: (reply.headers.get('set-cookie') ?? '').split(';')[0] ?? '',
        }
      }
    }
    const enrolled = (await list(hub, 'action=enrol')).entries[1]
    assert.deepEqual(
      [enrolled?.actor, enrolled?.via, enrolled?.target, enrolled?.outcome],
      [null, 'nobody', 'gate', 'done'],
    )
    const unaudited = Object.entries({ ...routes, ...deviceRoutes } as Record<string, Route>)
      .filter(([, route]) => route.method !== 'GET' && route.unaudited)
      .map(([name]) => name)
    assert.deepEqual(unaudited.sort(), [
      ...['blobPut', 'clipGone', 'clipPart', 'forgetPreview', 'livePut', 'logPut'],
      // They compute, and leave nothing.
      ...['oipInfer', 'oipVersionInfer'],
      // They say what would be, and change nothing.
      ...['rolloutPreview', 'ruleTest'],
      ...['sampleMissing', 'sampleOffer', 'samplePack', 'samplePart'],
      ...['tasksTake', 'telemetry', 'uploadBegin', 'uploadPart'],
    ])

    // Nothing that was secret in all this is in the log.
    const all = await hub.inStore(async ({ reader }) =>
      JSON.stringify(await reader.selectFrom('audit_entry').selectAll().execute()),
    )
    for (const secret of [
      testPassword,
      'nine small boats',
      'ten small boats',
      token,
      anna.cookie,
    ]) {
      assert.ok(!all.includes(secret))
    }
  },
)

test(
  'refused sign-ins and refused changes are in it, and what was not known to be a user is not',
  wide,
  async (t) => {
    const hub = await openTestHub(t)
    const anna = await hub.signIn('anna', 'viewer')
    const signIn = (user: string) =>
      fetch(`${hub.hub.urls.browser}/api/session/by-password`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ user, password: 'a wrong password' }),
      })
    await signIn('anna')
    await signIn('hunter2-in-the-wrong-field')
    await fetch(`${hub.hub.urls.browser}/api/users/anna`, { method: 'DELETE', headers: anna })
    await fetch(`${hub.hub.urls.browser}/api/users/anna`, { method: 'DELETE' })
    const refused = (await list(hub, 'outcome=refused')).entries.map(
      ({ actor, action, target, outcome }) => [actor, action, target, outcome],
    )
    assert.deepEqual(refused, [
      ['anna', 'userRemove', 'anna', 'forbidden'],
      [null, 'passwordSignIn', '', 'signInRefused'],
      [null, 'passwordSignIn', 'anna', 'signInRefused'],
    ])
  },
)

test(
  'a change that is refused in its transaction leaves the refusal and no success',
  wide,
  async (t) => {
    const hub = await openTestHub(t)
    assert.equal((await hub.api('DELETE', '/api/users/owner')).status, 409)
    const { entries } = await list(hub, 'action=userRemove')
    assert.deepEqual(
      entries.map(({ outcome, actor, via }) => [outcome, actor, via]),
      [['conflict', 'local', 'localToken']],
    )
  },
)

test(
  'pages and filters give each entry once; what is older than it is kept goes',
  wide,
  async (t) => {
    let now = Date.now()
    const hub = await openTestHub(t, { auditKeptDays: 10 }, () => now)
    for (let n = 0; n < 5; n++) {
      await hub.api('POST', '/api/enrolment-tokens', { deviceId: `box-${n}` })
      now += dayMs
    }
    const seen: AuditEntry[] = []
    let before = ''
    for (;;) {
      const page = await list(hub, `action=enrolmentCreate&limit=2${before}`)
      seen.push(...page.entries)
      if (page.next === null) break
      before = `&before=${page.next}`
    }
    assert.deepEqual(
      seen.map(({ target }) => target),
      ['box-4', 'box-3', 'box-2', 'box-1', 'box-0'],
    )
    const from = seen[2]?.at
    assert.equal((await list(hub, `from=${from}`)).entries.length, 3)
    assert.equal((await list(hub, `to=${from}`)).entries.length, 2)
    assert.equal((await list(hub, 'target=box-3')).entries.length, 1)
    assert.equal((await list(hub, 'actor=nobody')).entries.length, 0)
    assert.equal((await hub.api('GET', '/api/audit?from=2026-99-99T00:00:00.000Z')).status, 400)
    now += 8 * dayMs
    assert.equal((await hub.api('POST', '/api/store/retention')).status, 201)
    await t.waitFor(
      async () => {
        const left = (await list(hub, 'action=enrolmentCreate')).entries
        assert.deepEqual(
          left.map(({ target }) => target),
          ['box-4', 'box-3'],
        )
      },
      { timeout: 20_000 },
    )
  },
)

async function json<T>(hub: TestHub, path: string, method = 'GET', body?: object): Promise<T> {
  return (await (await hub.api(method, path, body)).json()) as T
}

const list = (hub: TestHub, query: string): Promise<AuditPage> =>
  json<AuditPage>(hub, `/api/audit?${query}`)

/** A job that another hub on the same store works on. */
async function addRunningJob(hub: TestHub): Promise<string> {
  const jobId = randomUUID()
  await hub.inStore(async ({ writer }) => {
    await writer
      .insertInto('job')
      .values({
        job_id: jobId,
        kind: 'compile',
        subject: 'else/1',
        request: '{}',
        state: 'running',
        progress: 0,
        step: '',
        error: '',
        cancelling: 0,
        attempts: 1,
        worker: 'elsewhere',
        lease_until: Date.now() + dayMs,
        author: 'owner',
        created_at: 1,
        started_at: 1,
        ended_at: null,
      })
      .execute()
  })
  return jobId
}
