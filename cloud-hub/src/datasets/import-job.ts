/**
 * Takes an archive of pictures and labels into a dataset. It is unpacked and read in a child; what that found is kept
 * here, a batch at a time. A job that is begun again finds the pictures that it kept already.
 */
import { createReadStream } from 'node:fs'
import { mkdir, open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import {
  type DatasetFormat,
  DatasetSample,
  type Job,
  type PackedPicture,
  sampleToSend,
  uploadPartBytesMax,
} from '@edgeloop/protocol'
import { parse } from '@edgeloop/protocol/check'
import type { AuditNote } from '../audit/audit.ts'
import type { Blobs } from '../blobs/blobs.ts'
import { digestOf, only } from '../blobs/bytes.ts'
import type { EndReason, JobAct } from '../jobs/job-worker.ts'
import type { JobQueue } from '../jobs/jobs.ts'
import type { Uploads } from '../uploads/uploads.ts'
import type { BytePlace, Imported, ImportOrder, ReadSample } from './dataset-work.ts'
import type { DatasetDesk } from './datasets.ts'
import type { Inspect } from './inspect-job.ts'
import { datasetOfSubject, subjectOf } from './job-subject.ts'
import { runWork } from './run-work.ts'
import type { SamplePictures } from './sample-pictures.ts'
import { withWorkFolder } from './work-folder.ts'

/** Samples that are kept at once. */
const batchSamples = 200
/** Pictures in memory at once. */
const readAtOnce = 8

type ImportWork = {
  /** Digests of the archive's parts, in their order. */
  readonly parts: readonly string[]
  readonly format?: DatasetFormat
}

/**
 * Queues the import of a whole upload.
 * @throws {Refusal} notFound for dataset or upload; as `Uploads.use` and `JobQueue.add`
 */
export async function queueImport(
  deps: { datasets: DatasetDesk; uploads: Uploads; files: Blobs; queue: JobQueue },
  given: { dataset: string; uploadId: string; format?: DatasetFormat; by: string },
  note: AuditNote,
): Promise<Job> {
  const { datasets, uploads, files, queue } = deps
  const { dataset, uploadId, format, by } = given
  await datasets.show(dataset)
  return await uploads.use(uploadId, by, async (file) => {
    // In parts, so that whichever hub takes the job finds it, and none needs as much memory as it is long.
    const parts: string[] = []
    for await (const chunk of createReadStream(file, { highWaterMark: uploadPartBytesMax })) {
      const bytes = chunk as Buffer
      const digest = digestOf(bytes)
      await files.put(digest, only(bytes), { bytesMax: uploadPartBytesMax })
      parts.push(digest)
    }
    const request: ImportWork = { parts, ...(format && { format }) }
    return await queue.add(
      { kind: 'dataset-import', subject: subjectOf(dataset), request, by },
      note,
    )
  })
}

export function importAct(deps: {
  datasets: DatasetDesk
  samples: SamplePictures
  files: Blobs
  /** Work is done in a new folder below this one. */
  folder: string
  /** What follows in the same job. */
  inspect: Inspect
}): JobAct {
  const { datasets, samples, files, folder, inspect } = deps
  return async ({ job, request }, progress, signal) => {
    const { parts, format } = request as ImportWork
    const dataset = datasetOfSubject(job.subject)
    try {
      await withWorkFolder(folder, 'import', async (work) => {
        progress(0, 'fetch the archive')
        const archive = join(work, 'archive')
        await gather(parts, archive, signal)
        const into = join(work, 'unpacked')
        await mkdir(into)
        const order: ImportOrder = {
          kind: 'import',
          archive,
          into,
          list: join(work, 'list'),
          ...(format && { format }),
        }
        const read = await runWork<ImportOrder, Imported>(
          order,
          `import into "${dataset}"`,
          (at) => progress(at.share * 0.4, at.step),
          signal,
        ).catch((error: Error) => {
          // People know the archive, and need no paths of the hub.
          error.message = error.message.replaceAll(into, 'the archive')
          throw error
        })
        await rm(archive)
        await datasets.edit(dataset, { addLabels: [...read.labels] })
        let kept = 0
        for await (const batch of batchesOf(order.list)) {
          signal.throwIfAborted()
          await keep(dataset, batch, job.by)
          kept += batch.length
          progress(0.4 + 0.3 * (kept / read.samples), `keep sample ${kept} of ${read.samples}`)
        }
      })
      await inspect(dataset, (share, step) => progress(0.7 + 0.3 * share, step), signal)
    } catch (error) {
      const end = signal.reason as EndReason | undefined
      // Somebody will begin it again.
      if (signal.aborted && end !== 'cancelled') throw error
      await drop(parts)
      throw error
    }
    await drop(parts)
  }

  async function gather(
    parts: readonly string[],
    archive: string,
    signal: AbortSignal,
  ): Promise<void> {
    await using handle = await open(archive, 'wx')
    for (const digest of parts) {
      signal.throwIfAborted()
      const bytes = await files.read(digest)
      if (!bytes) throw new Error('Cannot import the archive: a part of it is gone; send it again')
      await handle.writeFile(bytes)
    }
  }

  async function drop(parts: readonly string[]): Promise<void> {
    for (const digest of parts) await files.remove(digest)
  }

  async function keep(dataset: string, batch: readonly ReadSample[], by: string): Promise<void> {
    const needed = new Map<string, () => Promise<PackedPicture>>()
    for (const { sample, form, place, masks } of batch) {
      const { digest, width, height } = sample
      const read = async (from: BytePlace) => ({ width, height, bytes: await bytesAt(from) })
      needed.set(digest, async () => ({ ...(await read(place)), digest, form }))
      for (const mask of masks) {
        needed.set(mask.digest, async () => ({ ...(await read(mask.place)), digest: mask.digest }))
      }
    }
    const missing = await samples.missing([...needed.keys()])
    for (let at = 0; at < missing.length; at += readAtOnce) {
      const some = missing.slice(at, at + readAtOnce)
      await samples.keep(await Promise.all(some.map((digest) => needed.get(digest)!())))
    }
    await datasets.put(
      dataset,
      batch.map(({ sample }) =>
        parse(DatasetSample, sampleToSend(sample), `the sample "${sample.name}"`),
      ),
      by,
    )
  }
}

async function* batchesOf(list: string): AsyncGenerator<ReadSample[]> {
  let batch: ReadSample[] = []
  for await (const line of createInterface({ input: createReadStream(list) })) {
    batch.push(JSON.parse(line) as ReadSample)
    if (batch.length < batchSamples) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

async function bytesAt({ file, from, bytes }: BytePlace): Promise<Uint8Array> {
  if (from === undefined || bytes === undefined) return await readFile(file)
  await using handle = await open(file)
  const { buffer } = await handle.read(Buffer.alloc(bytes), 0, bytes, from)
  return buffer
}
