/** A data set of pictures that a test paints. */
import { createHash } from 'node:crypto'
import {
  type Annotation,
  type Dataset,
  datasetOf,
  Problems,
  type Sample,
} from '../../datasets/index.ts'

export type Painted = {
  readonly data: Uint8Array
  readonly annotations: readonly Annotation[]
}

export function rawSet(
  size: { readonly width: number; readonly height: number; readonly channels: 1 | 3 },
  painted: readonly Painted[],
  labels: readonly string[] = ['thing'],
): Dataset {
  const bytes = size.width * size.height * size.channels
  const data = new Uint8Array(new SharedArrayBuffer(bytes * painted.length))
  const places = new Map<string, number>()
  const samples = painted.map(({ data: pixels, annotations }, at): Sample => {
    data.set(pixels, at * bytes)
    const digest = createHash('sha256').update(pixels).digest('hex')
    places.set(digest, at)
    const { width, height } = size
    return { digest, name: `painted/${at}`, width, height, annotations }
  })
  const pictures = { kind: 'raw', ...size, data, places } as const
  return datasetOf({
    name: 'painted',
    labels,
    samples,
    problems: new Problems(),
    pictures,
    folder: '.',
  })
}
