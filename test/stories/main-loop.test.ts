/**
 * The main loop, whole: a rendered camera, the demo's detector, a real agent with its media process, and
 * a real hub. What the camera sees becomes events in the hub's store, also when things break.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { demoModel, enrol, readAgentConfig, runAgent } from '@edgeloop/edge-agent'
import { type DeviceDetail, eventKinds, type StoredEvent } from '@edgeloop/protocol'
import { pino } from 'pino'
import { demoClip } from '../../edge-agent/src/demo/clip.ts'
import { openTestHub, type TestHub } from '../hub/fixture.ts'
import { needs } from '../require.ts'

const soon = { timeout: 20_000, interval: 100 }

/** Enrols a device and runs its agent until the test ends. */
async function startAgent(t: TestContext, hub: TestHub, deviceId: string) {
  const dataDir = await mkdtemp(join(tmpdir(), 'edgeloop-agent-'))
  const abort = new AbortController()
  const made = await hub.api('POST', '/api/enrolment-tokens', { deviceId })
  const { token, caFingerprint, deviceUrl } = (await made.json()) as Record<string, string>
  assert.ok(token && caFingerprint && deviceUrl)
  const identity = await enrol({
    token,
    caFingerprint,
    deviceUrl,
    folder: dataDir,
    signal: abort.signal,
  })
  const config = await readAgentConfig(dataDir, {
    models: [demoModel],
    health: { intervalMs: 1000 },
  })
  const log = pino({ level: process.env.EDGELOOP_TEST_LOG ?? 'silent' }, pino.destination(2))
  const running = runAgent({ config, identity, log, signal: abort.signal })
  const stop = async (): Promise<void> => {
    abort.abort()
    await running
  }
  t.after(async () => {
    await stop()
    await rm(dataDir, { recursive: true })
  })
  return { stop, dataDir }
}

/** Events of a device in the hub's store, newest first. */
async function eventsOf(hub: TestHub, deviceId: string, kind: string): Promise<StoredEvent[]> {
  const answer = await hub.api('GET', `/api/events?device=${deviceId}&kind=${kind}&limit=500`)
  const { events } = (await answer.json()) as { events: StoredEvent[] }
  return events
}

/** Process ids of this process's media processes. */
async function mediaPids(): Promise<number[]> {
  const tasks = await readdir('/proc/self/task')
  const lists = await Promise.all(
    tasks.map((task) => readFile(`/proc/self/task/${task}/children`, 'utf8').catch(() => '')),
  )
  const pids = lists.join(' ').match(/\d+/g) ?? []
  const lines = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  )
  return pids.filter((_, i) => lines[i]?.includes('media-process')).map(Number)
}

test(
  'what a camera sees is in the hub’s store, through restarts and kills',
  needs('node-av'),
  async (t) => {
    // Rendered once and kept beside the installed packages, as the other test clips are.
    const folder = fileURLToPath(
      new URL('../../node_modules/.cache/edgeloop/demo', import.meta.url),
    )
    const source = await demoClip({ seed: 7, seconds: 12, folder, signal: t.signal })
    const hub = await openTestHub(t)
    await startAgent(t, hub, 'box')
    const stream = { streamId: 'belt', source, model: demoModel.name }
    const put = await hub.api('PUT', '/api/devices/box/desired', {
      version: 0,
      config: { streams: [stream] },
    })
    assert.equal(put.status, 200, await put.text())

    await t.waitFor(async () => {
      assert.ok((await eventsOf(hub, 'box', 'appeared')).length >= 3)
    }, soon)
    const [appeared] = await eventsOf(hub, 'box', 'appeared')
    assert.equal(appeared?.streamId, 'belt')
    assert.ok(appeared.score && appeared.score >= 0.4)
    const detail = (await (await hub.api('GET', '/api/devices/box')).json()) as DeviceDetail
    const [model] = detail.reported?.models ?? []
    const measured = model?.measured?.runtimes.find(({ runtime }) => runtime === model.runtime)
    assert.ok(measured?.medianMs, 'the runtime in use was measured on the box')
    await t.waitFor(async () => {
      const picture = await hub.api('GET', `/api/blobs/${appeared.snapshot}`)
      assert.equal(picture.status, 200)
      assert.equal(picture.headers.get('content-type'), 'image/jpeg')
    }, soon)

    // The hub restarts: what happened meanwhile arrives, once.
    await hub.close()
    await new Promise((resolve) => setTimeout(resolve, 1500))
    await hub.reopen()
    const before = await eventsOf(hub, 'box', 'health')
    await t.waitFor(async () => {
      assert.ok((await eventsOf(hub, 'box', 'health')).length >= before.length + 3)
    }, soon)

    // The media process is killed: an alarm says so, and the stream comes back with its gap.
    const [pid] = await mediaPids()
    assert.ok(pid)
    process.kill(pid, 'SIGKILL')
    await t.waitFor(async () => {
      const [alarm] = await eventsOf(hub, 'box', 'alarm')
      assert.equal(alarm?.data.code, 'mediaCrashed')
      const [live] = await eventsOf(hub, 'box', 'stream')
      assert.equal(live?.data.state, 'live')
      assert.ok(Number(live?.data.gapMs) > 0)
    }, soon)

    const all = await Promise.all(eventKinds.map((kind) => eventsOf(hub, 'box', kind)))
    const sequences = all
      .flat()
      .map(({ sequence }) => sequence)
      .sort((a, b) => a - b)
    assert.deepEqual(
      sequences,
      sequences.map((_, i) => i + 1),
      'no event is missing and none is there twice',
    )
  },
)
