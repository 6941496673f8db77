/** The trust repository of a hub, as people and programs see it: who signs what, and what waits for a signature. */
import { type Static, Type } from 'typebox'
import { ModelName, ModelVersionNumber, UploadId } from './models.ts'
import { Digest, Timestamp } from './names.ts'

const closed = { additionalProperties: false } as const

export const trustRoles = ['root', 'targets', 'snapshot', 'timestamp'] as const
export const TrustRole = Type.Enum(trustRoles)
export type TrustRole = (typeof trustRoles)[number]

/** Roles whose keys may be at the hub; those of the root never are. */
export const onlineTrustRoles = ['targets', 'snapshot', 'timestamp'] as const
export const OnlineTrustRole = Type.Enum(onlineTrustRoles)
export type OnlineTrustRole = (typeof onlineTrustRoles)[number]

/** Name of a file in the repository, such as `timestamp.json` or `3.root.json`. */
export const trustFilePattern =
  '^(?:[1-9][0-9]{0,15}\\.)?(?:root|targets|snapshot|timestamp)\\.json$'
export const TrustFileName = Type.String({ pattern: trustFilePattern, maxLength: 40 })

/** Longest root that travels with enrolment, in characters. */
export const trustRootCharactersMax = 64 * 1024
export const TrustRoot = Type.String({ maxLength: trustRootCharactersMax })

/** Longest document that is sent to be signed, or comes back signed, in bytes. */
export const trustDocumentBytesMax = 8 * 1024 * 1024
/** Metadata as a text, byte for byte: it is never written anew on the way. */
export const TrustDocument = Type.Object(
  { document: Type.String({ maxLength: trustDocumentBytesMax }) },
  { $id: 'TrustDocument', ...closed },
)
export type TrustDocument = Static<typeof TrustDocument>

/** The next root. `targets`: signed by a key that it names and that is not at the hub, where it names no other. */
export const TrustRootChange = Type.Object(
  {
    document: Type.String({ maxLength: trustDocumentBytesMax }),
    targets: Type.Optional(Type.String({ maxLength: trustDocumentBytesMax })),
  },
  { $id: 'TrustRootChange', ...closed },
)
export type TrustRootChange = Static<typeof TrustRootChange>

const PublicKey = Type.Object(
  {
    keytype: Type.String({ maxLength: 40 }),
    scheme: Type.String({ maxLength: 40 }),
    keyval: Type.Object({ public: Type.String({ maxLength: 4096 }) }, closed),
  },
  closed,
)

/** A key that the hub has made and keeps; nothing is signed with it before a root names it. */
export const TrustKey = Type.Object(
  { keyId: Digest, role: OnlineTrustRole, publicKey: PublicKey },
  { $id: 'TrustKey', ...closed },
)
export type TrustKey = Static<typeof TrustKey>

export const TrustShown = Type.Object(
  {
    fleet: Type.String(),
    roles: Type.Array(
      Type.Object({
        role: TrustRole,
        threshold: Type.Integer({ minimum: 1 }),
        keys: Type.Array(
          Type.Object({
            keyId: Type.String(),
            /** True where this hub has the private half. */
            online: Type.Boolean(),
          }),
        ),
        /** Of the newest metadata. */
        version: Type.Integer({ minimum: 0 }),
        expiresAt: Timestamp,
      }),
    ),
    /** How many manifests are signed. */
    targets: Type.Integer({ minimum: 0 }),
    /** What waits for the targets key, which is not at the hub. */
    staged: Type.Array(
      Type.Object({
        path: Type.String(),
        digest: Digest,
        lengthBytes: Type.Integer(),
        at: Timestamp,
      }),
    ),
    /** What somebody has to do; empty while all is well. */
    problems: Type.Array(Type.String()),
  },
  { $id: 'TrustShown' },
)
export type TrustShown = Static<typeof TrustShown>

/** What is put into a bundle for a site without a hub. */
export const BundleRequest = Type.Object(
  {
    versions: Type.Array(Type.Object({ name: ModelName, version: ModelVersionNumber }, closed), {
      minItems: 1,
      maxItems: 100,
    }),
    /** Days for which boxes believe it. */
    validDays: Type.Optional(Type.Integer({ minimum: 1, maximum: 90, default: 30 })),
  },
  { $id: 'BundleRequest', ...closed },
)
export type BundleRequest = Static<typeof BundleRequest>

export const BundleImport = Type.Object({ uploadId: UploadId }, { $id: 'BundleImport', ...closed })
export type BundleImport = Static<typeof BundleImport>

/** What a hub took from a bundle; what it had already is among it. */
export const BundleTaken = Type.Object(
  {
    fleet: Type.String(),
    taken: Type.Array(
      Type.Object({
        path: Type.String(),
        name: ModelName,
        version: ModelVersionNumber,
        /** False where it was here already. */
        isNew: Type.Boolean(),
      }),
    ),
    /** False while the manifests wait for the targets key of this hub. */
    signed: Type.Boolean(),
  },
  { $id: 'BundleTaken' },
)
export type BundleTaken = Static<typeof BundleTaken>
