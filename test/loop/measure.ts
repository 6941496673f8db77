/** How good a model file is on frames whose truth is known, read as a box reads it. */
import { openModel, ortRuntime, placeImage } from '@edgeloop/edge-agent/detect'
import { averagePrecision, type Found, meanAveragePrecision } from '@edgeloop/model-compiler'
import { decodePicture } from '@edgeloop/model-compiler/datasets'
import type { Shot } from './shots.ts'
import { worldLabels } from './world.ts'

/** As COCO does it: few are cut off by the score. */
const reading = { scoreMin: 0.02, nmsIou: 0.6, maxDetections: 100 }

export type Measured = {
  /** Mean over the labels that occur, 0..1. */
  readonly ap50: number
  readonly ap: number
  /** AP50 of each label that occurs. */
  readonly labels: Readonly<Record<string, number>>
}

/**
 * @param model file, with its description beside it or given
 * @throws {Error} when the agent would not open it
 */
export async function measure(
  model: { readonly file: string; readonly description?: string },
  shots: readonly Shot[],
): Promise<Measured> {
  await using opened = await openModel({ name: 'measured', ...model }, ortRuntime)
  const found: Found[] = []
  for (const { image, jpeg } of shots) {
    const picture = await decodePicture(jpeg, image)
    const bytes = new Uint8Array(opened.inputBytes)
    const { view } = await placeImage(picture, (w, h) => opened.inputFor(w, h), bytes)
    const { detections = [] } = await opened.read(bytes, view, reading)
    for (const { label, score, box } of detections) {
      const [left = 0, top = 0, width = 0, height = 0] = box
      found.push({ image, label, score, box: [left, top, width, height] })
    }
  }
  const truths = shots.flatMap((shot) => shot.truths)
  const { ap50, ap50to95 } = meanAveragePrecision(truths, found)
  const labels = worldLabels.flatMap((label) => {
    const isIt = (one: { readonly label: string }) => one.label === label
    const value = averagePrecision(truths.filter(isIt), found.filter(isIt), 0.5, 101)
    return Number.isNaN(value) ? [] : [[label, value] as const]
  })
  return { ap50, ap: ap50to95, labels: Object.fromEntries(labels) }
}
