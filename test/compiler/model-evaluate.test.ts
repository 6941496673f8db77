/** `./edgeloop model evaluate` from the outside: on models whose answers are known beforehand, and on a real one. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { node, tensor, value } from '@edgeloop/model-compiler'
import sharp from 'sharp'
import type { EvaluateOrder } from '../../cli/src/model/evaluate-order.ts'
import { evaluateModel } from '../../cli/src/model/evaluate-work.ts'
import { constantDetector, modelBytes, put } from '../detection/tiny-models.ts'
import { material, needs } from '../require.ts'

const repository = fileURLToPath(new URL('../..', import.meta.url))
let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'edgeloop-evaluate-'))
})
after(() => rm(folder, { recursive: true }))

/** In this process, as the command's child does it. */
const evaluated = async (order: Omit<EvaluateOrder, 'seed' | 'worst' | 'folder'>) =>
  await evaluateModel({ seed: 1, worst: 20, folder, ...order }, () => {})

/** From the outside. */
async function edgeloop(...args: string[]) {
  const command = [`${repository}edgeloop`, 'model', 'evaluate', ...args]
  return await promisify(execFile)(process.execPath, command, { timeout: 300_000 })
}

/** Grey pictures of 4×4, each of one brightness, with classes as idx. */
async function greySet(
  name: string,
  pictures: readonly (readonly [level: number, truth: number])[],
) {
  const set = join(folder, name)
  await mkdir(set)
  const head = (...sizes: number[]) => {
    const bytes = Buffer.alloc(4 + 4 * sizes.length)
    bytes.set([0, 0, 8, sizes.length])
    for (const [at, size] of sizes.entries()) bytes.writeUInt32BE(size, 4 + 4 * at)
    return bytes
  }
  // Pictures with the same pixels would be one sample; the first pixel counts them.
  const pixels = pictures.flatMap(([level], at) => [at, ...new Array<number>(15).fill(level)])
  const count = pictures.length
  await put(set, 'train-images-idx3-ubyte', Buffer.concat([head(count, 4, 4), Buffer.from(pixels)]))
  const labels = Buffer.from(pictures.map(([, truth]) => truth))
  await put(set, 'train-labels-idx1-ubyte', Buffer.concat([head(count), labels]))
  return set
}

/** Says "bright" (1) of what is brighter than half. Two logits: 0 and how much brighter. */
const brightness = () =>
  modelBytes({
    nodes: [
      node('GlobalAveragePool', ['images'], ['mean']),
      node('Flatten', ['mean'], ['flat']),
      node('Gemm', ['flat', 'w', 'b'], ['output']),
    ],
    inputs: [value('images', 'float32', ['N', 1, 4, 4])],
    outputs: [value('output', 'float32', ['N', 2])],
    initializers: [
      tensor('w', [1, 2], Float32Array.of(0, 10)),
      tensor('b', [2], Float32Array.of(0, -5)),
    ],
  })
const asShares = JSON.stringify({ layout: 'classifier', input: { mean: 0, std: 255 } })

test('a classifier is evaluated on all samples, on what is held out, and on one part of a split', async () => {
  // Two of eight are wrong: a bright one that is said to be dark, and the other way round.
  const levels = [10, 30, 200, 220, 240, 20, 60, 230]
  const truths = [0, 0, 1, 1, 0, 1, 0, 1]
  const set = await greySet(
    'grey',
    levels.map((level, at) => [level, truths[at]!] as const),
  )
  const model = await put(folder, 'bright.onnx', brightness())
  await put(folder, 'bright.model.json', asShares)
  const data = { folder: set }
  const { report: all } = await evaluated({ file: model, data })
  assert.equal(all.task, 'classification')
  assert.equal(all.samples, 8)
  assert.equal(all.figures.accuracy, 0.75)
  assert.equal(all.intervals.accuracy?.length, 2)
  const wrong = all.worst.slice(0, 2).map(({ says }) => says.replace(/ with.*/, ''))
  assert.deepEqual(wrong.sort(), ['0, said 1', '1, said 0'])
  assert.deepEqual(all.confusion?.counts, [
    [3, 1],
    [1, 3],
  ])
  const held = { kind: 'held-out', holdout: 'last:2', seed: 1 } as const
  const { report: last } = await evaluated({ file: model, data, part: held })
  assert.deepEqual([last.samples, last.figures.accuracy], [2, 1])
  const parts = all.worst.map(({ digest }, at) => [digest, at < 2 ? 'test' : 'train'])
  const file = await put(folder, 'split.json', JSON.stringify(Object.fromEntries(parts)))
  const { report: two } = await evaluated({
    file: model,
    data,
    part: { kind: 'file', file, part: 'test' },
  })
  assert.deepEqual([two.samples, two.figures.accuracy], [2, 0])
})

test('the command prints one line, and writes a page', async () => {
  const set = await greySet('printed', [
    [10, 0],
    [200, 1],
  ])
  const model = await put(folder, 'printed.onnx', brightness())
  await put(folder, 'printed.model.json', asShares)
  const out = join(folder, 'report.html')
  const { stdout } = await edgeloop(model, '--dataset-dir', set, '--json', '--out', out)
  const said = JSON.parse(stdout)
  assert.equal(said.figures.accuracy, 1)
  assert.match(said.model.digest, /^[0-9a-f]{64}$/)
  assert.match(await readFile(out, 'utf8'), /<h1>.*printed\.onnx<\/h1>[\s\S]*Reliability/)
  await assert.rejects(edgeloop(model, '--dataset-dir', set, '--out', 'report.pdf'), {
    code: 2,
    message: /ends in "\.pdf"/,
  })
})

test('a detector is compared with boxes, and boxes it cannot know are counted', async () => {
  const set = join(folder, 'voc')
  await mkdir(join(set, 'images'), { recursive: true })
  const box = (label: string, xmin: number) =>
    `<object><name>${label}</name><bndbox><xmin>${xmin}</xmin><ymin>1</ymin><xmax>${xmin + 7}</xmax><ymax>16</ymax></bndbox></object>`
  for (const [at, xmin] of [1, 9].entries()) {
    const image = sharp({
      create: { width: 16, height: 16, channels: 3, background: `#0000${at}0` },
    })
    await put(join(set, 'images'), `${at}.png`, await image.png().toBuffer())
    await put(
      join(set, 'images'),
      `${at}.xml`,
      `<annotation><filename>${at}.png</filename><size><width>16</width><height>16</height><depth>3</depth></size>${box('face', xmin)}${at === 0 ? box('dog', 9) : ''}</annotation>`,
    )
  }
  // Says the left half in every picture: right in the first, wrong in the second.
  const left = constantDetector(
    { type: 'float32', shape: [1, 3, 8, 8] },
    {
      scores: { shape: [1, 1, 2], values: Float32Array.of(0.1, 0.9) },
      boxes: { shape: [1, 1, 4], values: Float32Array.of(0, 0, 0.5, 1) },
    },
  )
  const model = await put(folder, 'left.onnx', left)
  const { report, notes } = await evaluated({
    file: model,
    layout: 'ultraface',
    data: { folder: set },
  })
  assert.equal(report.task, 'detection')
  // Recall .5 at precision 1 or ½, whichever equal score comes first.
  assert([51 / 101, 0.5 * (51 / 101)].some((ap) => Math.abs(report.figures.ap50! - ap) < 1e-9))
  assert.match(notes[0]!, /1 boxes have labels that the model does not know/)
  assert.match(report.worst[0]!.says, /1 not found, 1 found where nothing is/)
})

test('what does not fit is refused with what does', async () => {
  const set = await greySet('few', [
    [10, 0],
    [200, 1],
    [30, 2],
  ])
  const model = await put(folder, 'other.onnx', brightness())
  const labels = await put(folder, 'labels.txt', 'cat\ndog\n')
  const given = { file: model, layout: 'classifier', data: { folder: set } }
  await assert.rejects(
    evaluated({ ...given, labels }),
    /none of its labels \(0, 1, 2\) is one of the model's \(cat, dog\)/,
  )
  await assert.rejects(evaluated(given), /2 classes and their labels were not given/)
  const data = { folder: set, format: 'cocoa' as 'coco' }
  await assert.rejects(evaluated({ ...given, data }), /as "cocoa": formats are/)
  const bad = await put(folder, 'bad.json', '{"a": "exam"}')
  await assert.rejects(
    evaluated({ ...given, labels, part: { kind: 'file', file: bad, part: 'test' } }),
    /Cannot read split .* "a" is "exam"/,
  )
  const empty = await put(folder, 'empty.json', '{"a": "test"}')
  await assert.rejects(
    evaluated({ ...given, labels, part: { kind: 'file', file: empty, part: 'test' } }),
    /none of the 3 samples of .* is in part test/,
  )
})

test(
  'MNIST by a network of others has the accuracy that is known',
  needs('material', 'time'),
  async () => {
    const description = await put(
      folder,
      'mnist.model.json',
      JSON.stringify({ layout: 'classifier', input: { mean: 0, std: 1 } }),
    )
    const { report } = await evaluated({
      file: `${material}/models/mnist-8_cntk.onnx`,
      description,
      data: { folder: `${material}/datasets/mnist` },
      part: { kind: 'held-out', holdout: 'last:10000', seed: 1 },
    })
    assert.equal(report.samples, 10_000)
    assert(report.figures.accuracy! > 0.98, `${report.figures.accuracy}`)
  },
)

test(
  'a detector of others has the average precision that is known of it',
  needs('material', 'time'),
  async () => {
    const labels = 'coco'
    const { report, notes } = await evaluated({
      file: `${material}/models/nanodet_m_320.onnx`,
      layout: 'nanodet',
      labels,
      rounds: 0,
      data: { folder: `${material}/datasets/coco128` },
    })
    assert.equal(report.samples, 100)
    assert(Math.abs(report.figures.ap50! - 0.443) < 0.005, `${report.figures.ap50}`)
    assert(Math.abs(report.figures.ap! - 0.282) < 0.005, `${report.figures.ap}`)
    assert.match(notes[0]!, /taken for an image in which nothing is/)
  },
)
