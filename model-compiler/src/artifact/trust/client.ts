/**
 * What a device does before it believes an offer: the workflow of clients of TUF 1.0, §5.3 to §5.6. What was trusted is
 * kept in files, each written when everything about it has been checked and before anything follows from it:
 *
 * - `root.json`: the newest root. A next one counts only signed by the keys of both, one version after the other.
 * - `floors.json`: the newest versions that were seen, below which nothing is trusted, and the newest time that was
 *   signed. They belong to the keys of timestamp and snapshot: when these are replaced, the floors no longer count, so
 *   that a thief who had driven the versions up does not lock the device out for ever (fast-forward).
 * - `timestamp.json`, `snapshot.json`, `targets.json`: what was trusted last, fetched anew only when something changed.
 *
 * A process that ends at any point leaves files from which the next refresh goes on. Delegations are not followed.
 */
import type { MetaFile } from '@tufjs/models'
import {
  bytesMax,
  checkBytes,
  checkSignatures,
  type Document,
  delegationOf,
  keySetOf,
  ownField,
  type RoleName,
  readDocument,
} from './metadata.ts'
import { TrustError, type TrustedTargets, type TrustFiles, type TrustSource } from './trust.ts'

/** Roots that one refresh goes through at most; the next one goes on. */
const rootsMax = 64
const refreshTimeoutMs = 120_000
/** Fields of ours in signed metadata, which other clients keep and ignore (TUF §4.2). */
export const fleetField = 'x-edgeloop-fleet'
export const signedAtField = 'x-edgeloop-signed-at'
export const bundleField = 'x-edgeloop-bundle'

export type RefreshOrder = {
  readonly files: TrustFiles
  readonly source: TrustSource
  /** Milliseconds: the clock, or when this program was built where that is later. A signed time that is later still counts instead. */
  readonly now: number
  readonly signal: AbortSignal
  /** The source is a bundle: its timestamp may be one that is made to travel. From a hub it would be a way to hold updates back. */
  readonly bundle?: boolean
  /** For everything together; default two minutes. */
  readonly timeoutMs?: number
}

/**
 * Fetches what is new, checks it, and says what may be used. One at a time on the same files.
 * @throws {TrustError} with what was trusted before left as it was
 */
export async function refreshTrust(order: RefreshOrder): Promise<TrustedTargets> {
  return await within(order, async (fetch) => {
    const root = await refreshRoot(order, fetch)
    const keySet = keySetOf(root, ['timestamp', 'snapshot'])
    const floors = await readFloors(order.files, keySet)
    let now = Math.max(order.now, floors.signedAt)
    checkExpiry(root, now)

    const timestamp = await refreshTimestamp(order, fetch, { root, floors, now })
    now = Math.max(now, timestamp.signedAt)
    // A device whose clock stands still learns here how late it is.
    checkExpiry(root, now)
    const { snapshotMeta } = timestamp.document.signed
    floors.timestamp = timestamp.document.version
    floors.snapshot = snapshotMeta.version
    floors.signedAt = Math.max(floors.signedAt, timestamp.signedAt)
    await writeFloors(order.files, floors)

    const given = { root, consistent: root.signed.consistentSnapshot, now }
    const snapshot = await refreshListed('snapshot', snapshotMeta, order.files, fetch, given)
    for (const [name, version] of Object.entries(floors.metadata)) {
      const listed = Object.hasOwn(snapshot.signed.meta, name) ? snapshot.signed.meta[name] : null
      if (listed && listed.version >= version) continue
      throw new TrustError(
        'integrity',
        `Cannot trust version ${snapshot.version} of snapshot: it has ${listed ? `version ${listed.version}` : 'nothing'} of "${name}", and version ${version} was there before`,
      )
    }
    const targetsMeta = Object.hasOwn(snapshot.signed.meta, 'targets.json')
      ? snapshot.signed.meta['targets.json']
      : undefined
    if (!targetsMeta) {
      const text = `Cannot trust version ${snapshot.version} of snapshot: it lists no "targets.json"`
      throw new TrustError('integrity', text)
    }
    await store(order.files, 'snapshot', snapshot)
    floors.metadata = Object.fromEntries(
      Object.entries(snapshot.signed.meta).map(([name, { version }]) => [name, version]),
    )
    await writeFloors(order.files, floors)

    const targets = await refreshListed('targets', targetsMeta, order.files, fetch, given)
    await store(order.files, 'targets', targets)
    return trustedTargets(root, [timestamp.document, snapshot], targets)
  })
}

/**
 * For a device that enrolled before roots came with enrolment: takes the first root from a source that is known to be the
 * hub (mutual TLS with the pinned authority). A device that has one keeps it.
 * @throws {TrustError}
 */
export async function takeFirstRoot(
  order: Pick<RefreshOrder, 'files' | 'source' | 'signal' | 'timeoutMs'>,
): Promise<void> {
  if (await order.files.read('root.json')) return
  await within(order, async (fetch) => {
    const bytes = await fetch('1.root.json', bytesMax.root)
    if (!bytes) throw new TrustError('trust', 'Cannot trust a model: the hub has no "1.root.json"')
    await keepRoot(order.files, bytes)
  })
}

/**
 * Keeps the root that came with enrolment, whatever was kept before: enrolment is what a device trusts first.
 * @throws {TrustError} integrity, when it is no root that its own keys have signed
 */
export async function keepRoot(files: TrustFiles, bytes: Uint8Array): Promise<void> {
  const root = readDocument('root', bytes, 'root.json')
  checkSignatures(root, delegationOf(root, 'root'), 'the root itself')
  await files.write('root.json', bytes)
}

/**
 * Holds a next root against the one before it.
 * @throws {TrustError} integrity, when it is not the next, not signed by the keys of both, or of another fleet
 */
export function checkNextRoot(previous: Document<'root'>, next: Document<'root'>): void {
  if (next.version !== previous.version + 1) {
    throw new TrustError(
      'integrity',
      `Cannot trust version ${next.version} of root: version ${previous.version} is trusted, and roots follow one another without a gap`,
    )
  }
  checkSignatures(next, delegationOf(previous, 'root'), `version ${previous.version} of root`)
  checkSignatures(next, delegationOf(next, 'root'), 'the new root itself')
  const [was, is] = [ownField(previous, fleetField), ownField(next, fleetField)]
  if (was !== is) {
    const text = `Cannot trust version ${next.version} of root: it is for fleet "${is}", and "${was}" is trusted`
    throw new TrustError('integrity', text)
  }
}

type Fetch = (file: string, bytesMax: number) => Promise<Uint8Array | undefined>

/** Runs `act` with a fetch that ends in time and within bounds, even where the source keeps neither. */
async function within<T>(
  { source, signal, timeoutMs = refreshTimeoutMs }: Omit<RefreshOrder, 'files' | 'now'>,
  act: (fetch: Fetch) => Promise<T>,
): Promise<T> {
  const ending = new AbortController()
  const stop = (): void => ending.abort(signal.reason)
  const timer = setTimeout(
    () => ending.abort(new Error(`it took longer than ${timeoutMs} ms`)),
    timeoutMs,
  )
  const { promise: ended, reject } = Promise.withResolvers<never>()
  ended.catch(() => {})
  ending.signal.addEventListener('abort', () => reject(ending.signal.reason), { once: true })
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  try {
    return await act(async (file, most) => {
      let bytes: Uint8Array | undefined
      try {
        ending.signal.throwIfAborted()
        bytes = await Promise.race([source.fetch(file, most, ending.signal), ended])
      } catch (cause) {
        if (cause instanceof TrustError) throw cause
        const reason = cause instanceof Error ? cause.message : String(cause)
        throw new TrustError('trust', `Cannot fetch "${file}": ${reason}`, { cause })
      }
      if (bytes && bytes.length > most) throw tooLarge(file, most)
      return bytes
    })
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
  }
}

const tooLarge = (file: string, most: number): TrustError =>
  new TrustError('integrity', `Cannot take "${file}": it is longer than ${most} bytes`)

/**
 * Collects what comes, for sources that read from a network.
 * @param name what it is, for what is said when it is too long
 * @throws {TrustError} integrity, as soon as more than `most` bytes have come; the rest is not read
 */
export async function takeBytes(
  chunks: AsyncIterable<Uint8Array>,
  most: number,
  name: string,
): Promise<Uint8Array> {
  const taken: Uint8Array[] = []
  let length = 0
  for await (const chunk of chunks) {
    length += chunk.length
    if (length > most) throw tooLarge(name, most)
    taken.push(chunk)
  }
  return Buffer.concat(taken)
}

async function refreshRoot({ files }: RefreshOrder, fetch: Fetch): Promise<Document<'root'>> {
  const kept = await files.read('root.json')
  if (!kept) {
    const text =
      'Cannot trust a model: this device has no root; it comes with enrolment, or is fetched once from the hub'
    throw new TrustError('trust', text)
  }
  let root = readDocument('root', kept, 'root.json')
  for (let count = 0; count < rootsMax; count++) {
    const file = `${root.version + 1}.root.json`
    const bytes = await fetch(file, bytesMax.root)
    if (!bytes) break
    const next = readDocument('root', bytes, file)
    checkNextRoot(root, next)
    await files.write('root.json', bytes)
    root = next
  }
  return root
}

async function refreshTimestamp(
  { files, bundle = false }: RefreshOrder,
  fetch: Fetch,
  { root, floors, now }: { root: Document<'root'>; floors: Floors; now: number },
): Promise<{ document: Document<'timestamp'>; signedAt: number }> {
  const bytes = await fetch('timestamp.json', bytesMax.timestamp)
  if (!bytes) throw new TrustError('trust', 'Cannot trust a model: the hub has no "timestamp.json"')
  const by = `version ${root.version} of root`
  let document = readDocument('timestamp', bytes, 'timestamp.json')
  checkSignatures(document, delegationOf(root, 'timestamp'), by)
  if (document.version < floors.timestamp) {
    throw older('timestamp', document.version, floors.timestamp)
  }
  if (document.version === floors.timestamp) {
    // One version, one content: what was trusted first (§5.4.3.1). But for the one that travels in a bundle.
    const kept = await readKept(files, 'timestamp', root, document.version)
    if (kept && ownField(kept, bundleField) === ownField(document, bundleField)) document = kept
  }
  const { snapshotMeta } = document.signed
  if (snapshotMeta.version < floors.snapshot) {
    throw older('snapshot', snapshotMeta.version, floors.snapshot)
  }
  if (!bundle && ownField(document, bundleField) !== '') {
    const text =
      'Cannot trust this timestamp: it was made for a bundle, and came from a hub; a hub has a fresh one'
    throw new TrustError('integrity', text)
  }
  const signedAt = Date.parse(ownField(document, signedAtField)) || 0
  if (signedAt > document.expiresAt) {
    const text = `Cannot trust version ${document.version} of timestamp: it was signed after it expired`
    throw new TrustError('integrity', text)
  }
  checkExpiry(document, Math.max(now, signedAt))
  await store(files, 'timestamp', document)
  return { document, signedAt }
}

const older = (role: RoleName, version: number, floor: number): TrustError =>
  new TrustError(
    'integrity',
    `Cannot trust version ${version} of ${role}: version ${floor} was trusted before`,
  )

/** A role that other metadata lists: from the files where it is still the same, else fetched. */
async function refreshListed<R extends 'snapshot' | 'targets'>(
  role: R,
  listed: MetaFile,
  files: TrustFiles,
  fetch: Fetch,
  { root, consistent, now }: { root: Document<'root'>; consistent: boolean; now: number },
): Promise<Document<R>> {
  const most = Math.min(listed.length ?? bytesMax[role], bytesMax[role])
  const kept = await readKept(files, role, root, listed.version)
  if (kept && matches(kept.bytes, listed)) {
    checkExpiry(kept, now)
    return kept
  }
  const file = consistent ? `${listed.version}.${role}.json` : `${role}.json`
  const bytes = await fetch(file, most)
  if (!bytes) throw new TrustError('trust', `Cannot trust a model: the hub has no "${file}"`)
  checkBytes(bytes, listed, file)
  const document = readDocument(role, bytes, file)
  checkSignatures(document, delegationOf(root, role), `version ${root.version} of root`)
  if (document.version !== listed.version) {
    const text = `Cannot trust "${file}": it is version ${document.version}, and version ${listed.version} is listed`
    throw new TrustError('integrity', text)
  }
  checkExpiry(document, now)
  return document
}

function matches(bytes: Uint8Array, listed: MetaFile): boolean {
  try {
    checkBytes(bytes, listed, '')
    return true
  } catch {
    return false
  }
}

/** What was kept of a role, where it is this version and the keys of today have signed it. */
async function readKept<R extends 'timestamp' | 'snapshot' | 'targets'>(
  files: TrustFiles,
  role: R,
  root: Document<'root'>,
  version: number,
): Promise<Document<R> | undefined> {
  const bytes = await files.read(`${role}.json`)
  if (!bytes) return undefined
  try {
    const document = readDocument(role, bytes)
    if (document.version !== version) return undefined
    checkSignatures(document, delegationOf(root, role), 'root')
    return document
  } catch {
    return undefined
  }
}

/** Writes what is not there yet. */
async function store(files: TrustFiles, role: RoleName, { bytes }: Document): Promise<void> {
  const kept = await files.read(`${role}.json`)
  if (!kept || Buffer.compare(kept, bytes) !== 0) await files.write(`${role}.json`, bytes)
}

/** @throws {TrustError} trust */
function checkExpiry({ role, version, expiresAt }: Document, now: number): void {
  if (now < expiresAt) return
  throw new TrustError(
    'trust',
    `Cannot trust version ${version} of ${role}: it expired at ${new Date(expiresAt).toISOString()}, and now it is ${new Date(now).toISOString()}`,
  )
}

type Floors = {
  keySet: string
  timestamp: number
  snapshot: number
  /** Of every file that the snapshot listed. */
  metadata: Record<string, number>
  /** Newest signed time, milliseconds. */
  signedAt: number
}

const floorsSpec = 'edgeloop-floors/1'

/** Floors of other keys do not count, nor do damaged ones: writing is atomic, so that only a failing disk damages them. */
async function readFloors(files: TrustFiles, keySet: string): Promise<Floors> {
  const none: Floors = { keySet, timestamp: 0, snapshot: 0, metadata: {}, signedAt: 0 }
  const bytes = await files.read('floors.json')
  if (!bytes) return none
  try {
    const { spec, ...floors } = JSON.parse(Buffer.from(bytes).toString()) as Floors & {
      spec: string
    }
    if (spec !== floorsSpec || floors.keySet !== keySet) return none
    const { timestamp, snapshot, signedAt } = floors
    const versions = [timestamp, snapshot, signedAt, ...Object.values(floors.metadata)]
    return versions.every(Number.isSafeInteger) ? floors : none
  } catch {
    return none
  }
}

async function writeFloors(files: TrustFiles, floors: Floors): Promise<void> {
  const bytes = Buffer.from(`${JSON.stringify({ spec: floorsSpec, ...floors })}\n`)
  const kept = await files.read('floors.json')
  if (!kept || Buffer.compare(kept, bytes) !== 0) await files.write('floors.json', bytes)
}

function trustedTargets(
  root: Document<'root'>,
  others: readonly Document[],
  targets: Document<'targets'>,
): TrustedTargets {
  const listed = targets.received.targets as Record<
    string,
    { length: number; hashes: Record<string, unknown> }
  >
  return {
    fleet: ownField(root, fleetField),
    rootVersion: root.version,
    version: targets.version,
    expiresAt: Math.min(...[root, targets, ...others].map(({ expiresAt }) => expiresAt)),
    find: (path) => {
      const target = Object.hasOwn(listed, path) ? listed[path] : undefined
      const digest = target?.hashes.sha256
      // Without a SHA-256 nothing can be fetched by it.
      if (typeof digest !== 'string' || !/^[0-9a-f]{64}$/.test(digest)) return undefined
      return target && { lengthBytes: target.length, digest }
    },
    paths: () => Object.keys(listed),
  }
}
