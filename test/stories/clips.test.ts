/**
 * Clips, whole: a real RTSP camera, a real agent that detects and records, a real hub that fetches what was
 * recorded, and the command line that saves it. The picture of the event is in the video, at the moment that is said.
 */

process.env.UV_THREADPOOL_SIZE ??= '16'

import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { demoModel, enrol, readAgentConfig, runAgent } from '@edgeloop/edge-agent'
import type { Desired, DeviceDetail, EventClip, StoredEvent } from '@edgeloop/protocol'
import { pino } from 'pino'
import sharp from 'sharp'
import { demoClip } from '../../edge-agent/src/demo/clip.ts'
import { openerOf } from '../contracts/looking.ts'
import { runCommand } from '../hub/command.ts'
import { openTestHub, type TestHub } from '../hub/fixture.ts'
import { needs } from '../require.ts'
import { readClip } from '../rtsp/access-units.ts'
import { RtspServer } from '../rtsp/rtsp-server.ts'

const { openCamera } = await import('../../edge-agent/src/cameras/open-camera.ts')
const soon = { timeout: 60_000, interval: 200 }
const settings = { beforeSeconds: 2, afterSeconds: 2, lengthMaxSeconds: 10 }

/** Enrols a device and runs its agent until the test ends, or until it is stopped. */
async function startAgent(t: TestContext, hub: TestHub, deviceId: string) {
  const dataDir = await mkdtemp(join(tmpdir(), 'edgeloop-clips-'))
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
  const config = await readAgentConfig(dataDir, { models: [demoModel] })
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

async function eventsOf(hub: TestHub, kind: string): Promise<StoredEvent[]> {
  const answer = await hub.api('GET', `/api/events?device=box&kind=${kind}&limit=500`)
  return ((await answer.json()) as { events: StoredEvent[] }).events
}

const clipOf = async (hub: TestHub, { eventId }: StoredEvent): Promise<EventClip> =>
  (await (await hub.api('GET', `/api/events/${eventId}/clip`)).json()) as EventClip

/** Mean difference of two pictures in grey levels. */
function differ(a: Uint8Array, b: Uint8Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i]! - b[i]!)
  return sum / a.length
}

for (const decoder of ['node-av', 'ffmpeg'] as const) {
  test(`${decoder}: what happened is seen again in a clip that came from the box`, {
    ...needs(decoder, 'node-av'),
    timeout: 180_000,
  }, async (t) => {
    const folder = fileURLToPath(
      new URL('../../node_modules/.cache/edgeloop/demo', import.meta.url),
    )
    const rendered = await demoClip({ seed: 7, seconds: 12, folder, signal: t.signal })
    await using camera = await RtspServer.open({ clip: await readClip(rendered) })
    const hub = await openTestHub(t)
    const { stop, dataDir } = await startAgent(t, hub, 'box')
    const stream = { streamId: 'belt', source: camera.url, model: demoModel.name, decoder }
    const put = await hub.api('PUT', '/api/devices/box/desired', {
      version: 0,
      config: { streams: [{ ...stream, clips: { ...settings, kinds: ['appeared'] } }] },
    })
    assert.equal(put.status, 200, await put.text())

    // An event that is in the middle of a clip: what was before it was already in memory.
    let event: StoredEvent | undefined
    let told: EventClip | undefined
    await t.waitFor(async () => {
      for (const one of await eventsOf(hub, 'appeared')) {
        const found = await clipOf(hub, one)
        if (!one.snapshot || !found.clip || found.clip.momentMs < 1500) continue
        event = one
        told = found
      }
      assert.ok(event && told?.clip, 'no event with a clip yet')
    }, soon)
    assert.ok(event && told?.clip)
    assert.equal(told.state, 'onBox')
    const { digest, durationMs, momentMs } = told.clip
    assert.ok(durationMs >= 2500 && durationMs <= 11_500, `${durationMs} ms`)
    const files = await readdir(join(dataDir, 'clips'))
    assert.ok(files.includes(`${digest}.mp4`))
    assert.equal((await hub.api('GET', `/api/clips/${digest}`)).status, 404, 'not sent unasked')

    const saved = join(dataDir, 'saved.mp4')
    const args = ['events', 'clip', String(event.eventId), '-o', saved, '--json']
    const { code, stdout, stderr } = await runCommand(hub, ...args)
    assert.equal(code, 0, stderr)
    assert.deepEqual(JSON.parse(stdout), { eventId: event.eventId, file: saved, ...told.clip })
    assert.equal((await clipOf(hub, event)).state, 'here')

    // The picture that the event names, against every picture of the video.
    await t.waitFor(async () => {
      assert.equal((await hub.api('GET', `/api/blobs/${event?.snapshot}`)).status, 200)
    }, soon)
    const jpeg = await (await hub.api('GET', `/api/blobs/${event.snapshot}`)).arrayBuffer()
    const wanted = await sharp(jpeg).resize(160, 90, { fit: 'fill' }).greyscale().raw().toBuffer()
    const seen: { ms: number; difference: number }[] = []
    {
      await using played = await openerOf(openCamera, 'node-av')({ source: saved })
      let first: number | undefined
      for await (using frame of played.frames()) {
        first ??= frame.at
        seen.push({ ms: frame.at - first, difference: differ(frame.gate(), wanted) })
      }
      assert.equal(played.counts.damaged, 0)
    }
    const best = seen.reduce((a, b) => (b.difference < a.difference ? b : a))
    // The clock of the event is that of a busy machine; the clip may not be off by more than people notice.
    assert.ok(Math.abs(best.ms - momentMs) < 800, `seen at ${best.ms} ms, said at ${momentMs} ms`)
    assert.ok(Math.abs(seen.at(-1)!.ms - durationMs) < 200)

    if (decoder === 'node-av') assert.equal(camera.connections, 1, 'no other connection')
    const detail = (await (await hub.api('GET', '/api/devices/box')).json()) as DeviceDetail
    assert.equal(detail.reported?.streams[0]?.noClips, undefined)

    const none = await runCommand(hub, 'events', 'clip', '999999')
    assert.equal(none.code, 1)
    assert.match(none.stderr, /Cannot find event 999999/)

    // The box goes away: what is here stays, what is there cannot be asked for.
    await stop()
    const others = (await eventsOf(hub, 'clip')).filter(({ data }) => data.clip !== digest)
    await t.waitFor(async () => {
      for (const other of others) assert.equal((await clipOf(hub, other)).state, 'offline')
    }, soon)
    assert.equal((await clipOf(hub, event)).state, 'here')
    assert.deepEqual(
      (await readdir(join(dataDir, 'clips'))).filter((name) => !name.endsWith('.mp4')),
      [],
      'nothing half done is left',
    )
  })
}

test('a stream whose camera sends no H.264 is detected on, and says why it has no clips', {
  ...needs('node-av'),
  timeout: 120_000,
}, async (t) => {
  const images = await mkdtemp(join(tmpdir(), 'edgeloop-clips-images-'))
  t.after(() => rm(images, { recursive: true }))
  const picture = sharp({ create: { width: 320, height: 180, channels: 3, background: 'grey' } })
  await picture.jpeg().toFile(join(images, '1.jpg'))
  const hub = await openTestHub(t)
  await startAgent(t, hub, 'box')
  const stream = ['--id', 'belt', '--source', images, '--model', demoModel.name, '--clips']
  const added = await runCommand(hub, 'stream', 'add', 'box', ...stream, '--json')
  assert.equal(added.code, 0, added.stderr)
  const { config } = JSON.parse(added.stdout) as Desired
  assert.deepEqual(config.streams[0]?.clips, {})
  await t.waitFor(async () => {
    const detail = (await (await hub.api('GET', '/api/devices/box')).json()) as DeviceDetail
    const [stream] = detail.reported?.streams ?? []
    assert.equal(stream?.state, 'live')
    assert.match(stream.noClips ?? '', /^No clips are recorded: the camera sends .*H\.264 only/)
  }, soon)
  const { stdout } = await runCommand(hub, 'device', 'show', 'box')
  assert.match(stdout, /live .*No clips/)
})
