/**
 * What stands in for frames and inference on a simulated box: a host that tries, compares and watches candidates as
 * it is told to by seed. What it says of a candidate goes through the agent's own judgement (`objection`).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Comparison, UpdateCare } from '@edgeloop/protocol'
import type {
  Candidate,
  ModelHost,
  ProbeReport,
  Verdict,
} from '../../edge-agent/src/update/model-host.ts'
import { objection, type Stage } from '../../edge-agent/src/update/verdict.ts'

/** How a candidate does on a box. */
export type Conduct = 'good' | 'crashes' | 'hangs' | 'leaks' | 'slow' | 'worse'

export type ScriptedHostOptions = {
  /** Digest of the box's own file, by the name of the model. */
  readonly own: ReadonlyMap<string, string>
  readonly conductOf: (candidate: Candidate) => Conduct
  /** 0..1; the same seed gives the same box. */
  readonly random: () => number
}

const framesSeen = 120
const detectionsSeen = 400
const inferenceMs = 12
const memoryBytes = 90e6

export class ScriptedHost implements ModelHost {
  readonly #options: ScriptedHostOptions
  readonly #active = new Map<string, Candidate>()

  constructor(options: ScriptedHostOptions) {
    this.#options = options
  }

  /** The agent starts with these in place of its own files. */
  start(delivered: readonly Candidate[]): void {
    this.#active.clear()
    for (const candidate of delivered) this.#active.set(candidate.name, candidate)
  }

  async probe(candidate: Candidate, signal: AbortSignal): Promise<ProbeReport> {
    await this.#wait(20, signal)
    const conduct = this.#options.conductOf(candidate)
    if (conduct === 'leaks') {
      return { ok: false, code: 'probe-memory', reason: 'It takes more memory than it may' }
    }
    return { ok: true, memoryBytes, loadMs: 40, inferenceP95Ms: inferenceMs }
  }

  async shadow(
    candidate: Candidate,
    care: UpdateCare,
    told: (comparison: Comparison) => void,
    signal: AbortSignal,
  ): Promise<Verdict> {
    return await this.#look('shadow', candidate, care, told, { lastsMs: care.shadowMs, signal })
  }

  async activate(name: string, model: Candidate | undefined): Promise<void> {
    if (model) this.#active.set(name, model)
    else this.#active.delete(name)
  }

  async probation(
    candidate: Candidate,
    care: UpdateCare,
    told: (comparison: Comparison) => void,
    signal: AbortSignal,
  ): Promise<Verdict> {
    return await this.#look('probation', candidate, care, told, {
      lastsMs: care.probationMs,
      signal,
    })
  }

  running(): readonly { readonly name: string; readonly digest: string }[] {
    const digests = new Map(this.#options.own)
    for (const [name, { digest }] of this.#active) digests.set(name, digest)
    return [...digests].map(([name, digest]) => ({ name, digest }))
  }

  async #look(
    stage: Stage,
    candidate: Candidate,
    care: UpdateCare,
    told: (comparison: Comparison) => void,
    { lastsMs, signal }: { lastsMs: number; signal: AbortSignal },
  ): Promise<Verdict> {
    const conduct = this.#options.conductOf(candidate)
    await this.#wait(lastsMs, signal)
    const comparison = this.#comparison(conduct)
    told(comparison)
    if (conduct === 'hangs' && stage === 'probation') {
      const reason = 'Its inference has not ended'
      return { ok: false, code: 'probation-hang', reason, comparison }
    }
    const { latencyP95Ms: medianMs, activeLatencyP95Ms: activeMedianMs } = comparison
    const evidence = { detections: detectionsSeen, medianMs, activeMedianMs }
    const against = objection(stage, comparison, care, evidence)
    return against ?? { ok: true, comparison }
  }

  #comparison(conduct: Conduct): Comparison {
    const { random } = this.#options
    const about = (mean: number, spread: number) => mean + (random() - 0.5) * 2 * spread
    const activeLatencyP95Ms = about(inferenceMs, 1)
    const latencyP95Ms = activeLatencyP95Ms * (conduct === 'slow' ? 2 : about(1, 0.05))
    return {
      frames: framesSeen,
      latencyP95Ms,
      activeLatencyP95Ms,
      agreement: conduct === 'worse' ? about(0.3, 0.1) : about(0.92, 0.05),
      detections: 3,
      activeDetections: 3,
      confidence: 0.8,
      activeConfidence: 0.8,
      countDrift: about(0, 1),
      confidenceDrift: about(0, 1),
      memoryBytes,
      crashes: conduct === 'crashes' ? 1 : 0,
      streams: ['gate'],
    }
  }

  async #wait(lastsMs: number, signal: AbortSignal): Promise<void> {
    await sleep(lastsMs, undefined, { signal })
  }
}
