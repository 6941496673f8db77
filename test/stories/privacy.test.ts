/**
 * Nothing that a stream hides leaves the box, or lies on its disk: a real agent and a real hub, a camera whose objects
 * wear a colour that nothing else has, and every picture that comes out anywhere, looked at.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { demoModel, enrol, readAgentConfig, runAgent } from '@edgeloop/edge-agent'
import {
  type DeviceDetail,
  decodeLiveFrame,
  type FieldSamplePage,
  fileFormOf,
  type StoredEvent,
} from '@edgeloop/protocol'
import { pino } from 'pino'
import { openTestHub, type TestHub } from '../hub/fixture.ts'
import { markedPixels, markScene } from '../privacy/marked-scene.ts'
import { needs } from '../require.ts'

const soon = { timeout: 150_000, interval: 200 }

async function startAgent(t: TestContext, hub: TestHub) {
  const dataDir = await mkdtemp(join(tmpdir(), 'edgeloop-privacy-'))
  const abort = new AbortController()
  const made = await hub.api('POST', '/api/enrolment-tokens', { deviceId: 'box' })
  const { token, caFingerprint, deviceUrl } = (await made.json()) as Record<string, string>
  assert.ok(token && caFingerprint && deviceUrl)
  const identity = await enrol({
    token,
    caFingerprint,
    deviceUrl,
    folder: dataDir,
    signal: abort.signal,
  })
  const config = await readAgentConfig(dataDir, { models: [demoModel], local: { port: 0 } })
  const lines: { msg?: string; url?: string }[] = []
  const log = pino(
    { level: 'info' },
    { write: (line: string) => void lines.push(JSON.parse(line)) },
  )
  const running = runAgent({ config, identity, log, signal: abort.signal })
  t.after(async () => {
    abort.abort()
    await running
    await rm(dataDir, { recursive: true })
  })
  const url = () => lines.find(({ msg }) => msg === 'Local surface is open')?.url
  await t.waitFor(() => assert.ok(url()), soon)
  const secret = (await readFile(join(dataDir, 'local', 'token'), 'utf8')).trim()
  const local = (path: string) =>
    fetch(`${url()}${path}`, { headers: { authorization: `Bearer ${secret}` } })
  return { dataDir, local }
}

/** Every picture in a folder and below. */
async function picturesIn(folder: string): Promise<{ name: string; bytes: Uint8Array }[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const read = files.map(async ({ parentPath, name }) => {
    // One that has been sent meanwhile is gone.
    const bytes = await readFile(join(parentPath, name)).catch(() => new Uint8Array())
    return { name, bytes }
  })
  return (await Promise.all(read)).filter(({ bytes }) => fileFormOf(bytes)?.startsWith('image/'))
}

const bytesOf = async (reply: Response): Promise<Uint8Array> =>
  new Uint8Array(await reply.arrayBuffer())

test('no picture that leaves a box, or lies on its disk, shows what its stream hides', {
  ...needs('time'),
  timeout: 230_000,
}, async (t) => {
  const hub = await openTestHub(t)
  const { dataDir, local } = await startAgent(t, hub)
  const small = await markScene(t, { each: 8 })
  const large = await markScene(t, { each: 8, width: 1280 })
  const redact = { labels: small.labels, scoreMin: 0.05, method: 'fill' }
  const stream = { source: small.folder, model: demoModel.name, analysisFps: 5 }
  const sampling = { intervalMinMs: 0, randomShare: 0.5 }
  const set = async (version: number, streams: object[]) => {
    const reply = await hub.api('PUT', '/api/devices/box/desired', { version, config: { streams } })
    return { status: reply.status, text: await reply.text() }
  }
  const refused = await set(0, [{ ...stream, streamId: 'belt', redact, clips: {} }])
  assert.equal(refused.status, 400)
  assert.match(refused.text, /clips cannot be recorded with redaction/)
  const good = await set(0, [
    { ...stream, streamId: 'belt', redact, sampling },
    { ...stream, streamId: 'two', detectSource: small.folder, source: large.folder, redact },
    // What its own words make of it: a face is nothing that the model of the belt finds.
    { ...stream, streamId: 'wrong', redact: { labels: ['face'] } },
  ])
  assert.equal(good.status, 200, good.text)

  const seen = new Map<string, number>()
  const check = async (where: string, bytes: Uint8Array) => {
    seen.set(where, (seen.get(where) ?? 0) + 1)
    assert.equal(await markedPixels(bytes), 0, `${where} shows what is hidden`)
  }
  const looked = new Set<string>()
  // Of samples few: what looks like one that was kept is not.
  const enough: Readonly<Record<string, number>> = {
    'live belt': 5,
    'live two': 5,
    'local belt': 5,
    snapshot: 3,
    sample: 2,
  }
  const look = async (streamId: string) => {
    const live = await hub.api('GET', `/api/devices/box/streams/${streamId}/picture`)
    if (live.headers.get('content-type') === 'application/octet-stream') {
      await check(`live ${streamId}`, decodeLiveFrame(await bytesOf(live)).jpeg)
    }
    const shown = await local(`/streams/${streamId}/snapshot.jpg?width=400`)
    if (shown.status === 200) await check(`local ${streamId}`, await bytesOf(shown))
  }
  await t.waitFor(async () => {
    await Promise.all(['belt', 'two'].map(look))
    const answer = await hub.api('GET', '/api/events?device=box&limit=500')
    const { events } = (await answer.json()) as { events: StoredEvent[] }
    for (const { snapshot } of events) {
      if (!snapshot || looked.has(snapshot)) continue
      const reply = await hub.api('GET', `/api/blobs/${snapshot}`)
      if (reply.status !== 200) continue
      looked.add(snapshot)
      await check('snapshot', await bytesOf(reply))
    }
    const page = (await (await hub.api('GET', '/api/field-samples')).json()) as FieldSamplePage
    for (const { digest, redaction, signatureValid } of page.samples) {
      if (looked.has(digest)) continue
      looked.add(digest)
      await check('sample', await bytesOf(await hub.api('GET', `/api/samples/${digest}/picture`)))
      assert.deepEqual([redaction.method, signatureValid], ['fill', true])
    }
    for (const { name, bytes } of await picturesIn(dataDir)) await check(`disk ${name}`, bytes)
    for (const [where, count] of Object.entries(enough)) {
      assert.ok((seen.get(where) ?? 0) >= count, `${where}: ${seen.get(where) ?? 0}`)
    }
  }, soon)
  await look('wrong')
  for (const where of ['live wrong', 'local wrong']) assert.equal(seen.get(where), undefined)
  const detail = (await (await hub.api('GET', '/api/devices/box')).json()) as DeviceDetail
  const wrong = detail.reported?.streams.find(({ streamId }) => streamId === 'wrong')
  assert.equal(wrong?.state, 'failed')
  assert.match(wrong?.reason ?? '', /^Cannot redact "face"/)
  assert.ok((await markedPixels(join(small.folder, '0000.png'))) > 50, 'the camera sees it')
})
