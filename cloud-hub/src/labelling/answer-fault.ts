/** What is wrong with annotations that somebody sent for a sample, before they can get into a dataset. */
import {
  type LabelQueueConfig,
  labelKinds,
  nearestName,
  type SampleAnnotation,
} from '@edgeloop/protocol'

/** Slack of shares that were rounded on their way. */
const slack = 1e-6

export const kindsOf = ({ kinds }: LabelQueueConfig): readonly SampleAnnotation['kind'][] =>
  kinds ?? labelKinds

/**
 * @param before what the dataset says of the sample: what is not asked for may come back as it is
 * @returns why they cannot be kept; undefined where they can
 */
export function answerFault(
  annotations: readonly SampleAnnotation[],
  of: {
    readonly config: LabelQueueConfig
    readonly labels: readonly string[]
    readonly before: readonly SampleAnnotation[]
  },
): string | undefined {
  const kinds = kindsOf(of.config)
  const known = new Set(of.labels)
  const kept = new Set(of.before.map((one) => JSON.stringify(one)))
  for (const [at, one] of annotations.entries()) {
    const which = `annotation ${at + 1} of ${annotations.length}`
    if (!kinds.includes(one.kind)) {
      if (kept.has(JSON.stringify(one))) continue
      return `${which} is a ${one.kind}; this queue asks for ${kinds.join(', ')}`
    }
    if (one.kind === 'mask' || one.kind === 'number') continue
    if (!known.has(one.label)) {
      const near = nearestName(one.label, of.labels)
      const hint = near === undefined ? '' : `; did you mean "${near}"?`
      return `the label "${one.label}" of ${which} is not in the dataset${hint}`
    }
    if (one.kind === 'box') {
      const [left, top, width, height] = one.box as unknown as [number, number, number, number]
      if (width <= 0 || height <= 0) return `the box of ${which} has no size`
      if (left + width > 1 + slack || top + height > 1 + slack) {
        return `the box of ${which} goes beyond the picture: ${left} + ${width}, ${top} + ${height}`
      }
    }
    if (one.kind === 'polygon' && areaOf(one.points) === 0) {
      return `the outline of ${which} has no area`
    }
  }
  return undefined
}

function areaOf(points: readonly (readonly [number, number])[]): number {
  let twice = 0
  for (let at = 0; at < points.length; at++) {
    const [x1, y1] = points[at]!
    const [x2, y2] = points[(at + 1) % points.length]!
    twice += x1 * y2 - x2 * y1
  }
  return Math.abs(twice) / 2
}
