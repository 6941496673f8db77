/** Rollouts and their devices as rows of the store, in and out. */
import type {
  BoxCounts,
  LeftOut,
  RollBackScope,
  RolloutBytes,
  RolloutPlan,
  RolloutRow,
  RolloutStage,
  RolloutState,
  UpdateCode,
} from '@edgeloop/protocol'
import { type BoxState, Refusal, rolloutDecisionsMax } from '@edgeloop/protocol'
import type { Insertable, Kysely, Selectable } from 'kysely'
import type { RolloutBoxTable, RolloutTable, Tables } from '../store/tables.ts'
import type { BoxData, KeptBox } from './kept-box.ts'

/** What is kept of a stage, and of the end behind the last one. Times in ms. */
export type StageRecord = {
  readonly startedAt: number | null
  readonly passedAt: number | null
  readonly approvedBy: string
  readonly regardless: boolean
}

/** What is shown of a rollout, as it was worked out last. */
export type RolloutShown = {
  readonly counts: BoxCounts
  readonly bytes: RolloutBytes
  readonly offersPerMinute: number
  readonly stages: readonly RolloutStage[]
}

export type KeptRollout = {
  readonly rolloutId: string
  readonly name: string
  readonly version: number
  readonly state: RolloutState
  readonly why: string
  readonly stage: number
  readonly plan: RolloutPlan
  readonly stages: readonly StageRecord[]
  readonly held: { readonly stage: number; readonly regardless: boolean } | null
  readonly scope: RollBackScope
  readonly leftOut: readonly LeftOut[]
  readonly shown: RolloutShown
  readonly supersededBy: string
  readonly open: boolean
  readonly by: string
  readonly createdAt: number
  readonly startedAt: number | null
  readonly endedAt: number | null
  readonly revision: number
}

/** Rows of devices in one statement: while it runs, no events are committed. */
const rowsPerWrite = 200

export function rolloutOf(row: Selectable<RolloutTable>): KeptRollout {
  return {
    rolloutId: row.rollout_id,
    name: row.name,
    version: row.version,
    state: row.state as RolloutState,
    why: row.why,
    stage: row.stage,
    plan: JSON.parse(row.plan) as RolloutPlan,
    stages: JSON.parse(row.stages) as StageRecord[],
    held: row.held === '' ? null : (JSON.parse(row.held) as KeptRollout['held']),
    scope: row.scope as RollBackScope,
    leftOut: JSON.parse(row.left_out) as LeftOut[],
    shown: JSON.parse(row.shown) as RolloutShown,
    supersededBy: row.superseded_by,
    open: row.open === 1,
    by: row.author,
    createdAt: row.created_at,
    startedAt: row.started_at,
    endedAt: row.ended_at,
    revision: row.revision,
  }
}

export function cellsOfRollout(rollout: KeptRollout): Insertable<RolloutTable> {
  return {
    rollout_id: rollout.rolloutId,
    name: rollout.name,
    version: rollout.version,
    state: rollout.state,
    why: rollout.why,
    stage: rollout.stage,
    plan: JSON.stringify(rollout.plan),
    stages: JSON.stringify(rollout.stages),
    held: rollout.held === null ? '' : JSON.stringify(rollout.held),
    scope: rollout.scope,
    left_out: JSON.stringify(rollout.leftOut),
    shown: JSON.stringify(rollout.shown),
    superseded_by: rollout.supersededBy,
    open: rollout.open ? 1 : 0,
    author: rollout.by,
    created_at: rollout.createdAt,
    started_at: rollout.startedAt,
    ended_at: rollout.endedAt,
    revision: rollout.revision,
  }
}

export function boxOf(row: Selectable<RolloutBoxTable>): KeptBox {
  return {
    ...(JSON.parse(row.data) as BoxData),
    rolloutId: row.rollout_id,
    deviceKey: row.device_key,
    rank: row.rank,
    stage: row.stage,
    state: row.state as BoxState,
    attempt: row.attempt,
    since: row.since,
    offeredAt: row.offered_at,
    contactAt: row.contact_at,
    confirmedAt: row.confirmed_at,
    revoked: row.revoked === 1,
    goingBack: row.going_back === 1,
    current: row.current === 1,
    code: row.code === '' ? null : (row.code as UpdateCode),
    reason: row.reason,
    digest: row.digest,
    target: row.target,
    manifest: JSON.parse(row.manifest) as KeptBox['manifest'],
    versionBefore: row.version_before,
    afterSequence: row.after_sequence,
    activateBefore: row.activate_before,
  }
}

export function cellsOfBox(box: KeptBox): Insertable<RolloutBoxTable> {
  const { bytes, history, shadow, probation } = box
  return {
    rollout_id: box.rolloutId,
    device_key: box.deviceKey,
    rank: box.rank,
    stage: box.stage,
    state: box.state,
    attempt: box.attempt,
    since: box.since,
    offered_at: box.offeredAt,
    contact_at: box.contactAt,
    confirmed_at: box.confirmedAt,
    revoked: box.revoked ? 1 : 0,
    going_back: box.goingBack ? 1 : 0,
    current: box.current ? 1 : 0,
    code: box.code ?? '',
    reason: box.reason,
    digest: box.digest,
    target: box.target,
    manifest: JSON.stringify(box.manifest),
    version_before: box.versionBefore,
    after_sequence: box.afterSequence,
    activate_before: box.activateBefore,
    data: JSON.stringify({ bytes, history, shadow, probation } satisfies BoxData),
  }
}

/** Writes devices of rollouts, those that are there already as they are now. */
export async function putBoxes(db: Kysely<Tables>, boxes: readonly KeptBox[]): Promise<void> {
  for (let i = 0; i < boxes.length; i += rowsPerWrite) {
    const cells = boxes.slice(i, i + rowsPerWrite).map(cellsOfBox)
    await db
      .insertInto('rollout_box')
      .values(cells)
      .onConflict((on) =>
        on.columns(['rollout_id', 'device_key']).doUpdateSet(({ ref }) => ({
          state: ref('excluded.state'),
          attempt: ref('excluded.attempt'),
          since: ref('excluded.since'),
          offered_at: ref('excluded.offered_at'),
          contact_at: ref('excluded.contact_at'),
          confirmed_at: ref('excluded.confirmed_at'),
          revoked: ref('excluded.revoked'),
          going_back: ref('excluded.going_back'),
          current: ref('excluded.current'),
          code: ref('excluded.code'),
          reason: ref('excluded.reason'),
          digest: ref('excluded.digest'),
          target: ref('excluded.target'),
          manifest: ref('excluded.manifest'),
          version_before: ref('excluded.version_before'),
          after_sequence: ref('excluded.after_sequence'),
          activate_before: ref('excluded.activate_before'),
          data: ref('excluded.data'),
        })),
      )
      .execute()
  }
}

/** @throws {Refusal} notFound */
export async function findRollout(db: Kysely<Tables>, rolloutId: string): Promise<KeptRollout> {
  const row = await db
    .selectFrom('rollout')
    .selectAll()
    .where('rollout_id', '=', rolloutId)
    .executeTakeFirst()
  if (row) return rolloutOf(row)
  throw new Refusal('notFound', `Cannot find rollout "${rolloutId}"`)
}

/** In the order in which they are offered it. */
export async function boxesOf(db: Kysely<Tables>, rolloutId: string): Promise<KeptBox[]> {
  const rows = await db
    .selectFrom('rollout_box')
    .selectAll()
    .where('rollout_id', '=', rolloutId)
    .orderBy('rank')
    .execute()
  return rows.map(boxOf)
}

/**
 * Writes a rollout where it is still as it was read.
 * @returns false where somebody else has changed it since
 */
export async function replaceRollout(db: Kysely<Tables>, rollout: KeptRollout): Promise<boolean> {
  const { rollout_id, ...cells } = cellsOfRollout(rollout)
  const { numUpdatedRows } = await db
    .updateTable('rollout')
    .set({ ...cells, revision: rollout.revision + 1 })
    .where('rollout_id', '=', rollout_id)
    .where('revision', '=', rollout.revision)
    .executeTakeFirst()
  return Number(numUpdatedRows) > 0
}

export type NewDecision = {
  readonly at: number
  readonly act: string
  readonly text: string
  readonly by: string
}

/** Notes decisions; of each rollout the newest are kept. */
export async function putDecisions(
  db: Kysely<Tables>,
  rolloutId: string,
  decisions: readonly NewDecision[],
): Promise<void> {
  if (decisions.length === 0) return
  await db
    .insertInto('rollout_decision')
    .values(
      decisions.map(({ at, act, text, by }) => ({
        rollout_id: rolloutId,
        at,
        act,
        detail: text.slice(0, 1000),
        author: by,
      })),
    )
    .execute()
  const oldest = await db
    .selectFrom('rollout_decision')
    .select('decision_id')
    .where('rollout_id', '=', rolloutId)
    .orderBy('decision_id', 'desc')
    .offset(rolloutDecisionsMax)
    .limit(1)
    .executeTakeFirst()
  if (!oldest) return
  await db
    .deleteFrom('rollout_decision')
    .where('rollout_id', '=', rolloutId)
    .where('decision_id', '<=', oldest.decision_id)
    .execute()
}

const timeOf = (at: number | null) => (at === null ? null : new Date(at).toISOString())

export function rowOfRollout(rollout: KeptRollout): RolloutRow {
  const { counts, bytes, offersPerMinute } = rollout.shown
  return {
    rolloutId: rollout.rolloutId,
    name: rollout.name,
    version: rollout.version,
    state: rollout.state,
    why: rollout.why,
    stage: rollout.stage,
    stageName: rollout.plan.stages[rollout.stage]?.name ?? '',
    stages: rollout.plan.stages.length,
    counts,
    offersPerMinute,
    bytes,
    note: rollout.plan.note,
    by: rollout.by,
    createdAt: new Date(rollout.createdAt).toISOString(),
    startedAt: timeOf(rollout.startedAt),
    endedAt: timeOf(rollout.endedAt),
    revision: rollout.revision,
  }
}
