/**
 * Decides, sketch by sketch, whether a stream has drifted, into which kind of drift, and when that is over. No effects
 * but on the state that is handed in, which is JSON: the same sketches give the same alarms on whichever hub.
 *
 * Figures are watched by cumulated sums of their distance from what is usual at the hour, bounded so that no single
 * sketch can raise an alarm; how much is seen and how surely by evidence that is gathered (evidence.ts); histograms by
 * windows of several lengths; the camera by its background, which comes first and explains the rest.
 */
import type { DriftFigure, DriftKind, driftEnds, Sketch } from '@edgeloop/protocol'
import { type CameraChange, compareBackgrounds, meansOf } from './camera-change.ts'
import {
  type EvidenceName,
  evidenceMin,
  evidenceNames,
  type Gathered,
  gathered,
  scoreStep,
  soughtShares,
  trafficStep,
} from './evidence.ts'
import { type Bins, psi, totalOf } from './histogram-distance.ts'
import {
  addTo,
  type ComparedHistogram,
  comparedHistograms,
  deviationOf,
  forgetAnswers,
  isHourKnown,
  learnAnswers,
  learnBackground,
  learnEmbedding,
  learnFigure,
  newReference,
  psiLimit,
  type Reference,
  rangeOf,
  type Usual,
  usualOf,
  windowLengths,
} from './reference.ts'
import {
  answerFigures,
  type FollowedFigure,
  figuresOf,
  followedFigures,
  lightFigures,
  type SketchFigures,
  shownFigure,
} from './sketch-figures.ts'

/** Sketches from which what is usual is learnt, where nothing else is set: two hours. */
export const learnsFromDefault = 120
/** A cumulated sum grows by what a distance exceeds this, in deviations… */
const slack = 1.1
/** …each distance counting for at most this… */
const distanceMax = 5
/** …and raises an alarm here: after three sketches at four deviations, after five at three. */
const sumMax = 8
/** Sketches in a row that show a camera's trouble, or a histogram's. */
const inRow = 3
/** Sketches in a row without it that end an alarm. */
const quietInRow = 5
/** A figure nearer than this is as usual. */
const quietDistance = 2.5
/** Slots for labels in the order in which they were seen first, and one for all others. */
const labelSlots = 8

/** Share of what was to be seen that is covered, from which somebody should look. */
const coveredMin = 0.15
/** Moved by this share of the picture, and fitting so much better there. */
const shiftMin = 0.014
const gainMin = 0.12
const fitMin = 0.5
/** By how much edges are less alike than usual where another place is seen. */
const likenessLost = 0.4
/** Octaves of sharpness that a blur takes. */
const blurMin = 0.25
/** Grey levels of the dark, to come in and to go out. */
const darkIn = 40
const darkOut = 55
/** Saturation of a camera that sees in infrared, and of one that sees colours. */
const colourlessMax = 4
const colouredMin = 8

type Streak = { on: number; off: number }

export type WatchState = {
  day: Reference
  night: Reference
  isNight: boolean
  /** Sketches in a row that speak for the other part of the day. */
  turning: number
  modelDigest: string | null
  labels: string[]
  /** Cumulated sums of each figure, above and below. */
  sums: Partial<Record<FollowedFigure, [above: number, below: number]>>
  /** Evidence for each change of what is seen and how surely. */
  evidence: Gathered
  windows: Record<ComparedHistogram, number[][]>
  /** Sketches in a row in which each histogram differs in one of its windows. */
  differing: Partial<Record<ComparedHistogram, number>>
  streaks: Partial<Record<DriftKind, Streak>>
  active: DriftKind[]
}

export const newWatch = (): WatchState => ({
  day: newReference(),
  night: newReference(),
  isNight: false,
  turning: 0,
  modelDigest: null,
  labels: [],
  sums: {},
  evidence: {},
  windows: { scores: [], sizes: [], places: [], labels: [] },
  differing: {},
  streaks: {},
  active: [],
})

export type Verdict = {
  readonly raised: readonly { kind: DriftKind; why: string; figures: DriftFigure[] }[]
  readonly ended: readonly { kind: DriftKind; by: (typeof driftEnds)[number] }[]
  /** Everything that is followed, as people read it. */
  readonly figures: DriftFigure[]
}

export type WatchContext = {
  /** Hour of the day where the camera is, 0..24 with its fraction. */
  readonly hour: number
  readonly learnsFrom: number
}

/** Takes the next sketch of a stream into `state`. */
export function watch(state: WatchState, sketch: Sketch, context: WatchContext): Verdict {
  const ended: Verdict['ended'][number][] = []
  const raised: Verdict['raised'][number][] = []
  const seen = figuresOf(sketch)
  if (takeModel(state, sketch) && state.active.includes('output')) {
    end(state, 'output', 'relearnt', ended)
  }
  turn(state, sketch, context, raised, ended)
  const reference = state.isNight ? state.night : state.day
  const distance = embeddingDistance(reference, sketch)
  if (distance !== undefined) seen.figures.embedding = distance
  const labels = labelBins(state, sketch)
  slide(state, seen, labels)
  const camera = cameraOf(reference, sketch)
  const look = lookAt(state, reference, seen, camera, context)
  if (reference.sketches < context.learnsFrom) {
    learn(state, reference, sketch, seen, labels, camera, look, context)
    return { raised, ended, figures: look.figures }
  }
  const answersKnown = reference.answers >= context.learnsFrom
  judge(state, look, { answersKnown, isTurning: state.turning > 0 }, raised, ended)
  const isQuiet = state.active.every((kind) => kind === 'night') && !look.isSuspect
  if (isQuiet) learn(state, reference, sketch, seen, labels, camera, look, context)
  else if (!answersKnown && look.camera.length === 0) {
    learnModel(state, reference, sketch, seen, labels, context)
  }
  return { raised, ended, figures: look.figures }
}

/** Begins anew: what comes from now on is what is usual. */
export function startOver(state: WatchState): void {
  Object.assign(state, newWatch(), { isNight: state.isNight, modelDigest: state.modelDigest })
}

/** @returns whether another model answers from now on */
function takeModel(state: WatchState, { modelDigest }: Sketch): boolean {
  if (modelDigest === undefined || modelDigest === state.modelDigest) return false
  const isAnother = state.modelDigest !== null
  state.modelDigest = modelDigest
  if (!isAnother) return false
  for (const reference of [state.day, state.night]) forgetAnswers(reference)
  for (const name of answerFigures) delete state.sums[name]
  state.evidence = {}
  state.windows = { scores: [], sizes: [], places: [], labels: [] }
  state.differing = {}
  state.labels = []
  return true
}

/** Between day and night: by darkness or missing colour, at an hour for it. */
function turn(
  state: WatchState,
  { light, colour }: Sketch,
  { hour }: WatchContext,
  raised: Verdict['raised'][number][],
  ended: Verdict['ended'][number][],
): void {
  if (!light) return
  const [brightness = 0] = light.brightness
  const saturation = colour?.saturation[0]
  const byDay = state.day.figures.saturation
  const seesColour = byDay !== undefined && 2 ** byDay.all.mean - 3 >= colouredMin
  const isColourless = seesColour && saturation !== undefined && saturation < colourlessMax
  const isHour = hour >= 15.5 || hour < 10
  // A camera with infrared says by its colour what it takes for night.
  const inNight = state.night.figures.saturation
  const isInfrared =
    seesColour && inNight !== undefined && 2 ** inNight.all.mean - 3 < colourlessMax
  const wantsNight = state.isNight
    ? isColourless || (brightness < darkOut && !isInfrared)
    : isHour && (isColourless || (brightness < darkIn && !isInfrared))
  state.turning = wantsNight === state.isNight ? 0 : state.turning + 1
  if (state.turning < inRow) return
  state.turning = 0
  state.isNight = wantsNight
  state.sums = {}
  state.evidence = {}
  state.differing = {}
  state.windows = { scores: [], sizes: [], places: [], labels: [] }
  if (wantsNight) {
    const [what, now] = isColourless ? ['colour', saturation] : ['light', brightness]
    state.active.push('night')
    raised.push({
      kind: 'night',
      why: `No ${what} at an hour for it: brightness ${said(brightness)}, saturation ${said(saturation ?? 0)} of 255`,
      figures: [
        {
          name: isColourless ? 'saturation' : 'brightness',
          now: now ?? 0,
          usual: isColourless ? colouredMin : darkOut,
          tolerance: 0,
        },
      ],
    })
  } else end(state, 'night', 'itself', ended)
}

function embeddingDistance({ embedding }: Reference, sketch: Sketch): number | undefined {
  if (!embedding || embedding.n < 20 || !sketch.embedding) return undefined
  return Math.hypot(...sketch.embedding.mean.map((value, i) => value - embedding.mean[i]!))
}

/** Objects by label, in slots that stay. */
function labelBins(state: WatchState, { labels, otherLabels }: Sketch): number[] {
  const bins = new Array<number>(labelSlots + 1).fill(0)
  bins[labelSlots] = otherLabels
  for (const { label, count } of labels) {
    if (count === 0) continue
    let slot = state.labels.indexOf(label)
    if (slot < 0 && state.labels.length < labelSlots) slot = state.labels.push(label) - 1
    bins[slot < 0 ? labelSlots : slot]! += count
  }
  return bins
}

/** Windows let go of what is old little by little. */
function slide(state: WatchState, seen: SketchFigures, labels: Bins): void {
  for (const name of comparedHistograms) {
    const bins = name === 'labels' ? labels : seen.histograms[name]
    if (totalOf(bins) === 0) continue
    state.windows[name] = windowLengths.map((length, i) => {
      const before = state.windows[name][i]
      return bins.map((count, bin) => rounded((before?.[bin] ?? 0) * (1 - 1 / length) + count))
    })
  }
}

function cameraOf({ background }: Reference, sketch: Sketch): CameraChange | undefined {
  if (!background || background.n < 5 || !sketch.background) return undefined
  return compareBackgrounds(meansOf(sketch.background), background)
}

/** What one sketch shows. */
type Look = {
  readonly figures: DriftFigure[]
  /** Distances from what is usual, in deviations. */
  readonly distances: Partial<Record<FollowedFigure, number>>
  /** What this sketch adds to each evidence. */
  readonly steps: Gathered
  /** What the camera seems to have, the first explaining the rest. */
  readonly camera: readonly { kind: DriftKind; why: string }[]
  /** Histograms that differ in one of their windows. */
  readonly differing: readonly { name: ComparedHistogram; psi: number; limit: number }[]
  /** Something is on its way: not a sketch to learn from. */
  readonly isSuspect: boolean
}

function lookAt(
  state: WatchState,
  reference: Reference,
  seen: SketchFigures,
  camera: CameraChange | undefined,
  { hour }: WatchContext,
): Look {
  const distances: Look['distances'] = {}
  const figures: DriftFigure[] = []
  for (const name of followedFigures) {
    const value = seen.figures[name]
    const usual = usualOf(reference, name, hour)
    if (value === undefined || !usual) continue
    const scale = usual.scale * fewerAnswers(name, seen, reference)
    distances[name] = (value - usual.mean) / scale
    figures.push(shown(name, value, { ...usual, scale }))
  }
  const differing = differ(state, reference, figures, hour)
  if (camera) figures.push(...shownCamera(camera, reference))
  const trouble = camera ? cameraTrouble(camera, reference, distances, seen, hour) : []
  const isFar = Object.values(distances).some((distance) => Math.abs(distance) >= 4)
  const isSumming = Object.values(state.sums).some((sums) => Math.max(...sums) > 3)
  const isGathering = Object.values(state.evidence).some((sum) => sum > evidenceMin / 2)
  const isSuspect = isFar || isSumming || isGathering || trouble.length > 0 || differing.length > 0
  const steps = stepsOf(reference, seen, hour)
  return { figures, distances, steps, camera: trouble, differing, isSuspect }
}

/** What a sketch says of traffic and scores, at an hour that was seen. */
function stepsOf(reference: Reference, seen: SketchFigures, hour: number): Gathered {
  const steps: Gathered = {}
  const { objects } = seen.figures
  const roots = rangeOf(reference, 'objects', hour)
  if (objects !== undefined && roots) {
    for (const name of ['fewer', 'more'] as const) {
      steps[name] = trafficStep(objects * objects, roots, soughtShares[name])
    }
  }
  const usual = rangeOf(reference, 'confidence', hour)
  if (seen.detections > 0 && usual) {
    const { bins, dispersion: alike } = reference.histograms.scores
    const dispersion = alike.n > 0 ? alike.sum / alike.n : 1
    for (const name of ['lower', 'higher'] as const) {
      const of = { bins, usually: reference.detections, dispersion, name }
      steps[name] = scoreStep(seen.histograms.scores, usual, of)
    }
  }
  return steps
}

/** Fewer answers than usual make means less sure. */
function fewerAnswers(name: FollowedFigure, seen: SketchFigures, reference: Reference): number {
  if (name === 'confidence') return Math.sqrt(Math.max(1, reference.detections / seen.detections))
  return name === 'size' ? Math.sqrt(Math.max(1, reference.objects / seen.objects)) : 1
}

function differ(
  state: WatchState,
  reference: Reference,
  figures: DriftFigure[],
  hour: number,
): Look['differing'] {
  // What is seen changes with the hour.
  const patience = isHourKnown(reference, hour) ? 1 : 2.5
  const differing: { name: ComparedHistogram; psi: number; limit: number }[] = []
  for (const name of comparedHistograms) {
    const histogram = reference.histograms[name]
    let farthest: { psi: number; limit: number } | undefined
    for (const [i, window] of state.windows[name].entries()) {
      const limit = psiLimit(histogram, window, i)
      if (limit === undefined) continue
      const found = { psi: psi(window, histogram.bins), limit: limit * patience }
      if (!farthest || found.psi / found.limit > farthest.psi / farthest.limit) farthest = found
    }
    if (!farthest || name === 'sizes') continue
    figures.push({ name, now: rounded(farthest.psi), usual: 0, tolerance: rounded(farthest.limit) })
    if (farthest.psi > farthest.limit) differing.push({ name, ...farthest })
  }
  return differing
}

function cameraTrouble(
  change: CameraChange,
  reference: Reference,
  distances: Look['distances'],
  seen: SketchFigures,
  hour: number,
): { kind: DriftKind; why: string }[] {
  const found: { kind: DriftKind; why: string }[] = []
  const { covered, flat, shift, gain, likeness, inPlace } = change
  if (covered >= coveredMin) {
    const why = `${percent(covered)} of what was to be seen is flat and looks otherwise`
    found.push({ kind: 'camera-covered', why })
  }
  const [x, y] = shift
  const isShifted =
    gain >= gainMin && likeness >= fitMin && Math.max(Math.abs(x), Math.abs(y)) >= shiftMin
  const usual = reference.likeness
  const lost = Math.max(likenessLost, 6 * deviationOf(usual))
  const isElsewhere = usual.n >= 5 && inPlace < usual.mean - lost && flat < 0.5
  const sharpness = usualOf(reference, 'sharpness', hour)
  const fallen =
    sharpness && seen.figures.sharpness !== undefined ? sharpness.mean - seen.figures.sharpness : 0
  const isBlurred = fallen >= blurMin && (distances.sharpness ?? 0) <= -3
  if (covered < coveredMin) {
    if (isShifted) {
      const why = `Edges lie ${movedBy(x, y)} of where they lay: they fit ${said(likeness)} there and ${said(inPlace)} in place, where ${said(usual.mean)} is usual`
      found.push({ kind: 'camera-moved', why })
    } else if (isElsewhere && !isBlurred) {
      const why = `Another place is seen: edges fit ${said(inPlace)} where ${said(usual.mean)} is usual, and no better anywhere near`
      found.push({ kind: 'camera-moved', why })
    }
  }
  if (isBlurred && sharpness && found.length === 0) {
    const [now, was] = [2 ** (sharpness.mean - fallen), 2 ** sharpness.mean]
    const why = `Edges rise by ${percent(now)} over two pixels where ${percent(was)} is usual`
    found.push({ kind: 'camera-blurred', why })
  }
  return found
}

const kindsOfFigures = { data: lightFigures, output: answerFigures } as const

/** Raises and ends alarms by what a sketch shows. */
function judge(
  state: WatchState,
  look: Look,
  { answersKnown, isTurning }: { answersKnown: boolean; isTurning: boolean },
  raised: Verdict['raised'][number][],
  ended: Verdict['ended'][number][],
): void {
  const cameraKinds = ['camera-covered', 'camera-moved', 'camera-blurred'] as const
  for (const kind of cameraKinds) {
    const found = look.camera.find((each) => each.kind === kind)
    const streak = count(state, kind, found !== undefined)
    if (found && streak.on >= inRow && !state.active.includes(kind)) {
      for (const explained of [...state.active]) {
        if (explained !== 'night') end(state, explained, 'explained', ended)
      }
      raise(state, kind, found.why, look.figures, raised)
    } else if (streak.off >= quietInRow && state.active.includes(kind)) {
      end(state, kind, 'itself', ended)
    }
  }
  // What explains the rest, or may turn out to, comes first.
  const hasCamera =
    look.camera.length > 0 || cameraKinds.some((kind) => state.active.includes(kind))
  for (const kind of ['data', 'output'] as const) {
    if (kind === 'output' && !answersKnown) continue
    judgeFigures(state, kind, look, hasCamera || isTurning, raised, ended)
  }
}

function judgeFigures(
  state: WatchState,
  kind: 'data' | 'output',
  look: Look,
  isExplained: boolean,
  raised: Verdict['raised'][number][],
  ended: Verdict['ended'][number][],
): void {
  const names = kindsOfFigures[kind]
  let farthest: { name: FollowedFigure; sum: number } | undefined
  let isFar = false
  for (const name of names) {
    const distance = look.distances[name]
    if (distance === undefined) continue
    if (Math.abs(distance) > quietDistance) isFar = true
    const [above, below] = state.sums[name] ?? [0, 0]
    const step = Math.max(-distanceMax, Math.min(distanceMax, distance))
    const sums: [number, number] = [bounded(above + step - slack), bounded(below - step - slack)]
    state.sums[name] = isExplained ? [0, 0] : sums
    const sum = Math.max(...sums)
    if (!farthest || sum > farthest.sum) farthest = { name, sum }
  }
  const different = kind === 'output' ? differingLong(state, look) : undefined
  const told = kind === 'output' ? gather(state, look, isExplained) : undefined
  if (kind === 'output' && (look.differing.length > 0 || speaks(look))) isFar = true
  const streak = count(state, kind, isFar)
  if (state.active.includes(kind)) {
    if (streak.off >= quietInRow) {
      end(state, kind, 'itself', ended)
      for (const name of names) delete state.sums[name]
      if (kind === 'output') state.evidence = {}
    }
    return
  }
  const isSummed = farthest !== undefined && farthest.sum >= sumMax
  if (isExplained || (!isSummed && !told && !different)) return
  if (kind === 'output' && isDataComing(state)) return
  if (kind === 'data' && state.active.includes('output')) end(state, 'output', 'explained', ended)
  const why = told
    ? whyEvidence(told, look)
    : isSummed
      ? whyFigure(farthest!.name, look)
      : whyHistogram(different!)
  raise(state, kind, why, look.figures, raised)
}

/** Takes in what a sketch says. @returns the change that there is enough evidence for */
function gather(
  state: WatchState,
  { steps }: Look,
  isExplained: boolean,
): EvidenceName | undefined {
  for (const name of evidenceNames) {
    const step = steps[name]
    if (isExplained) delete state.evidence[name]
    // A sketch without answers says nothing, and takes nothing back.
    else if (step !== undefined) {
      state.evidence[name] = rounded(
        Math.min(1.5 * evidenceMin, gathered(state.evidence[name], step)),
      )
    }
  }
  return evidenceNames.find((name) => (state.evidence[name] ?? 0) >= evidenceMin)
}

/** Whether a sketch by itself speaks for a change. */
const speaks = ({ steps }: Look): boolean => Object.values(steps).some((step) => step > 1)

/** Light explains what the model says of it: it is given time to show. */
const isDataComing = ({ sums, active }: WatchState): boolean =>
  active.includes('data') ||
  lightFigures.some((name) => Math.max(...(sums[name] ?? [0])) > sumMax / 2)

/** A histogram that has differed for long enough. */
function differingLong(
  state: WatchState,
  { differing }: Look,
): Look['differing'][number] | undefined {
  for (const name of comparedHistograms) {
    const differs = differing.some((each) => each.name === name)
    state.differing[name] = differs ? (state.differing[name] ?? 0) + 1 : 0
  }
  return differing.find(({ name }) => state.differing[name]! >= inRow)
}

function count(state: WatchState, kind: DriftKind, isOn: boolean): Streak {
  const { on, off } = state.streaks[kind] ?? { on: 0, off: 0 }
  const streak = isOn ? { on: on + 1, off: 0 } : { on: 0, off: off + 1 }
  state.streaks[kind] = streak
  return streak
}

function raise(
  state: WatchState,
  kind: DriftKind,
  why: string,
  figures: DriftFigure[],
  raised: Verdict['raised'][number][],
): void {
  state.active.push(kind)
  raised.push({ kind, why, figures })
}

function end(
  state: WatchState,
  kind: DriftKind,
  by: (typeof driftEnds)[number],
  ended: Verdict['ended'][number][],
): void {
  if (!state.active.includes(kind)) return
  state.active = state.active.filter((each) => each !== kind)
  ended.push({ kind, by })
}

function learn(
  state: WatchState,
  reference: Reference,
  sketch: Sketch,
  seen: SketchFigures,
  labels: Bins,
  camera: CameraChange | undefined,
  look: Look,
  context: WatchContext,
): void {
  reference.sketches++
  for (const name of [...lightFigures, 'sharpness'] as const) {
    const value = seen.figures[name]
    if (value !== undefined) learnFigure(reference, name, value, context.hour)
  }
  if (sketch.background && look.camera.length === 0) {
    if (camera) addTo(reference.likeness, camera.inPlace, 1000)
    learnBackground(reference, sketch.background)
  }
  learnModel(state, reference, sketch, seen, labels, context)
}

function learnModel(
  state: WatchState,
  reference: Reference,
  sketch: Sketch,
  seen: SketchFigures,
  labels: Bins,
  { hour }: WatchContext,
): void {
  if (sketch.analysed === 0) return
  for (const name of answerFigures) {
    const value = seen.figures[name]
    if (value !== undefined) learnFigure(reference, name, value, hour)
  }
  learnAnswers(reference, seen, labels, state.windows)
  if (sketch.embedding) learnEmbedding(reference, sketch.embedding)
}

/** Deviations beyond which an alarm begins to grow, for people. */
const toleranceOf = ({ scale }: Usual): number => scale * (slack + sumMax / 4)

function shown(name: FollowedFigure, value: number, usual: Usual): DriftFigure {
  const middle = shownFigure(name, usual.mean)
  // Of a root, less below than above: the nearer side is shown.
  const tolerance = Math.min(
    ...[1, -1].map((side) =>
      Math.abs(shownFigure(name, usual.mean + side * toleranceOf(usual)) - middle),
    ),
  )
  return {
    name,
    now: rounded(shownFigure(name, value)),
    usual: rounded(middle),
    tolerance: rounded(tolerance),
  }
}

function shownCamera(change: CameraChange, { likeness }: Reference): DriftFigure[] {
  const [x, y] = change.shift
  const isMoved = change.gain >= gainMin && change.likeness >= fitMin
  return [
    {
      name: 'shift',
      now: isMoved ? rounded(Math.max(Math.abs(x), Math.abs(y))) : 0,
      usual: 0,
      tolerance: shiftMin,
    },
    { name: 'covered', now: rounded(change.covered), usual: 0, tolerance: coveredMin },
    {
      name: 'likeness',
      now: rounded(change.inPlace),
      usual: rounded(likeness.mean),
      tolerance: rounded(Math.max(likenessLost, 6 * deviationOf(likeness))),
    },
  ]
}

const unitOf: Readonly<Record<FollowedFigure, string>> = {
  brightness: 'Brightness',
  contrast: 'Contrast',
  saturation: 'Saturation',
  red: 'Red against green, in octaves,',
  blue: 'Blue against green, in octaves,',
  sharpness: 'Sharpness',
  confidence: 'Mean score',
  objects: 'Objects in a frame',
  size: 'Size of objects, as a share of the picture,',
  embedding: 'Distance of embeddings',
}

function whyFigure(name: FollowedFigure, { figures }: Look): string {
  const figure = figures.find((each) => each.name === name)!
  return `${unitOf[name]} is ${said(figure.now)} where ${said(figure.usual)} ± ${said(figure.tolerance)} is usual at this hour`
}

const evidenceWords: Readonly<Record<EvidenceName, [name: FollowedFigure, change: string]>> = {
  fewer: ['objects', 'fewer than half as many objects as usual'],
  more: ['objects', 'far more objects than usual'],
  lower: ['confidence', 'lower scores'],
  higher: ['confidence', 'higher scores'],
}

function whyEvidence(told: EvidenceName, { figures }: Look): string {
  const [name, change] = evidenceWords[told]
  const figure = figures.find((each) => each.name === name)
  const now = figure ? `: now ${said(figure.now)}, usually ${said(figure.usual)} at this hour` : ''
  return `There are ${change}${now}; by chance so much comes together once in 300 hours at most`
}

const histogramWords: Readonly<Record<ComparedHistogram, string>> = {
  scores: 'scores',
  sizes: 'sizes of objects',
  places: 'places of objects',
  labels: 'labels of objects',
}

const whyHistogram = ({ name, psi: found, limit }: Look['differing'][number]): string =>
  `The ${histogramWords[name]} are distributed otherwise: PSI ${said(found)}, limit ${said(limit)}`

/** Without the direction in which next to nothing was moved. */
function movedBy(x: number, y: number): string {
  const parts = [
    { share: x, word: x >= 0 ? 'right' : 'left' },
    { share: y, word: y >= 0 ? 'down' : 'up' },
  ]
  return parts
    .filter(({ share }) => Math.abs(share) >= shiftMin / 4)
    .map(({ share, word }) => `${percent(Math.abs(share))} ${word}`)
    .join(' and ')
}
const percent = (share: number): string => `${Math.round(share * 1000) / 10} %`
const said = (value: number): string => String(Number(value.toPrecision(3)))
const rounded = (value: number): number => Math.round(value * 10_000) / 10_000
/** A sum that has raised an alarm need not grow further. */
const bounded = (sum: number): number => rounded(Math.max(0, Math.min(sumMax * 1.5, sum)))
