/**
 * What an update goes through on a box that was not measured, drawn from boxes that were: frames come one by one, and the
 * agent's own judgement is asked again and again, as it is on a box. How fast they go by is drawn too, for a box that has its
 * processor for itself and for one that has not.
 */
import { type Comparison, type UpdateCare, type UpdateCode, updateStates } from '@edgeloop/protocol'
import { Baseline } from '../../edge-agent/src/update/baseline.ts'
import { Latencies } from '../../edge-agent/src/update/latencies.ts'
import { type Evidence, objection, type Stage } from '../../edge-agent/src/update/verdict.ts'
import { type BoxQuality, drawnFrames, type FrameFacts, type Looked } from './live-quality.ts'
import type { Course } from './rollout-simulation.ts'

/** How a candidate does beside the figures that were measured. */
export type Fault = 'none' | 'twice as slow' | 'crashes' | 'hangs' | 'leaks'

/** How evenly a box works: where others want its processor, a frame now and then takes much longer. */
export type Pace = keyof typeof paces
const paces = {
  calm: { deviation: 0.08, lateShare: 0.01 },
  busy: { deviation: 0.15, lateShare: 0.06 },
} as const
/** A late frame takes longer by a factor of up to this. */
const lateFactor = 3
const inferenceMs = 30

export type CourseOptions = {
  readonly boxes: readonly BoxQuality[]
  readonly care: UpdateCare
  readonly fault: Fault
  readonly pace: Pace
  /** 0..1 */
  readonly random: () => number
}

/** Frames that a box compares in shadow, two in a second for as long as the care says by default, and some. */
const shadowFrames = 600
/** A box asks with every frame; that costs ten times the time here, and differs by as many frames. */
const askedEvery = 10
/** What a stream sees in ten seconds, which is what drift is reckoned by. */
const blockFrames = 25
const baselineHours = 6
const baselineBlocksOfHour = 40
const probationBlocks = 90

const stepMs = 2000
const hourMs = 3_600_000
const digests = { active: '0'.repeat(64), candidate: '1'.repeat(64) } as const

export function drawnCourse(options: CourseOptions): Course {
  const { boxes, care, fault, random } = options
  const frames = drawnFrames(boxes, random)
  const box = new DrawnBox(() => timed(frames.next().value, options))
  const before = (['downloading', 'verified', 'staged'] as const).map((state) => ({
    state,
    afterMs: stepMs,
  }))
  if (fault === 'leaks') return [...before, failed('probe-memory')]
  const begun = [
    ...before,
    { state: 'probed', afterMs: stepMs } as const,
    { state: 'shadowing', afterMs: stepMs } as const,
  ]
  if (fault === 'crashes') return [...begun, failed('shadow-crash')]
  const shadow = box.shadow(care)
  if (shadow.code) {
    const afterMs = shadow.share * care.shadowMs
    return [...begun, { ...failed(shadow.code, afterMs), shadow: shadow.comparison }]
  }
  const live = [
    ...begun,
    { state: 'activating', afterMs: care.shadowMs, shadow: shadow.comparison } as const,
    { state: 'probation', afterMs: stepMs } as const,
  ]
  if (fault === 'hangs') return [...live, wentBack('probation-hang', hangMs)]
  const watched = box.probation(care)
  if (watched.code) {
    const afterMs = watched.share * care.probationMs
    return [...live, { ...wentBack(watched.code, afterMs), probation: watched.comparison }]
  }
  const afterMs = care.probationMs
  return [...live, { state: 'committed', afterMs, probation: watched.comparison }]
}

/** Until the agent finds out at the latest: a missed heartbeat. */
const hangMs = Math.min(60_000, updateStates.probation.deadlineMs)
const failed = (code: UpdateCode, afterMs = stepMs) => ({ state: 'failed', afterMs, code }) as const
const wentBack = (code: UpdateCode, afterMs: number) =>
  ({ state: 'rolled-back', afterMs, code }) as const

type Timed = FrameFacts & { readonly activeMs: number; readonly candidateMs: number }

/** Both models are of one architecture: but for a fault, they take equally long. */
function timed(frame: FrameFacts, { fault, pace, random }: CourseOptions): Timed {
  const { deviation, lateShare } = paces[pace]
  const draw = () => {
    const late = random() < lateShare ? 1 + random() * (lateFactor - 1) : 1
    return inferenceMs * Math.exp(deviation * normalOf(random)) * late
  }
  const slower = fault === 'twice as slow' ? 2 : 1
  return { ...frame, activeMs: draw(), candidateMs: draw() * slower }
}

/** Box and Muller. */
const normalOf = (random: () => number): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

/** How looking at a candidate ended, after which share of the time; without a code it passed. */
type Look = {
  readonly comparison: Comparison
  readonly share: number
  readonly code?: UpdateCode
}

/** One box: what it has seen of both models, and what its agent says of it. */
class DrawnBox {
  readonly #take: () => Timed
  #now = 0

  constructor(take: () => Timed) {
    this.#take = take
  }

  shadow(care: UpdateCare): Look {
    const seen = new Seen()
    for (let k = 1; k < shadowFrames; k++) {
      seen.add(this.#take())
      if (k % askedEvery !== 0) continue
      const against = this.#objection('shadow', seen, care, k / shadowFrames)
      if (against) return against
    }
    return { comparison: seen.comparison, share: 1 }
  }

  probation(care: UpdateCare): Look {
    const usual = new Baseline(undefined, () => this.#now)
    for (let hour = 0; hour < baselineHours; hour++) {
      this.#now = hour * hourMs
      for (let k = 0; k < baselineBlocksOfHour; k++) usual.take(this.#block('active'))
    }
    const seen = new Seen()
    const live = new Baseline(undefined, () => this.#now)
    for (let k = 1; k <= probationBlocks; k++) {
      live.take(this.#block('candidate', seen))
      seen.compare(usual, live)
      const against = this.#objection('probation', seen, care, k / probationBlocks)
      if (against) return against
    }
    return { comparison: seen.comparison, share: 1 }
  }

  #objection(stage: Stage, seen: Seen, care: UpdateCare, share: number): Look | undefined {
    const { comparison, evidence } = seen
    const against = objection(stage, comparison, care, { ...evidence, isEarly: share < 0.5 })
    return against && { comparison, share, code: against.code }
  }

  #block(which: 'active' | 'candidate', seen?: Seen) {
    const sums = {
      frames: blockFrames,
      detections: 0,
      scores: 0,
      inferenceMs: [] as number[],
      gapMs: 0,
    }
    for (let k = 0; k < blockFrames; k++) {
      const frame = this.#take()
      sums.detections += frame[which].detections
      sums.scores += frame[which].scores
      sums.inferenceMs.push(which === 'active' ? frame.activeMs : frame.candidateMs)
      seen?.add(frame)
    }
    return { model: 'parts', digest: digests[which], streamId: 'gate', ...sums }
  }
}

/** What was seen of both models on the same frames. */
class Seen {
  #frames = 0
  #matched = 0
  #active: Looked = { detections: 0, scores: 0 }
  #candidate: Looked = { detections: 0, scores: 0 }
  #drift = { counts: 0, confidence: 0 }
  #usual: { readonly p95Ms: number; readonly medianMs: number } | undefined
  readonly #activeMs = new Latencies()
  readonly #candidateMs = new Latencies()

  add({ matched, active, candidate, activeMs, candidateMs }: Timed): void {
    this.#frames++
    this.#matched += matched
    this.#active = sum(this.#active, active)
    this.#candidate = sum(this.#candidate, candidate)
    this.#activeMs.add(activeMs)
    this.#candidateMs.add(candidateMs)
  }

  /** From now on beside what is usual on this box, no longer on the same frames. */
  compare(usual: Baseline, live: Baseline): void {
    this.#drift = usual.drift(digests.active, live, digests.candidate)
    const { latencyP95Ms: p95Ms, latencyMedianMs: medianMs } = usual.summary(digests.active)
    this.#usual = { p95Ms, medianMs }
  }

  get evidence(): Evidence {
    return {
      detections: this.#detections,
      medianMs: this.#candidateMs.quantile(0.5),
      activeMedianMs: this.#usual?.medianMs ?? this.#activeMs.quantile(0.5),
    }
  }

  /** Of both models together. */
  get #detections(): number {
    return this.#active.detections + this.#candidate.detections
  }

  get comparison(): Comparison {
    const frames = Math.max(1, this.#frames)
    const [active, candidate] = [this.#active, this.#candidate]
    const confidence = ({ detections, scores }: Looked) => scores / Math.max(1, detections)
    return {
      frames: this.#frames,
      agreement: this.#detections === 0 ? 1 : (2 * this.#matched) / this.#detections,
      latencyP95Ms: this.#candidateMs.quantile(0.95),
      activeLatencyP95Ms: this.#usual?.p95Ms ?? this.#activeMs.quantile(0.95),
      detections: candidate.detections / frames,
      activeDetections: active.detections / frames,
      confidence: Math.min(1, confidence(candidate)),
      activeConfidence: Math.min(1, confidence(active)),
      countDrift: this.#drift.counts,
      confidenceDrift: this.#drift.confidence,
      memoryBytes: 1e8,
      crashes: 0,
      streams: ['gate'],
    }
  }
}

const sum = (one: Looked, other: Looked): Looked => ({
  detections: one.detections + other.detections,
  scores: one.scores + other.scores,
})
