/** A data set as COCO's JSON. Pure. */
import type { Sample } from '../dataset.ts'
import { outlinedOf } from '../outlines.ts'

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
        ...{ id: annotations.length + 1, image_id: at + 1, category_id: numbers.get(label) },
        ...{ bbox, area: rounded(bbox[2]! * bbox[3]!), iscrowd: crowd ? 1 : 0 },
        segmentation: outlines.map((points) =>
          points.flatMap(([px, py]) => [rounded(px * width), rounded(py * height)]),
        ),
      })
    }
    return {
      ...{ id: at + 1, file_name: file.replace(/^images\//, ''), width, height },
      ...(capturedAt !== undefined && { date_captured: new Date(capturedAt).toISOString() }),
      ...((site ?? stream) !== undefined && { edgeloop: { site, stream } }),
    }
  })
  const categories = labels.map((name, at) => ({ id: at + 1, name }))
  return `${JSON.stringify({ images, annotations, categories })}\n`
}

/** To a thousandth of a pixel. */
const rounded = (value: number): number => Math.round(value * 1000) / 1000
