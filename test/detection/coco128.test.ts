/**
 * Detectors on labelled photographs: average precision must be what the same files reach elsewhere
 * (README of the material). A wrong colour order, resize or box formula shows here and nowhere else.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Detection } from '@edgeloop/protocol'
import { fits } from '@edgeloop/protocol/check'
import { detectImages } from '../../edge-agent/src/detect/detect-images.ts'
import type { Model } from '../../edge-agent/src/models/model.ts'
import { openModel } from '../../edge-agent/src/models/open-model.ts'
import { ortRuntime } from '../../edge-agent/src/runtimes/ort.ts'
import {
  type Found,
  meanAveragePrecision,
} from '../../model-compiler/src/evaluate/average-precision.ts'
import { material, needs } from '../require.ts'
import { coco128Images, coco128Truths } from './coco128.ts'
import { put } from './tiny-models.ts'

/** As far below the reference as a set of 100 images may lie by chance of rounding and resizing. */
const tolerance = 0.01

const references = [
  { model: 'yolox_nano_416', layout: 'yolox', ap50: 0.497, ap50to95: 0.317 },
  { model: 'nanodet_m_320', layout: 'nanodet', ap50: 0.443, ap50to95: 0.282 },
  { model: 'fastestdet_352', layout: 'fastestdet', ap50: 0.306, ap50to95: 0.18 },
  {
    model: 'light_person_detector_192',
    layout: 'yolox',
    ap50: 0.441,
    ap50to95: 0.262,
    labels: ['person'],
  },
] as const

/** Left to CI. */
const slow: ReadonlySet<string> = new Set(['yolox_nano_416', 'nanodet_m_320'])

for (const reference of references) {
  const { model: name, layout } = reference
  test(
    `detectImages() with ${name} is as precise as elsewhere`,
    needs('material', ...(slow.has(name) ? (['time'] as const) : [])),
    async (t) => {
      const labels = 'labels' in reference ? await labelsFile(t, reference.labels) : 'coco'
      const file = `${material}/models/${name}.onnx`
      await using model = await openModel({ name, file, layout, labels }, ortRuntime)
      const found = await findIn(model)
      const truths = coco128Truths().filter(({ label }) => model.labels.includes(label))
      const { ap50, ap50to95 } = meanAveragePrecision(truths, found)
      t.diagnostic(`${name}: AP50 ${ap50.toFixed(3)}, AP50:95 ${ap50to95.toFixed(3)}`)
      assert(ap50 >= reference.ap50 - tolerance, `AP50 ${ap50}`)
      assert(ap50to95 >= reference.ap50to95 - tolerance, `AP50:95 ${ap50to95}`)
    },
  )
}

/** What a model finds in the photographs, checked against what the protocol allows. */
async function findIn(model: Model): Promise<Found[]> {
  const options = { scoreMin: 0.02, nmsIou: 0.6, maxDetections: 100 }
  const found: Found[] = []
  const images: string[] = []
  for await (const result of detectImages({ model, images: [coco128Images], options })) {
    images.push(result.source)
    for (const detection of result.detections ?? []) {
      assert(fits(Detection, detection), JSON.stringify(detection))
      const [left = 0, top = 0, width = 0, height = 0] = detection.box
      found.push({ ...detection, image: result.source, box: [left, top, width, height] })
    }
  }
  assert.equal(images.length, 100)
  assert.deepEqual(images, images.toSorted())
  return found
}

async function labelsFile(t: TestContext, labels: readonly string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-labels-'))
  t.after(() => rm(folder, { recursive: true }))
  return put(folder, 'labels.txt', labels.join('\n'))
}
