/**
 * Pipelines: what takes a model from new annotations to the boxes by itself, round after round. A pipeline says when a round
 * begins and how each of its steps is done; a round is one passage through the steps, which are always the same.
 */
import { type Static, Type } from 'typebox'
import { TargetName } from './artifact.ts'
import { DatasetVersionNumber, SplitRequest } from './datasets.ts'
import { DriftKind } from './drift.ts'
import { CompileRequest, ModelName, ModelVersionNumber } from './models.ts'
import { SiteId, Timestamp } from './names.ts'
import { PublishRequest } from './publishing.ts'
import { RolloutRequest } from './rollouts.ts'
import type { Route } from './route.ts'
import { RunId, RunRequest } from './runs.ts'

const closed = { additionalProperties: false } as const
const dayMs = 86_400_000
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()])

/** Pipelines at once. */
export const pipelinesMax = 100
/** Rounds of one pipeline that are kept, the newest. */
export const pipelineRoundsMax = 500

/** What begins a round. Any of them is enough; a round is never begun while another is open. */
export const PipelineTrigger = Type.Object(
  {
    /** Samples that something is newly said of since the last round froze the dataset; null: they begin nothing. */
    annotations: orNull(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
    /** An alarm of a stream that runs the model; null: alarms begin nothing. */
    drift: orNull(
      Type.Object(
        {
          /** Kinds of alarms that count; where empty, those that learning can answer (`learnableDrift`). */
          kinds: Type.Array(DriftKind, { maxItems: 20, uniqueItems: true }),
          /** The round waits until so much is newly said: without labels there is nothing to learn from. */
          annotationsMin: Type.Integer({ minimum: 0, maximum: 1_000_000 }),
        },
        closed,
      ),
    ),
    /** Minute, hour, day, month, weekday, in the hub's time zone: `17 3 * * 1`; null: no time does. */
    cron: orNull(Type.String({ minLength: 9, maxLength: 100 })),
    /** At least so long from the begin of one round to the begin of the next; who starts one by hand need not wait. */
    intervalMinMs: Type.Integer({ minimum: 0, maximum: 366 * dayMs }),
  },
  closed,
)
export type PipelineTrigger = Static<typeof PipelineTrigger>

/** Drift that a model can learn its way out of: a covered or blurred camera has to be cleaned instead. */
export const learnableDrift: readonly DriftKind[] = ['data', 'output', 'camera-moved']

/** What becomes of a site with too few test samples to tell: it gets the version, or keeps what it has. */
export const unknownSiteRules = ['ship', 'keep-back'] as const

/** What a version must reach on the newest test samples. Figures are those of the task: `ap`, `accuracy`. */
export const PipelineGate = Type.Object(
  {
    /** By how much it must be better than the champion; 0: not worse. In the figure's own unit. */
    gainMin: Type.Number({ minimum: -1, maximum: 1 }),
    /**
     * By how much it may be worse on a site's own test samples, beside what chance explains (one standard error of the
     * difference). A site where it is worse than that keeps what it has.
     */
    siteDropMax: Type.Number({ minimum: 0, maximum: 1 }),
    /** Test samples of a site below which nothing is known. */
    siteSamplesMin: Type.Integer({ minimum: 2, maximum: 100_000 }),
    unknownSites: Type.Enum(unknownSiteRules),
  },
  closed,
)
export type PipelineGate = Static<typeof PipelineGate>

const split = SplitRequest.properties
const rolloutWish = RolloutRequest.properties

/** How the version goes to boxes. What is left out is as a rollout has it. */
export const PipelineRollout = Type.Object(
  {
    /** Somebody has to approve before anything is offered to a box. */
    approve: Type.Boolean(),
    /** Which devices; those that run the model where left out. */
    select: Type.Optional(rolloutWish.select),
    stages: rolloutWish.stages,
    rate: rolloutWish.rate,
    windows: rolloutWish.windows,
    approval: rolloutWish.approval,
    whenBusy: rolloutWish.whenBusy,
    onStop: rolloutWish.onStop,
    care: rolloutWish.care,
    deadlines: rolloutWish.deadlines,
    reachableMs: rolloutWish.reachableMs,
    bytesPerSecondMax: rolloutWish.bytesPerSecondMax,
    jitterMs: rolloutWish.jitterMs,
  },
  closed,
)

export const PipelineConfig = Type.Object(
  {
    dataset: ModelName,
    trigger: PipelineTrigger,
    /** How what is new is dealt out. What was on a side stays there for ever, so the test part only grows. */
    freeze: Type.Object(
      {
        holdout: Type.Number({ minimum: 0.05, maximum: 0.9 }),
        validation: Type.Number({ minimum: 0, maximum: 0.9 }),
        /** Blocks of time of each stream where times are known, where left out. */
        by: split.by,
        seed: Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 }),
      },
      closed,
    ),
    train: Type.Object(
      {
        /** What is trained while the model has no version yet: `new:BUILDER`, or `NAME/VERSION` of another. Its champion afterwards. */
        from: Type.Optional(RunRequest.properties.parent),
        layout: RunRequest.properties.layout,
        recipe: Type.Record(Type.String({ maxLength: 60 }), Type.Unknown()),
        seed: Type.Integer({ minimum: 0, maximum: 4_294_967_295 }),
        /**
         * Share of each batch that comes from samples of the rounds before, the rest from what is new; 0: all samples alike.
         */
        replayShare: Type.Number({ minimum: 0, maximum: 0.95 }),
      },
      closed,
    ),
    gate: PipelineGate,
    /** For the targets of the boxes that are meant. Null: boxes get the file as it was trained. */
    compile: orNull(
      Type.Object(
        {
          /** Instead of the targets of the boxes that are meant. */
          targets: Type.Optional(Type.Array(TargetName, { minItems: 1, maxItems: 20 })),
          precision: CompileRequest.properties.precision,
          maxDrop: CompileRequest.properties.maxDrop,
          images: CompileRequest.properties.images,
          newScales: CompileRequest.properties.newScales,
        },
        closed,
      ),
    ),
    publish: Type.Object({ expiresDays: PublishRequest.properties.expiresDays }, closed),
    /** Null: the round ends with the published version. */
    rollout: orNull(PipelineRollout),
    /** How often a step that failed is tried again before the round waits for somebody. */
    retries: Type.Integer({ minimum: 0, maximum: 10 }),
    note: Type.String({ maxLength: 500 }),
  },
  { $id: 'PipelineConfig', ...closed },
)
export type PipelineConfig = Static<typeof PipelineConfig>

export const pipelineDefaults = {
  trigger: { annotations: null, drift: null, cron: null, intervalMinMs: 0 },
  freeze: { holdout: 0.2, validation: 0.1, seed: 1 },
  train: { recipe: {}, seed: 1, replayShare: 0 },
  gate: { gainMin: 0, siteDropMax: 0.02, siteSamplesMin: 10, unknownSites: 'ship' },
  compile: {},
  publish: {},
  rollout: { approve: false },
  retries: 2,
  note: '',
} as const satisfies Omit<PipelineConfig, 'dataset'>

const config = PipelineConfig.properties
/** What somebody sets. What is left out is as `pipelineDefaults` has it. */
export const PipelineRequest = Type.Object(
  {
    dataset: config.dataset,
    trigger: Type.Optional(Type.Partial(PipelineTrigger, closed)),
    freeze: Type.Optional(Type.Partial(config.freeze, closed)),
    train: Type.Optional(Type.Partial(config.train, closed)),
    gate: Type.Optional(Type.Partial(PipelineGate, closed)),
    compile: Type.Optional(config.compile),
    publish: Type.Optional(config.publish),
    rollout: Type.Optional(orNull(Type.Partial(PipelineRollout, closed))),
    retries: Type.Optional(config.retries),
    note: Type.Optional(config.note),
  },
  { $id: 'PipelineRequest', ...closed },
)
export type PipelineRequest = Static<typeof PipelineRequest>

/** The configuration that a request asks for, everything that was left out filled in. */
export function pipelineOf(request: PipelineRequest): PipelineConfig {
  const { dataset, trigger, freeze, train, gate, rollout, ...rest } = request
  return {
    ...pipelineDefaults,
    ...rest,
    dataset,
    trigger: { ...pipelineDefaults.trigger, ...trigger },
    freeze: { ...pipelineDefaults.freeze, ...freeze },
    train: { ...pipelineDefaults.train, ...train },
    gate: { ...pipelineDefaults.gate, ...gate },
    rollout: rollout === null ? null : { ...pipelineDefaults.rollout, ...rollout },
  }
}

/** The steps of every round, in their order. */
export const pipelineSteps = ['freeze', 'train', 'gate', 'compile', 'publish', 'rollout'] as const
export type PipelineStepName = (typeof pipelineSteps)[number]

/**
 * `ahead`: not reached; `running`; `waiting`: for somebody's yes, or for the time of the next try; `done`; `skipped`: there was
 * nothing to do, it says why; `failed`: as often as it may, it says why.
 */
export const pipelineStepStates = [
  ...(['ahead', 'running', 'waiting', 'done', 'skipped', 'failed'] as const),
] as const
export type PipelineStepState = (typeof pipelineStepStates)[number]

/**
 * `running`; `parked`: a step failed as often as it may, and somebody has to look; `refused`: the version was not good enough;
 * `stopped`: its rollout was, and the champion is again the one before; `cancelled`: by somebody; `done`.
 */
export const pipelineRoundStates = [
  ...(['running', 'parked', 'refused', 'stopped', 'cancelled', 'done'] as const),
] as const
export type PipelineRoundState = (typeof pipelineRoundStates)[number]

/** True for a round after which the next may begin. */
export const isRoundOver = ({ state }: { readonly state: PipelineRoundState }): boolean =>
  state !== 'running' && state !== 'parked'

/** Something that a step began, and where to look at it. */
export const PipelineLink = Type.Object({
  kind: Type.Enum(['job', 'run', 'rollout', 'dataset', 'model']),
  /** Id of a job, a run or a rollout; `NAME/VERSION` of a dataset or a model. */
  id: Type.String({ maxLength: 120 }),
  /** What it is for, such as a target. */
  what: Type.String({ maxLength: 200 }),
})
export type PipelineLink = Static<typeof PipelineLink>

export const siteVerdicts = ['better', 'same', 'worse', 'unknown'] as const
export type SiteVerdictName = (typeof siteVerdicts)[number]

/** How a version does on the test samples of one site or stream, beside what runs there. */
export const SiteVerdict = Type.Object(
  {
    by: Type.Enum(['site', 'stream']),
    name: Type.String(),
    /** Test samples. */
    samples: Type.Integer({ minimum: 0 }),
    /** The version that it is compared with: what this site has; null where there is none. */
    against: orNull(ModelVersionNumber),
    before: orNull(Type.Number()),
    after: orNull(Type.Number()),
    /** By how much it may be worse here, the part that chance explains included. */
    dropMax: orNull(Type.Number()),
    verdict: Type.Enum(siteVerdicts),
    /** Its devices are offered the version. */
    ships: Type.Boolean(),
    why: Type.String(),
  },
  { $id: 'SiteVerdict' },
)
export type SiteVerdict = Static<typeof SiteVerdict>

export const PipelineStep = Type.Object(
  {
    name: Type.Enum(pipelineSteps),
    state: Type.Enum(pipelineStepStates),
    /** What it does, what it waits for, or what came of it, in a sentence. */
    why: Type.String(),
    /** Share (0..1) of what is being done; null where it cannot be told. */
    progress: orNull(Type.Number({ minimum: 0, maximum: 1 })),
    /** How often it was begun. */
    attempt: Type.Integer({ minimum: 0 }),
    /** When it is tried again; null where it does not wait for that. */
    retryAt: orNull(Timestamp),
    startedAt: orNull(Timestamp),
    endedAt: orNull(Timestamp),
    links: Type.Array(PipelineLink),
  },
  { $id: 'PipelineStep' },
)
export type PipelineStep = Static<typeof PipelineStep>

export const pipelineCauses = ['annotations', 'drift', 'calendar', 'asked'] as const
export type PipelineCauseKind = (typeof pipelineCauses)[number]

/** Why a round was begun. */
export const PipelineCause = Type.Object({ kind: Type.Enum(pipelineCauses), text: Type.String() })
export type PipelineCause = Static<typeof PipelineCause>

/** The figure that decides, of the new version and of the champion before, on the same test samples. */
export const PipelineKey = Type.Object({
  name: Type.String(),
  before: orNull(Type.Number()),
  after: Type.Number(),
})

export const PipelineRound = Type.Object(
  {
    model: ModelName,
    /** Counts the rounds of a pipeline, from 1. */
    round: Type.Integer({ minimum: 1 }),
    state: Type.Enum(pipelineRoundStates),
    /** What it waits for, or how it ended, in a sentence. */
    why: Type.String(),
    cause: PipelineCause,
    /** Samples that something was newly said of when it began. */
    annotations: Type.Integer({ minimum: 0 }),
    dataset: Type.Object({ name: ModelName, version: orNull(DatasetVersionNumber) }),
    runId: orNull(RunId),
    /** What it made. */
    version: orNull(ModelVersionNumber),
    championBefore: orNull(ModelVersionNumber),
    key: orNull(PipelineKey),
    /** Sites first, then streams. */
    sites: Type.Array(SiteVerdict),
    /** Sites that keep what they have. */
    sitesKept: Type.Array(SiteId),
    rolloutId: orNull(Type.String()),
    /** It waits for approval. */
    approval: Type.Boolean(),
    steps: Type.Array(PipelineStep),
    by: Type.String(),
    startedAt: Timestamp,
    endedAt: orNull(Timestamp),
    revision: Type.Integer({ minimum: 0 }),
  },
  { $id: 'PipelineRound' },
)
export type PipelineRound = Static<typeof PipelineRound>

/** Whether one thing that begins a round is there. */
export const PipelineCheck = Type.Object({
  kind: Type.Enum([...pipelineCauses, 'interval', 'open', 'parked']),
  /** For `interval`, `open` and `parked`: nothing stands in the way. */
  met: Type.Boolean(),
  /** Such as `37 of 200 new annotations`. */
  text: Type.String(),
})
export type PipelineCheck = Static<typeof PipelineCheck>

/** An alarm that a round is to answer. */
export const PipelineAlarm = Type.Object({
  alarmId: Type.Integer(),
  at: Timestamp,
  kind: DriftKind,
  /** `device/stream`. */
  stream: Type.String(),
  text: Type.String(),
})
export type PipelineAlarm = Static<typeof PipelineAlarm>

/** Alarms that a pipeline remembers, the newest. */
export const pipelineAlarmsMax = 100

export const PipelineRow = Type.Object(
  {
    model: ModelName,
    config: PipelineConfig,
    /** `parked`: by somebody; `stuck`: its round waits for somebody; `running`: a round is open; `waiting`: for what begins one. */
    state: Type.Enum(['waiting', 'running', 'stuck', 'parked']),
    /** What it waits for, in a sentence. */
    why: Type.String(),
    checks: Type.Array(PipelineCheck),
    /** Samples that something is newly said of since the last round froze the dataset. */
    annotations: Type.Integer({ minimum: 0 }),
    /** Alarms that the next round is to answer. */
    alarms: Type.Array(PipelineAlarm),
    /** When its cron expression is due next; null where it has none. */
    nextAt: orNull(Timestamp),
    rounds: Type.Integer({ minimum: 0 }),
    /** The newest round; null before the first. */
    last: orNull(PipelineRound),
    by: Type.String(),
    createdAt: Timestamp,
    changedAt: Timestamp,
    revision: Type.Integer({ minimum: 0 }),
  },
  { $id: 'PipelineRow' },
)
export type PipelineRow = Static<typeof PipelineRow>

/** What would happen if a round began now. */
export const PipelineDryRun = Type.Object(
  {
    /** A round would begin by itself now. */
    begins: Type.Boolean(),
    why: Type.String(),
    checks: Type.Array(PipelineCheck),
    /** What each step would do, in sentences; `problem` where it could not. */
    steps: Type.Array(
      Type.Object({
        name: Type.Enum(pipelineSteps),
        text: Type.String(),
        problem: Type.String(),
      }),
    ),
    /** Devices that are meant, by site and by the target they would get. */
    sites: Type.Array(Type.Object({ site: SiteId, devices: Type.Integer({ minimum: 0 }) })),
    targets: Type.Array(
      Type.Object({ target: Type.String(), devices: Type.Integer({ minimum: 0 }) }),
    ),
  },
  { $id: 'PipelineDryRun' },
)
export type PipelineDryRun = Static<typeof PipelineDryRun>

const ofModel = Type.Object({ model: ModelName }, closed)
const ofRound = Type.Object(
  {
    model: ModelName,
    round: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
  },
  closed,
)

/** Of the route table (routes.ts). */
export const pipelineRoutes = {
  pipelineList: {
    method: 'GET',
    path: '/api/pipelines',
    access: 'viewer',
    summary: 'Lists the pipelines: what each waits for, and its newest round',
    response: Type.Array(PipelineRow),
  },
  pipelineShow: {
    method: 'GET',
    path: '/api/pipelines/:model',
    access: 'viewer',
    summary: 'Shows the pipeline of a model',
    params: ofModel,
    response: PipelineRow,
  },
  pipelinePut: {
    method: 'PUT',
    path: '/api/pipelines/:model',
    access: 'operator',
    summary: 'Sets the pipeline of a model; a round that is open goes on as it was begun',
    params: ofModel,
    body: PipelineRequest,
    response: PipelineRow,
  },
  pipelineRemove: {
    method: 'DELETE',
    path: '/api/pipelines/:model',
    access: 'operator',
    summary: 'Removes a pipeline with the record of its rounds; what they made stays',
    params: ofModel,
    status: 204,
  },
  pipelineDryRun: {
    method: 'GET',
    path: '/api/pipelines/:model/dry-run',
    access: 'viewer',
    summary: 'Says what a round would do now, and why none begins',
    params: ofModel,
    response: PipelineDryRun,
  },
  pipelineStart: {
    method: 'POST',
    path: '/api/pipelines/:model/rounds',
    access: 'operator',
    summary: 'Begins a round now, whatever it waits for',
    params: ofModel,
    response: PipelineRow,
  },
  pipelineRoundList: {
    method: 'GET',
    path: '/api/pipelines/:model/rounds',
    access: 'viewer',
    summary: 'Lists the rounds of a pipeline, newest first',
    params: ofModel,
    query: Type.Object(
      { limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 50 })) },
      closed,
    ),
    response: Type.Array(PipelineRound),
  },
  pipelineRoundShow: {
    method: 'GET',
    path: '/api/pipelines/:model/rounds/:round',
    access: 'viewer',
    summary: 'Shows a round with its steps',
    params: ofRound,
    response: PipelineRound,
  },
  pipelineRetry: {
    method: 'POST',
    path: '/api/pipelines/:model/rounds/:round/retry',
    access: 'operator',
    summary: 'Does a step of the newest round again, and what follows it',
    params: ofRound,
    body: Type.Object(
      {
        /** The one that failed, or at which it ended, where left out. */
        step: Type.Optional(Type.Enum(pipelineSteps)),
      },
      closed,
    ),
    response: PipelineRound,
  },
  pipelineApprove: {
    method: 'POST',
    path: '/api/pipelines/:model/rounds/:round/approve',
    access: 'operator',
    summary: 'Approves what a round waits for: its rollout, or the next stage of it',
    params: ofRound,
    response: PipelineRound,
  },
  pipelineCancel: {
    method: 'POST',
    path: '/api/pipelines/:model/rounds/:round/cancel',
    access: 'operator',
    summary: 'Ends a round where it is; what it has begun is ended with it',
    params: ofRound,
    response: PipelineRound,
  },
  pipelineWaitSkip: {
    method: 'POST',
    path: '/api/pipelines/:model/skip-wait',
    access: 'operator',
    summary: 'Waits no longer for the next try of a step, or for the time between two rounds',
    params: ofModel,
    response: PipelineRow,
  },
  pipelinePark: {
    method: 'POST',
    path: '/api/pipelines/:model/park',
    access: 'operator',
    summary: 'Begins nothing further until it is resumed; what a step has begun goes on',
    params: ofModel,
    response: PipelineRow,
  },
  pipelineResume: {
    method: 'POST',
    path: '/api/pipelines/:model/resume',
    access: 'operator',
    summary: 'Lets a parked pipeline go on',
    params: ofModel,
    response: PipelineRow,
  },
} as const satisfies Record<string, Route>
