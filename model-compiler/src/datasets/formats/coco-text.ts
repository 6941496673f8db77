/** A data set as COCO's JSON. Pure. */
import type { Box, Sample } from '../dataset.ts'
import { outlinedOf } from '../outlines.ts'
import { boxRuns } from './run-lengths.ts'

/** Labels are numbered from 1, as everywhere in COCO. */
export function cocoText(
  labels: readonly string[],
  written: readonly { readonly sample: Sample; readonly file: string }[],
): string {
  const numbers = new Map(labels.map((label, at) => [label, at + 1]))
  const annotations: object[] = []
  const images = written.map(({ sample, file }, at) => {
    const { width, height, capturedAt, site, stream } = sample
    for (const { label, box, crowd, outlines } of outlinedOf(sample.annotations)) {
      const [x, y, across, down] = box
      const bbox = [x * width, y * height, across * width, down * height].map(rounded)
      annotations.push({
        id: annotations.length + 1,
        image_id: at + 1,
        category_id: numbers.get(label),
        bbox,
        area: rounded(bbox[2]! * bbox[3]!),
        iscrowd: crowd ? 1 : 0,
        segmentation: crowd
          ? crowdMask(box, width, height)
          : outlines.map((points) =>
              points.flatMap(([px, py]) => [rounded(px * width), rounded(py * height)]),
            ),
      })
    }
    return {
      id: at + 1,
      file_name: file.replace(/^images\//, ''),
      width,
      height,
      ...(capturedAt !== undefined && { date_captured: new Date(capturedAt).toISOString() }),
      ...((site ?? stream) !== undefined && { edgeloop: { site, stream } }),
    }
  })
  const categories = labels.map((name, at) => ({ id: at + 1, name }))
  return `${JSON.stringify({ images, annotations, categories })}\n`
}

/** Who evaluates masks counts on runs where a crowd is: all of its box is the crowd. */
function crowdMask([x, y, across, down]: Box, width: number, height: number): object {
  const [left, top] = [Math.floor(x * width), Math.floor(y * height)].map((at) => Math.max(0, at))
  const right = Math.min(width, Math.ceil((x + across) * width - 1e-6))
  const bottom = Math.min(height, Math.ceil((y + down) * height - 1e-6))
  const box = [left!, top!, Math.max(1, right - left!), Math.max(1, bottom - top!)] as const
  return { counts: boxRuns(box, width, height), size: [height, width] }
}

/** To a thousandth of a pixel. */
const rounded = (value: number): number => Math.round(value * 1000) / 1000
