/**
 * A day of one stream before a belt that drifts, as its box sees it: what a model says of each analysed frame, and which
 * frames a sampler, chance, or "everything below the threshold" would send of it.
 */
import { type Detection, type SampleReason, sampleReasons } from '@edgeloop/protocol'
import sharp from 'sharp'
import { gateHeight, gateWidth } from '../../edge-agent/src/cameras/camera.ts'
import { seededRandom } from '../../edge-agent/src/demo/random.ts'
import { placeImage } from '../../edge-agent/src/detect/images.ts'
import type { openModel } from '../../edge-agent/src/models/open-model.ts'
import { Chooser } from '../../edge-agent/src/sampling/chooser.ts'
import { type Looks, looksOf } from '../../edge-agent/src/sampling/looks.ts'
import { dayMs } from '../../edge-agent/src/sampling/pace.ts'
import { MotionGate, type MovingCells } from '../../edge-agent/src/streams/motion-gate.ts'
import { doubtfulShare, Tracker, trackerDefaults } from '../../edge-agent/src/streams/tracker.ts'
import { type Shot, takeShot } from '../loop/shots.ts'
import {
  type BeltWorld,
  type Conditions,
  frameHeight,
  frameWidth,
  worldFps,
} from '../loop/world.ts'

type Model = Awaited<ReturnType<typeof openModel>>

/** As streams have it that say nothing else. */
const randomShare = 0.1
const intervalMinMs = 2_000
/** Score from which a detection counts, as streams have it. */
export const scoreMin = 0.4

/** A frame that went through the model. */
export type SeenShot = {
  readonly shot: Shot
  readonly frame: number
  /** Of the day, ms. */
  readonly at: number
  readonly detections: readonly Detection[]
  readonly looks: Looks
  readonly moving: MovingCells | undefined
}

export type Day = {
  /** Analysed frames, in their order. */
  readonly seen: readonly SeenShot[]
  /** Frames that the camera gave. */
  readonly frames: number
}

const analysisFps = 4
/** The line runs for a while and stands for longer, as lines do. */
const runsSeconds = 20
const standsSeconds = 60
const gateDefaults = {
  enabled: true,
  levelMin: 18,
  areaMin: 0.002,
  holdMs: 2_000,
  idleIntervalMs: 10_000,
}

export type DayOptions = {
  /** Of the stream that are looked at. */
  readonly seconds: number
  /** Of the world: other frames, another day. */
  readonly firstFrame: number
  readonly before: Conditions
  readonly after: Conditions
  /** Share of the day, at its end, in which the world has drifted. */
  readonly drifted: number
}

/** Looks at a stream. */
export async function lookAtDay(
  world: BeltWorld,
  model: Model,
  { seconds, firstFrame, before, after, drifted }: DayOptions,
): Promise<Day> {
  const gate = new MotionGate(gateDefaults)
  const seen: SeenShot[] = []
  const canvas = new Uint8Array(model.inputBytes)
  const driftsAt = seconds * (1 - drifted)
  let frames = 0
  let last: { frame: number; conditions: Conditions; picture: Picture } | undefined
  for (let k = 0; k < seconds * analysisFps; k++) {
    frames++
    const at = (k * 1000) / analysisFps
    const frame = firstFrame + Math.floor(beltSeconds(at / 1000) * worldFps)
    const conditions = at / 1000 < driftsAt ? before : after
    // A line that stands shows the same for a minute.
    if (last?.frame !== frame || last.conditions !== conditions) {
      last = { frame, conditions, picture: await pictureAt(world, frame, conditions) }
    }
    const { shot, grey, rgb } = last.picture
    const { analyse } = gate.look(grey, at)
    if (!analyse) continue
    const image = { data: rgb, width: frameWidth, height: frameHeight, channels: 3 } as const
    const { view } = await placeImage(image, (w, h) => model.inputFor(w, h), canvas)
    const options = { scoreMin: scoreMin * doubtfulShare, nmsIou: 0.5, maxDetections: 100 }
    const detections = await model.detect(canvas, view, options)
    const looks = looksOf(grey, { bytes: canvas, view })
    seen.push({ shot, frame, at, detections, looks, moving: gate.moving })
  }
  return { seen, frames }
}

/** Seconds that the belt has run at a time of the day. */
function beltSeconds(seconds: number): number {
  const period = runsSeconds + standsSeconds
  return Math.floor(seconds / period) * runsSeconds + Math.min(runsSeconds, seconds % period)
}

export type Chosen = SeenShot & { readonly reason: SampleReason }

/** What our samplers keep of a day with a budget of so many frames, set up as a stream that says nothing else. */
export function choose({ seen }: Day, framesPerDay: number, seed: number): Chosen[] {
  const last = seen.at(-1)?.at ?? 1
  let nowMs = 0
  const chooser = new Chooser({
    budget: { framesPerDay, bytesPerDay: 1e12, randomShare },
    reasons: sampleReasons,
    rareLabels: undefined,
    intervalMinMs,
    random: seededRandom(seed),
    now: () => nowMs,
    monotonicMs: () => nowMs,
  })
  const tracker = new Tracker({ ...trackerDefaults, scoreMin })
  return seen.flatMap((one): Chosen[] => {
    const { at, detections, looks, moving, shot } = one
    // What is looked at stands for a whole day.
    nowMs = (at / last) * dayMs * 0.999
    const { trackIds } = tracker.update(detections, at)
    const facts = { at, detections, trackIds, tracks: tracker.tracks, moving }
    const choice = chooser.consider({ ...facts, scoreMinOf: () => scoreMin }, () => looks)
    if (!choice) return []
    chooser.kept(choice, shot.jpeg.length)
    return [{ ...one, reason: choice.reason }]
  })
}

/** So many analysed frames at random. */
export function drawAtRandom({ seen }: Day, count: number, seed: number): SeenShot[] {
  const random = seededRandom(seed)
  return seen
    .map((one) => ({ one, order: random() }))
    .sort((a, b) => a.order - b.order)
    .slice(0, count)
    .map(({ one }) => one)
}

/** Everything with a detection that does not count: what is sent where the threshold alone decides. */
export const belowThreshold = ({ seen }: Day): SeenShot[] =>
  seen.filter(({ detections }) => detections.some(({ score }) => score < scoreMin))

type Picture = { readonly shot: Shot; readonly grey: Uint8Array; readonly rgb: Buffer }

async function pictureAt(
  world: BeltWorld,
  frame: number,
  conditions: Conditions,
): Promise<Picture> {
  const shot = await takeShot(world, frame, conditions)
  const rgb = await sharp(shot.jpeg).removeAlpha().raw().toBuffer()
  const raw = { width: frameWidth, height: frameHeight, channels: 3 } as const
  const grey = await sharp(rgb, { raw })
    .resize(gateWidth, gateHeight, { fit: 'fill' })
    .greyscale()
    .raw()
    .toBuffer()
  return { shot, grey, rgb }
}
