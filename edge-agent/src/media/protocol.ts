/**
 * What the supervisor and a media process say to each other over Node's IPC channel (advanced
 * serialization, so bytes stay bytes). A media process holds a group of streams: it decodes,
 * detects and tracks, and may be killed at any moment; all that must survive is with the supervisor.
 */
import type {
  LiveRequest,
  NewEvent,
  ReportedModel,
  ReportedStream,
  StreamConfig,
  StreamFigures,
} from '@edgeloop/protocol'
import type { ModelSignature } from '@edgeloop/protocol/oip'
import type { ModelSource } from '../models/model.ts'
import type { Tensors } from '../runtimes/runtime.ts'
import type { Ask } from '../sampling/chooser.ts'
import type { SeenBlock, SeenFrame } from './lane-watch.ts'

/** The models of the device. */
export type ModelSet = {
  readonly models: readonly ModelSource[]
  /** What a stream gets that names none; undefined where it has to name one. */
  readonly only?: string | undefined
}

/** First message after the fork. But for the models, everything in it stays as it is for the life of the process. */
export type Start = ModelSet & {
  readonly kind: 'start'
  readonly deviceId: string
  /** JPEGs are written here, named `DIGEST.jpg`, before they are announced. */
  readonly snapshotFolder: string
  /** Clips of events are written here, named `DIGEST.mp4`, before they are announced. */
  readonly clipFolder: string
  /** Frames kept for learning are written here, with what is known of them, before they are announced. */
  readonly sampleFolder: string
  /** Where rendered demo clips are kept. */
  readonly cacheFolder: string
  /** Open every model once to say what it is, also those that no stream uses. */
  readonly describeModels: boolean
  /** Tracks are numbered from here, so that numbers are not given twice within one start of the agent. */
  readonly firstTrackId: number
  /** How often the process says that it lives. */
  readonly heartbeatIntervalMs: number
  /** How often it reports the figures of its streams. */
  readonly figuresIntervalMs: number
}

export type ToMedia =
  | Start
  /** The streams it shall run, whole: what is missing is stopped, what is unchanged runs on. */
  | { readonly kind: 'streams'; readonly streams: readonly StreamConfig[] }
  /**
   * The models there are from now on, whole: what differs is changed under the streams that use it. Answered by
   * `modelsTaken` with the same id.
   */
  | (ModelSet & { readonly kind: 'models'; readonly id: number })
  /** A frame that goes through this model is wanted; answered by `looked`. Without a model: none any more. */
  | { readonly kind: 'look'; readonly id: number; readonly model?: string }
  /** What was learned elsewhere of a stream's next frames. */
  | { readonly kind: 'ask'; readonly streamId: string; readonly ask: Ask }
  /** Live pictures wanted of its streams, whole; an empty list stops them. */
  | { readonly kind: 'live'; readonly request: LiveRequest }
  /**
   * The event with this id is committed in the outbox under `sequence`; without one it could not be,
   * which is counted as a loss. Sent once for every `event`, in order.
   */
  | { readonly kind: 'recorded'; readonly id: number; readonly sequence?: number }
  /** Run a model on tensors; answered by `inferred` or `notInferred` with the same id. */
  | {
      readonly kind: 'infer'
      readonly id: number
      readonly model: string
      readonly inputs: Tensors
    }
  /** Close everything and exit. The channel closing means the same. */
  | { readonly kind: 'stop' }

export type FromMedia =
  /** Sent once, when `start` has been understood. */
  | { readonly kind: 'ready' }
  /** Left out while something in the process hangs, so that the supervisor kills it. */
  | { readonly kind: 'heartbeat' }
  /** To be recorded. `id` counts from 1 within the process. */
  | { readonly kind: 'event'; readonly id: number; readonly event: NewEvent }
  /** A JPEG is complete in the snapshot folder; sent before the event that names it. */
  | { readonly kind: 'snapshot'; readonly digest: string; readonly sizeBytes: number }
  /** A clip is complete in the clip folder; sent before the event that names it. */
  | { readonly kind: 'clip'; readonly digest: string; readonly sizeBytes: number }
  /** A frame that was kept for learning is complete in the sample folder. */
  | { readonly kind: 'sample'; readonly digest: string }
  /** A stream has changed its state. */
  | { readonly kind: 'stream'; readonly stream: ReportedStream }
  /** A model was opened. */
  | {
      readonly kind: 'model'
      readonly model: ReportedModel
      readonly signature: ModelSignature
    }
  /** What could not be changed, and why: there everything is as before. */
  | {
      readonly kind: 'modelsTaken'
      readonly id: number
      readonly refusals: readonly { readonly name: string; readonly reason: string }[]
    }
  /** A model cannot be opened. */
  | { readonly kind: 'modelRefused'; readonly name: string; readonly reason: string }
  | { readonly kind: 'inferred'; readonly id: number; readonly outputs: Tensors }
  | { readonly kind: 'notInferred'; readonly id: number; readonly reason: string }
  | {
      readonly kind: 'figures'
      readonly intervalMs: number
      readonly streams: readonly StreamFigures[]
      /** What models saw in the interval. */
      readonly seen: readonly SeenBlock[]
      /** Frames that samplers would have kept in the interval, budgets apart. */
      readonly wishes: readonly { readonly streamId: string; readonly frames: number }[]
    }
  | { readonly kind: 'looked'; readonly id: number; readonly frame: SeenFrame }
  /** A message made by `encodeLiveFrame`. */
  | { readonly kind: 'live'; readonly streamId: string; readonly bytes: Uint8Array }
  | {
      readonly kind: 'log'
      readonly level: 'info' | 'warn' | 'error'
      readonly text: string
      readonly fields: Readonly<Record<string, string | number>>
    }

/**
 * Most events a media process may have sent without having heard that they are recorded. At that
 * bound its streams wait, and their frames are dropped and counted by the latest-frame slots.
 */
export const unrecordedEventsMax = 256
