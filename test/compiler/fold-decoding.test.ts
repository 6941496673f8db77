/** Heads read inside the graph, and suppression there: what the agent's own decoders and suppression make of them. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Detection } from '@edgeloop/protocol'
import { detectImages } from '../../edge-agent/src/detect/detect-images.ts'
import { Candidates } from '../../edge-agent/src/models/candidates.ts'
import { decodeLevel } from '../../edge-agent/src/models/layouts/gfl.ts'
import { decodeYolov8 } from '../../edge-agent/src/models/layouts/yolov8.ts'
import { decodeYolox, gridCells } from '../../edge-agent/src/models/layouts/yolox.ts'
import { suppress } from '../../edge-agent/src/models/nms.ts'
import { openModel } from '../../edge-agent/src/models/open-model.ts'
import { ortRuntime } from '../../edge-agent/src/runtimes/ort.ts'
import { Graph } from '../../model-compiler/src/graph/graph.ts'
import { model, node, value } from '../../model-compiler/src/onnx/build.ts'
import { OnnxError, readModel } from '../../model-compiler/src/onnx/read.ts'
import type { ModelProto } from '../../model-compiler/src/onnx/schema.ts'
import { tensor } from '../../model-compiler/src/onnx/tensor.ts'
import { writeModel } from '../../model-compiler/src/onnx/write.ts'
import { randomFeeds, sequence } from '../../model-compiler/src/passes/equivalence.ts'
import { foldDecoding } from '../../model-compiler/src/passes/fold-decoding.ts'
import { foldPreprocessing } from '../../model-compiler/src/passes/fold-preprocessing.ts'
import { foldSuppression } from '../../model-compiler/src/passes/fold-suppression.ts'
import { optimize } from '../../model-compiler/src/passes/optimize.ts'
import type { Pass } from '../../model-compiler/src/passes/pass.ts'
import { openSession, type Value } from '../../model-compiler/src/runtime/session.ts'
import { inferTypes } from '../../model-compiler/src/shapes/infer-types.ts'
import { dropInitializerInputs } from '../../model-compiler/src/shapes/input-shapes.ts'
import { coco128Images } from '../detection/coco128.ts'
import { material, needs } from '../require.ts'

const [width, height] = [64, 48]
const strides = [8, 16]
const cells = strides.map((stride) => (width / stride) * (height / stride))
const count = cells.reduce((sum, one) => sum + one, 0)
const classes = 3

/** One convolution per stride, its channels as rows: a head without a body. */
function heads(channels: readonly number[], opset: number, joined: boolean): ModelProto {
  const next = sequence(3)
  const made = strides.flatMap((stride, level) =>
    channels.map((depth, at) => ({ stride, depth, level, name: `${['cls', 'dis'][at]}${level}` })),
  )
  return model({
    name: 'head',
    opset,
    inputs: [value('image', 'float32', [1, 3, height, width])],
    outputs: joined
      ? [value('rows', 'float32', [1, count, channels[0]!])]
      : made.map(({ name, level, depth }) => value(name, 'float32', [1, cells[level]!, depth])),
    initializers: made.flatMap(({ stride, depth, level, name }) => {
      const size = depth * 3 * stride * stride
      const weights = Float32Array.from({ length: size }, () => (next() - 0.5) * (2 / stride))
      const rows = BigInt64Array.of(1n, BigInt(depth), BigInt(cells[level]!))
      return [
        tensor(`w_${name}`, [depth, 3, stride, stride], weights),
        tensor(`s_${name}`, [3], rows),
      ]
    }),
    nodes: [
      ...made.flatMap(({ stride, name }) => [
        node('Conv', ['image', `w_${name}`], [`m_${name}`], {
          strides: { ints: [stride, stride] },
        }),
        node('Sigmoid', [`m_${name}`], [`g_${name}`]),
        node('Reshape', [`g_${name}`, `s_${name}`], [`r_${name}`]),
        node('Transpose', [`r_${name}`], [name], { perm: { ints: [0, 2, 1] } }),
      ]),
      ...(joined
        ? [
            node(
              'Concat',
              made.map(({ name }) => name),
              ['rows'],
              { axis: { int: 1 } },
            ),
          ]
        : []),
    ],
  })
}

async function changed(original: ModelProto, ...passes: readonly Pass[]): Promise<ModelProto> {
  const graph = new Graph(original)
  dropInitializerInputs(graph)
  for (const pass of passes) {
    inferTypes(graph)
    assert.equal(await pass.run(graph), 1)
    assert.equal(await pass.run(graph), 0, 'it runs once')
  }
  await optimize(graph)
  return graph.toModel()
}

async function run(given: ModelProto): Promise<Record<string, Value>> {
  await using session = await openSession(writeModel(given))
  return await session.run(randomFeeds(session.inputs, 11))
}
const floats = (given: Value | undefined) => given!.data as Float32Array

function assertSameCandidates(actual: Candidates, expected: Candidates): void {
  assert.equal(actual.count, expected.count)
  assert.ok(expected.count > 20)
  for (let at = 0; at < expected.count; at++) {
    assert.equal(actual.classes[at], expected.classes[at])
    assert.ok(Math.abs(actual.scores[at]! - expected.scores[at]!) < 1e-5)
    for (let side = at * 4; side < at * 4 + 4; side++) {
      assert.ok(Math.abs(actual.corners[side]! - expected.corners[side]!) < 1e-3)
    }
  }
}

const place = { channel: 1, cell: 4 + classes }
const scoreMin = 0.3
for (const opset of [11, 13, 18]) {
  test(`a YOLOX head read in the graph gives the boxes that the agent reads (opset ${opset})`, async () => {
    const original = heads([5 + classes], opset, true)
    const expected = new Candidates()
    const grid = gridCells(width, height, strides)
    decodeYolox(floats((await run(original)).rows), classes, grid, scoreMin, expected)
    const { decoded } = await run(await changed(original, foldDecoding({ head: 'yolox', strides })))
    assert.deepEqual(decoded!.dims, [1, count, 4 + classes])
    const actual = new Candidates()
    decodeYolov8(floats(decoded), { classes, cells: count, place }, scoreMin, actual)
    assertSameCandidates(actual, expected)
  })

  test(`suppression in the graph keeps what the agent keeps (opset ${opset})`, async () => {
    const original = heads([5 + classes], opset, true)
    const decode = foldDecoding({ head: 'yolox', strides })
    for (const keepMax of [100, 5]) {
      const { decoded } = await run(await changed(original, decode))
      const candidates = new Candidates()
      decodeYolov8(floats(decoded), { classes, cells: count, place }, scoreMin, candidates)
      const kept = suppress(candidates, { iouMax: 0.3, keepMax })
      assert.ok(kept.length > 4 && kept.length < candidates.count)
      const whole = foldSuppression({ scoreMin, iouMax: 0.3, keepMax })
      const { detections } = await run(await changed(original, decode, whole))
      assert.deepEqual(detections!.dims, [kept.length, 6])
      for (const [row, index] of kept.entries()) {
        const [left, top, right, bottom, score, label] = floats(detections).subarray(row * 6)
        const { corners, scores, classes: labels } = candidates
        assert.equal(label, labels[index])
        assert.equal(score, scores[index])
        for (const [side, at] of [left, top, right, bottom].entries()) {
          assert.ok(Math.abs(at! - corners[index * 4 + side]!) < 1e-3)
        }
      }
    }
  })
}

test('a picture in which nothing is found gives no rows', async () => {
  const original = heads([5 + classes], 13, true)
  const none = foldSuppression({ scoreMin: 1, iouMax: 0.5, keepMax: 10 })
  const whole = await changed(original, foldDecoding({ head: 'yolox', strides }), none)
  assert.deepEqual((await run(whole)).detections!.dims, [0, 6])
})

test('outputs in the manner of YOLOv8, channels before cells, are suppressed too', async () => {
  const rows = await changed(
    heads([5 + classes], 13, true),
    foldDecoding({ head: 'yolox', strides }),
  )
  const suppression = foldSuppression({ scoreMin, iouMax: 0.3, keepMax: 50 })
  const { detections: expected } = await run(await changed(rows, suppression))
  const graph = new Graph(rows)
  graph.insert([node('Transpose', ['decoded'], ['turned'], { perm: { ints: [0, 2, 1] } })])
  graph.removeOutput('decoded')
  graph.addOutput('turned', { elementType: 1, shape: [1, 4 + classes, count] })
  const { detections } = await run(await changed(graph.toModel(), suppression))
  assert.deepEqual(detections, expected)
})

test('a GFL head read in the graph gives the boxes that the agent reads', async () => {
  const bins = 8
  const original = heads([classes, 4 * bins], 11, false)
  const outputs = await run(original)
  const expected = new Candidates()
  for (const [level, stride] of strides.entries()) {
    const map = { stride, columns: width / stride, rows: height / stride, bins }
    const [scores, distances] = [`cls${level}`, `dis${level}`].map((name) => floats(outputs[name]))
    decodeLevel(scores!, distances!, classes, map, scoreMin, expected)
  }
  const { decoded } = await run(await changed(original, foldDecoding({ head: 'gfl', strides })))
  const actual = new Candidates()
  decodeYolov8(floats(decoded), { classes, cells: count, place }, scoreMin, actual)
  assertSameCandidates(actual, expected)
})

test('other outputs are refused with what was expected', async () => {
  const yolox = heads([5 + classes], 13, true)
  const refusals = [
    [foldDecoding({ head: 'yolox' }), yolox, /one output \[N, 64, 5 \+ classes\] was expected/],
    [foldDecoding({ head: 'gfl', strides }), yolox, /for each of 48, 12 cells two outputs/],
    [
      foldDecoding({ head: 'yolox', strides }),
      heads([5 + classes], 9, true),
      /opset 9 is too old, 11 is needed/,
    ],
    [foldSuppression({ scoreMin: 0, iouMax: 0.5, keepMax: 9 }), yolox, /scoreMin 0 is not above 0/],
    [foldSuppression({ scoreMin: 1, iouMax: 2, keepMax: 9 }), yolox, /iouMax 2 is not in 0 to 1/],
    [foldSuppression({ scoreMin: 1, iouMax: 1, keepMax: 0 }), yolox, /keepMax 0 is no number/],
    [
      foldSuppression({ scoreMin: 1, iouMax: 1, keepMax: 9 }),
      heads([classes, 32], 13, false),
      /one output \[1, cells, 4 \+ classes\] of a fixed shape was expected/,
    ],
  ] as const
  for (const [pass, given, why] of refusals) {
    const graph = new Graph(given)
    inferTypes(graph)
    await assert.rejects(
      async () => await pass.run(graph),
      (error) => error instanceof OnnxError && why.test(error.message),
    )
  }
})

const images = ['000000000009', '000000000025', '000000000036', '000000000113'].map(
  (name) => `${coco128Images}/${name}.jpg`,
)
for (const { name, layout, head, input, how } of [
  {
    name: 'yolox_nano_416',
    layout: 'yolox',
    head: 'yolox',
    input: 'channels: bgr, fit: letterbox-topleft, pad: 114',
    how: { mean: [0, 0, 0], std: [1, 1, 1] },
  },
  {
    name: 'nanodet_m_320',
    layout: 'nanodet',
    head: 'gfl',
    input: 'channels: bgr, fit: letterbox-center, pad: 0',
    how: { mean: [103.53, 116.28, 123.675], std: [57.375, 57.12, 58.395] },
  },
] as const) {
  test(
    `the agent reads ${name} with its head and its preprocessing in the graph as yolov8`,
    needs('material'),
    async (t) => {
      const folder = await mkdtemp(join(tmpdir(), 'edgeloop-decoding-'))
      t.after(() => rm(folder, { recursive: true }))
      const original = `${material}/models/${name}.onnx`
      const passes = [foldDecoding({ head }), foldPreprocessing(how)]
      const whole = await changed(readModel(await readFile(original)), ...passes)
      const file = join(folder, 'whole.onnx')
      const description = join(folder, 'whole.yaml')
      await writeFile(file, writeModel(whole))
      await writeFile(
        description,
        `layout: yolov8\nlabels: coco\ninput: {type: uint8, layout: nhwc, ${input}}\n`,
      )
      const before = await found({ name, file: original, layout, labels: 'coco' })
      const after = await found({ name, file, description })
      assert.ok(before.length > 5, `${before.length} detections`)
      assert.equal(after.length, before.length)
      for (const [at, one] of before.entries()) {
        assert.equal(after[at]!.label, one.label)
        assert.ok(Math.abs(after[at]!.score - one.score) < 1e-3)
        for (const [side, share] of one.box.entries()) {
          assert.ok(Math.abs(after[at]!.box[side]! - share) < 2e-3)
        }
      }
    },
  )
}

async function found(source: Parameters<typeof openModel>[0]): Promise<Detection[]> {
  await using model = await openModel(source, ortRuntime)
  const all: Detection[] = []
  const options = { scoreMin: 0.25, nmsIou: 0.6, maxDetections: 100 }
  for await (const { detections } of detectImages({ model, images, options })) {
    all.push(...(detections ?? []))
  }
  return all
}
