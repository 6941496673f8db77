/**
 * Runs a candidate beside the active model on live frames and compares what they say. The candidate has a process of its
 * own that gives way to everybody else; a frame is asked for only when the one before has been dealt with and paid for,
 * so there is no queue, and the active model's frames wait for nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Comparison, UpdateCare } from '@edgeloop/protocol'
import type { SeenFrame } from '../media/lane-watch.ts'
import type { ModelSource, Reading } from '../models/model.ts'
import { agreementOf, asDetections } from './agreement.ts'
import { Baseline } from './baseline.ts'
import { Latencies } from './latencies.ts'
import type { Candidate, Refused, Verdict } from './model-host.ts'
import { memoryFactor } from './probe.ts'
import type { FromShadow, ToShadow } from './shadow-process.ts'
import { objection } from './verdict.ts'
import { type WatchedProcess, watchProcess } from './watched-process.ts'

export type ShadowOptions = {
  readonly candidate: Candidate
  /** How both are opened here, their runtimes settled. */
  readonly candidateSource: ModelSource
  readonly activeSource: ModelSource
  readonly care: UpdateCare
  /** A live frame of the active model; undefined when none came for a while. */
  readonly nextFrame: (signal: AbortSignal) => Promise<SeenFrame | undefined>
  /** What the active model saw in the last day. */
  readonly baseline: Baseline
  readonly told: (comparison: Comparison) => void
  /** Both differ on what a stream shows: that may be worth learning from. */
  readonly differ?: (streamId: string, why: string) => void
  readonly module?: string | URL
  /** How often `told` hears, ms. */
  readonly tellIntervalMs?: number
  readonly slackMs?: number
  readonly now: () => number
  readonly monotonicMs: () => number
  readonly signal: AbortSignal
}

/** The time goes on until enough frames were seen, at most so many times as long. */
const timesMax = 3
const tellIntervalMsDefault = 5_000
const slackMsDefault = 20_000
/** A box that is asked to spare its CPU is not asked for frames faster than this. */
const pauseMsMin = 20
/** Blocks that the drift is computed of, as media processes report them. */
const blockMs = 10_000
const niceness = 10
/** Of what either sees on a frame, both see no more than this share: they differ. */
const differShare = 0.7

/** @throws the signal's reason */
export async function shadowCandidate(options: ShadowOptions): Promise<Verdict> {
  options.signal.throwIfAborted()
  const run = new ShadowRun(options)
  try {
    return await run.run()
  } finally {
    run.stop()
  }
}

class ShadowRun {
  readonly #options: ShadowOptions
  readonly #child: WatchedProcess<ToShadow>
  readonly #ending = new AbortController()
  readonly #candidateMs = new Latencies()
  readonly #activeMs = new Latencies()
  readonly #streams = new Set<string>()
  readonly #now: Baseline
  #answer = Promise.withResolvers<FromShadow>()
  #activeBytes = 0
  #activeDigest = ''
  #frames = 0
  #agreed = { detections: 0, common: 0 }
  #candidateSaw = { detections: 0, scores: 0 }
  #activeSaw = { detections: 0, scores: 0 }
  #blocks = new Map<string, { frames: number; detections: number; scores: number }>()
  #blockedAt: number

  constructor(options: ShadowOptions) {
    this.#options = options
    this.#now = new Baseline(undefined, options.now)
    this.#blockedAt = options.monotonicMs()
    const { limits } = options.candidate.manifest
    // Two models in one process: the active one may take as much as the candidate, which is checked by what it took.
    this.#child = watchProcess<ToShadow, FromShadow>({
      module: options.module ?? new URL('./shadow-process.ts', import.meta.url),
      memoryBytesMax: limits.memoryBytesMax * memoryFactor * 2,
      niceness,
      onMessage: (message) => this.#answer.resolve(message),
    })
  }

  stop(): void {
    this.#ending.abort()
    this.#child.stop()
  }

  async run(): Promise<Verdict> {
    const { care, signal, monotonicMs, told, candidate } = this.#options
    const { limits } = candidate.manifest
    const slackMs = this.#options.slackMs ?? slackMsDefault
    const { candidateSource, activeSource } = this.#options
    const order: ToShadow = { kind: 'open', active: activeSource, candidate: candidateSource }
    const opened = await this.#ask(order, limits.loadMsMax * 2 + slackMs)
    if ('ok' in opened) return opened
    if (opened.kind === 'opened') this.#activeBytes = opened.activeBytes
    const startMs = monotonicMs()
    let toldMs = startMs
    for (;;) {
      const spentMs = monotonicMs() - startMs
      const isEnough = this.#frames >= care.shadowFramesMin
      if (spentMs >= care.shadowMs * (isEnough ? 1 : timesMax)) break
      const frame = await this.#options.nextFrame(signal)
      if (!frame) continue
      const seen = await this.#ask({ kind: 'frame', frame }, limits.inferenceMsMax * 2 + slackMs)
      if ('ok' in seen) return seen
      if (seen.kind !== 'seen') continue
      this.#take(frame, seen)
      const bad = this.#objection()
      if (bad) return bad
      if (monotonicMs() - toldMs >= (this.#options.tellIntervalMs ?? tellIntervalMsDefault)) {
        toldMs = monotonicMs()
        told(this.#comparison(0))
      }
      // What the frame cost is paid for by leaving the core to others.
      const pauseMs = Math.max(pauseMsMin, seen.cpuMs / care.shadowCpuShare - seen.cpuMs)
      await sleep(pauseMs, undefined, { signal })
    }
    this.#closeBlocks()
    return { ok: true, comparison: this.#comparison(0) }
  }

  /** Sends something and gives the answer to it, or why there is none. */
  async #ask(message: ToShadow, silenceMs: number): Promise<FromShadow | Refused> {
    const { signal } = this.#options
    signal.throwIfAborted()
    this.#answer = Promise.withResolvers()
    this.#child.allow(silenceMs)
    this.#child.send(message)
    const aborted = Promise.withResolvers<never>()
    const onAbort = (): void => aborted.reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      const answer = await Promise.race([
        this.#answer.promise,
        this.#child.ended.then((ended) => ({ ended })),
        aborted.promise,
      ])
      this.#child.allow(undefined)
      if ('ended' in answer) return this.#fallen(answer.ended.why, answer.ended.how)
      return answer.kind === 'refused' ? this.#crashed(answer.reason) : answer
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  #fallen(why: string, how: string): Refused {
    if (why !== 'memory') {
      return this.#crashed(
        why === 'silence' ? 'It did not come back from a frame' : `Its process ended with ${how}`,
      )
    }
    return this.#refuse('shadow-memory', 'Its process took more memory than it may', 0)
  }

  #crashed(reason: string): Refused {
    return this.#refuse('shadow-crash', reason, 1)
  }

  #refuse(code: Refused['code'], reason: string, crashes: number): Refused {
    const comparison = this.#comparison(crashes)
    return { ok: false, code, reason: reason.slice(0, 500), comparison }
  }

  #objection(): Refused | undefined {
    const comparison = this.#comparison(0)
    const { memoryBytesMax } = this.#options.candidate.manifest.limits
    const allowed = memoryBytesMax * memoryFactor
    if (comparison.memoryBytes > allowed) {
      const [took, may] = [comparison.memoryBytes, allowed].map((bytes) => (bytes / 1e6).toFixed(0))
      return this.#refuse('shadow-memory', `It took ${took} MB, allowed ${may}`, 0)
    }
    return objection('shadow', comparison, this.#options.care, {
      detections: this.#agreed.detections,
      medianMs: this.#candidateMs.quantile(0.5),
      activeMedianMs: this.#activeMs.quantile(0.5),
    })
  }

  #take(frame: SeenFrame, seen: Extract<FromShadow, { kind: 'seen' }>): void {
    const firm = frame.options.scoreFirm ?? frame.options.scoreMin
    const { detections, common } = agreementOf(frame.reading, seen.reading, firm)
    if (detections > 0 && common / detections <= differShare) {
      const { name, version } = this.#options.candidate
      const agreement = Math.round((100 * common) / detections)
      const why = `version ${version} of "${name}" beside the active one: ${agreement} % agreement`
      this.#options.differ?.(frame.streamId, why)
    }
    this.#frames++
    this.#streams.add(frame.streamId)
    this.#activeDigest = frame.digest
    this.#agreed = {
      detections: this.#agreed.detections + detections,
      common: this.#agreed.common + common,
    }
    this.#activeSaw = plus(this.#activeSaw, frame.reading, firm)
    this.#candidateSaw = plus(this.#candidateSaw, seen.reading, firm)
    this.#candidateMs.add(seen.inferenceMs)
    if (seen.activeMs !== undefined) this.#activeMs.add(seen.activeMs)
    const block = this.#blocks.get(frame.streamId) ?? { frames: 0, detections: 0, scores: 0 }
    this.#blocks.set(frame.streamId, {
      ...plus(block, seen.reading, firm),
      frames: block.frames + 1,
    })
    if (this.#options.monotonicMs() - this.#blockedAt >= blockMs) this.#closeBlocks()
  }

  #closeBlocks(): void {
    const { name, digest } = this.#options.candidate
    for (const [streamId, sums] of this.#blocks) {
      this.#now.take({ model: name, digest, streamId, ...sums, inferenceMs: [], gapMs: 0 })
    }
    this.#blocks.clear()
    this.#blockedAt = this.#options.monotonicMs()
  }

  #comparison(crashes: number): Comparison {
    const { baseline, candidate } = this.#options
    const { detections, common } = this.#agreed
    const frames = Math.max(1, this.#frames)
    const drift = baseline.drift(this.#activeDigest, this.#now, candidate.digest)
    const [saw, active] = [this.#candidateSaw, this.#activeSaw]
    return {
      frames: this.#frames,
      agreement: detections === 0 ? 1 : common / detections,
      latencyP95Ms: this.#candidateMs.quantile(0.95),
      activeLatencyP95Ms: this.#activeMs.quantile(0.95),
      detections: saw.detections / frames,
      activeDetections: active.detections / frames,
      confidence: saw.detections === 0 ? 0 : saw.scores / saw.detections,
      activeConfidence: active.detections === 0 ? 0 : active.scores / active.detections,
      countDrift: drift.counts,
      confidenceDrift: drift.confidence,
      memoryBytes: Math.max(0, this.#child.peakBytes - this.#activeBytes),
      crashes,
      streams: [...this.#streams].slice(0, 256),
    }
  }
}

function plus<T extends { detections: number; scores: number }>(
  sums: T,
  reading: Reading,
  firm: number,
): T {
  const firmly = asDetections(reading).filter(({ score }) => score >= firm)
  return {
    ...sums,
    detections: sums.detections + firmly.length,
    scores: sums.scores + firmly.reduce((sum, { score }) => sum + score, 0),
  }
}
