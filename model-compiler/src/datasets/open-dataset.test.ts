/** Folders as tools leave them, good and bad: what is read, and what is listed as wrong. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import sharp from 'sharp'
import { material, needs } from '../../../test/require.ts'
import { type Dataset, openDataset, problemText } from './index.ts'

type Files = Readonly<Record<string, string | Uint8Array>>

async function folderWith(t: TestContext, files: Files): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-dataset-'))
  t.after(() => rm(folder, { recursive: true }))
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), content)
  }
  return folder
}

/** A PNG whose pixels differ with the seed. */
async function png(width: number, height: number, seed = 0): Promise<Buffer> {
  const data = Uint8Array.from(
    { length: width * height * 3 },
    (_, at) => (at * 7 + seed * 31) % 256,
  )
  return await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer()
}

const problemsOf = ({ problems }: Dataset): string[] => problems.kept.map(problemText)

const voc = (size: string, ...objects: string[]) =>
  `<annotation>${size}${objects
    .map(
      (object) =>
        `<object><name>${object.split(' ')[0]}</name><bndbox>${['xmin', 'ymin', 'xmax', 'ymax']
          .map((key, at) => `<${key}>${object.split(' ')[at + 1]}</${key}>`)
          .join('')}</bndbox></object>`,
    )
    .join('')}</annotation>`
const size = (width: number, height: number) =>
  `<size><width>${width}</width><height>${height}</height></size>`

test('VOC: pixels from 1 become shares; the labels are those that occur', async (t) => {
  const folder = await folderWith(t, {
    'JPEGImages/a.png': await png(100, 50),
    'Annotations/a.xml': voc(size(100, 50), 'dog 1 1 100 50', 'cat 11 6 20 10'),
    // The size is left out: that of the image counts.
    'JPEGImages/b.png': await png(10, 10),
    'Annotations/b.xml': voc('', 'R&amp;D 1 1 5 10'),
  })
  const dataset = await openDataset(folder)
  assert.deepEqual(dataset.labels, ['R&D', 'cat', 'dog'])
  assert.deepEqual(
    dataset.samples.map(({ name, annotations }) => [name, annotations]),
    [
      [
        'JPEGImages/a.png',
        [
          { kind: 'box', label: 'dog', box: [0, 0, 1, 1] },
          { kind: 'box', label: 'cat', box: [0.1, 0.1, 0.1, 0.1] },
        ],
      ],
      ['JPEGImages/b.png', [{ kind: 'box', label: 'R&D', box: [0, 0, 0.5, 1] }]],
    ],
  )
  assert.deepEqual(problemsOf(dataset), [])
  const picture = await dataset.picture(dataset.samples[0]!)
  assert.deepEqual([picture.width, picture.height, picture.channels], [100, 50, 3])
  assert.equal(picture.data[3], 21)
})

test('what is wrong is listed with its file, and the rest is read', async (t) => {
  const image = await png(20, 20, 1)
  const folder = await folderWith(t, {
    'a.png': image,
    'a.xml': voc(size(20, 20), 'cat 1 1 40 20', 'cat 5 5 4 9', 'cow 1 1 9 9', 'cat 30 1 40 9'),
    'b.png': image,
    'b.xml': voc(size(20, 20)),
    'c.png': '<!DOCTYPE html><title>404</title>',
    'c.xml': voc(size(20, 20)),
    'd.png': (await png(20, 20, 2)).subarray(0, 40),
    'd.xml': voc(size(20, 20)),
    'e.png': await png(20, 20, 3),
    'f.xml': voc(size(20, 20)),
    'g.png': await png(20, 20, 4),
    'g.xml': '<!DOCTYPE x [<!ENTITY a "b">]><annotation/>',
    'h.png': await png(20, 20, 5),
    'h.xml': '<annotation><object>',
    'i.png': await png(20, 20, 6),
    'i.xml': voc(size(20, 40), 'cat 1 1 10 40'),
  })
  await symlink('/etc/hostname', join(folder, 'j.png'))
  const dataset = await openDataset(folder, { labels: ['cat'] })
  assert.deepEqual(
    dataset.samples.map(({ name, annotations }) => [name, annotations]),
    [
      ['a.png', [{ kind: 'box', label: 'cat', box: [0, 0, 1, 1] }]],
      ['i.png', [{ kind: 'box', label: 'cat', box: [0, 0, 0.5, 1] }]],
    ],
  )
  const listed = problemsOf(dataset)
  for (const expected of [
    /^f\.xml: there is no image/,
    /^a\.xml: object 2 has no name, or no box/,
    /^a\.xml: a box that reaches 20 pixels beyond/,
    /^a\.xml: a box that lies beside the image/,
    /^a\.xml: label "cow" is not in the list/,
    /^b\.png: the same bytes as "a\.png"/,
    /^c\.png: it is a web page \(HTML\), no image/,
    /^d\.png: /,
    /^e\.png: nobody said what is in it/,
    /^g\.xml: it has a document type/,
    /^h\.xml: it is not XML/,
    /^i\.png: its labels speak of 20×40 pixels, it has 20×20/,
    /^j\.png: a link that leads out/,
  ]) {
    assert(
      listed.some((line) => expected.test(line)),
      `${expected} in\n${listed.join('\n')}`,
    )
  }
})

const cocoOf = (...images: readonly object[]) => ({
  images,
  annotations: [] as object[],
  categories: [
    { id: 7, name: 'dog' },
    { id: 3, name: 'cat' },
  ],
})

test('COCO: pixels become shares, categories come in the order of their numbers, crowds are marked', async (t) => {
  const json = cocoOf(
    { id: 1, file_name: 'a.png', width: 100, height: 50, date_captured: '2026-01-02 03:04:05' },
    { id: 'b', file_name: 'val2017/b.png', edgeloop: { site: 'plant', stream: 'gate' } },
    { id: 3, file_name: '../../../etc/passwd' },
  )
  json.annotations.push(
    {
      image_id: 1,
      category_id: 3,
      bbox: [10, 10, 20, 10],
      segmentation: [[10, 10, 30, 10, 30, 20]],
    },
    {
      image_id: 1,
      category_id: 7,
      bbox: [0, 0, 100, 50],
      iscrowd: 1,
      segmentation: { counts: 'x', size: [50, 100] },
    },
    {
      image_id: 'b',
      category_id: 7,
      bbox: [5, 5, 5, 5],
      segmentation: { counts: [1], size: [10, 10] },
    },
    { image_id: 1, category_id: 9, bbox: [0, 0, 1, 1] },
    { image_id: 4, category_id: 7, bbox: [0, 0, 1, 1] },
    { image_id: 1, category_id: 7, bbox: 'all' },
    'nonsense' as never,
  )
  const folder = await folderWith(t, {
    'images/train2017/a.png': await png(100, 50),
    'images/val2017/b.png': await png(10, 10),
    'annotations/instances_train2017.json': JSON.stringify(json),
    'annotations/captions_train2017.json': '[',
  })
  const dataset = await openDataset(folder)
  assert.deepEqual(dataset.labels, ['cat', 'dog'])
  const [a, b] = dataset.samples
  assert.equal(a?.capturedAt, Date.UTC(2026, 0, 2, 3, 4, 5))
  assert.deepEqual([b?.site, b?.stream], ['plant', 'gate'])
  assert.deepEqual(a?.annotations, [
    { kind: 'box', label: 'cat', box: [0.1, 0.2, 0.2, 0.2] },
    {
      kind: 'polygon',
      label: 'cat',
      points: [
        [0.1, 0.2],
        [0.3, 0.2],
        [0.3, 0.4],
      ],
    },
    { kind: 'box', label: 'dog', box: [0, 0, 1, 1], crowd: true },
  ])
  assert.deepEqual(b?.annotations, [{ kind: 'box', label: 'dog', box: [0.5, 0.5, 0.5, 0.5] }])
  const listed = problemsOf(dataset).join('\n')
  for (const expected of [
    /images\[2\] is "\.\.\/\.\.\/\.\.\/etc\/passwd", and there is no such image/,
    /annotations\[2\] has a mask of 1 pixels for a picture of 10×10/,
    /annotations\[3\] is of category 9/,
    /annotations\[4\] is of image 4/,
    /annotations\[5\] has a bbox that is not four numbers/,
    /annotations\[6\] names no image/,
  ]) {
    assert.match(listed, expected)
  }
})

test('COCO: masks written as runs become outlines, and a crowd without a box the box of its mask', async (t) => {
  const json = cocoOf({ id: 1, file_name: 'a.png', width: 10, height: 5 })
  // Columns 2 and 3, rows 1 to 3.
  const square = { counts: [11, 3, 2, 3, 31], size: [5, 10] }
  json.annotations.push(
    { image_id: 1, category_id: 3, bbox: [2, 1, 2, 3], iscrowd: 0, segmentation: square },
    { image_id: 1, category_id: 7, iscrowd: 1, segmentation: square },
    { image_id: 1, category_id: 7, segmentation: { counts: [0, 6], size: [2, 3] } },
    { image_id: 1, category_id: 7, segmentation: { counts: [50], size: [5, 10] } },
  )
  const folder = await folderWith(t, {
    'a.png': await png(10, 5),
    'annotations.json': JSON.stringify(json),
  })
  const dataset = await openDataset(folder)
  assert.deepEqual(dataset.samples[0]?.annotations, [
    { kind: 'box', label: 'cat', box: [0.2, 0.2, 0.2, 0.6] },
    {
      kind: 'polygon',
      label: 'cat',
      points: [
        [0.2, 0.2],
        [0.4, 0.2],
        [0.4, 0.8],
        [0.2, 0.8],
      ],
    },
    { kind: 'box', label: 'dog', box: [0.2, 0.2, 0.2, 0.6], crowd: true },
  ])
  const listed = problemsOf(dataset).join('\n')
  assert.match(listed, /annotations\[2\] has a mask of 3×2 pixels for an image of 10×5/)
  assert.match(listed, /annotations\[3\] has an empty mask/)
})

test('YOLO: boxes and outlines with their line, names from the file above, images without a text hold nothing', async (t) => {
  const folder = await folderWith(t, {
    'data.yaml': 'names: {0: cat, 1: dog}',
    'images/train/a.png': await png(10, 10),
    'images/train/b.png': await png(10, 10, 1),
    'labels/train/a.txt':
      '1 .5 .5 .5 .5\nhello\n0 .1 .2 .3 .2 .3 .6 .1 .6\n5 .5 .5 1 1\n0 .5 .5 0 1\n',
    'labels/train/gone.txt': '',
  })
  const dataset = await openDataset(folder)
  assert.deepEqual(dataset.labels, ['cat', 'dog'])
  const [first, second] = dataset.samples
  assert.deepEqual(
    first?.annotations.map(({ kind }) => kind),
    ['box', 'box', 'polygon'],
  )
  assert.deepEqual(first?.annotations[0], {
    kind: 'box',
    label: 'dog',
    box: [0.25, 0.25, 0.5, 0.5],
  })
  assert.deepEqual(second?.annotations, [])
  assert.deepEqual(problemsOf(dataset).sort(), [
    'images/train/b.png: there is no text of its name: taken for an image in which nothing is',
    'labels/train/a.txt:2: "hello" is not "class x y width height"',
    'labels/train/a.txt:4: label "class 5" is not in the list',
    'labels/train/a.txt:5: a box without size',
    'labels/train/gone.txt: there is no image of this name',
  ])
})

test('folders: a class each; masks: indexes by a list', async (t) => {
  const [a, b, c] = [await png(8, 8), await png(8, 8, 1), await png(8, 8, 2)]
  const classes = await openDataset(
    await folderWith(t, { 'train/nut/a.png': a, 'val/bolt/b.png': b, 'train/c.png': c }),
  )
  assert.deepEqual(classes.labels, ['bolt', 'nut'])
  assert.deepEqual(
    classes.samples.map(({ annotations: [first] }) => first),
    [
      { kind: 'class', label: 'nut' },
      { kind: 'class', label: 'bolt' },
    ],
  )
  assert.match(problemsOf(classes)[0]!, /train\/c\.png: it lies in no folder of a class/)
  const indexes = await sharp(Buffer.from([0, 1, 1, 255]), {
    raw: { width: 2, height: 2, channels: 1 },
  })
    .toColourspace('b-w')
    .png()
    .toBuffer()
  const folder = await folderWith(t, {
    'images/a.png': a,
    'images/b.png': b,
    'masks/a.png': indexes,
    'masks/classes.txt': 'ground\nwall\n',
  })
  const masks = await openDataset(folder)
  const [annotation] = masks.samples[0]!.annotations
  assert(annotation?.kind === 'mask')
  assert.deepEqual(annotation.labels, ['ground', 'wall'])
  assert.deepEqual([...(await masks.mask(annotation)).data], [0, 1, 1, 255])
  assert.equal(masks.samples.length, 1)
  await assert.rejects(masks.mask({ ...annotation, file: 'images/a.png' }), /it has colours/)
})

/** An idx file of bytes. */
function idx(sizes: readonly number[], data: Uint8Array | readonly number[]): Buffer {
  const head = Buffer.alloc(4 + 4 * sizes.length)
  head.set([0, 0, 8, sizes.length])
  for (const [axis, length] of sizes.entries()) head.writeUInt32BE(length, 4 + 4 * axis)
  return Buffer.concat([head, Uint8Array.from(data)])
}

test('idx: packed or not, train before t10k, pixels as they are', async (t) => {
  const folder = await folderWith(t, {
    't10k-images-idx3-ubyte': idx([1, 2, 2], [9, 9, 9, 9]),
    't10k-labels-idx1-ubyte': idx([1], [0]),
    'train-images-idx3-ubyte.gz': gzipSync(idx([2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8])),
    'train-labels-idx1-ubyte.gz': gzipSync(idx([2], [2, 0])),
  })
  const dataset = await openDataset(folder)
  assert.deepEqual(dataset.labels, ['0', '1', '2'])
  assert.deepEqual(
    dataset.samples.map(({ name, annotations }) => [name, annotations]),
    [
      ['train/0', [{ kind: 'class', label: '2' }]],
      ['train/1', [{ kind: 'class', label: '0' }]],
      ['t10k/0', [{ kind: 'class', label: '0' }]],
    ],
  )
  const { width, height, channels, data } = await dataset.picture(dataset.samples[1]!)
  assert.deepEqual([width, height, channels, [...data]], [2, 2, 1, [5, 6, 7, 8]])
})

test('idx that is cut off, of other numbers or without labels is refused with its file', async (t) => {
  const open = async (pictures: Uint8Array, labels?: Uint8Array) =>
    await openDataset(
      await folderWith(t, {
        'x-images-idx3-ubyte': pictures,
        ...(labels && { 'x-labels-idx1-ubyte': labels }),
      }),
    )
  const one = idx([1], [0])
  await assert.rejects(
    open(idx([2, 2, 2], [1, 2]), one),
    /x-images-idx3-ubyte": it announces 2×2×2 bytes and holds 2/,
  )
  await assert.rejects(open(Buffer.from('hello'), one), /does not begin as an idx file/)
  await assert.rejects(open(Buffer.from([0, 0, 13, 3]), one), /its numbers are of type 13/)
  await assert.rejects(
    open(idx([1, 2, 2], [1, 2, 3, 4])),
    /no file of idx pictures has one of labels/,
  )
  await assert.rejects(
    open(gzipSync(Buffer.alloc(9)).subarray(0, 20), one),
    /x-images-idx3-ubyte": /,
  )
  const short = await open(idx([2, 1, 1], [1, 2]), one)
  assert.equal(short.samples.length, 1)
  assert.match(problemsOf(short)[0]!, /1 labels to 2 pictures/)
})

test('a folder that is none, or holds no labels, is refused', async (t) => {
  await assert.rejects(openDataset('/nowhere/at/all'), /there is no such folder/)
  const folder = await folderWith(t, { 'a.png': await png(4, 4) })
  await assert.rejects(openDataset(folder), /it holds the labels of no format that is known/)
})

test('the raccoons and MNIST are read whole', needs('material'), async () => {
  const raccoons = await openDataset(`${material}/datasets/raccoon`)
  // 110 files, two of which are there twice.
  assert.equal(raccoons.samples.length, 108)
  assert.deepEqual([...raccoons.problems.counts], [['same-bytes', 2]])
  const digits = await openDataset(`${material}/datasets/mnist`, { format: 'idx' })
  assert.equal(digits.samples.length, 60_000)
  assert.deepEqual(digits.labels.join(''), '0123456789')
  assert.equal(digits.problems.total, 0)
})
