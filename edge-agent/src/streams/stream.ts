/**
 * One stream from its source to its events: camera → motion gate → slot → inference → tracker →
 * events. A stream never gives up: whatever its camera does, it says so and comes back.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Detection, NewEvent, ReportedStream, StreamState } from '@edgeloop/protocol'
import type { Camera, CameraInfo, Frame, InputView } from '../cameras/camera.ts'
import { CameraError, type CameraFault } from '../cameras/camera.ts'
import type { OpenCameraOptions } from '../cameras/open-camera.ts'
import { StreamClips } from '../clips/stream-clips.ts'
import type { Detected, Lane } from '../media/inference.ts'
import type { OpenedModel } from '../media/inference-protocol.ts'
import type { Snapshots } from '../media/snapshots.ts'
import type { DetectOptions } from '../models/model.ts'
import { pictureOf, Redactor } from '../privacy/redactor.ts'
import { ModelError } from '../runtimes/runtime.ts'
import type { Ask } from '../sampling/chooser.ts'
import type { FrameFacts } from '../sampling/facts.ts'
import { StreamSampler } from '../sampling/stream-sampler.ts'
import { type SketchSummary, StreamSketch } from '../sketches/stream-sketch.ts'
import { type AreaAct, AreaWatch } from './area-watch.ts'
import { Backoff, type BackoffOptions } from './backoff.ts'
import { Cascade, classesMax, type Step } from './cascade.ts'
import type { Figures } from './figures.ts'
import { IntervalCounts, type Summary } from './interval-counts.ts'
import { LargeSource } from './large-source.ts'
import type { LiveTap } from './live-tap.ts'
import { MotionGate } from './motion-gate.ts'
import type { StreamSettings } from './settings.ts'
import { type Load, LoadJudge, sheddingReason } from './shedding.ts'
import { steadyTime } from './steady-time.ts'
import {
  areaEvent,
  deservesPicture,
  snapshotOf,
  TrackEvents,
  withAttributes,
  withoutSnapshot,
} from './track-events.ts'
import { doubtfulShare, type TrackChange, Tracker, trackerDefaults } from './tracker.ts'

export type StreamDeps = {
  readonly openCamera: (options: OpenCameraOptions) => Promise<Camera>
  /** The file or address behind a source, which for `demo:SEED` has to be rendered first. */
  readonly locate: (source: string, signal: AbortSignal) => Promise<string>
  /**
   * Opens a lane to the model of this name; without a name, to the only one. What a model says for a redaction is
   * not among what is known of it: its scores are those of another threshold.
   * @throws {ModelError} when there is no such model or it cannot be opened
   */
  readonly openLane: (
    model: string | undefined,
    options: DetectOptions,
    use?: 'redaction',
  ) => Promise<Lane>
  /** Hands an event on. Waits while too many are not recorded yet. */
  readonly record: (event: NewEvent) => Promise<void>
  readonly snapshots: Snapshots
  /** Where clips are written, and who is told of one that is complete. */
  readonly clips: {
    readonly folder: string
    readonly announce: (digest: string, sizeBytes: number) => void
  }
  /** Where frames that are kept for learning are written, and who is told of one that is complete. */
  readonly samples: {
    readonly folder: string
    readonly announce: (digest: string) => void
    /** The version of a model that a rollout delivered; 0 where it is the box's own. */
    readonly versionOf: (model: string) => number
  }
  readonly log: (level: 'warn' | 'error', text: string) => void
  readonly report: (stream: ReportedStream) => void
  readonly live: LiveTap
  readonly figures: Figures
  readonly firstTrackId: number
  readonly backoff: BackoffOptions
  /** Wall clock, ms since the epoch. */
  readonly now: () => number
  /** A clock that is never set, ms. */
  readonly monotonicMs: () => number
  readonly random: () => number
  readonly signal: AbortSignal
}

/** How long a camera may take to show its first picture. */
const openTimeoutMs = 15_000
/** Two boxes of one label that overlap more than this are one object. */
const nmsIou = 0.5
const detectionsMax = 100
/** Snapshots: wide enough to recognize what was seen, small enough for a thin uplink. */
const snapshotJpeg = { widthMax: 960, quality: 75 }
/** From a large source: it was given for its detail. */
const largeJpeg = { widthMax: 1280, quality: 75 }
/** Live pictures are not made wider than this, whatever is asked. */
export const liveWidthMax = 1280
/**
 * A frame is held for its detections at most this share of the analysis interval, so that their
 * picture can be taken; then decoding goes on and the detections come without one.
 */
const holdShare = 0.6

const stateOf: Record<CameraFault, StreamState> = {
  refused: 'offline',
  unreadable: 'failed',
  stalled: 'stalled',
  ended: 'ended',
}

/** A running stream, seen from outside. */
export interface RunningStream {
  /** Believed objects right now. */
  readonly objects: number
  /**
   * Takes in the stream's figures, and says so where it begins or ends to shed load.
   * @param streams how many share the inference worker
   * @returns whether it sheds load
   */
  judgeLoad(load: Load, streams: number): boolean
  /** Takes what was learned elsewhere of its next frames; does nothing where it keeps none. */
  ask(ask: Ask): void
  /** Frames its samplers would have kept since the last call, budgets apart. */
  takeWishes(): number
  /** Tries again at once, where it waits before its next attempt: the models of the device have changed. */
  wake(): void
  /** Settled when the stream's signal has aborted and everything it held is closed. */
  readonly done: Promise<void>
}

/** Runs a stream until its signal aborts. */
export function runStream(settings: StreamSettings, deps: StreamDeps): RunningStream {
  const stream = new Stream(settings, deps)
  return {
    done: stream.run(),
    wake: () => stream.wake(),
    ask: (ask) => stream.sampler?.ask(ask),
    takeWishes: () => stream.sampler?.takeWishes() ?? 0,
    judgeLoad: (load, streams) => stream.judgeLoad(load, streams),
    get objects() {
      return stream.objects
    },
  }
}

class Stream {
  readonly #settings: StreamSettings
  readonly #deps: StreamDeps
  readonly #tracker: Tracker
  readonly #events: TrackEvents
  readonly #backoff: Backoff
  #reported: ReportedStream
  /** When the last frame came, on the monotonic clock; undefined before the first. */
  #frameMs: number | undefined
  #liveSinceMs: number | undefined
  #modelFailed = false
  #woken = new AbortController()
  /** Where frames are kept for learning, once what it remembers has been read. */
  sampler: StreamSampler | undefined
  readonly #load = new LoadJudge()

  constructor(settings: StreamSettings, deps: StreamDeps) {
    this.#settings = settings
    this.#deps = deps
    const { scoreMin, thresholds, streamId, name, sourceShown } = settings
    this.#tracker = new Tracker({ ...trackerDefaults, scoreMin, thresholds }, deps.firstTrackId)
    this.#events = new TrackEvents(streamId)
    this.#backoff = new Backoff(deps.backoff, deps.random)
    this.#reported = {
      streamId,
      name,
      source: sourceShown,
      state: 'connecting',
      reason: '',
      since: new Date(deps.now()).toISOString(),
    }
  }

  get objects(): number {
    return this.#tracker.tracks.length
  }

  judgeLoad(load: Load, streams: number): boolean {
    if (!this.#load.take(load)) return this.#load.sheds
    const at = new Date(this.#deps.now()).toISOString()
    const { streamId, shedding: _, ...rest } = this.#reported
    const reason = sheddingReason(load, rest.model ?? '', streams)
    const { sheds } = this.#load
    this.#reported = { streamId, ...rest, ...(sheds && { shedding: { since: at, reason } }) }
    this.#deps.report(this.#reported)
    const text = sheds ? reason : 'Inference keeps up again'
    // Figures do not wait for the outbox.
    void this.#recordOverloaded(sheds, text)
    return sheds
  }

  async run(): Promise<void> {
    const { signal, monotonicMs } = this.#deps
    this.#deps.report(this.#reported)
    this.sampler = await this.#openSampler()
    let lane: Lane | undefined
    let cascade: Cascade | undefined
    let redactor: Redactor | undefined
    const close = (): void => {
      lane?.[Symbol.dispose]()
      cascade?.[Symbol.dispose]()
      redactor?.[Symbol.dispose]()
      lane = undefined
      cascade = undefined
      redactor = undefined
    }
    while (!signal.aborted) {
      try {
        lane ??= await this.#openLane()
        cascade ??= await this.#openCascade()
        redactor ??= await this.#openRedactor()
        await this.#watch(lane, cascade, redactor)
      } catch (error) {
        if (signal.aborted) break
        if (error instanceof ModelError) close()
        await this.#fail(error)
      }
      const lastedMs = this.#liveSinceMs === undefined ? 0 : monotonicMs() - this.#liveSinceMs
      this.#liveSinceMs = undefined
      await this.#rest(this.#backoff.next(lastedMs))
    }
    close()
    await this.sampler?.settle()
    if (this.#load.sheds) await this.#recordOverloaded(false, 'The stream was stopped')
  }

  wake(): void {
    this.#woken.abort()
  }

  async #openSampler(): Promise<StreamSampler | undefined> {
    const { sampling, streamId } = this.#settings
    if (!sampling) return undefined
    const { samples, log, now, monotonicMs, random } = this.#deps
    const { folder, announce } = samples
    return await StreamSampler.open(sampling, {
      streamId,
      folder,
      announce,
      now,
      monotonicMs,
      random,
      warn: (text) => log('warn', text),
    })
  }

  async #rest(waitMs: number): Promise<void> {
    this.#woken = new AbortController()
    const signal = AbortSignal.any([this.#deps.signal, this.#woken.signal])
    await sleep(waitMs, undefined, { signal }).catch(() => {})
  }

  async #openLane(): Promise<Lane> {
    const { model, scoreMin, thresholds, labels } = this.#settings
    const scoreFirm = Math.min(scoreMin, ...thresholds.values())
    const lane = await this.#deps.openLane(model, {
      scoreMin: scoreFirm * doubtfulShare,
      scoreFirm,
      nmsIou,
      maxDetections: detectionsMax,
      ...(labels && { labels }),
    })
    const { task, layout, name } = lane.model
    if (task === 'detection') return lane
    lane[Symbol.dispose]()
    throw new ModelError(
      `Cannot follow objects with model "${name}": layout ${layout} is for ${task}; name a detector, and this one under "furtherModels"`,
    )
  }

  /** Opens the further models; all of them or none. */
  async #openCascade(): Promise<Cascade> {
    using opened = new DisposableStack()
    const steps: Step[] = []
    for (const { model, labels, scoreMin } of this.#settings.furtherModels) {
      const options = { scoreMin, nmsIou, maxDetections: classesMax }
      const lane = opened.use(await this.#deps.openLane(model, options))
      const { task, layout } = lane.model
      if (task !== 'classification' && task !== 'embedding') {
        throw new ModelError(
          `Cannot ask model "${model}" about objects: layout ${layout} is for ${task}; name a classifier or an embedding under "furtherModels"`,
        )
      }
      steps.push({ lane, labels })
    }
    let told = false
    const cascade = new Cascade(steps, (error) => {
      // Said once: what fails on one crop fails on most.
      if (!told) this.#deps.log('warn', `Objects are not told more of: ${error.message}`)
      told = true
    })
    opened.move()
    return cascade
  }

  async #openRedactor(): Promise<Redactor | undefined> {
    const { redact, model, masks } = this.#settings
    const { openLane, monotonicMs, log } = this.#deps
    const warn = (text: string): void => log('warn', text)
    return (
      redact &&
      (await Redactor.open(redact, {
        model,
        masks: masks.length,
        monotonicMs,
        warn,
        openLane: (name, options) => openLane(name, options, 'redaction'),
      }))
    )
  }

  /** One connection, from opening to whatever ends it. */
  async #watch(lane: Lane, cascade: Cascade, redactor: Redactor | undefined): Promise<void> {
    const { source, detectSource } = this.#settings
    const { signal, figures, monotonicMs } = this.#deps
    const clips = redactor ? undefined : this.#openClips()
    await using camera = await this.#open(detectSource, lane, redactor, signal, clips)
    const deps: StreamDeps = clips
      ? { ...this.#deps, record: recordWith(clips, this.#deps) }
      : this.#deps
    const watch = new Watch(this.#settings, deps, lane, this.#tracker, this.#events, cascade)
    watch.sampler = this.sampler
    await using large =
      source === detectSource
        ? undefined
        : new LargeSource({
            open: (closing) =>
              this.#open(source, lane, redactor, AbortSignal.any([signal, closing])),
            jpeg: largeJpeg,
            show: (frame) => watch.showLarge(frame),
            warn: (text) => this.#deps.log('warn', text),
            monotonicMs,
          })
    watch.large = large
    watch.redactor = redactor
    try {
      for await (const frame of camera.frames()) {
        using held = frame
        await this.#goLive(camera, lane.model, held)
        watch.count(camera)
        await watch.look(held)
        watch.idle(camera)
      }
      throw new CameraError('ended', `Camera "${this.#settings.sourceShown}" has ended`)
    } finally {
      await watch.settle()
      watch.count(camera)
      if (this.#liveSinceMs !== undefined) figures.reconnected()
      await watch.end(this.#deps.now())
      await clips?.end()
    }
  }

  #openClips(): StreamClips | undefined {
    const { clips: settings, streamId } = this.#settings
    const { clips, record, log } = this.#deps
    if (settings === undefined) return undefined
    const warn = (text: string): void => log('warn', text)
    return new StreamClips({ ...clips, streamId, settings, record, warn })
  }

  async #open(
    source: string,
    lane: Lane,
    redactor: Redactor | undefined,
    signal: AbortSignal,
    clips?: StreamClips,
  ): Promise<Camera> {
    const { analysisFps, masks, stallTimeoutMs, decoder, hardwareDecode } = this.#settings
    const widthMax = this.#settings.sampling?.widthMax ?? 0
    const camera = await this.#deps.openCamera({
      source: await this.#deps.locate(source, signal),
      analysisFps,
      pace: 'live',
      loop: true,
      inputFor: (width, height) => lane.inputFor(width, height),
      masks,
      jpegWidthMax: Math.max(liveWidthMax, widthMax),
      openTimeoutMs,
      stallTimeoutMs,
      decoder,
      hardwareDecode,
      now: this.#deps.now,
      onCoded: clips && ((packet) => clips.packet(packet)),
      signal,
    })
    // From here on no picture of it is to be had but a redacted one.
    return redactor?.over(camera) ?? camera
  }

  async #goLive({ info }: Camera, model: OpenedModel, { width, height }: Frame): Promise<void> {
    const nowMs = this.#deps.monotonicMs()
    const gapMs = this.#frameMs === undefined ? undefined : Math.round(nowMs - this.#frameMs)
    this.#frameMs = nowMs
    const isLive = this.#liveSinceMs !== undefined
    if (isLive && this.#reported.width === width && this.#reported.height === height) return
    const since = isLive ? this.#reported.since : new Date(this.#deps.now()).toISOString()
    const { name, source, streamId, shedding } = this.#reported
    const noClips = noClipsOf(info)
    this.#reported = {
      streamId,
      name,
      source,
      state: 'live',
      reason: '',
      since,
      model: model.name,
      decoder: info.decoder,
      width,
      height,
      ...(shedding && { shedding }),
      ...(info.hardwareDecode && { hardwareDecode: info.hardwareDecode.slice(0, 300) }),
      ...(this.#settings.clips && noClips && { noClips }),
    }
    this.#deps.report(this.#reported)
    if (isLive) return
    this.#liveSinceMs = nowMs
    if (this.#modelFailed) await this.#recordModelFailed(false, `Model "${model.name}" works again`)
    await this.#recordState(gapMs)
  }

  /** Says what is wrong. Said once: a camera that stays away is not news with every attempt. */
  async #fail(error: unknown): Promise<void> {
    const state = error instanceof CameraError ? stateOf[error.fault] : 'failed'
    const reason = (error instanceof Error ? error.message : String(error)).slice(0, 1000)
    const before = this.#reported
    if (before.state === state && before.reason === reason) return
    const since = new Date(this.#deps.now()).toISOString()
    this.#reported = { ...before, state, reason, ...(before.state !== state && { since }) }
    this.#deps.report(this.#reported)
    if (error instanceof ModelError) await this.#recordModelFailed(true, reason)
    if (before.state === state) return
    const { monotonicMs } = this.#deps
    await this.#recordState(
      this.#frameMs === undefined ? undefined : Math.round(monotonicMs() - this.#frameMs),
    )
  }

  async #recordState(gapMs: number | undefined): Promise<void> {
    const { streamId, state, reason } = this.#reported
    const at = new Date(this.#deps.now()).toISOString()
    const gap = gapMs === undefined ? {} : { gapMs: Math.max(0, gapMs) }
    await this.#deps.record({ kind: 'stream', at, streamId, state, reason, ...gap })
  }

  async #recordOverloaded(active: boolean, text: string): Promise<void> {
    const at = new Date(this.#deps.now()).toISOString()
    const { streamId } = this.#reported
    await this.#deps.record({ kind: 'alarm', at, streamId, code: 'overloaded', active, text })
  }

  async #recordModelFailed(active: boolean, text: string): Promise<void> {
    this.#modelFailed = active
    const at = new Date(this.#deps.now()).toISOString()
    const { streamId } = this.#reported
    await this.#deps.record({ kind: 'alarm', at, streamId, code: 'modelFailed', active, text })
  }
}

/** Recording hears of an event when it is handed on, and nobody waits for it. */
const recordWith =
  (clips: StreamClips, { record }: StreamDeps): StreamDeps['record'] =>
  (event) => {
    clips.take(event)
    return record(event)
  }

/** Why clips of this camera cannot be recorded; undefined where they can. */
function noClipsOf({ codec, notCoded }: CameraInfo): string | undefined {
  if (codec === 'h264') return notCoded && `No clips are recorded: ${notCoded}`
  return `No clips are recorded: the camera sends ${codec.slice(0, 40)}, and they are made of H.264 only; set the camera to H.264, or take another of its streams`
}

/** A frame that is still there, and what the model was fed of it. */
type Held = {
  readonly frame: Frame
  readonly canvas: { readonly bytes: Uint8Array; readonly view: InputView }
}

/** What is remembered between two frames of one connection. */
class Watch {
  readonly #settings: StreamSettings
  readonly #deps: StreamDeps
  readonly #lane: Lane
  readonly #tracker: Tracker
  readonly #events: TrackEvents
  readonly #areas: AreaWatch
  readonly #cascade: Cascade
  readonly #counts: IntervalCounts
  readonly #sketch: StreamSketch
  readonly #gate: MotionGate
  readonly #steady: (at: number) => number
  readonly #holdMs: number
  /** Where pictures for people come from, when it is another source than what is detected on. */
  large: LargeSource | undefined
  /** Keeps frames for learning, where that is wanted. */
  sampler: StreamSampler | undefined
  /** Where something has to be hidden. */
  redactor: Redactor | undefined
  #came = 0
  #isStill = false
  /** Of the model that answered last. */
  #modelDigest: string | undefined
  #dropped = 0
  /** Detections that had not come when their frame had to go. */
  #late: Promise<void> | undefined

  constructor(
    settings: StreamSettings,
    deps: StreamDeps,
    lane: Lane,
    tracker: Tracker,
    events: TrackEvents,
    cascade: Cascade,
  ) {
    this.#cascade = cascade
    this.#settings = settings
    this.#deps = deps
    this.#lane = lane
    this.#dropped = lane.dropped
    this.#tracker = tracker
    this.#events = events
    this.#areas = new AreaWatch(settings.zones, settings.lines)
    this.#counts = new IntervalCounts(settings.countsIntervalMs)
    const { thresholds, scoreMin } = settings
    const scoreMinOf = (label: string): number => thresholds.get(label) ?? scoreMin
    this.#sketch = new StreamSketch(settings.sketchIntervalMs, scoreMinOf)
    this.#gate = new MotionGate(settings.motionGate)
    const intervalMs = 1000 / settings.analysisFps
    this.#steady = steadyTime(intervalMs)
    this.#holdMs = intervalMs * holdShare
  }

  /** Counts what the camera did since the last call. */
  count(camera: Camera): void {
    const { figures } = this.#deps
    const came = camera.counts.decoded + (camera.keyFrames?.passed ?? 0)
    figures.came(came - this.#came)
    this.#came = came
    figures.dropped(this.#lane.dropped - this.#dropped)
    this.#dropped = this.#lane.dropped
  }

  /** Takes in the next frame. */
  async look(frame: Frame): Promise<void> {
    this.large?.watch(this.#deps.live.isWatched(this.#settings.streamId))
    const steadyAt = this.#steady(frame.at)
    const sketched = this.#sketch.picture(frame.gate(), frame.at)
    if (sketched) await this.#recordSketch(sketched)
    const { analyse, because } = this.#gate.look(frame.gate(), steadyAt)
    this.#isStill = because === 'still' || because === 'idle'
    // An object that is not yet believed, or was missed, is looked for even in a still picture.
    if (!analyse && !this.#tracker.unsettled) return this.#rest(frame, steadyAt)

    const before = this.#late
    const canvas = this.#lane.canvas
    const view = frame.input(canvas)
    this.#sketch.canvas(canvas, view, frame.at)
    const detecting = this.#lane.detect(view).then(async (detected) => {
      await before
      return detected
    })
    const detected = await within(detecting, this.#holdMs)
    if (detected !== tooLate) {
      this.#late = undefined
      // Nobody fills the canvas again before the next frame.
      return this.#take(detected, frame.at, steadyAt, { frame, canvas: { bytes: canvas, view } })
    }
    const { at } = frame
    const late = detecting.then((found) => this.#take(found, at, steadyAt))
    this.#late = late
    // A failure is thrown by the next frame, which waits for this one.
    late.then(
      () => {
        if (this.#late === late) this.#late = undefined
      },
      () => {},
    )
  }

  /** Lets the camera decode less of a still scene, where motion would still be seen in time. */
  idle({ keyFrames }: Camera): void {
    if (keyFrames === undefined) return
    const { idleLatencyMaxMs, streamId } = this.#settings
    const { intervalMs = Number.POSITIVE_INFINITY } = keyFrames
    keyFrames.only =
      this.#isStill &&
      intervalMs <= idleLatencyMaxMs &&
      this.#late === undefined &&
      !this.#tracker.unsettled &&
      !this.#deps.live.isWatched(streamId)
  }

  /** Waits for the detections that are still under way; that they failed was said or is too late. */
  async settle(): Promise<void> {
    await this.#late?.catch(() => {})
  }

  async #rest(frame: Frame, steadyAt: number): Promise<void> {
    this.#deps.figures.gated()
    const changes = this.#late === undefined ? this.#tracker.rest(steadyAt) : []
    const acts = this.#areas.take(changes, this.#tracker.tracks, steadyAt)
    await this.#record(changes, acts, frame.at)
    await this.#show(frame, () => this.#believed())
  }

  /** What the model saw becomes tracks, events and pictures; without `held` no pictures. */
  async #take(
    detected: Detected | undefined,
    at: number,
    steadyAt: number,
    held?: Held,
  ): Promise<void> {
    if (!detected) return
    const frame = held?.frame
    const { figures, now } = this.#deps
    figures.analysed(detected.inferenceMs, Math.max(0, now() - at))
    this.#modelDigest = detected.digest
    this.#sketch.answer(detected.detections, detected.digest)
    this.redactor?.saw(detected.detections)
    const { changes, trackIds } = this.#tracker.update(detected.detections, steadyAt)
    const acts = this.#areas.take(changes, this.#tracker.tracks, steadyAt)
    const pictured = this.#events.toPicture(changes, at)
    const isPictured = pictured.length > 0 || acts.some(deservesPicture)
    const jpeg = frame && isPictured ? await pictureOf(frame, snapshotJpeg) : undefined
    const snapshot = jpeg && (await this.#deps.snapshots.hold(jpeg))
    await this.#record(changes, acts, at, snapshot)
    if (snapshot !== undefined) void this.#enlarge(snapshot)
    if (jpeg) {
      for (const { trackId, label, box } of pictured) {
        this.#cascade.look({ trackId, label, box, jpeg, at })
      }
    }
    if (!held || !frame) return
    await this.#sample(held, detected, trackIds, steadyAt)
    await this.#show(frame, () =>
      detected.detections.flatMap((detection, i): Detection[] => {
        const trackId = trackIds[i]
        if (detection.score < this.#scoreMinOf(detection) && trackId === undefined) return []
        return [trackId === undefined ? detection : { ...detection, trackId }]
      }),
    )
  }

  /** Keeps the frame for learning, where it is worth it. */
  async #sample(
    { frame, canvas }: Held,
    { detections, digest }: Detected,
    trackIds: readonly (number | undefined)[],
    at: number,
  ): Promise<void> {
    if (!this.sampler) return
    const { masks, thresholds, scoreMin } = this.#settings
    const { name } = this.#lane.model
    const facts: FrameFacts = {
      at,
      detections,
      trackIds,
      tracks: this.#tracker.tracks,
      scoreMinOf: (label) => thresholds.get(label) ?? scoreMin,
      moving: this.#gate.moving,
    }
    await this.sampler.look(frame, facts, canvas, {
      model: { name, version: this.#deps.samples.versionOf(name), digest },
      masks: masks.length,
    })
  }

  #scoreMinOf({ label }: Detection): number {
    return this.#settings.thresholds.get(label) ?? this.#settings.scoreMin
  }

  /** The camera has gone, and everything that was there with it. */
  async end(at: number): Promise<void> {
    const changes = this.#tracker.end()
    const acts = this.#areas.take(changes, [], this.#tracker.updatedAt)
    await this.#record(changes, acts, at)
    const summary = this.#counts.end(at)
    if (summary) await this.#recordCounts(summary)
    const sketched = this.#sketch.end(at)
    if (sketched) await this.#recordSketch(sketched)
  }

  /** Records what happened to tracks, each event after the picture it names. */
  async #record(
    changes: readonly TrackChange[],
    acts: readonly AreaAct[],
    at: number,
    snapshot?: string,
  ): Promise<void> {
    const { snapshots, record } = this.#deps
    const { tracks } = this.#tracker
    const summary = this.#counts.take(at, { changes, acts, tracks, inside: this.#areas.inside })
    if (summary) await this.#recordCounts(summary)
    const { events, unnamed } = this.#events.take(changes, at, snapshot)
    // What is about an object comes after it has appeared and before it has left.
    const [appeared, left] = [events.filter(isAppeared), events.filter((e) => !isAppeared(e))]
    const there = acts.map((act) => areaEvent(this.#settings.streamId, act, at, snapshot))
    for (const event of [...appeared, ...there, ...left]) {
      const known = 'trackId' in event ? this.#cascade.attributesOf(event.trackId) : []
      const embedding = known.find((each) => each.embedding !== undefined)?.embedding
      if (event.kind === 'left' && embedding) this.#sketch.embed(embedding)
      await record(await this.#withPicture(withAttributes(this.#withModel(event), known)))
    }
    for (const { kind, track } of changes) if (kind === 'lost') this.#cascade.forget(track.trackId)
    for (const digest of unnamed) snapshots.drop(digest)
  }

  /** Says which model found an object. */
  #withModel(event: NewEvent): NewEvent {
    if (event.kind !== 'appeared' || this.#modelDigest === undefined) return event
    return { ...event, modelDigest: this.#modelDigest }
  }

  async #recordCounts({ at, ...counted }: Summary): Promise<void> {
    const { streamId } = this.#settings
    await this.#deps.record({
      kind: 'counts',
      at: new Date(at).toISOString(),
      streamId,
      ...counted,
    })
  }

  async #recordSketch({ at, ...sketched }: SketchSummary): Promise<void> {
    const { streamId } = this.#settings
    await this.#deps.record({
      kind: 'sketch',
      at: new Date(at).toISOString(),
      streamId,
      ...sketched,
    })
  }

  /** An event whose picture cannot be kept is recorded without it. */
  async #withPicture(event: NewEvent): Promise<NewEvent> {
    const digest = snapshotOf(event)
    if (digest === undefined) return event
    try {
      await this.#deps.snapshots.publish(digest)
      return event
    } catch (error) {
      this.#deps.log('warn', (error as Error).message)
      return withoutSnapshot(event)
    }
  }

  /** A live picture, where somebody is looking. */
  async #show(frame: Frame, detections: () => Detection[]): Promise<void> {
    if (this.large?.isShowing !== true) await this.#send(frame, detections)
  }

  /** A live picture of the large source, with what is known when it comes. */
  showLarge(frame: Frame): Promise<void> {
    return this.#send(frame, () => this.#believed())
  }

  #believed(): Detection[] {
    return this.#tracker.tracks.map(({ label, score, box, trackId }) => ({
      label,
      score,
      trackId,
      box: [...box],
    }))
  }

  /** Puts the large picture in the place of the small one, as soon as it is there. */
  async #enlarge(small: string): Promise<void> {
    const picture = await this.large?.picture()
    if (picture === undefined) return
    try {
      const { snapshots } = this.#deps
      const digest = await snapshots.hold(picture.jpeg)
      for (const unnamed of this.#events.enlarge(small, digest, picture.at)) snapshots.drop(unnamed)
    } catch (error) {
      this.#deps.log('warn', (error as Error).message)
    }
  }

  async #send(frame: Frame, detections: () => Detection[]): Promise<void> {
    const wanted = this.#deps.live.wanted(this.#settings.streamId, frame.at)
    if (!wanted) return
    const { frame: number, at, width, height } = frame
    const jpeg = await pictureOf(frame, {
      widthMax: Math.min(wanted.widthMax, liveWidthMax),
      quality: wanted.quality,
    })
    if (!jpeg) return
    const header = { frame: number, at: new Date(at).toISOString(), width, height }
    this.#deps.live.show(this.#settings.streamId, { ...header, detections: detections() }, jpeg)
  }
}

const isAppeared = ({ kind }: NewEvent): boolean => kind === 'appeared'

const tooLate = Symbol('tooLate')

/** What `promise` gives, or `tooLate` after `timeoutMs`. */
async function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T | typeof tooLate> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<typeof tooLate>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, tooLate)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
