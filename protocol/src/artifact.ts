/**
 * What is signed about the bytes of one model version for one kind of box. A manifest is a target file of the trust
 * repository: its digest stands in signed metadata, so it is verified as the bytes that came and never written anew.
 */
import { type Static, Type } from 'typebox'
import { ModelName, ModelVersionNumber } from './models.ts'
import { Digest, Label, Timestamp } from './names.ts'

const closed = { additionalProperties: false } as const

/** A larger manifest is not taken. */
export const manifestBytesMax = 1024 * 1024
/** Largest model that travels over the air, in bytes. */
export const artifactBytesMax = 512 * 1024 * 1024
/** Pieces that a transfer is verified in, in bytes; the last one is shorter. */
export const chunkBytes = 64 * 1024

/** The fleet that a model is meant for: one hub, however many replicas it has. */
export const FleetName = Type.String({ pattern: '^[a-z0-9][a-z0-9_-]{0,62}$', maxLength: 63 })

/** A kind of box that models are compiled for, such as `linux-x64-vnni`; `any` for what runs on all of them. */
export const TargetName = Type.String({ pattern: '^[a-z0-9][a-z0-9_-]{0,59}$', maxLength: 60 })

/**
 * How the bytes of a model travel. `zstd`: whole; `zstd-base`: zstd with the base as dictionary; `delta`: our codec
 * (docs/artifact.md). The last two need the file whose digest is `baseDigest`.
 */
export const encodingCodecs = ['delta', 'zstd-base', 'zstd'] as const
export const Encoding = Type.Object(
  {
    codec: Type.Enum(encodingCodecs),
    /** Absent for `zstd`. */
    baseDigest: Type.Optional(Digest),
    /** Of the bytes that travel. */
    digest: Digest,
    lengthBytes: Type.Integer({ minimum: 1, maximum: artifactBytesMax }),
    /** Digest of every `chunkBytes` of them: what lets a transfer go on where it was cut, from whoever has the bytes. */
    chunks: Type.Array(Digest, { minItems: 1, maxItems: artifactBytesMax / chunkBytes }),
  },
  closed,
)
export type Encoding = Static<typeof Encoding>

/** Types of inputs that golden vectors are made for. */
export const goldenTypes = [
  ...(['float32', 'uint8', 'int8', 'int32'] as const),
  ...(['int64', 'float16', 'bool'] as const),
] as const

/** One run that the model must repeat before it is trusted with frames (docs/artifact.md). */
export const GoldenVector = Type.Object(
  {
    /** The picture is drawn from it. */
    seed: Type.Integer({ minimum: 0, maximum: 2 ** 32 - 1 }),
    inputs: Type.Array(
      Type.Object(
        {
          name: Type.String({ minLength: 1, maxLength: 200 }),
          type: Type.Enum(goldenTypes),
          /** Also where the model leaves a dimension free. */
          shape: Type.Array(Type.Integer({ minimum: 0, maximum: 65_536 }), { maxItems: 8 }),
          /** What black and white are for this input; bytes are fed as they are. */
          black: Type.Number(),
          white: Type.Number(),
        },
        closed,
      ),
      { minItems: 1, maxItems: 16 },
    ),
    /** Those that can be told from wrong ones: what another CPU turns round is left out. */
    outputs: Type.Array(
      Type.Object(
        {
          name: Type.String({ minLength: 1, maxLength: 200 }),
          shape: Type.Array(Type.Integer({ minimum: 0 }), { maxItems: 8 }),
          /** Elements at equal distances through the output, the first and the last among them. */
          values: Type.Array(Type.Number(), { minItems: 1, maxItems: 64 }),
          /** Root of the mean square over all elements. */
          rms: Type.Number({ minimum: 0 }),
          /** Largest difference, as a share of `rms`. */
          tolerance: Type.Number({ exclusiveMinimum: 0, maximum: 1 }),
        },
        closed,
      ),
      { minItems: 1, maxItems: 64 },
    ),
  },
  closed,
)
export type GoldenVector = Static<typeof GoldenVector>

export const Manifest = Type.Object(
  {
    spec: Type.Literal('edgeloop-manifest/1'),
    fleet: FleetName,
    /** Kinds of boxes these bytes are for. */
    targets: Type.Array(TargetName, { minItems: 1, maxItems: 16 }),
    name: ModelName,
    /** Only ever grows on a box, but for going back to what it had. */
    version: ModelVersionNumber,
    /** Versions of one epoch share the scales of their codes, and so have small deltas. */
    scaleEpoch: Type.Integer({ minimum: 0 }),
    createdAt: Timestamp,
    /** Not taken up after this; what runs goes on. */
    expiresAt: Timestamp,
    /** Oldest agent that can run it, such as `0.3.0`. */
    agentMin: Type.String({ pattern: '^\\d+\\.\\d+\\.\\d+$', maxLength: 20 }),
    runtime: Type.Object(
      { name: Type.Literal('onnxruntime'), opsetMax: Type.Integer({ minimum: 1, maximum: 100 }) },
      closed,
    ),
    /** The model's file. */
    file: Type.Object(
      { digest: Digest, lengthBytes: Type.Integer({ minimum: 1, maximum: artifactBytesMax }) },
      closed,
    ),
    /** Every way these bytes travel; one is `zstd`. */
    encodings: Type.Array(Encoding, { minItems: 1, maxItems: 16 }),
    /** How it is fed and read: what a box is otherwise told by `agent.yaml`. */
    layout: Type.String({ minLength: 1, maxLength: 40 }),
    labels: Type.Array(Label, { maxItems: 10_000 }),
    /** Text of a description file (YAML or JSON); empty where the layout says all. */
    description: Type.String({ maxLength: 16_384 }),
    golden: Type.Array(GoldenVector, { minItems: 1, maxItems: 8 }),
    limits: Type.Object(
      {
        /** Resident memory of a process that has opened it and runs it. */
        memoryBytesMax: Type.Integer({ minimum: 1 }),
        loadMsMax: Type.Integer({ minimum: 1, maximum: 600_000 }),
        inferenceMsMax: Type.Integer({ minimum: 1, maximum: 60_000 }),
      },
      closed,
    ),
  },
  { $id: 'Manifest', ...closed },
)
export type Manifest = Static<typeof Manifest>

/** Where the manifest of an artifact lies in the trust repository. */
export const manifestPath = (name: string, version: number, target: string): string =>
  `manifests/${name}/${version}/${target}.json`
