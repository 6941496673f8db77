/**
 * Watches a model that was just put to work: do media processes live with it, is it as fast as what was there before, does it
 * see as much and as surely? Against the device's own baseline, on all of its frames.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Comparison, UpdateCare } from '@edgeloop/protocol'
import { measureProcesses } from '../health/processes.ts'
import type { SeenBlock } from '../media/lane-watch.ts'
import { Baseline } from './baseline.ts'
import type { Candidate, Verdict } from './model-host.ts'
import { objection } from './verdict.ts'

export type ProbationOptions = {
  readonly candidate: Candidate
  readonly care: UpdateCare
  readonly baseline: Baseline
  readonly told: (comparison: Comparison) => void
  /** Processes that run it. */
  readonly pids: () => readonly number[]
  /** Why a process that was started again could not open it; undefined while none failed. */
  readonly refusal: () => string | undefined
  readonly tellIntervalMs?: number
  readonly now: () => number
  readonly monotonicMs: () => number
  readonly signal: AbortSignal
}

const tellIntervalMsDefault = 5_000

export class Probation {
  readonly #options: ProbationOptions
  readonly #now: Baseline
  /** Of the model before; undefined where nothing is remembered of one. */
  readonly #before: string | undefined
  #crashes = 0
  #hung = false
  #memoryBytes = 0
  #wake = Promise.withResolvers<void>()

  constructor(options: ProbationOptions) {
    const { candidate, baseline, now } = options
    this.#options = options
    this.#now = new Baseline(undefined, now)
    this.#before = baseline.before(candidate.name, candidate.digest)
  }

  /** What a media process told of any model. */
  saw(block: SeenBlock): void {
    if (block.digest === this.#options.candidate.digest) this.#now.take(block)
  }

  /** A media process that runs it has ended without having been asked to. */
  fell(code: 'mediaCrashed' | 'mediaHung'): void {
    this.#crashes++
    this.#hung = code === 'mediaHung'
    this.#wake.resolve()
  }

  /**
   * Settles with the first bad sign, or at the end.
   * @throws the signal's reason
   */
  async run(): Promise<Verdict> {
    const { care, signal, monotonicMs, told, refusal } = this.#options
    const intervalMs = this.#options.tellIntervalMs ?? tellIntervalMsDefault
    const startMs = monotonicMs()
    for (;;) {
      signal.throwIfAborted()
      const { comparison, medianMs, activeMedianMs } = await this.#compare()
      const reason = refusal()
      if (reason !== undefined) {
        return { ok: false, code: 'probation-crash', reason: reason.slice(0, 500), comparison }
      }
      const leftMs = care.probationMs - (monotonicMs() - startMs)
      const isEarly = leftMs > care.probationMs / 2
      const evidence = { detections: 0, medianMs, activeMedianMs, isEarly, hung: this.#hung }
      const bad = objection('probation', comparison, care, evidence)
      if (bad) return bad
      if (leftMs <= 0) return { ok: true, comparison }
      told(comparison)
      this.#wake = Promise.withResolvers()
      const timer = new AbortController()
      const waiting = sleep(Math.min(intervalMs, leftMs), undefined, {
        signal: AbortSignal.any([signal, timer.signal]),
      }).catch(() => {})
      await Promise.race([waiting, this.#wake.promise])
      timer.abort()
    }
  }

  async #compare(): Promise<{
    comparison: Comparison
    medianMs: number
    activeMedianMs: number
  }> {
    const { baseline, candidate, pids } = this.#options
    const costs = await Promise.all(pids().map((pid) => measureProcesses([pid])))
    this.#memoryBytes = Math.max(this.#memoryBytes, ...costs.map(({ memoryBytes }) => memoryBytes))
    const saw = this.#now.summary(candidate.digest)
    const before = this.#before
    const was = before === undefined ? undefined : baseline.summary(before, saw.streams)
    const drift =
      before === undefined ? undefined : baseline.drift(before, this.#now, candidate.digest)
    const comparison = {
      frames: saw.frames,
      // The model before looks at nothing any more.
      agreement: 1,
      latencyP95Ms: saw.latencyP95Ms,
      activeLatencyP95Ms: was?.latencyP95Ms ?? 0,
      detections: saw.detections,
      activeDetections: was?.detections ?? 0,
      confidence: saw.confidence,
      activeConfidence: was?.confidence ?? 0,
      countDrift: drift?.counts ?? 0,
      confidenceDrift: drift?.confidence ?? 0,
      memoryBytes: Math.round(this.#memoryBytes),
      crashes: this.#crashes,
      streams: [...saw.streams].slice(0, 256),
    }
    const activeMedianMs = was?.latencyMedianMs ?? 0
    return { comparison, medianMs: saw.latencyMedianMs, activeMedianMs }
  }
}
