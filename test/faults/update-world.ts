/**
 * A hub, a box and its power, in memory: the box's plan, updater, download and trust are the real ones, on a disk whose
 * power can fail at any step. Media processes are played by `ScriptedHost`, which opens what it is given byte by byte.
 */
import { createHash } from 'node:crypto'
import {
  decode,
  encodings,
  keepRoot,
  makeKey,
  makeRoot,
  makeSnapshot,
  makeTargets,
  makeTimestamp,
  nextRoot,
  type RoleKeys,
  type RoleName,
  readDocument,
  refreshTrust,
  type SigningKey,
  signDocument,
  writeBundle,
} from '@edgeloop/model-compiler/artifact'
import {
  type Comparison,
  careDefaults,
  chunkBytes,
  type Encoding,
  type Manifest,
  manifestPath,
  type Offer,
  type Offers,
  type UpdateCode,
} from '@edgeloop/protocol'
import { trustFilesOn } from '../../edge-agent/src/update/box-trust.ts'
import {
  type Carried,
  dropCarried,
  openCarried,
  tidyCarried,
} from '../../edge-agent/src/update/carried.ts'
import type { ArtifactSource } from '../../edge-agent/src/update/download.ts'
import type { Candidate, ModelHost, Verdict } from '../../edge-agent/src/update/model-host.ts'
import type { UpdateParts } from '../../edge-agent/src/update/model-updates.ts'
import { Updater } from '../../edge-agent/src/update/updater.ts'
import { type CrashDisk, PowerCut } from './crash-disk.ts'

export const modelName = 'parts'
const target = 'linux-x64'
export const startsAt = Date.parse('2026-03-01T00:00:00.000Z')
const dayMs = 86_400_000
const rolloutOf = (version: number) =>
  `00000000-0000-4000-8000-${String(version).padStart(12, '0')}`

/** A generator of 0..1 that a seed determines (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export const digestOf = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex')

const modelsMade = new Map<number, Uint8Array>()

/** A model's file of two pieces; each version differs from the others in a few places. */
export function modelBytes(version: number): Uint8Array {
  const made = modelsMade.get(version)
  if (made) return made
  const random = randomFrom(42)
  const bytes = Uint8Array.from({ length: chunkBytes + 3000 }, () => random() * 256)
  const edits = randomFrom(version)
  for (let edit = 0; edit < 40 * (version - 1); edit++) {
    bytes[Math.floor(edits() * bytes.length)] = edits() * 256
  }
  modelsMade.set(version, bytes)
  return bytes
}

const waysMade = new Map<string, ReturnType<typeof encodings>>()

/** Making encodings is the slowest part of a world, and always the same. */
function waysOf(file: Uint8Array, bases: readonly Uint8Array[]): ReturnType<typeof encodings> {
  const key = [file, ...bases].map(digestOf).join()
  const ways = waysMade.get(key) ?? encodings(file, bases)
  waysMade.set(key, ways)
  return ways
}

/** What a hub has published and signed. */
export class World {
  readonly blobs = new Map<string, Uint8Array>()
  readonly #files = new Map<string, Uint8Array>()
  readonly #keys: Record<RoleName, SigningKey[]>
  readonly #targets: Record<string, { lengthBytes: number; digest: string }> = {}
  readonly #manifests = new Map<number, Uint8Array>()
  #rootVersion = 1
  #version = 0

  constructor() {
    const make = (count: number) => Array.from({ length: count }, () => makeKey().key)
    this.#keys = { root: make(3), targets: make(1), snapshot: make(1), timestamp: make(1) }
    const root = makeRoot({
      fleet: 'here',
      expiresAt: startsAt + 365 * dayMs,
      roles: {
        root: this.#role('root', 2),
        targets: this.#role('targets'),
        snapshot: this.#role('snapshot'),
        timestamp: this.#role('timestamp'),
      },
    })
    this.#files.set('1.root.json', signDocument(root, this.#keys.root.slice(0, 2)))
  }

  get firstRoot(): Uint8Array {
    return this.#files.get('1.root.json') as Uint8Array
  }

  #role(role: RoleName, threshold = 1): RoleKeys {
    return { keys: this.#keys[role].map(({ publicKey }) => publicKey), threshold }
  }

  /** Another timestamp key, signed for by the root. */
  rotateRoot(): void {
    const newest = this.#files.get(`${this.#rootVersion}.root.json`) as Uint8Array
    this.#keys.timestamp = [makeKey().key]
    const next = nextRoot(
      readDocument('root', newest),
      { role: 'timestamp', keys: this.#role('timestamp') },
      startsAt + 365 * dayMs,
    )
    const file = `${++this.#rootVersion}.root.json`
    this.#files.set(file, signDocument(next, this.#keys.root.slice(0, 2)))
    this.#sign()
  }

  /** A version, with deltas from those that were published before. */
  publish(version: number, change: Partial<Manifest> = {}): void {
    const file = modelBytes(version)
    const bases = [...this.#manifests.keys()].map((other) => modelBytes(other))
    const ways = waysOf(file, bases).map((way): Encoding => {
      const digest = digestOf(way.bytes)
      this.blobs.set(digest, way.bytes)
      const chunks: string[] = []
      for (let from = 0; from < way.bytes.length; from += chunkBytes) {
        chunks.push(digestOf(way.bytes.subarray(from, from + chunkBytes)))
      }
      return {
        codec: way.codec,
        digest,
        lengthBytes: way.bytes.length,
        chunks,
        ...(way.baseDigest !== undefined && { baseDigest: way.baseDigest }),
      }
    })
    const manifest = {
      spec: 'edgeloop-manifest/1',
      fleet: 'here',
      targets: [target],
      name: modelName,
      version,
      scaleEpoch: 0,
      createdAt: new Date(startsAt).toISOString(),
      expiresAt: new Date(startsAt + 300 * dayMs).toISOString(),
      agentMin: '0.1.0',
      runtime: { name: 'onnxruntime', opsetMax: 21 },
      file: { digest: digestOf(file), lengthBytes: file.length },
      encodings: ways,
      layout: 'yolox',
      labels: ['bolt', 'nut'],
      description: '',
      golden,
      limits: { memoryBytesMax: 1e9, loadMsMax: 10_000, inferenceMsMax: 1000 },
      ...change,
    }
    const bytes = Buffer.from(JSON.stringify(manifest))
    this.#manifests.set(version, bytes)
    this.blobs.set(digestOf(bytes), bytes)
    const entry = { lengthBytes: bytes.length, digest: digestOf(bytes) }
    this.#targets[manifestPath(modelName, version, target)] = entry
    this.#sign()
  }

  #sign(): void {
    const version = ++this.#version
    const expiresAt = startsAt + 90 * dayMs
    const targets = signDocument(
      makeTargets({ version, expiresAt, targets: this.#targets }),
      this.#keys.targets,
    )
    const snapshot = signDocument(
      makeSnapshot({ version, expiresAt, targets: { version, bytes: targets } }),
      this.#keys.snapshot,
    )
    const timestamp = makeTimestamp({
      version,
      signedAt: startsAt,
      expiresAt: startsAt + 30 * dayMs,
      bundle: false,
      snapshot: { version, bytes: snapshot },
    })
    this.#files.set(`${version}.targets.json`, targets)
    this.#files.set(`${version}.snapshot.json`, snapshot)
    this.#files.set('timestamp.json', signDocument(timestamp, this.#keys.timestamp))
  }

  trustFile = async (file: string) => this.#files.get(file)

  /** All of it as one file, for where no hub is. */
  async bundle(): Promise<Uint8Array> {
    const part = (name: string, bytes: Uint8Array) => ({
      name,
      lengthBytes: bytes.length,
      bytes: [bytes],
    })
    const pieces = writeBundle([
      ...[...this.#files].map(([name, bytes]) => part(`trust/${name}`, bytes)),
      ...[...this.blobs].map(([digest, bytes]) => part(`artifacts/${digest}`, bytes)),
    ])
    return Buffer.concat(await Array.fromAsync(pieces))
  }

  /** Gives bytes in pieces of 10,000, so that a transfer has many of them. */
  readonly hub: ArtifactSource = {
    name: 'hub',
    open: async (digest, from) => {
      const bytes = this.blobs.get(digest)
      if (!bytes) return { kind: 'absent', why: 'HTTP 404' }
      return { kind: 'bytes', bytes: pieces(bytes, from) }
    },
  }

  offer(version: number, of: Partial<Offer> = {}): Offer {
    const bytes = this.#manifests.get(version) as Uint8Array
    return {
      rolloutId: rolloutOf(version),
      name: modelName,
      version,
      act: 'update',
      attempt: 1,
      manifest: {
        path: manifestPath(modelName, version, target),
        digest: digestOf(bytes),
        lengthBytes: bytes.length,
      },
      care: careDefaults,
      jitterMs: 0,
      mirrors: [],
      ...of,
    }
  }
}

const golden: Manifest['golden'] = [
  {
    seed: 1,
    inputs: [{ name: 'in', type: 'uint8', shape: [1], black: 0, white: 255 }],
    outputs: [{ name: 'out', shape: [1], values: [0], rms: 1, tolerance: 0.1 }],
  },
]

async function* pieces(bytes: Uint8Array, from: number): AsyncIterable<Uint8Array> {
  for (let at = from; at < bytes.length; at += 10_000) yield bytes.subarray(at, at + 10_000)
}

/** What a model does to those who try it, by version. */
export type Manners = Readonly<
  Record<number, { probe?: UpdateCode; shadow?: UpdateCode; probation?: UpdateCode; opens?: false }>
>

export const comparison: Comparison = {
  frames: 200,
  agreement: 0.9,
  latencyP95Ms: 10,
  activeLatencyP95Ms: 10,
  detections: 2,
  activeDetections: 2,
  confidence: 0.8,
  activeConfidence: 0.8,
  countDrift: 0,
  confidenceDrift: 0,
  memoryBytes: 1e8,
  crashes: 0,
  streams: ['s1'],
}

/** Media processes that do what they are told, and open nothing that is not whole. */
export class ScriptedHost implements ModelHost {
  readonly #disk: CrashDisk
  readonly #manners: Manners
  readonly onAct: (act: string) => void
  /** Digest of what frames go to; `own`: the box's own file. */
  frames: string

  constructor(disk: CrashDisk, manners: Manners, frames: string, onAct: (act: string) => void) {
    this.#disk = disk
    this.#manners = manners
    this.frames = frames
    this.onAct = onAct
  }

  async probe(candidate: Candidate) {
    await this.#open(candidate)
    this.onAct('probe')
    const code = this.#manners[candidate.version]?.probe
    if (code) return { ok: false, code, reason: 'as told' } as const
    return { ok: true, memoryBytes: 1e8, loadMs: 10, inferenceP95Ms: 1 } as const
  }

  async shadow(candidate: Candidate, _care: unknown, told: (c: Comparison) => void) {
    await this.#open(candidate)
    told(comparison)
    this.onAct('shadow')
    return verdictOf(this.#manners[candidate.version]?.shadow)
  }

  async activate(_name: string, model: Candidate | undefined) {
    this.onAct('activate')
    if (model && this.#manners[model.version]?.opens === false) throw new Error('it does not open')
    this.frames = model ? await this.#open(model) : 'own'
  }

  async probation(candidate: Candidate, _care: unknown, told: (c: Comparison) => void) {
    if (this.frames !== candidate.digest) throw new Error('what is watched does not run')
    told(comparison)
    this.onAct('probation')
    return verdictOf(this.#manners[candidate.version]?.probation)
  }

  running = () => [{ name: modelName, digest: this.frames }]

  async #open({ source, digest }: Candidate): Promise<string> {
    const bytes = await this.#disk.read(source.file)
    if (!bytes || digestOf(bytes) !== digest) throw new Error(`"${source.file}" is not whole`)
    return digest
  }
}

const verdictOf = (code: UpdateCode | undefined): Verdict =>
  code ? { ok: false, code, reason: 'as told', comparison } : { ok: true, comparison }

/** One life of a box, from power on to power off. */
export class Life {
  readonly #updater: Updater
  readonly #carried: Carried | undefined
  readonly host: ScriptedHost
  readonly #stop = new AbortController()
  readonly #running: Promise<void>
  #cut: unknown

  /** @throws {PowerCut} when it fails before the agent is up */
  static async begin(options: {
    readonly world: World
    readonly disk: CrashDisk
    readonly manners: Manners
    /** What the hub wants; absent: there is no hub, and what was carried to the box counts. */
    readonly offers?: () => readonly Offer[]
    readonly onAct?: (act: string, life: Life) => void
    readonly seed: number
  }): Promise<Life> {
    const { world, disk, manners, onAct } = options
    const files = trustFilesOn(disk)
    if (!(await files.read('root.json'))) await keepRoot(files, world.firstRoot)
    let life: Life | undefined
    const act = (what: string) => {
      if (life) onAct?.(what, life)
    }
    const host = new ScriptedHost(disk, manners, 'own', act)
    let clock = 0
    let carried: Carried | undefined
    const box = { targets: ['linux-x64-vnni', target], agentVersion: '0.1.0' }
    const now = () => startsAt + dayMs + clock
    const parts: UpdateParts = {
      disk,
      host,
      box,
      hub: world.hub,
      keepsEncodings: true,
      random: randomFrom(options.seed),
      carried: (rolloutId) => (carried?.rolloutId === rolloutId ? carried.supply : undefined),
      mirror: () => world.hub,
      refreshTrust: (signal) =>
        refreshTrust({ files, source: { fetch: world.trustFile }, now: startsAt + dayMs, signal }),
      rebuild: async (encoding, bytes, base, bounds) => decode(encoding, bytes, base, bounds),
      bases: async () => [],
      onChange: () => {},
      log: { info() {}, warn() {}, error() {} },
      now,
      monotonicMs: () => clock,
      sleep: async (ms, signal) => {
        signal.throwIfAborted()
        clock += ms
        await new Promise((resolve) => setImmediate(resolve))
      },
    }
    const updater = await Updater.open(parts)
    const [active] = await updater.delivered()
    if (active) {
      const bytes = await disk.read(active.source.file)
      host.frames = bytes ? digestOf(bytes) : 'nothing'
    }
    if (options.offers) {
      life = new Life(updater, host)
      life.offer(options.offers())
      return life
    }
    const { signal } = new AbortController()
    await tidyCarried(disk)
    carried = await openCarried({ disk, box, now, exclusively: (act) => act(), signal })
    life = new Life(updater, host, carried)
    updater.carry(carried?.offers ?? [])
    return life
  }

  private constructor(updater: Updater, host: ScriptedHost, carried?: Carried) {
    this.#updater = updater
    this.#carried = carried
    this.host = host
    this.#running = updater.run(this.#stop.signal).catch((error) => {
      this.#cut = error
    })
  }

  get told() {
    return this.#updater.told
  }

  offer(offers: readonly Offer[]): void {
    const message: Offers = { at: new Date(startsAt).toISOString(), offers: [...offers] }
    this.#updater.take(message)
  }

  /** Waits until there is nothing to do, or the power fails; true: it has failed. Then the life is over. */
  async end(disk: CrashDisk): Promise<boolean> {
    for (let turns = 0; !this.#updater.isAtRest; turns++) {
      if (disk.isCut || this.#cut) break
      if (turns > 20_000) throw new Error(`no rest: ${JSON.stringify(this.told)}`)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const isUsed = this.#carried?.offers.every((offer) => this.#updater.isAnswered(offer))
    if (isUsed && !this.#cut) {
      await dropCarried(disk).catch((error) => {
        this.#cut = error
      })
    }
    this.#stop.abort(new Error('the test is over'))
    await this.#running
    if (this.#cut && !(this.#cut instanceof PowerCut)) throw this.#cut
    return disk.isCut
  }
}
