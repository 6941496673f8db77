/**
 * All media processes of the agent: puts every stream into one, keeps what they report, and turns
 * their deaths into alarms and stream states.
 */

import {
  hideSecret,
  type LiveRequest,
  type NewEvent,
  type ReportedModel,
  type ReportedStream,
  type StreamConfig,
  type StreamFigures,
} from '@edgeloop/protocol'
import type { ModelSignature } from '@edgeloop/protocol/oip'
import type { Logger } from 'pino'
import type { ModelSource } from '../models/model.ts'
import { ModelError, type Tensors } from '../runtimes/runtime.ts'
import type { Ask } from '../sampling/chooser.ts'
import { type BackoffOptions, backoffDefaults } from '../streams/backoff.ts'
import { type GroupBounds, overfill, planGroups } from './groups.ts'
import type { SeenBlock, SeenFrame } from './lane-watch.ts'
import { type MediaDown, MediaHost } from './media-host.ts'
import type { FromMedia, Start } from './protocol.ts'

export type MediaFleetOptions = GroupBounds & {
  readonly module: string | URL
  readonly start: Omit<Start, 'kind' | 'describeModels' | 'firstTrackId' | 'only'>
  /**
   * The model of streams that name none, whichever come later; left out where the device's own configuration has
   * none or several.
   */
  readonly only?: string | undefined
  readonly heartbeatTimeoutMs: number
  readonly backoff?: BackoffOptions
  /** Commits an event; gives its sequence, or undefined where it could not be. */
  readonly record: (event: NewEvent) => Promise<number | undefined>
  /** A picture is complete in the snapshot folder. */
  readonly onSnapshot: (digest: string, sizeBytes: number) => void
  /** A clip is complete in the clip folder. */
  readonly onClip: (digest: string, sizeBytes: number) => void
  /** A frame that was kept for learning is complete in the sample folder. */
  readonly onSample?: (digest: string) => void
  /** Frames that samplers of a stream would have kept in the last interval, budgets apart. */
  readonly onWish?: (streamId: string, frames: number) => void
  readonly onLive: (streamId: string, bytes: Uint8Array) => void
  /** What a model saw on a stream in the last interval. */
  readonly onSeen?: (block: SeenBlock) => void
  /** A media process has ended, with these streams. */
  readonly onDown?: (code: MediaDown['code'], streams: readonly StreamConfig[]) => void
  /** What `streams` or `models` give has changed. */
  readonly onChange: () => void
  readonly log: Logger
  readonly now: () => number
  readonly monotonicMs: () => number
  readonly random: () => number
  readonly signal: AbortSignal
}

const startTimeoutMs = 20_000
/** Most requests to run a model on tensors that are under way; more are refused. */
const inferencesMax = 8

/** Something cannot be done just now, and may be later. */
export class BusyError extends Error {
  constructor(text: string) {
    super(text)
    this.name = 'BusyError'
  }
}

type Group = {
  readonly host: MediaHost
  streams: readonly StreamConfig[]
  alarm: MediaDown['code'] | undefined
  figures: readonly StreamFigures[]
  /** Whoever waits for its answer to new models. */
  asked: { readonly id: number; readonly answer: PromiseWithResolvers<Refusals> } | undefined
}

type Refusals = Extract<FromMedia, { kind: 'modelsTaken' }>['refusals']

/** How long one process is asked for a frame before the next one is. */
const lookTurnMs = 1_000
/** How long a media process may take to open a new model beside the old one. */
const modelChangeTimeoutMs = 120_000

export class MediaFleet {
  readonly #options: MediaFleetOptions
  readonly #groups = new Map<number, Group>()
  readonly #streams = new Map<string, ReportedStream>()
  readonly #models = new Map<string, ReportedModel>()
  readonly #signatures = new Map<string, ModelSignature>()
  readonly #refusals = new Map<string, string>()
  readonly #inferences = new Map<number, PromiseWithResolvers<Tensors>>()
  #nextInference = 1
  /** When a stream was last known live whose process then died; for the gap it leaves. */
  readonly #goneMs = new Map<string, number>()
  #configs: readonly StreamConfig[] = []
  #live: LiveRequest | undefined
  #nextTrackId = 1
  #sources: readonly ModelSource[]
  #nextChange = 1
  #look: { readonly id: number; readonly give: (frame: SeenFrame) => void } | undefined
  #nextLook = 1
  #lookTurn = 0
  /** Changes of models, one after the other. */
  #changing: Promise<unknown> = Promise.resolve()

  constructor(options: MediaFleetOptions) {
    this.#options = options
    this.#sources = options.start.models
    // The first process runs even without streams: it says which models the device can run.
    if (options.start.models.length > 0) this.#group(0)
  }

  /** Streams in the order in which they are wanted. */
  get streams(): ReportedStream[] {
    return this.#configs.flatMap(({ streamId }) => this.#streams.get(streamId) ?? [])
  }

  /** Models that could be opened, in the order of the configuration. */
  get models(): ReportedModel[] {
    return this.#sources.flatMap(({ name }) => this.#models.get(name) ?? [])
  }

  /** All models there are, whether they can be opened or not. */
  get modelNames(): string[] {
    return this.#sources.map(({ name }) => name)
  }

  /**
   * Puts a model in the place of the one of this name, or takes it away, under running streams: all media processes
   * change over, or none does. Those that start later start with it.
   * @throws {ModelError} when a process cannot open it, or ends while it does
   * @throws the signal's reason
   */
  changeModel(name: string, source: ModelSource | undefined, signal: AbortSignal): Promise<void> {
    const done = this.#changing.then(() => this.#changeModel(name, source, signal))
    this.#changing = done.catch(() => {})
    return done
  }

  async #changeModel(
    name: string,
    source: ModelSource | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted()
    const before = this.#sources
    const after = withModel(before, name, source)
    // Somebody has to say whether it can be opened.
    if (this.#groups.size === 0) this.#group(0)
    try {
      await this.#askAll(after, signal)
    } catch (error) {
      await this.#askAll(before, AbortSignal.timeout(modelChangeTimeoutMs)).catch(() => {})
      throw error
    }
    this.#sources = after
    if (source === undefined) {
      this.#models.delete(name)
      this.#signatures.delete(name)
      this.#refusals.delete(name)
    }
    // What was started or was away meanwhile has the models of before.
    for (const group of this.#groups.values()) {
      if (!group.asked) this.#ask(group, after)
      group.asked = undefined
    }
    this.#options.onChange()
  }

  /** Tells every process that runs; settles when all have changed over. */
  async #askAll(models: readonly ModelSource[], signal: AbortSignal): Promise<void> {
    for (const group of this.#groups.values()) group.asked = undefined
    const running = [...this.#groups.values()].filter(({ host }) => host.pid !== undefined)
    const timeout = AbortSignal.timeout(modelChangeTimeoutMs)
    const ended = AbortSignal.any([signal, this.#options.signal, timeout])
    const stop = Promise.withResolvers<never>()
    const onAbort = (): void => {
      const late = new ModelError(`it was not open after ${modelChangeTimeoutMs / 1000} s`)
      stop.reject(timeout.aborted ? late : ended.reason)
    }
    ended.addEventListener('abort', onAbort, { once: true })
    if (ended.aborted) onAbort()
    try {
      const answers = running.map((group) => this.#ask(group, models))
      const refusals = await Promise.race([Promise.all(answers), stop.promise])
      const [first] = refusals.flat()
      if (first) throw new ModelError(first.reason)
    } finally {
      ended.removeEventListener('abort', onAbort)
      stop.promise.catch(() => {})
    }
  }

  #ask(group: Group, models: readonly ModelSource[]): Promise<Refusals> {
    const id = this.#nextChange++
    const answer = Promise.withResolvers<Refusals>()
    // Nobody may be waiting any more when the process ends.
    answer.promise.catch(() => {})
    group.asked = { id, answer }
    group.host.send({ kind: 'models', id, models, only: this.#onlyOf(models) })
    return answer.promise
  }

  #onlyOf(models: readonly ModelSource[]): string | undefined {
    return this.#options.only ?? (models.length === 1 ? models[0]?.name : undefined)
  }

  /** The model of a stream that names none; undefined where it has to name one. */
  get only(): string | undefined {
    return this.#onlyOf(this.#sources)
  }

  /** How a model is opened; undefined where there is none of this name. */
  sourceOf(name: string): ModelSource | undefined {
    return this.#sources.find((source) => source.name === name)
  }

  /**
   * A frame that goes through this model from now on, with what the model says: the processes are asked in turn. One at
   * a time.
   * @returns undefined when none came within `waitMs`
   * @throws the signal's reason
   */
  async frameOf(
    model: string,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<SeenFrame | undefined> {
    const came = Promise.withResolvers<SeenFrame>()
    const id = this.#nextLook++
    const endMs = this.#options.monotonicMs() + waitMs
    this.#look = { id, give: came.resolve }
    try {
      while (this.#options.monotonicMs() < endMs) {
        signal.throwIfAborted()
        const running = [...this.#groups.values()].filter(({ host }) => host.pid !== undefined)
        const group = running[this.#lookTurn++ % Math.max(1, running.length)]
        group?.host.send({ kind: 'look', id, model })
        const late = Promise.withResolvers<undefined>()
        const timer = setTimeout(late.resolve, Math.min(lookTurnMs, waitMs), undefined)
        const frame = await Promise.race([came.promise, late.promise])
        clearTimeout(timer)
        if (frame) return frame
        group?.host.send({ kind: 'look', id })
      }
      signal.throwIfAborted()
      return undefined
    } finally {
      this.#look = undefined
    }
  }

  /** What a model takes and gives; undefined where it could not be opened, or not yet. */
  signatureOf(name: string): ModelSignature | undefined {
    return this.#models.has(name) ? this.#signatures.get(name) : undefined
  }

  /** Why a model could not be opened. */
  refusalOf(name: string): string | undefined {
    return this.#refusals.get(name)
  }

  /**
   * Runs a model on tensors, when the streams of its process have had their turns.
   * @throws {BusyError} when too many wait already, or the process is just being started
   * @throws {ModelError} when the model fails, or its process ends meanwhile
   */
  async infer(model: string, inputs: Tensors): Promise<Tensors> {
    const host = this.#groups.get(0)?.host
    if (host?.pid === undefined) throw new BusyError('the process that runs models is not up')
    if (this.#inferences.size >= inferencesMax) {
      throw new BusyError(`${inferencesMax} requests are under way`)
    }
    const id = this.#nextInference++
    const answer = Promise.withResolvers<Tensors>()
    this.#inferences.set(id, answer)
    host.send({ kind: 'infer', id, model, inputs })
    return await answer.promise
  }

  /** Figures of the last interval that each process reported. */
  get figures(): StreamFigures[] {
    return [...this.#groups.values()].flatMap(({ figures }) => figures)
  }

  get pids(): number[] {
    return [...this.#groups.values()].flatMap(({ host }) => host.pid ?? [])
  }

  /** Settled when the signal has aborted and every process is gone. */
  async done(): Promise<void> {
    await Promise.all([...this.#groups.values()].map(({ host }) => host.done))
  }

  /**
   * Makes these the streams that run; what is unchanged runs on.
   * @throws {RangeError} when they are more than fit; then nothing changes
   */
  setStreams(configs: readonly StreamConfig[]): void {
    const groups = planGroups(configs, this.#placement(), this.#options)
    const before = new Map(this.#configs.map((config) => [config.streamId, JSON.stringify(config)]))
    this.#configs = configs
    const wanted = new Set(configs.map(({ streamId }) => streamId))
    for (const streamId of this.#streams.keys()) {
      if (!wanted.has(streamId)) this.#streams.delete(streamId)
    }
    for (const config of configs) {
      if (before.get(config.streamId) === JSON.stringify(config)) continue
      this.#streams.set(config.streamId, connecting(config, this.#options.now()))
    }
    for (const [number, streams] of groups.entries()) {
      if (streams.length === 0 && !this.#groups.has(number)) continue
      const group = this.#group(number)
      group.streams = streams
      group.host.setStreams(streams)
    }
    this.#options.onChange()
  }

  setLive(request: LiveRequest): void {
    this.#live = request
    for (const { host } of this.#groups.values()) host.setLive(request)
  }

  /** Tells a stream what was learned elsewhere of its next frames; nobody hears it where it does not run. */
  ask(streamId: string, ask: Ask): void {
    for (const { host, streams } of this.#groups.values()) {
      if (streams.some((one) => one.streamId === streamId))
        host.send({ kind: 'ask', streamId, ask })
    }
  }

  #placement(): Map<string, number> {
    return new Map(
      [...this.#groups].flatMap(([number, { streams }]) =>
        streams.map(({ streamId }): [string, number] => [streamId, number]),
      ),
    )
  }

  #group(number: number): Group {
    const known = this.#groups.get(number)
    if (known) return known
    const { module, heartbeatTimeoutMs, streamsPerProcess, backoff } = this.#options
    const { monotonicMs, random, signal, start } = this.#options
    const group: Group = {
      host: new MediaHost({
        module,
        start: () => ({
          kind: 'start',
          ...start,
          models: this.#sources,
          only: this.#onlyOf(this.#sources),
          describeModels: number === 0,
          firstTrackId: this.#nextTrackId,
        }),
        streamsMax: streamsPerProcess * overfill,
        heartbeatTimeoutMs,
        startTimeoutMs,
        backoff: backoff ?? backoffDefaults,
        onMessage: (message) => this.#hear(group, message),
        onDown: (down) => this.#down(group, down),
        onSteady: () => this.#steady(group),
        monotonicMs,
        random,
        signal,
      }),
      streams: [],
      alarm: undefined,
      figures: [],
      asked: undefined,
    }
    this.#groups.set(number, group)
    if (this.#live) group.host.setLive(this.#live)
    return group
  }

  #hear(group: Group, message: FromMedia): void {
    const { onSnapshot, onClip, onLive, onChange, log } = this.#options
    switch (message.kind) {
      case 'ready':
      case 'heartbeat':
        return
      case 'event':
        void this.#record(group, message)
        return
      case 'snapshot':
        onSnapshot(message.digest, message.sizeBytes)
        return
      case 'clip':
        onClip(message.digest, message.sizeBytes)
        return
      case 'sample':
        this.#options.onSample?.(message.digest)
        return
      case 'stream':
        if (!group.streams.some(({ streamId }) => streamId === message.stream.streamId)) return
        this.#streams.set(message.stream.streamId, message.stream)
        onChange()
        return
      case 'modelsTaken':
        if (group.asked?.id === message.id) group.asked.answer.resolve(message.refusals)
        return
      case 'modelRefused':
        this.#refusals.set(message.name, message.reason)
        return
      case 'inferred':
        this.#takeInference(message.id)?.resolve(message.outputs)
        return
      case 'notInferred':
        this.#takeInference(message.id)?.reject(new ModelError(message.reason))
        return
      case 'model':
        this.#signatures.set(message.model.name, message.signature)
        this.#refusals.delete(message.model.name)
        if (isSame(this.#models.get(message.model.name), message.model)) return
        this.#models.set(message.model.name, message.model)
        onChange()
        return
      case 'figures':
        group.figures = message.streams
        for (const block of message.seen ?? []) this.#options.onSeen?.(block)
        for (const { streamId, frames } of message.wishes ?? []) {
          this.#options.onWish?.(streamId, frames)
        }
        return
      case 'looked':
        if (this.#look?.id === message.id) this.#look.give(message.frame)
        return
      case 'live':
        onLive(message.streamId, message.bytes)
        return
      case 'log':
        log[message.level](message.fields, message.text)
    }
  }

  #takeInference(id: number): PromiseWithResolvers<Tensors> | undefined {
    const waiting = this.#inferences.get(id)
    this.#inferences.delete(id)
    return waiting
  }

  async #record(group: Group, { id, event }: Extract<FromMedia, { kind: 'event' }>): Promise<void> {
    if (event.kind === 'appeared') {
      this.#nextTrackId = Math.max(this.#nextTrackId, event.trackId + 1)
    }
    const sequence = await this.#options.record(this.#withGap(event))
    group.host.send({ kind: 'recorded', id, ...(sequence !== undefined && { sequence }) })
  }

  /** A stream that comes back in a new process cannot know how long it was away. */
  #withGap(event: NewEvent): NewEvent {
    if (event.kind !== 'stream' || event.state !== 'live') return event
    const goneMs = this.#goneMs.get(event.streamId)
    this.#goneMs.delete(event.streamId)
    if (goneMs === undefined || event.gapMs !== undefined) return event
    return { ...event, gapMs: Math.round(this.#options.monotonicMs() - goneMs) }
  }

  #down(group: Group, { code, text }: MediaDown): void {
    const { log, record, onChange, monotonicMs } = this.#options
    log.error({ code }, text)
    group.figures = []
    this.#options.onDown?.(code, group.streams)
    group.asked?.answer.reject(new ModelError(text))
    group.asked = undefined
    if (group === this.#groups.get(0)) {
      const lost = new ModelError(`Cannot run the model: ${text}`)
      for (const { reject } of this.#inferences.values()) reject(lost)
      this.#inferences.clear()
    }
    const at = new Date(this.#options.now()).toISOString()
    if (group.alarm !== code) this.#endAlarm(group, at)
    if (group.alarm === undefined) {
      group.alarm = code
      void record({ kind: 'alarm', at, code, active: true, text: text.slice(0, 1000) })
    }
    for (const { streamId } of group.streams) {
      const stream = this.#streams.get(streamId)
      if (!stream) continue
      const wasLive = stream.state === 'live'
      if (wasLive) this.#goneMs.set(streamId, monotonicMs())
      this.#streams.set(streamId, { ...stream, state: 'offline', reason: text, since: at })
      if (wasLive) void record({ kind: 'stream', at, streamId, state: 'offline', reason: text })
    }
    onChange()
  }

  #steady(group: Group): void {
    this.#endAlarm(group, new Date(this.#options.now()).toISOString())
  }

  #endAlarm(group: Group, at: string): void {
    const code = group.alarm
    if (code === undefined) return
    group.alarm = undefined
    const text = 'The media process works again'
    void this.#options.record({ kind: 'alarm', at, code, active: false, text })
  }
}

function withModel(
  models: readonly ModelSource[],
  name: string,
  source: ModelSource | undefined,
): readonly ModelSource[] {
  if (source === undefined) return models.filter((one) => one.name !== name)
  if (!models.some((one) => one.name === name)) return [...models, source]
  return models.map((one) => (one.name === name ? source : one))
}

const isSame = (known: ReportedModel | undefined, told: ReportedModel): boolean =>
  known?.digest === told.digest && known.version === told.version

function connecting({ streamId, name, source }: StreamConfig, now: number): ReportedStream {
  return {
    streamId,
    name: name ?? streamId,
    source: hideSecret(source),
    state: 'connecting',
    reason: '',
    since: new Date(now).toISOString(),
  }
}
