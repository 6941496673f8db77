/** The model host of an agent: its media processes, a probe and a shadow of their own, and the memory of a day. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Comparison, ReportedModel, StreamConfig, UpdateCare } from '@edgeloop/protocol'
import type { SeenBlock } from '../media/lane-watch.ts'
import type { MediaFleet } from '../media/media-fleet.ts'
import type { ModelSource } from '../models/model.ts'
import {
  type SettledModel,
  type SettleOptions,
  settleRuntime,
  settleRuntimes,
} from '../models/settle-runtimes.ts'
import { ModelError } from '../runtimes/runtime.ts'
import { Baseline } from './baseline.ts'
import type { Candidate, ModelHost, ProbeReport, Verdict } from './model-host.ts'
import { Probation } from './probation.ts'
import { probeCandidate } from './probe.ts'
import { shadowCandidate } from './shadow.ts'

export type FleetModelHostOptions = SettleOptions & {
  /** Models of the box's own configuration. */
  readonly configured: readonly ModelSource[]
  /** Delivered models that are active on disk: they stand in for those of the same name. */
  readonly delivered: readonly Candidate[]
  readonly dataDir: string
  readonly monotonicMs: () => number
  /** Other programs in place of probe and shadow, and other times; for tests. */
  readonly probeModule?: string | URL
  readonly shadowModule?: string | URL
  readonly tellIntervalMs?: number
}

/** How long a frame of a stream is waited for before it is asked again. */
const frameWaitMs = 5_000
/** How long a media process may take to open a model at its start, starting again after crashes included. */
const openTimeoutMs = 120_000
const openPollMs = 100
/** For so long a stream still shows what two models differed on. */
const differMs = 1_000

export class FleetModelHost implements ModelHost, AsyncDisposable {
  readonly #options: FleetModelHostOptions
  /** Of the box's own configuration, settled, by name. */
  readonly #own: ReadonlyMap<string, SettledModel>
  /** What was last settled of each name: what its runtime rests on. */
  readonly #settled = new Map<string, SettledModel>()
  readonly #baseline: Baseline
  readonly #probations = new Set<{ readonly name: string; readonly probation: Probation }>()
  #fleet: MediaFleet | undefined
  /** Frames are given to one shadow at a time. */
  #shadowing: Promise<unknown> = Promise.resolve()

  /** Settles the runtimes of all models and reads what is remembered. */
  static async open(options: FleetModelHostOptions): Promise<FleetModelHost> {
    const { configured, dataDir, now } = options
    const own = await settleRuntimes(configured, options)
    const baseline = await Baseline.open(join(dataDir, 'baseline.json'), now)
    const host = new FleetModelHost(options, own, baseline)
    for (const candidate of options.delivered) await host.#settle(candidate)
    return host
  }

  private constructor(
    options: FleetModelHostOptions,
    own: readonly SettledModel[],
    baseline: Baseline,
  ) {
    this.#options = options
    this.#own = new Map(own.map((model) => [model.source.name, model]))
    for (const model of own) this.#settled.set(model.source.name, model)
    this.#baseline = baseline
  }

  /** What media processes start with. */
  get sources(): ModelSource[] {
    return [...this.#settled.values()].map(({ source }) => source)
  }

  /** What the choice of a model's runtime rests on, where it was measured. */
  measuredOf(name: string): ReportedModel['measured'] {
    return this.#settled.get(name)?.measured
  }

  /** The media processes, which are made with `sources`. */
  join(fleet: MediaFleet): void {
    this.#fleet = fleet
  }

  /** For `onSeen` of the media processes. */
  saw(block: SeenBlock): void {
    this.#baseline.take(block)
    for (const { probation } of this.#probations) probation.saw(block)
  }

  /** For `onDown` of the media processes: what they ran is what is suspected. */
  fell(code: 'mediaCrashed' | 'mediaHung', streams: readonly StreamConfig[]): void {
    const only = this.#fleet?.only
    const uses = (name: string) => (stream: StreamConfig) =>
      (stream.model ?? only) === name ||
      stream.furtherModels?.some(({ model }) => model === name) === true
    for (const { name, probation } of this.#probations) {
      if (streams.some(uses(name))) probation.fell(code)
    }
  }

  probe(candidate: Candidate, signal: AbortSignal): Promise<ProbeReport> {
    const { probeModule: module } = this.#options
    return probeCandidate(candidate, { signal, ...(module !== undefined && { module }) })
  }

  async shadow(
    candidate: Candidate,
    care: UpdateCare,
    told: (comparison: Comparison) => void,
    signal: AbortSignal,
  ): Promise<Verdict> {
    const turn = this.#shadowing
      .catch(() => {})
      .then(() => this.#shadow(candidate, care, told, signal))
    this.#shadowing = turn
    return await turn
  }

  async #shadow(
    candidate: Candidate,
    care: UpdateCare,
    told: (comparison: Comparison) => void,
    signal: AbortSignal,
  ): Promise<Verdict> {
    signal.throwIfAborted()
    const fleet = this.#theFleet()
    const { name } = candidate
    const activeSource = fleet.sourceOf(name)
    // Nothing of this name looks at anything: there is nothing to compare with.
    if (!activeSource || care.shadowMs === 0) return { ok: true, comparison: nothingSeen }
    const { source: candidateSource } = await this.#settledOf(candidate)
    const { now, monotonicMs, shadowModule, tellIntervalMs } = this.#options
    return await shadowCandidate({
      candidate,
      candidateSource,
      activeSource,
      care,
      told,
      now,
      monotonicMs,
      signal,
      nextFrame: (ending) => fleet.frameOf(name, frameWaitMs, ending),
      // The frame itself has gone: what the stream shows next is most like it.
      differ: (streamId, why) => {
        fleet.ask(streamId, { reason: 'disagreement', frames: 1, why, withinMs: differMs })
      },
      baseline: this.#baseline,
      ...(shadowModule !== undefined && { module: shadowModule }),
      ...(tellIntervalMs !== undefined && { tellIntervalMs }),
    })
  }

  async activate(name: string, model: Candidate | undefined, signal: AbortSignal): Promise<void> {
    const fleet = this.#theFleet()
    const settled = model ? await this.#settledOf(model) : this.#own.get(name)
    signal.throwIfAborted()
    const before = fleet.sourceOf(name)
    if (JSON.stringify(before) !== JSON.stringify(settled?.source)) {
      await fleet.changeModel(name, settled?.source, signal)
    }
    const wrong = model && (await this.#wrongWith(model, signal))
    if (wrong !== undefined) {
      // What was there before may be what is wrong; then there is nothing to go back to.
      if (before && before !== fleet.sourceOf(name)) await fleet.changeModel(name, before, signal)
      throw new ModelError(wrong)
    }
    if (settled) this.#settled.set(name, settled)
    else this.#settled.delete(name)
  }

  async probation(
    candidate: Candidate,
    care: UpdateCare,
    told: (comparison: Comparison) => void,
    signal: AbortSignal,
  ): Promise<Verdict> {
    const fleet = this.#theFleet()
    const { now, monotonicMs, tellIntervalMs } = this.#options
    const { name } = candidate
    const probation = new Probation({
      candidate,
      care,
      told,
      baseline: this.#baseline,
      now,
      monotonicMs,
      signal,
      pids: () => fleet.pids,
      refusal: () => fleet.refusalOf(name),
      ...(tellIntervalMs !== undefined && { tellIntervalMs }),
    })
    const entry = { name, probation }
    this.#probations.add(entry)
    try {
      return await probation.run()
    } finally {
      this.#probations.delete(entry)
    }
  }

  running(): readonly { readonly name: string; readonly digest: string }[] {
    return this.#fleet?.models.map(({ name, digest }) => ({ name, digest })) ?? []
  }

  /** Keeps what is remembered for the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#baseline.keep()
  }

  #theFleet(): MediaFleet {
    if (this.#fleet) return this.#fleet
    throw new ModelError('Cannot use a delivered model: no media processes have been started')
  }

  /** Waits until a media process has said of a model what it is; gives why it is not what it should be. */
  async #wrongWith({ name, digest }: Candidate, signal: AbortSignal): Promise<string | undefined> {
    const fleet = this.#theFleet()
    const endMs = this.#options.monotonicMs() + openTimeoutMs
    for (;;) {
      const refusal = fleet.refusalOf(name)
      if (refusal !== undefined) return refusal
      const opened = fleet.models.find((model) => model.name === name)
      if (opened?.digest === digest) return undefined
      if (opened) {
        return `Cannot use model "${name}": its file has the digest ${opened.digest}, ${digest} was signed`
      }
      if (this.#options.monotonicMs() > endMs) {
        return `Cannot use model "${name}": no media process had it open after ${openTimeoutMs / 1000} s`
      }
      await sleep(openPollMs, undefined, { signal })
    }
  }

  async #settle(candidate: Candidate): Promise<void> {
    this.#settled.set(candidate.name, await this.#settledOf(candidate))
  }

  /** A runtime that the box's owner has chosen for this name counts, unless it is a server, which has its own file. */
  #settledOf({ name, version, source }: Candidate): Promise<SettledModel> {
    const wish = this.#options.configured.find((model) => model.name === name)?.runtime
    const runtime = wish?.startsWith('ort:') ? wish : 'auto'
    return settleRuntime({ ...source, version, runtime }, this.#options)
  }
}

const nothingSeen: Comparison = {
  frames: 0,
  agreement: 1,
  latencyP95Ms: 0,
  activeLatencyP95Ms: 0,
  detections: 0,
  activeDetections: 0,
  confidence: 0,
  activeConfidence: 0,
  countDrift: 0,
  confidenceDrift: 0,
  memoryBytes: 0,
  crashes: 0,
  streams: [],
}
