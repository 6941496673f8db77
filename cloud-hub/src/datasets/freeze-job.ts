/**
 * Freezes a dataset: what is in it is written down as it is at one moment, split in a child, and kept as the next
 * version.
 */
import { createWriteStream } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import {
  type DatasetRow,
  type DatasetSample,
  type FreezeRequest,
  type Job,
  Refusal,
} from '@edgeloop/protocol'
import type { AuditNote } from '../audit/audit.ts'
import type { JobAct } from '../jobs/job-worker.ts'
import type { JobQueue } from '../jobs/jobs.ts'
import type { FreezeOrder, Frozen } from './dataset-work.ts'
import type { DatasetDesk } from './datasets.ts'
import type { Inspect } from './inspect-job.ts'
import { datasetOfSubject, subjectOf } from './job-subject.ts'
import { runWork } from './run-work.ts'
import type { VersionDesk } from './versions.ts'
import { withWorkFolder } from './work-folder.ts'

/** Times that a dataset is read until nothing changes meanwhile. */
const attemptsMax = 5

/**
 * @param given.jobId of whoever must know it before
 * @throws {Refusal} notFound; badRequest for an empty dataset, or a split that says two things; as `JobQueue.add`
 */
export async function queueFreeze(
  deps: { datasets: DatasetDesk; versions: VersionDesk; queue: JobQueue },
  given: { dataset: string; request: FreezeRequest; by: string; jobId?: string },
  note: AuditNote,
): Promise<Job> {
  const { dataset, request, by, ...id } = given
  const { samples } = await deps.datasets.show(dataset)
  if (samples === 0) {
    throw new Refusal('badRequest', `Cannot freeze "${dataset}": it has no sample`)
  }
  const { folds, holdout, validation, after } = request.split
  if (after !== undefined) {
    if (after > 0) await deps.versions.show(dataset, after)
    if (folds !== undefined || typeof holdout === 'string') {
      throw new Refusal(
        'badRequest',
        `Cannot freeze "${dataset}" after version ${after} ${folds === undefined ? `with "${holdout}" as the test` : 'in folds'}: sides that stay go with a share only; leave one of them out`,
      )
    }
  }
  if (folds !== undefined && (holdout !== undefined || validation !== undefined)) {
    throw new Refusal(
      'badRequest',
      `Cannot freeze "${dataset}" in ${folds} folds with a holdout: each fold is the test once; leave one of them out`,
    )
  }
  return await deps.queue.add(
    { kind: 'dataset-freeze', subject: subjectOf(dataset), request, by, ...id },
    note,
  )
}

export function freezeAct(deps: {
  datasets: DatasetDesk
  versions: VersionDesk
  /** Work is done in a new folder below this one. */
  folder: string
  inspect: Inspect
}): JobAct {
  const { datasets, versions, folder, inspect } = deps
  return async ({ job, request }, progress, signal) => {
    const dataset = datasetOfSubject(job.subject)
    const { split: asked, note = '' } = request as FreezeRequest
    const { together } = await inspect(
      dataset,
      (share, step) => progress(0.6 * share, step),
      signal,
    )
    await withWorkFolder(folder, 'freeze', async (work) => {
      progress(0.6, 'write down what is in it')
      const list = join(work, 'list')
      const row = await writeDown(dataset, list, signal)
      const before = join(work, 'before.json')
      if (asked.after !== undefined) {
        const { after } = asked
        const sides = after > 0 ? await versions.sides(dataset, after) : new Map()
        await writeFile(before, JSON.stringify(Object.fromEntries(sides)))
      }
      const order: FreezeOrder = {
        kind: 'freeze',
        name: dataset,
        labels: row.labels,
        list,
        asked,
        together,
        ...(asked.after !== undefined && { before }),
        frozen: join(work, 'samples.jsonl'),
      }
      const { folds, samples } = await runWork<FreezeOrder, Frozen>(
        order,
        `freeze "${dataset}"`,
        (at) => progress(0.6 + 0.35 * at.share, at.step),
        signal,
      )
      progress(0.95, 'keep the version')
      await versions.keep({
        dataset,
        revision: row.revision,
        labels: row.labels,
        samples,
        asked,
        note,
        list: await readFile(order.frozen),
        splits: { folds },
        inspection: '',
        by: job.by,
      })
    })
  }

  /** Writes the samples as they are at one moment: what was changed meanwhile is written anew. */
  async function writeDown(
    dataset: string,
    list: string,
    signal: AbortSignal,
  ): Promise<DatasetRow> {
    for (let attempt = 1; attempt <= attemptsMax; attempt++) {
      const before = await datasets.show(dataset)
      const lines = async function* () {
        for await (const page of datasets.pages(dataset)) {
          signal.throwIfAborted()
          yield page.map((sample) => `${JSON.stringify(asRead(sample))}\n`).join('')
        }
      }
      await pipeline(lines, createWriteStream(list))
      const after = await datasets.show(dataset)
      if (after.revision === before.revision) return after
    }
    throw new Error(`Cannot freeze "${dataset}": it changes all the time; stop that, and try again`)
  }
}

/** As `dataset-work.ts` has it. */
const asRead = ({ capturedAt, ...sample }: DatasetSample) => ({
  ...sample,
  ...(capturedAt !== undefined && { capturedAt: Date.parse(capturedAt) }),
})
