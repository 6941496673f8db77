/** Figures of a data set, what looks wrong in it, and pictures that are nearly the same. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import sharp from 'sharp'
import { material, needs } from '../../../test/require.ts'
import {
  type Annotation,
  datasetOf,
  findDuplicates,
  inspectDataset,
  openDataset,
  Problems,
  problemText,
  type Sample,
} from './index.ts'

const box = (label: string, x: number, y: number, width: number, height: number): Annotation => ({
  kind: 'box',
  label,
  box: [x, y, width, height],
})

test('inspectDataset() counts labels, sizes and streams, and lists what looks wrong', async () => {
  const sampleOf = (
    at: number,
    annotations: readonly Annotation[],
    more: Partial<Sample> = {},
  ): Sample => ({
    digest: `${at}`,
    name: `${at}.jpg`,
    width: 200,
    height: 100,
    annotations,
    ...more,
  })
  const usual = Array.from({ length: 30 }, (_, at) =>
    sampleOf(at, [box('cat', 0.1, 0.1, 0.3, 0.4), box('dog', 0.5, 0.5, 0.2, 0.2)], {
      stream: 'gate',
      capturedAt: 1000 * at,
    }),
  )
  const odd = sampleOf(30, [
    box('cat', 0.1, 0.1, 0.3, 0.4),
    box('cat', 0.1, 0.1, 0.3, 0.4),
    box('cat', 0.105, 0.1, 0.3, 0.4),
    box('dog', 0, 0, 1, 1),
    box('dog', 0, 0, 0.01, 0.5),
    box('dog', 0, 0.5, 0.9, 0.05),
    box('cow', 0.2, 0.2, 0.2, 0.2),
  ])
  const dataset = datasetOf({
    name: 'set',
    labels: ['cat', 'dog', 'cow', 'gnu'],
    problems: new Problems(),
    folder: '.',
    samples: [...usual, odd, sampleOf(31, [], { width: 50, height: 100 })],
    pictures: { kind: 'files', folder: '.', files: new Map() },
  })
  const found = await inspectDataset(dataset)
  assert.deepEqual(
    found.labels.map(({ label, annotations, samples }) => [label, annotations, samples]),
    [
      ['cat', 33, 31],
      ['dog', 33, 31],
      ['cow', 1, 1],
      ['gnu', 0, 0],
    ],
  )
  assert.equal(found.labels[0]!.areaMedian, 0.12)
  assert.deepEqual([found.samples, found.empty, found.annotations], [32, 1, { box: 67 }])
  assert.deepEqual(found.sizes, [
    { width: 200, height: 100, samples: 31 },
    { width: 50, height: 100, samples: 1 },
  ])
  assert.deepEqual(found.aspect, { least: 0.5, median: 2, most: 2 })
  assert.deepEqual(found.streams, [
    { site: undefined, stream: 'gate', samples: 30, from: 0, to: 29_000 },
  ])
  assert.deepEqual(found.problems.kept.map(problemText).sort(), [
    '30.jpg: a box of "dog" around nearly all of the picture',
    '30.jpg: a box of "dog" of 180×5 pixels',
    '30.jpg: a box of "dog" of 2×50 pixels',
    '30.jpg: the same box of "cat" twice',
    '30.jpg: two boxes of "cat" cover each other nearly',
    '30.jpg: two boxes of "cat" cover each other nearly',
    'set: "cow" occurs 1 time, a usual label 33 times',
    'set: nothing is a "gnu"',
  ])
})

/** A scene of smooth colours, so that scaling and compressing leave it the same picture. */
async function scene(seed: number, spot?: readonly [number, number]): Promise<Buffer> {
  const [width, height] = [160, 120]
  const data = new Uint8Array(width * height * 3)
  for (let at = 0; at < width * height; at++) {
    const [x, y] = [(at % width) / width, Math.floor(at / width) / height]
    const lit = spot && Math.hypot(x - spot[0], y - spot[1]) < 0.08 ? 120 : 0
    for (const channel of [0, 1, 2]) {
      const wave = Math.sin(seed + 5 * x * (1 + (seed % 3))) * Math.cos(seed * 2 + 4 * y + channel)
      data[at * 3 + channel] = Math.max(0, Math.min(255, 100 + 60 * wave + lit))
    }
  }
  return await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer()
}

test('findDuplicates() joins what was scaled or compressed, and parts what something came into', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-duplicates-'))
  t.after(() => rm(folder, { recursive: true }))
  const first = await scene(1)
  const files: Record<string, Buffer> = {
    'a.png': first,
    'a-small.png': await sharp(first).resize(80, 60).png().toBuffer(),
    'a.jpg': await sharp(first).jpeg({ quality: 60 }).toBuffer(),
    'a-visitor.png': await scene(1, [0.5, 0.5]),
    'b.png': await scene(2),
    'c.png': await scene(4),
  }
  for (const [name, bytes] of Object.entries(files)) {
    await writeFile(join(folder, name), bytes)
    await writeFile(join(folder, `${name.slice(0, -4)}.txt`), '')
  }
  const dataset = await openDataset(folder)
  const { groups, complete, problems } = await findDuplicates(dataset)
  const named = new Map(dataset.samples.map(({ digest, name }) => [digest, name]))
  assert.deepEqual(
    groups.map((group) => group.map((digest) => named.get(digest))),
    [['a-small.png', 'a.jpg', 'a.png']],
  )
  assert(complete)
  assert.equal(problems.total, 0)
  // One that is another than it was when the set was opened.
  await writeFile(join(folder, 'c.png'), files['b.png']!)
  const changed = await inspectDataset(dataset, { pixels: true })
  assert.deepEqual(changed.problems.kept.map(problemText), [
    'c.png: its bytes are no longer those that its digest names',
  ])
  // A picture that breaks off is found by decoding it, and not before.
  await writeFile(join(folder, 'b.png'), files['b.png']!.subarray(0, files['b.png']!.length - 200))
  await writeFile(join(folder, 'c.png'), files['c.png']!)
  const broken = await openDataset(folder)
  assert.equal((await inspectDataset(broken)).problems.total, 0)
  const { problems: found } = await inspectDataset(broken, { pixels: true })
  assert.deepEqual([...found.counts], [['unreadable-image', 1]])
  assert.equal((await findDuplicates(broken)).problems.total, 1)
})

test(
  'findDuplicates() leaves photographs apart, and bounds its work on digits',
  needs('material', 'time'),
  async () => {
    const photos = await openDataset(`${material}/datasets/coco128`)
    assert.deepEqual((await findDuplicates(photos)).groups, [])
    const digits = await openDataset(`${material}/datasets/mnist`)
    const { groups } = await findDuplicates(digits)
    assert(groups.flat().length < 600, `${groups.flat().length} digits are taken for others`)
  },
)
