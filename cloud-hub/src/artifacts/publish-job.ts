/**
 * Publishes a model version: for each kind of box the file is let through the gate and run, encoded against what boxes have now, described
 * by a manifest, noted, and signed, in this order. A job that died is begun again and does what is missing: a manifest that
 * was noted is signed as it is.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readManifest } from '@edgeloop/model-compiler/artifact'
import {
  artifactBytesMax,
  type Manifest,
  manifestBytesMax,
  manifestPath,
  type PublishedEncoding,
  type PublishRequest,
} from '@edgeloop/protocol'
import type { Selectable } from 'kysely'
import type { Blobs } from '../blobs/blobs.ts'
import type { JobAct, JobProgress } from '../jobs/job-worker.ts'
import type { Compiler, Prepared } from '../models/compiler.ts'
import type { ModelDesk } from '../models/models.ts'
import type { ArtifactPublicationTable } from '../store/tables.ts'
import type { ArtifactDesk, Publication, Signer } from './artifacts.ts'

/** Files that a new one is encoded against: the last versions in the field. */
export const basesMax = 3
const dayMs = 86_400_000
const expiresDaysDefault = 365
/** The first agent that takes models from its hub. */
const agentMin = '0.1.0'

export function publishAct(deps: {
  artifacts: ArtifactDesk
  models: ModelDesk
  /** Where models lie, and what is published. */
  files: Blobs
  compiler: Compiler
  signer: Signer
  /** Digests of the files that boxes run now as this name, most frequent first. */
  running: (name: string) => Promise<readonly string[]>
  clock: () => number
  /** Work is done in a new folder below this one. */
  folder: string
}): JobAct {
  const { artifacts, models, files, compiler, signer, clock, folder } = deps
  return async ({ job, request }, progress, signal) => {
    const wish = request as PublishRequest
    const [name = '', number = ''] = job.subject.split('/')
    const version = Number(number)
    const planned = await artifacts.planned(name, version, wish)
    for (const [at, publication] of planned.entries()) {
      const here: JobProgress = (share, step) =>
        progress((at + share) / planned.length, `${publication.target}: ${step}`)
      const known = await artifacts.row(name, version, publication.target)
      const bytes = known
        ? await readKept(known)
        : await publish({ name, version, publication, wish, by: job.by }, here, signal)
      here(0.95, 'sign')
      await signer.addTargets([{ path: manifestPath(name, version, publication.target), bytes }])
    }
  }

  async function readKept({ manifest_digest }: Selectable<ArtifactPublicationTable>) {
    const bytes = await files.read(manifest_digest)
    if (bytes) return bytes
    throw new Error(`Cannot publish: the manifest ${manifest_digest} is not there any more`)
  }

  async function publish(
    given: {
      name: string
      version: number
      publication: Publication
      wish: PublishRequest
      by: string
    },
    progress: JobProgress,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const { name, version, publication } = given
    const { target, digest } = publication
    const described = await describe(name, version, publication)
    const earlier = await artifacts.earlier(name, target, version)
    await mkdir(folder, { recursive: true })
    const work = await mkdtemp(join(folder, 'publish-'))
    try {
      const file = join(work, 'model.onnx')
      if (!(await files.lay(digest, file))) {
        throw new Error(`Cannot publish ${name}/${version}: its file ${digest} is not there`)
      }
      const { bases, versions } = await layBases(given, earlier, work)
      const out = join(work, 'encodings')
      await mkdir(out)
      const order = { ...described, file, name: `${name}/${version}`, bases, out }
      const prepared = await compiler.prepare(
        order,
        (share, step) => progress(share * 0.8, step),
        signal,
      )
      progress(0.85, 'keep what travels')
      const now = clock()
      const manifest = manifestOf(given, described, prepared, { now, earlier })
      const bytes = Buffer.from(`${JSON.stringify(manifest, null, 1)}\n`)
      // What a box would refuse is not signed.
      readManifest(bytes)
      for (const one of prepared.encodings) {
        signal.throwIfAborted()
        await files.put(one.digest, createReadStream(one.file), { bytesMax: artifactBytesMax })
      }
      const manifestDigest = createHash('sha256').update(bytes).digest('hex')
      await files.put(manifestDigest, only(bytes), { bytesMax: manifestBytesMax })
      const encodings = prepared.encodings
        .map(
          ({ codec, baseDigest, digest, lengthBytes }): PublishedEncoding => ({
            codec,
            ...(baseDigest !== undefined && { baseDigest }),
            baseVersion: (baseDigest !== undefined && versions.get(baseDigest)) || null,
            digest,
            lengthBytes,
          }),
        )
        .sort((a, b) => a.lengthBytes - b.lengthBytes)
      await artifacts.keep({
        name,
        version,
        target,
        targets: JSON.stringify(publication.targets),
        artifact_id: publication.artifact?.artifactId ?? null,
        manifest_digest: manifestDigest,
        manifest_bytes: bytes.length,
        file_digest: digest,
        file_bytes: publication.lengthBytes,
        encodings: JSON.stringify(encodings),
        scale_epoch: manifest.scaleEpoch,
        scales_digest: prepared.scalesDigest,
        expires_at: Date.parse(manifest.expiresAt),
        author: given.by,
        published_at: now,
      })
      // Another worker may have noted it first; what is noted is what counts.
      const kept = await artifacts.row(name, version, target)
      return kept ? await readKept(kept) : bytes
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  }

  /** How it is fed and read. What was compiled says it in its own manifest. */
  async function describe(name: string, version: number, { artifact }: Publication) {
    const { model } = await models.show(name, version)
    const { layout, labels, description } = model
    if (!artifact) return { layout, labels, description }
    const stated = JSON.parse(
      new TextDecoder().decode(await models.part(artifact.artifactId, 'manifest')),
    ) as { description?: { layout?: string; labels?: unknown } }
    if (stated.description === undefined) return { layout, labels, description }
    const { labels: _, ...rest } = stated.description
    return { layout: rest.layout ?? layout, labels, description: JSON.stringify(rest) }
  }

  /** The files that boxes run, then those that were published last, as far as they are models that are here. */
  async function layBases(
    { name, publication }: { name: string; publication: Publication },
    earlier: readonly Selectable<ArtifactPublicationTable>[],
    work: string,
  ) {
    const versions = new Map(earlier.map((row) => [row.file_digest, row.version] as const))
    const known = await models.digests(name)
    const wanted = [
      ...(await deps.running(name)).filter((one) => known.has(one) || versions.has(one)),
      ...versions.keys(),
    ]
    const bases: string[] = []
    for (const digest of new Set(wanted)) {
      if (bases.length >= basesMax) break
      if (digest === publication.digest) continue
      const file = join(work, `base-${digest}`)
      if (await files.lay(digest, file)) bases.push(file)
    }
    for (const [digest, number] of known) if (!versions.has(digest)) versions.set(digest, number)
    return { bases, versions }
  }

  function manifestOf(
    { name, version, publication, wish }: Parameters<typeof publish>[0],
    { layout, labels, description }: Awaited<ReturnType<typeof describe>>,
    { opset, scalesDigest, golden, limits, encodings }: Prepared,
    { now, earlier }: { now: number; earlier: readonly Selectable<ArtifactPublicationTable>[] },
  ): Manifest {
    const [last] = earlier
    const expiresAt = now + (wish.expiresDays ?? expiresDaysDefault) * dayMs
    return {
      spec: 'edgeloop-manifest/1',
      fleet: signer.fleet,
      targets: [...publication.targets],
      name,
      version,
      scaleEpoch: last ? last.scale_epoch + (last.scales_digest === scalesDigest ? 0 : 1) : 0,
      createdAt: new Date(now).toISOString(),
      expiresAt: new Date(expiresAt).toISOString(),
      agentMin,
      runtime: { name: 'onnxruntime', opsetMax: opset },
      file: { digest: publication.digest, lengthBytes: publication.lengthBytes },
      encodings: encodings.map(({ file: _, ...encoding }) => encoding),
      layout,
      labels: [...labels],
      description,
      golden,
      limits,
    }
  }
}

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
