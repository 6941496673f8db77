/** Files as CVAT and Label Studio write them: what people drew there is read, and what is no label is listed. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import sharp from 'sharp'
import { material, needs } from '../../../test/require.ts'
import { type Dataset, DatasetError, exportDataset, openDataset, problemText } from './index.ts'

type Files = Readonly<Record<string, string | Uint8Array>>

async function folderWith(t: TestContext, files: Files): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-tools-'))
  t.after(() => rm(folder, { recursive: true }))
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), content)
  }
  return folder
}

const png = async (shade: number, width = 100, height = 50): Promise<Buffer> =>
  await sharp({ create: { width, height, channels: 3, background: { r: shade, g: 9, b: 9 } } })
    .png()
    .toBuffer()

const problemsOf = ({ problems }: Dataset): string[] => problems.kept.map(problemText)
const near = (box: readonly number[] | undefined, wanted: readonly number[]): void => {
  for (const [at, value] of wanted.entries()) assert.ok(Math.abs((box?.[at] ?? -1) - value) < 1e-6)
}

const labelled = (...names: string[]): string =>
  `<labels>${names.map((name) => `<label><name>${name}</name></label>`).join('')}</labels>`

test('CVAT for images: boxes, outlines and tags in pixels; what is none is listed', async (t) => {
  const folder = await folderWith(t, {
    'annotations.xml': `<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><id>4</id><name>yard</name>${labelled('cup', 'R&amp;D', 'unused')}</task></meta>
  <image id="0" name="one.png" width="100" height="50">
    <box label="cup" source="manual" occluded="0" xtl="10.00" ytl="5.00" xbr="30.00" ybr="25.00" z_order="0">
      <attribute name="crowd">true</attribute>
    </box>
    <box label="R&amp;D" occluded="1" xtl="40" ytl="20" xbr="60" ybr="30" rotation="90.0"></box>
    <polygon label="cup" source="auto" points="10.0,10.0;50.0,10.0;10.0,40.0" z_order="1"></polygon>
    <tag label="R&amp;D" source="manual"></tag>
    <polyline label="cup" points="1,1;2,2"></polyline>
    <box label="cup" xtl="x" ytl="5" xbr="30" ybr="25"></box>
  </image>
  <image id="1" name="sub/two.png" width="100" height="50"></image>
  <image id="2" name="gone.png" width="100" height="50"></image>
</annotations>`,
    'images/one.png': await png(1),
    'images/sub/two.png': await png(2),
    'images/three.png': await png(3),
  })
  const dataset = await openDataset(folder)
  assert.deepEqual(dataset.labels, ['cup', 'R&D', 'unused'])
  const [one, two] = dataset.samples
  assert.deepEqual(
    one?.annotations.map(({ kind, ...more }) => [kind, 'label' in more ? more.label : '']),
    [
      ['box', 'cup'],
      ['box', 'R&D'],
      ['polygon', 'cup'],
      ['class', 'R&D'],
    ],
  )
  const [first, second] = one!.annotations
  assert.ok(first?.kind === 'box' && first.crowd === true)
  near(first.box, [0.1, 0.1, 0.2, 0.4])
  // Turned by a quarter around its middle: what was wide is high.
  assert.ok(second?.kind === 'box')
  near(second.box, [0.45, 0.3, 0.1, 0.4])
  assert.deepEqual(two?.annotations, [])
  const problems = problemsOf(dataset).join('\n')
  for (const part of [/polyline .*not read/, /corners that are no numbers/, /gone\.png/, /three/]) {
    assert.match(problems, part)
  }
})

test('CVAT for videos: a track is what it is in each frame', async (t) => {
  const shape = (frame: number, left: number, outside = 0): string =>
    `<box frame="${frame}" outside="${outside}" xtl="${left}" ytl="0" xbr="${left + 10}" ybr="10"/>`
  const folder = await folderWith(t, {
    'annotations.xml': `<annotations><meta><job>${labelled('cup')}</job></meta>
<track id="0" label="cup">${shape(0, 10)}${shape(1, 20)}${shape(2, 30, 1)}</track></annotations>`,
    'images/frame_000000.png': await png(1),
    'images/frame_000001.png': await png(2),
    'images/frame_000002.png': await png(3),
  })
  const { samples } = await openDataset(folder)
  const lefts = samples.map(({ annotations }) =>
    annotations.flatMap((one) => (one.kind === 'box' ? [one.box[0]] : [])),
  )
  assert.deepEqual(lefts, [[0.1], [0.2], []])
})

const result = (type: string, value: object, more: object = {}): object => ({
  id: 'r',
  type,
  from_name: 'any',
  to_name: 'image',
  original_width: 100,
  original_height: 50,
  value,
  ...more,
})

test('Label Studio: what counts of several answers, in per cent of the picture', async (t) => {
  const place = { x: 10, y: 20, width: 30, height: 40, rotation: 0 }
  const tasks = [
    {
      id: 1,
      data: { picture: '/data/upload/7/1a2b3c4d-one.png', edgeloop: { stream: 'gate' } },
      annotations: [
        { was_cancelled: true, result: [] },
        {
          ground_truth: true,
          result: [
            result('rectanglelabels', { ...place, rectanglelabels: ['cup'] }),
            result('polygonlabels', {
              points: [
                [0, 0],
                [50, 0],
                [0, 50],
              ],
              closed: true,
              polygonlabels: ['lid'],
            }),
            result('choices', { choices: ['day', 'wet'] }),
            result('number', { number: 7 }, { from_name: 'parts' }),
            result('brushlabels', { format: 'rle', rle: [1], brushlabels: ['cup'] }),
          ],
        },
        { result: [result('choices', { choices: ['night'] })] },
      ],
      predictions: [{ result: [result('choices', { choices: ['guess'] })] }],
    },
    { id: 2, data: { image: 's3://frames/sub/two.png' }, annotations: [{ result: [] }] },
    { id: 3, data: { image: 'https://x.test/three.png?sig=1' }, annotations: [] },
    { id: 4, data: { image: '/data/local-files/?d=a%20b/four.png' }, annotations: [] },
    { id: 5, data: { text: 'no picture' }, annotations: [{ result: [] }] },
  ]
  const folder = await folderWith(t, {
    'project.json': JSON.stringify(tasks),
    'images/one.png': await png(1),
    'images/sub/two.png': await png(2),
    'images/three.png': await png(3),
  })
  const dataset = await openDataset(folder)
  assert.deepEqual(dataset.labels, ['cup', 'lid', 'day', 'wet'])
  const [one, two] = dataset.samples
  assert.deepEqual(
    one?.annotations.map(({ kind }) => kind),
    ['box', 'polygon', 'class', 'class', 'number'],
  )
  assert.equal(one?.stream, 'gate')
  near(one?.annotations[0]?.kind === 'box' ? one.annotations[0].box : [], [0.1, 0.2, 0.3, 0.4])
  assert.deepEqual(two?.annotations, [])
  assert.equal(dataset.samples.length, 2)
  const problems = problemsOf(dataset).join('\n')
  for (const part of [/brushlabels/, /three\.png: nobody said/, /four\.png/, /task 5 names no/]) {
    assert.match(problems, part)
  }
})

test('Label Studio: a box is turned around its corner, in pixels', async (t) => {
  const value = { x: 50, y: 20, width: 20, height: 20, rotation: 90, rectanglelabels: ['cup'] }
  const folder = await folderWith(t, {
    'tasks.json': JSON.stringify([
      { data: { image: 'one.png' }, annotations: [{ result: [result('rectanglelabels', value)] }] },
    ]),
    'one.png': await png(1),
  })
  const [annotation] = (await openDataset(folder)).samples[0]!.annotations
  // 20×10 pixels from (50, 10), a quarter to the right: 10 to the left of the corner and 20 down.
  assert.ok(annotation?.kind === 'box')
  near(annotation.box, [0.4, 0.2, 0.1, 0.4])
})

test('files that were damaged, or made to damage, are read, listed or refused with a sentence', async (t) => {
  const xml = `<annotations><meta><task>${labelled('cup')}</task></meta><image id="0" name="one.png" width="100" height="50"><box label="cup" xtl="1" ytl="1" xbr="9" ybr="9"></box></image></annotations>`
  const json = JSON.stringify([
    {
      data: { image: 'one.png' },
      annotations: [
        {
          result: [
            result('rectanglelabels', { x: 1, y: 1, width: 9, height: 9, rectanglelabels: ['a'] }),
          ],
        },
      ],
    },
  ])
  const picture = await png(1)
  await assert.rejects(
    openDataset(
      await folderWith(t, {
        'annotations.xml': `<!DOCTYPE a [<!ENTITY b "c">]>${xml}`,
        'one.png': picture,
      }),
      { format: 'cvat' },
    ),
    /document type/,
  )
  const places = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
  const inserts = fc.constantFrom('', '"', '<', '>', '{', ']', '1e999', '&#99;', '-', '\0', 'null')
  for (const [format, name, text] of [
    ['cvat', 'annotations.xml', xml],
    ['label-studio', 'tasks.json', json],
  ] as const) {
    const folder = await folderWith(t, { 'one.png': picture })
    await fc.assert(
      fc.asyncProperty(places, fc.nat(30), inserts, async (place, remove, insert) => {
        const at = Math.floor(place * text.length)
        const wounded = text.slice(0, at) + insert + text.slice(at + remove)
        await writeFile(join(folder, name), wounded)
        try {
          const { samples } = await openDataset(folder, { format })
          for (const one of samples.flatMap(({ annotations }) => annotations)) {
            if (one.kind === 'box') assert.ok(one.box.every((share) => share >= 0 && share <= 1))
          }
        } catch (error) {
          if (!(error instanceof DatasetError)) throw error
        }
      }),
      { numRuns: 60 },
    )
  }
})

test(
  'a real set of boxes goes through CVAT and Label Studio and is the same',
  needs('material'),
  async (t) => {
    const given = await openDataset(join(material, 'datasets', 'raccoon'), { format: 'voc' })
    const contentOf = ({ samples }: Dataset) =>
      samples
        .map(({ digest, annotations }) => {
          const rounded = (_: string, value: unknown) =>
            typeof value === 'number' ? Math.round(value * 1e4) / 1e4 : value
          return `${digest} ${JSON.stringify(annotations, rounded)}`
        })
        .toSorted()
    const folder = await folderWith(t, {})
    for (const format of ['cvat', 'label-studio'] as const) {
      const out = join(folder, format)
      const { samples, lost } = await exportDataset(given, out, { format })
      assert.deepEqual([samples, lost.total], [given.samples.length, 0])
      // Told by looking at the folder, and as it is: no form has to be named.
      const back = await openDataset(out)
      assert.deepEqual(back.problems.kept, [])
      assert.deepEqual(contentOf(back), contentOf(given))
    }
  },
)
