/** Segmentation: a map by hand both ways round, and a real photograph with a real model. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { intersectionOverUnion } from '../../../../model-compiler/src/evaluate/average-precision.ts'
import { put } from '../../../../test/detection/tiny-models.ts'
import { material, needs } from '../../../../test/require.ts'
import { detectImages } from '../../detect/detect-images.ts'
import { ortRuntime } from '../../runtimes/ort.ts'
import { openModel } from '../open-model.ts'
import type { ReadingGiven } from './layout.ts'
import { segmentation } from './segmentation.ts'

const output = (...shape: number[]) => ({ name: 'map', type: 'float32' as const, shape })
/** An 8×4 frame in the middle of an 8×8 canvas. */
const content = { left: 0, top: 2, width: 8, height: 4 }
const given: ReadingGiven = {
  labels: ['ground', 'road', 'sky'],
  view: { width: 8, height: 8, channels: 'rgb', pad: 0, content },
  scoreMin: 0,
  keepMax: 10,
  wanted: undefined,
}

test('segmentation reads shares and outlines of the frame, not of the padding', () => {
  // Sky in the padding above and below; the right half of the frame is road.
  const classOf = (x: number, y: number) => (y < 2 || y >= 6 ? 2 : x < 4 ? 0 : 1)
  for (const [shape, at] of [
    [[1, 3, 8, 8], (x: number, y: number, c: number) => c * 64 + y * 8 + x],
    [[1, 8, 8, 3], (x: number, y: number, c: number) => (y * 8 + x) * 3 + c],
  ] as const) {
    const checked = segmentation.check({ width: 8, height: 8, outputs: [output(...shape)] })
    assert('read' in checked)
    assert.equal(checked.classes, 3)
    const data = new Float32Array(3 * 64)
    for (let y = 0; y < 8; y++) for (let x = 0; x < 8; x++) data[at(x, y, classOf(x, y))] = 2
    const tensors = { map: { type: 'float32', shape: [...shape], data } } as const
    const box = (left: number, right: number) => [
      [left, 0],
      [right, 0],
      [right, 1],
      [left, 1],
    ]
    assert.deepEqual(checked.read(tensors, given), {
      areas: [
        { label: 'ground', share: 0.5, polygons: [box(0, 0.5)] },
        { label: 'road', share: 0.5, polygons: [box(0.5, 1)] },
      ],
    })
    const roads = checked.read(tensors, { ...given, wanted: new Set([1]) })
    assert.deepEqual(
      roads.areas?.map(({ label }) => label),
      ['road'],
    )
  }
})

test('segmentation.check() says which output it had expected, and leaves detectors alone', () => {
  const expected =
    'one output [1, classes, rows, columns] or [1, rows, columns, classes] of at least 44×44 pixels'
  for (const outputs of [
    [],
    [output(1, 85, 22, 22)],
    [output(1, 84, 2541)],
    [output(1, 1, 352, 352)],
  ]) {
    assert.deepEqual(segmentation.check({ width: 352, height: 352, outputs }), { expected })
  }
})

const vocLabels =
  'background aeroplane bicycle bird boat bottle bus car cat chair cow table dog horse motorbike person plant sheep sofa train tv'

test('segmentation finds dog and bicycle in a real photograph', needs('material'), async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-segmentation-'))
  t.after(() => rm(folder, { recursive: true }))
  const labels = await put(folder, 'voc.txt', vocLabels.replaceAll(' ', '\n'))
  const file = join(material, 'models', 'deeplab_v3_mnv2_257.onnx')
  const source = { name: 'deeplab', file, layout: 'segmentation' }
  await using model = await openModel({ ...source, labels }, ortRuntime)
  const options = { scoreMin: 0, nmsIou: 1, maxDetections: 100 }
  const images = [join(material, 'images', 'darknet_dog.jpg')]
  for await (const { areas = [] } of detectImages({ model, images, options })) {
    const shown = JSON.stringify(areas.map(({ label, share }) => [label, share]))
    assert.deepEqual(
      areas.slice(0, 3).map(({ label }) => label),
      ['background', 'bicycle', 'dog'],
      shown,
    )
    // Both stand in front of each other; what is seen of them is less than half of their boxes.
    const boxes = { dog: [0.17, 0.38, 0.235, 0.56], bicycle: [0.16, 0.21, 0.58, 0.54] } as const
    for (const [label, box] of Object.entries(boxes)) {
      const { share = 0, polygons = [] } = areas.find((area) => area.label === label) ?? {}
      assert.ok(share > 0.3 * box[2] * box[3] * 0.5 && share < box[2] * box[3], shown)
      const points = polygons.flat()
      const [left, top] = [
        Math.min(...points.map(([x]) => x)),
        Math.min(...points.map(([, y]) => y)),
      ]
      const [right, bottom] = [
        Math.max(...points.map(([x]) => x)),
        Math.max(...points.map(([, y]) => y)),
      ]
      const found = [left, top, right - left, bottom - top] as const
      const overlap = intersectionOverUnion(found, box)
      assert.ok(overlap > 0.5, `${label}: ${found} overlaps by ${overlap}`)
    }
  }
})
