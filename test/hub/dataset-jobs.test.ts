/** Archives that are taken into a dataset, and datasets that are frozen: what comes of them, and what is refused. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { openDataset } from '@edgeloop/model-compiler/datasets'
import {
  type DatasetDetail,
  type DatasetInspection,
  type DatasetSample,
  type DatasetVersion,
  type Job,
  type Problem,
  type SampleAnnotation,
  type SamplePage,
  writePack,
} from '@edgeloop/protocol'
import { openFolderBlobs } from '../../cloud-hub/src/blobs/folder-blobs.ts'
import { unpack } from '../../cloud-hub/src/datasets/unpack.ts'
import { openVersionDesk } from '../../cloud-hub/src/datasets/versions.ts'
import {
  addDataset,
  digestOf,
  picture,
  pictures,
  sampleOf,
  sendPack,
  tarOf,
  vocOf,
} from './dataset-parts.ts'
import { uploadTo } from './demo-model.ts'
import { openTestHub, type TestHub } from './fixture.ts'

const wide = { timeout: 120_000 }

async function json<T>(hub: TestHub, method: string, path: string, body?: unknown): Promise<T> {
  const reply = await hub.api(method, path, body)
  const text = await reply.text()
  assert.ok(reply.ok, `${method} ${path}: ${reply.status} ${text}`)
  return JSON.parse(text) as T
}

async function detailOf(reply: Response): Promise<string> {
  const { code, detail } = (await reply.json()) as Problem
  return `${reply.status} ${code} ${detail}`
}

async function ended(t: TestContext, hub: TestHub, { jobId }: Job): Promise<Job> {
  let job: Job | undefined
  const look = async () => {
    job = await json<Job>(hub, 'GET', `/api/jobs/${jobId}`)
    assert.ok(job.endedAt, `${job.state} ${job.step}`)
  }
  await t.waitFor(look, { interval: 100, timeout: 100_000 })
  return job ?? assert.fail()
}

async function importInto(t: TestContext, hub: TestHub, name: string, archive: Uint8Array) {
  const body = { uploadId: await uploadTo(hub, archive) }
  return await ended(t, hub, await json<Job>(hub, 'POST', `/api/datasets/${name}/import`, body))
}

const add = (hub: TestHub, name: string) => json(hub, 'POST', '/api/datasets', { name })

async function vocArchive(
  count: number,
): Promise<readonly (readonly [string, Uint8Array | string])[]> {
  const sent = await pictures(count)
  return sent.flatMap((one, at) => [
    [`parts/JPEGImages/${at}.png`, one.bytes] as const,
    [`parts/Annotations/${at}.xml`, vocOf(one, [at % 2 ? 'nut' : 'bolt', 1, 1, 32, 24])] as const,
  ])
}

test('an archive is unpacked, read and kept as samples; again, nothing is new', wide, async (t) => {
  const hub = await openTestHub(t)
  await add(hub, 'parts')
  const archive = await tarOf(await vocArchive(6))
  const job = await importInto(t, hub, 'parts', archive)
  assert.deepEqual(
    [job.state, job.error, job.by, job.subject],
    ['done', '', 'local', 'datasets/parts'],
  )
  const row = (await json<DatasetDetail>(hub, 'GET', '/api/datasets/parts')).dataset
  assert.deepEqual([row.samples, row.annotated, row.labels], [6, 6, ['bolt', 'nut']])
  const { samples } = await json<SamplePage>(hub, 'GET', '/api/datasets/parts/samples')
  assert.deepEqual(samples[1]?.annotations, [{ kind: 'box', label: 'nut', box: [0, 0, 0.5, 0.5] }])
  assert.equal((await hub.api('GET', `/api/samples/${samples[1]?.digest}/picture`)).status, 200)
  const again = await importInto(t, hub, 'parts', gzipSync(archive))
  assert.equal(again.state, 'done')
  const after = (await json<DatasetDetail>(hub, 'GET', '/api/datasets/parts')).dataset
  assert.equal(after.samples, 6)
})

test(
  'archives that lead outside, hold nothing, or are none are refused, and the hub lives',
  wide,
  async (t) => {
    const hub = await openTestHub(t)
    await add(hub, 'parts')
    const page = Buffer.from('<!doctype html><title>Not found</title>')
    for (const [archive, why] of [
      [
        await tarOf([['../../evil.png', page]]),
        /entry "\.\.\/\.\.\/evil\.png" names a place outside/,
      ],
      [page, /it is neither a zip nor a tar/],
      [
        await tarOf([
          ['a.png', page],
          ['a.xml', '<annotation/>'],
        ]),
        /it has no sample; .*web page/,
      ],
    ] as const) {
      const job = await importInto(t, hub, 'parts', archive)
      assert.equal(job.state, 'failed')
      assert.match(job.error, why)
      assert.doesNotMatch(job.error, /\/tmp\//)
    }
    assert.equal((await json<DatasetDetail>(hub, 'GET', '/api/datasets/parts')).dataset.samples, 0)
    const nowhere = { uploadId: await uploadTo(hub, page) }
    assert.match(
      await detailOf(await hub.api('POST', '/api/datasets/nowhere/import', nowhere)),
      /404 notFound/,
    )
  },
)

test(
  'a frozen version never changes, whatever happens to the dataset, and is laid out for a run',
  wide,
  async (t) => {
    const hub = await openTestHub(t)
    const samples = await addDataset(hub, 'parts', 20)
    const freeze = async (split: object, note = '') =>
      await ended(
        t,
        hub,
        await json<Job>(hub, 'POST', '/api/datasets/parts/versions', { split, note }),
      )
    const first = await freeze({ holdout: 0.25, validation: 0.2, by: 'sample', seed: 3 }, 'week 46')
    assert.deepEqual([first.state, first.error], ['done', ''])
    const show = (version: number) =>
      json<DatasetVersion>(hub, 'GET', `/api/datasets/parts/versions/${version}`)
    const frozen = await show(1)
    assert.deepEqual([frozen.samples, frozen.note, frozen.labels], [20, 'week 46', ['bolt', 'nut']])
    const [counts] = frozen.folds
    assert.deepEqual([counts?.test, counts?.leftOut], [5, 0])
    assert.equal((counts?.train ?? 0) + (counts?.validation ?? 0), 15)
    const found = (query: string) =>
      json<SamplePage>(hub, 'GET', `/api/datasets/parts/samples?${query}`)
    const tests = await found('version=1&split=test&limit=3')
    assert.deepEqual([tests.total, tests.samples.length], [5, 3])
    const rest = await found(`version=1&split=test&limit=3&after=${tests.next}`)
    assert.deepEqual([rest.samples.length, rest.next], [2, null])

    assert.match(
      (await freeze({ holdout: 0.25, validation: 0.2, by: 'sample', seed: 3 })).error,
      /version 1 is the same/,
    )
    const byStream = await freeze({ holdout: 0.34, by: 'stream', seed: 1 })
    assert.equal(byStream.error, '')
    const sides = new Map<string, Set<string>>()
    for (const { stream = '', split = '' } of (await found('version=2')).samples) {
      sides.set(stream, (sides.get(stream) ?? new Set()).add(split))
    }
    assert.deepEqual(
      [...sides.values()].map(({ size }) => size),
      [1, 1, 1],
    )
    const inFolds = await freeze({ folds: 4, by: 'sample', seed: 1 })
    assert.equal(inFolds.error, '')
    assert.deepEqual(
      (await show(3)).folds.map(({ test }) => test),
      [5, 5, 5, 5],
    )
    const ofFold = async (fold: number) =>
      (await found(`version=3&split=test&fold=${fold}`)).samples
    const tested = (await Promise.all([0, 1, 2, 3].map(ofFold))).flat().map(({ digest }) => digest)
    assert.equal(new Set(tested).size, 20)
    assert.match(
      await detailOf(await hub.api('GET', '/api/datasets/parts/samples?version=3&fold=4')),
      /400 badRequest Cannot use fold 4 .* it has folds 0 to 3/,
    )

    // The dataset goes on; what was frozen does not.
    const changed: DatasetSample = { ...samples[0]!, annotations: [] }
    await json(hub, 'PUT', '/api/datasets/parts/samples', { samples: [changed] })
    await json(hub, 'POST', '/api/datasets/parts/samples/remove', {
      digests: [samples[1]!.digest],
    })
    assert.deepEqual(await show(1), frozen)
    const then = (await found('version=1&limit=200')).samples
    assert.deepEqual(then[0]?.annotations, samples[0]?.annotations)
    assert.equal(then.length, 20)

    for (const format of ['voc', 'frozen']) {
      const path = `/api/datasets/parts/versions/1/export?format=${format}`
      const sent = await hub.api('GET', path)
      assert.equal(sent.headers.get('content-type'), 'application/x-tar')
      assert.match(sent.headers.get('content-disposition') ?? '', /parts-1-\w+\.tar/)
      const folder = await mkdtemp(join(tmpdir(), 'edgeloop-export-'))
      t.after(() => rm(folder, { recursive: true }))
      await writeFile(join(folder, 'tar'), new Uint8Array(await sent.arrayBuffer()))
      await mkdir(join(folder, 'out'))
      await unpack(join(folder, 'tar'), join(folder, 'out'))
      const back = await openDataset(join(folder, 'out'))
      assert.equal(back.samples.length, 20)
      assert.deepEqual(
        back.samples.map(({ digest }) => digest).toSorted(),
        samples.map(({ digest }) => digest).toSorted(),
      )
      if (format === 'frozen') assert.equal(back.digest, frozen.digest)
    }
    assert.match(
      await detailOf(await hub.api('GET', '/api/datasets/parts/versions/1/export?format=idx')),
      /400 badRequest Cannot write dataset "parts"/,
    )
    assert.equal((await hub.api('GET', '/api/datasets/parts/versions/7/export')).status, 404)

    const into = await mkdtemp(join(tmpdir(), 'edgeloop-laid-out-'))
    t.after(() => rm(into, { recursive: true }))
    const laid = await hub.inStore(async (store) => {
      const files = await openFolderBlobs(join(hub.dataDir, 'samples'))
      const desk = openVersionDesk({ store, files, clock: Date.now, changed: () => {} })
      const { signal } = new AbortController()
      assert.deepEqual(await desk.frozen('parts', 1), { digest: frozen.digest })
      await assert.rejects(desk.frozen('parts', 1, 1), /it has no folds/)
      await assert.rejects(desk.frozen('parts', 9), /Cannot find version 9/)
      return await desk.layOut({ name: 'parts', version: 1, fold: null }, into, signal)
    })
    const dataset = await openDataset(laid.folder)
    assert.deepEqual([dataset.digest, dataset.samples.length], [frozen.digest, 20])
    assert.deepEqual(dataset.samples[0]?.annotations, samples[0]?.annotations)
    assert.equal((await dataset.picture(dataset.samples[3]!)).width, 64)
    const split = JSON.parse(await readFile(laid.splitFile, 'utf8')) as Record<string, string>
    assert.equal(Object.values(split).filter((side) => side === 'test').length, 5)
  },
)

test('what cannot be frozen is refused, or fails with the reason', wide, async (t) => {
  const hub = await openTestHub(t)
  await add(hub, 'empty')
  await addDataset(hub, 'parts', 3)
  const ask = (name: string, split: object) =>
    hub.api('POST', `/api/datasets/${name}/versions`, { split })
  assert.match(await detailOf(await ask('empty', {})), /400 badRequest .*it has no sample/)
  assert.match(await detailOf(await ask('nowhere', {})), /404 notFound/)
  assert.match(
    await detailOf(await ask('parts', { folds: 2, holdout: 0.2 })),
    /in 2 folds with a holdout/,
  )
  assert.match(
    await detailOf(await ask('parts', { fold: 2 })),
    /unknown key "fold"; did you mean "folds"/,
  )
  assert.match(await detailOf(await ask('parts', { holdout: 'last:0' })), /400 badRequest/)
  const job = await ended(t, hub, (await (await ask('parts', { holdout: 'last:3' })).json()) as Job)
  assert.equal(job.state, 'failed')
  assert.match(job.error, /the last 3 of 3 samples leave none to learn from/)
  assert.deepEqual(await json(hub, 'GET', '/api/datasets/parts/versions'), [])
})

test('near copies and what is odd are found, told, and never on two sides', wide, async (t) => {
  const hub = await openTestHub(t)
  const samples = await addDataset(hub, 'parts', 12)
  assert.equal(await json(hub, 'GET', '/api/datasets/parts/inspection'), null)
  // The same pictures, saved once more in another form.
  const { default: sharp } = await import('sharp')
  const copies = await Promise.all(
    (await pictures(4)).map(async (one) => {
      const bytes = await sharp(one.bytes).webp({ quality: 95 }).toBuffer()
      return { ...one, bytes, digest: digestOf(bytes), form: 'image/webp' as const }
    }),
  )
  const broken = Buffer.from((await picture(30)).bytes).subarray(0, 200)
  const torn = { ...(await picture(30)), bytes: broken, digest: digestOf(broken) }
  assert.equal((await sendPack(hub, writePack([...copies, torn]))).status, 200)
  const twice: SampleAnnotation = { kind: 'box', label: 'bolt', box: [0.1, 0.1, 0.5, 0.5] }
  await json(hub, 'PUT', '/api/datasets/parts/samples', {
    samples: [
      ...copies.map((one, at) => sampleOf(one, `copy-${at}.webp`)),
      sampleOf(torn, 'torn.png', [twice, twice]),
    ],
  })
  const job = await ended(t, hub, await json<Job>(hub, 'POST', '/api/datasets/parts/inspection'))
  assert.deepEqual([job.state, job.error], ['done', ''])
  const found = await json<DatasetInspection>(hub, 'GET', '/api/datasets/parts/inspection')
  const groupOf = (digest: string) => found.copies.find((group) => group.includes(digest)) ?? []
  for (const [at, copy] of copies.entries()) {
    assert.ok(groupOf(copy.digest).includes(samples[at]!.digest), `copy ${at}`)
  }
  const listed = (kind: string) => found.listed.filter((one) => one.kind === kind)
  assert.equal(listed('unreadable-image')[0]?.digest, torn.digest)
  assert.equal(listed('duplicate-box')[0]?.name, 'torn.png')
  assert.doesNotMatch(JSON.stringify(found.listed), /\/tmp\//)
  const page = await json<SamplePage>(
    hub,
    'GET',
    '/api/datasets/parts/samples?problem=duplicate-box',
  )
  assert.deepEqual(
    [page.samples[0]?.name, page.samples[0]?.problems.includes('unreadable-image')],
    ['torn.png', true],
  )

  const split = { holdout: 0.4, by: 'sample', seed: 5 }
  const frozen = await ended(
    t,
    hub,
    await json<Job>(hub, 'POST', '/api/datasets/parts/versions', { split }),
  )
  assert.equal(frozen.error, '')
  const all = await json<SamplePage>(hub, 'GET', '/api/datasets/parts/samples?version=1')
  const sideOf = new Map(all.samples.map((one) => [one.digest, one.split]))
  for (const group of found.copies) {
    assert.equal(new Set(group.map((digest) => sideOf.get(digest))).size, 1)
  }
})
