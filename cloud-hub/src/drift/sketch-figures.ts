/** One sketch as the figures and histograms that are followed. Pure. */
import { labelScoreBins, objectSteps, type Sketch, scoreBins, sizeSteps } from '@edgeloop/protocol'
import type { Bins } from './histogram-distance.ts'
import { totalOf } from './histogram-distance.ts'

/** Figures that have a usual value for each hour of the day. */
export const followedFigures = [
  'brightness',
  'contrast',
  'saturation',
  'red',
  'blue',
  'sharpness',
  'confidence',
  'objects',
  'size',
  'embedding',
] as const
export type FollowedFigure = (typeof followedFigures)[number]

/** Which figures are of the pictures, and which are of the model's answers. */
export const lightFigures = ['brightness', 'contrast', 'saturation', 'red', 'blue'] as const
export const answerFigures = ['confidence', 'objects', 'size', 'embedding'] as const

/**
 * Per figure: the least deviation that is believed, and by how much it may differ at an hour that was not
 * learnt. In the unit of the figure: octaves of light, contrast, colour, sharpness and size; scores; roots of objects.
 */
export const figureScales: Readonly<
  Record<FollowedFigure, { readonly least: number; readonly unknownHour: number }>
> = {
  brightness: { least: 0.08, unknownHour: 0.5 },
  contrast: { least: 0.08, unknownHour: 0.35 },
  saturation: { least: 0.12, unknownHour: 0.5 },
  red: { least: 0.04, unknownHour: 0.12 },
  blue: { least: 0.04, unknownHour: 0.12 },
  sharpness: { least: 0.05, unknownHour: 0.1 },
  confidence: { least: 0.015, unknownHour: 0.05 },
  objects: { least: 0.1, unknownHour: 0.4 },
  size: { least: 0.06, unknownHour: 0.2 },
  embedding: { least: 0.02, unknownHour: 0.05 },
}

/** Histograms that are compared as a whole. */
export const followedHistograms = ['scores', 'sizes', 'places'] as const
export type FollowedHistogram = (typeof followedHistograms)[number]

export type SketchFigures = {
  readonly figures: Partial<Record<FollowedFigure, number>>
  /** Detections and objects that the figures of the answers rest on. */
  readonly detections: number
  readonly objects: number
  readonly histograms: Readonly<Record<FollowedHistogram, Bins>>
}

/** Fewer detections, or objects, say nothing of scores or sizes. */
const answersMin = 8
/** Fewer analysed frames say nothing of how many objects there are. */
const framesMin = 2

export function figuresOf(sketch: Sketch): SketchFigures {
  const { light, colour, scores, sizes, objects, places, analysed } = sketch
  const detections = totalOf(scores)
  const inAll = totalOf(sizes)
  const figures: Partial<Record<FollowedFigure, number>> = {}
  if (light) {
    figures.brightness = Math.log2(light.brightness[0]! + 4)
    figures.contrast = Math.log2(light.contrast[0]! + 2)
  }
  if (colour) {
    figures.saturation = Math.log2(colour.saturation[0]! + 3)
    figures.red = colour.red[0]!
    figures.blue = colour.blue[0]!
    if (colour.sharpness) figures.sharpness = Math.log2(Math.max(0.05, colour.sharpness[0]!))
  }
  if (detections >= answersMin) {
    figures.confidence = meanOf(scores, (bin) => (bin + 0.5) / scoreBins)
  }
  if (analysed >= framesMin) figures.objects = Math.sqrt(objectsPerFrame(objects))
  if (inAll >= answersMin) {
    figures.size = meanOf(sizes, (bin) => Math.log2(Math.max(0.016, sizeSteps[bin]! * 1.19)))
  }
  return { figures, detections, objects: inAll, histograms: { scores, sizes, places } }
}

/** Mean number of objects in a frame; of a bin of several numbers, its middle. */
export const objectsPerFrame = (bins: Bins): number =>
  meanOf(bins, (bin) => {
    const least = objectSteps[bin]!
    const next = objectSteps[bin + 1] ?? least * 1.4
    return (least + next - 1) / 2
  })

function meanOf(bins: Bins, worthOf: (bin: number) => number): number {
  const total = totalOf(bins)
  return total === 0 ? 0 : bins.reduce((sum, count, i) => sum + count * worthOf(i), 0) / total
}

/** Figures as people read them: what was made comparable is taken back. */
export function shownFigure(name: FollowedFigure, value: number): number {
  if (name === 'brightness') return 2 ** value - 4
  if (name === 'contrast') return 2 ** value - 2
  if (name === 'saturation') return 2 ** value - 3
  if (name === 'sharpness' || name === 'size') return 2 ** value
  return name === 'objects' ? value * Math.abs(value) : value
}

/** Middle of a label's bin of scores. */
export const labelScoreOf = (bin: number): number => (bin + 0.5) / labelScoreBins
