/** Runs a real model on a real photograph and compares with what a person sees in it. */
import assert from 'node:assert/strict'
import { detectImages } from '../../edge-agent/src/detect/detect-images.ts'
import { openModel } from '../../edge-agent/src/models/open-model.ts'
import { ortRuntime } from '../../edge-agent/src/runtimes/ort.ts'
import {
  type Box,
  intersectionOverUnion,
} from '../../model-compiler/src/evaluate/average-precision.ts'
import { material } from '../require.ts'

/** Least overlap with the box a person drew: detectors of this size are no closer. */
const iouMin = 0.6

/**
 * @param wanted boxes by label, as shares of the image; ` 2` after a label means one more of it
 * @throws {AssertionError} when one of them is not found, or a label is found more often
 */
export async function assertFinds(
  source: { readonly model: string; readonly layout: string; readonly labels?: string },
  image: string,
  wanted: Readonly<Record<string, Box>>,
): Promise<void> {
  const { model: file, ...rest } = source
  const found = { name: file, file: `${material}/models/${file}`, ...rest }
  await using model = await openModel(found, ortRuntime)
  const labels = [...new Set(Object.keys(wanted).map(labelOf))]
  const options = { scoreMin: 0.4, nmsIou: 0.45, maxDetections: 100, labels }
  const results = detectImages({ model, images: [`${material}/images/${image}`], options })
  for await (const { detections = [] } of results) {
    const shown = JSON.stringify(detections)
    assert.equal(detections.length, Object.keys(wanted).length, shown)
    for (const [name, box] of Object.entries(wanted)) {
      const hit = detections.some(
        (detection) => detection.label === labelOf(name) && overlap(detection.box, box) >= iouMin,
      )
      assert(hit, `${name} is missing in ${shown}`)
    }
  }
}

function labelOf(name: string): string {
  return name.replace(/ \d+$/, '')
}

function overlap(found: readonly number[], wanted: Box): number {
  const [left = 0, top = 0, width = 0, height = 0] = found
  return intersectionOverUnion([left, top, width, height], wanted)
}
