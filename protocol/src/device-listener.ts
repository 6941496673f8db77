/** Routes of the other listener, where devices speak over mutual TLS, and what they say when they enrol and renew. */
import { type Static, Type } from 'typebox'
import { ClipReceived, clipPartBytes } from './clip.ts'
import { LogAnswer, LogRequestPath, logAnswerBytesMax } from './device-log.ts'
import { DeviceId, Digest, SiteId, StreamId } from './names.ts'
import type { Route } from './route.ts'
import { sampleDeviceRoutes } from './samples.ts'
import { clipBytesMax } from './stream.ts'
import { TrustFileName, TrustRoot } from './trust.ts'

const closed = { additionalProperties: false } as const

export const EnrolmentRequest = Type.Object(
  {
    token: Type.String({ maxLength: 200 }),
    /** PKCS#10 in PEM; the key never leaves the box. */
    csr: Type.String({ maxLength: 8192 }),
  },
  { $id: 'EnrolmentRequest', ...closed },
)
export type EnrolmentRequest = Static<typeof EnrolmentRequest>

export const Enrolment = Type.Object(
  {
    site: SiteId,
    deviceId: DeviceId,
    certificate: Type.String(),
    ca: Type.String(),
    mqttUrl: Type.String(),
    deviceUrl: Type.String(),
    /** Newest root of the trust repository, as it is there; absent from hubs that have none. */
    trustRoot: Type.Optional(TrustRoot),
  },
  { $id: 'Enrolment' },
)
export type Enrolment = Static<typeof Enrolment>

/** A request of a device that has a certificate for its next one. */
export const RenewalRequest = Type.Object(
  {
    /** PKCS#10 in PEM, for a key that was made for it. */
    csr: Type.String({ maxLength: 8192 }),
  },
  { $id: 'RenewalRequest', ...closed },
)
export type RenewalRequest = Static<typeof RenewalRequest>

/** The next certificate. The one in use stays valid until this one is used for the first time. */
export const Renewal = Type.Object({ certificate: Type.String() }, { $id: 'Renewal' })
export type Renewal = Static<typeof Renewal>

/** Boxes that an agent can be made for, as the installer names them. */
export const platforms = ['linux-x64', 'linux-arm64'] as const

export type Platform = (typeof platforms)[number]

const platform = Type.Object({ platform: Type.Enum(platforms) }, closed)

/**
 * Routes of the other listener, where devices speak over mutual TLS. Those for `enrolment` without a body
 * take the token as a bearer: a box that is to be installed has no certificate yet.
 */
export const deviceRoutes = {
  installScript: {
    method: 'GET',
    path: '/install.sh',
    access: 'public',
    summary: 'Gives the installer; it holds no secret',
    produces: 'text/x-shellscript',
  },
  bundleDigest: {
    method: 'GET',
    path: '/bundles/:platform/digest',
    access: 'enrolment',
    summary:
      'Gives the SHA-256 of the agent for a platform, hex; builds it where that was not done yet',
    params: platform,
    produces: 'text/plain',
  },
  bundleShow: {
    method: 'GET',
    path: '/bundles/:platform',
    access: 'enrolment',
    summary: 'Gives the agent for a platform as a tar.gz',
    params: platform,
    produces: 'application/gzip',
  },
  enrol: {
    method: 'POST',
    path: '/enrol',
    access: 'enrolment',
    summary: 'Buys a certificate with a one-time token',
    body: EnrolmentRequest,
    response: Enrolment,
    status: 201,
  },
  trustGet: {
    method: 'GET',
    path: '/trust/:file',
    access: 'device',
    summary: 'Gives a file of the trust repository',
    params: Type.Object({ file: TrustFileName }, closed),
    produces: 'application/json',
  },
  renew: {
    method: 'POST',
    path: '/renew',
    access: 'device',
    summary: 'Gives a device its next certificate; the one in use is valid until that is used',
    body: RenewalRequest,
    response: Renewal,
    status: 201,
  },
  blobPut: {
    method: 'PUT',
    path: '/blobs/:digest',
    access: 'device',
    summary: 'Stores bytes under their digest',
    params: Type.Object({ digest: Digest }, closed),
    consumes: 'image/jpeg',
    bytesMax: 4 * 1024 * 1024,
    status: 204,
    unaudited: true,
  },
  artifactShow: {
    method: 'GET',
    path: '/artifacts/:digest',
    access: 'device',
    summary:
      'Gives the bytes of a manifest or of an encoding that is published, or a range of them; says when to come again where too many ask',
    params: Type.Object({ digest: Digest }, closed),
    produces: 'application/octet-stream',
  },
  livePut: {
    method: 'PUT',
    path: '/streams/:streamId/picture',
    access: 'device',
    summary: 'Takes one live frame with its detections; nothing is kept but the newest',
    params: Type.Object({ streamId: StreamId }, closed),
    consumes: 'application/octet-stream',
    bytesMax: 1024 * 1024,
    status: 204,
    unaudited: true,
  },
  logPut: {
    method: 'PUT',
    path: '/log-answers/:requestId',
    access: 'device',
    summary: 'Takes the lines of the log that the hub has asked for; nothing is kept',
    params: LogRequestPath,
    body: LogAnswer,
    bytesMax: logAnswerBytesMax,
    status: 204,
    unaudited: true,
  },
  clipPart: {
    method: 'PUT',
    path: '/clips/:digest/parts/:from',
    access: 'device',
    summary:
      'Takes the bytes of a clip from an offset on; answers where the next part begins, whatever this one was',
    params: Type.Object(
      { digest: Digest, from: Type.Integer({ minimum: 0, maximum: clipBytesMax }) },
      closed,
    ),
    consumes: 'application/octet-stream',
    bytesMax: clipPartBytes,
    response: ClipReceived,
    unaudited: true,
  },
  clipGone: {
    method: 'PUT',
    path: '/clips/:digest/gone',
    access: 'device',
    summary: 'Says that the device no longer has a clip that was asked for',
    params: Type.Object({ digest: Digest }, closed),
    body: Type.Object({}, closed),
    status: 204,
    unaudited: true,
  },
  ...sampleDeviceRoutes,
} as const satisfies Record<string, Route>
