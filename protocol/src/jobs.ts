/** Long work of the hub: an entry in a durable queue, done by a process of its own. */
import { type Static, Type } from 'typebox'
import { Timestamp } from './names.ts'

export const jobKinds = [
  'compile',
  'publish',
  'dataset-import',
  'dataset-freeze',
  'dataset-inspect',
  'label-suggest',
  'infer',
  'train',
] as const
export const jobStates = ['queued', 'running', 'done', 'failed', 'cancelled'] as const
export type JobState = (typeof jobStates)[number]

export const JobId = Type.String({ pattern: '^[0-9a-f-]{36}$', maxLength: 36 })

export const Job = Type.Object(
  {
    jobId: JobId,
    kind: Type.Enum(jobKinds),
    /** What it is about: `NAME/VERSION` of a model, `datasets/NAME`, `label-queues/NAME`, `run/ID`. */
    subject: Type.String(),
    state: Type.Enum(jobStates),
    /** Share (0..1) that is done. */
    progress: Type.Number({ minimum: 0, maximum: 1 }),
    /** What it does just now, or did last. */
    step: Type.String(),
    /** Why it failed; empty where it did not. */
    error: Type.String(),
    /** Somebody asked for its end, which has not come yet. */
    cancelling: Type.Boolean(),
    /** How often it was begun: a job whose hub died is begun once more. */
    attempts: Type.Integer({ minimum: 0 }),
    by: Type.String(),
    createdAt: Timestamp,
    startedAt: Type.Union([Timestamp, Type.Null()]),
    endedAt: Type.Union([Timestamp, Type.Null()]),
  },
  { $id: 'Job' },
)
export type Job = Static<typeof Job>

/** True for a job that will not change any more. */
export const isOver = ({ state }: Pick<Job, 'state'>): boolean =>
  state !== 'queued' && state !== 'running'
