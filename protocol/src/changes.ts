/** What the hub tells pages as it happens. */
import { type Static, Type } from 'typebox'
import { DatasetName } from './datasets.ts'
import { DeviceRow } from './device.ts'
import { Mark, StoredEvent } from './event.ts'
import { Job } from './jobs.ts'
import { QueueName } from './labelling.ts'
import { ModelName } from './models.ts'
import { DeviceId, StreamId } from './names.ts'
import { RolloutRow } from './rollouts.ts'
import { Run, RunId, RunPoints } from './runs.ts'
import { Search, SearchId } from './searches.ts'

/**
 * One server-sent change. `device`: patch of a fleet row; `deviceRemoved`: the row is gone; `event`: a
 * stored event; `marked`: a mark on events; `job`: a job as it is now; `models`: the list of models is another
 * one; `dataset`: what is in a dataset is another; `run`: a run as it is now; `runPoints`: new points of its curves;
 * `runRemoved`: it is gone; `search`, `searchRemoved`: the same of a search; `trainingSchedules`: what begins runs is another; `rollout`: a rollout as it is now;
 * `pipeline`: a pipeline, or its newest round, is another; `drift`: alarms of a stream are others; `labelQueue`: tasks of a queue came, went or were answered; `rules`: rules, receivers or deliveries are others; `counts`: figures for the header. The client ignores a patch whose
 * `revision` is not above the one it has.
 */
export const Change = Type.Union([
  Type.Object({
    kind: Type.Literal('device'),
    deviceId: DeviceId,
    revision: Type.Integer(),
    patch: Type.Partial(DeviceRow),
  }),
  Type.Object({ kind: Type.Literal('deviceRemoved'), deviceId: DeviceId }),
  Type.Object({ kind: Type.Literal('job'), job: Job }),
  Type.Object({ kind: Type.Literal('models') }),
  Type.Object({ kind: Type.Literal('dataset'), name: DatasetName }),
  Type.Object({ kind: Type.Literal('run'), run: Run }),
  Type.Object({ kind: Type.Literal('runPoints'), points: RunPoints }),
  Type.Object({ kind: Type.Literal('runRemoved'), runId: RunId }),
  Type.Object({ kind: Type.Literal('search'), search: Search }),
  Type.Object({ kind: Type.Literal('searchRemoved'), searchId: SearchId }),
  Type.Object({ kind: Type.Literal('trainingSchedules') }),
  Type.Object({ kind: Type.Literal('rollout'), rollout: RolloutRow }),
  Type.Object({ kind: Type.Literal('labelQueue'), name: QueueName }),
  /** Samples of a stream have come, or are gone. */
  Type.Object({
    kind: Type.Literal('samples'),
    deviceId: DeviceId,
    streamId: Type.Union([StreamId, Type.Null()]),
  }),
  Type.Object({ kind: Type.Literal('rules') }),
  Type.Object({ kind: Type.Literal('drift'), deviceId: DeviceId, streamId: StreamId }),
  Type.Object({ kind: Type.Literal('pipeline'), model: ModelName }),
  Type.Object({ kind: Type.Literal('event'), event: StoredEvent }),
  Type.Object({
    kind: Type.Literal('marked'),
    eventIds: Type.Array(Type.Integer()),
    mark: Mark,
    /** False where it was taken back. */
    set: Type.Boolean(),
  }),
  Type.Object({
    kind: Type.Literal('counts'),
    devicesOnline: Type.Integer(),
    eventsStored: Type.Integer(),
  }),
])
export type Change = Static<typeof Change>
