/**
 * Labelling: what waits for a person, in the order of its use, and what people said. A queue belongs to one dataset;
 * what is accepted is in that dataset. Nothing that was answered is lost: an answer has a number that its sender
 * made, and the same answer sent twice is one.
 */
import { type Static, Type } from 'typebox'
import {
  DatasetName,
  SampleAnnotation,
  SampleQuery,
  sampleAnnotationsMax,
  samplesBatchMax,
} from './datasets.ts'
import { Job } from './jobs.ts'
import { ModelName } from './models.ts'
import { Box, DeviceId, Digest, Label, SiteId, StreamId, Timestamp } from './names.ts'
import type { Route } from './route.ts'
import { SampleReason } from './samples.ts'

const closed = { additionalProperties: false } as const
const Share = Type.Number({ minimum: 0, maximum: 1 })

/** Same alphabet as the name of a dataset. */
export const QueueName = DatasetName

/** What people draw or choose; other annotations of a sample stay as they are. */
export const labelKinds = ['class', 'box', 'polygon'] as const

/** What people are asked to do, and where tasks come from. */
export const LabelQueueConfig = Type.Object(
  {
    dataset: DatasetName,
    /** Samples of boxes that ran one of these models become tasks; none where empty: then only what is put in by hand. */
    models: Type.Array(Type.String({ minLength: 1, maxLength: 120 }), { maxItems: 20 }),
    /** Only of these streams, as `device/stream`; all where left out. */
    streams: Type.Optional(Type.Array(Type.String({ maxLength: 127 }), { maxItems: 1000 })),
    /** Annotations that are asked for, and no others are taken; all where left out. */
    kinds: Type.Optional(
      Type.Array(Type.Enum(labelKinds), { minItems: 1, maxItems: 3, uniqueItems: true }),
    ),
    /** Who proposes annotations: the champion of this model, and where there is one, a larger teacher. */
    suggestBy: Type.Optional(ModelName),
    teacher: Type.Optional(ModelName),
    /** Different people who have to answer a task. */
    annotators: Type.Optional(Type.Integer({ minimum: 1, maximum: 5, default: 1 })),
    /** A further person looks before it counts; otherwise agreement of all annotators is enough. */
    review: Type.Optional(Type.Boolean({ default: false })),
    /** From which overlap (IoU) two people drew the same box. */
    agreeIou: Type.Optional(Type.Number({ minimum: 0.1, maximum: 0.95, default: 0.7 })),
    /** Open tasks; the least useful give way. */
    tasksMax: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000, default: 5000 })),
  },
  { $id: 'LabelQueueConfig', ...closed },
)
export type LabelQueueConfig = Static<typeof LabelQueueConfig>

/**
 * `open`: waits for an answer; `review`: answered, and a reviewer has to look (always where annotators disagree);
 * `done`: in the dataset; `bad`: kept out of it; `flagged`: somebody wants a word about it.
 */
export const taskStates = ['open', 'review', 'done', 'bad', 'flagged'] as const
export const TaskState = Type.Enum(taskStates)
export type TaskState = (typeof taskStates)[number]

export const LabelQueueRow = Type.Object(
  {
    name: QueueName,
    config: LabelQueueConfig,
    /** Of the dataset; their order gives the keys 1 to 9. */
    labels: Type.Array(Label),
    counts: Type.Object({
      open: Type.Integer({ minimum: 0 }),
      review: Type.Integer({ minimum: 0 }),
      done: Type.Integer({ minimum: 0 }),
      bad: Type.Integer({ minimum: 0 }),
      flagged: Type.Integer({ minimum: 0 }),
    }),
    /** Answers in the last 24 hours. */
    answersToday: Type.Integer({ minimum: 0 }),
    createdAt: Timestamp,
    by: Type.String(),
  },
  { $id: 'LabelQueueRow' },
)
export type LabelQueueRow = Static<typeof LabelQueueRow>

/** An annotation that is proposed. */
export const Suggestion = Type.Object(
  {
    label: Label,
    score: Share,
    box: Type.Optional(Box),
    points: Type.Optional(
      Type.Array(Type.Tuple([Share, Share]), { minItems: 3, maxItems: 10_000 }),
    ),
    /**
     * `box:NAME@VERSION`, `champion:NAME@VERSION`, `teacher:NAME@VERSION`; `track`: from a neighbouring frame;
     * `dataset`: said of it before.
     */
    from: Type.String({ maxLength: 200 }),
  },
  closed,
)
export type Suggestion = Static<typeof Suggestion>

/** One sample that waits for people. */
export const LabelTask = Type.Object(
  {
    taskId: Type.Integer({ minimum: 1 }),
    queue: QueueName,
    state: TaskState,
    sample: Type.Object({
      digest: Digest,
      width: Type.Integer({ minimum: 1 }),
      height: Type.Integer({ minimum: 1 }),
      site: Type.Optional(SiteId),
      deviceId: Type.Optional(DeviceId),
      streamId: Type.Optional(StreamId),
      capturedAt: Type.Optional(Timestamp),
    }),
    /** Why the box kept it, and why it is asked for now. */
    reason: Type.Optional(SampleReason),
    why: Type.String({ maxLength: 500 }),
    /** 0 to 1: how much is learned from it, as far as is known. */
    use: Share,
    suggestions: Type.Array(Suggestion, { maxItems: sampleAnnotationsMax }),
    /** What is said of it now, where anything is: by whom, which answer. For a review every annotator's. */
    answers: Type.Array(
      Type.Object({
        by: Type.String(),
        at: Timestamp,
        verdict: Type.String(),
        annotations: Type.Array(SampleAnnotation),
        note: Type.String(),
      }),
    ),
    /** Who has it open now, other than who asks: two people on one frame are told of each other. */
    heldBy: Type.Optional(Type.String()),
    /** Counts its changes: an answer names the one it was made for. */
    revision: Type.Integer({ minimum: 0 }),
  },
  { $id: 'LabelTask' },
)
export type LabelTask = Static<typeof LabelTask>

/** Tasks that are given at once. */
export const tasksTakenMax = 20
/** Tasks that one person has ahead: enough to go on for a while without the hub. */
export const tasksHeldMax = 60
/** How long a task that was taken is kept from others; taking it again prolongs it. */
export const taskHoldMs = 10 * 60_000

export const TasksTake = Type.Object(
  {
    /** How many the asker wants to have ahead. */
    count: Type.Integer({ minimum: 1, maximum: tasksTakenMax }),
    /** Tasks that it has already: prolonged, and not given again. */
    have: Type.Optional(Type.Array(Type.Integer({ minimum: 1 }), { maxItems: tasksHeldMax })),
    for: Type.Optional(Type.Union([Type.Literal('label'), Type.Literal('review')])),
    /** By use over everything, or one camera after the other so that the scene stays the same. */
    order: Type.Optional(Type.Union([Type.Literal('use'), Type.Literal('camera')])),
  },
  { $id: 'TasksTake', ...closed },
)
export type TasksTake = Static<typeof TasksTake>

export const TasksTaken = Type.Object(
  { tasks: Type.Array(LabelTask, { maxItems: tasksTakenMax }) },
  { $id: 'TasksTaken' },
)
export type TasksTaken = Static<typeof TasksTaken>

/** `annotated`: this is in it (an empty list: nothing is); `skip`: not me; `bad`: keep it out; `flag`: let us talk. */
export const answerVerdicts = ['annotated', 'skip', 'bad', 'flag'] as const

export const LabelAnswer = Type.Object(
  {
    /** Made by who answers; the same one again changes nothing and is told what came of it. */
    answerId: Type.String({ pattern: '^[0-9a-f-]{36}$', maxLength: 36 }),
    taskId: Type.Integer({ minimum: 1 }),
    /** Of the task, as it was looked at. */
    revision: Type.Integer({ minimum: 0 }),
    verdict: Type.Enum(answerVerdicts),
    annotations: Type.Array(SampleAnnotation, { maxItems: sampleAnnotationsMax }),
    note: Type.Optional(Type.String({ maxLength: 500 })),
    /** How long it was looked at, and how many suggestions were changed, added or removed. */
    lookedMs: Type.Integer({ minimum: 0, maximum: 86_400_000 }),
    edits: Type.Integer({ minimum: 0, maximum: 100_000 }),
    /** Answered again after an undo: takes the place of one's own earlier answer, also of a done task. */
    again: Type.Optional(Type.Boolean()),
  },
  { $id: 'LabelAnswer', ...closed },
)
export type LabelAnswer = Static<typeof LabelAnswer>

export const labelAnswersMax = 50
export const LabelAnswers = Type.Object(
  { answers: Type.Array(LabelAnswer, { minItems: 1, maxItems: labelAnswersMax }) },
  { $id: 'LabelAnswers', ...closed },
)
export type LabelAnswers = Static<typeof LabelAnswers>

/** One outcome for each answer, in their order. */
export const LabelOutcomes = Type.Object(
  {
    outcomes: Type.Array(
      Type.Object({
        answerId: Type.String(),
        outcome: Type.Union([
          /** Kept; `state` is the task's now. */
          Type.Literal('kept'),
          /** Somebody else has answered meanwhile: look again. */
          Type.Literal('conflict'),
          /** It can never be kept, such as a box with an unknown label: `reason`. */
          Type.Literal('refused'),
        ]),
        state: Type.Optional(TaskState),
        revision: Type.Optional(Type.Integer({ minimum: 0 })),
        reason: Type.Optional(Type.String({ maxLength: 500 })),
      }),
    ),
  },
  { $id: 'LabelOutcomes' },
)
export type LabelOutcomes = Static<typeof LabelOutcomes>

/** What one person did in a queue. */
export const AnnotatorFigures = Type.Object(
  {
    by: Type.String(),
    answers: Type.Integer({ minimum: 0 }),
    /** Of them, suggestions taken as they were. */
    untouched: Type.Integer({ minimum: 0 }),
    /** Median time on a frame. */
    lookedMs: Type.Number({ minimum: 0 }),
    perMinute: Type.Number({ minimum: 0 }),
    editsPerFrame: Type.Number({ minimum: 0 }),
    /** Share (0..1) of annotations that others, or the reviewer, drew as well; null where nobody else looked. */
    agreement: Type.Union([Share, Type.Null()]),
  },
  { $id: 'AnnotatorFigures' },
)
export type AnnotatorFigures = Static<typeof AnnotatorFigures>

/** What a queue has brought, and how much people agree. */
export const QueueStatistics = Type.Object(
  {
    queue: QueueName,
    /** Answers that count now, skipped ones not among them. */
    answers: Type.Integer({ minimum: 0 }),
    /** Of all that were annotated, the share whose suggestions were taken as they were; null before the first. */
    untouched: Type.Union([Share, Type.Null()]),
    /** Tasks a minute while people were looking; 0 before the first. */
    perMinute: Type.Number({ minimum: 0 }),
    /** How alike two people are who saw the same tasks; null where no two did. */
    agreement: Type.Union([
      Type.Object({
        /** Tasks that were seen by two or more. */
        tasks: Type.Integer({ minimum: 1 }),
        /** Share of annotations that another one has as well, at the overlap of the queue. */
        matched: Share,
        /** Cohen's kappa of the labels of what two people have both drawn; null where there is one label only. */
        kappa: Type.Union([Type.Number({ minimum: -1, maximum: 1 }), Type.Null()]),
      }),
      Type.Null(),
    ]),
    /** Most answers first. */
    people: Type.Array(AnnotatorFigures),
    /** Answers of each of the last 30 days (UTC), oldest first. */
    days: Type.Array(Type.Object({ day: Type.String(), answers: Type.Integer({ minimum: 0 }) })),
  },
  { $id: 'QueueStatistics' },
)
export type QueueStatistics = Static<typeof QueueStatistics>

export const TaskQuery = Type.Object(
  {
    state: Type.Optional(Type.Enum(taskStates)),
    /** `device/stream`, or a stream alone. */
    stream: Type.Optional(Type.String({ minLength: 1, maxLength: 127 })),
    reason: Type.Optional(SampleReason),
    /** Answered by this person. */
    by: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    /** `new`: the last come first; `use`: the most useful first. */
    order: Type.Optional(Type.Union([Type.Literal('new'), Type.Literal('use')])),
    /** Rows to leave out from the beginning. */
    offset: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000 })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 50 })),
  },
  closed,
)
export type TaskQuery = Static<typeof TaskQuery>

export const TaskPage = Type.Object(
  {
    tasks: Type.Array(LabelTask),
    /** All that fit the query, on every page together. */
    total: Type.Integer({ minimum: 0 }),
  },
  { $id: 'TaskPage' },
)
export type TaskPage = Static<typeof TaskPage>

const { label, annotated, site, stream, problem } = SampleQuery.properties

/** Samples that are to be looked at: these, or those of the queue's dataset that fit. */
export const TasksAdd = Type.Object(
  {
    digests: Type.Optional(Type.Array(Digest, { minItems: 1, maxItems: samplesBatchMax })),
    fitting: Type.Optional(Type.Object({ label, annotated, site, stream, problem }, closed)),
    why: Type.Optional(Type.String({ maxLength: 300 })),
  },
  { $id: 'TasksAdd', minProperties: 1, ...closed },
)
export type TasksAdd = Static<typeof TasksAdd>

export const TasksAdded = Type.Object(
  {
    added: Type.Integer({ minimum: 0 }),
    /** That were in the queue before. */
    already: Type.Integer({ minimum: 0 }),
    /** That were less useful than the queue has room for; the least useful of all gave way. */
    dropped: Type.Integer({ minimum: 0 }),
  },
  { $id: 'TasksAdded' },
)
export type TasksAdded = Static<typeof TasksAdded>

export const SimilarQuery = Type.Object(
  {
    /** Only samples of this dataset; everything that the hub has where left out. */
    dataset: Type.Optional(DatasetName),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 24 })),
  },
  closed,
)
export type SimilarQuery = Static<typeof SimilarQuery>

export const SimilarSamples = Type.Object(
  {
    /** The most alike first. */
    similar: Type.Array(
      Type.Object({
        digest: Digest,
        /** 0 to 1. */
        likeness: Share,
        /** Of one that a box sent. */
        deviceId: Type.Optional(DeviceId),
        streamId: Type.Optional(StreamId),
        capturedAt: Type.Optional(Timestamp),
        /** That it is in. */
        datasets: Type.Array(DatasetName),
      }),
    ),
    /** Pictures that were compared: those of which it is known what they look like. */
    compared: Type.Integer({ minimum: 0 }),
  },
  { $id: 'SimilarSamples' },
)
export type SimilarSamples = Static<typeof SimilarSamples>

const queuePath = Type.Object({ queue: QueueName }, closed)

export const labelRoutes = {
  queueList: {
    method: 'GET',
    path: '/api/label-queues',
    access: 'viewer',
    summary: 'Lists label queues with what waits in each, by name',
    response: Type.Array(LabelQueueRow),
  },
  queuePut: {
    method: 'PUT',
    path: '/api/label-queues/:queue',
    access: 'operator',
    summary: 'Makes a label queue, or says anew what is asked in it; its dataset stays',
    params: queuePath,
    body: LabelQueueConfig,
    response: LabelQueueRow,
  },
  queueShow: {
    method: 'GET',
    path: '/api/label-queues/:queue',
    access: 'viewer',
    summary: 'Shows a label queue with what waits in it',
    params: queuePath,
    response: LabelQueueRow,
  },
  queueStatistics: {
    method: 'GET',
    path: '/api/label-queues/:queue/statistics',
    access: 'viewer',
    summary: 'Gives how fast people answer in a queue, and how much they agree',
    params: queuePath,
    response: QueueStatistics,
  },
  tasksTake: {
    method: 'POST',
    path: '/api/label-queues/:queue/take',
    access: 'operator',
    summary: 'Gives the next tasks of a queue, kept from others for ten minutes',
    params: queuePath,
    body: TasksTake,
    response: TasksTaken,
    unaudited: true,
  },
  labelAnswer: {
    method: 'POST',
    path: '/api/label-queues/:queue/answers',
    access: 'operator',
    summary: 'Takes answers to tasks, each once; says of each what came of it',
    params: queuePath,
    body: LabelAnswers,
    bytesMax: 16 * 1024 * 1024,
    response: LabelOutcomes,
  },
  taskList: {
    method: 'GET',
    path: '/api/label-queues/:queue/tasks',
    access: 'viewer',
    summary: 'Lists tasks of a queue',
    params: queuePath,
    query: TaskQuery,
    response: TaskPage,
  },
  tasksAdd: {
    method: 'POST',
    path: '/api/label-queues/:queue/tasks',
    access: 'operator',
    summary: 'Puts samples into a queue, by digest or those of its dataset that fit',
    params: queuePath,
    body: TasksAdd,
    response: TasksAdded,
  },
  queueSuggest: {
    method: 'POST',
    path: '/api/label-queues/:queue/suggestions',
    access: 'operator',
    summary: 'Queues the making of proposals for what waits, by the models of the queue',
    params: queuePath,
    response: Job,
    status: 201,
  },
  sampleSimilar: {
    method: 'GET',
    path: '/api/samples/:digest/similar',
    access: 'viewer',
    summary: 'Gives samples that look like one',
    params: Type.Object({ digest: Digest }, closed),
    query: SimilarQuery,
    response: SimilarSamples,
  },
  taskShow: {
    method: 'GET',
    path: '/api/label-tasks/:taskId',
    access: 'viewer',
    summary: 'Shows a task with what is proposed and what was said of it',
    params: Type.Object({ taskId: Type.Integer({ minimum: 1 }) }, closed),
    response: LabelTask,
  },
  queueRemove: {
    method: 'DELETE',
    path: '/api/label-queues/:queue',
    access: 'operator',
    summary: 'Removes a label queue with its tasks and answers; what is in the dataset stays',
    params: queuePath,
    status: 204,
  },
} as const satisfies Record<string, Route>
