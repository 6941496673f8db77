/**
 * Looks at every picture of a dataset in a child: those that break off, boxes that cannot be meant, pictures that are
 * nearly the same; and makes small pictures for grids. What it finds is kept with the dataset, for people to look at and for the next split to obey.
 */
import { createWriteStream } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { DatasetSample, Job } from '@edgeloop/protocol'
import type { AuditNote } from '../audit/audit.ts'
import type { Blobs } from '../blobs/blobs.ts'
import type { JobAct, JobProgress } from '../jobs/job-worker.ts'
import type { JobQueue } from '../jobs/jobs.ts'
import type { Store } from '../store/store.ts'
import type { Inspected, InspectOrder } from './dataset-work.ts'
import type { DatasetDesk } from './datasets.ts'
import { datasetOfSubject, subjectOf } from './job-subject.ts'
import { layFrozen } from './lay-pictures.ts'
import { runWork } from './run-work.ts'
import type { SamplePictures } from './sample-pictures.ts'
import { withWorkFolder } from './work-folder.ts'

/** Digests that show the same; looks at the dataset where that was not done since it changed. */
export type Inspect = (
  dataset: string,
  progress: JobProgress,
  signal: AbortSignal,
) => Promise<{ readonly together: readonly (readonly string[])[] }>

/** @throws {Refusal} notFound; as `JobQueue.add` */
export async function queueInspect(
  deps: { datasets: DatasetDesk; queue: JobQueue },
  { dataset, by }: { dataset: string; by: string },
  note: AuditNote,
): Promise<Job> {
  await deps.datasets.show(dataset)
  return await deps.queue.add(
    { kind: 'dataset-inspect', subject: subjectOf(dataset), request: {}, by },
    note,
  )
}

export function openInspect(deps: {
  store: Store
  datasets: DatasetDesk
  files: Blobs
  samples: SamplePictures
  /** Work is done in a new folder below this one. */
  folder: string
}): Inspect {
  const { store, datasets, files, folder, samples: pictures } = deps
  return async (dataset, progress, signal) => {
    const row = await datasets.show(dataset)
    const before = await datasets.found(dataset)
    if (before?.revision === row.revision) return { together: before.copies }
    if (row.samples === 0) return { together: [] }
    return await withWorkFolder(folder, 'inspect', async (work) => {
      const laid = join(work, 'data')
      const small = { folder: join(work, 'small'), list: join(work, 'small.txt') }
      await mkdir(laid)
      await mkdir(small.folder)
      progress(0, 'lay out the pictures')
      const names = new Map<string, string>()
      const samples: Pick<DatasetSample, 'digest' | 'annotations'>[] = []
      const lines = async function* () {
        yield `${JSON.stringify({ labels: row.labels })}\n`
        for await (const page of datasets.pages(dataset)) {
          for (const { capturedAt, ...sample } of page) {
            const { digest, annotations, name } = sample
            samples.push({ digest, annotations })
            names.set(name, digest)
            yield `${JSON.stringify(sample)}\n`
          }
        }
      }
      await pipeline(lines, createWriteStream(join(laid, 'samples.jsonl')))
      const { labels } = row
      await layFrozen({ store, files }, { name: dataset, labels, samples }, laid, signal)
      const wanted = await pictures.withoutThumbnail(samples.map(({ digest }) => digest))
      await writeFile(small.list, wanted.join('\n'))
      const found = await runWork<InspectOrder, Inspected>(
        { kind: 'inspect', folder: laid, small },
        `look at "${dataset}"`,
        (at) => progress(0.1 + 0.85 * at.share, at.step),
        signal,
      )
      await pictures.keepThumbnails(small.folder, signal)
      await datasets.keepFound(dataset, {
        revision: row.revision,
        ...found,
        listed: found.listed.map(({ kind, file, text }) => ({
          kind,
          name: file,
          digest: names.get(file) ?? null,
          text: text.replaceAll(laid, 'the dataset'),
        })),
      })
      return { together: found.copies }
    })
  }
}

export function inspectAct(inspect: Inspect): JobAct {
  return async ({ job }, progress, signal) => {
    await inspect(datasetOfSubject(job.subject), progress, signal)
  }
}
