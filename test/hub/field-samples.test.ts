/** Samples of boxes at the hub: offered, wanted or not, sent in parts, looked at, and kept; and what is refused. */
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type {
  AuditPage,
  FieldSampleDetail,
  FieldSamplePage,
  Redaction,
  Renewal,
  SampleAnswers,
  SampleBudgetShown,
  StreamConfig,
} from '@edgeloop/protocol'
import { samplePartBytes } from '@edgeloop/protocol'
import sharp from 'sharp'
import {
  digestOf,
  offer,
  offerOf,
  offerRaw,
  putAll,
  putPart,
  type TakenPicture,
  takePicture,
} from './field-box.ts'
import { makeRequest, openTestHub, send, type TestDevice, type TestHub } from './fixture.ts'

const json = async <T>(hub: TestHub, path: string): Promise<T> => {
  const reply = await hub.api('GET', path)
  assert.equal(reply.status, 200, path)
  return (await reply.json()) as T
}
const list = (hub: TestHub, query = ''): Promise<FieldSamplePage> =>
  json(hub, `/api/field-samples${query}`)
const acts = ({ answers }: SampleAnswers): string[] => answers.map(({ act }) => act)
const reasonOf = ({ answers }: SampleAnswers): string => {
  const [first] = answers
  return first && 'reason' in first ? first.reason : ''
}

async function setStreams(hub: TestHub, deviceId: string, streams: object[]): Promise<void> {
  const path = `/api/devices/${deviceId}/desired`
  const reply = await hub.api('PUT', path, { version: 0, config: { streams } })
  assert.equal(reply.status, 200, await reply.text())
}

/** The picture as a sample of the dataset `parts`, and as a task of the queue `belt`. */
async function putInto(hub: TestHub, { digest, width, height }: TakenPicture): Promise<void> {
  const samples = [{ digest, name: 'one.jpg', width, height, annotations: [] }]
  for (const [method, path, body] of [
    ['POST', '/api/datasets', { name: 'parts', labels: ['cup'] }],
    ['PUT', '/api/datasets/parts/samples', { samples }],
    ['PUT', '/api/label-queues/belt', { dataset: 'parts', models: [] }],
    ['POST', '/api/label-queues/belt/tasks', { digests: [digest] }],
  ] as const) {
    const reply = await hub.api(method, path, body)
    assert.ok(reply.ok, `${path}: ${await reply.text()}`)
  }
}

test('a sample is offered, comes in parts through a restart of the hub, and is there with its facts', async (t) => {
  const hub = await openTestHub(t)
  const gate = await hub.enrol('gate')
  const picture = await takePicture(1, 800, 600)
  assert.ok(picture.bytes.length > samplePartBytes, 'more than one part')
  const said = offerOf(gate, picture)
  const first = await offer(gate, [said], [{ streamId: 'cam', frames: 40 }])
  assert.deepEqual(first.answers, [{ digest: picture.digest, act: 'send', from: 0 }])
  assert.equal(first.allowance.frames, 4999, 'what it was told to send counts')

  const part = picture.bytes.subarray(0, samplePartBytes)
  const next = async (from: number, bytes: Uint8Array) =>
    JSON.parse((await putPart(gate, picture.digest, from, bytes)).text)
  assert.deepEqual(await next(0, part), { next: samplePartBytes, complete: false })
  assert.deepEqual(await next(0, part), { next: samplePartBytes, complete: false }, 'sent again')
  assert.deepEqual(await next(9, part), { next: samplePartBytes, complete: false }, 'too far on')
  assert.deepEqual((await list(hub)).samples, [], 'half a sample is none')
  await hub.reopen()
  const again = await offer(gate, [said])
  assert.deepEqual(again.answers, [{ digest: picture.digest, act: 'send', from: samplePartBytes }])
  assert.equal((await putAll(gate, picture, samplePartBytes)).status, 200)

  const { samples } = await list(hub)
  const [sample] = samples
  assert.ok(sample)
  const { receivedAt, sampleId, ...facts } = sample
  assert.deepEqual(facts, { deviceId: 'gate', site: gate.site, ...said, signatureValid: true })
  const detail = () => json<FieldSampleDetail>(hub, `/api/field-samples/${sampleId}`)
  assert.deepEqual(await detail(), { ...sample, datasets: [], tasks: [] })
  const shown = await hub.api('GET', `/api/samples/${picture.digest}/picture`)
  assert.equal(digestOf(new Uint8Array(await shown.arrayBuffer())), picture.digest)
  await putInto(hub, picture)
  const used = await detail()
  assert.deepEqual(used.datasets, ['parts'])
  assert.deepEqual(
    used.tasks.map(({ queue, state }) => [queue, state]),
    [['belt', 'open']],
  )
  const small = await hub.api('GET', `/api/samples/${picture.digest}/thumbnail`)
  assert.equal(small.headers.get('content-type'), 'image/webp')
  assert.deepEqual(acts(await offer(gate, [said])), ['have'])
  const late = JSON.parse((await putPart(gate, picture.digest, samplePartBytes, part)).text)
  assert.equal(late.complete, true, 'the answer to the last part was lost')
  assert.deepEqual(await readdir(join(hub.dataDir, 'samples-coming')), [])
  const spent = await json<SampleBudgetShown>(hub, '/api/sample-budget')
  assert.deepEqual(
    [spent.days.map(({ frames, wished }) => [frames, wished]), spent.streams[0]?.bytes],
    [[[1, 40]], picture.bytes.length],
  )
})

test('pages of samples, by what they are', async (t) => {
  const hub = await openTestHub(t)
  const [gate, yard] = [await hub.enrol('gate'), await hub.enrol('yard')]
  for (const [seed, device, more] of [
    [1, gate, { reason: 'random' }],
    [2, gate, { streamId: 'other' }],
    [3, yard, { capturedAt: '2026-01-02T03:04:05.678Z' }],
  ] as const) {
    const picture = await takePicture(seed, 64, 48)
    assert.deepEqual(acts(await offer(device, [offerOf(device, picture, more)])), ['send'])
    assert.equal((await putAll(device, picture)).status, 200)
  }
  const ids = async (query: string) => (await list(hub, query)).samples.map((s) => s.sampleId)
  assert.deepEqual(await ids(''), [3, 2, 1])
  assert.deepEqual(await ids('?device=gate'), [2, 1])
  assert.deepEqual(await ids('?device=gate&stream=other'), [2])
  assert.deepEqual(await ids('?reason=random'), [1])
  assert.deepEqual(await ids('?model=other'), [])
  assert.deepEqual(await ids('?to=2026-01-03T00:00:00.000Z'), [3])
  assert.deepEqual(await ids('?before=3&limit=1'), [2])
  const page = await list(hub, '?limit=2')
  assert.equal(page.next, 2)
  assert.equal((await hub.api('GET', '/api/field-samples/99')).status, 404)
})

test('what is no picture, or not the picture that was said, is refused and never asked for again', async (t) => {
  const hub = await openTestHub(t)
  const gate = await hub.enrol('gate')
  const good = await takePicture(1, 320, 240)
  const named = (bytes: Buffer, more: Partial<TakenPicture> = {}): TakenPicture => ({
    ...good,
    bytes,
    digest: digestOf(bytes),
    ...more,
  })
  const png = await sharp(good.bytes).png().toBuffer()
  const bomb = Buffer.from(good.bytes)
  // Says that it is 65,500 pixels high: what a decoder would make room for.
  const frame = bomb.indexOf(Buffer.from([0xff, 0xc0]))
  bomb.writeUInt16BE(65_500, frame + 5)
  const cases: [string, TakenPicture, number][] = [
    ['an archive', named(Buffer.from('PK\x03\x04 and more')), 415],
    ['another format', named(png), 415],
    ['a JPEG without an end', named(good.bytes.subarray(0, good.bytes.length / 2)), 415],
    ['a JPEG that says it is huge', named(bomb), 415],
    ['another size than said', named(Buffer.from(good.bytes), { width: 321 }), 415],
    ['a head and nothing', named(Buffer.concat([good.bytes.subarray(0, 700)])), 415],
    ['other bytes than said', { ...good, digest: digestOf(Buffer.from('other')) }, 422],
  ]
  for (const [what, picture, status] of cases) {
    const said = offerOf(gate, picture)
    assert.deepEqual(acts(await offer(gate, [said])), ['send'], what)
    const answer = await putAll(gate, picture)
    assert.equal(answer.status, status, `${what}: ${answer.text}`)
    const again = await offer(gate, [said])
    assert.deepEqual(acts(again), ['refuse'], `${what}, again`)
    assert.match(reasonOf(again), /^Cannot take this sample: /)
  }
  assert.deepEqual((await list(hub)).samples, [])
  assert.deepEqual(await readdir(join(hub.dataDir, 'samples-coming')), [])
  const huge = offerOf(gate, named(good.bytes, { width: 16_000, height: 16_000 }))
  assert.match(reasonOf(await offer(gate, [huge])), /pixels/)
  const many = offerOf(gate, good)
  assert.equal((await offerRaw(gate, Array(51).fill(many))).status, 400, 'too many at once')
  const more = await takePicture(2, 320, 240)
  await offer(gate, [offerOf(gate, more, { sizeBytes: 100 })])
  assert.equal((await putAll(gate, more)).status, 413, 'more than was said')
})

test('a device sends its own samples only, and none once it was retired', async (t) => {
  const hub = await openTestHub(t)
  const [gate, yard] = [await hub.enrol('gate'), await hub.enrol('yard')]
  const picture = await takePicture(1, 800, 600)
  assert.equal((await putAll(gate, picture)).status, 404, 'nobody offered it')
  await offer(gate, [offerOf(gate, picture)])
  assert.equal((await putAll(yard, picture)).status, 404, 'another device offered it')
  assert.match(reasonOf(await offer(yard, [offerOf(yard, picture)])), /another device/)
  const half = picture.bytes.subarray(0, samplePartBytes)
  assert.equal((await putPart(gate, picture.digest, 0, half)).status, 200)
  assert.equal((await hub.api('POST', '/api/devices/gate/retire')).status, 200)
  assert.equal((await putAll(gate, picture, samplePartBytes)).status, 403)
  assert.equal((await hub.api('DELETE', '/api/devices/gate')).status, 200)
  assert.equal((await putAll(gate, picture, samplePartBytes)).status, 403)
  await hub.reopen()
  assert.deepEqual(await readdir(join(hub.dataDir, 'samples-coming')), [], 'its half is gone')
  assert.deepEqual(acts(await offer(yard, [offerOf(yard, picture)])), ['send'])
})

test('beyond the budget a sample waits until the next day, whatever the clock of its box says', async (t) => {
  let now = Date.parse('2026-11-21T22:00:00.000Z')
  const hub = await openTestHub(t, {}, () => now)
  const gate = await hub.enrol('gate')
  const set = (body: object) => hub.api('PUT', '/api/sample-budget', body)
  assert.equal((await set({ framesPerDay: 2, bytesPerDay: 10_000_000 })).status, 200)
  const pictures = await Promise.all([1, 2, 3, 4].map((seed) => takePicture(seed, 64, 48)))
  const said = pictures.map((picture, i) =>
    offerOf(gate, picture, {
      capturedAt: ['1999-12-31T23:59:59.999Z', '2026-11-22T21:00:00.000Z'][i % 2]!,
    }),
  )
  const answers = await offer(gate, said)
  assert.deepEqual(acts(answers), ['send', 'send', 'wait', 'wait'])
  assert.deepEqual(answers.allowance, {
    frames: 0,
    bytes: answers.allowance.bytes,
    until: '2026-11-22T00:00:00.000Z',
  })
  for (const picture of pictures.slice(0, 2))
    assert.equal((await putAll(gate, picture)).status, 200)
  assert.equal((await putAll(gate, pictures[2]!)).status, 404, 'it was told to wait')
  assert.deepEqual(acts(await offer(gate, said)), ['have', 'have', 'wait', 'wait'])
  now += 2 * 3_600_000
  assert.deepEqual(acts(await offer(gate, said)), ['have', 'have', 'send', 'send'])
  // The hub's clock is set back: what that day has left counts.
  now -= 26 * 3_600_000
  await set({ framesPerDay: 1, bytesPerDay: 10_000_000 })
  const five = await takePicture(5, 64, 48)
  const [ahead, old] = ['2026-11-22T03:00:00.000Z', '2026-11-01T00:00:00.000Z']
  const future = await offer(gate, [offerOf(gate, five, { capturedAt: ahead })])
  assert.match(reasonOf(future), /lies ahead/)
  const waits = await offer(gate, [offerOf(gate, five, { capturedAt: old })])
  assert.deepEqual(acts(waits), ['wait'], 'two others are promised')
  await set({ framesPerDay: 1000, bytesPerDay: 100 })
  assert.deepEqual(acts(await offer(gate, [offerOf(gate, five, { capturedAt: old })])), ['wait'])
})

test('what a stream has to hide and its sample does not say is refused, and told', async (t) => {
  const hub = await openTestHub(t)
  const gate = await hub.enrol('gate')
  const redact: StreamConfig['redact'] = { labels: ['face', 'plate'] }
  const mask = {
    polygon: [
      [0, 0],
      [0.5, 0],
      [0.5, 0.5],
    ],
  }
  const model = 'parts'
  await setStreams(hub, 'gate', [
    { streamId: 'cam', source: 'demo:1', model, redact },
    { streamId: 'masked', source: 'demo:2', model, masks: [{ ...mask, name: 'door' }] },
  ])
  const picture = await takePicture(1, 64, 48)
  const done: Partial<Redaction> = { method: 'pixelate', labels: ['plate', 'face'] }
  const ask = async (more: Parameters<typeof offerOf>[2], signer: TestDevice = gate) =>
    await offer(gate, [offerOf({ deviceId: 'gate', key: signer.key }, picture, more)])
  assert.match(reasonOf(await ask({})), /nothing was redacted/)
  const half = await ask({ redaction: { ...done, labels: ['face'] } })
  assert.match(reasonOf(half), /nobody looked for "plate"/)
  assert.match(reasonOf(await ask({ streamId: 'masked' })), /0 masks were applied/)
  const yard = await hub.enrol('yard')
  assert.match(reasonOf(await ask({ redaction: done }, yard)), /not signed by the device/)
  const { entries } = await json<AuditPage>(hub, '/api/audit?action=sampleOffer')
  assert.deepEqual(
    entries.map(({ actor, target, outcome }) => [actor, target, outcome]).reverse(),
    [
      ['gate', 'gate/cam', 'forbidden'],
      ['gate', 'gate/masked', 'forbidden'],
    ],
    'once for each stream',
  )
  assert.deepEqual(acts(await ask({ redaction: done })), ['send'])
  // Asked for while it was on its way: the half that came is gone.
  assert.deepEqual(acts(await ask({})), ['refuse'])
  assert.equal((await putAll(gate, picture)).status, 404)
  const other = await offer(gate, [
    offerOf({ deviceId: 'gate', key: yard.key }, picture, { streamId: 'free' }),
  ])
  assert.deepEqual(acts(other), ['send'], 'where nothing is to be hidden')
  assert.equal((await putAll(gate, picture)).status, 200)
  assert.equal((await list(hub)).samples[0]?.signatureValid, false)
})

test('what a box signed before it renewed its certificate stays signed', async (t) => {
  const hub = await openTestHub(t)
  const [gate, yard] = [await hub.enrol('gate'), await hub.enrol('yard')]
  const redact: StreamConfig['redact'] = { labels: ['face'] }
  const stream = { streamId: 'cam', source: 'demo:1', model: 'parts', redact }
  await setStreams(hub, 'gate', [stream])
  let seed = 0
  /** A sample as the box with this key made it, offered by the box that is connected now. */
  const ask = async (by: TestDevice, key: string, more: Parameters<typeof offerOf>[2] = {}) => {
    const picture = await takePicture(++seed, 64, 48)
    const redaction: Partial<Redaction> = { method: 'fill', labels: ['face'] }
    return await offer(by, [offerOf({ deviceId: 'gate', key }, picture, { redaction, ...more })])
  }
  const renewed = async (before: TestDevice): Promise<TestDevice> => {
    const { key, csr } = await makeRequest()
    const { certificate: cert, ca } = before.enrolment
    const url = `${hub.hub.urls.device}/renew`
    const reply = await send(url, 'POST', { key: before.key, cert, ca }, { csr })
    assert.equal(reply.status, 201, reply.text)
    const { certificate } = JSON.parse(reply.text) as Renewal
    return hub.device({ ...before.enrolment, certificate }, key)
  }
  const second = await renewed(gate)
  // Its first use: the certificate before opens nothing any more.
  assert.deepEqual(acts(await ask(second, second.key)), ['send'])
  assert.equal((await offerRaw(gate, [])).status, 403)
  assert.deepEqual(acts(await ask(second, gate.key)), ['send'])
  const third = await renewed(second)
  await hub.reopen()
  for (const { key } of [gate, second, third]) {
    assert.deepEqual(acts(await ask(third, key)), ['send'])
  }
  await hub.inStore(async ({ reader }) => {
    const rows = await reader.selectFrom('sample_offer').select('signature_valid').execute()
    assert.deepEqual(new Set(rows.map((row) => row.signature_valid)), new Set([1]))
  })

  // What nobody's certificate was valid for then, another box, and a key that was never certified.
  const long = new Date(Date.now() - 3 * 86_400_000).toISOString()
  const { key: strange } = await makeRequest()
  await renewed(yard)
  for (const [what, key, more] of [
    ['before its time', gate.key, { capturedAt: long }],
    ['of another box', yard.key, {}],
    ['of nobody', strange, {}],
  ] as const) {
    assert.match(reasonOf(await ask(third, key, more)), /not signed by the device/, what)
  }
  assert.deepEqual(acts(await ask(third, third.key, { capturedAt: long })), ['send'])
  // With a token another box may take the name.
  const other = await hub.enrol('gate')
  assert.match(reasonOf(await ask(other, gate.key)), /not signed by the device/)
  assert.deepEqual(acts(await ask(other, other.key)), ['send'])
})

test('what shows the same as one of another box is not wanted, unless chance or a person chose it', async (t) => {
  const hub = await openTestHub(t)
  const [gate, yard] = [await hub.enrol('gate'), await hub.enrol('yard')]
  const [one, two] = [await takePicture(1, 64, 48), await takePicture(2, 64, 48)]
  const looks = '00ff00ff00ff00ff'
  await offer(gate, [offerOf(gate, one, { looks })])
  assert.equal((await putAll(gate, one)).status, 200)
  const ask = async (more: Parameters<typeof offerOf>[2]) =>
    acts(await offer(yard, [offerOf(yard, two, { looks: '00ff00ff00ff00fe', ...more })]))[0]
  assert.equal(await ask({}), 'refuse')
  await hub.reopen()
  assert.equal(await ask({}), 'refuse', 'after a restart as well')
  const [cup] = offerOf(yard, two).detections
  assert.ok(cup)
  for (const [what, more] of [
    ['by chance', { reason: 'random' }],
    ['a person wants it', { reason: 'asked' }],
    ['it looks otherwise', { looks: '0fff00ff00ff00ff' }],
    ['something else is in it', { detections: [{ ...cup, label: 'plate' }] }],
    ['it is elsewhere', { detections: [{ ...cup, box: [0.5, 0.2, 0.3, 0.4] }] }],
    ['nothing is in it', { detections: [] }],
    ['another model looked', { model: { name: 'parts', version: 4, digest: looks.repeat(4) } }],
  ] as const) {
    const fresh = await takePicture(what.length, 64, 48)
    const said = offerOf(yard, fresh, { looks, ...(more as object) })
    assert.deepEqual(acts(await offer(yard, [said])), ['send'], what)
  }
})
