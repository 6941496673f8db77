/**
 * What each new class begins as: the old classes that the detector already takes its things for. A class of the same name
 * is taken as it is; otherwise the old classes are asked what they say at the cell that fits each training box best.
 */
import { intersectionOverUnion } from '../../evaluate/average-precision.ts'
import type { ModelProto } from '../../onnx/schema.ts'
import type { Value } from '../../runtime/session.ts'
import { recognizeHead } from './head.ts'
import { type CornerBox, HeadReader, type HeadReading } from './read-head.ts'
import type { ClassOrigin } from './relabel.ts'

/** Old classes that make a new one, at most. */
const originsMax = 3
/** Boxes of a label that are looked at: more say nothing new. */
export const boxesPerLabelMax = 64

/** A training picture with its boxes. */
export type OriginPicture = {
  /** [1, C, height, width] as the model's input takes it. */
  readonly image: Value
  /** In pixels of the canvas. */
  readonly boxes: readonly { readonly label: string; readonly corners: CornerBox }[]
}

/**
 * @param labels the new ones
 * @param oldLabels those of the model, where they are known
 * @returns what each new label begins as, in order
 */
export async function findOrigins(
  model: ModelProto,
  labels: readonly string[],
  oldLabels: readonly string[] | undefined,
  pictures: AsyncIterable<OriginPicture>,
): Promise<readonly ClassOrigin[]> {
  const head = recognizeHead(model)
  const sameName = labels.map((label) => {
    const index = oldLabels?.length === head.classes ? oldLabels.findIndex(named(label)) : -1
    return index < 0 ? undefined : [{ index, share: 1 }]
  })
  if (sameName.every((one) => one !== undefined)) return sameName
  await using reader = await HeadReader.open(model, head)
  const sums = labels.map(() => new Float64Array(head.classes))
  const counts = labels.map(() => 0)
  for await (const { image, boxes } of pictures) {
    const open = boxes.filter(({ label }) => {
      const at = labels.indexOf(label)
      return at >= 0 && sameName[at] === undefined && counts[at]! < boxesPerLabelMax
    })
    if (open.length === 0) continue
    const reading = await reader.read(image)
    for (const { label, corners } of open) {
      const at = labels.indexOf(label)
      const cell = bestCell(reading, reader.anchors.count, corners)
      counts[at]!++
      for (let index = 0; index < head.classes; index++) {
        sums[at]![index]! += reading.scoreOf(cell, index)
      }
    }
  }
  return labels.map((_, at) => sameName[at] ?? originOf(sums[at]!, counts[at]!))
}

/** The best of the summed scores, each as much as it said. */
export function originOf(sums: Float64Array, count: number): ClassOrigin {
  const best = [...sums.entries()].toSorted(([, a], [, b]) => b - a).slice(0, originsMax)
  if (count === 0) return []
  const total = best.reduce((sum, [, one]) => sum + one, 0)
  return best.map(([index, sum]) => ({ index, share: total > 0 ? sum / total : 1 / best.length }))
}

const named = (label: string) => (other: string) =>
  other.trim().toLowerCase() === label.trim().toLowerCase()

/** The cell whose box fits best, and which is sure that there is something. */
function bestCell(reading: HeadReading, cells: number, corners: CornerBox): number {
  let best = 0
  let bestFit = -1
  for (let cell = 0; cell < cells; cell++) {
    const overlap = intersectionOverUnion(asBox(reading.boxOf(cell)), asBox(corners))
    const fit = overlap === 0 ? 0 : overlap * reading.objectnessOf(cell)
    if (fit > bestFit) {
      best = cell
      bestFit = fit
    }
  }
  return best
}

const asBox = ([left, top, right, bottom]: CornerBox) =>
  [left, top, right - left, bottom - top] as const
