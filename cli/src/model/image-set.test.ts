/** Folders of labelled images as their tools leave them; what is wrong in them is named. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { material, needs } from '../../../test/require.ts'
import { ImageSet } from './image-set.ts'
import { splitImages } from './split-images.ts'

/** A folder with these files; what images hold plays no role here but for their digest. */
async function folderWith(t: TestContext, files: Readonly<Record<string, string>>) {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-images-'))
  t.after(() => rm(folder, { recursive: true }))
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), text)
  }
  return folder
}

const images = (count: number, prefix = '') =>
  Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`${prefix}${i}.jpg`, `${prefix}${i}`]),
  )

test('YOLO: labels beside images, names from the file above them, outlines as boxes', async (t) => {
  const folder = await folderWith(t, {
    'images/train/a.jpg': '',
    'images/train/b.jpg': '',
    'data.yaml': 'names: {0: cat, 1: dog, 2: cow}',
    'labels/train/a.txt': '1 .5 .5 .5 .25\n\n0 .1 .2 .3 .2 .3 .6 .1 .6\n2 .5 .5 1 1\n',
    'labels/train/README.txt': 'no image is called so',
  })
  const set = await ImageSet.open(folder)
  assert.deepEqual(
    set.images.map(({ name }) => name),
    ['images/train/a.jpg', 'images/train/b.jpg'],
  )
  const truths = await set.boxes(['dog', 'cat'])
  assert(truths.kind === 'boxes')
  // The cow is nothing that the model knows.
  assert.deepEqual(
    truths.boxes.map(({ image, label }) => [image, label]),
    [
      ['images/train/a.jpg', 'dog'],
      ['images/train/a.jpg', 'cat'],
    ],
  )
  assert.deepEqual(truths.boxes[0]?.box, [0.25, 0.375, 0.5, 0.25])
  const [, around] = truths.boxes.map(({ box }) => box.map((value) => Number(value.toFixed(6))))
  assert.deepEqual(around, [0.1, 0.2, 0.2, 0.4])
})

test('YOLO: text beside each image, classes in the order of the model where nobody says', async (t) => {
  const folder = await folderWith(t, { 'a.png': '', 'a.txt': '1 .5 .5 1 1', 'LICENSE.txt': 'MIT' })
  const truths = await (await ImageSet.open(folder)).boxes(['cat', 'dog'])
  assert(truths.kind === 'boxes')
  assert.deepEqual(truths.boxes, [{ image: 'a.png', label: 'dog', box: [0, 0, 1, 1] }])
})

test('labels that are none, or of another model, are refused with the line', async (t) => {
  const boxes = async (text: string, names?: string) => {
    const files = { 'images/a.jpg': '', 'labels/a.txt': text, ...(names && { 'data.yaml': names }) }
    return await (await ImageSet.open(await folderWith(t, files))).boxes(['cat', 'dog'])
  }
  await assert.rejects(boxes('0 .5 .5 1 1\nhello'), /a\.txt": line 2 "hello" is not "class x y/)
  await assert.rejects(boxes('7 .5 .5 1 1'), /line 1 names class 7, and there are 2/)
  await assert.rejects(
    boxes('0 .5 .5 1 1', 'names: [raccoon]'),
    /none of its labels \(raccoon\) is one of the model's \(cat, dog\)/,
  )
  await assert.rejects(boxes('0 .5 .5 1 1', 'names: ['), /it is not YAML/)
})

test('VOC: pixels from 1, both ends included; what is none is refused', async (t) => {
  const voc = (box: string) =>
    `<annotation><size><width>100</width><height>50</height></size><object><name>cat</name><bndbox>${box}</bndbox></object></annotation>`
  const whole = voc('<xmin>1</xmin><ymin>1</ymin><xmax>100</xmax><ymax>50</ymax>')
  const open = async (text: string) => {
    const folder = await folderWith(t, { 'JPEGImages/a.jpg': '', 'Annotations/a.xml': text })
    return await (await ImageSet.open(folder)).boxes(['cat'])
  }
  assert.deepEqual(await open(whole), {
    kind: 'boxes',
    boxes: [{ image: 'JPEGImages/a.jpg', label: 'cat', box: [0, 0, 1, 1] }],
  })
  await assert.rejects(open('<annotation>'), /a\.xml": it is not XML/)
  await assert.rejects(open(`<!DOCTYPE a>${whole}`), /document type/)
  await assert.rejects(open('<annotation/>'), /does not say the size/)
  await assert.rejects(open(voc('<xmin>5</xmin>')), /object 1 has no name, or no box/)
})

test('a folder per class, masks by name, and images that nobody labelled', async (t) => {
  const folder = await folderWith(t, { 'cat/1.jpg': '', 'dog/1.jpg': '', 'yak/1.jpg': '' })
  const set = await ImageSet.open(folder)
  const truths = set.classes(['cat', 'dog'])
  assert(truths.kind === 'classes')
  assert.deepEqual(
    [...truths.of],
    [
      ['cat/1.jpg', 'cat'],
      ['dog/1.jpg', 'dog'],
    ],
  )
  assert.throws(() => set.classes(['car', 'bus']), /none of its labels \(cat, dog, yak\)/)
  assert.deepEqual(await set.boxes(['cat']), { kind: 'none' })
  assert.deepEqual(set.masks(), { kind: 'none' })
  const masked = await ImageSet.open(
    await folderWith(t, { 'images/v/1.jpg': '', 'images/v/2.jpg': '', 'seg/masks/v/1.png': '' }),
  )
  const masks = masked.masks()
  assert(masks.kind === 'masks')
  assert.deepEqual([...masks.of.keys()], ['images/v/1.jpg'])
  assert.deepEqual(masked.classes(['cat']), { kind: 'none' })
})

test('a folder that is not there, a file, and a folder without images are refused', async (t) => {
  const folder = await folderWith(t, { 'notes.md': '' })
  await assert.rejects(ImageSet.open(folder), /no file in it ends in \.jpg/)
  await assert.rejects(ImageSet.open(join(folder, 'gone')), /there is no such folder/)
  await assert.rejects(ImageSet.open(join(folder, 'notes.md')), /it is a file/)
})

test('the same seed splits in the same way, whatever the files are called', async (t) => {
  const { images: all } = await ImageSet.open(await folderWith(t, images(40)))
  const split = await splitImages(all, undefined, 7)
  assert.equal(split.calibrate.length, 20)
  assert.equal(split.evaluate.length, 20)
  assert.equal(new Set([...split.calibrate, ...split.evaluate]).size, 40)
  assert.deepEqual(await splitImages(all.toReversed(), undefined, 7), split)
  assert.notDeepEqual(await splitImages(all, undefined, 8), split)
})

test('no picture calibrates and evaluates, also under another name', async (t) => {
  const { images: mine } = await ImageSet.open(await folderWith(t, images(10)))
  const copies = Object.fromEntries(
    Object.values(images(10)).map((text) => [`copy-${text}.png`, text]),
  )
  const theirs = await ImageSet.open(await folderWith(t, { ...copies, ...images(9, 'x') }))
  const { calibrate, evaluate, leftOut } = await splitImages(mine, theirs.images, 1)
  assert.equal(calibrate.length, 10)
  assert.equal(leftOut, 10)
  assert.deepEqual(evaluate.map(({ name }) => name).sort(), Object.keys(images(9, 'x')))
  const twice = await ImageSet.open(
    await folderWith(t, {
      ...images(10),
      ...Object.fromEntries(
        Object.entries(images(10)).map(([name, text]) => [`twice-${name}`, text]),
      ),
    }),
  )
  const halves = await splitImages(twice.images, undefined, 3)
  const digits = (list: readonly { name: string }[]) =>
    list.map(({ name }) => name.replace('twice-', ''))
  const shared = digits(halves.calibrate).filter((name) => digits(halves.evaluate).includes(name))
  assert.deepEqual(shared, [])
})

test('too few images are refused, with how many are needed', async (t) => {
  const { images: few } = await ImageSet.open(await folderWith(t, images(3)))
  const { images: enough } = await ImageSet.open(await folderWith(t, images(12, 'y')))
  await assert.rejects(splitImages(few, undefined, 1), /Cannot split 3 images .* at least 16/)
  await assert.rejects(splitImages(few, enough, 1), /Cannot calibrate with 3 images: at least 8/)
  await assert.rejects(splitImages(enough, few, 1), /Cannot evaluate: there are 3/)
  await assert.rejects(
    splitImages(enough, enough, 1),
    /12 of 12 are among those that calibrate, 0 are left/,
  )
})

test('coco128 and raccoon are read as they lie', needs('material'), async () => {
  const coco = await ImageSet.open(`${material}/datasets/coco128`)
  assert.equal(coco.images.length, 100)
  const people = await coco.boxes(['person'])
  assert(people.kind === 'boxes')
  assert(people.boxes.length > 100 && people.boxes.every(({ label }) => label === 'person'))
  assert.equal(coco.masks().kind, 'masks')
  const raccoons = await (await ImageSet.open(`${material}/datasets/raccoon`)).boxes(['raccoon'])
  assert(raccoons.kind === 'boxes')
  assert(raccoons.boxes.length >= 100, `${raccoons.boxes.length}`)
})
