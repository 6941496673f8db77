/** A data set as CVAT's XML for images, version 1.1. Pure. */
import type { Annotation, Sample } from '../dataset.ts'
import { escaped } from './xml-text.ts'

/** Attribute of boxes that stand for a crowd. */
export const crowdAttribute = 'crowd'

export function cvatText(
  name: string,
  labels: readonly string[],
  written: readonly { readonly sample: Sample; readonly file: string }[],
): string {
  const crowds = written.some(({ sample }) =>
    sample.annotations.some((one) => one.kind === 'box' && one.crowd),
  )
  // A label's attributes have to be declared, or CVAT refuses the file.
  const attributes = crowds
    ? `<attribute><name>${crowdAttribute}</name><mutable>False</mutable><input_type>checkbox</input_type><default_value>false</default_value><values>false</values></attribute>`
    : ''
  const declared = labels.map(
    (label) =>
      `        <label><name>${escaped(label)}</name><attributes>${attributes}</attributes></label>\n`,
  )
  const images = written.map(({ sample, file }, at) => {
    const { width, height, annotations } = sample
    const shapes = annotations.map((one) => shapeText(one, sample)).join('')
    return `  <image id="${at}" name="${escaped(file.replace(/^images\//, ''))}" width="${width}" height="${height}">
${shapes}  </image>
`
  })
  return `<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <name>${escaped(name)}</name>
      <size>${written.length}</size>
      <mode>annotation</mode>
      <labels>
${declared.join('')}      </labels>
    </task>
  </meta>
${images.join('')}</annotations>
`
}

function shapeText(one: Annotation, { width, height }: Sample): string {
  if (one.kind === 'mask' || one.kind === 'number') return ''
  const head = `label="${escaped(one.label)}" source="manual"`
  if (one.kind === 'class') return `    <tag ${head}></tag>\n`
  if (one.kind === 'polygon') {
    const points = one.points.map(([x, y]) => `${pixels(x * width)},${pixels(y * height)}`)
    return `    <polygon ${head} occluded="0" points="${points.join(';')}" z_order="0"></polygon>\n`
  }
  const [x, y, across, down] = one.box
  const corners = `xtl="${pixels(x * width)}" ytl="${pixels(y * height)}" xbr="${pixels((x + across) * width)}" ybr="${pixels((y + down) * height)}"`
  const crowd = one.crowd ? `<attribute name="${crowdAttribute}">true</attribute>` : ''
  return `    <box ${head} occluded="0" ${corners} z_order="0">${crowd}</box>\n`
}

/** To a ten-thousandth of a pixel. */
const pixels = (value: number): number => Math.round(value * 1e4) / 1e4
