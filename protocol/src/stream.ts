/** What a device is asked to do with its cameras: the desired configuration. */
import { type Static, Type } from 'typebox'
import { areasMax, areasMisfit, Line, Mask, Zone } from './areas.ts'
import { Label, StreamId } from './names.ts'
import { RedactionConfig, SamplingConfig } from './samples.ts'

const closed = { additionalProperties: false } as const

/** When frames count as moving: share of changed gate pixels, and how long to go on afterwards. */
export const MotionGate = Type.Object(
  {
    enabled: Type.Optional(Type.Boolean({ default: true })),
    /** Grey levels (0..255) a gate pixel must differ from the background by. */
    levelMin: Type.Optional(Type.Integer({ minimum: 1, maximum: 255, default: 18 })),
    /** Share (0..1) of the 160×90 gate pixels that must have changed. */
    areaMin: Type.Optional(Type.Number({ minimum: 0, maximum: 1, default: 0.002 })),
    /** How long analysis goes on after the last motion. */
    holdMs: Type.Optional(Type.Integer({ minimum: 0, maximum: 600_000, default: 2000 })),
    /** Analyse at least this often even without motion; 0 turns that off. */
    idleIntervalMs: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 3_600_000, default: 10_000 }),
    ),
  },
  closed,
)
export type MotionGate = Static<typeof MotionGate>

/**
 * Which hardware decodes: ffmpeg's name of the method. `auto`: whatever it finds. Where the hardware
 * fails or is missing, software decodes, and the device says so.
 */
export const hardwareDecodes = [
  'none',
  'auto',
  'vaapi',
  'cuda',
  'qsv',
  'v4l2m2m',
  'rkmpp',
  'drm',
  'vdpau',
  'videotoolbox',
  'd3d11va',
] as const
export const HardwareDecode = Type.Enum(hardwareDecodes)
export type HardwareDecode = (typeof hardwareDecodes)[number]

/** A further model that is asked about objects: a classifier or an embedding. */
export const FurtherModel = Type.Object(
  {
    /** Name of a model the device has. */
    model: Type.String({ minLength: 1, maxLength: 120 }),
    /** Only objects of these labels; all when left out. */
    labels: Type.Optional(Type.Array(Label, { minItems: 1, maxItems: 200 })),
    /** Classes below this score are left out. */
    scoreMin: Type.Optional(Type.Number({ minimum: 0, maximum: 1, default: 0.5 })),
  },
  closed,
)
export type FurtherModel = Static<typeof FurtherModel>

/** Most further models of one stream. */
export const furtherModelsMax = 3

/** Events that a clip can be recorded around. */
export const clipKinds = ['appeared', 'left', 'zone', 'line'] as const

/** Longest clip (s) and largest one (bytes): at the latter the next clip begins. */
export const clipSecondsMax = 300
export const clipBytesMax = 128 * 1024 * 1024

/**
 * Clips of events: what the camera sent, as it sent it, from a while before an event until a while after it.
 * Recorded is what is detected on, so `detectSource` where there is one. H.264 only.
 */
export const ClipConfig = Type.Object(
  {
    /** From the key frame before it, so that a clip may begin earlier. Waits in memory: at most 32 MB. */
    beforeSeconds: Type.Optional(Type.Number({ minimum: 0, maximum: 30, default: 5 })),
    afterSeconds: Type.Optional(Type.Number({ minimum: 0, maximum: 60, default: 10 })),
    /** Events whose clips would touch share one up to this length; then the next one begins. */
    lengthMaxSeconds: Type.Optional(
      Type.Number({ minimum: 10, maximum: clipSecondsMax, default: 60 }),
    ),
    /** Only around these events; all of them when left out. */
    kinds: Type.Optional(Type.Array(Type.Enum(clipKinds), { minItems: 1, maxItems: 4 })),
    /** Only around events of these labels; all when left out. */
    labels: Type.Optional(Type.Array(Label, { minItems: 1, maxItems: 200 })),
  },
  closed,
)
export type ClipConfig = Static<typeof ClipConfig>

/** One camera feed and how it is analysed. */
export const StreamConfig = Type.Object(
  {
    streamId: StreamId,
    name: Type.Optional(Type.String({ minLength: 1, maxLength: 120 })),
    /**
     * `rtsp://…`, `http://…` (MJPEG or JPEG snapshots), `v4l2:/dev/video0?size=1280x720&fps=15`,
     * `file:PATH` or a path (looped as if live), a folder of images, or `demo:SEED`.
     */
    source: Type.String({ minLength: 1, maxLength: 2048 }),
    /**
     * A smaller stream of the same camera and the same view, which is detected on. `source` is then
     * opened only for pictures: snapshots of what was seen, and live ones.
     */
    detectSource: Type.Optional(Type.String({ minLength: 1, maxLength: 2048 })),
    /** Name of a model the device has. Without it, the device's only model. */
    model: Type.Optional(Type.String({ minLength: 1, maxLength: 120 })),
    /** Frames per second that are looked at; the camera may deliver more. */
    analysisFps: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 60, default: 5 })),
    /** Detections below this score are not tracked. */
    scoreMin: Type.Optional(Type.Number({ minimum: 0, maximum: 1, default: 0.4 })),
    /** Label → score, instead of `scoreMin` for detections of that label. */
    thresholds: Type.Optional(
      Type.Record(Label, Type.Number({ minimum: 0, maximum: 1 }), { maxProperties: 200 }),
    ),
    /** Only these labels; all of the model's when left out. */
    labels: Type.Optional(Type.Array(Label, { maxItems: 1000 })),
    zones: Type.Optional(Type.Array(Zone, { maxItems: areasMax })),
    lines: Type.Optional(Type.Array(Line, { maxItems: areasMax })),
    masks: Type.Optional(Type.Array(Mask, { maxItems: areasMax })),
    /** Asked about the crop of every better picture of an object; what they say is in its events. */
    furtherModels: Type.Optional(Type.Array(FurtherModel, { maxItems: furtherModelsMax })),
    /** How often `counts` sums up what was there; 0 turns it off. */
    countsIntervalMs: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 3_600_000, default: 60_000 }),
    ),
    /** How often a sketch says what pictures and answers looked like, for drift to be seen; 0 turns it off. */
    sketchIntervalMs: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 3_600_000, default: 60_000 }),
    ),
    /** Off when left out. A stream with masks or redaction has none: what is not decoded cannot be blanked. */
    clips: Type.Optional(ClipConfig),
    /** Frames that are kept for learning; none when left out. */
    sampling: Type.Optional(SamplingConfig),
    /** What is made unreadable before any picture is written or sent. */
    redact: Type.Optional(RedactionConfig),
    motionGate: Type.Optional(MotionGate),
    /**
     * While nothing moves, decode key frames only, where they come at least this often (ms): motion may
     * then be seen this much later. 0: decode everything, always. Needs node-av.
     */
    idleLatencyMaxMs: Type.Optional(Type.Integer({ minimum: 0, maximum: 60_000, default: 1200 })),
    /** Give up on a camera that has sent nothing for this long, and connect again. */
    stallTimeoutMs: Type.Optional(Type.Integer({ minimum: 500, maximum: 120_000, default: 5000 })),
    /** Other than `none` needs the ffmpeg executable. */
    hardwareDecode: Type.Optional(Type.Enum(hardwareDecodes, { default: 'none' })),
    decoder: Type.Optional(
      Type.Union([Type.Literal('auto'), Type.Literal('node-av'), Type.Literal('ffmpeg')], {
        default: 'auto',
      }),
    ),
  },
  { $id: 'StreamConfig', ...closed },
)
export type StreamConfig = Static<typeof StreamConfig>

/** What the hub wants of one device. */
export const DeviceConfig = Type.Object(
  { streams: Type.Array(StreamConfig, { maxItems: 256 }) },
  { $id: 'DeviceConfig', ...closed },
)
export type DeviceConfig = Static<typeof DeviceConfig>

/**
 * What is wrong with a configuration that no schema can say, or undefined. Hub and box both ask, and
 * a page may ask before it sends: `/streams/2/zones/0/polygon encloses no area`.
 */
export function configMisfit({ streams }: DeviceConfig): string | undefined {
  const seen = new Set<string>()
  for (const [i, stream] of streams.entries()) {
    if (seen.has(stream.streamId)) return `stream "${stream.streamId}" is there twice`
    seen.add(stream.streamId)
    const misfit = areasMisfit(stream)
    if (misfit !== undefined) return `/streams/${i}${misfit}`
    if (stream.clips && (stream.masks ?? []).length > 0) {
      return `/streams/${i}/clips cannot be recorded with masks: a clip is what the camera sent, and nothing in it can be blanked; remove the masks or the clips`
    }
    if (stream.clips && stream.redact) {
      return `/streams/${i}/clips cannot be recorded with redaction: a clip is what the camera sent, and nothing in it can be made unreadable; remove the redaction or the clips`
    }
    const models = (stream.furtherModels ?? []).map(({ model }) => model)
    const twice = models.findIndex((model, at) => models.indexOf(model) !== at)
    if (twice >= 0)
      return `/streams/${i}/furtherModels/${twice}/model "${models[twice]}" is there twice`
  }
  return undefined
}

/**
 * A stream as people see it: the source without its password, in front of the host or in the query.
 * What is hidden stays the same when it is hidden again.
 */
export const hideSecret = (source: string): string =>
  source
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^:/@\s]*):[^/\s]*@/i, '$1:…@')
    .replace(secretInQuery, '$1…')

/** What cameras call a password in the query of an address. */
const secretInQuery = /([?&](?:pass|passwd|password|pwd|pw|token|auth|key|secret)=)[^&#\s]+/gi

/** True where `source` is an address whose password was taken out. */
export const isSecretHidden = (source: string): boolean =>
  source.includes('…') && /^[a-z][a-z0-9+.-]*:\/\/(?:[^:/@\s]*:…@|\S*[?&]\w+=…)/i.test(source)
