/** Runs: each execution of training that the hub was asked for, what it says meanwhile, and what starts runs by itself. */
import { type Static, Type } from 'typebox'
import { JobId } from './jobs.ts'
import { CompileRequest, ModelName, ModelVersionNumber } from './models.ts'
import { Digest, Timestamp } from './names.ts'

const closed = { additionalProperties: false } as const

export const RunId = JobId

/**
 * `queued`: waits for its turn; `running`; `paused`: ended at a checkpoint from which it can go on; `ended`: a model came
 * out; `failed`: it says why; `cancelled`: by somebody.
 */
export const runStates = ['queued', 'running', 'paused', 'ended', 'failed', 'cancelled'] as const
export type RunState = (typeof runStates)[number]

/** `NAME/VERSION` of a model in the hub, or `new:BUILDER` with settings as in a query: `new:mobilenet-v2?width=0.5`. */
export const RunParent = Type.String({
  pattern:
    '^(new:[a-z0-9][a-z0-9-]{0,39}(\\?[\\w=&.,-]{0,200})?|[a-z0-9][a-z0-9_.-]{0,62}/[1-9][0-9]{0,5})$',
  maxLength: 260,
})

/** `NAME/VERSION` of a model in the hub. */
export const RunTeacher = Type.String({
  pattern: '^[a-z0-9][a-z0-9_.-]{0,62}/[1-9][0-9]{0,5}$',
  maxLength: 70,
})

/** A frozen version of a dataset. */
export const DatasetVersionName = Type.Object(
  { name: ModelName, version: ModelVersionNumber },
  closed,
)

/** Characters of a recipe as JSON. */
export const recipeCharactersMax = 16_384

/** What a run is asked. Data, recipe, model and seed decide the weights that come out. */
export const RunRequest = Type.Object(
  {
    dataset: DatasetVersionName,
    /** Which part of a dataset that was frozen for cross-validation is the test; from 0. */
    fold: Type.Optional(Type.Integer({ minimum: 0, maximum: 19 })),
    parent: RunParent,
    /** The model whose next version the result becomes; the parent's where left out. */
    model: Type.Optional(ModelName),
    /** How the result is fed and read; the parent's where left out. */
    layout: Type.Optional(Type.String({ minLength: 1, maxLength: 40 })),
    /** Any part of a recipe; what is left out is as the task has it. */
    recipe: Type.Optional(Type.Record(Type.String({ maxLength: 60 }), Type.Unknown())),
    seed: Type.Optional(Type.Integer({ minimum: 0, maximum: 4_294_967_295 })),
    note: Type.Optional(Type.String({ maxLength: 500 })),
    /** Compile the result when it becomes the champion. */
    compile: Type.Optional(CompileRequest),
    /** It stays a candidate however good it is: who asked for it decides. */
    candidate: Type.Optional(Type.Boolean()),
    /** Versions of the model that it is compared with besides the champion. */
    compareWith: Type.Optional(Type.Array(ModelVersionNumber, { maxItems: 20 })),
    /**
     * An earlier version of the dataset: what was learned from there is replayed, as `recipe.replayShare` of each batch, and the rest
     * of a batch is new.
     */
    replay: Type.Optional(ModelVersionNumber),
    /** `NAME/VERSION` of the model that `recipe.compress.distill` follows; the parent where left out. */
    teacher: Type.Optional(RunTeacher),
    /** The external trainer that this hub was started with takes the steps. */
    external: Type.Optional(Type.Boolean()),
  },
  { $id: 'RunRequest', ...closed },
)
export type RunRequest = Static<typeof RunRequest>

/** Figures by name: `accuracy`, `loss`, `ap50`. */
export const FigureRecord = Type.Record(Type.String(), Type.Number())

/** One figure that stands for a run, and whether more of it is better. */
export const KeyFigure = Type.Object({ name: Type.String(), value: Type.Number() })

export const Run = Type.Object(
  {
    runId: RunId,
    state: Type.Enum(runStates),
    /** Somebody asked for its end or its pause, which has not come yet. */
    asked: Type.Enum(['', 'pause', 'cancel']),
    dataset: Type.Object({ name: ModelName, version: ModelVersionNumber, digest: Digest }),
    fold: Type.Union([Type.Integer(), Type.Null()]),
    parent: Type.String(),
    model: ModelName,
    layout: Type.String(),
    seed: Type.Integer(),
    note: Type.String(),
    /** `NAME/VERSION` of the model that it follows besides; empty where none was named. */
    teacher: Type.String(),
    /** True where a program of others takes the steps. */
    external: Type.Boolean(),
    /** Steps behind it, and in all; 0 in all before they are known. */
    step: Type.Integer({ minimum: 0 }),
    steps: Type.Integer({ minimum: 0 }),
    epoch: Type.Number(),
    /** Until the last step; null where it cannot be told. */
    etaMs: Type.Union([Type.Number(), Type.Null()]),
    imagesPerSecond: Type.Number(),
    /** What it does besides steps, or did last. */
    phase: Type.String(),
    loss: Type.Union([Type.Number(), Type.Null()]),
    /** On the test samples once it has ended, before that the newest on the validation samples. */
    key: Type.Union([KeyFigure, Type.Null()]),
    /** Why it failed; empty where it did not. */
    error: Type.String(),
    /** How often it went on from a checkpoint. */
    resumed: Type.Integer({ minimum: 0 }),
    /** What it became. */
    result: Type.Union([
      Type.Null(),
      Type.Object({ version: ModelVersionNumber, champion: Type.Boolean(), why: Type.String() }),
    ]),
    codeVersion: Type.String(),
    by: Type.String(),
    /** Name of the schedule that began it; empty where somebody did. */
    schedule: Type.String(),
    /** The search of which it is a trial; empty where it is none. */
    searchId: Type.String(),
    createdAt: Timestamp,
    startedAt: Type.Union([Timestamp, Type.Null()]),
    endedAt: Type.Union([Timestamp, Type.Null()]),
    /** When it last said something. */
    heardAt: Type.Union([Timestamp, Type.Null()]),
    /** Time that it ran, waits and pauses not counted. */
    activeMs: Type.Integer({ minimum: 0 }),
  },
  { $id: 'Run' },
)
export type Run = Static<typeof Run>

/** True for a run that will not go on by itself any more. */
export const isRunOver = ({ state }: Pick<Run, 'state'>): boolean =>
  state !== 'queued' && state !== 'running'

export const runFileKinds = ['model', 'report', 'data', 'card', 'comparison'] as const
export type RunFileKind = (typeof runFileKinds)[number]

/** The figure that decides, on the test samples of one stream or site. */
export const ComparedGroup = Type.Object({
  by: Type.Enum(['stream', 'site']),
  name: Type.String(),
  samples: Type.Integer({ minimum: 0 }),
  value: Type.Number(),
  /** Where 95 % of it lies when samples are drawn again. */
  interval: Type.Optional(Type.Tuple([Type.Number(), Type.Number()])),
})
export type ComparedGroup = Static<typeof ComparedGroup>

/** One model on the test samples. */
export const ComparedModel = Type.Object({
  /** The figure that decides. */
  value: Type.Number(),
  interval: Type.Optional(Type.Tuple([Type.Number(), Type.Number()])),
  groups: Type.Array(ComparedGroup),
})
export type ComparedModel = Static<typeof ComparedModel>

/** What came out of a run beside other versions, on the same test samples. */
export const RunComparison = Type.Object(
  {
    /** Figure that decides, such as `ap50`. */
    metric: Type.String(),
    better: Type.Enum(['more', 'less']),
    trained: ComparedModel,
    others: Type.Array(
      Type.Object({
        version: ModelVersionNumber,
        champion: Type.Boolean(),
        /** Null where it could not be evaluated. */
        model: Type.Union([ComparedModel, Type.Null()]),
        problem: Type.String(),
      }),
    ),
  },
  { $id: 'RunComparison' },
)
export type RunComparison = Static<typeof RunComparison>

export const RunEvaluation = Type.Object({
  step: Type.Integer(),
  at: Timestamp,
  on: Type.Enum(['validation', 'test', 'before', 'champion']),
  figures: FigureRecord,
  best: Type.Boolean(),
})
export type RunEvaluation = Static<typeof RunEvaluation>

export const RunLogLine = Type.Object({
  at: Timestamp,
  level: Type.Enum(['info', 'warn', 'error']),
  text: Type.String(),
})
export type RunLogLine = Static<typeof RunLogLine>

/** Lines of a run's log that are kept, the newest. */
export const runLogLinesMax = 200
/** Evaluations of a run that are kept, the newest. */
export const runEvaluationsMax = 1000

export const RunDetail = Type.Object(
  {
    run: Run,
    /** The recipe as it was asked for; as it was carried out once it has ended. */
    recipe: Type.Record(Type.String(), Type.Unknown()),
    compile: Type.Boolean(),
    /** Runs that come before it; null where it does not wait. */
    before: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
    evaluations: Type.Array(RunEvaluation),
    log: Type.Array(RunLogLine),
    files: Type.Array(
      Type.Object({ kind: Type.Enum(runFileKinds), digest: Digest, sizeBytes: Type.Integer() }),
    ),
    /** From which it can go on. */
    checkpoint: Type.Union([
      Type.Null(),
      Type.Object({ step: Type.Integer(), at: Timestamp, sizeBytes: Type.Integer() }),
    ]),
  },
  { $id: 'RunDetail' },
)
export type RunDetail = Static<typeof RunDetail>

/** Figures over steps. Where there are more points than are shown, the least and the greatest of each stretch are. */
export const RunCurves = Type.Object(
  {
    /** Points that there are in the range. */
    points: Type.Integer({ minimum: 0 }),
    curves: Type.Array(
      Type.Object({
        name: Type.String(),
        steps: Type.Array(Type.Integer()),
        values: Type.Array(Type.Number()),
      }),
    ),
  },
  { $id: 'RunCurves' },
)
export type RunCurves = Static<typeof RunCurves>

/** Points of a curve at once, at most. */
export const curvePointsMax = 4000

/** New points of a run that goes on, in step order; for pages that show it. */
export const RunPoints = Type.Object({
  runId: RunId,
  points: Type.Array(Type.Object({ step: Type.Integer(), figures: FigureRecord })),
})
export type RunPoints = Static<typeof RunPoints>

/** What the hub's trainer can do; lists are empty where the hub has none. */
export const TrainerShown = Type.Object(
  {
    available: Type.Boolean(),
    /** Nets that can be trained from scratch: `mnist-cnn`, as in `new:mnist-cnn`. */
    builders: Type.Array(Type.String()),
    /** The recipe where nothing else is said. */
    recipe: Type.Record(Type.String(), Type.Unknown()),
    /** The external trainer that a run may ask for: a program beside the hub, a Kubernetes Job, or none. */
    external: Type.Enum(['', 'command', 'job']),
  },
  { $id: 'TrainerShown' },
)
export type TrainerShown = Static<typeof TrainerShown>

/** What makes a schedule begin a run. */
export const ScheduleCause = Type.Union([
  Type.Object(
    {
      kind: Type.Literal('calendar'),
      /** Minute, hour, day, month, weekday, in the hub's time zone: `17 3 * * 1`. */
      cron: Type.String({ minLength: 9, maxLength: 100 }),
    },
    closed,
  ),
  Type.Object(
    {
      kind: Type.Literal('annotations'),
      /** Samples of the dataset that something else is said of than in its newest frozen version. */
      count: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    },
    closed,
  ),
])
export type ScheduleCause = Static<typeof ScheduleCause>

/** What a schedule asks for each time. The dataset is frozen first, where it has changed since it was. */
export const ScheduledRun = Type.Object(
  {
    dataset: ModelName,
    /** Name of a model, whose champion is trained further, or `new:BUILDER`. */
    parent: Type.String({
      pattern: '^(new:[a-z0-9][a-z0-9-]{0,39}(\\?[\\w=&.,-]{0,200})?|[a-z0-9][a-z0-9_.-]{0,62})$',
      maxLength: 260,
    }),
    model: RunRequest.properties.model,
    layout: RunRequest.properties.layout,
    recipe: RunRequest.properties.recipe,
    seed: RunRequest.properties.seed,
    compile: RunRequest.properties.compile,
    teacher: RunRequest.properties.teacher,
    external: RunRequest.properties.external,
  },
  closed,
)
export type ScheduledRun = Static<typeof ScheduledRun>

export const ScheduleRequest = Type.Object(
  { cause: ScheduleCause, run: ScheduledRun, enabled: Type.Boolean({ default: true }) },
  { $id: 'ScheduleRequest', ...closed },
)
export type ScheduleRequest = Static<typeof ScheduleRequest>

/** Schedules at once. */
export const schedulesMax = 100

export const TrainingSchedule = Type.Object(
  {
    name: ModelName,
    enabled: Type.Boolean(),
    cause: ScheduleCause,
    run: ScheduledRun,
    /** When it is due next; null where that is no matter of time, or it is not enabled. */
    nextAt: Type.Union([Timestamp, Type.Null()]),
    /** Of what it waits for: how much there is; null where it waits for a time. */
    have: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
    /** When it was due last. */
    lastAt: Type.Union([Timestamp, Type.Null()]),
    /** The run that it began last; null before the first. */
    lastRun: Type.Union([RunId, Type.Null()]),
    /** What came of it the last time it was due: why no run was begun. */
    lastOutcome: Type.String(),
    by: Type.String(),
    createdAt: Timestamp,
  },
  { $id: 'TrainingSchedule' },
)
export type TrainingSchedule = Static<typeof TrainingSchedule>
