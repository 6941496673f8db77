/** The supervisor with its real outbox and a small media process of the test's own; no hub. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LiveRequest, Reported } from '@edgeloop/protocol'
import { Reported as ReportedSchema } from '@edgeloop/protocol'
import { checkEvent, misfitOf } from '@edgeloop/protocol/check'
import { pino } from 'pino'
import { type LinkDeps, superviseAgent } from './agent.ts'
import { readAgentConfig } from './configuration.ts'

/** Says of every stream that it is live; a stream whose source is `crash` ends the process. */
const media = `
  const send = (m) => process.send(m)
  let id = 0
  const told = new Set()
  const at = () => new Date().toISOString()
  process.on('message', (m) => {
    if (m.kind === 'start') {
      send({ kind: 'ready' })
      setInterval(() => send({ kind: 'heartbeat' }), 200)
    }
    if (m.kind === 'streams') for (const { streamId, source } of m.streams) {
      if (source === 'crash') process.exit(7)
      if (told.has(streamId)) continue
      told.add(streamId)
      send({ kind: 'stream', stream: { streamId, name: streamId, source, state: 'live', reason: '', since: at() } })
      send({ kind: 'event', id: ++id, event: { kind: 'stream', at: at(), streamId, state: 'live', reason: '' } })
    }
    if (m.kind === 'live') send({ kind: 'live', streamId: m.request.streams[0].streamId, bytes: new Uint8Array([1, 2, 3]) })
    if (m.kind === 'stop') {
      send({ kind: 'event', id: ++id, event: { kind: 'stream', at: at(), streamId: 'last', state: 'ended', reason: 'stopped' } })
      setTimeout(() => process.exit(0), 50)
    }
  })
  process.on('disconnect', () => process.exit(0))`

/** Runs an agent on `dataDir` until the test, or `stop()`, ends it. */
async function agentOf(t: TestContext, dataDir: string) {
  const mediaModule = join(dataDir, 'media.mjs')
  await writeFile(mediaModule, media)
  const abort = new AbortController()
  const reports: Reported[] = []
  const live: Uint8Array[] = []
  const linked = Promise.withResolvers<LinkDeps>()
  /** What is in the outbox when the link closes, as the hub would get it. */
  const recorded: { kind?: unknown }[] = []
  const running = superviseAgent({
    config: await readAgentConfig(dataDir, {
      media: { heartbeatTimeoutMs: 2000 },
      health: { intervalMs: 1000 },
    }),
    deviceId: 'box',
    connect: async (deps) => {
      linked.resolve(deps)
      return {
        report: (reported) => reports.push(reported),
        offerSnapshot: () => {},
        wishSamples: () => {},
        showLive: (_, bytes) => live.push(bytes),
        async [Symbol.asyncDispose]() {
          const batch = await deps.outbox.peekBatch()
          recorded.push(...JSON.parse(batch?.payload ?? '{"entries":[]}').entries)
        },
      }
    },
    log: pino({ level: 'silent' }),
    mediaModule,
    signal: abort.signal,
  })
  const stop = async (): Promise<void> => {
    abort.abort()
    await running
  }
  t.after(stop)
  const { onDesired, onLiveRequest } = await linked.promise
  return { reports, live, recorded, stop, onDesired, onLiveRequest }
}

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-agent-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const wish = (version: number, ...sources: string[]) => ({
  version,
  at: '2026-01-01T00:00:00.000Z',
  config: { streams: sources.map((source, i) => ({ streamId: `s${i + 1}`, source })) },
})
const soon = { timeout: 10_000, interval: 20 }

test('the agent takes a wish, refuses a bad one, and goes on as before', async (t) => {
  const agent = await agentOf(t, await folderOf(t))
  agent.onDesired(wish(1, 'rtsp://one', 'rtsp://two'))
  const last = () => agent.reports.at(-1)
  await t.waitFor(() => {
    assert.equal(last()?.configVersion, 1)
    assert.deepEqual(
      last()?.streams.map(({ state }) => state),
      ['live', 'live'],
    )
  }, soon)
  agent.onDesired({ ...wish(2), config: { streams: [{ streamId: 's1', sauce: 'x' }] } })
  await t.waitFor(() => assert.ok(last()?.config?.reason), soon)
  assert.equal(
    last()?.config?.reason,
    'Cannot read desired configuration: /config/streams/0 has the unknown key "sauce"; did you mean "source"?',
  )
  assert.equal(last()?.configVersion, 1)
  assert.deepEqual(
    last()?.streams.map(({ state }) => state),
    ['live', 'live'],
  )
  agent.onDesired(wish(3, 'rtsp://one'))
  await t.waitFor(() => assert.equal(last()?.configVersion, 3), soon)
  assert.deepEqual(last()?.config, { version: 3, accepted: true, reason: '' })
  await t.waitFor(() => assert.equal(last()?.streams.length, 1), soon)
  for (const reported of agent.reports) {
    assert.equal(misfitOf(ReportedSchema, reported), undefined)
  }

  const request: LiveRequest = {
    until: new Date(Date.now() + 9000).toISOString(),
    streams: [{ streamId: 's1', widthMax: 320, fpsMax: 1 }],
  }
  agent.onLiveRequest(request)
  await t.waitFor(() => assert.deepEqual([...(agent.live[0] ?? [])], [1, 2, 3]), soon)

  // One interval of health.
  await sleep(1100)
  const startedMs = performance.now()
  await agent.stop()
  assert.ok(performance.now() - startedMs < 3000)
  const kinds = agent.recorded.map(({ kind }) => kind)
  assert.ok(kinds.includes('health'), `recorded ${kinds}`)
  const alarms = agent.recorded.filter((event) => event.kind === 'alarm')
  assert.deepEqual(
    alarms.map((alarm) => [Reflect.get(alarm, 'code'), Reflect.get(alarm, 'active')]),
    [
      ['configRefused', true],
      ['configRefused', false],
    ],
  )
  for (const event of agent.recorded) assert.ok('event' in checkEvent(event))
  // What a media process says while it stops is still recorded.
  assert.equal(Reflect.get(agent.recorded.at(-1) ?? {}, 'reason'), 'stopped')
})

test('the agent comes up with its last wish when the hub is away', async (t) => {
  const folder = await folderOf(t)
  const first = await agentOf(t, folder)
  first.onDesired(wish(5, 'rtsp://one'))
  await t.waitFor(() => assert.equal(first.reports.at(-1)?.configVersion, 5), soon)
  await first.stop()
  const second = await agentOf(t, folder)
  await t.waitFor(() => {
    const last = second.reports.at(-1)
    assert.equal(last?.configVersion, 5)
    assert.equal(last?.streams[0]?.state, 'live')
  }, soon)
  assert.notEqual(second.reports[0]?.bootId, first.reports[0]?.bootId)
})

test('the agent starts without a wish whose file is damaged', async (t) => {
  const folder = await folderOf(t)
  await writeFile(join(folder, 'desired.json'), '{"version":')
  const agent = await agentOf(t, folder)
  await t.waitFor(() => assert.equal(agent.reports.at(-1)?.configVersion, 0), soon)
  agent.onDesired(wish(1, 'rtsp://one'))
  await t.waitFor(() => assert.equal(agent.reports.at(-1)?.streams[0]?.state, 'live'), soon)
})

test('the agent tells that a media process crashed, and that its streams are away', async (t) => {
  const agent = await agentOf(t, await folderOf(t))
  agent.onDesired(wish(1, 'rtsp://one'))
  await t.waitFor(() => assert.equal(agent.reports.at(-1)?.streams[0]?.state, 'live'), soon)
  agent.onDesired(wish(2, 'rtsp://one', 'crash'))
  await t.waitFor(() => assert.equal(agent.reports.at(-1)?.streams[0]?.state, 'offline'), soon)
  assert.match(
    agent.reports.at(-1)?.streams[0]?.reason ?? '',
    /^Media process \d+ ended with exit code 7; starting it again in \d\.\d s$/,
  )
  agent.onDesired(wish(3, 'rtsp://one'))
  await t.waitFor(() => assert.equal(agent.reports.at(-1)?.streams[0]?.state, 'live'), soon)
  await agent.stop()
  const told = agent.recorded.filter((event) => event.kind === 'stream' || event.kind === 'alarm')
  assert.deepEqual(
    told
      .filter((event) => Reflect.get(event, 'streamId') !== 'last')
      .map((event) => Reflect.get(event, 'code') ?? Reflect.get(event, 'state')),
    ['live', 'mediaCrashed', 'offline', 'live'],
  )
  const back = told.findLast((event) => Reflect.get(event, 'state') === 'live')
  assert.ok(Number(Reflect.get(back ?? {}, 'gapMs')) > 0, 'the gap is told')
})
