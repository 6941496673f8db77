/**
 * Sums up a stream into sketches, interval by interval. Intervals begin at whole multiples of their length since the
 * epoch. Of pictures it looks at one a second at most, so that it costs next to nothing beside an inference; of what
 * the model says it counts everything.
 */
import {
  type Background,
  type Detection,
  embeddingProjection,
  greyBins,
  labelScoreBins,
  type Box as NamedBox,
  objectSteps,
  placeColumns,
  placeRows,
  type Sketch,
  scoreBins,
  sizeSteps,
  sketchBytesMax,
  sketchLabelsMax,
} from '@edgeloop/protocol'
import { gateHeight, gateWidth, type InputView } from '../cameras/camera.ts'
import { backgroundOf } from './background.ts'
import { lookAtCanvas } from './canvas-look.ts'

/** A sketch without what every event says, ready at `at` (ms since the epoch). */
export type SketchSummary = Omit<Sketch, 'sequence' | 'kind' | 'streamId' | 'at'> & {
  readonly at: number
}

/** At most this often a picture is measured, ms; of a short interval, a tenth of it. */
const pictureIntervalMs = 1000
/** Labels that are counted apart in one interval: a model of a thousand must not fill the memory. */
const labelsMax = 200
/** Room that an event takes apart from what is summed up here: number, kind, time, stream. */
const headBytes = 220
const pixels = gateWidth * gateHeight

export class StreamSketch {
  readonly #intervalMs: number
  readonly #scoreMinOf: (label: string) => number
  #startedAt: number | undefined
  #picturedAt = Number.NEGATIVE_INFINITY
  #lookedAt = Number.NEGATIVE_INFINITY
  #sums = newSums()

  /**
   * @param intervalMs 0: nothing is summed up
   * @param scoreMinOf score from which a detection of a label counts as an object
   */
  constructor(intervalMs: number, scoreMinOf: (label: string) => number) {
    this.#intervalMs = intervalMs
    this.#scoreMinOf = scoreMinOf
  }

  /**
   * Takes in the next picture, before anything else of it.
   * @param grey its gate picture, 160×90; not kept
   * @param at capture time, ms since the epoch
   * @returns what the interval that it has ended looked like
   */
  picture(grey: Uint8Array, at: number): SketchSummary | undefined {
    if (this.#intervalMs === 0) return undefined
    const summary = this.#endBefore(at)
    const every = Math.min(pictureIntervalMs, this.#intervalMs / 10)
    if (Math.abs(at - this.#picturedAt) >= every) {
      this.#picturedAt = at
      measure(this.#sums, grey)
    }
    return summary
  }

  /** Takes in the canvas that the model is about to see. */
  canvas(canvas: Uint8Array, view: InputView, at: number): void {
    if (this.#intervalMs === 0) return
    const every = Math.min(pictureIntervalMs, this.#intervalMs / 10)
    if (Math.abs(at - this.#lookedAt) < every) return
    this.#lookedAt = at
    const { saturation, red, blue, sharpness } = lookAtCanvas(canvas, view)
    const sums = this.#sums
    sums.saturation.add(saturation)
    sums.red.add(red)
    sums.blue.add(blue)
    if (sharpness !== undefined) sums.sharpness.add(sharpness)
  }

  /** Takes in what the model said of a frame. */
  answer(detections: readonly Detection[], modelDigest: string): void {
    if (this.#intervalMs === 0) return
    const sums = this.#sums
    sums.analysed++
    sums.modelDigest = modelDigest
    let objects = 0
    for (const { label, score, box } of detections) {
      const counts = score >= this.#scoreMinOf(label)
      if (counts) objects++
      sums.scores[Math.min(scoreBins - 1, Math.floor(score * scoreBins))]!++
      if (counts) {
        const [left, top, width, height] = box as unknown as NamedBox
        sums.sizes[binOf(sizeSteps, Math.sqrt(width * height))]!++
        const column = Math.min(placeColumns - 1, Math.floor((left + width / 2) * placeColumns))
        const row = Math.min(placeRows - 1, Math.floor((top + height / 2) * placeRows))
        sums.places[row * placeColumns + column]!++
      }
      countLabel(sums, label, score, counts)
    }
    sums.objects[binOf(objectSteps, objects)]!++
  }

  /** Takes in what a further model said of an object. */
  embed(embedding: readonly number[]): void {
    if (this.#intervalMs === 0) return
    for (const [i, value] of projected(embedding).entries()) this.#sums.embedding[i]!.add(value)
  }

  /** The stream has gone: what was summed up until `at`. */
  end(at: number): SketchSummary | undefined {
    const summary = this.#startedAt === undefined ? undefined : this.#sum(at)
    this.#startedAt = undefined
    return summary
  }

  #endBefore(at: number): SketchSummary | undefined {
    const begun = Math.floor(at / this.#intervalMs) * this.#intervalMs
    const startedAt = this.#startedAt ?? at
    this.#startedAt = startedAt
    // Also when the clock was set back: what was summed up belongs to the time before.
    if (begun <= startedAt && at >= startedAt) return undefined
    const endedAt = (Math.floor(startedAt / this.#intervalMs) + 1) * this.#intervalMs
    const summary = this.#sum(at < startedAt ? at : endedAt)
    this.#startedAt = at < startedAt ? at : begun
    return summary
  }

  #sum(at: number): SketchSummary | undefined {
    const sums = this.#sums
    this.#sums = newSums()
    if (sums.pictures === 0 && sums.analysed === 0) return undefined
    const intervalMs = Math.max(1, Math.round(at - (this.#startedAt ?? at)))
    return summaryOf(sums, at, intervalMs)
  }
}

type LabelSums = { count: number; all: number; readonly scores: number[] }

const newSums = () => ({
  pictures: 0,
  analysed: 0,
  modelDigest: undefined as string | undefined,
  scores: zeros(scoreBins),
  objects: zeros(objectSteps.length),
  sizes: zeros(sizeSteps.length),
  places: zeros(placeColumns * placeRows),
  labels: new Map<string, LabelSums>(),
  beyondLabels: 0,
  brightness: new Moments(),
  contrast: new Moments(),
  greys: new Float64Array(256),
  background: new Float64Array(pixels),
  saturation: new Moments(),
  red: new Moments(),
  blue: new Moments(),
  sharpness: new Moments(),
  embedding: Array.from({ length: embeddingProjection }, () => new Moments()),
})
type Sums = ReturnType<typeof newSums>

function measure(sums: Sums, grey: Uint8Array): void {
  let sum = 0
  let squares = 0
  const { greys, background } = sums
  for (let i = 0; i < pixels; i++) {
    const value = grey[i]!
    sum += value
    squares += value * value
    greys[value]!++
    background[i]! += value
  }
  const mean = sum / pixels
  sums.pictures++
  sums.brightness.add(mean)
  sums.contrast.add(Math.sqrt(Math.max(0, squares / pixels - mean * mean)))
}

function countLabel(sums: Sums, label: string, score: number, counts: boolean): void {
  let known = sums.labels.get(label)
  if (known === undefined) {
    if (sums.labels.size >= labelsMax) {
      if (counts) sums.beyondLabels++
      return
    }
    known = { count: 0, all: 0, scores: zeros(labelScoreBins) }
    sums.labels.set(label, known)
  }
  known.all++
  if (counts) known.count++
  known.scores[Math.min(labelScoreBins - 1, Math.floor(score * labelScoreBins))]!++
}

function summaryOf(sums: Sums, at: number, intervalMs: number): SketchSummary {
  const { pictures, analysed, modelDigest, scores, objects, sizes, places } = sums
  const byUse = [...sums.labels].sort(([, a], [, b]) => b.count - a.count || b.all - a.all)
  const inAll = byUse.reduce((sum, [, { count }]) => sum + count, sums.beyondLabels)
  const { saturation, red, blue, sharpness } = sums
  const embedded = sums.embedding[0]!.count
  const rest = {
    at,
    intervalMs,
    pictures,
    analysed,
    ...(modelDigest && { modelDigest }),
    scores,
    objects,
    sizes,
    places,
    ...(pictures > 0 && lightOf(sums)),
    ...(saturation.count > 0 && {
      colour: {
        canvases: saturation.count,
        saturation: saturation.spread(),
        red: red.spread(),
        blue: blue.spread(),
        ...(sharpness.count > 0 && { sharpness: sharpness.spread() }),
      },
    }),
    ...(embedded > 0 && {
      embedding: {
        objects: embedded,
        mean: sums.embedding.map((each) => each.spread()[0]),
        deviation: sums.embedding.map((each) => each.spread()[1]),
      },
    }),
  }
  const labels: Sketch['labels'] = []
  let room = sketchBytesMax - headBytes - Buffer.byteLength(JSON.stringify(rest))
  for (const [label, { count, scores }] of byUse.slice(0, sketchLabelsMax)) {
    const row = { label, count, scores }
    room -= Buffer.byteLength(JSON.stringify(row)) + 1
    if (room < 0) break
    labels.push(row)
  }
  const named = labels.reduce((sum, { count }) => sum + count, 0)
  return { ...rest, labels, otherLabels: inAll - named }
}

function lightOf({ pictures, brightness, contrast, greys, background }: Sums): {
  light: NonNullable<Sketch['light']>
  background: Background
} {
  const inBins = zeros(greyBins)
  for (const [level, count] of greys.entries()) inBins[(level * greyBins) >> 8]! += count
  const all = pictures * pixels
  const shares = inBins.map((count) => Math.round((1000 * count) / all))
  return {
    light: { brightness: brightness.spread(), contrast: contrast.spread(), greys: shares },
    background: backgroundOf(background.map((sum) => sum / pictures)),
  }
}

const zeros = (count: number): number[] => new Array<number>(count).fill(0)

/** The last bin whose least is not above `value`. */
function binOf(steps: readonly number[], value: number): number {
  let bin = steps.length - 1
  while (bin > 0 && steps[bin]! > value) bin--
  return bin
}

/** Mean and deviation of what comes, by Welford's method. */
class Moments {
  count = 0
  #mean = 0
  #squares = 0

  add(value: number): void {
    this.count++
    const before = value - this.#mean
    this.#mean += before / this.count
    this.#squares += before * (value - this.#mean)
  }

  spread(): [mean: number, deviation: number] {
    const deviation = this.count < 2 ? 0 : Math.sqrt(this.#squares / (this.count - 1))
    return [rounded(this.#mean), rounded(deviation)]
  }
}

const rounded = (value: number): number => Math.round(value * 1000) / 1000

/** The embedding along a few directions that never change: sums with signs drawn by a hash of the place. */
function projected(embedding: readonly number[]): number[] {
  const sums = zeros(embeddingProjection)
  for (const [i, value] of embedding.entries()) {
    for (let k = 0; k < embeddingProjection; k++) {
      const hash = Math.imul((i + 1) * 31 + k, 0x9e3779b1)
      sums[k]! += ((hash ^ (hash >>> 15)) & 0x100) === 0 ? value : -value
    }
  }
  return sums
}
