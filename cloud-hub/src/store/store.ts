/**
 * The contract of the hub's store: relational tables for the rooms' own queries, and one door for the
 * hot path, through which checked batches of events are committed in groups. `test/contracts/store.ts`
 * is this contract as a test suite; every implementation passes it.
 */
import type { Kysely } from 'kysely'
import type { Tables } from './tables.ts'

export interface Store extends AsyncDisposable {
  /** Reads only. Sees everything whose commit was reported before the query was asked. */
  readonly reader: Kysely<Tables>
  /** Writes, and reads inside transactions. One statement or transaction at a time. */
  readonly writer: Kysely<Tables>
  /**
   * Commits batches in one durable transaction; when the promise resolves they survive a power cut.
   * A batch whose `expected` is not its boot's mark is left out and answered with the mark.
   * @throws when nothing of the group could be stored (disk full, store closed)
   */
  commit(group: readonly CheckedBatch[]): Promise<readonly CommitOutcome[]>
}

/** Thrown while a store that is elsewhere cannot be used: try again later. */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable'
}

/** A cell of a table as it travels to the store. */
export type Cell = string | number | null

/** Events of one boot that passed their checks, in order of sequence, ready to be inserted. */
export type CheckedBatch = {
  readonly deviceKey: number
  readonly bootId: string
  /** The mark this batch was planned on; the store refuses it on any other. */
  readonly expected: number
  /** The mark when the batch is in. */
  readonly through: number
  readonly receivedAt: number
  /** `eventColumns.length` cells per event, one event after the other. */
  readonly events: readonly Cell[]
  /** `healthColumns.length` cells per health event; the first is its index in `events`. */
  readonly health: readonly Cell[]
  /** `quarantineColumns.length` cells per entry. */
  readonly quarantined: readonly Cell[]
}

/** Order of cells in `CheckedBatch.events`. */
export const eventColumns = [
  'sequence',
  'kind',
  'at',
  'historical',
  'stream_id',
  'label',
  'score',
  'snapshot',
  'data',
] as const

/** Order of cells in `CheckedBatch.health`. */
export const healthColumns = [
  'index',
  'at',
  'cpu_share',
  'memory_bytes',
  'loop_p99_ms',
  'outbox_events',
  'streams',
] as const

/** Order of cells in `CheckedBatch.quarantined`. */
export const quarantineColumns = ['sequence', 'reason', 'data'] as const

/** `firstEventId`: id of the batch's first event, the others follow without a gap. */
export type CommitOutcome =
  | { readonly kind: 'committed'; readonly through: number; readonly firstEventId: number }
  | { readonly kind: 'conflict'; readonly through: number }

/** Rows kept of what could not be taken. */
export const quarantineRowsMax = 10_000
