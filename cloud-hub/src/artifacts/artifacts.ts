/**
 * What boxes may be offered: a model version is published for a kind of box when its manifest, with golden vectors and every way its
 * bytes travel, lies under its digest, is noted here, and is signed. Versions that are published never change.
 */
import {
  type Artifact,
  type Job,
  type ModelVersion,
  manifestPath,
  nearestName,
  type Published,
  type PublishedEncoding,
  type PublishRequest,
  Refusal,
} from '@edgeloop/protocol'
import type { Insertable, Selectable } from 'kysely'
import type { AuditNote } from '../audit/audit.ts'
import type { JobQueue } from '../jobs/jobs.ts'
import type { ModelDesk } from '../models/models.ts'
import type { Store } from '../store/store.ts'
import type { ArtifactPublicationTable } from '../store/tables.ts'

/** Kind of box of the file as it was added: it runs everywhere, as fast as floats do. */
export const anyTarget = 'any'
/** Kinds of boxes whose processor runs it, and that may not say that they are `any`. */
const everyCpu = [anyTarget, 'linux-x64-vnni', 'linux-x64', 'linux-arm64']
/** Publications of one name that are listed, the newest. */
const listedMax = 500

/** Who says what may be used: the trust desk. */
export type Signer = {
  readonly fleet: string
  addTargets(
    entries: readonly { readonly path: string; readonly bytes: Uint8Array }[],
  ): Promise<'signed' | 'staged'>
  find(path: string): Promise<{ readonly digest: string } | undefined>
}

/** One thing to publish: a file for a kind of box, and how it is fed and read. */
export type Publication = {
  readonly target: string
  readonly targets: readonly string[]
  readonly artifact: Artifact | undefined
  readonly digest: string
  readonly lengthBytes: number
}

export type ArtifactDesk = {
  /**
   * Queues the publication of a version.
   * @throws {Refusal} notFound; conflict where the target is published with other bytes, or nothing was compiled for it;
   *   as `JobQueue.add`
   */
  publish(
    name: string,
    version: number,
    request: PublishRequest,
    by: string,
    note: AuditNote,
    /** Of whoever must know it before. */
    jobId?: string,
  ): Promise<Job>
  /** What boxes may be offered of a version. @throws {Refusal} notFound */
  published(name: string, version: number): Promise<Published[]>
  /** The same of all versions, newest first. @throws {Refusal} notFound */
  publishedList(name: string): Promise<Published[]>
  /**
   * What a box that is of these kinds, the most particular first, is offered of a version; undefined where nothing fits that is signed.
   */
  artifactFor(
    name: string,
    version: number,
    targets: readonly string[],
  ): Promise<Published | undefined>
  /** What has to be published for a request. @throws {Refusal} as `publish` */
  planned(name: string, version: number, request: PublishRequest): Promise<Publication[]>
  row(
    name: string,
    version: number,
    target: string,
  ): Promise<Selectable<ArtifactPublicationTable> | undefined>
  /** Earlier publications of a name for a kind of box, newest first. */
  earlier(
    name: string,
    target: string,
    beforeVersion: number,
  ): Promise<Selectable<ArtifactPublicationTable>[]>
  /** Notes what was published; what is noted already stays. */
  keep(row: Insertable<ArtifactPublicationTable>): Promise<void>
}

/** What a digest is that boxes may fetch: `manifest` or a codec. */
export type PublishedFile = { readonly kind: string; readonly sizeBytes: number }
export type PublishedFiles = (digest: string) => Promise<PublishedFile | undefined>

/** Knows what boxes may fetch; undefined for every other digest. */
export const publishedFilesIn =
  (store: Store): PublishedFiles =>
  async (digest) => {
    const found = await store.reader
      .selectFrom('published_file')
      .select(['kind', 'size_bytes'])
      .where('digest', '=', digest)
      .executeTakeFirst()
    return found && { kind: found.kind, sizeBytes: found.size_bytes }
  }

export function openArtifactDesk(deps: {
  store: Store
  models: ModelDesk
  signer: Signer
  queue: JobQueue
  queued: () => void
  changed: () => void
}): ArtifactDesk {
  const { store, models, signer, queue } = deps
  /** Manifests that were seen signed; a signature is never taken back from what is published. */
  const signed = new Set<string>()

  async function isSigned(row: Selectable<ArtifactPublicationTable>): Promise<boolean> {
    const { manifest_digest: digest } = row
    if (signed.has(digest)) return true
    const listed = await signer.find(manifestPath(row.name, row.version, row.target))
    if (listed?.digest !== digest) return false
    signed.add(digest)
    return true
  }

  const shown = async (rows: readonly Selectable<ArtifactPublicationTable>[]) =>
    await Promise.all(rows.map(async (row) => publishedOf(row, await isSigned(row))))

  const rowsOf = (name: string, version?: number) => {
    let query = store.writer
      .selectFrom('artifact_publication')
      .selectAll()
      .where('name', '=', name)
      .orderBy('version', 'desc')
      .orderBy('target')
      .limit(listedMax)
    if (version !== undefined) query = query.where('version', '=', version)
    return query.execute()
  }

  async function planned(
    name: string,
    version: number,
    { target }: PublishRequest,
  ): Promise<Publication[]> {
    const { model, artifacts } = await models.show(name, version)
    // Newest first: what was compiled last for a kind of box counts.
    const compiled = [...Map.groupBy(artifacts, (one) => one.target).values()].map(
      ([last]) => last!,
    )
    const known = [anyTarget, ...models.compiler().targets.map((one) => one.name)]
    if (target !== undefined && !known.includes(target)) {
      const near = nearestName(target, known)
      throw new Refusal(
        'badRequest',
        `Cannot publish for "${target}": ${near === undefined ? `known are ${known.join(', ')}` : `did you mean "${near}"?`}`,
      )
    }
    const wanted =
      target === anyTarget || compiled.length === 0
        ? [asAdded(model, target)]
        : compiled.filter((one) => target === undefined || one.target === target).map(asCompiled)
    if (wanted.length === 0) {
      const has = compiled.map((one) => one.target).join(', ')
      throw new Refusal(
        'conflict',
        `Cannot publish ${name}/${version} for "${target}": nothing was compiled for it${has && `, only for ${has}`}; compile it first, or publish "${anyTarget}", the file as it was added`,
      )
    }
    for (const one of wanted) {
      const before = await row(name, version, one.target)
      if (before && before.file_digest !== one.digest) {
        throw new Refusal(
          'conflict',
          `Cannot publish ${name}/${version} for ${one.target}: it is published with other bytes (${before.file_digest.slice(0, 12)}…), and boxes may run them; add these as the next version`,
        )
      }
    }
    return wanted
  }

  const row: ArtifactDesk['row'] = async (name, version, target) =>
    await store.writer
      .selectFrom('artifact_publication')
      .selectAll()
      .where('name', '=', name)
      .where('version', '=', version)
      .where('target', '=', target)
      .executeTakeFirst()

  return {
    publish: async (name, version, request, by, note, jobId) => {
      models.needCompiler()
      await planned(name, version, request)
      note.about({ target: `${name}/${version}`, detail: request.target ?? '' })
      const subject = `${name}/${version}`
      const id = jobId === undefined ? {} : { jobId }
      const job = await queue.add({ kind: 'publish', subject, request, by, ...id }, note)
      deps.queued()
      return job
    },
    published: async (name, version) => {
      await models.show(name, version)
      return await shown(await rowsOf(name, version))
    },
    publishedList: async (name) => {
      await models.versions(name)
      return await shown(await rowsOf(name))
    },
    artifactFor: async (name, version, targets) => {
      const rows = await rowsOf(name, version)
      const found =
        targets.map((kind) => rows.find((one) => one.target === kind)).find(Boolean) ??
        rows.find((one) => kindsOf(one).some((kind) => targets.includes(kind)))
      return found && (await isSigned(found)) ? publishedOf(found, true) : undefined
    },
    planned,
    row,
    earlier: async (name, target, beforeVersion) =>
      await store.writer
        .selectFrom('artifact_publication')
        .selectAll()
        .where('name', '=', name)
        .where('target', '=', target)
        .where('version', '<', beforeVersion)
        .orderBy('version', 'desc')
        .limit(listedMax)
        .execute(),
    keep: async (added) => {
      const encodings = JSON.parse(added.encodings) as PublishedEncoding[]
      const files = [
        { digest: added.manifest_digest, kind: 'manifest', size_bytes: added.manifest_bytes },
        ...encodings.map((one) => ({
          digest: one.digest,
          kind: one.codec,
          size_bytes: one.lengthBytes,
        })),
      ]
      await store.writer.transaction().execute(async (tx) => {
        const model = await tx
          .selectFrom('model_version')
          .select('version')
          .where('name', '=', added.name)
          .where('version', '=', added.version)
          .executeTakeFirst()
        if (!model) throw new Error(`Cannot publish ${added.name}/${added.version}: it is gone`)
        await tx
          .insertInto('artifact_publication')
          .values(added)
          .onConflict((conflict) => conflict.columns(['name', 'version', 'target']).doNothing())
          .execute()
        for (const file of files) {
          await tx
            .insertInto('published_file')
            .values(file)
            .onConflict((conflict) => conflict.column('digest').doNothing())
            .execute()
        }
      })
      deps.changed()
    },
  }
}

const asAdded = (model: ModelVersion, target = anyTarget): Publication => ({
  target,
  targets: target === anyTarget ? everyCpu : [target],
  artifact: undefined,
  digest: model.digest,
  lengthBytes: model.sizeBytes,
})

const asCompiled = (artifact: Artifact): Publication => ({
  target: artifact.target,
  targets: [artifact.target],
  artifact,
  digest: artifact.digest,
  lengthBytes: artifact.sizeBytes,
})

const kindsOf = (row: Pick<ArtifactPublicationTable, 'targets'>): string[] =>
  JSON.parse(row.targets) as string[]

const publishedOf = (row: Selectable<ArtifactPublicationTable>, signed: boolean): Published => ({
  name: row.name,
  version: row.version,
  target: row.target,
  targets: kindsOf(row),
  artifactId: row.artifact_id,
  manifest: {
    path: manifestPath(row.name, row.version, row.target),
    digest: row.manifest_digest,
    lengthBytes: row.manifest_bytes,
  },
  file: { digest: row.file_digest, lengthBytes: row.file_bytes },
  encodings: JSON.parse(row.encodings) as PublishedEncoding[],
  scaleEpoch: row.scale_epoch,
  signed,
  expiresAt: new Date(row.expires_at).toISOString(),
  publishedAt: new Date(row.published_at).toISOString(),
  by: row.author,
})
