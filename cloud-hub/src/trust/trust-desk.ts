/**
 * The hub's trust repository: what is signed so that boxes believe it. Metadata lies in the store, so that all replicas
 * give the same; keys lie in a folder of each. Timestamps are fresh by themselves: they expire within a day and are
 * renewed every few hours, so that whoever keeps boxes from the hub's news cannot do so for longer.
 *
 * Versions but the root's are seconds since 1970, or one more than the last where that is more: a hub that was put back
 * from a backup then still signs versions above those that boxes have seen.
 */
import {
  checkNextRoot,
  type Document,
  digestOf,
  fleetField,
  keyIdOf,
  makeSnapshot,
  makeTargets,
  makeTimestamp,
  ownField,
  readDocument,
  readRoots,
  readSigned,
  rolesOf,
  type SigningKey,
  signDocument,
  type TargetEntry,
  TrustError,
  targetsOf,
} from '@edgeloop/model-compiler/artifact'
import {
  type OnlineTrustRole,
  onlineTrustRoles,
  Refusal,
  type TrustKey,
  type TrustShown,
  trustRoles,
} from '@edgeloop/protocol'
import type { Logger } from 'pino'
import type { Store } from '../store/store.ts'
import type { TrustKeys } from './trust-keys.ts'
import { openTrustRows, type StagedTarget, type TrustChange } from './trust-rows.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
/** How long each role is valid, and how old it gets before it is signed anew. */
const lives = {
  timestamp: { validMs: dayMs, renewMs: 4 * hourMs },
  snapshot: { validMs: 30 * dayMs, renewMs: 10 * dayMs },
  targets: { validMs: 365 * dayMs, renewMs: 90 * dayMs },
} as const
/** Bundles travel on foot; what is in one is believed for so long at most. */
export const bundleDaysMax = 90
/** Before a root or targets whose keys are elsewhere expire, somebody is told for so long. */
const warnMs = 30 * dayMs
/** Superseded metadata stays for boxes that are in the middle of a refresh. */
const supersededMs = 2 * hourMs
/** How often a change is begun again because another replica was faster. */
const attemptsMax = 20
/** Targets that wait for a signature; who publishes more is told to sign first. */
const stagedMax = 1000

export type TrustDesk = {
  readonly fleet: string
  /** A file of the repository by its name; undefined where there is none. */
  file(name: string): Promise<Uint8Array | undefined>
  /** The newest root. */
  root(): Promise<Uint8Array>
  /**
   * Signs that these files may be used. Where the targets key is not here they wait until somebody signs them.
   * @throws {Refusal} unavailable, where this hub lacks keys that it should have
   */
  addTargets(
    entries: readonly { readonly path: string; readonly bytes: Uint8Array }[],
  ): Promise<'signed' | 'staged'>
  /** What is signed under a path. */
  find(path: string): Promise<TargetEntry | undefined>
  /** Renews what will expire; does nothing where everything is fresh. */
  tick(): Promise<void>
  shown(): Promise<TrustShown>
  /** Unsigned targets with all that waits, to be signed elsewhere. @throws {Refusal} notFound, where nothing waits */
  staged(): Promise<Uint8Array>
  /** Takes targets that were signed elsewhere. @throws {Refusal} */
  takeTargets(bytes: Uint8Array): Promise<void>
  /** Makes a key that a next root may name for a role. */
  makeKey(role: OnlineTrustRole): Promise<TrustKey>
  /**
   * Takes the next root, and signs everything anew with the keys that it names.
   * @param targets signed elsewhere, where the root names a targets key that is not here
   * @throws {Refusal}
   */
  takeRoot(bytes: Uint8Array, targets?: Uint8Array): Promise<void>
  /** Every file that a device without the hub needs, with a timestamp that is made to travel. @throws {Refusal} */
  bundleFiles(validDays: number): Promise<ReadonlyMap<string, Uint8Array>>
}

/** The newest metadata, checked as a box would. What does not check is absent. */
type Repository = {
  readonly revision: number
  readonly files: readonly { name: string; at: number }[]
  readonly root: Document<'root'>
  readonly targets?: Document<'targets'>
  readonly snapshot?: Document<'snapshot'>
  readonly timestamp?: Document<'timestamp'>
  /** Versions that were given out, whether or not the keys of today have signed them. */
  readonly versions: Readonly<Record<OnlineTrustRole, number>>
}

/** @param deps.firstRoot trusted where the store has no root yet */
export async function openTrustDesk(deps: {
  store: Store
  keys: TrustKeys
  firstRoot: Uint8Array
  clock: () => number
  log: Logger
}): Promise<TrustDesk> {
  const { keys, clock, log } = deps
  const rows = openTrustRows(deps.store, clock)
  /** Of this hub, one after the other; other replicas are met by the revision. */
  let last: Promise<unknown> = Promise.resolve()

  async function read(): Promise<Repository> {
    const { revision, files } = await rows.state()
    const rootVersion = Math.max(0, ...versionsOf(files, 'root'))
    const rootBytes = await rows.file(`${rootVersion}.root.json`)
    if (!rootBytes) throw new Error('Cannot read the trust repository: its root is missing')
    const root = readDocument('root', rootBytes)
    const versions: Record<OnlineTrustRole, number> = { targets: 0, snapshot: 0, timestamp: 0 }
    const found: { [R in OnlineTrustRole]?: Document<R> } = {}
    for (const role of onlineTrustRoles) {
      const newest = Math.max(0, ...versionsOf(files, role))
      const name = role === 'timestamp' ? 'timestamp.json' : `${newest}.${role}.json`
      const bytes = await rows.file(name)
      if (!bytes) continue
      // Read even where a rotated key has signed it: what it lists is still what was listed.
      const document = readDocument(role, bytes)
      versions[role] = document.version
      if (isSigned(role, bytes, root)) found[role] = document as never
    }
    return { revision, files, root, versions, ...found }
  }

  /** Plans a change on what is there, and makes it; again where another replica was faster. */
  async function change<T>(
    plan: (now: Repository) => Promise<{ change?: TrustChange; answer: T }>,
  ): Promise<T> {
    const act = async (): Promise<T> => {
      for (let attempt = 0; attempt < attemptsMax; attempt++) {
        const now = await read()
        const planned = await plan(now)
        if (!planned.change) return planned.answer
        if (await rows.change(now.revision, planned.change)) return planned.answer
      }
      throw new Refusal('unavailable', 'Cannot sign: other replicas are signing all the time')
    }
    const done = last.then(act, act)
    last = done.catch(() => {})
    return await done
  }

  const signersOf = (root: Document<'root'>, role: OnlineTrustRole): readonly SigningKey[] => {
    const { keys: known, threshold } = rolesOf(root)[role]
    const here = keys.of(known.map(keyIdOf))
    return here.length >= threshold ? here : []
  }

  const next = (version: number): number => Math.max(version + 1, Math.floor(clock() / 1000))

  function sign(root: Document<'root'>, role: OnlineTrustRole, unsigned: Uint8Array): Uint8Array {
    const signers = signersOf(root, role)
    if (signers.length > 0) return signDocument(unsigned, signers)
    throw new Refusal(
      'unavailable',
      `Cannot sign ${role}: version ${root.version} of the root names keys that this hub does not have; put them into its folder keys/trust, or rotate them with "./edgeloop keys rotate ${role}"`,
    )
  }

  /** Signs what follows from new targets, or from none: whatever is stale, and all that lists it. */
  function renewed(
    now: Repository,
    { targets: given }: { targets?: Uint8Array } = {},
  ): Map<string, Uint8Array> {
    const files = new Map<string, Uint8Array>()
    const { root, versions } = now
    let targets = given ? readSigned('targets', given, root) : now.targets
    if (!targets && versions.targets > 0) {
      // An empty list would take everything back that was published.
      throw new Error(
        'Cannot renew the targets: those in the store are not signed by keys of the root',
      )
    }
    const isOld = !given && (!targets || stale(targets, 'targets'))
    if (isOld && signersOf(root, 'targets').length > 0) {
      const unsigned = makeTargets({
        version: next(versions.targets),
        expiresAt: clock() + lives.targets.validMs,
        targets: targets ? targetsOf(targets) : {},
      })
      targets = readSigned('targets', sign(root, 'targets', unsigned), root)
    }
    if (!targets) return files
    if (targets !== now.targets) files.set(`${targets.version}.targets.json`, targets.bytes)

    let { snapshot } = now
    if (!snapshot || files.size > 0 || stale(snapshot, 'snapshot')) {
      const unsigned = makeSnapshot({
        version: next(versions.snapshot),
        expiresAt: clock() + lives.snapshot.validMs,
        targets,
      })
      snapshot = readSigned('snapshot', sign(root, 'snapshot', unsigned), root)
      files.set(`${snapshot.version}.snapshot.json`, snapshot.bytes)
    }
    if (!now.timestamp || files.size > 0 || stale(now.timestamp, 'timestamp')) {
      const bytes = stamp(now, snapshot, lives.timestamp.validMs)
      files.set('timestamp.json', bytes)
    }
    return files
  }

  function stamp(
    { root, versions }: Repository,
    snapshot: Document<'snapshot'>,
    validMs: number,
    bundle?: { version: number },
  ): Uint8Array {
    const unsigned = makeTimestamp({
      version: bundle?.version ?? next(versions.timestamp),
      expiresAt: clock() + validMs,
      signedAt: clock(),
      snapshot,
      ...(bundle && { bundle: true }),
    })
    return sign(root, 'timestamp', unsigned)
  }

  /** By its expiry, so that it holds for whatever clock has signed it. */
  const stale = ({ expiresAt }: Document, role: OnlineTrustRole): boolean => {
    const leftMs = expiresAt - clock()
    return (
      leftMs < lives[role].validMs - lives[role].renewMs || leftMs > lives[role].validMs + hourMs
    )
  }

  /** Metadata that nothing lists any more and that is too old to be in use. */
  const superseded = ({ files }: Repository): string[] =>
    (['targets', 'snapshot'] as const).flatMap((role) => {
      const newest = Math.max(0, ...versionsOf(files, role))
      const own = files.filter(({ name }) => name.endsWith(`.${role}.json`))
      const old = own.filter(({ name, at }) => {
        return versionOf(name) < newest && at < clock() - supersededMs
      })
      // The one before the newest is listed by the timestamp of a moment ago, however old it is.
      return old
        .sort((a, b) => versionOf(b.name) - versionOf(a.name))
        .slice(1)
        .map(({ name }) => name)
    })

  const published = (
    now: Repository,
    files: Map<string, Uint8Array>,
    more: Partial<TrustChange> = {},
  ) => ({
    files,
    remove: superseded(now),
    ...more,
  })

  const desk: TrustDesk = {
    fleet: '',
    file: (name) => rows.file(name),
    // Asked by every box that enrols: the other files are not read for it.
    root: async () => {
      const { files } = await rows.state()
      const bytes = await rows.file(`${Math.max(...versionsOf(files, 'root'))}.root.json`)
      if (bytes) return bytes
      throw new Error('Cannot read the trust repository: its root is missing')
    },
    addTargets: async (entries) =>
      await change(async (now) => {
        const added = entries.map(({ path, bytes }) => ({
          path,
          digest: digestOf(bytes),
          lengthBytes: bytes.length,
          at: clock(),
        }))
        const listed = now.targets ? targetsOf(now.targets) : {}
        const fresh = added.filter(({ path, digest }) => listed[path]?.digest !== digest)
        if (fresh.length === 0) return { answer: 'signed' as const }
        if (signersOf(now.root, 'targets').length === 0) {
          const staged = new Set([...(await rows.staged()), ...fresh].map(({ path }) => path))
          if (staged.size > stagedMax) {
            const text = `Cannot publish: ${stagedMax} manifests wait for the targets key; sign them with "./edgeloop keys sign"`
            throw new Refusal('conflict', text)
          }
          log.info({ paths: fresh.map(({ path }) => path) }, 'manifests wait for the targets key')
          return { change: { files: new Map(), stage: fresh }, answer: 'staged' as const }
        }
        const targets = signedTargets(now, fresh)
        const files = renewed(now, { targets })
        return { change: published(now, files), answer: 'signed' as const }
      }),
    find: async (path) => {
      const { targets } = await read()
      const listed = targets ? targetsOf(targets) : {}
      return Object.hasOwn(listed, path) ? listed[path] : undefined
    },
    tick: async () => {
      await keys.reread()
      await change(async (now) => {
        const missing = (['snapshot', 'timestamp'] as const).filter(
          (role) => signersOf(now.root, role).length === 0,
        )
        if (missing.length > 0) return { answer: undefined }
        const files = renewed(now)
        return files.size > 0
          ? { change: published(now, files), answer: undefined }
          : { answer: undefined }
      })
    },
    shown: async () => {
      const now = await read()
      const staged = await rows.staged()
      return {
        fleet: ownField(now.root, fleetField),
        roles: trustRoles.map((role) => {
          const { keys: known, threshold } = rolesOf(now.root)[role]
          const document = now[role]
          return {
            role,
            threshold,
            keys: known.map((key) => ({ keyId: keyIdOf(key), online: keys.has(keyIdOf(key)) })),
            version: document?.version ?? 0,
            expiresAt: new Date(document?.expiresAt ?? 0).toISOString(),
          }
        }),
        targets: now.targets ? Object.keys(targetsOf(now.targets)).length : 0,
        staged: staged.map(({ at, ...rest }) => ({ ...rest, at: new Date(at).toISOString() })),
        problems: problemsOf(now, staged),
      }
    },
    staged: async () => {
      const now = await read()
      const staged = await rows.staged()
      if (staged.length === 0 && !(now.targets && soon(now.targets)) && now.targets) {
        throw new Refusal('notFound', 'Cannot give targets to sign: nothing waits for a signature')
      }
      return unsignedTargets(now, staged)
    },
    takeTargets: async (bytes) =>
      await change(async (now) => {
        const targets = takeable(bytes, now.root, now)
        const listed = targetsOf(targets)
        const unstage = (await rows.staged()).flatMap(({ path, digest }) =>
          listed[path]?.digest === digest ? [path] : [],
        )
        const files = renewed(now, { targets: bytes })
        return { change: published(now, files, { unstage }), answer: undefined }
      }),
    makeKey: async (role) => {
      const key = await keys.make()
      return { keyId: key.keyId, role, publicKey: key.publicKey as TrustKey['publicKey'] }
    },
    takeRoot: async (bytes, given) => {
      const gone = await change(async (now) => {
        const root = believed(() => {
          const document = readDocument('root', bytes)
          checkNextRoot(now.root, document)
          return document
        })
        if (root.expiresAt <= clock()) {
          throw new Refusal('badRequest', 'Cannot take a root that has expired')
        }
        await keys.reread()
        for (const role of ['snapshot', 'timestamp'] as const) {
          // Where it was lost, one key comes after the other.
          const lost = signersOf(now.root, role).length === 0
          if (lost || signersOf(root, role).length > 0) continue
          const text = `Cannot take this root: it names keys for ${role} that this hub does not have, so that nothing could be signed any more`
          throw new Refusal('conflict', text)
        }
        const files = relisted(now, root, given)
        files.set(`${root.version}.root.json`, bytes)
        const before = idsOf(now.root)
        const after = new Set(idsOf(root))
        const change = published(now, files)
        return { change, answer: before.filter((keyId) => !after.has(keyId)) }
      })
      await keys.remove(gone)
      log.info({ removed: gone }, 'the trust repository has a new root')
    },
    bundleFiles: async (validDays) => {
      await desk.tick()
      const now = await read()
      const { targets, snapshot, timestamp } = now
      if (!targets || !snapshot || !timestamp) {
        throw new Refusal('conflict', 'Cannot make a bundle: nothing is published')
      }
      const days = Math.min(validDays, bundleDaysMax)
      const files = new Map<string, Uint8Array>()
      for (const version of versionsOf(now.files, 'root').sort((a, b) => a - b)) {
        const name = `${version}.root.json`
        const bytes = await rows.file(name)
        if (bytes) files.set(name, bytes)
      }
      const travelling = stamp(now, snapshot, days * dayMs, { version: timestamp.version })
      files.set('timestamp.json', travelling)
      files.set(`${snapshot.version}.snapshot.json`, snapshot.bytes)
      files.set(`${targets.version}.targets.json`, targets.bytes)
      return files
    },
  }

  /** Targets that were signed elsewhere. @throws {Refusal} */
  function takeable(
    bytes: Uint8Array,
    root: Document<'root'>,
    { versions }: Repository,
  ): Document<'targets'> {
    const targets = believed(() => readSigned('targets', bytes, root))
    if (targets.version <= versions.targets) {
      const text = `Cannot take version ${targets.version} of targets: there is version ${versions.targets}; fetch what waits anew, and sign that`
      throw new Refusal('conflict', text)
    }
    if (targets.version > next(versions.targets) + dayMs / 1000) {
      const text = `Cannot take version ${targets.version} of targets: no later one could follow; fetch what waits, and sign that`
      throw new Refusal('badRequest', text)
    }
    if (targets.expiresAt <= clock()) {
      throw new Refusal('badRequest', 'Cannot take targets that have expired')
    }
    return targets
  }

  /** Snapshot and timestamp anew under a new root; targets only where what was signed no longer counts. */
  function relisted(
    before: Repository,
    root: Document<'root'>,
    given: Uint8Array | undefined,
  ): Map<string, Uint8Array> {
    const { targets, snapshot: _, timestamp: __, ...rest } = before
    const moved = { ...rest, root }
    const lost = (['timestamp', 'snapshot'] as const).filter(
      (role) => signersOf(root, role).length === 0,
    )
    if (lost.length > 0) {
      const kept = !given && (!targets || isSigned('targets', targets.bytes, root))
      if (kept) return new Map()
      const text = `Cannot take other targets keys: nothing can be signed before ${lost.join(' and ')} has another key, too; rotate that first`
      throw new Refusal('conflict', text)
    }
    if (given) {
      takeable(given, root, before)
      return renewed(moved, { targets: given })
    }
    if (!targets) return new Map()
    if (isSigned('targets', targets.bytes, root)) return renewed({ ...moved, targets })
    if (signersOf(root, 'targets').length === 0) {
      throw new Refusal(
        'conflict',
        'Cannot take this root: what is published is signed by a key that it no longer names, and its own is not at this hub; send targets that are signed with it along',
      )
    }
    const unsigned = makeTargets({
      version: next(before.versions.targets),
      expiresAt: clock() + lives.targets.validMs,
      targets: targetsOf(targets),
    })
    return renewed(moved, { targets: sign(root, 'targets', unsigned) })
  }

  const soon = ({ expiresAt }: Document): boolean => expiresAt < clock() + warnMs

  function signedTargets(now: Repository, added: readonly StagedTarget[]): Uint8Array {
    return sign(now.root, 'targets', unsignedTargets(now, added))
  }

  function unsignedTargets(now: Repository, added: readonly StagedTarget[]): Uint8Array {
    const targets = now.targets ? targetsOf(now.targets) : {}
    for (const { path, digest, lengthBytes } of added) targets[path] = { digest, lengthBytes }
    return makeTargets({
      version: next(now.versions.targets),
      expiresAt: clock() + lives.targets.validMs,
      targets,
    })
  }

  function problemsOf(now: Repository, staged: readonly StagedTarget[]): string[] {
    const problems: string[] = []
    if (soon(now.root)) {
      problems.push(
        `The root expires at ${new Date(now.root.expiresAt).toISOString()}: renew it with "./edgeloop keys rotate root --renew"`,
      )
    }
    for (const role of ['snapshot', 'timestamp'] as const) {
      if (signersOf(now.root, role).length === 0) {
        problems.push(
          `This hub has no key for ${role}: boxes take no updates from a day after now on`,
        )
      }
    }
    if (!now.targets) {
      problems.push('No targets are signed, so that boxes take nothing: "./edgeloop keys sign"')
    } else if (staged.length > 0) {
      problems.push(`${staged.length} manifests wait for the targets key: "./edgeloop keys sign"`)
    } else if (soon(now.targets) && signersOf(now.root, 'targets').length === 0) {
      problems.push('The targets expire soon: sign them anew with "./edgeloop keys sign"')
    }
    return problems
  }

  const first = readRoots([deps.firstRoot])
  const { files } = await rows.state()
  if (versionsOf(files, 'root').length === 0) {
    const change = { files: new Map([['1.root.json', deps.firstRoot]]) }
    if (!(await rows.change(0, change))) log.info('another replica made the trust repository')
  }
  const now = await read()
  const fleet = ownField(now.root, fleetField)
  const own = await rows.file('1.root.json')
  if (own && Buffer.compare(own, first.bytes) !== 0) {
    log.warn(
      { fleet },
      'the trust repository has another first root than the keys of this hub: put the keys of its first hub into keys/trust',
    )
  }
  const opened = { ...desk, fleet }
  await opened.tick()
  for (const problem of (await opened.shown()).problems) log.warn(problem)
  return opened
}

/** @throws {Refusal} notFound */
export async function trustFile(desk: TrustDesk, name: string): Promise<Uint8Array> {
  const bytes = await desk.file(name)
  if (bytes) return bytes
  throw new Refusal('notFound', `Cannot find "${name}" in the trust repository`)
}

const versionOf = (name: string): number => Number.parseInt(name, 10)

const versionsOf = (files: readonly { name: string }[], role: string): number[] =>
  files.flatMap(({ name }) => (name.endsWith(`.${role}.json`) ? [versionOf(name)] : []))

const idsOf = (root: Document<'root'>): string[] => {
  const roles = rolesOf(root)
  return trustRoles.flatMap((role) => roles[role].keys.map(keyIdOf))
}

function isSigned(
  role: OnlineTrustRole,
  bytes: Uint8Array | undefined,
  root: Document<'root'>,
): boolean {
  try {
    return bytes !== undefined && readSigned(role, bytes, root) !== undefined
  } catch {
    return false
  }
}

/** What people send is refused with the reason, not a failure of the hub. */
function believed<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (!(cause instanceof TrustError)) throw cause
    throw new Refusal('badRequest', cause.message, { cause })
  }
}
