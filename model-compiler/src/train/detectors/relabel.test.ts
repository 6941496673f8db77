/** Other labels: what the model says of the new classes is what it said of the old ones they come from. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { material, needs } from '../../../../test/require.ts'
import {
  numbersFrom,
  tinyNanodet,
  tinyYolov8,
  tinyYolox,
} from '../../../../test/training/tiny-detectors.ts'
import { readModel } from '../../onnx/read.ts'
import type { ModelProto } from '../../onnx/schema.ts'
import { floatsOf } from '../../onnx/tensor.ts'
import { writeModel } from '../../onnx/write.ts'
import { openSession, type Value } from '../../runtime/session.ts'
import { recognizeHead } from './head.ts'
import { asked, type ClassOrigin, relabel } from './relabel.ts'

const seed = 20
const whole = (index: number): ClassOrigin => [{ index, share: 1 }]

async function run(model: ModelProto, side: number): Promise<Record<string, Value>> {
  await using session = await openSession(writeModel(model))
  const random = numbersFrom(seed)
  const data = Float32Array.from({ length: 3 * side * side }, () => random() * 2 - 1)
  const [input] = session.inputs
  return await session.run({ [input!.name]: { type: 'float32', dims: [1, 3, side, side], data } })
}

/** Scores [cell][class] and boxes [cell] of what a model said, in whatever form it says it. */
function readOut(said: Record<string, Value>, classes: number) {
  const scores: number[][] = []
  const boxes: number[][] = []
  for (const { dims, data } of Object.values(said)) {
    const numbers = data as Float32Array
    const asChannels = Number(dims[1]) === 4 + classes
    const [cells, channels] = asChannels ? [dims[2]!, dims[1]!] : [dims[1]!, dims[2]!]
    for (let cell = 0; cell < cells; cell++) {
      const row = Array.from({ length: channels }, (_, channel) =>
        asChannels ? numbers[channel * cells + cell]! : numbers[cell * channels + channel]!,
      )
      if (channels === classes) scores.push(row)
      else if (channels === 32) boxes.push(row)
      else {
        scores.push(row.slice(channels - classes))
        boxes.push(row.slice(0, channels - classes))
      }
    }
  }
  return { scores, boxes }
}

const near = (a: readonly number[], b: readonly number[], what: string) => {
  assert.equal(a.length, b.length, what)
  for (const [at, one] of a.entries())
    assert.ok(Math.abs(one - b[at]!) < 1e-5, `${what}: ${a}, ${b}`)
}

for (const [name, make] of Object.entries({ tinyYolox, tinyYolov8, tinyNanodet })) {
  test(`relabel() of ${name} keeps the boxes and scores the classes as it did those they come from`, async () => {
    const before = readOut(await run(make({ classes: 5 }), 64), 5)
    for (const picked of [[3, 1], [4], [0, 2, 4, 1, 1, 3, 0]]) {
      const labels = picked.map((_, at) => `label ${at}`)
      const changed = relabel(make({ classes: 5 }), labels, picked.map(whole))
      assert.equal(recognizeHead(changed).classes, picked.length)
      const after = readOut(await run(changed, 64), picked.length)
      assert.equal(after.scores.length, 80)
      for (const [cell, scores] of after.scores.entries()) {
        near(
          scores,
          picked.map((index) => before.scores[cell]![index]!),
          `cell ${cell}`,
        )
        near(after.boxes[cell]!, before.boxes[cell]!, `box ${cell}`)
      }
    }
  })

  test(`asked() of ${name} scores as the best of the classes that one may be`, async () => {
    const before = readOut(await run(make({ classes: 5 }), 64), 5)
    const origins: ClassOrigin[] = [
      [
        { index: 4, share: 0.5 },
        { index: 1, share: 0.5 },
      ],
      [{ index: 2, share: 1 }],
    ]
    const changed = asked(make({ classes: 5 }), ['a', 'b'], origins)
    const after = readOut(await run(changed, 64), 2)
    for (const [cell, scores] of after.scores.entries()) {
      const was = before.scores[cell]!
      near(scores, [Math.max(was[4]!, was[1]!), was[2]!], `cell ${cell}`)
      near(after.boxes[cell]!, before.boxes[cell]!, `box ${cell}`)
    }
  })
}

test('relabel() begins a class of which nothing is known as seldom there, with weights of the usual size', async () => {
  const changed = relabel(tinyYolox({ classes: 3 }), ['a', 'b'], [[], whole(0)])
  const { scores } = readOut(await run(changed, 64), 2)
  const mean = scores.reduce((sum, [a]) => sum + a!, 0) / scores.length
  assert.ok(mean > 0.001 && mean < 0.1, `${mean}`)
  const { initializer } = changed.graph!
  const rows = floatsOf(initializer.find(({ name }) => name === 'cls0.weight')!)
  const size = (values: Float32Array) => Math.hypot(...values)
  assert.ok(size(rows.subarray(0, 12)) > 0.1 * size(rows.subarray(12)))
})

test('relabel() grows one class to several and back, and says the labels', () => {
  const grown = relabel(tinyYolox({ classes: 1 }), ['a', 'b', 'c'], [0, 0, 0].map(whole))
  assert.equal(grown.metadataProps.find(({ key }) => key === 'labels')?.value, 'a,b,c')
  assert.equal(recognizeHead(relabel(grown, ['d'], [whole(2)])).classes, 1)
})

test('real detectors take other labels', needs('material'), async () => {
  for (const [file, side] of [
    ['yolox_nano_416.onnx', 416],
    ['light_person_detector_192.onnx', 192],
    ['nanodet_m_320.onnx', 320],
  ] as const) {
    const model = readModel(await readFile(join(material, 'models', file)))
    const { classes } = recognizeHead(model)
    const before = readOut(await run(model, side), classes)
    const picked = [classes - 1, 0]
    const changed = relabel(model, ['last', 'first'], picked.map(whole))
    const after = readOut(await run(changed, side), 2)
    for (const [cell, scores] of after.scores.entries()) {
      near(
        scores,
        picked.map((index) => before.scores[cell]![index]!),
        `${file}, cell ${cell}`,
      )
    }
  }
})
