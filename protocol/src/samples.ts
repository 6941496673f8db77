/**
 * Frames that boxes keep for learning. A box says first what it has, the hub says what it wants of it, and the bytes
 * follow under their digest, in parts. What left the box had everything taken out that must not be seen; the box
 * signs what that was.
 */
import { type Static, Type } from 'typebox'
import { Box, DeviceId, Digest, Label, SiteId, StreamId, Timestamp } from './names.ts'
import type { Route } from './route.ts'

const closed = { additionalProperties: false } as const
const Score = Type.Number({ minimum: 0, maximum: 1 })

/**
 * Why a frame was kept. `uncertain`: scores near their threshold, or two labels alike; `inconsistent`: a track
 * with gaps, flicker or a jump in size; `motion`: something moved and nothing was found; `disagreement`: candidate
 * and active model differ; `rare`: a label seldom seen; `novel`: unlike what was sent before; `asked`: a person
 * or a rule wants it; `random`: so that figures stay unbiased.
 */
export const sampleReasons = [
  'uncertain',
  'inconsistent',
  'motion',
  'disagreement',
  'rare',
  'novel',
  'asked',
  'random',
] as const
export const SampleReason = Type.Enum(sampleReasons)
export type SampleReason = (typeof sampleReasons)[number]

/** How a region is made unreadable: squares of one colour each, or one colour. */
export const redactionMethods = ['pixelate', 'fill'] as const

/** What is made unreadable on the box before a picture is written or sent, snapshots and live pictures included. */
export const RedactionConfig = Type.Object(
  {
    /** Objects of these labels, whichever model finds them, at however low a score. */
    labels: Type.Array(Label, { minItems: 1, maxItems: 100 }),
    /** A detector of the device that looks for them, such as one of faces; the stream's own where left out. */
    model: Type.Optional(Type.String({ minLength: 1, maxLength: 120 })),
    /** Low, because what is missed is seen. */
    scoreMin: Type.Optional(Type.Number({ minimum: 0.01, maximum: 1, default: 0.2 })),
    /** By how much of its size a region is widened on each side. */
    margin: Type.Optional(Type.Number({ minimum: 0, maximum: 1, default: 0.15 })),
    method: Type.Optional(Type.Enum(redactionMethods, { default: 'pixelate' })),
  },
  closed,
)
export type RedactionConfig = Static<typeof RedactionConfig>

/** Frames that a stream keeps for learning. Every bound is for one stream and one day (UTC). */
export const SamplingConfig = Type.Object(
  {
    framesPerDay: Type.Optional(Type.Integer({ minimum: 0, maximum: 100_000, default: 200 })),
    bytesPerDay: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 100_000_000_000, default: 40_000_000 }),
    ),
    /** Samplers that are used; all where left out. */
    reasons: Type.Optional(
      Type.Array(SampleReason, { minItems: 1, maxItems: 8, uniqueItems: true }),
    ),
    /** Share of the budget that is spent at random. */
    randomShare: Type.Optional(Type.Number({ minimum: 0, maximum: 1, default: 0.1 })),
    /** Labels that are looked out for; without it, those that are seldom seen here. */
    rareLabels: Type.Optional(Type.Array(Label, { maxItems: 100 })),
    /** At least so long between two samples of one stream. */
    intervalMinMs: Type.Optional(Type.Integer({ minimum: 0, maximum: 86_400_000, default: 2000 })),
    /** Longer side of the picture; the camera's own where smaller. */
    widthMax: Type.Optional(Type.Integer({ minimum: 64, maximum: 4096, default: 1280 })),
  },
  closed,
)
export type SamplingConfig = Static<typeof SamplingConfig>

/** What was made unreadable in one picture, said by the box that did it. */
export const Redaction = Type.Object(
  {
    /** Masks of the stream that were blanked. */
    masks: Type.Integer({ minimum: 0, maximum: 1000 }),
    method: Type.Enum(['none', ...redactionMethods]),
    /** Labels that were looked for, and the file of the model that looked; empty where nothing was. */
    labels: Type.Array(Label, { maxItems: 100 }),
    modelDigest: Type.Optional(Digest),
    regions: Type.Array(Type.Object({ label: Label, box: Box }, closed), { maxItems: 1000 }),
    /**
     * By the key of the device's certificate, over `redactionStatement()`: SHA-256 with its algorithm, base64.
     */
    signature: Type.String({ minLength: 1, maxLength: 1000 }),
  },
  closed,
)
export type Redaction = Static<typeof Redaction>

/**
 * The bytes that a redaction is signed over: names device, stream, time and picture, so that it fits no other.
 * Keys in this order, no spaces.
 */
export const redactionStatement = (
  of: { deviceId: string; streamId: string; capturedAt: string; digest: string },
  { masks, method, labels, modelDigest, regions }: Omit<Redaction, 'signature'>,
): string =>
  JSON.stringify({
    deviceId: of.deviceId,
    streamId: of.streamId,
    capturedAt: of.capturedAt,
    digest: of.digest,
    masks,
    method,
    labels,
    modelDigest: modelDigest ?? '',
    regions: regions.map(({ label, box }) => ({ label, box })),
  })

/** Longest embedding of a sample. */
export const sampleEmbeddingMax = 256
export const sampleDetectionsMax = 200
/** One picture; a box makes none that is larger. */
export const sampleBytesMax = 4 * 1024 * 1024
/** Part of a picture in one request. */
export const samplePartBytes = 256 * 1024
export const sampleOffersMax = 50

/** What the active model found in the frame, above the score from which it is worth a look. */
export const SampleDetection = Type.Object({ label: Label, score: Score, box: Box }, closed)
export type SampleDetection = Static<typeof SampleDetection>

/** What a box says of a sample that it has. */
export const SampleOffer = Type.Object(
  {
    digest: Digest,
    sizeBytes: Type.Integer({ minimum: 1, maximum: sampleBytesMax }),
    width: Type.Integer({ minimum: 1, maximum: 16_384 }),
    height: Type.Integer({ minimum: 1, maximum: 16_384 }),
    streamId: StreamId,
    capturedAt: Timestamp,
    reason: SampleReason,
    /** In words, with the figures that decided: `score 0.41 of "cup", threshold 0.40`. */
    why: Type.String({ maxLength: 300 }),
    /** With which a frame like this one is kept: what weighs it in an unbiased figure. */
    probability: Type.Number({ exclusiveMinimum: 0, maximum: 1 }),
    model: Type.Object(
      {
        name: Type.String({ maxLength: 120 }),
        /** 0 for the box's own file. */
        version: Type.Integer({ minimum: 0, maximum: 1_000_000 }),
        digest: Digest,
      },
      closed,
    ),
    detections: Type.Array(SampleDetection, { maxItems: sampleDetectionsMax }),
    /** 64 bits of what it looks like (difference hash of the gate picture), in hex. */
    looks: Type.String({ pattern: '^[0-9a-f]{16}$', maxLength: 16 }),
    /** Of length 1; from the model where it gives one, otherwise of colours and edges. */
    embedding: Type.Optional(
      Type.Array(Type.Number({ minimum: -1, maximum: 1 }), {
        minItems: 2,
        maxItems: sampleEmbeddingMax,
      }),
    ),
    redaction: Redaction,
  },
  { $id: 'SampleOffer', ...closed },
)
export type SampleOffer = Static<typeof SampleOffer>

export const SampleOffers = Type.Object(
  {
    offers: Type.Array(SampleOffer, { minItems: 1, maxItems: sampleOffersMax }),
    /** Frames of each stream that its samplers would have kept since the last time, budgets apart: what the fleet's budget is divided by. */
    wishes: Type.Array(
      Type.Object({ streamId: StreamId, frames: Type.Integer({ minimum: 0 }) }, closed),
      { maxItems: 256 },
    ),
  },
  { $id: 'SampleOffers', ...closed },
)
export type SampleOffers = Static<typeof SampleOffers>

/** What a box may send until `until`, of all its streams together. */
export const SampleAllowance = Type.Object({
  frames: Type.Integer({ minimum: 0 }),
  bytes: Type.Integer({ minimum: 0 }),
  until: Timestamp,
})
export type SampleAllowance = Static<typeof SampleAllowance>

/** One answer for each offer, in their order. */
export const SampleAnswers = Type.Object(
  {
    answers: Type.Array(
      Type.Union([
        /** Send the bytes from here on. */
        Type.Object({
          digest: Digest,
          act: Type.Literal('send'),
          from: Type.Integer({ minimum: 0 }),
        }),
        /** The hub has it: drop it. */
        Type.Object({ digest: Digest, act: Type.Literal('have') }),
        /** Never: drop it. */
        Type.Object({
          digest: Digest,
          act: Type.Literal('refuse'),
          reason: Type.String({ maxLength: 300 }),
        }),
        /** Not before `after`: keep it while there is room. */
        Type.Object({
          digest: Digest,
          act: Type.Literal('wait'),
          after: Timestamp,
          reason: Type.String({ maxLength: 300 }),
        }),
      ]),
      { maxItems: sampleOffersMax },
    ),
    allowance: SampleAllowance,
  },
  { $id: 'SampleAnswers' },
)
export type SampleAnswers = Static<typeof SampleAnswers>

/** Most frames that can be asked for at once. */
export const sampleAskMax = 50

/** Frames of a stream that somebody wants, whatever they show. */
export const SampleAsk = Type.Object(
  {
    frames: Type.Optional(Type.Integer({ minimum: 1, maximum: sampleAskMax, default: 1 })),
    /** What for; it is said with each of them. */
    why: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
  },
  { $id: 'SampleAsk', ...closed },
)
export type SampleAsk = Static<typeof SampleAsk>

/** What became of it. `offline`: the box cannot be told; ask again when it is back. */
export const SampleAsked = Type.Object(
  {
    state: Type.Enum(['asked', 'offline']),
    reason: Type.String(),
    /** That the box was asked for. */
    frames: Type.Integer({ minimum: 0 }),
  },
  { $id: 'SampleAsked' },
)
export type SampleAsked = Static<typeof SampleAsked>

/** What a box hears of it. */
export const SampleRequest = Type.Object({
  streamId: StreamId,
  frames: Type.Integer({ minimum: 1, maximum: sampleAskMax }),
  why: Type.String({ maxLength: 300 }),
  /** Frames that did not come until then are not wanted any more. */
  until: Timestamp,
})
export type SampleRequest = Static<typeof SampleRequest>

/** How far the bytes of a sample have come. */
export const SampleReceived = Type.Object(
  { next: Type.Integer({ minimum: 0 }), complete: Type.Boolean() },
  { $id: 'SampleReceived' },
)
export type SampleReceived = Static<typeof SampleReceived>

/** A sample of a box as people and programs of the hub see it. */
export const FieldSample = Type.Object(
  {
    /** Order in which they came. */
    sampleId: Type.Integer({ minimum: 1 }),
    deviceId: DeviceId,
    site: SiteId,
    ...SampleOffer.properties,
    receivedAt: Timestamp,
    /** Whether the redaction's signature is the device's. */
    signatureValid: Type.Boolean(),
  },
  { $id: 'FieldSample' },
)
export type FieldSample = Static<typeof FieldSample>

/** One sample, and what became of it. */
export const FieldSampleDetail = Type.Object(
  {
    ...FieldSample.properties,
    /** Datasets that it is in, by name. */
    datasets: Type.Array(Type.String()),
    /** Tasks of label queues that ask for it, whatever their state. */
    tasks: Type.Array(
      Type.Object({
        taskId: Type.Integer({ minimum: 1 }),
        queue: Type.String(),
        state: Type.String(),
      }),
    ),
  },
  { $id: 'FieldSampleDetail' },
)
export type FieldSampleDetail = Static<typeof FieldSampleDetail>

/** Most samples of one page. */
export const fieldSamplesPageMax = 200

/** Which samples: those that fit everything that is given. */
export const FieldSampleQuery = Type.Object(
  {
    device: Type.Optional(DeviceId),
    stream: Type.Optional(StreamId),
    site: Type.Optional(SiteId),
    reason: Type.Optional(SampleReason),
    /** Name of the model that was active. */
    model: Type.Optional(Type.String({ minLength: 1, maxLength: 120 })),
    /** Captured from then on, and before. */
    from: Type.Optional(Timestamp),
    to: Type.Optional(Timestamp),
    /** Older than this one. */
    before: Type.Optional(Type.Integer({ minimum: 1 })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: fieldSamplesPageMax, default: 60 })),
  },
  closed,
)
export type FieldSampleQuery = Static<typeof FieldSampleQuery>

export const FieldSamplePage = Type.Object(
  {
    samples: Type.Array(FieldSample),
    /** `before` of the next page; null after the last. */
    next: Type.Union([Type.Integer(), Type.Null()]),
  },
  { $id: 'FieldSamplePage' },
)
export type FieldSamplePage = Static<typeof FieldSamplePage>

/** What all boxes together may send in a day (UTC). */
export const SampleBudget = Type.Object(
  {
    framesPerDay: Type.Integer({ minimum: 0, maximum: 10_000_000 }),
    bytesPerDay: Type.Integer({ minimum: 0, maximum: 100_000_000_000_000 }),
  },
  { $id: 'SampleBudget', ...closed },
)
export type SampleBudget = Static<typeof SampleBudget>

const Count = Type.Integer({ minimum: 0 })

/** The budget, how it is dealt out to streams, and what was spent. */
export const SampleBudgetShown = Type.Object(
  {
    ...SampleBudget.properties,
    /** Who set it, and when; null where nobody has. */
    by: Type.Union([Type.String(), Type.Null()]),
    at: Type.Union([Timestamp, Type.Null()]),
    streams: Type.Array(
      Type.Object({
        deviceId: DeviceId,
        streamId: StreamId,
        /** Its share of a day. */
        framesPerDay: Count,
        bytesPerDay: Count,
        /** Sent today. */
        frames: Count,
        bytes: Count,
        /** Frames that it would keep in a day. */
        wishedPerDay: Type.Number({ minimum: 0 }),
        /** What its wish counts: 1 where nothing is known of it. */
        weight: Type.Number({ minimum: 0 }),
        /** Share of its samples that were kept because the model is unsure or wrong. */
        doubt: Score,
        /** A drift alarm is on. */
        alarm: Type.Boolean(),
        /** Samples of it that people answered, and those of them in which something was to be mended. */
        labelled: Count,
        mended: Count,
      }),
    ),
    /** The last 30 days in which there was anything, oldest first. */
    days: Type.Array(
      Type.Object({
        day: Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}$' }),
        frames: Count,
        bytes: Count,
        wished: Count,
      }),
    ),
  },
  { $id: 'SampleBudgetShown' },
)
export type SampleBudgetShown = Static<typeof SampleBudgetShown>

/** What shall be forgotten: all of a device, of one of its streams, of a time. */
export const ForgetRequest = Type.Object(
  {
    deviceId: DeviceId,
    /** Every stream of the device where left out. */
    streamId: Type.Optional(StreamId),
    /** What was captured from then on; from the beginning where left out. */
    from: Type.Optional(Timestamp),
    /** …and before; until now where left out. */
    to: Type.Optional(Timestamp),
  },
  { $id: 'ForgetRequest', ...closed },
)
export type ForgetRequest = Static<typeof ForgetRequest>

/** What is deleted, and what has learned from it and cannot forget it. */
export const ForgetAffected = Type.Object(
  {
    deviceId: DeviceId,
    streamId: Type.Union([StreamId, Type.Null()]),
    from: Timestamp,
    to: Timestamp,
    samples: Count,
    /** Pictures of events, and clips that the hub has. */
    snapshots: Count,
    clips: Count,
    /** Tasks of queues, with their answers. */
    tasks: Count,
    /** Samples that leave datasets. */
    datasets: Type.Array(Type.Object({ dataset: Type.String(), samples: Count })),
    /** Frozen versions that name some of it: they stay, and can be trained on no more. */
    versions: Type.Array(
      Type.Object({ dataset: Type.String(), version: Type.Integer(), samples: Count }),
    ),
    /** Models that learned from those versions, or from such a model: `from` says which. */
    models: Type.Array(
      Type.Object({ name: Type.String(), version: Type.Integer(), from: Type.String() }),
    ),
  },
  { $id: 'ForgetAffected' },
)
export type ForgetAffected = Static<typeof ForgetAffected>

/** Routes of people. Pictures are those of the samples of datasets: `/api/samples/DIGEST/picture`. */
export const fieldSampleRoutes = {
  fieldSampleList: {
    method: 'GET',
    path: '/api/field-samples',
    access: 'viewer',
    summary: 'Lists what boxes sent to be learned from, newest first',
    query: FieldSampleQuery,
    response: FieldSamplePage,
  },
  fieldSampleShow: {
    method: 'GET',
    path: '/api/field-samples/:sampleId',
    access: 'viewer',
    summary: 'Shows one sample of a box, and where it is used',
    params: Type.Object({ sampleId: Type.Integer({ minimum: 1 }) }, closed),
    response: FieldSampleDetail,
  },
  sampleBudgetShow: {
    method: 'GET',
    path: '/api/sample-budget',
    access: 'viewer',
    summary:
      'Says what boxes may send to be learned from in a day, to whom it goes, what was spent',
    response: SampleBudgetShown,
  },
  sampleBudgetPut: {
    method: 'PUT',
    path: '/api/sample-budget',
    access: 'admin',
    summary: 'Sets what all boxes together may send to be learned from in a day',
    body: SampleBudget,
    response: SampleBudgetShown,
  },
  forgetPreview: {
    method: 'POST',
    path: '/api/forget-previews',
    access: 'admin',
    summary: 'Says what forgetting a stream or a time would delete, and what learned from it',
    body: ForgetRequest,
    response: ForgetAffected,
    unaudited: true,
  },
  forget: {
    method: 'POST',
    path: '/api/forget',
    access: 'admin',
    summary:
      'Deletes samples, pictures and clips of a stream or a time, also from datasets; no more of it is taken',
    body: ForgetRequest,
    response: ForgetAffected,
  },
} as const satisfies Record<string, Route>

/** Routes of devices. */
export const sampleDeviceRoutes = {
  sampleOffer: {
    method: 'POST',
    path: '/samples',
    access: 'device',
    summary: 'Takes what a device says of samples that it has; answers which are wanted',
    body: SampleOffers,
    bytesMax: 4 * 1024 * 1024,
    response: SampleAnswers,
    unaudited: true,
  },
  samplePart: {
    method: 'PUT',
    path: '/samples/:digest',
    access: 'device',
    summary:
      'Takes the bytes of a wanted sample from an offset on; answers where the next part begins, whatever this one was',
    params: Type.Object({ digest: Digest }, closed),
    query: Type.Object({ from: Type.Integer({ minimum: 0, maximum: sampleBytesMax }) }, closed),
    consumes: 'application/octet-stream',
    bytesMax: samplePartBytes,
    response: SampleReceived,
    unaudited: true,
  },
} as const satisfies Record<string, Route>
