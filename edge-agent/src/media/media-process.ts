/**
 * Program of a media process: runs a group of streams for the supervisor that forked it. Everything
 * native lives here (decoders, ONNX Runtime), so that whatever hangs or crashes can be killed without
 * losing what was recorded. It follows its supervisor only: signals to the terminal's process group
 * are the supervisor's to answer.
 */
import { join } from 'node:path'
import type { StreamConfig } from '@edgeloop/protocol'
import { nearestName } from '@edgeloop/protocol'
import { CameraError } from '../cameras/camera.ts'
import { openCamera } from '../cameras/open-camera.ts'
import { demoClip } from '../demo/clip.ts'
import type { DetectOptions, ModelSource } from '../models/model.ts'
import { ModelError } from '../runtimes/runtime.ts'
import { backoffDefaults } from '../streams/backoff.ts'
import { Figures } from '../streams/figures.ts'
import { LiveTap } from '../streams/live-tap.ts'
import { settingsOf } from '../streams/settings.ts'
import { type RunningStream, runStream } from '../streams/stream.ts'
import { endGroup } from './end-group.ts'
import { type Lane, openInference } from './inference.ts'
import type { OpenedModel } from './inference-protocol.ts'
import { LaneWatch, type SeenFrame } from './lane-watch.ts'
import type { ModelSet, Start, ToMedia } from './protocol.ts'
import { Snapshots } from './snapshots.ts'
import { openSupervisorChannel, type SupervisorChannel } from './supervisor-channel.ts'

/** The worker is hung when it owes an answer for this long: then the heartbeat stops. */
const inferenceHungMs = 30_000
/** What does not close in this time is ended with the process. */
const closeTimeoutMs = 1_500

const demoScheme = 'demo:'

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

let media: Media | undefined
const channel = openSupervisorChannel(
  (message) => {
    if (message.kind === 'start') media = new Media(message, channel)
    else media?.hear(message)
  },
  () => void leave(),
)

/** Ends the process; `exit` and not a running-out loop, because native threads may not let go. */
async function leave(): Promise<void> {
  const timer = setTimeout(endGroup, closeTimeoutMs)
  await media?.close().catch(() => {})
  clearTimeout(timer)
  process.exit(0)
}

type Running = {
  readonly config: string
  readonly abort: AbortController
  readonly figures: Figures
  readonly stream: RunningStream
}

class Media {
  readonly #start: Start
  #models: ModelSet
  readonly #channel: SupervisorChannel
  readonly #streams = new Map<string, Running>()
  readonly #inference = openInference((error) => {
    // The worker's native state is unknown: end, and let the supervisor start over.
    throw error
  })
  readonly #watch = new LaneWatch()
  readonly #snapshots: Snapshots
  readonly #live: LiveTap
  readonly #timers: NodeJS.Timeout[]
  #figuresMs = performance.now()
  /** Changes of the stream list, one after the other. */
  #changing: Promise<void> = Promise.resolve()
  /** Changes of the models, one after the other. */
  #changingModels: Promise<void> = Promise.resolve()

  constructor(start: Start, channel: SupervisorChannel) {
    this.#start = start
    this.#models = start
    this.#channel = channel
    this.#snapshots = new Snapshots(start.snapshotFolder, (digest, sizeBytes) =>
      channel.send({ kind: 'snapshot', digest, sizeBytes }),
    )
    this.#live = new LiveTap(start.deviceId, Date.now, channel.sendLive)
    channel.send({ kind: 'ready' })
    this.#beat()
    this.#timers = [
      setInterval(() => this.#beat(), start.heartbeatIntervalMs),
      setInterval(() => this.#sendFigures(), start.figuresIntervalMs),
    ]
    if (start.describeModels) void this.#describeModels()
  }

  hear(message: Exclude<ToMedia, Start | { kind: 'recorded' }>): void {
    switch (message.kind) {
      case 'streams':
        this.#changing = this.#changing.then(() => this.#setStreams(message.streams))
        return
      case 'live':
        this.#live.request(message.request)
        return
      case 'infer':
        void this.#infer(message)
        return
      case 'look':
        this.#look(message)
        return
      case 'ask':
        this.#streams.get(message.streamId)?.stream.ask(message.ask)
        return
      case 'models':
        this.#changingModels = this.#changingModels.then(() => this.#setModels(message))
        return
      case 'stop':
        void leave()
    }
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    for (const { abort } of this.#streams.values()) abort.abort()
    await Promise.all([...this.#streams.values()].map(({ stream }) => stream.done))
    await this.#inference[Symbol.asyncDispose]()
  }

  #beat(): void {
    if (this.#inference.owingMs < inferenceHungMs) this.#channel.send({ kind: 'heartbeat' })
  }

  #sendFigures(): void {
    const nowMs = performance.now()
    const intervalMs = Math.max(1, Math.round(nowMs - this.#figuresMs))
    this.#figuresMs = nowMs
    const streams = [...this.#streams.values()].map(({ figures, stream }) => {
      const taken = figures.take(intervalMs, stream.objects)
      return { ...taken, shedding: stream.judgeLoad({ ...taken, intervalMs }, this.#streams.size) }
    })
    const wishes = [...this.#streams].flatMap(([streamId, { stream }]) => {
      const frames = stream.takeWishes()
      return frames > 0 ? [{ streamId, frames }] : []
    })
    this.#channel.send({ kind: 'figures', intervalMs, streams, seen: this.#watch.take(), wishes })
  }

  /** Stops what is no longer wanted as it is, then starts what is new; the rest runs on untouched. */
  async #setStreams(configs: readonly StreamConfig[]): Promise<void> {
    const wanted = new Map(configs.map((config) => [config.streamId, JSON.stringify(config)]))
    const leaving = [...this.#streams].filter(([id, { config }]) => wanted.get(id) !== config)
    for (const [id, { abort }] of leaving) {
      abort.abort()
      this.#streams.delete(id)
    }
    await Promise.all(leaving.map(([, { stream }]) => stream.done))
    for (const config of configs) {
      if (!this.#streams.has(config.streamId)) this.#run(config)
    }
  }

  #run(config: StreamConfig): void {
    const settings = settingsOf(config)
    const abort = new AbortController()
    const figures = new Figures(config.streamId)
    const stream = runStream(settings, {
      openCamera,
      locate: (source, signal) => this.#locate(source, signal),
      openLane: async (name, options, use) => {
        const lane = await this.#openLane(name, options)
        if (use === 'redaction') return lane
        return this.#watch.over(lane, config.streamId, options)
      },
      record: this.#channel.record,
      snapshots: this.#snapshots,
      clips: {
        folder: this.#start.clipFolder,
        announce: (digest, sizeBytes) => this.#channel.send({ kind: 'clip', digest, sizeBytes }),
      },
      samples: {
        folder: this.#start.sampleFolder,
        announce: (digest) => this.#channel.send({ kind: 'sample', digest }),
        versionOf: (model) => this.#models.models.find(({ name }) => name === model)?.version ?? 0,
      },
      log: (level, text) =>
        this.#channel.send({ kind: 'log', level, text, fields: { streamId: config.streamId } }),
      report: (reported) => this.#channel.send({ kind: 'stream', stream: reported }),
      live: this.#live,
      figures,
      firstTrackId: this.#start.firstTrackId,
      backoff: backoffDefaults,
      now: Date.now,
      monotonicMs: () => performance.now(),
      random: Math.random,
      signal: abort.signal,
    })
    this.#streams.set(config.streamId, { config: JSON.stringify(config), abort, figures, stream })
  }

  /** `demo:SEED` becomes the clip of that scene, rendered where it is not there yet. */
  async #locate(source: string, signal: AbortSignal): Promise<string> {
    if (!source.startsWith(demoScheme)) return source
    const seed = Number(source.slice(demoScheme.length))
    const folder = join(this.#start.cacheFolder, 'demo')
    try {
      return await demoClip({ seed, folder, signal })
    } catch (cause) {
      throw new CameraError('refused', (cause as Error).message, { cause })
    }
  }

  async #openLane(name: string | undefined, options: DetectOptions): Promise<Lane> {
    const { models, only } = this.#models
    const source = models.find((model) => model.name === (name ?? only))
    const known = models.map((model) => model.name)
    if (!source) throw new ModelError(noSuchModel(name, known))
    const lane = await this.#inference.openLane(source, options)
    this.#report(lane.model, source)
    return lane
  }

  async #infer({ id, model: name, inputs }: Extract<ToMedia, { kind: 'infer' }>): Promise<void> {
    try {
      const { models } = this.#models
      const source = models.find((model) => model.name === name)
      const known = models.map((model) => model.name)
      if (!source) throw new ModelError(noSuchModel(name, known))
      const outputs = await this.#inference.infer(source, inputs)
      this.#channel.send({ kind: 'inferred', id, outputs })
    } catch (error) {
      this.#channel.send({ kind: 'notInferred', id, reason: (error as Error).message })
    }
  }

  async #describeModels(): Promise<void> {
    for (const source of this.#start.models) {
      // Changed meanwhile, and told of then.
      if (!this.#models.models.includes(source)) continue
      try {
        this.#report(await this.#inference.describe(source), source)
      } catch (error) {
        const text = (error as Error).message.slice(0, 1000)
        this.#channel.send({ kind: 'modelRefused', name: source.name, reason: text })
        const at = new Date().toISOString()
        await this.#channel.record({ kind: 'alarm', at, code: 'modelFailed', active: true, text })
      }
    }
  }

  /** Changes what differs, under the streams that use it; streams that wait for a model try again at once. */
  async #setModels({ id, models, only }: Extract<ToMedia, { kind: 'models' }>): Promise<void> {
    const refusals: { name: string; reason: string }[] = []
    const before = new Map(this.#models.models.map((source) => [source.name, source]))
    const wanted = new Map(models.map((source) => [source.name, source]))
    const now: ModelSource[] = []
    for (const name of new Set([...wanted.keys(), ...before.keys()])) {
      const [old, source] = [before.get(name), wanted.get(name)]
      let taken = source
      try {
        if (JSON.stringify(old) !== JSON.stringify(source)) {
          const opened = await this.#inference.change(name, source)
          if (opened && source) this.#report(opened, source)
        }
      } catch (error) {
        refusals.push({ name, reason: (error as Error).message.slice(0, 1000) })
        taken = old
      }
      if (taken) now.push(taken)
    }
    this.#models = { models: now, only }
    this.#channel.send({ kind: 'modelsTaken', id, refusals })
    for (const { stream } of this.#streams.values()) stream.wake()
  }

  #look({ id, model }: Extract<ToMedia, { kind: 'look' }>): void {
    const give = (frame: SeenFrame): void => this.#channel.send({ kind: 'looked', id, frame })
    this.#watch.ask(model === undefined ? undefined : { model, give })
  }

  #report(opened: OpenedModel, { version }: ModelSource): void {
    const { name, digest, layout, labels, runtime, signature } = opened
    const model = {
      name,
      digest,
      layout,
      labels: [...labels],
      runtime,
      ...(version !== undefined && { version }),
    }
    this.#channel.send({ kind: 'model', model, signature })
  }
}

function noSuchModel(name: string | undefined, known: readonly string[]): string {
  const has = known.length === 0 ? 'the device has no model' : `the device has ${known.join(', ')}`
  if (name === undefined) {
    const way = known.length === 0 ? 'add one to agent.yaml' : 'name one of them'
    return `Cannot choose a model: the stream names none and ${has}; ${way}`
  }
  const near = nearestName(name, known)
  const hint = near === undefined ? '' : `; did you mean "${near}"?`
  return `Cannot use model "${name}": ${has}${hint}`
}
