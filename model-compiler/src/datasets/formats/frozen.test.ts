import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import sharp from 'sharp'
import type { Annotation, Dataset } from '../dataset.ts'
import { datasetOf, openDataset } from '../open-dataset.ts'
import { Problems } from '../problems.ts'
import { blobName, writeFrozen } from './frozen.ts'

const digestOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

async function emptyFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-frozen-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

/** Two pictures of another size each, with an annotation of every kind. */
async function twoPictures(t: TestContext): Promise<Dataset> {
  const folder = await emptyFolder(t)
  const grey = { create: { width: 4, height: 3, channels: 3, background: '#808080' } } as const
  const files = new Map<string, string>()
  const write = async (name: string, bytes: Buffer) => {
    await writeFile(join(folder, name), bytes)
    return digestOf(bytes)
  }
  const first = await write('a.png', await sharp(grey).png().toBuffer())
  const second = await write('b.jpg', await sharp(grey).resize(6, 6).jpeg().toBuffer())
  const mask = await write('m.png', await sharp(grey).extractChannel(0).png().toBuffer())
  files.set(first, 'a.png').set(second, 'b.jpg')
  const annotations: Annotation[] = [
    { kind: 'class', label: 'nut' },
    { kind: 'box', label: 'bolt', box: [0, 0.25, 0.5, 0.5], crowd: true },
    {
      kind: 'polygon',
      label: 'bolt',
      points: [
        [0, 0],
        [1, 0],
        [0.5, 1],
      ],
    },
    { kind: 'mask', labels: ['bolt', 'nut'], file: 'm.png', digest: mask },
    { kind: 'number', name: 'angle', value: -3.5 },
  ]
  return datasetOf({
    name: 'parts',
    labels: ['bolt', 'nut'],
    folder,
    problems: new Problems(),
    samples: [
      {
        digest: first,
        name: 'a.png',
        width: 4,
        height: 3,
        site: 'plant',
        stream: 'one',
        capturedAt: 5,
        annotations,
      },
      { digest: second, name: 'b.jpg', width: 6, height: 6, annotations: [] },
    ],
    pictures: { kind: 'files', folder, files },
  })
}

test('what was written is read again: list, digest, pictures and masks', async (t) => {
  const dataset = await twoPictures(t)
  const folder = await emptyFolder(t)
  await writeFrozen(dataset, folder)
  const back = await openDataset(folder)
  assert.deepEqual(
    [back.name, back.labels, back.digest],
    ['parts', ['bolt', 'nut'], dataset.digest],
  )
  assert.equal(digestOf(await readFile(join(folder, 'samples.jsonl'))), dataset.digest)
  const [first] = dataset.samples
  const said = ({ annotations }: { annotations: readonly Annotation[] }) =>
    annotations.map((one) => (one.kind === 'mask' ? { ...one, file: '' } : one))
  assert.deepEqual(said(back.samples[0]!), said(first!))
  assert.deepEqual({ ...back.samples[0]!, annotations: [] }, { ...first!, annotations: [] })
  assert.deepEqual(await back.bytes(first!), await dataset.bytes(first!))
  assert.equal((await back.picture(back.samples[1]!)).width, 6)
  const mask = back.samples[0]!.annotations.find((one) => one.kind === 'mask')!
  assert.equal((await back.mask(mask)).height, 3)
})

test('plain pixels stay plain pixels', async (t) => {
  const data = Uint8Array.from({ length: 12 }, (_, at) => at)
  const digests = [0, 6].map((from) => digestOf(data.subarray(from, from + 6)))
  const dataset = datasetOf({
    name: 'digits',
    labels: ['0'],
    folder: '',
    problems: new Problems(),
    samples: digests.map((digest, at) => ({
      digest,
      name: `train/${at}`,
      width: 3,
      height: 2,
      annotations: [{ kind: 'class', label: '0' }],
    })),
    pictures: {
      kind: 'raw',
      width: 3,
      height: 2,
      channels: 1,
      data,
      places: new Map(digests.map((digest, at) => [digest, at])),
    },
  })
  const folder = await emptyFolder(t)
  await writeFrozen(dataset, folder)
  const back = await openDataset(folder, { format: 'frozen' })
  assert.equal(back.digest, dataset.digest)
  assert.deepEqual([...(await back.picture(back.samples[1]!)).data], [6, 7, 8, 9, 10, 11])
})

test('a set that is not as it was frozen is refused with what is wrong', async (t) => {
  const dataset = await twoPictures(t)
  const folder = await emptyFolder(t)
  await writeFrozen(dataset, folder)
  const list = join(folder, 'samples.jsonl')
  const whole = await readFile(list, 'utf8')
  const [head, first] = whole.split('\n') as [string, string]
  const openAs = async (text: string) => {
    await writeFile(list, text)
    return await openDataset(folder)
  }
  await assert.rejects(openAs(`${head}\n{"digest":\n`), /samples\.jsonl:2: not JSON/)
  await assert.rejects(openAs(`${head}\n{"digest":"x"}\n`), /samples\.jsonl:2: \//)
  await assert.rejects(openAs(`${head}\n`), /it has no sample/)
  await assert.rejects(openAs(`${whole}${first}\n`), /is there twice/)
  await assert.rejects(
    openAs(whole.replaceAll('"nut"', '"nail"')),
    /label "nail" is not in its list/,
  )
  await assert.rejects(openDataset(folder, { labels: ['nut', 'bolt'] }), /cannot be others/)
  await rm(join(folder, blobName(dataset.samples[1]!.digest)))
  await assert.rejects(openAs(whole), /samples\.jsonl:3: blobs\/.* is not there/)
  await appendFile(join(folder, 'dataset.json'), '}')
  await assert.rejects(openAs(whole), /dataset\.json: not JSON/)
})
