/** Labels of one image as Pascal VOC's XML. Pure. */
import type { Sample } from '../dataset.ts'
import { escaped } from './xml-text.ts'

/** Boxes in whole pixels from 1, both ends included, as every tool of this form reads them. */
export function vocText({ width, height, annotations }: Sample, file: string): string {
  const objects = annotations.flatMap((annotation) => {
    if (annotation.kind !== 'box') return []
    const [x, y, across, down] = annotation.box
    const [left, top] = [pixel(x * width, width), pixel(y * height, height)]
    const right = Math.min(width, Math.max(left, Math.round((x + across) * width)))
    const bottom = Math.min(height, Math.max(top, Math.round((y + down) * height)))
    return `  <object>
    <name>${escaped(annotation.label)}</name>
    <truncated>0</truncated>
    <difficult>${annotation.crowd ? 1 : 0}</difficult>
    <bndbox><xmin>${left}</xmin><ymin>${top}</ymin><xmax>${right}</xmax><ymax>${bottom}</ymax></bndbox>
  </object>
`
  })
  return `<annotation>
  <folder>JPEGImages</folder>
  <filename>${escaped(file)}</filename>
  <size><width>${width}</width><height>${height}</height><depth>3</depth></size>
  <segmented>0</segmented>
${objects.join('')}</annotation>
`
}

const pixel = (value: number, size: number): number =>
  Math.min(size, Math.max(1, Math.round(value) + 1))
