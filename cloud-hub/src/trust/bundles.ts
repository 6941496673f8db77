/**
 * Bundles: published versions with all that is signed about them as one file, made here or taken from another hub of the
 * same root. What is taken was signed there and is signed here anew, among what this hub has published itself.
 */
import { open, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import {
  ArtifactError,
  type Bundle,
  type BundledManifest,
  type BundlePart,
  decode,
  digestOf,
  readBundle,
  TrustError,
  takeBytes,
  verifyBundle,
  writeBundle,
} from '@edgeloop/model-compiler/artifact'
import {
  artifactBytesMax,
  type BundleRequest,
  type BundleTaken,
  manifestBytesMax,
  type Published,
  type PublishedEncoding,
  Refusal,
} from '@edgeloop/protocol'
import type { ArtifactDesk } from '../artifacts/artifacts.ts'
import type { AuditNote } from '../audit/audit.ts'
import type { Blobs } from '../blobs/blobs.ts'
import type { ModelDesk } from '../models/models.ts'
import type { Store } from '../store/store.ts'
import type { Uploads } from '../uploads/uploads.ts'
import type { TrustDesk } from './trust-desk.ts'

const validDaysDefault = 30
const inspectMs = 60_000

export type BundleDesk = {
  /** A tar of what was asked for. @throws {Refusal} notFound; conflict, where a version is not published and signed */
  make(request: BundleRequest, note: AuditNote): Promise<Readable>
  /**
   * Takes a bundle that was uploaded.
   * @throws {Refusal} badRequest, where it is no bundle or not signed by what this hub's root trusts; conflict, where it
   *   holds other bytes under a version that is here; as `Uploads.use`
   */
  take(uploadId: string, by: string, note: AuditNote): Promise<BundleTaken>
}

export function openBundleDesk(deps: {
  store: Store
  trust: TrustDesk
  artifacts: ArtifactDesk
  models: ModelDesk
  files: Blobs
  uploads: Uploads
  clock: () => number
  /** Where a model is laid out to be looked into; made anew by each start. */
  folder: string
}): BundleDesk {
  const { store, trust, artifacts, models, files, uploads, clock } = deps

  async function take(file: string, by: string): Promise<BundleTaken> {
    await using handle = await open(file)
    const { size: lengthBytes } = await handle.stat()
    const read = async (from: number, length: number) => {
      const bytes = Buffer.alloc(length)
      const { bytesRead } = await handle.read(bytes, 0, length, from)
      if (bytesRead < length) throw new Error('Cannot read the bundle: it is shorter than it was')
      return bytes
    }
    const root = (await trust.file('1.root.json'))!
    const signal = AbortSignal.timeout(inspectMs)
    const { bundle, manifests } = await believed(async () => {
      const bundle = await readBundle({ lengthBytes, read })
      return { bundle, ...(await verifyBundle(bundle, { root, now: clock(), signal })) }
    })
    const taken: BundleTaken['taken'] = []
    const news = new Map<BundledManifest, boolean>()
    for (const one of manifests) news.set(one, !(await isHere(one, manifests)))
    for (const [one, isNew] of news) {
      if (isNew) await believed(() => keep(bundle, one, manifests, by))
      const { name, version } = one.manifest
      taken.push({ path: one.path, name, version, isNew })
    }
    const outcome = await trust.addTargets(manifests.map(({ path, bytes }) => ({ path, bytes })))
    return { fleet: trust.fleet, taken, signed: outcome === 'signed' }
  }

  /** @throws {Refusal} conflict, where something else is here under the same version */
  async function isHere(
    { manifest, bytes, path }: BundledManifest,
    all: readonly BundledManifest[],
  ): Promise<boolean> {
    const { name, version } = manifest
    const row = await artifacts.row(name, version, targetOf(path))
    if (row) {
      if (row.manifest_digest === digestOf(bytes)) return true
      const text = `Cannot take "${path}": it is published here with another manifest (${row.manifest_digest.slice(0, 12)}…)`
      throw new Refusal('conflict', text)
    }
    const model = await store.writer
      .selectFrom('model_version')
      .select('digest')
      .where('name', '=', name)
      .where('version', '=', version)
      .executeTakeFirst()
    if (model && model.digest !== addedOf(name, version, all).manifest.file.digest) {
      const text = `Cannot take "${path}": this hub has another model as ${name}/${version}`
      throw new Refusal('conflict', text)
    }
    return false
  }

  async function keep(
    bundle: Bundle,
    one: BundledManifest,
    all: readonly BundledManifest[],
    by: string,
  ): Promise<void> {
    const { manifest, bytes, path } = one
    const { name, version } = manifest
    for (const { digest } of manifest.encodings) {
      await files.put(digest, bundle.open(digest), { bytesMax: artifactBytesMax })
    }
    const digest = digestOf(bytes)
    await files.put(digest, Readable.from([bytes]), { bytesMax: manifestBytesMax })
    await keepModel(bundle, addedOf(name, version, all), by)
    const { file, encodings, targets, scaleEpoch, expiresAt } = manifest
    const shown = encodings.map(
      ({ chunks: _, ...encoding }): PublishedEncoding => ({ ...encoding, baseVersion: null }),
    )
    await artifacts.keep({
      name,
      version,
      target: targetOf(path),
      targets: JSON.stringify(targets),
      artifact_id: null,
      manifest_digest: digest,
      manifest_bytes: bytes.length,
      file_digest: file.digest,
      file_bytes: file.lengthBytes,
      encodings: JSON.stringify(shown.sort((a, b) => a.lengthBytes - b.lengthBytes)),
      scale_epoch: scaleEpoch,
      scales_digest: '',
      expires_at: Date.parse(expiresAt),
      author: by,
      published_at: clock(),
    })
  }

  /** The version in the registry: the file itself, looked into as if somebody had added it. */
  async function keepModel(
    bundle: Bundle,
    { manifest }: BundledManifest,
    by: string,
  ): Promise<void> {
    const { name, version, file, layout, labels, description } = manifest
    const whole = manifest.encodings.find(({ codec }) => codec === 'zstd')
    if (!whole)
      throw new ArtifactError('damaged', `Cannot take ${name}/${version}: it is not whole`)
    const known = await store.writer
      .selectFrom('model_version')
      .select('version')
      .where('name', '=', name)
      .where('version', '=', version)
      .executeTakeFirst()
    if (known) return
    const packed = await takeBytes(bundle.open(whole.digest), whole.lengthBytes, whole.digest)
    const bytes = decode({ codec: 'zstd' }, packed, undefined, file)
    const { inspect } = models.needCompiler()
    const path = join(deps.folder, `bundle-${file.digest}.onnx`)
    await writeFile(path, bytes)
    try {
      const described = { file: path, name, layout, labels, description }
      const { inspection } = await inspect(described, AbortSignal.timeout(inspectMs))
      await files.put(file.digest, Readable.from([bytes]), { bytesMax: artifactBytesMax })
      await store.writer
        .insertInto('model_version')
        .values({
          name,
          version,
          layout,
          description,
          digest: file.digest,
          labels: JSON.stringify(labels),
          note: 'from a bundle',
          size_bytes: file.lengthBytes,
          inspection: JSON.stringify(inspection),
          author: by,
          created_at: clock(),
          champion: 0,
          standing: 'from a bundle, and compared with no champion',
        })
        .onConflict((on) => on.doNothing())
        .execute()
    } finally {
      await rm(path, { force: true })
    }
  }

  return {
    make: async ({ versions, validDays = validDaysDefault }, note) => {
      const published: Published[] = []
      for (const { name, version } of versions) {
        const rows = await artifacts.published(name, version)
        const signed = rows.filter((row) => row.signed)
        if (signed.length === 0) {
          const why = rows.length > 0 ? 'waits for the targets key' : 'is not published'
          throw new Refusal('conflict', `Cannot put ${name}/${version} into a bundle: it ${why}`)
        }
        published.push(...signed)
      }
      note.about({
        target: versions.map(({ name, version }) => `${name}/${version}`).join(' '),
        detail: `for ${validDays} days`,
      })
      const trustFiles = await trust.bundleFiles(validDays)
      const lengths = new Map<string, number>()
      for (const { manifest, encodings } of published) {
        for (const { digest, lengthBytes } of [manifest, ...encodings])
          lengths.set(digest, lengthBytes)
      }
      async function* parts(): AsyncGenerator<BundlePart> {
        for (const [name, bytes] of trustFiles) {
          yield { name: `trust/${name}`, lengthBytes: bytes.length, bytes: [bytes] }
        }
        for (const [digest, lengthBytes] of lengths) {
          const bytes = files.part(digest, 0, lengthBytes - 1)
          yield { name: `artifacts/${digest}`, lengthBytes, bytes }
        }
      }
      return Readable.from(writeBundle(parts()), { objectMode: false })
    },
    take: async (uploadId, by, note) =>
      await uploads.use(uploadId, by, async (file, digest) => {
        const answer = await take(file, by)
        const names = new Set(answer.taken.map(({ name, version }) => `${name}/${version}`))
        note.about({ target: [...names].join(' '), detail: digest })
        return answer
      }),
  }
}

const targetOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1, -'.json'.length)

/** Whose file stands for a version: that of every box where there is one. */
function addedOf(name: string, version: number, all: readonly BundledManifest[]): BundledManifest {
  const own = all.filter(({ manifest }) => manifest.name === name && manifest.version === version)
  return own.find(({ path }) => targetOf(path) === 'any') ?? own[0]!
}

/** What is wrong with a stranger's file is said to who sent it. */
async function believed<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (cause) {
    if (cause instanceof TrustError || cause instanceof ArtifactError) {
      throw new Refusal('badRequest', cause.message, { cause })
    }
    throw cause
  }
}
