/** Classifiers: probabilities and logits by hand, and real digits with a real model. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { put } from '../../../../test/detection/tiny-models.ts'
import { material, needs } from '../../../../test/require.ts'
import { ortRuntime } from '../../runtimes/ort.ts'
import { ModelError } from '../../runtimes/runtime.ts'
import { openModel } from '../open-model.ts'
import { classifier, probabilities } from './classifier.ts'
import type { ReadingGiven } from './layout.ts'

const output = (...shape: number[]) => ({ name: 'output', type: 'float32' as const, shape })

test('probabilities() leaves probabilities alone and makes them of logits', () => {
  const shares = Float32Array.of(0.25, 0.5, 0.25)
  assert.equal(probabilities(shares), shares)
  const found = probabilities(Float32Array.of(1000, 1000, -1000))
  assert.deepEqual([...found], [0.5, 0.5, 0])
  assert.throws(() => probabilities(Float32Array.of(0, Number.NaN)), /one of them is NaN/)
})

test('classifier gives the best classes first, no more than wanted', () => {
  const checked = classifier.check({ width: 8, height: 8, outputs: [output(1, 4)] })
  assert('read' in checked)
  assert.equal(checked.classes, 4)
  const data = Float32Array.of(0.1, 0.2, 0.6, 0.1)
  const tensors = { output: { type: 'float32', shape: [1, 4], data } } as const
  const given: ReadingGiven = {
    labels: ['a', 'b', 'c', 'd'],
    view: {
      width: 8,
      height: 8,
      channels: 'rgb',
      pad: 0,
      content: { left: 0, top: 0, width: 8, height: 8 },
    },
    scoreMin: 0,
    keepMax: 2,
    wanted: undefined,
  }
  const [c, b] = [
    { label: 'c', score: 0.6 },
    { label: 'b', score: 0.2 },
  ]
  assert.deepEqual(checked.read(tensors, given), { classes: [c, b] })
  assert.deepEqual(checked.read(tensors, { ...given, scoreMin: 0.5 }), { classes: [c] })
  assert.deepEqual(checked.read(tensors, { ...given, wanted: new Set([1]) }), { classes: [b] })
})

test('classifier.check() says which output it had expected', () => {
  const expected = 'one output [1, classes] with at least 2 classes, probabilities or logits'
  assert.ok('read' in classifier.check({ width: 8, height: 8, outputs: [output(1, 9, 1, 1)] }))
  for (const outputs of [[], [output(1, 1)], [output(1, 9, 2, 2)], [output(1, 9), output(1, 9)]]) {
    assert.deepEqual(classifier.check({ width: 8, height: 8, outputs }), { expected })
  }
})

test('a real classifier reads real digits, and refuses to detect', needs('material'), async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-classifier-'))
  t.after(() => rm(folder, { recursive: true }))
  const labels = await put(folder, 'labels.txt', [...'0123456789'].join('\n'))
  // It was trained on bytes as they are.
  const description = await put(
    folder,
    'mnist.yaml',
    'input: {mean: 0, std: 1}\nlayout: classifier\n',
  )
  const file = join(material, 'models', 'mnist-8_cntk.onnx')
  await using model = await openModel({ name: 'mnist', file, labels, description }, ortRuntime)
  assert.deepEqual(
    [model.task, model.input.gray, model.inputBytes],
    ['classification', true, 28 * 28 * 3],
  )
  const { images, truth } = await digits()
  const options = { scoreMin: 0, nmsIou: 1, maxDetections: 1 }
  let right = 0
  for (const [i, digit] of images.entries()) {
    const canvas = Uint8Array.from({ length: 28 * 28 * 3 }, (_, at) => digit[Math.floor(at / 3)]!)
    const { classes } = await model.read(canvas, model.inputFor(28, 28), options)
    if (classes?.[0]?.label === String(truth[i])) right++
  }
  assert.ok(right >= images.length * 0.95, `${right} of ${images.length}`)
  const canvas = new Uint8Array(model.inputBytes)
  await assert.rejects(model.detect(canvas, model.inputFor(28, 28), options), (error: Error) => {
    assert(error instanceof ModelError)
    assert.match(error.message, /layout classifier is for classification; name a detector$/)
    return true
  })
})

/** The first two hundred of MNIST's training pictures, in the idx format. */
async function digits(): Promise<{ images: Uint8Array[]; truth: Uint8Array }> {
  const read = async (name: string) =>
    gunzipSync(await readFile(join(material, 'datasets', 'mnist', name)))
  const [pictures, labels] = await Promise.all([
    read('train-images-idx3-ubyte.gz'),
    read('train-labels-idx1-ubyte.gz'),
  ])
  const size = 28 * 28
  const images = Array.from({ length: 200 }, (_, i) =>
    pictures.subarray(16 + i * size, 16 + (i + 1) * size),
  )
  return { images, truth: labels.subarray(8) }
}
