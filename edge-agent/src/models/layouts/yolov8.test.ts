/** YOLOv8: both ways round, numbers by hand, through a real session. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { constantDetector, put } from '../../../../test/detection/tiny-models.ts'
import { ortRuntime } from '../../runtimes/ort.ts'
import { openModel } from '../open-model.ts'
import { yolov8 } from './yolov8.ts'

const [width, height] = [64, 32]
/** 8×4 + 4×2 + 2×1 cells. */
const cells = 42
const labels = ['bolt', 'gear', 'nut']

/** A gear around (20, 12), once more with a worse score, and a nut; as cell → values. */
const rows: Record<number, readonly number[]> = {
  10: [20, 12, 16, 8, 0.1, 0.9, 0.2],
  11: [21, 12, 16, 8, 0.1, 0.8, 0.2],
  41: [48, 16, 32, 32, 0, 0.1, 0.6],
}
const filled = (at: (cell: number, value: number) => number): Float32Array => {
  const data = new Float32Array(cells * 7)
  for (const [cell, values] of Object.entries(rows)) {
    for (const [i, value] of values.entries()) data[at(Number(cell), i)] = value
  }
  return data
}

for (const [what, shape, values] of [
  ['channels', [1, 7, cells], filled((cell, i) => i * cells + cell)],
  ['rows', [1, cells, 7], filled((cell, i) => cell * 7 + i)],
] as const) {
  test(`yolov8 reads its values as ${what}`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'edgeloop-yolov8-'))
    t.after(() => rm(folder, { recursive: true }))
    const input = { type: 'float32', shape: [1, 3, height, width] } as const
    const bytes = constantDetector(input, { output0: { shape, values } })
    const file = await put(folder, 'tiny.onnx', bytes)
    const names = await put(folder, 'labels.txt', labels.join('\n'))
    const source = { name: 'tiny', file, layout: 'yolov8', labels: names }
    await using model = await openModel(source, ortRuntime)
    assert.equal(model.task, 'detection')
    assert.deepEqual(
      [model.input.channels, model.input.fit, model.input.pad, model.input.std],
      ['rgb', 'letterbox-center', 114, [255, 255, 255]],
    )
    // Twice as large a frame of the same shape covers the whole canvas.
    const view = model.inputFor(128, 64)
    const options = { scoreMin: 0.5, nmsIou: 0.5, maxDetections: 10 }
    assert.deepEqual(await model.detect(new Uint8Array(model.inputBytes), view, options), [
      { label: 'gear', score: 0.9, box: [0.1875, 0.25, 0.25, 0.25] },
      { label: 'nut', score: 0.6, box: [0.5, 0, 0.5, 1] },
    ])
  })
}

test('yolov8.check() says which output it had expected', () => {
  const expected =
    'one output [1, 4 + classes, 8400] or [1, 8400, 4 + classes] (8400 = 80×80 + 40×40 + 20×20 cells of strides 8, 16, 32 at 640×640)'
  const output = (...shape: number[]) => ({ name: 'output0', type: 'float32' as const, shape })
  const check = (...outputs: ReturnType<typeof output>[]) =>
    yolov8.check({ width: 640, height: 640, outputs })
  assert.ok('decode' in check(output(1, 84, 8400)))
  assert.ok('decode' in check(output(1, 8400, 84)))
  for (const outputs of [
    [],
    [output(1, 84, 8399)],
    [output(1, 4, 8400)],
    [output(84, 8400)],
    [output(1, 116, 8400), output(1, 32, 160, 160)],
  ]) {
    assert.deepEqual(check(...outputs), { expected })
  }
})
