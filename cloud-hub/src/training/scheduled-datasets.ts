/** Datasets as schedules need them: how much is newly said, and a version of what is in them now. */
import { setTimeout as sleep } from 'node:timers/promises'
import { isOver } from '@edgeloop/protocol'
import type { Audit } from '../audit/audit.ts'
import type { DatasetJobs } from '../datasets/dataset-jobs.ts'
import type { DatasetDesk } from '../datasets/datasets.ts'
import type { VersionDesk } from '../datasets/versions.ts'
import type { JobQueue } from '../jobs/jobs.ts'
import type { Store } from '../store/store.ts'
import type { ScheduledDatasets } from './schedules.ts'

const lookIntervalMs = 1000
/** Freezing is a job: others may come before it. */
const freezeMsMax = 3_600_000

export function openScheduledDatasets(deps: {
  store: Store
  audit: Audit
  queue: JobQueue
  datasets: DatasetDesk
  versions: VersionDesk
  jobs: DatasetJobs
}): ScheduledDatasets {
  const { store, audit, queue, datasets, versions, jobs } = deps
  return {
    versions: (dataset) => versions.list(dataset),

    annotatedSince: async (dataset, since) => {
      const { count } = await store.reader
        .selectFrom('dataset_sample')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .where('dataset', '=', dataset)
        .where('at', '>', since)
        .where('annotations', '<>', '[]')
        .executeTakeFirstOrThrow()
      return Number(count)
    },

    freeze: async (dataset, by, signal) => {
      const { revision } = await datasets.show(dataset)
      const [newest] = await versions.list(dataset)
      if (newest?.revision === revision) return newest
      const facts = { actor: by, via: 'hub', action: 'datasetFreeze', target: dataset } as const
      const note = audit.begin({ ...facts, address: '' })
      const request = { split: newest?.split ?? {}, note: 'by a schedule' }
      let job = await jobs.freeze({ dataset, request, by }, note)
      const limit = AbortSignal.any([signal, AbortSignal.timeout(freezeMsMax)])
      while (!isOver(job)) {
        await sleep(lookIntervalMs, undefined, { signal: limit })
        job = await queue.get(job.jobId)
      }
      if (job.state !== 'done') throw new Error(job.error || `Freezing "${dataset}" was cancelled`)
      const [frozen] = await versions.list(dataset)
      if (!frozen) throw new Error(`Cannot find what was frozen of "${dataset}"`)
      return frozen
    },
  }
}
