/** Pipelines with their rounds and steps as rows of the store, in and out. */
import {
  nearestName,
  type PipelineAlarm,
  type PipelineCause,
  type PipelineConfig,
  type PipelineLink,
  type PipelineRound,
  type PipelineRoundState,
  type PipelineStepName,
  type PipelineStepState,
  pipelineSteps,
  Refusal,
  type SiteVerdict,
} from '@edgeloop/protocol'
import type { Insertable, Kysely, Selectable } from 'kysely'
import type {
  PipelineRoundTable,
  PipelineStepTable,
  PipelineTable,
  Tables,
} from '../store/tables.ts'

/** Who did something, and when (ms). */
export type ByWhom = { readonly by: string; readonly at: number }

export type KeptPipeline = {
  readonly model: string
  readonly config: PipelineConfig
  readonly parked: ByWhom | null
  /** Somebody wants a round now. */
  readonly asked: ByWhom | null
  /** Alarms that no round has answered yet. */
  readonly alarms: readonly PipelineAlarm[]
  /** The newest alarm that was looked at, by its number. */
  readonly alarmsThrough: number
  /** When its cron expression was due, where no round has answered that. */
  readonly dueAt: number | null
  /** Somebody does not want to wait between two rounds. */
  readonly hurry: boolean
  /** Sites that kept a version when a newer one was worse there. */
  readonly sitesBehind: Readonly<Record<string, number | null>>
  readonly by: string
  readonly createdAt: number
  readonly changedAt: number
  readonly revision: number
}

export type KeptStep = {
  readonly name: PipelineStepName
  readonly state: PipelineStepState
  readonly why: string
  readonly progress: number | null
  readonly attempt: number
  readonly retryAt: number | null
  /** What it begins, by what that is for: written before anything is begun, so that nothing is begun twice. */
  readonly ids: Readonly<Record<string, string>>
  readonly approvedBy: string
  readonly startedAt: number | null
  readonly endedAt: number | null
}

export type KeptRound = {
  readonly model: string
  readonly round: number
  readonly state: PipelineRoundState
  readonly why: string
  readonly cause: PipelineCause
  /** As it was when the round began. */
  readonly config: PipelineConfig
  readonly annotations: number
  readonly datasetVersion: number | null
  readonly version: number | null
  readonly championBefore: number | null
  /** Its version was made the champion. */
  readonly crowned: boolean
  readonly key: PipelineRound['key']
  readonly sites: readonly SiteVerdict[]
  readonly by: string
  readonly startedAt: number
  readonly endedAt: number | null
  readonly revision: number
  /** All of them, in their order. */
  readonly steps: readonly KeptStep[]
}

export const stepAhead = (name: PipelineStepName): KeptStep => ({
  name,
  state: 'ahead',
  why: '',
  progress: null,
  attempt: 0,
  retryAt: null,
  ids: {},
  approvedBy: '',
  startedAt: null,
  endedAt: null,
})

export const stepOf = ({ steps }: Pick<KeptRound, 'steps'>, name: PipelineStepName): KeptStep =>
  steps.find((one) => one.name === name) ?? stepAhead(name)

/** The step that a round is at: the first that is neither done nor skipped; undefined behind the last. */
export const currentStep = ({ steps }: Pick<KeptRound, 'steps'>): KeptStep | undefined =>
  steps.find(({ state }) => state !== 'done' && state !== 'skipped')

export const withStep = (round: KeptRound, step: KeptStep): KeptRound => ({
  ...round,
  steps: round.steps.map((one) => (one.name === step.name ? step : one)),
})

const kept = <T>(text: string): T | null => (text === '' ? null : (JSON.parse(text) as T))
const cell = (value: unknown): string => (value === null ? '' : JSON.stringify(value))

export const pipelineOfRow = (row: Selectable<PipelineTable>): KeptPipeline => ({
  model: row.model,
  config: JSON.parse(row.config) as PipelineConfig,
  parked: kept<ByWhom>(row.parked),
  asked: kept<ByWhom>(row.asked),
  alarms: JSON.parse(row.alarms) as PipelineAlarm[],
  alarmsThrough: row.alarms_through,
  dueAt: row.due_at,
  hurry: row.hurry === 1,
  sitesBehind: JSON.parse(row.sites_behind) as Record<string, number | null>,
  by: row.author,
  createdAt: row.created_at,
  changedAt: row.changed_at,
  revision: row.revision,
})

export const cellsOfPipeline = (one: KeptPipeline): Insertable<PipelineTable> => ({
  model: one.model,
  config: JSON.stringify(one.config),
  parked: cell(one.parked),
  asked: cell(one.asked),
  alarms: JSON.stringify(one.alarms),
  alarms_through: one.alarmsThrough,
  due_at: one.dueAt,
  hurry: one.hurry ? 1 : 0,
  sites_behind: JSON.stringify(one.sitesBehind),
  author: one.by,
  created_at: one.createdAt,
  changed_at: one.changedAt,
  revision: one.revision,
})

const roundOfRows = (
  row: Selectable<PipelineRoundTable>,
  steps: readonly Selectable<PipelineStepTable>[],
): KeptRound => ({
  model: row.model,
  round: row.round,
  state: row.state as PipelineRoundState,
  why: row.why,
  cause: JSON.parse(row.cause) as PipelineCause,
  config: JSON.parse(row.config) as PipelineConfig,
  annotations: row.annotations,
  datasetVersion: row.dataset_version,
  version: row.version,
  championBefore: row.champion_before,
  crowned: row.crowned === 1,
  key: kept<NonNullable<PipelineRound['key']>>(row.key_figure),
  sites: JSON.parse(row.sites) as SiteVerdict[],
  by: row.author,
  startedAt: row.started_at,
  endedAt: row.ended_at,
  revision: row.revision,
  steps: pipelineSteps.map((name) => {
    const found = steps.find((one) => one.step === name)
    return found ? stepOfRow(found, name) : stepAhead(name)
  }),
})

const stepOfRow = (row: Selectable<PipelineStepTable>, name: PipelineStepName): KeptStep => ({
  name,
  state: row.state as PipelineStepState,
  why: row.why,
  progress: row.progress,
  attempt: row.attempt,
  retryAt: row.retry_at,
  ids: JSON.parse(row.ids) as Record<string, string>,
  approvedBy: row.approved_by,
  startedAt: row.started_at,
  endedAt: row.ended_at,
})

/** @throws {Refusal} notFound, naming the nearest */
export async function findPipeline(db: Kysely<Tables>, model: string): Promise<KeptPipeline> {
  const row = await db
    .selectFrom('pipeline')
    .selectAll()
    .where('model', '=', model)
    .executeTakeFirst()
  if (row) return pipelineOfRow(row)
  const rows = await db.selectFrom('pipeline').select('model').execute()
  const near = nearestName(
    model,
    rows.map((one) => one.model),
  )
  const hint = near === undefined ? '' : `: did you mean "${near}"?`
  throw new Refusal('notFound', `Cannot find the pipeline of "${model}"${hint}`)
}

/** Newest first. */
export async function roundsOf(
  db: Kysely<Tables>,
  model: string,
  limit: number,
): Promise<KeptRound[]> {
  const rows = await db
    .selectFrom('pipeline_round')
    .selectAll()
    .where('model', '=', model)
    .orderBy('round', 'desc')
    .limit(limit)
    .execute()
  return await withSteps(db, model, rows)
}

/** @throws {Refusal} notFound */
export async function findRound(
  db: Kysely<Tables>,
  model: string,
  round: number,
): Promise<KeptRound> {
  const rows = await db
    .selectFrom('pipeline_round')
    .selectAll()
    .where('model', '=', model)
    .where('round', '=', round)
    .execute()
  const [found] = await withSteps(db, model, rows)
  if (found) return found
  await findPipeline(db, model)
  throw new Refusal('notFound', `Cannot find round ${round} of the pipeline of "${model}"`)
}

async function withSteps(
  db: Kysely<Tables>,
  model: string,
  rows: readonly Selectable<PipelineRoundTable>[],
): Promise<KeptRound[]> {
  if (rows.length === 0) return []
  const steps = await db
    .selectFrom('pipeline_step')
    .selectAll()
    .where('model', '=', model)
    .where(
      'round',
      'in',
      rows.map(({ round }) => round),
    )
    .execute()
  return rows.map((row) =>
    roundOfRows(
      row,
      steps.filter(({ round }) => round === row.round),
    ),
  )
}

/** Writes a pipeline as it is now. @returns false where somebody else has changed it since it was read */
export async function replacePipeline(
  db: Kysely<Tables>,
  pipeline: KeptPipeline,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('pipeline')
    .set({ ...cellsOfPipeline(pipeline), revision: pipeline.revision + 1 })
    .where('model', '=', pipeline.model)
    .where('revision', '=', pipeline.revision)
    .executeTakeFirst()
  return Number(numUpdatedRows) > 0
}

const cellsOfRound = (one: KeptRound): Insertable<PipelineRoundTable> => ({
  model: one.model,
  round: one.round,
  state: one.state,
  why: one.why,
  cause: JSON.stringify(one.cause),
  config: JSON.stringify(one.config),
  annotations: one.annotations,
  dataset_version: one.datasetVersion,
  version: one.version,
  champion_before: one.championBefore,
  crowned: one.crowned ? 1 : 0,
  key_figure: cell(one.key),
  sites: JSON.stringify(one.sites),
  author: one.by,
  started_at: one.startedAt,
  ended_at: one.endedAt,
  revision: one.revision,
})

const cellsOfStep = (
  { model, round }: Pick<KeptRound, 'model' | 'round'>,
  one: KeptStep,
): Insertable<PipelineStepTable> => ({
  model,
  round,
  step: one.name,
  state: one.state,
  why: one.why,
  progress: one.progress,
  attempt: one.attempt,
  retry_at: one.retryAt,
  ids: JSON.stringify(one.ids),
  approved_by: one.approvedBy,
  started_at: one.startedAt,
  ended_at: one.endedAt,
})

export async function putRound(db: Kysely<Tables>, round: KeptRound): Promise<void> {
  await db.insertInto('pipeline_round').values(cellsOfRound(round)).execute()
  await db
    .insertInto('pipeline_step')
    .values(round.steps.map((step) => cellsOfStep(round, step)))
    .execute()
}

/** Writes a round as it is now. @returns false where somebody else has changed it since it was read */
export async function replaceRound(db: Kysely<Tables>, round: KeptRound): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('pipeline_round')
    .set({ ...cellsOfRound(round), revision: round.revision + 1 })
    .where('model', '=', round.model)
    .where('round', '=', round.round)
    .where('revision', '=', round.revision)
    .executeTakeFirst()
  if (Number(numUpdatedRows) === 0) return false
  for (const step of round.steps) {
    await db
      .updateTable('pipeline_step')
      .set(cellsOfStep(round, step))
      .where('model', '=', round.model)
      .where('round', '=', round.round)
      .where('step', '=', step.name)
      .execute()
  }
  return true
}

const timeOf = (at: number | null) => (at === null ? null : new Date(at).toISOString())

function linksOf(round: KeptRound, { name, ids }: KeptStep): PipelineLink[] {
  const { model, datasetVersion, version, config } = round
  const link = (kind: PipelineLink['kind'], id: string, what: string) => ({ kind, id, what })
  const jobs = () => Object.entries(ids).map(([what, id]) => link('job', id, what))
  switch (name) {
    case 'freeze':
      return datasetVersion === null
        ? jobs()
        : [link('dataset', `${config.dataset}/${datasetVersion}`, `version ${datasetVersion}`)]
    case 'train':
      return Object.values(ids).map((id) => link('run', id, 'run'))
    case 'gate':
      return version === null ? [] : [link('model', `${model}/${version}`, `version ${version}`)]
    case 'rollout':
      return Object.values(ids).map((id) => link('rollout', id, 'rollout'))
    default:
      return jobs()
  }
}

/** A round as it is shown. */
export const shownRound = (round: KeptRound): PipelineRound => {
  const open = currentStep(round)
  const rollout = stepOf(round, 'rollout')
  return {
    model: round.model,
    round: round.round,
    state: round.state,
    why: round.why,
    cause: round.cause,
    annotations: round.annotations,
    dataset: { name: round.config.dataset, version: round.datasetVersion },
    runId: stepOf(round, 'train').ids.run ?? null,
    version: round.version,
    championBefore: round.championBefore,
    key: round.key,
    sites: [...round.sites],
    sitesKept: round.sites.flatMap(({ by, name, ships }) =>
      by === 'site' && !ships ? [name] : [],
    ),
    rolloutId: rollout.ids.rollout ?? null,
    approval: round.state === 'running' && open?.state === 'waiting' && open.retryAt === null,
    steps: round.steps.map((step) => ({
      name: step.name,
      state: step.state,
      why: step.why,
      progress: step.progress,
      attempt: step.attempt,
      retryAt: timeOf(step.retryAt),
      startedAt: timeOf(step.startedAt),
      endedAt: timeOf(step.endedAt),
      links: linksOf(round, step),
    })),
    by: round.by,
    startedAt: new Date(round.startedAt).toISOString(),
    endedAt: timeOf(round.endedAt),
    revision: round.revision,
  }
}
