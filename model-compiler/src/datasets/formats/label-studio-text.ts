/** A data set as tasks of Label Studio, with their annotations, and the labelling interface that shows them. Pure. */
import type { Annotation, Sample } from '../dataset.ts'
import { escaped } from './xml-text.ts'

/** What is said of boxes that stand for a crowd. */
export const crowdNote = 'crowd'
/** How Label Studio is told of a file below the folder that it serves. */
export const localFile = '/data/local-files/?d='

export function labelStudioText(
  written: readonly { readonly sample: Sample; readonly file: string }[],
): string {
  const tasks = written.map(({ sample, file }, at) => {
    const { digest, site, stream, capturedAt, annotations } = sample
    return {
      id: at + 1,
      data: {
        image: `${localFile}${encodeURI(file)}`,
        // Its data come back with a task, whatever they are.
        edgeloop: {
          digest,
          site,
          stream,
          ...(capturedAt !== undefined && { capturedAt: new Date(capturedAt).toISOString() }),
        },
      },
      annotations: [{ result: annotations.flatMap((one, index) => resultOf(one, sample, index)) }],
    }
  })
  return `${JSON.stringify(tasks, null, 1)}\n`
}

function resultOf(one: Annotation, { width, height }: Sample, index: number): object[] {
  const head = (kind: string, type: string) => ({
    id: `${kind}-${index + 1}`,
    type,
    from_name: kind,
    to_name: 'image',
  })
  const size = { original_width: width, original_height: height, image_rotation: 0 }
  switch (one.kind) {
    case 'box': {
      const [x, y, across, down] = one.box
      const place = { x: percent(x), y: percent(y), width: percent(across), height: percent(down) }
      return [
        {
          ...head('box', 'rectanglelabels'),
          ...size,
          value: { ...place, rotation: 0, rectanglelabels: [one.label] },
          ...(one.crowd && { meta: { text: [crowdNote] } }),
        },
      ]
    }
    case 'polygon': {
      const points = one.points.map(([x, y]) => [percent(x), percent(y)])
      return [
        {
          ...head('outline', 'polygonlabels'),
          ...size,
          value: { points, closed: true, polygonlabels: [one.label] },
        },
      ]
    }
    case 'class':
      return [{ ...head('class', 'choices'), value: { choices: [one.label] } }]
    case 'number':
      return [{ ...head('number', 'number'), from_name: one.name, value: { number: one.value } }]
    default:
      return []
  }
}

/** Kept to a millionth of the picture, as Label Studio itself keeps more digits than it shows. */
const percent = (share: number): number => Math.round(share * 1e8) / 1e6

/** What a project is set up with, to look at the tasks. */
export function labelStudioInterface(labels: readonly string[]): string {
  const of = (tag: string): string =>
    labels.map((label) => `    <${tag} value="${escaped(label)}"/>\n`).join('')
  return `<View>
  <Image name="image" value="$image" zoom="true"/>
  <RectangleLabels name="box" toName="image">
${of('Label')}  </RectangleLabels>
  <PolygonLabels name="outline" toName="image">
${of('Label')}  </PolygonLabels>
  <Choices name="class" toName="image" choice="multiple">
${of('Choice')}  </Choices>
</View>
`
}
