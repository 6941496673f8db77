/** What is in a data set, in figures, and what in it looks wrong. */
import { createHash } from 'node:crypto'
import { intersectionOverUnion } from '../evaluate/average-precision.ts'
import type { Box, Dataset, Sample } from './dataset.ts'
import { DatasetError } from './dataset-error.ts'
import { inTurns } from './draft.ts'
import { type Problem, Problems } from './problems.ts'

export type LabelFigures = {
  readonly label: string
  readonly annotations: number
  readonly samples: number
  /** Median of the areas of its boxes, as a share of the picture; undefined where it has none. */
  readonly areaMedian?: number
}

export type StreamFigures = {
  readonly site: string | undefined
  readonly stream: string | undefined
  readonly samples: number
  /** Milliseconds since 1970; undefined where nobody said. */
  readonly from: number | undefined
  readonly to: number | undefined
}

export type Inspection = {
  readonly name: string
  readonly digest: string
  readonly samples: number
  /** Samples that nothing is said to be in. */
  readonly empty: number
  readonly annotations: Readonly<Record<string, number>>
  readonly labels: readonly LabelFigures[]
  /** Sizes in pixels, the most frequent first; at most 20. */
  readonly sizes: readonly {
    readonly width: number
    readonly height: number
    readonly samples: number
  }[]
  /** Width of pictures by their height. */
  readonly aspect: { readonly least: number; readonly median: number; readonly most: number }
  readonly streams: readonly StreamFigures[]
  readonly problems: Problems
}

export type InspectOptions = {
  /** Every picture is decoded and held against its digest, so that those that broke later are found. Default false. */
  readonly pixels?: boolean
  readonly signal?: AbortSignal
  readonly onPicture?: (done: number, total: number) => void
}

/** A box of which a side is shorter, in pixels, shows hardly anything. */
const tinyPixels = 4
const overlapMax = 0.9
const wholeShare = 0.97
const aspectMax = 12
/** A label with fewer annotations than this share of the median of all labels is rare. */
const rareShare = 0.05
/** Boxes of one sample that are compared with each other. */
const comparedMax = 500
const sizesMax = 20

/** @throws only what the signal says: what is wrong is in `problems`, with what `openDataset` found before it */
export async function inspectDataset(
  dataset: Dataset,
  options: InspectOptions = {},
): Promise<Inspection> {
  const { name, digest, samples } = dataset
  const problems = new Problems()
  problems.addAll(dataset.problems)
  const boxes = samples.flatMap(boxesOf)
  const whole = boxes.filter(({ box }) => box[2] * box[3] >= wholeShare).length
  for (const sample of samples) lookAtBoxes(sample, 2 * whole < boxes.length, problems)
  const labels = labelFigures(dataset)
  lookAtLabels(name, labels, problems)
  if (options.pixels) await decodeAll(dataset, options, problems)
  const aspects = samples.map(({ width, height }) => width / height).sort((a, b) => a - b)
  const empty = samples.filter(({ annotations }) => annotations.length === 0)
  return {
    name,
    digest,
    samples: samples.length,
    empty: empty.length,
    labels,
    problems,
    annotations: countBy(samples.flatMap(({ annotations }) => annotations.map(({ kind }) => kind))),
    sizes: sizesOf(samples),
    aspect: {
      least: aspects[0] ?? Number.NaN,
      median: median(aspects),
      most: aspects.at(-1) ?? Number.NaN,
    },
    streams: streamsOf(samples),
  }
}

type Labelled = { readonly label: string; readonly box: Box; readonly crowd: boolean }

const boxesOf = ({ annotations }: Sample): Labelled[] =>
  annotations.flatMap((annotation) =>
    annotation.kind === 'box'
      ? [{ label: annotation.label, box: annotation.box, crowd: annotation.crowd === true }]
      : [],
  )

function lookAtBoxes(sample: Sample, wholeIsOdd: boolean, problems: Problems): void {
  const { name, width, height } = sample
  const report = (kind: Problem['kind'], text: string) => problems.add({ kind, file: name, text })
  const boxes = boxesOf(sample).filter(({ crowd }) => !crowd)
  for (const [at, { label, box }] of boxes.entries()) {
    const [across, down] = [box[2] * width, box[3] * height]
    const size = `${across.toFixed(0)}×${down.toFixed(0)} pixels`
    if (Math.min(across, down) < tinyPixels) report('tiny', `a box of "${label}" of ${size}`)
    else if (Math.max(across / down, down / across) > aspectMax) {
      report('extreme-aspect', `a box of "${label}" of ${size}`)
    }
    if (wholeIsOdd && box[2] * box[3] >= wholeShare) {
      report('whole-image', `a box of "${label}" around nearly all of the picture`)
    }
    for (const other of boxes.slice(Math.max(0, at - comparedMax), at)) {
      if (other.label !== label) continue
      if (other.box.every((value, axis) => value === box[axis])) {
        report('duplicate-box', `the same box of "${label}" twice`)
      } else if (intersectionOverUnion(other.box, box) > overlapMax) {
        report('overlapping', `two boxes of "${label}" cover each other nearly`)
      }
    }
  }
}

function labelFigures({ labels, samples }: Dataset): LabelFigures[] {
  const figures = new Map(
    labels.map((label) => [label, { annotations: 0, samples: 0, areas: [] as number[], last: -1 }]),
  )
  for (const [at, { annotations }] of samples.entries()) {
    for (const annotation of annotations) {
      if (!('label' in annotation)) continue
      const figure = figures.get(annotation.label)
      if (!figure) continue
      // An outline comes with its box.
      if (annotation.kind !== 'polygon') figure.annotations++
      if (annotation.kind === 'box') figure.areas.push(annotation.box[2] * annotation.box[3])
      if (figure.last !== at) figure.samples++
      figure.last = at
    }
  }
  return [...figures].map(([label, { annotations, samples: those, areas }]) => ({
    label,
    annotations,
    samples: those,
    ...(areas.length > 0 && { areaMedian: median(areas.sort((a, b) => a - b)) }),
  }))
}

function lookAtLabels(name: string, labels: readonly LabelFigures[], problems: Problems): void {
  // Masks and numbers are not counted by label.
  if (labels.every(({ samples }) => samples === 0)) return
  const counts = labels.map(({ annotations }) => annotations).filter((count) => count > 0)
  const usual = median(counts.sort((a, b) => a - b))
  for (const { label, annotations, samples } of labels) {
    if (samples === 0) {
      problems.add({ kind: 'missing-label', file: name, text: `nothing is a "${label}"` })
    } else if (annotations < rareShare * usual) {
      const text = `"${label}" occurs ${annotations} time${annotations === 1 ? '' : 's'}, a usual label ${usual} times`
      problems.add({ kind: 'rare-label', file: name, text })
    }
  }
}

async function decodeAll(
  dataset: Dataset,
  { signal, onPicture }: InspectOptions,
  problems: Problems,
): Promise<void> {
  let done = 0
  await inTurns(dataset.samples, 4, async (sample) => {
    try {
      await dataset.picture(sample, signal)
      const bytes = await dataset.bytes(sample, signal)
      if (createHash('sha256').update(bytes).digest('hex') !== sample.digest) {
        const text = 'its bytes are no longer those that its digest names'
        problems.add({ kind: 'unreadable-image', file: sample.name, text })
      }
    } catch (error) {
      if (!(error instanceof DatasetError)) throw error
      problems.add({ kind: 'unreadable-image', file: sample.name, text: error.message })
    }
    onPicture?.(++done, dataset.samples.length)
  })
}

function countBy(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

function sizesOf(samples: readonly Sample[]): Inspection['sizes'] {
  const bySize = Map.groupBy(samples, ({ width, height }) => `${width}×${height}`)
  return [...bySize.values()]
    .map((those) => ({ width: those[0]!.width, height: those[0]!.height, samples: those.length }))
    .sort((a, b) => b.samples - a.samples)
    .slice(0, sizesMax)
}

function streamsOf(samples: readonly Sample[]): StreamFigures[] {
  const known = samples.filter(({ site, stream }) => site !== undefined || stream !== undefined)
  const byStream = Map.groupBy(known, ({ site, stream }) => JSON.stringify([site, stream]))
  return [...byStream.values()].map((those) => {
    const times = those.flatMap(({ capturedAt }) => capturedAt ?? [])
    const most = (a: number, b: number) => Math.max(a, b)
    const least = (a: number, b: number) => Math.min(a, b)
    return {
      site: those[0]!.site,
      stream: those[0]!.stream,
      samples: those.length,
      from: times.length > 0 ? times.reduce(least) : undefined,
      to: times.length > 0 ? times.reduce(most) : undefined,
    }
  })
}

/** Of sorted numbers; NaN of none. */
const median = (sorted: readonly number[]): number => {
  const middle = sorted.length >> 1
  if (sorted.length % 2 === 1) return sorted[middle]!
  return sorted.length === 0 ? Number.NaN : (sorted[middle - 1]! + sorted[middle]!) / 2
}
