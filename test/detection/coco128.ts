/** The 100 photographs of coco128 with what people drew in them, read in place. */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { cocoLabels } from '../../edge-agent/src/models/coco-labels.ts'
import type { Truth } from '../../model-compiler/src/evaluate/average-precision.ts'
import { material } from '../require.ts'

/** Folder of the photographs. */
export const coco128Images = `${material}/datasets/coco128/images/train2017`
const labelFolder = `${material}/datasets/coco128/object_detection/labels/train2017`

/** Every box that was drawn, as shares of its image; `image` is the file's name. */
export function coco128Truths(): Truth[] {
  return globSync(`${coco128Images}/*.jpg`).flatMap((file) => {
    const labels = `${labelFolder}/${basename(file, '.jpg')}.txt`
    // A photograph with nothing in it has no file.
    const lines = existsSync(labels) ? readFileSync(labels, 'utf8').trim().split('\n') : []
    return lines.map((line) => truthOf(basename(file), line))
  })
}

/** A line of YOLO's format: class, then centre and size as shares. */
function truthOf(image: string, line: string): Truth {
  const [index = 0, x = 0, y = 0, width = 0, height = 0] = line.split(' ').map(Number)
  const label = cocoLabels[index] ?? ''
  return { image, label, box: [x - width / 2, y - height / 2, width, height] }
}
