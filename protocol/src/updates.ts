/**
 * One device's passage to another model version: what the hub offers, what the device says of it, and the table of states.
 * Both messages are whole and retained, so that whoever missed one is right again with the next.
 */
import { type Static, Type } from 'typebox'
import { manifestBytesMax } from './artifact.ts'
import { ModelName, ModelVersionNumber } from './models.ts'
import { BootId, Digest, StreamId, Timestamp } from './names.ts'

const closed = { additionalProperties: false } as const

export const RolloutId = Type.String({ pattern: '^[0-9a-f-]{36}$', maxLength: 36 })

const minuteMs = 60_000
const hourMs = 60 * minuteMs

/**
 * Every state of an update, in the order they are passed through. `deadlineMs` runs from the hub's first contact with the
 * device after the offer, and starts anew with each state; an update that exceeds it has timed out, which counts as failed.
 * `touches`: whether the device's frames are already looked at by the new model.
 */
export const updateStates = {
  offered: { kind: 'active', deadlineMs: 10 * minuteMs, touches: false },
  downloading: { kind: 'active', deadlineMs: 24 * hourMs, touches: false },
  verified: { kind: 'active', deadlineMs: 10 * minuteMs, touches: false },
  staged: { kind: 'active', deadlineMs: 10 * minuteMs, touches: false },
  probed: { kind: 'active', deadlineMs: 10 * minuteMs, touches: false },
  shadowing: { kind: 'active', deadlineMs: 2 * hourMs, touches: false },
  activating: { kind: 'active', deadlineMs: 10 * minuteMs, touches: true },
  probation: { kind: 'active', deadlineMs: 2 * hourMs, touches: true },
  committed: { kind: 'success', deadlineMs: 0, touches: true },
  'rolled-back': { kind: 'failure', deadlineMs: 0, touches: false },
  failed: { kind: 'failure', deadlineMs: 0, touches: false },
  rejected: { kind: 'failure', deadlineMs: 0, touches: false },
  'timed-out': { kind: 'failure', deadlineMs: 0, touches: false },
  superseded: { kind: 'ended', deadlineMs: 0, touches: false },
  cancelled: { kind: 'ended', deadlineMs: 0, touches: false },
} as const satisfies Record<
  string,
  {
    readonly kind: 'active' | 'success' | 'failure' | 'ended'
    readonly deadlineMs: number
    readonly touches: boolean
  }
>
export const updateStateNames = Object.keys(updateStates) as readonly (keyof typeof updateStates)[]
export const UpdateState = Type.Enum(updateStateNames as [keyof typeof updateStates])
export type UpdateState = keyof typeof updateStates

/** Why an update did not end well. `integrity` counts twice: it points at a hub or a mirror that somebody has changed. */
export const updateCodes = [
  /** Signature, threshold, length or digest of metadata, manifest, patch or model is wrong. */
  'integrity',
  /** Metadata or manifest has expired, or cannot be had. */
  'trust',
  /** Meant for another fleet or another kind of box. */
  'wrong-target',
  'agent-too-old',
  /** Older than what this device has accepted before. */
  'version-floor',
  'disk-full',
  'download',
  /** The file is not what may be loaded: operators, domains, external data, sizes, nesting. */
  'model-refused',
  'probe-load',
  'probe-golden',
  'probe-memory',
  'probe-time',
  'shadow-crash',
  'shadow-slow',
  'shadow-memory',
  'shadow-disagreement',
  'probation-crash',
  'probation-hang',
  'probation-slow',
  'probation-disagreement',
  /** It was active when the agent started again and again. */
  'boot-loop',
  /** What was active could not be read at start. */
  'damaged',
  'deadline',
  /** The hub asked for it. */
  'by-request',
  'internal',
] as const
export const UpdateCode = Type.Enum(updateCodes)
export type UpdateCode = (typeof updateCodes)[number]

/** How long and how carefully a device looks at a candidate. Bounded here; a device takes nothing outside. */
export const UpdateCare = Type.Object(
  {
    /** How long the candidate runs beside the active model; 0: not at all. */
    shadowMs: Type.Integer({ minimum: 0, maximum: 24 * hourMs }),
    /** Fewest frames it must have seen before that counts; the time goes on until then, at most thrice. */
    shadowFramesMin: Type.Integer({ minimum: 0, maximum: 100_000 }),
    /** Share 0..1 of one core that the candidate may use beside the active model. */
    shadowCpuShare: Type.Number({ minimum: 0.01, maximum: 1 }),
    probationMs: Type.Integer({ minimum: 0, maximum: 24 * hourMs }),
    /** Share 0..1 of detections that both models must have in common. */
    agreementMin: Type.Number({ minimum: 0, maximum: 1 }),
    /** Largest p95 of the inference time, over that of the model before. */
    latencyRatioMax: Type.Number({ minimum: 1, maximum: 100 }),
    /** Largest drift of counts and of mean confidence, in standard errors of the device's own baseline. */
    driftMax: Type.Number({ minimum: 1, maximum: 100 }),
    /** Crashes of media processes in probation from which on it goes back. */
    crashesMax: Type.Integer({ minimum: 0, maximum: 100 }),
  },
  closed,
)
export type UpdateCare = Static<typeof UpdateCare>

export const careDefaults: UpdateCare = {
  shadowMs: 10 * minuteMs,
  shadowFramesMin: 100,
  shadowCpuShare: 0.25,
  probationMs: 30 * minuteMs,
  agreementMin: 0.6,
  latencyRatioMax: 1.25,
  driftMax: 4,
  crashesMax: 0,
}

/**
 * Shortest probation in which a device can find a drift: eight of the blocks of ten seconds that its media processes tell of, as
 * they do where `health` of its agent.yaml is as usual.
 */
export const driftSeenMs = 80_000

/** What nobody looks at with such care, a sentence each; for whoever is about to ask for it. */
export function careDoubts({ shadowMs, probationMs }: UpdateCare): string[] {
  const doubts: string[] = []
  if (shadowMs === 0) {
    doubts.push('No device compares it with the model before on its live frames')
  }
  if (probationMs < driftSeenMs) {
    const seconds = +(probationMs / 1000).toFixed(1)
    doubts.push(
      `On a probation of ${seconds} s no device can see that it finds less, or is less sure, than what ran before; that takes ${driftSeenMs / 1000} s`,
    )
  }
  return doubts
}

/** What the hub wants of one model of a device. Only a hint where bytes are: what they are is signed. */
export const Offer = Type.Object(
  {
    rolloutId: RolloutId,
    name: ModelName,
    version: ModelVersionNumber,
    /** `update`: run it. `roll-back`: where this version runs because of this rollout, go back to the one before. */
    act: Type.Union([Type.Literal('update'), Type.Literal('roll-back')]),
    /** Grows when the same rollout offers the same version again: a device that failed tries once more. */
    attempt: Type.Integer({ minimum: 1, maximum: 1000 }),
    manifest: Type.Object(
      {
        path: Type.String({ maxLength: 200 }),
        digest: Digest,
        lengthBytes: Type.Integer({ minimum: 1, maximum: manifestBytesMax }),
      },
      closed,
    ),
    care: UpdateCare,
    /** Activation does not begin later than this: the end of the maintenance window. Absent: no matter when. */
    activateBefore: Type.Optional(Timestamp),
    /** Bytes per second at most for this device; absent: no limit. */
    bytesPerSecondMax: Type.Optional(Type.Integer({ minimum: 1024 })),
    /** The download begins up to so much later, by chance, so that boxes do not all come at once. */
    jitterMs: Type.Integer({ minimum: 0, maximum: hourMs }),
    /** Other boxes of the site that may have the bytes: base addresses of their mirrors. */
    mirrors: Type.Array(Type.String({ pattern: '^https://', maxLength: 200 }), { maxItems: 8 }),
  },
  closed,
)
export type Offer = Static<typeof Offer>

/** All that is wanted of a device's models now: retained, whole; an update that is no longer in it is given up. */
export const Offers = Type.Object(
  { at: Timestamp, offers: Type.Array(Offer, { maxItems: 8 }) },
  { $id: 'Offers', ...closed },
)
export type Offers = Static<typeof Offers>

/** The candidate beside the model it would replace, on the same frames of this device. */
export const Comparison = Type.Object(
  {
    frames: Type.Integer({ minimum: 0 }),
    /** Share 0..1 of detections that both have: same label, boxes that overlap by half; matched over all of either. */
    agreement: Type.Number({ minimum: 0, maximum: 1 }),
    /** Milliseconds of one inference, each model in the same process kind. */
    latencyP95Ms: Type.Number({ minimum: 0 }),
    activeLatencyP95Ms: Type.Number({ minimum: 0 }),
    /** Detections in a frame, mean. */
    detections: Type.Number({ minimum: 0 }),
    activeDetections: Type.Number({ minimum: 0 }),
    /** Mean score of detections; 0 where there are none. */
    confidence: Type.Number({ minimum: 0, maximum: 1 }),
    activeConfidence: Type.Number({ minimum: 0, maximum: 1 }),
    /** In standard errors of the device's own baseline: counts, and confidence. */
    countDrift: Type.Number(),
    confidenceDrift: Type.Number(),
    /** Highest resident memory of the process that ran the candidate. */
    memoryBytes: Type.Integer({ minimum: 0 }),
    crashes: Type.Integer({ minimum: 0 }),
    /** The streams it was compared on. */
    streams: Type.Array(StreamId, { maxItems: 256 }),
  },
  closed,
)
export type Comparison = Static<typeof Comparison>

/** Differences of latency below it are of the clock and the scheduler, ms. */
export const latencySlackMs = 1

/** p95 of the candidate over that of the model before; null where either was not measured. */
export function latencyRatio(comparison: Comparison): number | null {
  const { frames, latencyP95Ms, activeLatencyP95Ms } = comparison
  if (frames === 0 || activeLatencyP95Ms === 0) return null
  const ratio = Math.max(latencyP95Ms, 0.001) / activeLatencyP95Ms
  return latencyP95Ms - activeLatencyP95Ms < latencySlackMs ? Math.min(1, ratio) : ratio
}

/** Where one update stands, and how it came there. */
export const Update = Type.Object(
  {
    rolloutId: RolloutId,
    name: ModelName,
    version: ModelVersionNumber,
    attempt: Type.Integer({ minimum: 1, maximum: 1000 }),
    state: UpdateState,
    since: Timestamp,
    /** Absent while it goes well. */
    code: Type.Optional(UpdateCode),
    /** A sentence; empty while it goes well. */
    reason: Type.String({ maxLength: 500 }),
    bytes: Type.Object(
      {
        codec: Type.String({ maxLength: 20 }),
        /** Of the encoding that is fetched; 0 before that is known. */
        total: Type.Integer({ minimum: 0 }),
        /** Verified and on disk. */
        done: Type.Integer({ minimum: 0 }),
        /** Came over the network, whatever became of it: from the hub, and from other boxes. */
        fromHub: Type.Integer({ minimum: 0 }),
        fromMirrors: Type.Integer({ minimum: 0 }),
      },
      closed,
    ),
    /** States that were passed through, oldest first. */
    history: Type.Array(Type.Object({ state: UpdateState, at: Timestamp }, closed), {
      maxItems: 32,
    }),
    shadow: Type.Optional(Comparison),
    /** While on probation, and after it. `active…` is then the model before, by the device's baseline. */
    probation: Type.Optional(Comparison),
  },
  closed,
)
export type Update = Static<typeof Update>

/** What a device has to say of its models: retained, sent whole whenever it changes. */
export const Updates = Type.Object(
  {
    at: Timestamp,
    bootId: BootId,
    /** Grows with every message of this device, also over restarts: an older one that comes late is dropped. */
    sequence: Type.Integer({ minimum: 1 }),
    /** What frames are looked at with now. Version 0: not from a rollout, but from the box's own configuration. */
    running: Type.Array(
      Type.Object(
        {
          name: Type.String({ maxLength: 120 }),
          version: Type.Integer({ minimum: 0, maximum: 1_000_000 }),
          digest: Digest,
        },
        closed,
      ),
      { maxItems: 64 },
    ),
    updates: Type.Array(Update, { maxItems: 16 }),
    /** Digests of encodings that this device can give to other boxes, and where; absent where it gives none. */
    mirror: Type.Optional(
      Type.Object(
        {
          url: Type.String({ pattern: '^https://', maxLength: 200 }),
          digests: Type.Array(Digest, { maxItems: 64 }),
        },
        closed,
      ),
    ),
  },
  { $id: 'Updates', ...closed },
)
export type Updates = Static<typeof Updates>
