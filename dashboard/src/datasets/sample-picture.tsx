/** The picture of a sample with what is said of it drawn on it: places are shares, whatever size it is shown in. */
import { pathOf, routes, type SampleAnnotation } from '@edgeloop/protocol'
import { useState } from 'react'
import { classColour } from '../live/class-colour.ts'
import classes from './sample-picture.module.css'

type Shown = {
  readonly digest: string
  readonly width: number
  readonly height: number
  readonly annotations: readonly SampleAnnotation[]
}

/** Shapes drawn on one picture: more cannot be told apart. */
const shapesMax = 500

/**
 * @param small a thumbnail, where there is one; outlines only, without their words
 * @param href where the picture is, where it is not that of the digest
 */
export function SamplePicture(props: {
  sample: Shown
  small?: boolean
  bare?: boolean
  href?: string
}) {
  const { digest, width, height, annotations } = props.sample
  const [failed, setFailed] = useState(false)
  const route = props.small ? routes.sampleThumbnail : routes.samplePicture
  if (failed) return <span className={classes.missing}>The picture is missing</span>
  const shapes = props.bare ? [] : annotations.slice(0, shapesMax)
  return (
    <svg
      className={classes.picture}
      viewBox={`0 0 ${width} ${height}`}
      data-small={props.small}
      aria-hidden
    >
      <image
        href={props.href ?? pathOf(route, { digest })}
        width={width}
        height={height}
        preserveAspectRatio="none"
        onError={() => setFailed(true)}
      />
      {shapes.map((one, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a list that is replaced whole, never reordered
        <Outline key={at} annotation={one} width={width} height={height} named={!props.small} />
      ))}
    </svg>
  )
}

function Outline(props: {
  annotation: SampleAnnotation
  width: number
  height: number
  named: boolean
}) {
  const { annotation, width, height } = props
  if (annotation.kind === 'box') {
    const [left = 0, top = 0, across = 0, down = 0] = annotation.box
    const place = {
      x: left * width,
      y: top * height,
      width: across * width,
      height: down * height,
    }
    return (
      <>
        <rect className={classes.under} {...place} />
        <rect
          className={classes.outline}
          stroke={classColour(annotation.label)}
          strokeDasharray={annotation.crowd ? '4 3' : undefined}
          {...place}
        />
      </>
    )
  }
  if (annotation.kind !== 'polygon') return null
  const points = annotation.points.map(([x, y]) => `${x * width},${y * height}`).join(' ')
  return (
    <>
      <polygon className={classes.under} points={points} />
      <polygon className={classes.outline} stroke={classColour(annotation.label)} points={points} />
    </>
  )
}

/** What is said of a picture in a few words: `3 bolt, 1 nut`. */
export function sayAnnotations(annotations: readonly SampleAnnotation[]): string {
  if (annotations.length === 0) return 'Nothing is said of it'
  const counts = new Map<string, number>()
  for (const one of annotations) {
    const word = wordOf(one)
    counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  return [...counts].map(([word, count]) => (count === 1 ? word : `${count} ${word}`)).join(', ')
}

export function wordOf(annotation: SampleAnnotation): string {
  if (annotation.kind === 'mask') return `mask of ${annotation.labels.length} labels`
  if (annotation.kind === 'number') return `${annotation.name} ${annotation.value}`
  return annotation.label
}
