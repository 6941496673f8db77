/**
 * The models of this hub: each upload is looked into and kept as the next version of its name; what was compiled of it
 * is kept beside it. Versions never change, they are removed whole.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import {
  type Artifact,
  type Candidate,
  type CompileRequest,
  type CompilerShown,
  type Job,
  type Lineage,
  type ModelInspection,
  type ModelRequest,
  type ModelRow,
  type ModelVersion,
  type ModelVersionDetail,
  modelBytesMax,
  nearestName,
  Refusal,
} from '@edgeloop/protocol'
import type { Insertable, Selectable, Transaction } from 'kysely'
import type { AuditNote } from '../audit/audit.ts'
import type { Blobs } from '../blobs/blobs.ts'
import type { JobQueue } from '../jobs/jobs.ts'
import type { Store } from '../store/store.ts'
import type { ArtifactTable, ModelVersionTable, Tables } from '../store/tables.ts'
import type { Uploads } from '../uploads/uploads.ts'
import type { Compiler, Inspected } from './compiler.ts'

/** Names at most; each has as many versions as there is room for. */
const namesMax = 500
const inspectMs = 60_000
/** Candidates whose activations have scales, which another version can keep. */
const withScales = ['int8', 'int8-qoperator', 'int8-search'] as const

/** What a finished compilation leaves. */
export type NewArtifact = Omit<Artifact, 'createdAt' | 'digest' | 'sizeBytes'> & {
  readonly file: string
  readonly manifest: Uint8Array
  readonly report: Uint8Array
}

/** What a run leaves. */
export type Trained = {
  readonly name: string
  readonly layout: string
  readonly description: string
  readonly note: string
  /** ONNX file. */
  readonly file: string
  readonly inspected: Inspected
  readonly lineage: Lineage
  /** Whether it becomes the champion, and why. */
  readonly verdict: { readonly champion: boolean; readonly why: string }
  /** The champion that it was compared with; null where there was none. */
  readonly comparedWith: number | null
  readonly by: string
}

export type ModelDesk = {
  compiler(): CompilerShown
  /** @throws {Refusal} unavailable without a compiler */
  needCompiler(): Compiler
  list(): Promise<ModelRow[]>
  /** @throws {Refusal} notFound */
  show(name: string, version: number): Promise<ModelVersionDetail>
  /** @throws {Refusal} badRequest when the upload is no model, or the layout is not known; as `Uploads.use` */
  add(request: ModelRequest, by: string, note: AuditNote): Promise<ModelVersion>
  /** @throws {Refusal} notFound; conflict while it is being compiled, or once it is published */
  remove(name: string, version: number, note: AuditNote): Promise<void>
  /** All versions of a name, newest first. @throws {Refusal} notFound */
  versions(name: string): Promise<ModelVersion[]>
  /** Makes a version the champion of its name. @throws {Refusal} notFound; conflict where it is that already */
  promote(name: string, version: number, by: string, note: AuditNote): Promise<ModelVersion>
  /** Leaves a name without a champion. @throws {Refusal} notFound; conflict where this version is none */
  demote(name: string, version: number, by: string, note: AuditNote): Promise<ModelVersion>
  /** Digests of the files of a name, as they were added and as they were compiled, with the version each belongs to. */
  digests(name: string): Promise<ReadonlyMap<string, number>>
  /** The champion of a name; undefined where there is none. */
  champion(name: string): Promise<ModelVersion | undefined>
  /**
   * Keeps what a run has made as the next version of its name. A run that was kept before gives the same version again.
   * @param then what else happens in the same transaction
   */
  keepTrained(
    trained: Trained,
    then: (tx: Transaction<Tables>, kept: ModelVersion) => Promise<void>,
  ): Promise<ModelVersion>
  /** The file as it was uploaded. @throws {Refusal} notFound */
  file(name: string, version: number): Promise<Uint8Array>
  /** @throws {Refusal} notFound, unavailable without a compiler, or as `JobQueue.add` */
  compile(
    name: string,
    version: number,
    request: CompileRequest,
    by: string,
    note: AuditNote,
    /** Of whoever must know it before. */
    jobId?: string,
  ): Promise<Job>
  /** What was compiled last for a target, in int8, of the newest version before this one. */
  compiledBefore(
    name: string,
    version: number,
    target: string,
  ): Promise<{ readonly version: number; readonly bytes: Uint8Array } | undefined>
  /** @throws {Refusal} notFound */
  part(artifactId: string, part: 'file' | 'manifest' | 'report'): Promise<Uint8Array>
  /** Keeps what a job has made. @throws {Error} when the model is gone */
  keep(artifact: NewArtifact): Promise<void>
}

export function openModelDesk(deps: {
  store: Store
  /** Kept until they are removed: not those of the snapshots, which go with time. */
  files: Blobs
  uploads: Uploads
  queue: JobQueue
  queued: () => void
  compiler: Compiler | undefined
  clock: () => number
  changed: () => void
}): ModelDesk {
  const { store, files, uploads, queue, compiler, clock, changed } = deps

  function needCompiler(): Compiler {
    if (compiler) return compiler
    throw new Refusal(
      'unavailable',
      'Cannot work on models: this hub was started without a compiler',
    )
  }

  async function find(
    name: string,
    version: number,
    db: Store['writer'] = store.writer,
  ): Promise<Selectable<ModelVersionTable>> {
    const row = await db
      .selectFrom('model_version')
      .selectAll()
      .where('name', '=', name)
      .where('version', '=', version)
      .executeTakeFirst()
    if (row) return row
    throw new Refusal('notFound', `Cannot find version ${version} of the model "${name}"`)
  }

  async function bytesOf(digest: string): Promise<Uint8Array> {
    const bytes = await files.read(digest)
    if (bytes) return bytes
    throw new Error(`Cannot read the file ${digest} of a model: it is not there`)
  }

  async function putFile(digest: string, file: string): Promise<void> {
    await files.put(digest, createReadStream(file), { bytesMax: modelBytesMax })
  }

  async function putBytes(bytes: Uint8Array): Promise<string> {
    const digest = await digestOf([bytes])
    await files.put(digest, only(bytes), { bytesMax: modelBytesMax })
    return digest
  }

  const championIn = (db: Store['writer'], name: string) =>
    db
      .selectFrom('model_version')
      .selectAll()
      .where('name', '=', name)
      .where('champion', '=', 1)
      .executeTakeFirst()

  /** The champion, if there is one, becomes a candidate. */
  async function uncrown(tx: Transaction<Tables>, name: string, why: string): Promise<void> {
    await tx
      .updateTable('model_version')
      .set({ champion: 0, standing: why })
      .where('name', '=', name)
      .where('champion', '=', 1)
      .execute()
  }

  async function crown(
    name: string,
    version: number,
    by: string,
    note: AuditNote,
    champion = true,
  ): Promise<ModelVersion> {
    await store.writer.transaction().execute(async (tx) => {
      const before = await championIn(tx, name)
      const { champion: is } = await find(name, version, tx)
      if ((is === 1) === champion) {
        throw new Refusal(
          'conflict',
          champion
            ? `Cannot promote ${name}/${version}: it is the champion already`
            : `Cannot demote ${name}/${version}: it is not the champion`,
        )
      }
      await uncrown(tx, name, champion ? `${by} promoted version ${version}` : `demoted by ${by}`)
      if (champion) {
        await tx
          .updateTable('model_version')
          .set({ champion: 1, standing: `promoted by ${by}` })
          .where('name', '=', name)
          .where('version', '=', version)
          .execute()
        note.about({ detail: before ? `instead of version ${before.version}` : 'there was none' })
      }
      await note.within(tx)
    })
    changed()
    return versionOf(await find(name, version))
  }

  return {
    needCompiler,
    digests: async (name) => {
      const [added, compiled] = await Promise.all(
        (['model_version', 'artifact'] as const).map((table) =>
          store.writer
            .selectFrom(table)
            .select(['digest', 'version'])
            .where('name', '=', name)
            .orderBy('version')
            .execute(),
        ),
      )
      return new Map([...added!, ...compiled!].map(({ digest, version }) => [digest, version]))
    },

    compiler: () => ({
      available: compiler !== undefined,
      layouts: [...(compiler?.layouts ?? [])],
      targets: [...(compiler?.targets ?? [])],
    }),

    list: async () => {
      const rows = await store.reader.selectFrom('model_version').selectAll().execute()
      const made = await store.reader
        .selectFrom('artifact')
        .select(({ fn }) => ['name', fn.countAll<number>().as('count')])
        .groupBy('name')
        .execute()
      const byName = Map.groupBy(rows, ({ name }) => name)
      return [...byName.entries()]
        .map(([name, versions]) => ({
          newest: versionOf(versions.reduce((a, b) => (b.version > a.version ? b : a))),
          versions: versions.length,
          champion: versions.find((one) => one.champion === 1)?.version ?? null,
          artifacts: Number(made.find((one) => one.name === name)?.count ?? 0),
        }))
        .sort((a, b) => b.newest.createdAt.localeCompare(a.newest.createdAt))
    },

    show: async (name, version) => {
      const row = await find(name, version)
      const versions = await store.writer
        .selectFrom('model_version')
        .select('version')
        .where('name', '=', name)
        .orderBy('version', 'desc')
        .execute()
      const artifacts = await store.writer
        .selectFrom('artifact')
        .selectAll()
        .where('name', '=', name)
        .where('version', '=', version)
        .orderBy('created_at', 'desc')
        .execute()
      return {
        model: versionOf(row),
        versions: versions.map((one) => one.version),
        artifacts: artifacts.map(artifactOf),
      }
    },

    add: async (request, by, note) => {
      const { layouts, inspect, cocoLabels } = needCompiler()
      const { name, layout, description = '' } = request
      if (!layouts.includes(layout)) {
        throw new Refusal('badRequest', sayUnknown('layout', layout, layouts))
      }
      const labels = request.labels === 'coco' ? cocoLabels : (request.labels ?? [])
      return await uploads.use(request.uploadId, by, async (file, digest) => {
        const { size } = await stat(file)
        let inspected: Inspected
        try {
          const described = { file, name, layout, labels, description }
          inspected = await inspect(described, AbortSignal.timeout(inspectMs))
        } catch (cause) {
          throw new Refusal('badRequest', (cause as Error).message, { cause })
        }
        await putFile(digest, file)
        const added = await store.writer.transaction().execute(async (tx) => {
          const { names } = await tx
            .selectFrom('model_version')
            .select(({ fn }) => fn.count<number>('name').distinct().as('names'))
            .where('name', '<>', name)
            .executeTakeFirstOrThrow()
          if (Number(names) >= namesMax) {
            throw new Refusal(
              'conflict',
              `Cannot keep another model: there are ${namesMax}; remove one first`,
            )
          }
          const before = await tx
            .selectFrom('model_version')
            .select(['version', 'digest', 'layout', 'labels', 'description'])
            .where('name', '=', name)
            .orderBy('version', 'desc')
            .limit(1)
            .executeTakeFirst()
          const row: Insertable<ModelVersionTable> = {
            name,
            version: (before?.version ?? 0) + 1,
            layout,
            labels: JSON.stringify(inspected.labels),
            description,
            note: request.note ?? '',
            digest,
            size_bytes: size,
            inspection: JSON.stringify(inspected.inspection),
            author: by,
            created_at: clock(),
            ...(before
              ? { champion: 0, standing: 'brought, and compared with no champion' }
              : { champion: 1, standing: 'the first of its name' }),
          }
          const facts = ['digest', 'layout', 'labels', 'description'] as const
          if (before && facts.every((fact) => before[fact] === row[fact])) {
            throw new Refusal(
              'conflict',
              `Cannot add this: version ${before.version} of "${name}" is the same file`,
            )
          }
          const inserted = await tx
            .insertInto('model_version')
            .values(row)
            .returningAll()
            .executeTakeFirstOrThrow()
          note.about({ target: `${name}/${row.version}`, detail: digest })
          await note.within(tx)
          return inserted
        })
        changed()
        return versionOf(added)
      })
    },

    remove: async (name, version, note) => {
      await find(name, version)
      const subject = `${name}/${version}`
      if (await queue.isOpen(subject)) {
        throw new Refusal(
          'conflict',
          `Cannot remove ${subject}: it is being worked on; cancel that`,
        )
      }
      await store.writer.transaction().execute(async (tx) => {
        const published = await tx
          .selectFrom('artifact_publication')
          .select('target')
          .where('name', '=', name)
          .where('version', '=', version)
          .executeTakeFirst()
        if (published) {
          throw new Refusal(
            'conflict',
            `Cannot remove ${subject}: it is published for ${published.target}, and boxes may run it`,
          )
        }
        for (const table of ['artifact', 'model_version'] as const) {
          await tx
            .deleteFrom(table)
            .where('name', '=', name)
            .where('version', '=', version)
            .execute()
        }
        await note.within(tx)
      })
      changed()
    },

    versions: async (name) => {
      const rows = await store.reader
        .selectFrom('model_version')
        .selectAll()
        .where('name', '=', name)
        .orderBy('version', 'desc')
        .execute()
      if (rows.length === 0) throw new Refusal('notFound', `Cannot find the model "${name}"`)
      return rows.map(versionOf)
    },

    promote: (name, version, by, note) => crown(name, version, by, note),
    demote: (name, version, by, note) => crown(name, version, by, note, false),

    champion: async (name) => {
      const row = await championIn(store.writer, name)
      return row && versionOf(row)
    },

    compiledBefore: async (name, version, target) => {
      const row = await store.writer
        .selectFrom('artifact')
        .select(['version', 'digest'])
        .where('name', '=', name)
        .where('target', '=', target)
        .where('version', '<', version)
        .where('chosen', 'in', [...withScales])
        .orderBy('version', 'desc')
        .orderBy('created_at', 'desc')
        .limit(1)
        .executeTakeFirst()
      return row && { version: row.version, bytes: await bytesOf(row.digest) }
    },

    keepTrained: async (trained, then) => {
      const { name, lineage, inspected, comparedWith } = trained
      const { size } = await stat(trained.file)
      const digest = await digestOf(createReadStream(trained.file))
      await putFile(digest, trained.file)
      const kept = await store.writer.transaction().execute(async (tx) => {
        const versions = await tx
          .selectFrom('model_version')
          .selectAll()
          .where('name', '=', name)
          .orderBy('version', 'desc')
          .execute()
        const known = versions.find((one) => lineageOf(one)?.runId === lineage.runId)
        const champion = versions.find((one) => one.champion === 1)
        // A person may have promoted another one while this one was trained.
        const verdict =
          (champion?.version ?? null) === comparedWith
            ? trained.verdict
            : {
                champion: false,
                why: `it was compared with version ${comparedWith}, which is not the champion any more`,
              }
        const version = (versions[0]?.version ?? 0) + 1
        if (!known && verdict.champion) await uncrown(tx, name, `version ${version} replaced it`)
        const row =
          known ??
          (await tx
            .insertInto('model_version')
            .values({
              name,
              digest,
              layout: trained.layout,
              note: trained.note,
              version,
              labels: JSON.stringify(inspected.labels),
              description: trained.description,
              size_bytes: size,
              inspection: JSON.stringify(inspected.inspection),
              author: trained.by,
              created_at: clock(),
              champion: verdict.champion ? 1 : 0,
              standing: verdict.why,
              lineage: JSON.stringify(lineage),
            })
            .returningAll()
            .executeTakeFirstOrThrow())
        await then(tx, versionOf(row))
        return versionOf(row)
      })
      changed()
      return kept
    },

    file: async (name, version) => bytesOf((await find(name, version)).digest),

    compile: async (name, version, request, by, note, jobId) => {
      const { targets } = needCompiler()
      const names = targets.map((one) => one.name)
      if (request.target !== undefined && !names.includes(request.target)) {
        throw new Refusal('badRequest', sayUnknown('target', request.target, names))
      }
      await find(name, version)
      const subject = `${name}/${version}`
      const id = jobId === undefined ? {} : { jobId }
      const job = await queue.add({ kind: 'compile', subject, request, by, ...id }, note)
      deps.queued()
      return job
    },

    part: async (artifactId, part) => {
      const row = await store.writer
        .selectFrom('artifact')
        .select(['digest', 'manifest_digest', 'report_digest'])
        .where('artifact_id', '=', artifactId)
        .executeTakeFirst()
      if (!row) throw new Refusal('notFound', `Cannot find artifact "${artifactId}"`)
      if (part === 'file') return bytesOf(row.digest)
      return bytesOf(part === 'manifest' ? row.manifest_digest : row.report_digest)
    },

    keep: async ({ file, manifest, report, ...artifact }) => {
      const { size } = await stat(file)
      const digest = await digestOf(createReadStream(file))
      await putFile(digest, file)
      const manifestDigest = await putBytes(manifest)
      const reportDigest = await putBytes(report)
      await store.writer.transaction().execute(async (tx) => {
        const { name, version, artifactId, jobId, target, chosen } = artifact
        const model = await tx
          .selectFrom('model_version')
          .select('version')
          .where('name', '=', name)
          .where('version', '=', version)
          .executeTakeFirst()
        if (!model) throw new Error(`Cannot keep what was compiled: ${name}/${version} is gone`)
        await tx
          .insertInto('artifact')
          .values({
            artifact_id: artifactId,
            name,
            version,
            target,
            chosen,
            digest,
            size_bytes: size,
            manifest_digest: manifestDigest,
            report_digest: reportDigest,
            candidates: JSON.stringify(artifact.candidates),
            job_id: jobId,
            created_at: clock(),
          })
          .execute()
      })
      changed()
    },
  }
}

function sayUnknown(what: string, name: string, known: readonly string[]): string {
  const near = nearestName(name, known)
  const hint = near === undefined ? `known are ${known.join(', ')}` : `did you mean "${near}"?`
  return `Cannot use the ${what} "${name}": ${hint}`
}

async function digestOf(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

const versionOf = (row: Selectable<ModelVersionTable>): ModelVersion => ({
  name: row.name,
  version: row.version,
  layout: row.layout,
  labels: JSON.parse(row.labels) as string[],
  description: row.description,
  note: row.note,
  digest: row.digest,
  sizeBytes: row.size_bytes,
  inspection: JSON.parse(row.inspection) as ModelInspection,
  champion: row.champion === 1,
  standing: row.standing,
  lineage: lineageOf(row) ?? null,
  by: row.author,
  createdAt: new Date(row.created_at).toISOString(),
})

const lineageOf = ({ lineage }: Pick<Selectable<ModelVersionTable>, 'lineage'>) =>
  lineage === null ? undefined : (JSON.parse(lineage) as Lineage)

const artifactOf = (row: Selectable<ArtifactTable>): Artifact => ({
  artifactId: row.artifact_id,
  name: row.name,
  version: row.version,
  target: row.target,
  chosen: row.chosen,
  digest: row.digest,
  sizeBytes: row.size_bytes,
  candidates: JSON.parse(row.candidates) as Candidate[],
  jobId: row.job_id,
  createdAt: new Date(row.created_at).toISOString(),
})
