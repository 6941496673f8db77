/**
 * Compiles a model version with pictures of the fleet: lays file and pictures into a folder, lets the compiler work on
 * it, and keeps what came out. The folder goes whatever happens.
 */
import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type CompileRequest, compileImages } from '@edgeloop/protocol'
import type { Blobs } from '../blobs/blobs.ts'
import type { JobAct } from '../jobs/job-worker.ts'
import type { Store } from '../store/store.ts'
import type { Compiler } from './compiler.ts'
import type { ModelDesk } from './models.ts'

/** Events that are looked through for pictures, the newest. */
const eventsLookedMax = 5000
const imagesDefault = 64

export function compileAct(deps: {
  store: Store
  /** Where the snapshots are. */
  blobs: Blobs
  models: ModelDesk
  compiler: Compiler
  /** Work is done in a new folder below this one. */
  folder: string
}): JobAct {
  const { store, blobs, models, compiler, folder } = deps
  return async ({ job, request }, progress, signal) => {
    const { precision = 'auto', maxDrop = 0.01, images, newScales } = request as CompileRequest
    const { target = compiler.ownTarget } = request as CompileRequest
    const [name = '', version = ''] = job.subject.split('/')
    const { model } = await models.show(name, Number(version))
    await mkdir(folder, { recursive: true })
    const work = await mkdtemp(join(folder, 'compile-'))
    try {
      progress(0, 'collect pictures')
      const file = join(work, `${name}-${version}.onnx`)
      await writeFile(file, await models.file(name, Number(version)))
      const pictures = join(work, 'images')
      await mkdir(pictures)
      await layOut(pictures, images ?? imagesDefault, signal)
      const out = join(work, 'out')
      const { layout, labels, description } = model
      const before = newScales
        ? undefined
        : await models.compiledBefore(name, Number(version), target)
      const against = before && join(work, `${name}-${before.version}-compiled.onnx`)
      if (before && against) await writeFile(against, before.bytes)
      const compiled = await compiler.compile(
        {
          file,
          name,
          layout,
          labels,
          description,
          images: pictures,
          out,
          target,
          precision,
          maxDrop,
          against,
        },
        progress,
        signal,
      )
      progress(1, 'keep the result')
      await models.keep({
        artifactId: randomUUID(),
        name,
        version: Number(version),
        jobId: job.jobId,
        target: compiled.target,
        chosen: compiled.chosen,
        candidates: [...compiled.candidates],
        file: join(out, 'model.onnx'),
        manifest: await readFile(join(out, 'manifest.json')),
        report: await readFile(join(out, 'report.html')),
      })
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  }

  /** Writes the newest snapshots of the fleet, in turn from each stream. */
  async function layOut(into: string, count: number, signal: AbortSignal): Promise<void> {
    const rows = await store.reader
      .selectFrom('event')
      .select(['snapshot', 'device_key', 'stream_id'])
      .where('snapshot', 'is not', null)
      .orderBy('event_id', 'desc')
      .limit(eventsLookedMax)
      .execute()
    let written = 0
    for (const digest of inTurn(rows)) {
      if (written >= count) break
      signal.throwIfAborted()
      const bytes = await blobs.read(digest)
      // It has not come yet, or is gone.
      if (!bytes) continue
      await writeFile(join(into, `${digest}.jpg`), bytes)
      written++
    }
    if (written >= compileImages.min) return
    throw new Error(
      `Cannot compile without pictures: ${written} snapshots of the fleet are here, at least ${compileImages.min} are needed. Let a camera see something first, or compile with \`./edgeloop model compile --calibrate DIR\``,
    )
  }
}

type Snapshot = {
  readonly snapshot: string | null
  readonly device_key: number
  readonly stream_id: string | null
}

/** Digests, each once: the newest of every stream, then the second of every stream, and so on. */
export function inTurn(rows: readonly Snapshot[]): string[] {
  const streams = Map.groupBy(rows, (row) => `${row.device_key}/${row.stream_id}`)
  const lanes = [...streams.values()].map((lane) => [...new Set(lane.map((row) => row.snapshot))])
  const longest = Math.max(0, ...lanes.map((lane) => lane.length))
  const turns = Array.from({ length: longest }, (_, at) => lanes.map((lane) => lane[at]))
  return [...new Set(turns.flat())].filter((digest) => typeof digest === 'string')
}
