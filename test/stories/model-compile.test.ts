/** `./edgeloop model compile` and `compare` from the outside: files that belong together, or none. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import {
  attributeTypes,
  model,
  node,
  readModel,
  tensor,
  value,
  writeModel,
} from '@edgeloop/model-compiler'
import { demoFloatModel } from '../../edge-agent/demo/float-model.ts'
import { cocoLabels } from '../../edge-agent/src/models/coco-labels.ts'
import {
  type Found,
  meanAveragePrecision,
} from '../../model-compiler/src/evaluate/average-precision.ts'
import { coco128Images, coco128Truths } from '../detection/coco128.ts'
import { writeConveyorPictures } from '../detection/conveyor-pictures.ts'
import { put } from '../detection/tiny-models.ts'
import { material, needs } from '../require.ts'

const repository = fileURLToPath(new URL('../..', import.meta.url))
let folder = ''
let images = ''

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'edgeloop-compile-'))
  images = await mkdtemp(join(folder, 'images-'))
  await writeConveyorPictures(images, 16, 25)
})
after(() => rm(folder, { recursive: true }))

/** Runs the command line; gives the JSON lines of standard output. */
async function edgeloop(...args: string[]) {
  const command = [`${repository}edgeloop`, ...args]
  const { stdout, stderr } = await promisify(execFile)(process.execPath, command, {
    timeout: 300_000,
    maxBuffer: 64 * 1024 * 1024,
  })
  const lines = stdout.trim().split('\n')
  return { lines: lines.map((line) => JSON.parse(line)), stderr }
}

/** What a command that fails says on standard error. */
async function failing(...args: string[]): Promise<string> {
  const error = await edgeloop(...args).then(
    () => assert.fail('it did not fail'),
    (failure: { code?: number; stderr?: string }) => failure,
  )
  assert.equal(error.code, 1, error.stderr)
  return error.stderr ?? ''
}

test('a model is compiled, described and found again by detect without being told anything', async () => {
  const out = join(folder, 'out')
  const { lines, stderr } = await edgeloop(
    ...['model', 'compile', demoFloatModel.file, '--calibrate', images, '--out', out],
    ...['--keep', 'original', '--measure-seconds', '0.05', '--progress', 'json', '--json'],
    '--trace',
  )
  const { chosen, candidates, unfused } = lines.at(-1)
  assert(Array.isArray(unfused))
  assert.deepEqual(candidates.map(({ name }: { name: string }) => name).slice(0, 2), [
    'original',
    'fp32',
  ])
  for (const candidate of candidates) {
    for (const key of ['name', 'sizeBytes', 'latencyRatio', 'ap50', 'sqnrDb', 'why']) {
      assert(key in candidate, `${candidate.name} has no ${key}`)
    }
  }
  const best = candidates.find(({ name }: { name: string }) => name === chosen)
  assert(best.latencyRatio >= 1 && best.drop <= 0.01 && best.verdict === 'chosen')

  const progress = stderr
    .split('\n')
    .filter((line) => line.startsWith('{"progress"'))
    .map((line) => JSON.parse(line).progress)
  const shares = progress.map(({ share }) => share)
  assert.deepEqual(
    shares,
    shares.toSorted((a, b) => a - b),
  )
  assert.equal(shares.at(-1), 1)

  const manifest = JSON.parse(await readFile(join(out, 'manifest.json'), 'utf8'))
  const bytes = await readFile(join(out, 'model.onnx'))
  assert.equal(manifest.model.digest, createHash('sha256').update(bytes).digest('hex'))
  assert.equal(manifest.model.candidate, chosen)
  const original = await readFile(demoFloatModel.file)
  assert.deepEqual(await readFile(join(out, 'original.onnx')), original)
  assert.equal(manifest.source.digest, createHash('sha256').update(original).digest('hex'))
  const report = JSON.parse(await readFile(join(out, 'report.json'), 'utf8'))
  assert.equal(report.chosen, chosen)
  const trace = await readFile(join(out, 'trace.txt'), 'utf8')
  assert.match(trace, /^== as it is in the file/)
  assert(/\n== [a-z-]+, round 1: \d+ places\ngraph: operator set/.test(trace), trace.slice(0, 300))
  assert(report.operators.before.length > 0 && report.operators.after.length > 0)
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name.startsWith('.')),
    [],
  )

  const detect = async (file: string) =>
    (await edgeloop('detect', '--model', file, '--images', images, '--json')).lines
  // Sorted by name: parts that are equally sure may come in another order.
  const labelsOf = (answers: { detections: { label: string }[] }[]) =>
    answers.map(({ detections }) => detections.map(({ label }) => label).toSorted())
  const [before, now] = [
    labelsOf(await detect(demoFloatModel.file)),
    labelsOf(await detect(join(out, 'model.onnx'))),
  ]
  const common = before.flatMap((labels, at) => {
    const left = [...(now[at] ?? [])]
    return labels.filter((label) => left.includes(label) && left.splice(left.indexOf(label), 1))
  })
  // A part that is cut by the edge scores near the limit, and may be lost or found.
  const share = (2 * common.length) / (before.flat().length + now.flat().length)
  assert(before.flat().length >= 30 && share >= 0.9, `${share} of ${before.flat().length} parts`)

  const compared = await edgeloop(
    ...['model', 'compare', demoFloatModel.file, join(out, 'model.onnx'), '--images', images],
    '--json',
  )
  const { models, latencyRatio, outputs } = compared.lines.at(-1)
  assert.equal(models[0].evaluation.value, 1)
  assert(models[1].evaluation.value >= 0.95 && latencyRatio > 0.5)
  assert(outputs.length > 0 && outputs.every(({ cosine }: { cosine: number }) => cosine > 0.95))
})

test(
  'detect with an int8 detector is as precise as with the float one',
  needs('material', 'time'),
  async (t) => {
    const out = join(folder, 'fastestdet')
    const original = `${material}/models/fastestdet_352.onnx`
    const described = ['--layout', 'fastestdet', '--labels', 'coco']
    const calibrate = `${material}/suites/ort-quantization-reference/calibration/fastestdet_352`
    await edgeloop(
      ...['model', 'compile', original, ...described, '--calibrate', calibrate],
      ...['--evaluate', `${material}/datasets/coco128`, '--precision', 'int8', '--max-drop', '1'],
      ...['--out', out, '--measure-seconds', '0.05', '--json'],
    )
    const truths = coco128Truths().filter(({ label }) => cocoLabels.includes(label))
    const ap50 = async (...model: string[]) => {
      const { lines } = await edgeloop(
        ...['detect', '--model', ...model, '--images', coco128Images, '--json'],
        ...['--score-min', '0.02', '--nms-iou', '0.6', '--max-detections', '100'],
      )
      const found = lines.flatMap(({ source, detections }): Found[] =>
        detections.map((one: Omit<Found, 'image'>) => ({ ...one, image: source })),
      )
      return meanAveragePrecision(truths, found).ap50
    }
    const [float, codes] = [await ap50(original, ...described), await ap50(join(out, 'model.onnx'))]
    t.diagnostic(`AP50 ${float.toFixed(4)} float, ${codes.toFixed(4)} int8`)
    // coco128.test.ts holds the float model to .306.
    assert(float >= 0.306 - 0.01 && codes >= float - 0.01, `${float} and ${codes}`)
  },
)

test(
  'int8 as operators of the runtime, and int4 weights, are made when they are asked for',
  needs('time'),
  async () => {
    for (const precision of ['int8-qoperator', 'int4-weights']) {
      const out = join(folder, precision)
      const { lines } = await edgeloop(
        ...[
          'model',
          'compile',
          demoFloatModel.file,
          '--calibrate',
          images,
          '--precision',
          precision,
        ],
        ...['--max-drop', '1', '--measure-seconds', '0.05', '--out', out, '--json'],
      )
      assert.equal(lines.at(-1).chosen, precision)
      const operators = readModel(await readFile(join(out, 'model.onnx'))).graph!.node.map(
        ({ opType }) => opType,
      )
      // The demo's detector has no matrix products, so int4 finds nothing to do in it.
      assert.equal(operators.includes('QLinearConv'), precision === 'int8-qoperator')
      const answers = await edgeloop(
        ...['detect', '--model', join(out, 'model.onnx'), '--images', images, '--json'],
      )
      assert(answers.lines.some(({ detections }) => detections.length > 0))
    }
  },
)

test('Ctrl-C leaves nothing behind', async () => {
  const out = join(folder, 'stopped')
  const before = await readdir(folder)
  const child = spawn(
    process.execPath,
    [
      ...[`${repository}edgeloop`, 'model', 'compile', demoFloatModel.file, '--calibrate', images],
      ...['--out', out, '--progress', 'json'],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    const soFar = said
    said += text
    if (!soFar.includes('"evaluate"') && said.includes('"evaluate"')) child.kill('SIGINT')
  })
  const [code] = await once(child, 'close')
  assert.equal(code, 1)
  assert.match(said, /error: Cannot compile ".*": it was stopped/)
  assert.deepEqual(await readdir(folder), before)
})

/** A detector of constants whose picture first goes through `nodes`, from `x` to a scalar `nothing` that is 0. */
function detector(nodes: ReturnType<typeof node>[], initializers: ReturnType<typeof tensor>[]) {
  return writeModel(
    model({
      name: 'tiny',
      inputs: [value('images', 'float32', [1, 3, 16, 16])],
      outputs: [value('output', 'float32', [1, 3])],
      nodes: [
        ...nodes,
        node('GlobalAveragePool', ['images'], ['means']),
        node('Flatten', ['means'], ['flat']),
        node('Add', ['flat', 'nothing'], ['output']),
      ],
      initializers,
    }),
  )
}

const classifierArgs = async () => {
  const labels = await put(folder, 'labels.txt', 'red\ngreen\nblue')
  return ['--layout', 'classifier', '--labels', labels, '--calibrate', images]
}

test('a model that never ends is ended, and nothing is left of it', async () => {
  // 2^62 turns that each add the picture's mean times 0: the runtime cannot know the end beforehand.
  const body = model({
    name: 'body',
    inputs: [value('turn', 'int64', []), value('go', 'bool', []), value('sum', 'float32', [])],
    outputs: [value('goes', 'bool', []), value('next', 'float32', [])],
    nodes: [node('Identity', ['go'], ['goes']), node('Mul', ['sum', 'zero'], ['next'])],
  }).graph!
  const loop = node('Loop', ['turns', '', 'start'], ['nothing'], { body: { int: 0 } })
  const [attribute] = loop.attribute
  Object.assign(attribute!, { type: attributeTypes.graph, g: body })
  Reflect.deleteProperty(attribute!, 'i')
  const endless = detector(
    [node('ReduceMean', ['images'], ['start'], { keepdims: { int: 0 } }), loop],
    [tensor('turns', [], BigInt64Array.of(2n ** 62n)), tensor('zero', [], Float32Array.of(0))],
  )
  const file = await put(folder, 'endless.onnx', endless)
  const said = await failing(
    ...['model', 'compile', file, ...(await classifierArgs())],
    ...['--out', join(folder, 'never'), '--time-limit', '4'],
  )
  assert.match(said, /error: Cannot compile ".*": it took longer than 4 s while /)
  assert.match(said, /hint: allow more with --time-limit/)
  assert(!(await readdir(folder)).some((name) => name.includes('never')))
})

test('a model that takes all memory is ended, and nothing is left of it', {
  skip: process.platform !== 'linux' && 'memory is watched on Linux only',
}, async () => {
  // 4 GiB of the picture's mean.
  const greedy = detector(
    [
      node('ReduceMean', ['images'], ['mean'], { keepdims: { int: 0 } }),
      node('Mul', ['mean', 'zero'], ['seed']),
      node('Expand', ['seed', 'size'], ['huge']),
      node('ReduceMean', ['huge'], ['nothing'], { keepdims: { int: 0 } }),
    ],
    [tensor('zero', [], Float32Array.of(0)), tensor('size', [1], BigInt64Array.of(2n ** 30n))],
  )
  const file = await put(folder, 'greedy.onnx', greedy)
  const said = await failing(
    ...['model', 'compile', file, ...(await classifierArgs())],
    ...['--out', join(folder, 'never'), '--memory-limit', '500'],
  )
  assert.match(said, /error: Cannot compile ".*": it took more than 500 MiB of memory/)
  assert(!(await readdir(folder)).some((name) => name.includes('never')))
})

test('a real face detector is compiled without labels', needs('material', 'time'), async () => {
  const out = join(folder, 'ultraface')
  const { lines } = await edgeloop(
    ...['model', 'compile', `${material}/models/ultraface_slim_320.onnx`, '--layout', 'ultraface'],
    ...[
      '--calibrate',
      `${material}/suites/ort-quantization-reference/calibration/ultraface_rfb_320`,
    ],
    ...['--out', out, '--measure-seconds', '0.1', '--json'],
  )
  const { chosen, metric, candidates } = lines.at(-1)
  const best = candidates.find(({ name }: { name: string }) => name === chosen)
  assert.equal(metric, 'f1')
  assert(best.latencyRatio >= 1 && best.metrics.f1 >= 0.99)
})
