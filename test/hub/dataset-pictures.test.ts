/** Small pictures of samples, events that become samples, and previews of augmentations: what comes of them, and what is refused. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import {
  type AugmentationPreview,
  type DatasetDetail,
  type EventPage,
  type Job,
  type NewEvent,
  type Problem,
  type SampleDetail,
  writePack,
} from '@edgeloop/protocol'
import sharp from 'sharp'
import { jpegSize } from '../../cloud-hub/src/datasets/jpeg-size.ts'
import { appeared } from '../browser/fleet.ts'
import { SimulatedDevice } from '../browser/simulated-device.ts'
import { assertAudited } from './audited.ts'
import { addDataset, digestOf, picture, sampleOf, sendPack } from './dataset-parts.ts'
import { openTestHub, type TestHub } from './fixture.ts'

const wide = { timeout: 180_000 }

async function json<T>(hub: TestHub, method: string, path: string, body?: unknown): Promise<T> {
  const reply = await hub.api(method, path, body)
  const text = await reply.text()
  assert.ok(reply.ok, `${method} ${path}: ${reply.status} ${text}`)
  return JSON.parse(text) as T
}

async function refusal(reply: Response): Promise<string> {
  const { code, detail } = (await reply.json()) as Problem
  return `${reply.status} ${code} ${detail}`
}

async function ended(t: TestContext, hub: TestHub, { jobId }: Job): Promise<void> {
  const look = async () => {
    const job = await json<Job>(hub, 'GET', `/api/jobs/${jobId}`)
    assert.equal(job.state, 'done', job.error)
  }
  await t.waitFor(look, { interval: 100, timeout: 100_000 })
}

test('a look at a dataset leaves small pictures of large ones', wide, async (t) => {
  const hub = await openTestHub(t)
  await addDataset(hub, 'parts', 1)
  const large = await picture(7, 1200, 900)
  assert.equal((await sendPack(hub, writePack([large]))).status, 200)
  const samples = [sampleOf(large, 'large.png')]
  await json(hub, 'PUT', '/api/datasets/parts/samples', { samples })
  const shown = async (digest: string) => {
    const reply = await hub.api('GET', `/api/samples/${digest}/thumbnail`)
    const bytes = Buffer.from(await reply.arrayBuffer())
    return { type: reply.headers.get('content-type'), bytes }
  }
  assert.equal((await shown(large.digest)).type, 'image/png')
  await ended(t, hub, await json<Job>(hub, 'POST', '/api/datasets/parts/inspection'))
  const { type, bytes } = await shown(large.digest)
  assert.equal(type, 'image/webp')
  const { width, height } = await sharp(bytes).metadata()
  assert.deepEqual([width, height], [360, 270])
  const small = await picture(0)
  assert.equal((await shown(small.digest)).type, 'image/png', 'what is small is shown as it is')
  const whole = await hub.api('GET', `/api/samples/${large.digest}/picture`)
  assert.equal(digestOf(Buffer.from(await whole.arrayBuffer())), large.digest)
})

test(
  'pictures of events become samples with the boxes of all events that speak of them',
  wide,
  async (t) => {
    const hub = await openTestHub(t)
    const device = await SimulatedDevice.open(await hub.enrol('gate'))
    t.after(() => device[Symbol.asyncDispose]())
    const jpeg = await sharp({ create: { width: 64, height: 48, channels: 3, background: '#579' } })
      .jpeg()
      .toBuffer()
    const snapshot = await device.snapshot(jpeg)
    const at = new Date(Date.now() - 60_000).toISOString()
    const part = (label: string, box: [number, number, number, number]) => ({
      label,
      box,
      score: 0.9,
      colour: '#345',
    })
    const bolt = appeared(part('bolt', [0.1, 0.1, 0.2, 0.2]), at, 1, snapshot)
    const nut = appeared(part('nut', [0.5, 0.5, 0.25, 0.25]), at, 2, snapshot)
    const left: NewEvent = {
      kind: 'left',
      at,
      streamId: 'belt',
      trackId: 1,
      label: 'bolt',
      score: 0.9,
      frames: 3,
      box: [0.8, 0.8, 0.1, 0.1],
      appearedAt: at,
      best: { at, box: [0.1, 0.1, 0.2, 0.2], score: 0.9, snapshot },
    }
    const never = appeared(part('bolt', [0, 0, 1, 1]), at, 3, digestOf(Buffer.from('never sent')))
    const blind = appeared(part('bolt', [0, 0, 1, 1]), at, 4)
    await device.tell(bolt, nut, left, never, blind)
    const { events } = await json<EventPage>(hub, 'GET', '/api/events?device=gate&stream=belt')
    const idOf = (trackId: number) =>
      events.find(({ data }) => data.trackId === trackId)?.eventId ?? assert.fail(`no ${trackId}`)

    await json(hub, 'POST', '/api/datasets', { name: 'parts', labels: ['bolt'] })
    const put = (eventIds: number[]) =>
      json(hub, 'POST', '/api/datasets/parts/events', { eventIds })
    assert.deepEqual(await put([idOf(1), idOf(2)]), { added: 1, already: 0 })
    await assertAudited(hub, 'datasetEventPut')
    const { dataset } = await json<DatasetDetail>(hub, 'GET', '/api/datasets/parts')
    assert.deepEqual([dataset.samples, dataset.labels], [1, ['bolt', 'nut']])
    const path = `/api/datasets/parts/samples/${snapshot}`
    const { sample, by } = await json<SampleDetail>(hub, 'GET', path)
    assert.deepEqual(
      [sample.width, sample.height, sample.stream, sample.capturedAt, by],
      [64, 48, 'belt', at, 'local'],
    )
    assert.deepEqual(sample.annotations, [
      { kind: 'box', label: 'bolt', box: [0.1, 0.1, 0.2, 0.2] },
      { kind: 'box', label: 'nut', box: [0.5, 0.5, 0.25, 0.25] },
    ])
    // What a person has said of it stays.
    const { problems: _, ...mine } = { ...sample, annotations: [] }
    await json(hub, 'PUT', '/api/datasets/parts/samples', { samples: [mine] })
    assert.deepEqual(await put([idOf(2)]), { added: 0, already: 1 })
    assert.deepEqual((await json<SampleDetail>(hub, 'GET', path)).sample.annotations, [])

    const refused = async (dataset: string, eventId: number) =>
      await refusal(
        await hub.api('POST', `/api/datasets/${dataset}/events`, { eventIds: [eventId] }),
      )
    assert.match(await refused('parts', idOf(3)), /404 notFound .*its picture is not here/)
    assert.match(await refused('parts', idOf(4)), /400 badRequest .*it has no picture/)
    assert.match(await refused('parts', 999_999), /404 notFound Cannot find event 999999/)
    assert.match(await refused('bolts', idOf(1)), /404 notFound/)
    const { cookie } = await hub.signIn('vera', 'viewer')
    const viewer = await fetch(`${hub.hub.urls.browser}/api/datasets/parts/events`, {
      method: 'POST',
      headers: { cookie, 'content-type': 'application/json', origin: hub.hub.urls.browser },
      body: JSON.stringify({ eventIds: [idOf(1)] }),
    })
    assert.match(await refusal(viewer), /403 forbidden/)
  },
)

test('an augmentation is shown on a few samples before a run', wide, async (t) => {
  const hub = await openTestHub(t)
  await addDataset(hub, 'parts', 6)
  const preview = async (query: Record<string, string>) =>
    await hub.api('GET', `/api/datasets/parts/augmentation?${new URLSearchParams(query)}`)
  const made = async (query: Record<string, string>) =>
    (await (await preview(query)).json()) as AugmentationPreview
  const plain = await made({ count: '4', seed: '3' })
  assert.equal(plain.pictures.length, 4)
  for (const { jpeg, width, height, annotations } of plain.pictures) {
    const found = await sharp(Buffer.from(jpeg, 'base64')).metadata()
    assert.deepEqual([found.format, found.width, found.height], ['jpeg', width, height])
    assert.equal(annotations.length, 1)
  }
  const mosaic = await made({ count: '4', seed: '3', augment: '{"mosaic":1,"flip":1}' })
  assert.ok(mosaic.pictures.some(({ annotations }) => annotations.length > 1))
  for (const [query, why] of [
    [{ augment: '{"flop":1}' }, /400 badRequest .*augment\.flop/],
    [{ augment: '{"flip"' }, /400 badRequest Cannot read the augmentation/],
    [{ count: '17' }, /400 badRequest/],
  ] as const) {
    assert.match(await refusal(await preview(query)), why)
  }
  await json(hub, 'POST', '/api/datasets', { name: 'empty' })
  assert.deepEqual(await json(hub, 'GET', '/api/datasets/empty/augmentation'), { pictures: [] })
  const both = await Promise.all([preview({ count: '1' }), preview({ count: '1' })])
  assert.deepEqual(both.map(({ status }) => status).sort(), [200, 429])
})

const shot = (progressive: boolean) =>
  sharp({ create: { width: 41, height: 23, channels: 3, background: '#345' } })
    .withMetadata({ density: 72 })
    .jpeg({ progressive })
    .toBuffer()

test('the size of a JPEG stands in its head, of baseline and progressive files alike', async () => {
  for (const progressive of [false, true]) {
    assert.deepEqual(jpegSize(await shot(progressive)), { width: 41, height: 23 })
  }
})

test('what is no JPEG, or breaks off before its size, has none', async () => {
  const whole = await shot(false)
  assert.equal(jpegSize(new Uint8Array()), undefined)
  assert.equal(jpegSize(Buffer.from('<!doctype html>')), undefined)
  assert.equal(jpegSize(whole.subarray(0, 24)), undefined)
  const frame = whole.indexOf(Buffer.from([0xff, 0xc0]))
  for (const [at, value] of [
    [frame + 8, 0],
    [5, 1],
  ] as const) {
    const broken = Uint8Array.from(whole)
    broken[at] = value
    assert.equal(jpegSize(broken), undefined)
  }
})
