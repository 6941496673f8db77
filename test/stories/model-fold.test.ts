/** `./edgeloop model fold` from the outside: the agent runs what it makes, and finds what it found. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { demoFloatModel } from '../../edge-agent/demo/float-model.ts'
import { openSession } from '../../model-compiler/src/runtime/session.ts'
import { writeConveyorPictures } from '../detection/conveyor-pictures.ts'
import { material, needs } from '../require.ts'

const repository = fileURLToPath(new URL('../..', import.meta.url))
let folder = ''
let images = ''

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'edgeloop-fold-'))
  images = await mkdtemp(join(folder, 'images-'))
  await writeConveyorPictures(images, 6, 60)
})
after(() => rm(folder, { recursive: true }))

async function edgeloop(...args: string[]) {
  const command = [`${repository}edgeloop`, ...args]
  const { stdout } = await promisify(execFile)(process.execPath, command, { timeout: 300_000 })
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}
const fold = (...args: string[]) =>
  edgeloop('model', 'fold', demoFloatModel.file, '--json', ...args)
const detect = (file: string) => edgeloop('detect', '--model', file, '--images', images, '--json')

type Answer = { detections: { label: string; score: number; box: number[] }[] }
function assertSame(actual: Answer[], expected: Answer[]): void {
  const total = expected.reduce((sum, { detections }) => sum + detections.length, 0)
  assert.ok(total > 3, `${total} detections`)
  for (const [at, { detections }] of expected.entries()) {
    assert.equal(actual[at]!.detections.length, detections.length)
    for (const [index, one] of detections.entries()) {
      const other = actual[at]!.detections[index]!
      assert.equal(other.label, one.label)
      assert.ok(Math.abs(other.score - one.score) < 2e-3)
      assert.ok(one.box.every((share, side) => Math.abs(share - other.box[side]!) < 3e-3))
    }
  }
}

test('a model that reads its own head finds what the original finds, told nothing but its file', async () => {
  const out = join(folder, 'boxes.onnx')
  const [said] = await fold('--out', out, '--decode')
  assert.deepEqual(said.outputs, [{ name: 'decoded', shape: [1, 920, 10] }])
  assertSame(await detect(out), await detect(demoFloatModel.file))
  const left = (await readdir(folder)).filter((name) => name.endsWith('.draft'))
  assert.deepEqual(left, [])
})

test(
  'a model that takes bytes, red and blue exchanged, finds what the original finds',
  needs('material'),
  async () => {
    const out = join(folder, 'bytes.onnx')
    const original = `${material}/models/nanodet_m_320.onnx`
    const how = ['--layout', 'nanodet', '--labels', 'coco']
    const photographs = join(material, 'datasets/coco128/images/train2017')
    const looked = [
      '--images',
      ...['09', '25', '36'].map((name) => `${photographs}/0000000000${name}.jpg`),
    ]
    const [said] = await edgeloop(
      ...['model', 'fold', original, ...how, '--channels', 'rgb', '--out', out, '--json'],
    )
    assert.deepEqual(said.inputs[0].shape, [1, 320, 320, 3])
    const expected = await edgeloop('detect', '--model', original, ...how, ...looked, '--json')
    assertSame(await edgeloop('detect', '--model', out, ...looked, '--json'), expected)
  },
)

test('with suppression a model gives detections to whoever has nothing but a runtime', async () => {
  const out = join(folder, 'detections.onnx')
  const [said] = await fold('--out', out, '--detections', '--score-min', '0.01')
  const output = said.outputs[0].name
  await using session = await openSession(out)
  const { name, shape } = session.inputs[0]!
  const dims = shape.map(Number)
  const data = new Uint8Array(dims.reduce((all, one) => all * one, 1))
  const results = await session.run({ [name]: { type: 'uint8', dims, data } })
  assert.equal(results[output]!.dims[1], 6)
  await assert.rejects(readFile(join(folder, 'detections.model.json')), /ENOENT/)
})

test('what cannot be folded, or not written, is refused and leaves nothing', async () => {
  const refusals = [
    [['--out', join(folder, 'model.txt')], 2, /name a file that ends in \.onnx/],
    [['--out', join(folder, 'x.onnx'), '--channels', 'bgr'], 1, /it takes bytes already, as rgb/],
    [['--out', join(folder, 'nowhere/x.onnx'), '--decode'], 1, /Cannot write .*nowhere\/x\.onnx/],
  ] as const
  const present = await readdir(folder)
  for (const [args, code, why] of refusals) {
    await assert.rejects(fold(...args), (error: { code?: number; stderr?: string }) => {
      assert.equal(error.code, code, error.stderr)
      return why.test(error.stderr ?? '')
    })
  }
  assert.deepEqual(await readdir(folder), present)
})
