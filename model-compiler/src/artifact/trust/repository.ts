/**
 * The other side of the client: makes metadata. Everything here is a function from keys and facts to bytes; who keeps
 * keys and files is the caller's matter. What is made is read and checked again with the client's own code.
 */
import { createHash } from 'node:crypto'
import { canonicalize } from '@tufjs/canonical-json'
import { bundleField, checkNextRoot, fleetField, signedAtField } from './client.ts'
import { keyIdOf, type PublicKey, readPublicKey, type SigningKey } from './keys.ts'
import {
  checkSignatures,
  type Document,
  delegationOf,
  fingerprintOf,
  ownField,
  type RoleName,
  readDocument,
  roleNames,
} from './metadata.ts'

const specVersion = '1.0.33'

export type RoleKeys = {
  readonly keys: readonly PublicKey[]
  readonly threshold: number
}
export type RootKeys = Readonly<Record<RoleName, RoleKeys>>

/** An unsigned first root. @param expiresAt milliseconds, whole seconds count */
export function makeRoot(facts: { fleet: string; expiresAt: number; roles: RootKeys }): Uint8Array {
  return rootOf({ ...facts, version: 1 })
}

function rootOf(facts: {
  fleet: string
  version: number
  expiresAt: number
  roles: RootKeys
}): Uint8Array {
  const keys = new Map<string, PublicKey>()
  for (const role of roleNames) {
    const { keys: own, threshold } = facts.roles[role]
    const prints = new Set(own.map((key) => fingerprintOf(readPublicKey(keyIdOf(key), key))))
    if (prints.has(undefined) || prints.size < threshold || threshold < 1) {
      throw new Error(
        `Cannot make a root: ${role} demands ${threshold} keys, and ${prints.size} different sound ones are given`,
      )
    }
    for (const key of own) keys.set(keyIdOf(key), key)
  }
  return unsigned({
    _type: 'root',
    spec_version: specVersion,
    version: facts.version,
    expires: dateOf(facts.expiresAt),
    consistent_snapshot: true,
    [fleetField]: facts.fleet,
    keys: Object.fromEntries(keys),
    roles: Object.fromEntries(
      roleNames.map((role) => {
        const { keys: own, threshold } = facts.roles[role]
        return [role, { keyids: own.map(keyIdOf), threshold }]
      }),
    ),
  })
}

/** What a root says of every role: its keys, sound ones only, and the threshold. */
export function rolesOf(root: Document<'root'>): RootKeys {
  const entries = roleNames.map((role) => {
    const { keys, keyIds, threshold } = delegationOf(root, role)
    const sound = keyIds.flatMap((keyId) => {
      const key = Object.hasOwn(keys, keyId) ? keys[keyId] : undefined
      return key && fingerprintOf(key) !== undefined ? [key.toJSON() as unknown as PublicKey] : []
    })
    return [role, { keys: sound, threshold }]
  })
  return Object.fromEntries(entries) as RootKeys
}

/**
 * An unsigned root that follows another: the same but for one role, or for its expiry alone.
 * @throws {Error} when the role would have fewer keys than its threshold
 */
export function nextRoot(
  previous: Document<'root'>,
  change: { readonly role: RoleName; readonly keys: RoleKeys } | undefined,
  expiresAt: number,
): Uint8Array {
  const roles = { ...rolesOf(previous), ...(change && { [change.role]: change.keys }) }
  const fleet = ownField(previous, fleetField)
  return rootOf({ fleet, version: previous.version + 1, expiresAt, roles })
}

export type TargetEntry = { readonly lengthBytes: number; readonly digest: string }

/** Unsigned targets. @param targets by path, e.g. `manifests/detector/3/linux-x64.json` */
export function makeTargets(facts: {
  version: number
  expiresAt: number
  targets: Readonly<Record<string, TargetEntry>>
}): Uint8Array {
  const listed = Object.entries(facts.targets).map(([path, { lengthBytes, digest }]) => [
    path,
    { length: lengthBytes, hashes: { sha256: digest } },
  ])
  return unsigned({
    _type: 'targets',
    spec_version: specVersion,
    version: facts.version,
    expires: dateOf(facts.expiresAt),
    targets: Object.fromEntries(listed),
  })
}

/** What targets list, as it was received. */
export function targetsOf(targets: Document<'targets'>): Record<string, TargetEntry> {
  const listed = targets.received.targets as Record<
    string,
    { length: number; hashes: { sha256?: string } }
  >
  const entries = Object.entries(listed).map(([path, { length, hashes }]) => [
    path,
    { lengthBytes: length, digest: hashes.sha256 ?? '' },
  ])
  return Object.fromEntries(entries)
}

/** An unsigned snapshot of signed targets. */
export function makeSnapshot(facts: {
  version: number
  expiresAt: number
  targets: Pick<Document<'targets'>, 'version' | 'bytes'>
}): Uint8Array {
  return unsigned({
    _type: 'snapshot',
    spec_version: specVersion,
    version: facts.version,
    expires: dateOf(facts.expiresAt),
    meta: { 'targets.json': listing(facts.targets) },
  })
}

/** An unsigned timestamp of a signed snapshot. @param bundle true: for a bundle, which no device takes from a hub */
export function makeTimestamp(facts: {
  version: number
  expiresAt: number
  signedAt: number
  snapshot: Pick<Document<'snapshot'>, 'version' | 'bytes'>
  bundle?: boolean
}): Uint8Array {
  return unsigned({
    _type: 'timestamp',
    spec_version: specVersion,
    version: facts.version,
    expires: dateOf(facts.expiresAt),
    meta: { 'snapshot.json': listing(facts.snapshot) },
    [signedAtField]: dateOf(facts.signedAt),
    ...(facts.bundle && { [bundleField]: 'yes' }),
  })
}

const listing = ({ version, bytes }: { version: number; bytes: Uint8Array }) => ({
  version,
  length: bytes.length,
  hashes: { sha256: createHash('sha256').update(bytes).digest('hex') },
})

/** Whole seconds, which is what the specification knows. */
const dateOf = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`

const unsigned = (signed: object): Uint8Array => write({ signatures: [], signed })

const write = (document: object): Uint8Array =>
  Buffer.from(`${JSON.stringify(document, null, 1)}\n`)

/**
 * Adds signatures; those that are there stay, one of the same key is replaced. The signed part stays byte for byte what it
 * means: it is parsed and written, and signatures are over its canonical form.
 */
export function signDocument(bytes: Uint8Array, keys: readonly SigningKey[]): Uint8Array {
  const { signatures, signed, ...rest } = JSON.parse(Buffer.from(bytes).toString()) as {
    signatures: { keyid: string; sig: string }[]
    signed: object
  }
  const own = new Set(keys.map(({ keyId }) => keyId))
  const canonical = Buffer.from(canonicalize(signed))
  const added = keys.map((key) => ({
    keyid: key.keyId,
    sig: Buffer.from(key.sign(canonical)).toString('hex'),
  }))
  const kept = signatures.filter(({ keyid }) => !own.has(keyid))
  return write({ signatures: [...kept, ...added], signed, ...rest })
}

/**
 * Reads metadata that must be signed as a root demands it.
 * @throws {TrustError} integrity
 */
export function readSigned<R extends Exclude<RoleName, 'root'>>(
  role: R,
  bytes: Uint8Array,
  root: Document<'root'>,
): Document<R> {
  const document = readDocument(role, bytes)
  checkSignatures(document, delegationOf(root, role), `version ${root.version} of root`)
  return document
}

/**
 * Reads a chain of roots, the first one trusted as it is.
 * @returns the newest
 * @throws {TrustError} integrity, when one does not follow from the one before it
 */
export function readRoots(chain: readonly Uint8Array[]): Document<'root'> {
  let root: Document<'root'> | undefined
  for (const bytes of chain) {
    const next = readDocument('root', bytes)
    if (root) checkNextRoot(root, next)
    else checkSignatures(next, delegationOf(next, 'root'), 'the root itself')
    root = next
  }
  if (!root) throw new Error('Cannot read roots: there are none')
  return root
}
