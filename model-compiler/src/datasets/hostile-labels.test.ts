/** Labels that were damaged, or made to damage: each is read, listed or refused with a sentence, and nothing else happens. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import sharp from 'sharp'
import { FileTree } from './file-tree.ts'
import { readCoco } from './formats/coco.ts'
import { readIdx } from './formats/idx.ts'
import { readVocFile } from './formats/voc.ts'
import { readYolo, readYoloFile } from './formats/yolo.ts'
import { DatasetError, openDataset } from './index.ts'

/** Cuts, doubles, overwrites, and puts in what breaks parsers. */
const damage = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    remove: fc.constantFrom(0, 1, 3, 40),
    insert: fc.constantFrom(
      ...[
        '',
        '0',
        '-',
        '"',
        '{',
        '}',
        '[',
        ']',
        '<',
        '>',
        '&',
        ',',
        '\n',
        '\0',
        '\u00e9',
        '9'.repeat(40),
        '1e999',
        'NaN',
      ],
      ...[
        'null',
        '[]',
        '{}',
        '-1',
        '../../etc/passwd',
        '<object>',
        '</object>',
        '&lol;',
        '__proto__',
        '<!DOCTYPE x>',
      ],
    ),
  }),
  { minLength: 1, maxLength: 4 },
)
type Damage = typeof damage extends fc.Arbitrary<infer One> ? One : never

function damaged(text: Buffer, wounds: Damage): Buffer {
  return wounds.reduce((left, { at, remove, insert }) => {
    const place = Math.floor(at * (left.length + 1))
    const rest = left.subarray(Math.min(left.length, place + remove))
    return Buffer.concat([left.subarray(0, place), Buffer.from(insert), rest])
  }, text)
}

const coco = JSON.stringify({
  images: [
    { id: 1, file_name: 'images/a.png', width: 8, height: 8, date_captured: '2026-01-01 00:00:00' },
    { id: 2, file_name: 'b.png', edgeloop: { site: 's', stream: 't' } },
  ],
  annotations: [
    {
      image_id: 1,
      category_id: 1,
      bbox: [1, 1, 4, 4],
      segmentation: [[1, 1, 5, 1, 5, 5]],
      iscrowd: 0,
    },
    {
      image_id: 2,
      category_id: 2,
      bbox: [0, 0, 8, 8],
      segmentation: { counts: 'x', size: [8, 8] },
      iscrowd: 1,
    },
    { image_id: 1, category_id: 2, segmentation: { counts: [9, 3, 5, 3, 44], size: [8, 8] } },
  ],
  categories: [
    { id: 1, name: 'nut' },
    { id: 2, name: 'bolt' },
  ],
})
const voc =
  '<annotation><size><width>8</width><height>8</height></size><object><name>nut</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>4</xmax><ymax>8</ymax></bndbox></object></annotation>'
const yolo = '0 .5 .5 .5 .5\n1 .1 .1 .9 .1 .9 .9 .1 .9\n'
const names = 'path: .\nnames: {0: nut, 1: bolt}\n'
const idx = Buffer.from([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8])

async function folderWith(t: TestContext, files: Readonly<Record<string, string | Uint8Array>>) {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-hostile-'))
  t.after(() => rm(folder, { recursive: true }))
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), content)
  }
  return folder
}

/** Only a sentence may come out. */
function refusedOrRead(work: () => unknown): void {
  try {
    work()
  } catch (error) {
    if (!(error instanceof DatasetError)) throw error
  }
}

const bytes = fc.uint8Array({ maxLength: 60 }).map((data) => Buffer.from(data))
const runs = { numRuns: 600 }

test('VOC files', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        damage.map((wounds) => damaged(Buffer.from(voc), wounds)),
        bytes,
      ),
      (text) => {
        refusedOrRead(() => {
          for (const { label, corners } of readVocFile(text.toString('utf8')).objects) {
            assert(
              typeof label === 'string' &&
                label !== '' &&
                corners.every((one) => typeof one === 'number'),
            )
          }
        })
      },
    ),
    runs,
  )
})

test('YOLO files', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        damage.map((wounds) => damaged(Buffer.from(yolo), wounds)),
        bytes,
      ),
      (text) => {
        for (const { index, box } of readYoloFile(text.toString('utf8')).entries) {
          assert(Number.isInteger(index) && index >= 0 && box.every(Number.isFinite))
        }
      },
    ),
    runs,
  )
})

test('idx files', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        damage.map((wounds) => damaged(idx, wounds)),
        bytes,
      ),
      (file) => {
        refusedOrRead(() => {
          const { sizes, data } = readIdx(file)
          assert.equal(
            data.length,
            sizes.reduce((product, size) => product * size, 1),
          )
        })
      },
    ),
    runs,
  )
})

/** Reads a folder in which one file is damaged, without looking at the pictures. */
async function readDamaged(
  t: TestContext,
  {
    file,
    text,
    files,
    read,
  }: {
    readonly file: string
    readonly text: string
    readonly files: Readonly<Record<string, string | Uint8Array>>
    readonly read: typeof readCoco
  },
): Promise<void> {
  const tree = await FileTree.open(await folderWith(t, { ...files, [file]: text }))
  await fc.assert(
    fc.asyncProperty(damage, async (wounds) => {
      await writeFile(tree.path(file), damaged(Buffer.from(text), wounds))
      try {
        const { drafts } = await read(tree)
        for (const { name, annotations } of drafts) {
          assert(tree.has(name), name)
          for (const one of annotations({ width: 8, height: 8 }))
            assert.equal(typeof one.kind, 'string')
        }
      } catch (error) {
        if (!(error instanceof DatasetError)) throw error
      }
    }),
    { numRuns: 250 },
  )
}

test('COCO files name no image outside, and no prototype', async (t) => {
  const files = { 'images/a.png': '', 'images/b.png': '' }
  await readDamaged(t, { file: 'annotations.json', text: coco, files, read: readCoco })
})

test('configurations of YOLO', async (t) => {
  const files = { 'images/a.png': '', 'labels/a.txt': yolo }
  await readDamaged(t, { file: 'data.yaml', text: names, files, read: readYolo })
})

test('a whole set of damaged labels gives samples that can be learned from', async (t) => {
  const png = async (seed: number) =>
    await sharp({
      create: { width: 8, height: 8, channels: 3, background: { r: seed, g: 9, b: 9 } },
    })
      .png()
      .toBuffer()
  const folder = await folderWith(t, {
    'images/a.png': await png(1),
    'images/b.png': await png(2),
    'data.yaml': names,
  })
  await mkdir(join(folder, 'labels'))
  await fc.assert(
    fc.asyncProperty(damage, damage, async (first, second) => {
      await writeFile(join(folder, 'labels/a.txt'), damaged(Buffer.from(yolo), first))
      await writeFile(join(folder, 'labels/b.txt'), damaged(Buffer.from(yolo), second))
      const { samples, labels } = await openDataset(folder)
      for (const { annotations } of samples) {
        for (const annotation of annotations) {
          assert('label' in annotation && labels.includes(annotation.label))
          if (annotation.kind !== 'box') continue
          const [x, y, width, height] = annotation.box
          assert(
            x >= 0 &&
              y >= 0 &&
              width > 0 &&
              height > 0 &&
              x + width <= 1 + 1e-9 &&
              y + height <= 1 + 1e-9,
          )
        }
      }
    }),
    { numRuns: 60 },
  )
})
