/**
 * Rollouts: moving devices to a model version in stages, each with a gate that looks at how the model does. What people ask
 * for, what the hub decides, and the routes between them; what one device does is in `updates.ts`.
 */
import { type Static, Type } from 'typebox'
import { TargetName } from './artifact.ts'
import { ModelName, ModelVersionNumber } from './models.ts'
import { DeviceId, DeviceTag, DeviceTags, Digest, SiteId, Timestamp } from './names.ts'
import type { Route } from './route.ts'
import {
  Comparison,
  RolloutId,
  UpdateCare,
  UpdateCode,
  UpdateState,
  updateStateNames,
  updateStates,
} from './updates.ts'

const closed = { additionalProperties: false } as const
const minuteMs = 60_000
const dayMs = 86_400_000
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()])

/** Name of a time zone as IANA has it: `Europe/Berlin`. */
export const TimeZone = Type.String({ pattern: '^[A-Za-z0-9_+/-]+$', minLength: 1, maxLength: 64 })

/** A site that the hub knows of, because devices stand there or something was set for it. */
export const SiteRow = Type.Object(
  { site: SiteId, timeZone: TimeZone, devices: Type.Integer({ minimum: 0 }) },
  { $id: 'SiteRow' },
)
export type SiteRow = Static<typeof SiteRow>

/**
 * Which devices: those that fit every list that is given; a device fits a list by any one of its words. `all` stands alone.
 * Devices that are retired are never meant.
 */
export const Selection = Type.Object(
  {
    all: Type.Optional(Type.Literal(true)),
    sites: Type.Optional(Type.Array(SiteId, { minItems: 1, maxItems: 500 })),
    tags: Type.Optional(Type.Array(DeviceTag, { minItems: 1, maxItems: 100 })),
    /** Kinds of boxes. */
    targets: Type.Optional(Type.Array(TargetName, { minItems: 1, maxItems: 50 })),
    devices: Type.Optional(Type.Array(DeviceId, { minItems: 1, maxItems: 10_000 })),
  },
  { minProperties: 1, ...closed },
)
export type Selection = Static<typeof Selection>

/** What must be so before the next stage begins, and what ends the rollout. */
export const StageGate = Type.Object(
  {
    /** Share 0..1 of the reachable devices of the stage that must run the version well. */
    committedShareMin: Type.Number({ minimum: 0, maximum: 1 }),
    /** Share 0..1 of the stage's devices that must be reachable, or have been through. */
    reachableShareMin: Type.Number({ minimum: 0, maximum: 1 }),
    /** It stops at so many failures… */
    failuresMax: Type.Integer({ minimum: 1, maximum: 10_000 }),
    /** …or at this share of the stage's devices, where that is more. */
    failureShareMax: Type.Number({ minimum: 0, maximum: 1 }),
    /** Devices that must have come to an end before failures are counted. */
    executedMin: Type.Integer({ minimum: 0, maximum: 10_000 }),
    /** Mean agreement with the model before, over the stage's devices; it stops where that is surely less. */
    agreementMin: Type.Number({ minimum: 0, maximum: 1 }),
    /** Mean drift of counts and of confidence, in standard errors; it stops where that is surely more. */
    driftMax: Type.Number({ minimum: 0.1, maximum: 100 }),
    /** p95 of the inference time over that of the model before, geometric mean; it stops where that is surely more. */
    latencyRatioMax: Type.Number({ minimum: 1, maximum: 100 }),
  },
  closed,
)
export type StageGate = Static<typeof StageGate>

/** A slice of a rollout: devices up to a share of all, counted from the first. */
export const StagePlan = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 40 }),
    /** Share 0..1 of the devices that are in this stage or one before. Grows from stage to stage; the last is 1. */
    share: Type.Number({ exclusiveMinimum: 0, maximum: 1 }),
    /** At least so many devices, where there are as many. */
    devicesMin: Type.Integer({ minimum: 0, maximum: 10_000 }),
    /** Time that must go by after the last device came through, before the gate opens. */
    soakMs: Type.Integer({ minimum: 0, maximum: 30 * dayMs }),
    gate: StageGate,
  },
  closed,
)
export type StagePlan = Static<typeof StagePlan>

const laterGate: StageGate = {
  committedShareMin: 0.95,
  reachableShareMin: 0.5,
  failuresMax: 3,
  failureShareMax: 0.02,
  executedMin: 20,
  agreementMin: 0.7,
  driftMax: 2,
  latencyRatioMax: 1.25,
}
/** Of the first stage: a small one stops at two failures, from `canaryLargeMin` devices on at three. */
export const canaryGate = (devices: number): StageGate => ({
  ...laterGate,
  failuresMax: devices < canaryLargeMin ? 2 : 3,
  failureShareMax: 0,
  executedMin: 0,
})
export const canaryLargeMin = 30

/** Stages where nothing else is said; `devices` are those of the canary. */
export const stageDefaults = (devices: number): StagePlan[] => [
  {
    name: 'canary',
    share: 0.01,
    devicesMin: 10,
    soakMs: 30 * minuteMs,
    gate: canaryGate(devices),
  },
  { name: '5 %', share: 0.05, devicesMin: 0, soakMs: 30 * minuteMs, gate: laterGate },
  { name: '25 %', share: 0.25, devicesMin: 0, soakMs: 30 * minuteMs, gate: laterGate },
  { name: '100 %', share: 1, devicesMin: 0, soakMs: 30 * minuteMs, gate: laterGate },
]

/** How fast devices are offered the version, over all of a rollout. */
export const OfferRate = Type.Object(
  {
    perMinute: Type.Number({ exclusiveMinimum: 0, maximum: 100_000 }),
    /** It doubles each time that so many more devices came through; 0: it stays. */
    doubledAfter: Type.Integer({ minimum: 0, maximum: 100_000 }),
    perMinuteMax: Type.Number({ exclusiveMinimum: 0, maximum: 100_000 }),
  },
  closed,
)
export type OfferRate = Static<typeof OfferRate>
export const rateDefaults: OfferRate = { perMinute: 50, doubledAfter: 1000, perMinuteMax: 1000 }

/** A time of day, hours and minutes: `22:30`. */
export const ClockTime = Type.String({ pattern: '^([01]\\d|2[0-3]):[0-5]\\d$', maxLength: 5 })

/** When devices may be offered a version and take it up, in the time zone of their site. */
export const MaintenanceWindow = Type.Object(
  {
    /** Days on which it begins: 1 is Monday, 7 is Sunday. */
    days: Type.Array(Type.Integer({ minimum: 1, maximum: 7 }), {
      minItems: 1,
      maxItems: 7,
      uniqueItems: true,
    }),
    from: ClockTime,
    /** Where it is not after `from`, it is on the next day. */
    to: ClockTime,
  },
  closed,
)
export type MaintenanceWindow = Static<typeof MaintenanceWindow>

/** When somebody has to approve: never; before the stage after the first; before each stage, the first included. */
export const approvals = ['none', 'after-canary', 'every-stage'] as const

/** What becomes of devices that have taken the version up when it stops: all go back, those of the stage, none. */
export const rollBackScopes = ['all', 'stage', 'none'] as const
export type RollBackScope = (typeof rollBackScopes)[number]

/** Another rollout of the same model has some of these devices: it gives them up, or this one waits until it is over. */
export const busyRules = ['supersede', 'wait'] as const

const activeStates = updateStateNames.filter((state) => updateStates[state].kind === 'active')
const Deadlines = Type.Partial(
  Type.Object(
    Object.fromEntries(
      activeStates.map((state) => [state, Type.Integer({ minimum: 1000, maximum: 7 * dayMs })]),
    ),
  ),
  closed,
)

export const RolloutPlan = Type.Object(
  {
    name: ModelName,
    version: ModelVersionNumber,
    select: Selection,
    stages: Type.Array(StagePlan, { minItems: 1, maxItems: 20 }),
    rate: OfferRate,
    /** None: at any time. */
    windows: Type.Array(MaintenanceWindow, { maxItems: 20 }),
    approval: Type.Enum(approvals),
    /** Devices that fit only later take part, also when it is complete. */
    join: Type.Boolean(),
    whenBusy: Type.Enum(busyRules),
    onStop: Type.Enum(rollBackScopes),
    care: UpdateCare,
    /** Of the states of an update, where it is to be less or more than usual, ms. */
    deadlines: Deadlines,
    /** A device counts as reachable while it is connected, and so long after. */
    reachableMs: Type.Integer({ minimum: 1000, maximum: 7 * dayMs }),
    /** Bytes per second of one device at most; 0: no limit. */
    bytesPerSecondMax: Type.Integer({ minimum: 0, maximum: 1_000_000_000 }),
    /** Downloads begin up to so much later, by chance. */
    jitterMs: Type.Integer({ minimum: 0, maximum: 3_600_000 }),
    note: Type.String({ maxLength: 500 }),
  },
  { $id: 'RolloutPlan', ...closed },
)
export type RolloutPlan = Static<typeof RolloutPlan>

export const planDefaults = {
  rate: rateDefaults,
  windows: [],
  approval: 'none',
  join: false,
  whenBusy: 'supersede',
  onStop: 'all',
  deadlines: {},
  reachableMs: 10 * minuteMs,
  bytesPerSecondMax: 0,
  jitterMs: minuteMs,
  note: '',
} as const satisfies Partial<RolloutPlan>

const plan = RolloutPlan.properties
/** A stage as it is asked for: what is left out is as the first stage, or a later one, has it. */
export const StageRequest = Type.Object(
  {
    name: Type.Optional(StagePlan.properties.name),
    share: StagePlan.properties.share,
    devicesMin: Type.Optional(StagePlan.properties.devicesMin),
    soakMs: Type.Optional(StagePlan.properties.soakMs),
    gate: Type.Optional(Type.Partial(StageGate, closed)),
  },
  closed,
)
export type StageRequest = Static<typeof StageRequest>

/** What somebody asks for. What is left out is as `planDefaults`, `stageDefaults` and `careDefaults` have it. */
export const RolloutRequest = Type.Object(
  {
    name: plan.name,
    version: plan.version,
    select: plan.select,
    stages: Type.Optional(Type.Array(StageRequest, { minItems: 1, maxItems: 20 })),
    rate: Type.Optional(Type.Partial(OfferRate, closed)),
    windows: Type.Optional(plan.windows),
    approval: Type.Optional(plan.approval),
    join: Type.Optional(plan.join),
    whenBusy: Type.Optional(plan.whenBusy),
    onStop: Type.Optional(plan.onStop),
    care: Type.Optional(Type.Partial(UpdateCare, closed)),
    deadlines: Type.Optional(plan.deadlines),
    reachableMs: Type.Optional(plan.reachableMs),
    bytesPerSecondMax: Type.Optional(plan.bytesPerSecondMax),
    jitterMs: Type.Optional(plan.jitterMs),
    note: Type.Optional(plan.note),
  },
  { $id: 'RolloutRequest', ...closed },
)
export type RolloutRequest = Static<typeof RolloutRequest>

/**
 * `queued`: another rollout has some of its devices; `running`; `held`: somebody has to approve before it goes on; `paused`:
 * by somebody; `complete`: through the last gate, late devices still follow; `stopped`: by itself, it says why; `aborted`: by somebody;
 * `superseded`: a newer one has all of its devices.
 */
export const rolloutStates = [
  ...(['queued', 'running', 'held', 'paused', 'complete', 'stopped'] as const),
  ...(['aborted', 'superseded'] as const),
] as const
export type RolloutState = (typeof rolloutStates)[number]

/** True for a rollout that offers nothing new any more but to late devices. */
export const isRolloutOver = ({ state }: { readonly state: RolloutState }): boolean =>
  state === 'complete' || state === 'stopped' || state === 'aborted' || state === 'superseded'

/** `waiting`: it was not offered yet; else the state of its update, as the hub sees it. */
export const boxStates = ['waiting', ...updateStateNames] as const
export type BoxState = (typeof boxStates)[number]

/** Devices by where they are. */
export const BoxCounts = Type.Object({
  devices: Type.Integer({ minimum: 0 }),
  waiting: Type.Integer({ minimum: 0 }),
  /** From the offer to the end of probation. */
  active: Type.Integer({ minimum: 0 }),
  /** Committed, and not yet seen running it. */
  committed: Type.Integer({ minimum: 0 }),
  /** Committed, and seen running it since: success. */
  confirmed: Type.Integer({ minimum: 0 }),
  /** Rolled back, failed, rejected, timed out. */
  failed: Type.Integer({ minimum: 0 }),
  /** Of the failed: they had been confirmed, and then ran something else. */
  revoked: Type.Integer({ minimum: 0 }),
  /** Superseded, cancelled, or taken back by request: neither success nor failure. */
  ended: Type.Integer({ minimum: 0 }),
  /** Asked to go back, and not there yet. */
  goingBack: Type.Integer({ minimum: 0 }),
})
export type BoxCounts = Static<typeof BoxCounts>

/** What an update cost in bytes, and what whole files would have. */
export const RolloutBytes = Type.Object({
  /** Over the hub's network, also of transfers that were cut. */
  fromHub: Type.Integer({ minimum: 0 }),
  /** From box to box. */
  fromMirrors: Type.Integer({ minimum: 0 }),
  /** What the same devices would have fetched as whole compressed files. */
  whole: Type.Integer({ minimum: 0 }),
})
export type RolloutBytes = Static<typeof RolloutBytes>

export const RolloutRow = Type.Object(
  {
    rolloutId: RolloutId,
    name: ModelName,
    version: ModelVersionNumber,
    state: Type.Enum(rolloutStates),
    /** Why it is so, in a sentence: what it waits for, why it stopped. */
    why: Type.String(),
    /** Which stage it is in, from 0, and its name. */
    stage: Type.Integer({ minimum: 0 }),
    stageName: Type.String(),
    stages: Type.Integer({ minimum: 1 }),
    counts: BoxCounts,
    /** Devices that are offered it each minute now. */
    offersPerMinute: Type.Number({ minimum: 0 }),
    bytes: RolloutBytes,
    note: Type.String(),
    by: Type.String(),
    createdAt: Timestamp,
    startedAt: orNull(Timestamp),
    endedAt: orNull(Timestamp),
    /** Grows with every change. */
    revision: Type.Integer({ minimum: 0 }),
  },
  { $id: 'RolloutRow' },
)
export type RolloutRow = Static<typeof RolloutRow>

/** How the model does on the devices of a stage, beside the model before. Null where too few have compared. */
export const StageQuality = Type.Object({
  /** Devices that have compared. */
  devices: Type.Integer({ minimum: 0 }),
  frames: Type.Integer({ minimum: 0 }),
  agreement: orNull(Type.Number()),
  /** Mean over devices, in standard errors of each one's baseline. */
  countDrift: orNull(Type.Number()),
  confidenceDrift: orNull(Type.Number()),
  latencyRatio: orNull(Type.Number()),
  /** Devices on which it crashed. */
  crashed: Type.Integer({ minimum: 0 }),
  /** What is surely wrong; empty where nothing is. */
  verdict: Type.String(),
})
export type StageQuality = Static<typeof StageQuality>

export const stageStates = ['ahead', 'running', 'soaking', 'passed', 'failed'] as const

export const RolloutStage = Type.Object({
  name: Type.String(),
  state: Type.Enum(stageStates),
  counts: BoxCounts,
  /** Devices in each state; those without devices are left out. */
  states: Type.Record(Type.String(), Type.Integer()),
  /** Devices that are reachable or have been through. */
  reachable: Type.Integer({ minimum: 0 }),
  /** Failures at which it stops. */
  failuresStop: Type.Integer({ minimum: 1 }),
  quality: StageQuality,
  startedAt: orNull(Timestamp),
  /** When its soak ends; null before it has begun. */
  soakUntil: orNull(Timestamp),
  passedAt: orNull(Timestamp),
  /** Who approved it; empty where nobody had to. */
  approvedBy: Type.String(),
  /** What its gate still wants; empty where it is open, or was not reached. */
  wants: Type.String(),
})
export type RolloutStage = Static<typeof RolloutStage>

/** What the hub decided, or somebody asked for. */
export const RolloutDecision = Type.Object({
  at: Timestamp,
  act: Type.String(),
  text: Type.String(),
  /** Empty where the hub decided. */
  by: Type.String(),
})
export type RolloutDecision = Static<typeof RolloutDecision>
/** Decisions that are kept of a rollout, the newest. */
export const rolloutDecisionsMax = 200

/** Devices that a selection names and that take no part, by why. */
export const LeftOut = Type.Object({
  reason: Type.String(),
  devices: Type.Integer({ minimum: 1 }),
  /** The first of them. */
  first: Type.Array(DeviceId),
})
export type LeftOut = Static<typeof LeftOut>

export const RolloutDetail = Type.Object(
  {
    rollout: RolloutRow,
    plan: RolloutPlan,
    stages: Type.Array(RolloutStage),
    /** Newest first. */
    decisions: Type.Array(RolloutDecision),
    leftOut: Type.Array(LeftOut),
    /** The rollout that has all of its devices now; null where none has. */
    supersededBy: orNull(RolloutId),
  },
  { $id: 'RolloutDetail' },
)
export type RolloutDetail = Static<typeof RolloutDetail>

/** One device of a rollout. */
export const RolloutBox = Type.Object(
  {
    rolloutId: RolloutId,
    name: ModelName,
    version: ModelVersionNumber,
    deviceId: DeviceId,
    deviceName: Type.String(),
    site: SiteId,
    stage: Type.Integer({ minimum: 0 }),
    state: Type.Enum(boxStates),
    attempt: Type.Integer({ minimum: 1 }),
    /** When it came into this state, by the hub's clock. */
    since: Timestamp,
    /** Seen running the version after it was committed. */
    confirmedAt: orNull(Timestamp),
    /** It had been confirmed, and then ran something else. */
    revoked: Type.Boolean(),
    /** It is asked to go back, and has not said yet that it did. */
    goingBack: Type.Boolean(),
    code: orNull(UpdateCode),
    /** Why it is so; empty while it goes well. */
    reason: Type.String(),
    reachable: Type.Boolean(),
    offeredAt: orNull(Timestamp),
    /** First heard of after the offer: from here deadlines run. */
    contactAt: orNull(Timestamp),
    /** When it times out in this state; null where it does not. */
    deadlineAt: orNull(Timestamp),
    /** Of the bytes that it is to run. */
    digest: Digest,
    /** Kind of box that these are for. */
    target: TargetName,
    /** Version that ran before; 0: the box's own. Null where the model was not there. */
    versionBefore: orNull(Type.Integer({ minimum: 0 })),
    bytes: Type.Object({
      codec: Type.String(),
      total: Type.Integer({ minimum: 0 }),
      done: Type.Integer({ minimum: 0 }),
      fromHub: Type.Integer({ minimum: 0 }),
      fromMirrors: Type.Integer({ minimum: 0 }),
      /** The whole compressed file. */
      whole: Type.Integer({ minimum: 0 }),
    }),
    /** States that were passed through, oldest first. */
    history: Type.Array(Type.Object({ state: UpdateState, at: Timestamp })),
    shadow: orNull(Comparison),
    probation: orNull(Comparison),
  },
  { $id: 'RolloutBox' },
)
export type RolloutBox = Static<typeof RolloutBox>

/** In the order of stages. `next` is the `after` of the next page, or null at the end. */
export const RolloutBoxPage = Type.Object(
  { boxes: Type.Array(RolloutBox), next: orNull(Type.Integer()), total: Type.Integer() },
  { $id: 'RolloutBoxPage' },
)
export type RolloutBoxPage = Static<typeof RolloutBoxPage>

/** What a rollout would hit if it began now. */
export const RolloutPreview = Type.Object(
  {
    plan: RolloutPlan,
    devices: Type.Integer({ minimum: 0 }),
    stages: Type.Array(
      Type.Object({
        name: Type.String(),
        devices: Type.Integer({ minimum: 0 }),
        reachable: Type.Integer({ minimum: 0 }),
        /** The first of them, at most 50. */
        first: Type.Array(DeviceId),
      }),
    ),
    sites: Type.Array(Type.Object({ site: SiteId, devices: Type.Integer() })),
    targets: Type.Array(Type.Object({ target: TargetName, devices: Type.Integer() })),
    leftOut: Type.Array(LeftOut),
    /** Rollouts of the same model that have some of these devices. */
    busy: Type.Array(
      Type.Object({ rolloutId: RolloutId, version: ModelVersionNumber, devices: Type.Integer() }),
    ),
    /** Bytes that all devices together are to fetch: by the smallest way for what each runs now, and as whole files. */
    bytes: Type.Object({ expected: Type.Integer(), whole: Type.Integer() }),
    /** Why it would not be begun; empty where it would. */
    refused: Type.String(),
  },
  { $id: 'RolloutPreview' },
)
export type RolloutPreview = Static<typeof RolloutPreview>

/** Points of the line of one rollout. */
export const rolloutProgressSlots = 32
/** Rollouts whose lines are asked for at once. */
export const rolloutProgressMax = 50

/** Boxes that run the version, from the begin of each rollout to its end or now, in even steps. */
export const RolloutProgress = Type.Object(
  {
    rollouts: Type.Array(
      Type.Object({
        rolloutId: RolloutId,
        confirmed: Type.Array(Type.Integer({ minimum: 0 }), { maxItems: rolloutProgressSlots }),
      }),
      { maxItems: rolloutProgressMax },
    ),
  },
  { $id: 'RolloutProgress' },
)
export type RolloutProgress = Static<typeof RolloutProgress>

/** What a device runs, and every update that it was offered, newest first. */
export const DeviceUpdates = Type.Object(
  {
    running: Type.Array(
      Type.Object({
        name: Type.String(),
        /** 0: the box's own. */
        version: Type.Integer({ minimum: 0 }),
        digest: Digest,
      }),
    ),
    /** When it last said so; null where it never did. */
    at: orNull(Timestamp),
    updates: Type.Array(RolloutBox),
  },
  { $id: 'DeviceUpdates' },
)
export type DeviceUpdates = Static<typeof DeviceUpdates>

/** Updates of a device in one reply. */
export const deviceUpdatesMax = 100

const rolloutPath = Type.Object({ rolloutId: RolloutId }, closed)
const devicePath = Type.Object({ deviceId: DeviceId }, closed)

export const rolloutRoutes = {
  rolloutPreview: {
    method: 'POST',
    path: '/api/rollout-previews',
    access: 'operator',
    summary: 'Says which devices a rollout would hit, in which stage, and which not',
    body: RolloutRequest,
    response: RolloutPreview,
    unaudited: true,
  },
  rolloutCreate: {
    method: 'POST',
    path: '/api/rollouts',
    access: 'operator',
    summary: 'Begins to move devices to a model version, stage by stage',
    body: RolloutRequest,
    response: RolloutDetail,
    status: 201,
  },
  rolloutList: {
    method: 'GET',
    path: '/api/rollouts',
    access: 'viewer',
    summary: 'Lists rollouts, newest first; at most 200',
    query: Type.Object(
      { name: Type.Optional(ModelName), state: Type.Optional(Type.Enum(rolloutStates)) },
      closed,
    ),
    response: Type.Array(RolloutRow),
  },
  rolloutProgress: {
    method: 'GET',
    path: '/api/rollout-progress',
    access: 'viewer',
    summary: 'Gives how many boxes ran the version over the time of a few rollouts, for lists',
    query: Type.Object(
      {
        /** Ids with commas between; unknown ones are left out of the reply. */
        rollouts: Type.String({
          pattern: `^[0-9a-f-]{36}(,[0-9a-f-]{36}){0,${rolloutProgressMax - 1}}$`,
          maxLength: 37 * rolloutProgressMax,
        }),
      },
      closed,
    ),
    response: RolloutProgress,
  },
  rolloutShow: {
    method: 'GET',
    path: '/api/rollouts/:rolloutId',
    access: 'viewer',
    summary: 'Shows a rollout: plan, stages, what was decided and why',
    params: rolloutPath,
    response: RolloutDetail,
  },
  rolloutBoxList: {
    method: 'GET',
    path: '/api/rollouts/:rolloutId/boxes',
    access: 'viewer',
    summary: 'Lists the devices of a rollout in the order of their stages',
    params: rolloutPath,
    query: Type.Object(
      {
        stage: Type.Optional(Type.Integer({ minimum: 0, maximum: 19 })),
        state: Type.Optional(Type.Enum(boxStates)),
        /** Words of an id, a name or a site. */
        search: Type.Optional(Type.String({ maxLength: 100 })),
        after: Type.Optional(Type.Integer({ minimum: 0 })),
        limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 100 })),
      },
      closed,
    ),
    response: RolloutBoxPage,
  },
  rolloutPause: {
    method: 'POST',
    path: '/api/rollouts/:rolloutId/pause',
    access: 'operator',
    summary: 'Offers it to no further device until it is resumed; what has begun goes on',
    params: rolloutPath,
    response: RolloutDetail,
  },
  rolloutResume: {
    method: 'POST',
    path: '/api/rollouts/:rolloutId/resume',
    access: 'operator',
    summary: 'Lets a paused rollout go on',
    params: rolloutPath,
    response: RolloutDetail,
  },
  rolloutAbort: {
    method: 'POST',
    path: '/api/rollouts/:rolloutId/abort',
    access: 'operator',
    summary: 'Ends a rollout; with `rollBack` the devices that took the version up go back',
    params: rolloutPath,
    body: Type.Object({ rollBack: Type.Boolean() }, closed),
    response: RolloutDetail,
  },
  rolloutApprove: {
    method: 'POST',
    path: '/api/rollouts/:rolloutId/approve',
    access: 'operator',
    summary: 'Approves the stage that a held rollout waits before',
    params: rolloutPath,
    body: Type.Object(
      {
        /**
         * The stage that is meant, from 0; as many as there are stages means the end. Approval of one that is over says nothing
         * about the next.
         */
        stage: Type.Integer({ minimum: 0, maximum: 20 }),
      },
      closed,
    ),
    response: RolloutDetail,
  },
  rolloutRetry: {
    method: 'POST',
    path: '/api/rollouts/:rolloutId/retry',
    access: 'operator',
    summary: 'Offers it once more to devices that failed: those named, or all',
    params: rolloutPath,
    body: Type.Object(
      { devices: Type.Optional(Type.Array(DeviceId, { minItems: 1, maxItems: 10_000 })) },
      closed,
    ),
    response: RolloutDetail,
  },
  deviceUpdateList: {
    method: 'GET',
    path: '/api/devices/:deviceId/updates',
    access: 'viewer',
    summary: 'Says which model versions a device runs, and lists its updates, newest first',
    params: devicePath,
    response: DeviceUpdates,
  },
  deviceModelRollBack: {
    method: 'POST',
    path: '/api/devices/:deviceId/models/:name/roll-back',
    access: 'operator',
    summary: 'Asks a device to go back to what it ran before its newest update of a model',
    params: Type.Object({ deviceId: DeviceId, name: ModelName }, closed),
    response: RolloutBox,
  },
  deviceTagsSet: {
    method: 'PUT',
    path: '/api/devices/:deviceId/tags',
    access: 'operator',
    summary: 'Sets the tags of a device, by which rollouts choose',
    params: devicePath,
    body: Type.Object({ tags: DeviceTags }, closed),
    response: Type.Object({ deviceId: DeviceId, tags: DeviceTags }),
  },
  siteList: {
    method: 'GET',
    path: '/api/sites',
    access: 'viewer',
    summary: 'Lists the sites with their time zones',
    response: Type.Array(SiteRow),
  },
  siteTimeZoneSet: {
    method: 'PUT',
    path: '/api/sites/:site/time-zone',
    access: 'operator',
    summary: 'Sets the time zone of a site, in which maintenance windows are read',
    params: Type.Object({ site: SiteId }, closed),
    body: Type.Object({ timeZone: TimeZone }, closed),
    response: SiteRow,
  },
} as const satisfies Record<string, Route>
