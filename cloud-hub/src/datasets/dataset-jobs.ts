/** The long work on datasets: what queues it, and what does it. */
import type { DatasetFormat, FreezeRequest, Job } from '@edgeloop/protocol'
import type { AuditNote } from '../audit/audit.ts'
import type { Blobs } from '../blobs/blobs.ts'
import type { JobActs } from '../jobs/job-worker.ts'
import type { JobQueue } from '../jobs/jobs.ts'
import type { Store } from '../store/store.ts'
import type { Uploads } from '../uploads/uploads.ts'
import type { DatasetDesk } from './datasets.ts'
import { freezeAct, queueFreeze } from './freeze-job.ts'
import { importAct, queueImport } from './import-job.ts'
import { inspectAct, openInspect, queueInspect } from './inspect-job.ts'
import type { SamplePictures } from './sample-pictures.ts'
import type { VersionDesk } from './versions.ts'

export type DatasetJobs = {
  /** @throws {Refusal} as `queueImport` */
  import(
    given: { dataset: string; uploadId: string; format?: DatasetFormat; by: string },
    note: AuditNote,
  ): Promise<Job>
  /** @throws {Refusal} as `queueFreeze` */
  freeze(
    given: { dataset: string; request: FreezeRequest; by: string; jobId?: string },
    note: AuditNote,
  ): Promise<Job>
  /** @throws {Refusal} as `queueInspect` */
  inspect(given: { dataset: string; by: string }, note: AuditNote): Promise<Job>
  /** For the worker. */
  readonly acts: JobActs
}

export function openDatasetJobs(deps: {
  store: Store
  datasets: DatasetDesk
  versions: VersionDesk
  samples: SamplePictures
  files: Blobs
  uploads: Uploads
  queue: JobQueue
  queued: () => void
  /** Work is done in new folders below this one. */
  folder: string
}): DatasetJobs {
  const inspect = openInspect(deps)
  const then = async (adding: Promise<Job>): Promise<Job> => {
    const job = await adding
    deps.queued()
    return job
  }
  return {
    import: (given, note) => then(queueImport(deps, given, note)),
    freeze: (given, note) => then(queueFreeze(deps, given, note)),
    inspect: (given, note) => then(queueInspect(deps, given, note)),
    acts: {
      'dataset-import': importAct({ ...deps, inspect }),
      'dataset-freeze': freezeAct({ ...deps, inspect }),
      'dataset-inspect': inspectAct(inspect),
    },
  }
}
