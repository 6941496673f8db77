/** What is written in a form is read again from it, as far as the form carries it; the rest is listed. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { access, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import sharp from 'sharp'
import {
  type Annotation,
  canonicalJson,
  type Dataset,
  type DatasetFormat,
  datasetOf,
  exportDataset,
  openDataset,
  Problems,
  problemText,
  type Sample,
} from './index.ts'

const labels = ['bolt & nut', '<gear>', 'Zahnrad 7']
const digestOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

async function emptyFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-export-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

type Drawn = {
  readonly name: string
  readonly annotations: readonly Annotation[]
  readonly stream: string | undefined
  readonly capturedAt: number | undefined
}

/** A set of small pictures in a folder, each of its own colour and with what was drawn. */
async function setOf(folder: string, drawn: readonly Drawn[]): Promise<Dataset> {
  const files = new Map<string, string>()
  const samples: Sample[] = []
  for (const [at, { name, annotations, stream, capturedAt }] of drawn.entries()) {
    const background = { r: at % 256, g: (at * 7) % 256, b: 90 }
    const bytes = await sharp({ create: { width: 20, height: 10, channels: 3, background } })
      .png()
      .toBuffer()
    const [digest, file] = [digestOf(bytes), `${at}.png`]
    await writeFile(join(folder, file), bytes)
    files.set(digest, file)
    samples.push({
      digest,
      name,
      width: 20,
      height: 10,
      annotations,
      ...(stream !== undefined && { stream }),
      ...(capturedAt !== undefined && { capturedAt }),
    })
  }
  const pictures = { kind: 'files', folder, files } as const
  return datasetOf({ name: 'drawn', labels, samples, problems: new Problems(), pictures, folder })
}

/** Boxes on whole pixels of 20×10, so that no form has to round. */
const box = fc
  .tuple(
    fc.integer({ min: 0, max: 15 }),
    fc.integer({ min: 0, max: 7 }),
    fc.integer({ min: 1, max: 5 }),
    fc.integer({ min: 1, max: 3 }),
  )
  .map(([x, y, width, height]) => [x / 20, y / 10, width / 20, height / 10] as const)
const label = fc.constantFrom(...labels)
const boxes = fc.array(
  fc.record({ label, box }).map((one): Annotation => ({ kind: 'box', ...one })),
  { maxLength: 5 },
)
const names = fc.uniqueArray(
  fc.constantFrom(
    'a.png',
    'images/a.png',
    '../b.png',
    'x/ü y.PNG',
    'c',
    '.hidden.png',
    'images/t/a.png',
  ),
  {
    minLength: 1,
    maxLength: 5,
  },
)
const sets = fc.tuple(names, fc.array(boxes, { minLength: 5, maxLength: 5 })).map(([chosen, all]) =>
  chosen.map(
    (name, at): Drawn => ({
      name,
      annotations: all[at]!,
      stream: at % 2 ? 'gate' : undefined,
      capturedAt: at % 2 ? 1000 * at : undefined,
    }),
  ),
)

const round = (value: unknown): unknown =>
  typeof value === 'number' ? Math.round(value * 1e5) / 1e5 : value
const rounded = (annotations: readonly Annotation[]) =>
  annotations
    .map((one) => canonicalJson(JSON.parse(JSON.stringify(one, (_, value) => round(value)))))
    .sort()
/** What is in each picture, by its bytes. */
const contentOf = ({ samples }: Dataset) =>
  new Map(samples.map(({ digest, annotations }) => [digest, rounded(annotations)] as const).sort())

for (const format of ['coco', 'yolo', 'voc', 'cvat', 'label-studio', 'frozen'] as const) {
  test(`${format}: boxes, labels and bytes come back, whatever the names are`, async (t) => {
    const folder = await emptyFolder(t)
    let run = 0
    await fc.assert(
      fc.asyncProperty(sets, async (drawn) => {
        const source = join(folder, `${++run}`)
        await mkdir(source)
        const dataset = await setOf(source, drawn)
        const { samples } = await exportDataset(dataset, join(source, 'out'), { format })
        const back = await openDataset(join(source, 'out'), { format, labels })
        assert.equal(samples, dataset.samples.length)
        assert.deepEqual(contentOf(back), contentOf(dataset))
        if (format === 'frozen') assert.equal(back.digest, dataset.digest)
        if (format === 'coco' || format === 'label-studio') {
          assert.deepEqual(
            back.samples.map(({ stream, capturedAt }) => [stream, capturedAt]).sort(),
            dataset.samples.map(({ stream, capturedAt }) => [stream, capturedAt]).sort(),
          )
        }
        // A form is also told by looking at the folder.
        if (drawn.some(({ annotations }) => annotations.length > 0) || format !== 'yolo') {
          const found = await openDataset(join(source, 'out'))
          assert.equal(found.samples.length, back.samples.length)
        }
      }),
      { numRuns: 15 },
    )
  })
}

const outline: Annotation = {
  kind: 'polygon',
  label: labels[0]!,
  points: [
    [0.1, 0.1],
    [0.5, 0.2],
    [0.3, 0.9],
  ],
}
const around: Annotation = { kind: 'box', label: labels[0]!, box: [0.1, 0.1, 0.4, 0.8] }

for (const format of ['coco', 'yolo', 'cvat', 'label-studio'] as const) {
  test(`${format}: an outline and its box stay one thing`, async (t) => {
    const folder = await emptyFolder(t)
    const other: Annotation = { kind: 'box', label: labels[1]!, box: [0.1, 0.1, 0.4, 0.8] }
    const annotations = [around, outline, other]
    const dataset = await setOf(folder, [
      { name: 'a.png', annotations, stream: undefined, capturedAt: undefined },
    ])
    await exportDataset(dataset, join(folder, 'out'), { format })
    const back = await openDataset(join(folder, 'out'), { labels })
    assert.deepEqual(contentOf(back), contentOf(dataset))
  })
}

test('coco: a crowd is written as runs, as those who evaluate masks count on', async (t) => {
  const folder = await emptyFolder(t)
  const crowd: Annotation = {
    kind: 'box',
    label: labels[0]!,
    box: [0.25, 0.5, 0.5, 0.5],
    crowd: true,
  }
  const dataset = await setOf(folder, [
    { name: 'a.png', annotations: [crowd], stream: undefined, capturedAt: undefined },
  ])
  const out = join(folder, 'out')
  await exportDataset(dataset, out, { format: 'coco' })
  const [json = ''] = (await readdir(out, { recursive: true })).filter((name) =>
    name.endsWith('.json'),
  )
  const { annotations, images } = JSON.parse(await readFile(join(out, json), 'utf8'))
  const [{ width, height }] = images
  const { counts, size } = annotations[0].segmentation
  assert.deepEqual(size, [height, width])
  const inside = counts.filter((_: number, at: number) => at % 2 === 1)
  const sum = (all: number[]) => all.reduce((whole, one) => whole + one, 0)
  assert.deepEqual([sum(counts), sum(inside)], [width * height, (width * height) / 4])
  assert.deepEqual(contentOf(await openDataset(out, { labels })), contentOf(dataset))
})

/** Sixteen pictures of plain pixels with a class each. */
function digits(channels: 1 | 3): Dataset {
  const size = 4 * 3 * channels
  const data = Uint8Array.from(
    { length: 16 * size },
    (_, at) => (at * 13 + Math.floor(at / size)) % 256,
  )
  const digests = Array.from({ length: 16 }, (_, at) =>
    digestOf(data.subarray(at * size, (at + 1) * size)),
  )
  return datasetOf({
    name: 'digits',
    labels: ['0', '1', '2'],
    folder: '',
    problems: new Problems(),
    samples: digests.map((digest, at) => ({
      digest,
      name: `train/${at}`,
      width: 4,
      height: 3,
      annotations: [{ kind: 'class', label: String(at % 3) }],
    })),
    pictures: {
      kind: 'raw',
      width: 4,
      height: 3,
      channels,
      data,
      places: new Map(digests.map((digest, at) => [digest, at])),
    },
  })
}

for (const channels of [1, 3] as const) {
  test(`idx and folders: classes and pixels of ${channels} channels come back through each other`, async (t) => {
    const folder = await emptyFolder(t)
    const dataset = digits(channels)
    await exportDataset(dataset, join(folder, 'idx'), { format: 'idx' })
    assert.equal((await openDataset(join(folder, 'idx'))).digest, dataset.digest)
    await exportDataset(dataset, join(folder, 'folders'), { format: 'folders' })
    const classes = await openDataset(join(folder, 'folders'))
    assert.deepEqual(classes.labels, dataset.labels)
    const pixels = async (set: Dataset) =>
      (
        await Promise.all(
          set.samples.map(async (sample) => {
            const { data } = await set.picture(sample)
            // Files have three equal channels where pixels are grey.
            const bytes =
              channels === 1 && data.length > 12 ? data.filter((_, at) => at % 3 === 0) : data
            return `${JSON.stringify(sample.annotations)} ${[...bytes]}`
          }),
        )
      ).sort()
    assert.deepEqual(await pixels(classes), await pixels(dataset))
  })
}

test('masks come back as indexes', async (t) => {
  const folder = await emptyFolder(t)
  const mask = await sharp(Buffer.from([0, 1, 2, 255]), {
    raw: { width: 2, height: 2, channels: 1 },
  })
    .toColourspace('b-w')
    .png()
    .toBuffer()
  await writeFile(join(folder, 'm.png'), mask)
  const annotation: Annotation = { kind: 'mask', labels, file: 'm.png', digest: digestOf(mask) }
  const drawn = { stream: undefined, capturedAt: undefined }
  const dataset = await setOf(folder, [
    { name: 'a.png', annotations: [annotation], ...drawn },
    { name: 'b.png', annotations: [], ...drawn },
  ])
  const { samples, lost } = await exportDataset(dataset, join(folder, 'out'), { format: 'masks' })
  assert.deepEqual([samples, lost.kept.map(problemText)], [1, ['b.png: it has no mask; left out']])
  const back = await openDataset(join(folder, 'out'))
  const [read] = back.samples[0]!.annotations
  assert(read?.kind === 'mask')
  assert.deepEqual(read.labels, labels)
  assert.deepEqual([...(await back.mask(read)).data], [0, 1, 2, 255])
})

test('what a form does not carry is listed, and what it cannot be is refused', async (t) => {
  const folder = await emptyFolder(t)
  const drawn = { stream: 'gate', capturedAt: 5 }
  const dataset = await setOf(folder, [
    { name: 'a.png', annotations: [around, { kind: 'number', name: 'angle', value: 3 }], ...drawn },
    { name: 'b.png', annotations: [], ...drawn },
  ])
  const { lost } = await exportDataset(dataset, join(folder, 'voc'), { format: 'voc' })
  assert.deepEqual(lost.kept.map(problemText), [
    'a.png: voc does not carry: number, where and when it was taken',
    'b.png: voc does not carry: where and when it was taken',
  ])
  const refused = (format: DatasetFormat, out: string, pattern: RegExp) =>
    assert.rejects(exportDataset(dataset, join(folder, out), { format }), pattern)
  await refused('coco', 'voc', /it is not empty/)
  await refused('coco', '0.png', /it is a file/)
  await refused('folders', 'new', /no sample is carried by the form folders/)
  const stop = new AbortController()
  const aborted = exportDataset(dataset, join(folder, 'new'), {
    format: 'coco',
    signal: stop.signal,
    onSample: () => stop.abort(),
  })
  await assert.rejects(aborted, { name: 'AbortError' })
  // Nothing half is left.
  await assert.rejects(access(join(folder, 'new')))
  assert.deepEqual((await readdir(folder)).sort(), ['0.png', '1.png', 'voc'])
  assert.match(await readFile(join(folder, 'voc/Annotations/a.xml'), 'utf8'), /bolt &amp; nut/)
})
