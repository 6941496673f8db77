/** Heads that are recognized, in tiny models of each form and in real ones; and those that are not. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { material, needs } from '../../../../test/require.ts'
import { tinyNanodet, tinyYolov8, tinyYolox } from '../../../../test/training/tiny-detectors.ts'
import { model, node, value } from '../../onnx/build.ts'
import { readModel } from '../../onnx/read.ts'
import { anchorsOf, cutsOf, recognizeHead } from './head.ts'

const real = async (name: string) => readModel(await readFile(join(material, 'models', name)))

test('recognizeHead() finds box, objectness and classes of every map of a YOLOX', () => {
  const head = recognizeHead(tinyYolox({ classes: 3 }))
  assert.deepEqual([head.kind, head.classes, head.bins, head.width], ['sized', 3, 1, 64])
  assert.deepEqual(
    head.levels.map(({ stride, columns, rows }) => [stride, columns, rows]),
    [
      [8, 8, 8],
      [16, 4, 4],
    ],
  )
  assert.deepEqual(cutsOf(head), ['box0', 'obj0', 'cls0', 'box1', 'obj1', 'cls1'])
  assert.equal(anchorsOf(head), 80)
})

test('recognizeHead() tells objectness from the one class of a detector of one thing', () => {
  const { levels, classes } = recognizeHead(tinyYolox({ classes: 1 }))
  assert.equal(classes, 1)
  assert.equal(levels[0]?.objectness?.value, 'obj0')
  assert.equal(levels[0]?.classes.value, 'cls0')
})

test('recognizeHead() finds distributions of distances, joined or parted', () => {
  const joined = recognizeHead(tinyYolov8({ classes: 5 }))
  assert.deepEqual([joined.kind, joined.classes, joined.bins], ['distances', 5, 8])
  assert.deepEqual(cutsOf(joined), ['box0', 'cls0', 'box1', 'cls1'])
  const parted = recognizeHead(tinyNanodet({ classes: 5 }))
  assert.deepEqual([parted.kind, parted.classes, parted.bins], ['distances', 5, 8])
  assert.deepEqual(cutsOf(parted), ['gfl0', 'gfl1'])
  assert.deepEqual(parted.levels[0]?.box, { value: 'gfl0', from: 5, channels: 32 })
})

test('recognizeHead() says what it looked for', () => {
  const classifier = model({
    name: 'none',
    nodes: [node('GlobalAveragePool', ['images'], ['means'])],
    inputs: [value('images', 'float32', [1, 3, 64, 64])],
    outputs: [value('means', 'float32', [1, 3, 1, 1])],
  })
  assert.throws(
    () => recognizeHead(classifier),
    /Cannot find the head .* looked for maps that join/,
  )
  const free = model({
    name: 'free',
    nodes: [node('Relu', ['images'], ['y'])],
    inputs: [value('images', 'float32', [1, 3, 'height', 'width'])],
    outputs: [value('y', 'float32', [1, 3, 'height', 'width'])],
  })
  assert.throws(() => recognizeHead(free), /one input .* of known height and width/)
})

test('recognizeHead() knows real detectors', needs('material'), async () => {
  const yolox = recognizeHead(await real('yolox_nano_416.onnx'))
  assert.deepEqual([yolox.kind, yolox.classes, anchorsOf(yolox)], ['sized', 80, 3549])
  const person = recognizeHead(await real('light_person_detector_192.onnx'))
  assert.deepEqual([person.kind, person.classes, anchorsOf(person)], ['sized', 1, 756])
  const nanodet = recognizeHead(await real('nanodet_m_320.onnx'))
  assert.deepEqual([nanodet.kind, nanodet.classes, nanodet.bins], ['distances', 80, 8])
  for (const other of ['fastestdet_352.onnx', 'ultraface_slim_320.onnx', 'mnist-8_cntk.onnx']) {
    const model = await real(other)
    assert.throws(() => recognizeHead(model), /Cannot find the head/, other)
  }
})
