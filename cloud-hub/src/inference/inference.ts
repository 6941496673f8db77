/** Models of the registry at work for others: tensors by HTTP, and batches of pictures. */
import type { Job } from '@edgeloop/protocol'
import type { SamplePictures } from '../datasets/sample-pictures.ts'
import type { VersionDesk } from '../datasets/versions.ts'
import type { JobActs } from '../jobs/job-worker.ts'
import type { JobQueue } from '../jobs/jobs.ts'
import type { ModelDesk } from '../models/models.ts'
import type { Store } from '../store/store.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { type Batches, openBatches } from './batches.ts'
import type { InferenceEngine } from './engine.ts'
import { inferAct } from './infer-job.ts'
import { openModelPool, type PoolLimits } from './model-pool.ts'
import { openServedModels, type ServedModels } from './served-models.ts'

export type Inference = AsyncDisposable & {
  readonly served: ServedModels
  readonly batches: Batches
  /** What a worker of the queue does for it; nothing where nothing here executes models. */
  readonly acts: JobActs
  /** Models that are open. */
  readonly open: number
  heard(job: Job): Promise<void>
}

/** @param engine without it nothing is served, and no batch can be asked for */
export function openInference(deps: {
  store: Store
  models: ModelDesk
  samples: Pick<SamplePictures, 'show'>
  versions: Pick<VersionDesk, 'pictures'>
  queue: JobQueue
  engine: InferenceEngine | undefined
  limits: Partial<PoolLimits>
  /** Work is done in new folders below this one. */
  folder: string
  version: string
  metrics: Metrics
  clock: () => number
  queued: () => void
}): Inference {
  const { store, models, samples, engine, limits, folder, metrics, clock } = deps
  const pool = engine && openModelPool({ engine, models, folder, clock, limits })
  const served = openServedModels({ models, pool, version: deps.version })
  const batches = openBatches({ ...deps, served })
  const count = (result: string, pictures: number) =>
    metrics.batchPictures.inc({ result }, pictures)
  return {
    served,
    batches,
    acts: pool ? { infer: inferAct({ store, models, samples, pool, clock, count }) } : {},
    get open() {
      return pool?.open ?? 0
    },
    heard: batches.heard,
    async [Symbol.asyncDispose]() {
      await pool?.[Symbol.asyncDispose]()
    },
  }
}
