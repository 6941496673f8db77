/** Publishing: a model version becomes what boxes may be offered, as signed manifests with every way its bytes travel. */
import { type Static, Type } from 'typebox'
import { encodingCodecs, TargetName } from './artifact.ts'
import { ModelName, ModelVersionNumber } from './models.ts'
import { Digest, Timestamp } from './names.ts'

const closed = { additionalProperties: false } as const

export const PublishRequest = Type.Object(
  {
    /**
     * Only what was compiled for this target; where nothing was compiled, the file as it was added, for this kind of box alone. `any` is
     * the file as it was added, for all. Left out: everything that was compiled, and `any` where nothing was.
     */
    target: Type.Optional(TargetName),
    /** Days for which boxes take it up. */
    expiresDays: Type.Optional(Type.Integer({ minimum: 1, maximum: 3650, default: 365 })),
  },
  { $id: 'PublishRequest', ...closed },
)
export type PublishRequest = Static<typeof PublishRequest>

/** A way the bytes travel. */
export const PublishedEncoding = Type.Object({
  codec: Type.Enum(encodingCodecs),
  /** The file that it needs; absent for `zstd`. */
  baseDigest: Type.Optional(Digest),
  /** The version of this name whose file that is; null where it is none, such as a box's own file. */
  baseVersion: Type.Union([ModelVersionNumber, Type.Null()]),
  digest: Digest,
  lengthBytes: Type.Integer({ minimum: 1 }),
})
export type PublishedEncoding = Static<typeof PublishedEncoding>

/** One version of a model for one kind of box, as boxes may be offered it. */
export const Published = Type.Object(
  {
    name: ModelName,
    version: ModelVersionNumber,
    /** What it was compiled for; `any` for the file as it was added. */
    target: TargetName,
    /** Kinds of boxes that take it. */
    targets: Type.Array(TargetName),
    /** What it was compiled as; null for the file as it was added. */
    artifactId: Type.Union([Type.String(), Type.Null()]),
    manifest: Type.Object({
      path: Type.String(),
      digest: Digest,
      lengthBytes: Type.Integer({ minimum: 1 }),
    }),
    file: Type.Object({ digest: Digest, lengthBytes: Type.Integer({ minimum: 1 }) }),
    /** Smallest first. */
    encodings: Type.Array(PublishedEncoding),
    scaleEpoch: Type.Integer({ minimum: 0 }),
    /** False while its manifest waits for the targets key: no box takes it yet. */
    signed: Type.Boolean(),
    expiresAt: Timestamp,
    publishedAt: Timestamp,
    by: Type.String(),
  },
  { $id: 'Published' },
)
export type Published = Static<typeof Published>
