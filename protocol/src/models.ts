/** Models that the hub keeps: versions of float originals, and what was compiled of them. */
import { type Static, Type } from 'typebox'
import { Digest, Label, Timestamp } from './names.ts'

const closed = { additionalProperties: false } as const

/** Lower case letters, digits, `-`, `_` and `.`; one name for all versions of a model. */
export const ModelName = Type.String({
  pattern: '^[a-z0-9](?:[a-z0-9_.-]{0,61}[a-z0-9])?$',
  maxLength: 63,
})
export const ModelVersionNumber = Type.Integer({ minimum: 1, maximum: 1_000_000 })

/** A larger file is not taken. */
export const modelBytesMax = 512 * 1024 * 1024
/** Bytes in one part of an upload. */
export const uploadPartBytesMax = 8 * 1024 * 1024

export const UploadId = Type.String({ pattern: '^[0-9a-f-]{36}$', maxLength: 36 })

/** A file that comes in parts, each after the one before; who was cut off goes on at `receivedBytes`. */
export const Upload = Type.Object(
  {
    uploadId: UploadId,
    sizeBytes: Type.Integer(),
    receivedBytes: Type.Integer(),
    partBytesMax: Type.Integer(),
    expiresAt: Timestamp,
  },
  { $id: 'Upload' },
)
export type Upload = Static<typeof Upload>

/** An input or output of a model; a free dimension is its name or null, a shape of which nothing is known null. */
export const ModelPort = Type.Object({
  name: Type.String(),
  type: Type.String(),
  shape: Type.Union([
    Type.Null(),
    Type.Array(Type.Union([Type.Integer(), Type.String(), Type.Null()])),
  ]),
})

/** What a look into the file says, without running it. */
export const ModelInspection = Type.Object({
  inputs: Type.Array(ModelPort),
  outputs: Type.Array(ModelPort),
  opset: Type.Integer(),
  parameters: Type.Integer(),
  /** Multiplications and additions for one run; null where shapes are free. */
  macs: Type.Union([Type.Integer(), Type.Null()]),
  operators: Type.Record(Type.String(), Type.Integer()),
  warnings: Type.Array(Type.String()),
})
export type ModelInspection = Static<typeof ModelInspection>

/** Where a model version comes from that was trained here: enough to make it again. */
export const Lineage = Type.Object({
  runId: Type.String(),
  dataset: Type.Object({ name: ModelName, version: ModelVersionNumber, digest: Digest }),
  /** `NAME/VERSION`, or `new:BUILDER`. */
  parent: Type.String(),
  /** Of the parent's file; null where it was built. */
  parentDigest: Type.Union([Digest, Type.Null()]),
  /** `NAME/VERSION` and file of the model that it followed; absent where none was named. */
  teacher: Type.Optional(Type.Object({ name: Type.String(), digest: Digest })),
  /** A program of others took the steps. */
  external: Type.Optional(Type.Boolean()),
  /** SHA-256 of the recipe as canonical JSON. */
  recipeDigest: Digest,
  seed: Type.Integer(),
  codeVersion: Type.String(),
  /** On the test samples. */
  figures: Type.Record(Type.String(), Type.Number()),
})
export type Lineage = Static<typeof Lineage>

export const ModelVersion = Type.Object(
  {
    name: ModelName,
    version: ModelVersionNumber,
    /** Family that says how it is fed and read: `yolox`, `nanodet`, … */
    layout: Type.String(),
    labels: Type.Array(Label),
    /** Text of the description file, where the model differs from its layout; else empty. */
    description: Type.String(),
    note: Type.String(),
    digest: Digest,
    sizeBytes: Type.Integer(),
    inspection: ModelInspection,
    /** The version that later ones are compared with, one of a name at most; the others are candidates. */
    champion: Type.Boolean(),
    /** Why it is the champion, or is not. */
    standing: Type.String(),
    /** Null for what somebody brought. */
    lineage: Type.Union([Lineage, Type.Null()]),
    by: Type.String(),
    createdAt: Timestamp,
  },
  { $id: 'ModelVersion' },
)
export type ModelVersion = Static<typeof ModelVersion>

/** A name with its newest version. */
export const ModelRow = Type.Object(
  {
    newest: ModelVersion,
    versions: Type.Integer({ minimum: 1 }),
    /** Number of the champion; null where there is none. */
    champion: Type.Union([ModelVersionNumber, Type.Null()]),
    /** Artifacts of all versions. */
    artifacts: Type.Integer({ minimum: 0 }),
  },
  { $id: 'ModelRow' },
)
export type ModelRow = Static<typeof ModelRow>

/** One way to write a model down, as it was measured. */
export const Candidate = Type.Object({
  /** `original`, `fp32`, `fp16`, `int8-weights`, `int8`, `int8-search`. */
  name: Type.String(),
  /** Null where it could not be made. */
  sizeBytes: Type.Union([Type.Integer(), Type.Null()]),
  /** Latency of the original over that of this one: above 1 is faster. */
  latencyRatio: Type.Union([Type.Number(), Type.Null()]),
  /** How good it is by the metric of the compilation, and which that is. */
  metric: Type.Union([Type.Null(), Type.Object({ name: Type.String(), value: Type.Number() })]),
  sqnrDb: Type.Union([Type.Number(), Type.Null()]),
  /** Why it was not taken; empty for the chosen one. */
  refused: Type.String(),
})
export type Candidate = Static<typeof Candidate>

/** Bytes of one model version for one target. */
export const Artifact = Type.Object(
  {
    artifactId: Type.String(),
    name: ModelName,
    version: ModelVersionNumber,
    target: Type.String(),
    /** Name of the candidate that these bytes are. */
    chosen: Type.String(),
    digest: Digest,
    sizeBytes: Type.Integer(),
    candidates: Type.Array(Candidate),
    jobId: Type.String(),
    createdAt: Timestamp,
  },
  { $id: 'Artifact' },
)
export type Artifact = Static<typeof Artifact>

export const ModelVersionDetail = Type.Object(
  {
    model: ModelVersion,
    /** Numbers of all versions of this name, newest first. */
    versions: Type.Array(ModelVersionNumber),
    artifacts: Type.Array(Artifact),
  },
  { $id: 'ModelVersionDetail' },
)
export type ModelVersionDetail = Static<typeof ModelVersionDetail>

/** What takes a model into the registry: an upload that is whole, and how it is fed and read. */
export const ModelRequest = Type.Object(
  {
    name: ModelName,
    uploadId: UploadId,
    layout: Type.String({ minLength: 1, maxLength: 40 }),
    /** Class names in the order of the model's outputs; `coco` stands for the 80 of COCO. */
    labels: Type.Optional(
      Type.Union([Type.Literal('coco'), Type.Array(Label, { maxItems: 10_000 })]),
    ),
    /** A description file (YAML or JSON) for what differs from the layout: input, strides. */
    description: Type.Optional(Type.String({ maxLength: 16_384 })),
    note: Type.Optional(Type.String({ maxLength: 500 })),
  },
  { $id: 'ModelRequest', ...closed },
)
export type ModelRequest = Static<typeof ModelRequest>

export const precisions = [
  ...(['auto', 'fp32', 'fp16', 'int8-weights', 'int8'] as const),
  ...(['int8-qoperator', 'int4-weights'] as const),
] as const

/** Fewest and most pictures that a compilation is calibrated and judged with. */
export const compileImages = { min: 16, max: 500 } as const

export const CompileRequest = Type.Object(
  {
    /** A profile of the compiler; the hub's own machine where left out. */
    target: Type.Optional(Type.String({ minLength: 1, maxLength: 60 })),
    precision: Type.Optional(Type.Enum(precisions, { default: 'auto' })),
    /** Largest loss of the metric that is accepted, in its own unit (0.01: one point of AP). */
    maxDrop: Type.Optional(Type.Number({ minimum: 0, maximum: 1, default: 0.01 })),
    /** How many of the newest snapshots of the fleet are used, spread over its streams. */
    images: Type.Optional(
      Type.Integer({ minimum: compileImages.min, maximum: compileImages.max, default: 64 }),
    ),
    /**
     * Codes take scales of their own, though an earlier version was compiled for the target. Otherwise they keep those as
     * long as that costs nothing, because the delta to the next version is then small.
     */
    newScales: Type.Optional(Type.Boolean({ default: false })),
  },
  { $id: 'CompileRequest', ...closed },
)
export type CompileRequest = Static<typeof CompileRequest>

/** What the hub's compiler can do; lists are empty where the hub has none. */
export const CompilerShown = Type.Object(
  {
    available: Type.Boolean(),
    layouts: Type.Array(Type.String()),
    targets: Type.Array(
      Type.Object({
        name: Type.String(),
        /** False where nothing of it could be run where it was written. */
        verified: Type.Boolean(),
      }),
    ),
  },
  { $id: 'CompilerShown' },
)
export type CompilerShown = Static<typeof CompilerShown>
