/**
 * Reading and checking one file of signed metadata. `@tufjs/models` knows the format; what stands here is what it lets
 * pass (version 5.0.2, each with a test): two key ids of one key count twice towards a threshold, a key of type `ed25519`
 * may be an RSA key in PEM, numbers that are no integers or not exact are taken, dates need not be dates of the
 * specification, hashes that nobody should trust are hashes, and reading takes time in the square of the number of targets.
 * Signatures are checked over the document as it was received, not over one that was written anew from what was understood.
 */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import {
  type Key,
  Metadata,
  MetadataKind,
  type MetaFile,
  type Root,
  type Snapshot,
  type Targets,
  type Timestamp,
} from '@tufjs/models'
import { TrustError } from './trust.ts'

export const roleNames = ['root', 'targets', 'snapshot', 'timestamp'] as const
export type RoleName = (typeof roleNames)[number]

/** Larger metadata is not read, in bytes. */
export const bytesMax = {
  root: 512 * 1024,
  timestamp: 16 * 1024,
  snapshot: 256 * 1024,
  targets: 8 * 1024 * 1024,
} as const satisfies Record<RoleName, number>

const targetsMax = 20_000
const metaFilesMax = 1024
const keysMax = 256
const signaturesMax = 256
/** Deepest nesting: hashes of a target are at 5. */
const depthMax = 24

type Models = { root: Root; targets: Targets; snapshot: Snapshot; timestamp: Timestamp }
const kinds = {
  root: MetadataKind.Root,
  targets: MetadataKind.Targets,
  snapshot: MetadataKind.Snapshot,
  timestamp: MetadataKind.Timestamp,
} as const

/** A document that can be read; nothing is said yet about who signed it. */
export type Document<R extends RoleName = RoleName> = {
  readonly role: R
  readonly bytes: Uint8Array
  readonly metadata: Metadata<Models[R]>
  readonly signed: Models[R]
  readonly version: number
  /** Milliseconds. */
  readonly expiresAt: number
  /** The signed part as it was received. */
  readonly received: Readonly<Record<string, unknown>>
}

/**
 * @param name of the file, for what is said when it is refused
 * @throws {TrustError} integrity, when the bytes are no metadata of this role
 */
export function readDocument<R extends RoleName>(
  role: R,
  bytes: Uint8Array,
  name: string = role,
): Document<R> {
  try {
    if (bytes.length > bytesMax[role]) {
      throw new Error(`it has ${bytes.length} bytes, and ${bytesMax[role]} are allowed`)
    }
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    const data = JSON.parse(text) as Record<string, unknown>
    checkValues(data, depthMax)
    const received = data.signed
    if (!isRecord(received)) throw new Error('it has no signed part')
    if (Array.isArray(data.signatures) && data.signatures.length > signaturesMax) {
      throw new Error(`it has more than ${signaturesMax} signatures`)
    }
    checkCommon(received)
    checkCounts(role, received)
    // Targets are read here: the library takes time in the square of their number.
    const known = role === 'targets' ? { ...data, signed: { ...received, targets: {} } } : data
    const metadata = Metadata.fromJSON(kinds[role] as never, known as never) as Metadata<Models[R]>
    const { version, expires } = received as { version: number; expires: string }
    const expiresAt = Date.parse(expires)
    return { role, bytes, metadata, signed: metadata.signed, version, expiresAt, received }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new TrustError('integrity', `Cannot read "${name}": ${reason.slice(0, 200)}`, { cause })
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Canonical JSON knows integers only, and one that is not exact is another number than was signed. */
function checkValues(value: unknown, depthLeft: number): void {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw new Error(`the number ${value} is no exact integer`)
  }
  if (typeof value !== 'object' || value === null) return
  if (depthLeft === 0) throw new Error(`it is nested deeper than ${depthMax}`)
  for (const one of Object.values(value)) checkValues(one, depthLeft - 1)
}

function checkCommon({ spec_version, version, expires }: Record<string, unknown>): void {
  if (typeof spec_version !== 'string' || !/^1(?:\.\d{1,6}){1,2}$/.test(spec_version)) {
    throw new Error(`its spec_version ${JSON.stringify(spec_version)} is not 1.x`)
  }
  if (typeof version !== 'number' || version < 1) {
    throw new Error(`its version ${JSON.stringify(version)} is not at least 1`)
  }
  const date = typeof expires === 'string' ? expires : ''
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(date) ? Date.parse(date) : Number.NaN
  // The thirtieth of February is a date to Date.parse.
  if (Number.isNaN(time) || new Date(time).toISOString() !== date.replace('Z', '.000Z')) {
    throw new Error(`its expiry ${JSON.stringify(expires)} is no date such as 2030-01-31T00:00:00Z`)
  }
}

function checkCounts(role: RoleName, signed: Record<string, unknown>): void {
  const count = (what: string, max: number): void => {
    const value = signed[what]
    if (!isRecord(value)) throw new Error(`it has no ${what}`)
    const { length } = Object.keys(value)
    if (length > max) throw new Error(`it has ${length} ${what}, and ${max} are allowed`)
  }
  if (role === 'root') {
    count('keys', keysMax)
    count('roles', keysMax)
  } else if (role === 'targets') {
    count('targets', targetsMax)
    for (const [path, target] of Object.entries(signed.targets as object)) {
      if (!isRecord(target) || !isLength(target.length) || !isRecord(target.hashes)) {
        throw new Error(`its target ${JSON.stringify(path)} has no length or no hashes`)
      }
    }
  } else count('meta', metaFilesMax)
}

const isLength = (value: unknown): value is number => typeof value === 'number' && value >= 0

/** Keys and who of them must sign: of a root, or of delegations. */
export type Delegation = {
  readonly keys: Readonly<Record<string, Key>>
  readonly keyIds: readonly string[]
  readonly threshold: number
}

/** Who must sign a role, as a root says it. */
export function delegationOf({ signed }: Document<'root'>, role: RoleName): Delegation {
  const { keyIDs, threshold } = signed.roles[role]!
  return { keys: signed.keys, keyIds: keyIDs, threshold }
}

/**
 * Counts the different keys that have signed; one key counts once, under however many ids it is listed.
 * @param by who demands it, for what is said when it is refused
 * @throws {TrustError} integrity, when they are fewer than the threshold
 */
export function checkSignatures(
  document: Document,
  { keys, keyIds, threshold }: Delegation,
  by: string,
): void {
  const { metadata, received } = document
  const signable = { signatures: metadata.signatures, signed: { toJSON: () => received } }
  const signers = new Set<string>()
  for (const keyId of keyIds) {
    const key = Object.hasOwn(keys, keyId) ? keys[keyId] : undefined
    const fingerprint = key && fingerprintOf(key)
    if (!key || fingerprint === undefined) continue
    try {
      key.verifySignature(signable as never)
      signers.add(fingerprint)
    } catch {
      // Not signed by this one.
    }
  }
  if (signers.size < threshold) {
    throw new TrustError(
      'integrity',
      `Cannot trust version ${document.version} of ${document.role}: ${by} demands signatures of ${threshold} different keys, and ${signers.size} of them are there`,
    )
  }
}

/** SHA-256 of the public key (SPKI); undefined for a key that is not of the type it says, or of none we check. */
export function fingerprintOf(key: Key): string | undefined {
  try {
    const publicKey = publicKeyOf(key)
    if (!publicKey) return undefined
    return createHash('sha256')
      .update(publicKey.export({ type: 'spki', format: 'der' }))
      .digest('hex')
  } catch {
    return undefined
  }
}

function publicKeyOf({ keyType, scheme, keyVal }: Key): KeyObject | undefined {
  const text = keyVal.public ?? ''
  if (keyType === 'ed25519') {
    const key = /^[0-9a-fA-F]{64}$/.test(text)
      ? createPublicKey({
          key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(text, 'hex').toString('base64url') },
          format: 'jwk',
        })
      : createPublicKey(text)
    return key.asymmetricKeyType === 'ed25519' && scheme === 'ed25519' ? key : undefined
  }
  const key = createPublicKey(text)
  const { modulusLength = 0, namedCurve } = key.asymmetricKeyDetails ?? {}
  if (keyType === 'rsa') {
    const isRsa = key.asymmetricKeyType === 'rsa' && modulusLength >= 2048
    return isRsa && /^rsassa-pss-sha(?:256|384|512)$/.test(scheme) ? key : undefined
  }
  if (keyType === 'ecdsa' || keyType === scheme) {
    const curve = { 'ecdsa-sha2-nistp256': 'prime256v1', 'ecdsa-sha2-nistp384': 'secp384r1' }[
      scheme as 'ecdsa-sha2-nistp256'
    ]
    return curve !== undefined && namedCurve === curve ? key : undefined
  }
  return undefined
}

/** Names the keys of roles and their thresholds: two roots with the same answer trust the same keys. */
export function keySetOf(root: Document<'root'>, roles: readonly RoleName[]): string {
  const sets = roles.map((role) => {
    const { keys, keyIds, threshold } = delegationOf(root, role)
    const prints = keyIds.map((keyId) => keys[keyId] && fingerprintOf(keys[keyId]))
    return [threshold, ...new Set(prints.filter((print) => print !== undefined).sort())]
  })
  return createHash('sha256').update(JSON.stringify(sets)).digest('hex')
}

/**
 * Holds bytes against what other metadata says of them.
 * @throws {TrustError} integrity, for another length or digest, or where only a weak digest is given
 */
export function checkBytes(
  bytes: Uint8Array,
  { length, hashes }: Pick<MetaFile, 'length' | 'hashes'>,
  name: string,
): void {
  if (length !== undefined && bytes.length !== length) {
    const text = `Cannot trust "${name}": it has ${bytes.length} bytes, and ${length} are signed`
    throw new TrustError('integrity', text)
  }
  if (!hashes) return
  const strong = (['sha256', 'sha512'] as const).filter((one) => Object.hasOwn(hashes, one))
  if (strong.length === 0) {
    const text = `Cannot trust "${name}": neither its SHA-256 nor its SHA-512 is signed`
    throw new TrustError('integrity', text)
  }
  for (const algorithm of strong) {
    const digest = createHash(algorithm).update(bytes).digest('hex')
    if (digest === hashes[algorithm]) continue
    const text = `Cannot trust "${name}": its ${algorithm} is ${digest}, and ${hashes[algorithm]} is signed`
    throw new TrustError('integrity', text)
  }
}

/** A text of the signed part that the specification does not know, empty where it is not there. */
export function ownField({ received }: Document, name: string): string {
  const value = Object.hasOwn(received, name) ? received[name] : ''
  return typeof value === 'string' ? value : ''
}
