/** Models in the forms that the compiler gives them, run by the agent as any other file: nothing has to be said by hand. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { detectImages } from '../../edge-agent/src/detect/detect-images.ts'
import { openModel } from '../../edge-agent/src/models/open-model.ts'
import { ortRuntime } from '../../edge-agent/src/runtimes/ort.ts'
import {
  type Found,
  meanAveragePrecision,
} from '../../model-compiler/src/evaluate/average-precision.ts'
import { model, node, value } from '../../model-compiler/src/onnx/build.ts'
import { readModel } from '../../model-compiler/src/onnx/read.ts'
import type { ModelProto } from '../../model-compiler/src/onnx/schema.ts'
import { tensor } from '../../model-compiler/src/onnx/tensor.ts'
import { writeModel } from '../../model-compiler/src/onnx/write.ts'
import { sequence } from '../../model-compiler/src/passes/equivalence.ts'
import { toInt8Weights } from '../../model-compiler/src/precision/int8-weights.ts'
import { openSession } from '../../model-compiler/src/runtime/session.ts'
import { coco128Images, coco128Truths } from '../detection/coco128.ts'
import { material, needs } from '../require.ts'

async function fileOf(t: TestContext, changed: ModelProto): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-compiled-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'model.onnx')
  await writeFile(file, writeModel(changed))
  return file
}

test(
  'yolox_nano with int8 weights finds in coco128 what the float model finds',
  needs('material'),
  async (t) => {
    const original = readModel(await readFile(`${material}/models/yolox_nano_416.onnx`))
    const file = await fileOf(t, toInt8Weights(original))
    await using detector = await openModel(
      { name: 'yolox_nano', file, layout: 'yolox', labels: 'coco' },
      ortRuntime,
    )
    const found: Found[] = []
    const options = { scoreMin: 0.02, nmsIou: 0.6, maxDetections: 100 }
    for await (const { source, detections } of detectImages({
      model: detector,
      images: [coco128Images],
      options,
    })) {
      for (const one of detections ?? []) {
        const [left = 0, top = 0, width = 0, height = 0] = one.box
        found.push({ ...one, image: source, box: [left, top, width, height] })
      }
    }
    const truths = coco128Truths().filter(({ label }) => detector.labels.includes(label))
    const { ap50 } = meanAveragePrecision(truths, found)
    t.diagnostic(`AP50 ${ap50.toFixed(4)}`)
    // coco128.test.ts holds the float model to .497.
    assert.ok(ap50 >= 0.497 - 0.01, `AP50 ${ap50}`)
  },
)

test('weights that a quantized model keeps float stay float on the box', async (t) => {
  const seed = 5
  const next = sequence(seed)
  // One channel is a thousand times as loud as the others: with one scale for all, they would be silent.
  const weights = Float32Array.from(
    { length: 8 * 8 },
    (_, at) => (next() - 0.5) * (at < 8 ? 1000 : 1),
  )
  const kept = model({
    name: 'kept float',
    opset: 13,
    inputs: [value('x', 'float32', [1, 8, 4, 4])],
    outputs: [value('y', 'float32', [1, 8, 4, 4])],
    initializers: [
      ...[tensor('scale', [], Float32Array.of(0.02)), tensor('zero', [], Uint8Array.of(128))],
      ...[tensor('out_scale', [], Float32Array.of(0.02)), tensor('w', [8, 8, 1, 1], weights)],
    ],
    nodes: [
      node('QuantizeLinear', ['x', 'scale', 'zero'], ['q']),
      node('DequantizeLinear', ['q', 'scale', 'zero'], ['d']),
      node('Conv', ['d', 'w'], ['c']),
      node('QuantizeLinear', ['c', 'out_scale', 'zero'], ['r']),
      node('DequantizeLinear', ['r', 'out_scale', 'zero'], ['y']),
    ],
  })
  const data = Float32Array.from({ length: 128 }, () => next() * 2 - 1)
  await using as = await openSession(writeModel(kept), { level: 'disabled' })
  const { y: expected } = await as.run({ x: { type: 'float32', dims: [1, 8, 4, 4], data } })
  await using onBox = await ortRuntime.open(await fileOf(t, kept), { threads: 1 })
  const { y } = await onBox.run({ x: { type: 'float32', shape: [1, 8, 4, 4], data } })
  const codes = expected!.data as Float32Array
  const apart = codes.map((one, at) => Math.abs(one - Number(y!.data[at])))
  const largest = Math.max(...apart)
  // A code more or less where a sum lies on the border.
  assert.ok(largest <= 0.0201, `seed ${seed}: ${largest}`)
})
