/**
 * Models of the hub at work for others: tensors by the Open Inference Protocol v2, and batches of pictures. Whoever
 * asks for a batch names it, so that asking twice is asking once; what a model said of a picture is kept and not
 * computed again.
 */
import { type Static, Type } from 'typebox'
import { DatasetName, DatasetVersionNumber } from './datasets.ts'
import { JobId, jobStates } from './jobs.ts'
import { ModelName, ModelVersionNumber } from './models.ts'
import { Box, DeviceId, Digest, SiteId, StreamId, Timestamp } from './names.ts'
import type { Route } from './route.ts'

const closed = { additionalProperties: false } as const

/** Pictures of one batch. */
export const batchPicturesMax = 10_000
/** What a model is less sure of is not kept: no batch can ask for it. */
export const batchScoreMin = 0.1
/** Tensors of one request: an RGB frame of 1920×1080 in floats fits. */
export const tensorBytesMax = 32 * 1024 * 1024

/** Chosen by who asks: letters, digits, `-`, `_` and `.`. */
export const TaskId = Type.String({
  pattern: '^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,98}[A-Za-z0-9])?$',
  maxLength: 100,
})

/** Which pictures: those of a dataset as it is now or as it was frozen, what boxes sent, or some that the hub has. */
export const BatchInputs = Type.Union([
  Type.Object({ dataset: DatasetName, version: Type.Optional(DatasetVersionNumber) }, closed),
  Type.Object(
    {
      fieldSamples: Type.Object(
        {
          device: Type.Optional(DeviceId),
          stream: Type.Optional(StreamId),
          site: Type.Optional(SiteId),
          /** Captured from then on, and before. */
          from: Type.Optional(Timestamp),
          to: Type.Optional(Timestamp),
        },
        closed,
      ),
    },
    closed,
  ),
  Type.Object(
    { pictures: Type.Array(Digest, { minItems: 1, maxItems: batchPicturesMax }) },
    closed,
  ),
])
export type BatchInputs = Static<typeof BatchInputs>

/** The same as it is shown: of pictures that were listed only how many. */
export const BatchInputsShown = Type.Union([
  BatchInputs.anyOf[0],
  BatchInputs.anyOf[1],
  Type.Object({ pictures: Type.Integer({ minimum: 1 }) }, closed),
])
export type BatchInputsShown = Static<typeof BatchInputsShown>

export const InferenceBatchRequest = Type.Object(
  {
    taskId: TaskId,
    model: ModelName,
    /** The champion where left out, or else the newest. */
    version: Type.Optional(ModelVersionNumber),
    inputs: BatchInputs,
    /** Detections and classes below this score are left out of the results. */
    scoreMin: Type.Optional(Type.Number({ minimum: batchScoreMin, maximum: 1, default: 0.3 })),
  },
  { $id: 'InferenceBatchRequest', ...closed },
)
export type InferenceBatchRequest = Static<typeof InferenceBatchRequest>

const Count = Type.Integer({ minimum: 0 })

export const InferenceBatch = Type.Object(
  {
    taskId: TaskId,
    model: ModelName,
    version: ModelVersionNumber,
    inputs: BatchInputsShown,
    scoreMin: Type.Number(),
    /** As of its job. */
    state: Type.Enum(jobStates),
    pictures: Count,
    /** Pictures that have their line in the results, and which of them nothing had to be computed for, or failed. */
    done: Count,
    cached: Count,
    failed: Count,
    /** Why it failed; empty where it did not. */
    error: Type.String(),
    /** The newest job that works on it. */
    jobId: JobId,
    by: Type.String(),
    createdAt: Timestamp,
    endedAt: Type.Union([Timestamp, Type.Null()]),
  },
  { $id: 'InferenceBatch' },
)
export type InferenceBatch = Static<typeof InferenceBatch>

/** What a model says of a picture: the key of its task. Boxes and outlines are shares of the picture. */
export const PictureReading = Type.Object({
  /** Of the picture, in pixels, as a person sees it. */
  width: Type.Integer({ minimum: 1 }),
  height: Type.Integer({ minimum: 1 }),
  detections: Type.Optional(
    Type.Array(Type.Object({ label: Type.String(), score: Type.Number(), box: Box })),
  ),
  /** Best first. */
  classes: Type.Optional(Type.Array(Type.Object({ label: Type.String(), score: Type.Number() }))),
  /** Largest first. */
  areas: Type.Optional(
    Type.Array(
      Type.Object({
        label: Type.String(),
        share: Type.Number(),
        polygons: Type.Array(Type.Array(Type.Array(Type.Number(), { minItems: 2, maxItems: 2 }))),
      }),
    ),
  ),
  embedding: Type.Optional(Type.Array(Type.Number())),
})
export type PictureReading = Static<typeof PictureReading>

/** One line of the results, in the order of the pictures. */
export const InferenceResult = Type.Union([
  Type.Intersect([
    Type.Object({
      picture: Digest,
      /** As its dataset calls it, else empty. */ name: Type.String(),
    }),
    PictureReading,
  ]),
  Type.Object({
    picture: Digest,
    name: Type.String(),
    /** Why there is nothing. */ error: Type.String(),
  }),
])
export type InferenceResult = Static<typeof InferenceResult>

/** What is refused where the Open Inference Protocol is spoken. */
export const OipProblem = Type.Object(
  {
    error: Type.String(),
    /** As a `Problem` has it, where it is one of those. */
    code: Type.Optional(Type.String()),
  },
  { $id: 'OipProblem' },
)

const task = Type.Object({ taskId: TaskId }, closed)
const model = Type.Object({ model: ModelName }, closed)
const modelVersion = Type.Object({ model: ModelName, version: ModelVersionNumber }, closed)

/** Refusals of these are `{error}`, with our code beside it. */
const oip = { speaks: 'oip', access: 'viewer' } as const
const ModelReady = Type.Object({ name: Type.String(), ready: Type.Boolean() })
const Port = Type.Object({
  name: Type.String(),
  datatype: Type.String(),
  shape: Type.Array(Type.Integer()),
})
const ModelMetadata = Type.Object(
  {
    name: Type.String(),
    versions: Type.Array(Type.String()),
    platform: Type.String(),
    inputs: Type.Array(Port),
    outputs: Type.Array(Port),
  },
  { $id: 'OipModel' },
)
const tensors = {
  consumes: 'application/octet-stream',
  produces: 'application/octet-stream',
  bytesMax: tensorBytesMax,
  // It computes, and leaves nothing.
  unaudited: true,
} as const

export const inferenceRoutes = {
  oipLive: {
    ...oip,
    method: 'GET',
    path: '/v2/health/live',
    summary: 'Open Inference Protocol: says that the server lives',
    response: Type.Object({ live: Type.Boolean() }),
  },
  oipReady: {
    ...oip,
    method: 'GET',
    path: '/v2/health/ready',
    summary: 'Open Inference Protocol: says whether models can be executed here',
    response: Type.Object({ ready: Type.Boolean() }),
  },
  oipServer: {
    ...oip,
    method: 'GET',
    path: '/v2',
    summary: 'Open Inference Protocol: says what the server is, and which extensions it knows',
    response: Type.Object({
      name: Type.String(),
      version: Type.String(),
      extensions: Type.Array(Type.String()),
    }),
  },
  oipModel: {
    ...oip,
    method: 'GET',
    path: '/v2/models/:model',
    summary: 'Open Inference Protocol: says what the champion of a model takes and gives',
    params: model,
    response: ModelMetadata,
  },
  oipModelReady: {
    ...oip,
    method: 'GET',
    path: '/v2/models/:model/ready',
    summary: 'Open Inference Protocol: opens the champion of a model, or says why it cannot',
    params: model,
    response: ModelReady,
  },
  oipInfer: {
    ...oip,
    ...tensors,
    method: 'POST',
    path: '/v2/models/:model/infer',
    summary: 'Open Inference Protocol: runs the champion of a model on tensors',
    params: model,
  },
  oipVersion: {
    ...oip,
    method: 'GET',
    path: '/v2/models/:model/versions/:version',
    summary: 'Open Inference Protocol: says what a version of a model takes and gives',
    params: modelVersion,
    response: ModelMetadata,
  },
  oipVersionReady: {
    ...oip,
    method: 'GET',
    path: '/v2/models/:model/versions/:version/ready',
    summary: 'Open Inference Protocol: opens a version of a model, or says why it cannot',
    params: modelVersion,
    response: ModelReady,
  },
  oipVersionInfer: {
    ...oip,
    ...tensors,
    method: 'POST',
    path: '/v2/models/:model/versions/:version/infer',
    summary: 'Open Inference Protocol: runs a version of a model on tensors',
    params: modelVersion,
  },
  inferenceBatchAdd: {
    method: 'POST',
    path: '/api/inference/batches',
    access: 'operator',
    summary:
      'Queues a model for a batch of pictures, or gives what was queued under the same task id for the same',
    body: InferenceBatchRequest,
    response: InferenceBatch,
  },
  inferenceBatchList: {
    method: 'GET',
    path: '/api/inference/batches',
    access: 'viewer',
    summary: 'Lists batches, newest first',
    query: Type.Object(
      {
        model: Type.Optional(ModelName),
        limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 50 })),
      },
      closed,
    ),
    response: Type.Array(InferenceBatch),
  },
  inferenceBatchShow: {
    method: 'GET',
    path: '/api/inference/batches/:taskId',
    access: 'viewer',
    summary: 'Shows how far a batch is',
    params: task,
    response: InferenceBatch,
  },
  inferenceBatchResults: {
    method: 'GET',
    path: '/api/inference/batches/:taskId/results',
    access: 'viewer',
    summary: 'Gives what there is of the results, one InferenceResult as JSON in each line',
    params: task,
    produces: 'application/x-ndjson',
  },
  inferenceBatchCancel: {
    method: 'POST',
    path: '/api/inference/batches/:taskId/cancel',
    access: 'operator',
    summary: 'Ends a batch; results that are there stay',
    params: task,
    response: InferenceBatch,
  },
  inferenceBatchRetry: {
    method: 'POST',
    path: '/api/inference/batches/:taskId/retry',
    access: 'operator',
    summary: 'Goes on with a batch that failed or was cancelled, or of which pictures failed',
    params: task,
    response: InferenceBatch,
  },
  inferenceBatchRemove: {
    method: 'DELETE',
    path: '/api/inference/batches/:taskId',
    access: 'operator',
    summary: 'Removes a batch that is over; what was computed is kept for others',
    params: task,
    status: 204,
  },
} as const satisfies Record<string, Route>
