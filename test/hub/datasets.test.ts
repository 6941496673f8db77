/** Datasets in a hub: pictures come once, samples are put in and changed, and what was said before is kept. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import {
  type DatasetDetail,
  type DatasetRow,
  type Problem,
  type SampleAnnotation,
  type SampleDetail,
  type SamplePage,
  writePack,
} from '@edgeloop/protocol'
import { addDataset, digestOf, picture, pictures, sampleOf, sendPack } from './dataset-parts.ts'
import { openTestHub, type TestHub } from './fixture.ts'

const wide = { timeout: 120_000 }

async function json<T>(hub: TestHub, method: string, path: string, body?: unknown): Promise<T> {
  const reply = await hub.api(method, path, body)
  const text = await reply.text()
  assert.ok(reply.ok, `${method} ${path}: ${reply.status} ${text}`)
  return (text === '' ? undefined : JSON.parse(text)) as T
}

async function refusal(reply: Response): Promise<string> {
  const { code, detail } = (await reply.json()) as Problem
  return `${reply.status} ${code} ${detail}`
}

test('pictures come in packs, each once, and are what their digest says', wide, async (t) => {
  const hub = await openTestHub(t)
  const sent = await pictures(5)
  const digests = sent.map(({ digest }) => digest)
  const missing = () =>
    json<{ missing: string[] }>(hub, 'POST', '/api/samples/missing', { digests })
  assert.deepEqual((await missing()).missing, digests)
  assert.deepEqual(await (await sendPack(hub, writePack(sent.slice(0, 3)))).json(), { stored: 3 })
  assert.deepEqual((await missing()).missing, digests.slice(3))
  // The same again is no error.
  assert.equal((await sendPack(hub, writePack(sent))).status, 200)
  assert.deepEqual((await missing()).missing, [])

  for (const size of ['picture', 'thumbnail']) {
    const shown = await hub.api('GET', `/api/samples/${digests[0]}/${size}`)
    assert.equal(shown.headers.get('content-type'), 'image/png')
    assert.equal(shown.headers.get('x-content-type-options'), 'nosniff')
    assert.ok(Buffer.from(await shown.arrayBuffer()).equals(sent[0]!.bytes))
  }
  const grey = new Uint8Array(6).map((_, at) => at * 40)
  const raw = {
    digest: digestOf(grey),
    bytes: grey,
    width: 3,
    height: 2,
    form: 'raw-grey',
  } as const
  assert.equal((await sendPack(hub, writePack([raw]))).status, 200)
  const shown = await hub.api('GET', `/api/samples/${raw.digest}/picture`)
  const { default: sharp } = await import('sharp')
  const decoded = await sharp(Buffer.from(await shown.arrayBuffer()))
    .extractChannel(0)
    .raw()
    .toBuffer({ resolveWithObject: true })
  assert.deepEqual([decoded.info.width, decoded.info.height, decoded.info.channels], [3, 2, 1])
  assert.deepEqual([...decoded.data], [...grey])
})

test('packs that are none, and pictures that are not what is said of them', wide, async (t) => {
  const hub = await openTestHub(t)
  const good = await picture(1)
  const page = Buffer.from('<!doctype html><title>Not found</title>')
  const refused = async (pack: Uint8Array) => await refusal(await sendPack(hub, pack))
  assert.match(await refused(Buffer.from('no')), /400 badRequest .*head is cut off/)
  assert.match(await refused(Buffer.from([255, 255, 255, 255, 1])), /head is cut off/)
  const whole = writePack([good])
  assert.match(await refused(whole.subarray(0, -1)), /its head speaks of \d+ bytes/)
  assert.match(await refused(writePack([{ ...good, digest: '0'.repeat(64) }])), /422 digestDiffers/)
  assert.match(
    await refused(writePack([{ ...good, bytes: page, digest: digestOf(page) }])),
    /the bytes begin with "<!doctype ht", which is no image format that is known and not image\/png/,
  )
  assert.match(await refused(writePack([{ ...good, form: 'image/jpeg' }])), /which is image\/png/)
  assert.match(
    await refused(writePack([{ ...good, form: 'raw-rgb' }])),
    /not 64×48 pixels of raw-rgb: those are 9216/,
  )
  assert.match(
    await refused(writePack([{ ...good, width: 0 }])),
    /the head of the pack: \/0\/width/,
  )
  const answer = await json<{ missing: string[] }>(hub, 'POST', '/api/samples/missing', {
    digests: [good.digest],
  })
  assert.deepEqual(answer.missing, [good.digest])
  assert.equal((await hub.api('GET', `/api/samples/${good.digest}/picture`)).status, 404)
})

test(
  'samples are put into a dataset, found, changed and taken out; what was said before stays',
  wide,
  async (t) => {
    const hub = await openTestHub(t)
    const samples = await addDataset(hub, 'parts', 12)
    const detail = () => json<DatasetDetail>(hub, 'GET', '/api/datasets/parts')
    const row = async () => (await detail()).dataset
    const found = (query: string) =>
      json<SamplePage>(hub, 'GET', `/api/datasets/parts/samples?${query}`)
    assert.deepEqual(
      [(await row()).samples, (await row()).annotated, (await row()).revision],
      [12, 12, 1],
    )
    // The same again changes nothing.
    const put = (body: object) => json(hub, 'PUT', '/api/datasets/parts/samples', body)
    assert.deepEqual(await put({ samples }), { added: 0, changed: 0, unchanged: 12 })
    assert.equal((await row()).revision, 1)

    const nuts: SampleAnnotation[] = [
      { kind: 'box', label: 'nut', box: [0, 0, 0.2, 0.2] },
      { kind: 'box', label: 'nut', box: [0.5, 0.5, 0.2, 0.2] },
    ]
    const changed = [
      { ...samples[0]!, annotations: nuts },
      { ...samples[1]!, annotations: [] },
      samples[2]!,
    ]
    assert.deepEqual(await put({ samples: changed }), { added: 0, changed: 2, unchanged: 1 })
    assert.deepEqual([(await row()).annotated, (await row()).revision], [11, 2])
    const said = await json<SampleDetail>(
      hub,
      'GET',
      `/api/datasets/parts/samples/${samples[0]!.digest}`,
    )
    assert.deepEqual([said.revision, said.by], [2, 'local'])
    assert.deepEqual(said.sample.annotations, nuts)
    assert.deepEqual(
      said.earlier.map(({ revision, annotations }) => ({ revision, annotations })),
      [{ revision: 1, annotations: samples[0]!.annotations }],
    )

    const { labelCounts, sources, problems } = await detail()
    assert.deepEqual(labelCounts, [
      { label: 'bolt', samples: 10, annotations: 10 },
      { label: 'nut', samples: 1, annotations: 2 },
    ])
    assert.deepEqual(sources[0], { site: 'plant', stream: 'cam-0', samples: 4 })
    assert.deepEqual([sources.length, problems], [3, []])

    const namesOf = ({ samples: page }: SamplePage) => page.map(({ name }) => name).join(' ')
    assert.equal(namesOf(await found('label=nut')), '0.png')
    assert.equal(namesOf(await found('annotated=no')), '1.png')
    assert.equal((await found('label=bolt')).total, 10)
    assert.equal(namesOf(await found('stream=cam-1&site=plant')), '1.png 4.png 7.png 10.png')
    const first = await found('limit=5')
    assert.deepEqual([first.total, first.samples.length], [12, 5])
    const rest = await found(`limit=7&after=${first.next}`)
    assert.deepEqual([rest.samples[0]?.name, rest.next], ['5.png', null])

    const digests = samples.slice(0, 2).map(({ digest }) => digest)
    const remove = () => json(hub, 'POST', '/api/datasets/parts/samples/remove', { digests })
    assert.deepEqual(await remove(), { removed: 2 })
    assert.deepEqual(await remove(), { removed: 0 })
    assert.deepEqual([(await row()).samples, (await row()).revision], [10, 3])

    await hub.close()
    await hub.reopen()
    const [listed, ...more] = await json<DatasetRow[]>(hub, 'GET', '/api/datasets')
    assert.deepEqual([listed?.samples, listed?.labels, more.length], [10, ['bolt', 'nut'], 0])
    assert.equal((await hub.api('DELETE', '/api/datasets/parts')).status, 204)
    assert.deepEqual(await json(hub, 'GET', '/api/datasets'), [])
    assert.equal((await hub.api('GET', '/api/datasets/parts/samples')).status, 404)
  },
)

test('samples that do not fit are refused whole, and said which', wide, async (t) => {
  const hub = await openTestHub(t)
  const samples = await addDataset(hub, 'parts', 2)
  const put = async (...given: object[]) =>
    await refusal(await hub.api('PUT', '/api/datasets/parts/samples', { samples: given }))
  const fresh = await picture(50)
  const absent = sampleOf(fresh, 'fresh.png')
  assert.match(await put(absent), /400 badRequest .*its picture [0-9a-f]{64} has not come/)
  assert.equal((await sendPack(hub, writePack([fresh]))).status, 200)
  const box = (label: string, ...place: number[]) => ({ kind: 'box', label, box: place })
  const saying = (...annotations: object[]) => ({ ...absent, annotations })
  assert.match(
    await put(saying(box('bold', 0, 0, 1, 1))),
    /the label "bold" is not in the dataset; did you mean "bolt"\?/,
  )
  assert.match(await put(saying(box('bolt', 0, 0, 2, 1))), /annotations/)
  assert.match(
    await put(saying({ kind: 'mask', labels: ['bolt'], file: 'm.png', digest: '1'.repeat(64) })),
    /its mask 1{64} has not come/,
  )
  assert.match(await put({ ...absent, width: 65 }), /as 65×48: its picture came as 64×48/)
  assert.match(await put(absent, absent), /the same picture is in this request twice/)
  assert.match(await put({ ...absent, wdth: 1 }), /unknown key "wdth"/)
  // The good one beside the bad one did not go in.
  await put(absent, { ...samples[0], annotations: [box('nutt', 0, 0, 1, 1)] })
  assert.equal((await json<DatasetDetail>(hub, 'GET', '/api/datasets/parts')).dataset.samples, 2)
  const again = await hub.api('POST', '/api/datasets', { name: 'parts' })
  assert.match(await refusal(again), /409 conflict .*there is one already/)
  const nowhere = await hub.api('PUT', '/api/datasets/nowhere/samples', { samples })
  assert.match(await refusal(nowhere), /404 notFound Cannot find the dataset "nowhere"/)
  const none = await hub.api('GET', `/api/datasets/parts/samples/${digestOf(Buffer.from('x'))}`)
  assert.equal(none.status, 404)
  const upload = await hub.api('PUT', `/api/uploads/${randomUUID()}/0`)
  assert.notEqual(upload.status, 200)
})

test('labels are added behind those that are there', wide, async (t) => {
  const hub = await openTestHub(t)
  await addDataset(hub, 'parts', 1)
  const edited = await json<DatasetRow>(hub, 'PUT', '/api/datasets/parts', {
    addLabels: ['washer', 'bolt'],
    description: 'of line 4',
  })
  assert.deepEqual([edited.labels, edited.description], [['bolt', 'nut', 'washer'], 'of line 4'])
  assert.match(await refusal(await hub.api('PUT', '/api/datasets/parts', {})), /400/)
})
