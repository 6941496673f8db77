/** A stream's configuration with every default filled in: what the running stream works with. */
import {
  ClipConfig,
  clipKinds,
  FurtherModel,
  type HardwareDecode,
  hideSecret,
  MotionGate,
  type Point,
  RedactionConfig,
  SamplingConfig,
  StreamConfig,
  sampleReasons,
} from '@edgeloop/protocol'
import type { MaskPolygon } from '../cameras/picture-mask.ts'
import type { ClipSettings } from '../clips/stream-clips.ts'
import type { RedactionSettings } from '../privacy/redactor.ts'
import type { SamplingSettings } from '../sampling/stream-sampler.ts'
import type { LineSettings, ZoneSettings } from './area-watch.ts'
import type { MotionGateOptions } from './motion-gate.ts'

export type StreamSettings = {
  readonly streamId: string
  readonly name: string
  readonly source: string
  /** What is detected on; the source itself where nothing else is given. */
  readonly detectSource: string
  /** The source without its password. */
  readonly sourceShown: string
  /** Undefined: the device's only model. */
  readonly model: string | undefined
  readonly analysisFps: number
  readonly scoreMin: number
  /** Label → score, instead of `scoreMin`. */
  readonly thresholds: ReadonlyMap<string, number>
  readonly labels: readonly string[] | undefined
  readonly zones: readonly ZoneSettings[]
  readonly lines: readonly LineSettings[]
  readonly countsIntervalMs: number
  readonly sketchIntervalMs: number
  readonly furtherModels: readonly {
    readonly model: string
    readonly labels: readonly string[] | undefined
    readonly scoreMin: number
  }[]
  readonly masks: readonly MaskPolygon[]
  /** Undefined: nothing but the masks is hidden. */
  readonly redact: RedactionSettings | undefined
  /** Undefined: none are recorded. */
  readonly clips: ClipSettings | undefined
  /** Undefined: no frames are kept for learning. */
  readonly sampling: SamplingSettings | undefined
  readonly motionGate: MotionGateOptions
  readonly stallTimeoutMs: number
  readonly idleLatencyMaxMs: number
  readonly hardwareDecode: HardwareDecode
  readonly decoder: 'auto' | 'node-av' | 'ffmpeg'
}

/** The defaults are the protocol's: its schemas say them once, for the dashboard too. */
export function settingsOf(config: StreamConfig): StreamSettings {
  const gate = config.motionGate ?? {}
  return {
    streamId: config.streamId,
    name: config.name ?? config.streamId,
    source: config.source,
    detectSource: config.detectSource ?? config.source,
    sourceShown: hideSecret(config.source),
    model: config.model,
    analysisFps: config.analysisFps ?? defaultOf(StreamConfig, 'analysisFps'),
    scoreMin: config.scoreMin ?? defaultOf(StreamConfig, 'scoreMin'),
    thresholds: new Map(Object.entries(config.thresholds ?? {})),
    labels: config.labels,
    zones: (config.zones ?? []).map(({ name, polygon, labels, dwellSeconds }) => ({
      name,
      labels,
      polygon: polygon.map(pointOf),
      dwellMs: dwellSeconds === undefined ? undefined : dwellSeconds * 1000,
    })),
    lines: (config.lines ?? []).map(({ name, points, labels, direction = 'both' }) => ({
      name,
      labels,
      direction,
      points: points.map(pointOf),
    })),
    countsIntervalMs: config.countsIntervalMs ?? defaultOf(StreamConfig, 'countsIntervalMs'),
    sketchIntervalMs: config.sketchIntervalMs ?? defaultOf(StreamConfig, 'sketchIntervalMs'),
    furtherModels: (config.furtherModels ?? []).map(({ model, labels, scoreMin }) => ({
      model,
      labels,
      scoreMin: scoreMin ?? defaultOf(FurtherModel, 'scoreMin'),
    })),
    masks: (config.masks ?? []).map(({ polygon }) => polygon.map(pointOf)),
    redact: config.redact && redactOf(config.redact),
    clips: config.clips && clipsOf(config.clips),
    sampling: config.sampling && samplingOf(config.sampling),
    motionGate: {
      enabled: gate.enabled ?? defaultOf(MotionGate, 'enabled'),
      levelMin: gate.levelMin ?? defaultOf(MotionGate, 'levelMin'),
      areaMin: gate.areaMin ?? defaultOf(MotionGate, 'areaMin'),
      holdMs: gate.holdMs ?? defaultOf(MotionGate, 'holdMs'),
      idleIntervalMs: gate.idleIntervalMs ?? defaultOf(MotionGate, 'idleIntervalMs'),
    },
    stallTimeoutMs: config.stallTimeoutMs ?? defaultOf(StreamConfig, 'stallTimeoutMs'),
    idleLatencyMaxMs: config.idleLatencyMaxMs ?? defaultOf(StreamConfig, 'idleLatencyMaxMs'),
    hardwareDecode: config.hardwareDecode ?? defaultOf(StreamConfig, 'hardwareDecode'),
    decoder: config.decoder ?? 'auto',
  }
}

function redactOf({ labels, model, ...given }: RedactionConfig): RedactionSettings {
  return {
    labels,
    model,
    scoreMin: given.scoreMin ?? defaultOf(RedactionConfig, 'scoreMin'),
    margin: given.margin ?? defaultOf(RedactionConfig, 'margin'),
    method: given.method ?? defaultOf(RedactionConfig, 'method'),
  }
}

function clipsOf(clips: ClipConfig): ClipSettings {
  const seconds = (key: 'beforeSeconds' | 'afterSeconds' | 'lengthMaxSeconds'): number =>
    clips[key] ?? defaultOf(ClipConfig, key)
  return {
    beforeMs: seconds('beforeSeconds') * 1000,
    afterMs: seconds('afterSeconds') * 1000,
    lengthMaxMs: seconds('lengthMaxSeconds') * 1000,
    kinds: clips.kinds ?? clipKinds,
    labels: clips.labels,
  }
}

function samplingOf(sampling: SamplingConfig): SamplingSettings {
  const value = <K extends keyof SamplingConfig>(key: K): NonNullable<SamplingConfig[K]> =>
    sampling[key] ?? defaultOf(SamplingConfig, key)
  return {
    framesPerDay: value('framesPerDay'),
    bytesPerDay: value('bytesPerDay'),
    randomShare: value('randomShare'),
    intervalMinMs: value('intervalMinMs'),
    widthMax: value('widthMax'),
    reasons: sampling.reasons ?? sampleReasons,
    rareLabels: sampling.rareLabels,
  }
}

/** The schema says two numbers; its static type only says numbers. */
const pointOf = (point: readonly number[]): Point => [point[0]!, point[1]!]

/** The `default` that a schema states for one of its properties. */
function defaultOf<T>(schema: { properties: Record<string, object> }, key: string): T {
  const property = schema.properties[key]
  if (!property || !('default' in property)) {
    throw new Error(`Cannot fill in "${key}": its schema states no default`)
  }
  return property.default as T
}
