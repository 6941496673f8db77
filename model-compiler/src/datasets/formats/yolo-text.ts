/** Labels as YOLO's texts, and the configuration beside them. Pure. */
import { stringify } from 'yaml'
import type { Sample } from '../dataset.ts'
import { outlinedOf } from '../outlines.ts'

/** A line per box; where the outline of a thing is known, and is one, that instead. */
export function yoloText({ annotations }: Sample, labels: readonly string[]): string {
  return outlinedOf(annotations)
    .map(({ label, box: [x, y, width, height], outlines }) => {
      const numbers =
        outlines.length === 1 ? outlines[0]!.flat() : [x + width / 2, y + height / 2, width, height]
      return `${[labels.indexOf(label), ...numbers.map(short)].join(' ')}\n`
    })
    .join('')
}

/** Without `val`: which part is for what is decided when a model is trained. */
export const yoloConfiguration = (labels: readonly string[]): string =>
  stringify({ path: '.', train: 'images', val: 'images', names: { ...labels } })

/** Eight digits are less than a thousandth of a pixel of any camera. */
const short = (value: number): string => String(Number(value.toFixed(8)))
