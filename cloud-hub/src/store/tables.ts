/**
 * The hub's tables as the queries see them. Times are integer milliseconds, JSON is text, booleans are
 * 0 and 1, so that the same queries run on SQLite and on PostgreSQL.
 */
import type { Generated } from 'kysely'

/** One row per device that was ever enrolled. */
export type DeviceTable = {
  device_key: Generated<number>
  device_id: string
  /** Site in its certificate and its topics; never changes. */
  site: string
  name: string
  enrolled_at: number
  certificate_serial: string
  certificate_not_after: number
  last_seen_at: number | null
  /** Rows of `event` that came from it; counted in the transaction that inserts them. */
  events_stored: Generated<number>
  /** The newest `reported` message, as JSON. */
  reported: string | null
  /** The newest `health` event, as JSON. */
  health: string | null
  /** Version of `desired`; 0 before the first. */
  desired_version: Generated<number>
  desired: string | null
  /** A renewed certificate that has not been used yet: its first use makes it the certificate. */
  next_serial: Generated<string | null>
  next_not_after: Generated<number | null>
  /** Since when the device is not let in any more; null while it is. */
  retired_at: Generated<number | null>
  /** `Device.connections` as JSON. */
  connections: Generated<string | null>
  /** Where it stands now, if not at `site`. */
  moved_to: Generated<string | null>
  /** Words to choose it by, as a JSON list; null for none. */
  tags: Generated<string | null>
}

/** A key of a device whose certificate was renewed; that of the one in use comes with each connection. */
export type EarlierKeyTable = {
  /** Of its certificate, lower-case hex. */
  serial: string
  device_key: number
  /** SPKI in PEM. */
  public_key: string
  not_before: number
  not_after: number
}

/** What was set for a site; one without a row is as any other. */
export type SiteTable = {
  site: string
  time_zone: string
}

/** One version of what was wanted of a device. Bounded: the oldest of a device give way. */
export type ConfigVersionTable = {
  device_key: number
  version: number
  at: number
  /** Who wished it; empty for what was there before authors were kept. */
  author: string
  /** `DeviceConfig` as JSON, with its passwords. */
  config: string
  /** What the device made of it: `sent`, `accepted` or `refused`. */
  outcome: string
  /** Why it was refused. */
  reason: string
}

/** A token that buys one certificate; only its hash is kept. */
export type EnrolmentTokenTable = {
  token_hash: string
  device_id: string
  site: string
  name: string
  expires_at: number
  used_at: number | null
}

/** Somebody who may sign in. */
export type AccountTable = {
  user_name: string
  role: string
  /** scrypt with its parameters; null until one was chosen. */
  password: string | null
  created_at: number
  last_sign_in_at: number | null
}

/** A one-time link of an account; only the hash of its token is kept. */
export type SignInTokenTable = {
  token_hash: string
  user_name: string
  /** `signIn` buys a session, `password` the right to choose a password. */
  purpose: string
  expires_at: number
  used_at: number | null
}

export type SessionTable = {
  session_id: string
  session_hash: string
  user_name: string
  created_at: number
  /** To the minute. */
  last_seen_at: number
  expires_at: number
  address: string
  client: string
}

export type ApiTokenTable = {
  token_id: string
  token_hash: string
  name: string
  role: string
  /** Null for a token of the hub's machine. */
  user_name: string | null
  created_at: number
  expires_at: number | null
  last_used_at: number | null
}

/** One change, or one attempt that was refused. */
export type AuditEntryTable = {
  audit_id: Generated<number>
  at: number
  actor: string | null
  via: string
  action: string
  target: string
  outcome: string
  address: string
  detail: string
}

/** The high-water mark: everything of this boot up to `through` has been received. */
export type BootTable = {
  boot_key: Generated<number>
  device_key: number
  boot_id: string
  through: number
  first_at: number
}

export type EventTable = {
  event_id: number
  device_key: number
  boot_key: number
  sequence: number
  kind: string
  at: number
  received_at: number
  historical: number
  stream_id: string | null
  label: string | null
  score: number | null
  snapshot: string | null
  /** The event as it was received, as JSON. */
  data: string
}

/** What a person said of an event: at most one of each kind. */
export type EventMarkTable = {
  event_id: number
  mark: string
  user_name: string
  at: number
}

/** Figures of `health` events, kept apart because charts read thousands of them at once. */
export type HealthFigureTable = {
  event_id: number
  device_key: number
  at: number
  cpu_share: number
  memory_bytes: number
  loop_p99_ms: number
  outbox_events: number
  /** `StreamFigures[]` as JSON. */
  streams: string
}

/** What came in but could not be taken, and why. Bounded: the oldest rows give way. */
export type QuarantineTable = {
  quarantine_id: Generated<number>
  device_key: number
  boot_id: string | null
  sequence: number | null
  received_at: number
  reason: string
  data: string
}

/** Long work that waits, runs or is over. Bounded: the oldest that are over give way. */
export type JobTable = {
  job_id: string
  kind: string
  subject: string
  /** What is to be done, as JSON. */
  request: string
  state: string
  progress: number
  step: string
  error: string
  cancelling: number
  attempts: number
  /** Who works on it; empty for nobody. */
  worker: string
  lease_until: number
  author: string
  created_at: number
  started_at: number | null
  ended_at: number | null
}

/** One version of a model; its bytes are among the hub's models, under `digest`. */
export type ModelVersionTable = {
  name: string
  version: number
  layout: string
  /** `string[]` as JSON. */
  labels: string
  description: string
  note: string
  digest: string
  size_bytes: number
  /** `ModelInspection` as JSON. */
  inspection: string
  author: string
  created_at: number
  /** 1 for the version that the others are compared with; one of a name at most. */
  champion: Generated<number>
  /** Why it is the champion, or is not. */
  standing: Generated<string>
  /** `Lineage` as JSON; null for what was brought by somebody. */
  lineage: Generated<string | null>
}

/** One execution of training, asked for, going on or over. */
export type RunTable = {
  run_id: string
  /** The newest job that worked on it. */
  job_id: string
  state: string
  /** `pause` or `cancel` where somebody asked for it and it has not come yet. */
  asked: string
  dataset: string
  dataset_version: number
  dataset_digest: string
  fold: number | null
  parent: string
  model: string
  layout: string
  /** Part of a recipe as JSON; the whole of it once the run has ended. */
  recipe: string
  seed: number
  note: string
  /** `CompileRequest` as JSON; empty for none. */
  compile: string
  /** 1 where it becomes no champion by itself. */
  candidate: Generated<number>
  /** Version of the dataset whose samples are replayed. */
  replay: number | null
  /** Versions that it is compared with besides the champion, as JSON. */
  compare_with: Generated<string>
  /** `NAME/VERSION` of the model that it follows; empty for none. */
  teacher: Generated<string>
  /** 1 where the external trainer takes the steps. */
  external: Generated<number>
  /** The search of which it is a trial; empty where it is none. */
  search_id: Generated<string>
  /** Share of the recipe's epochs that it takes (0..1]. */
  share: Generated<number>
  /** 0 where no model version is made of its result: a trial that is not the best. */
  keeps: Generated<number>
  step: number
  steps: number
  epoch: number
  eta_ms: number | null
  images_per_second: number
  phase: string
  loss: number | null
  /** `KeyFigure` as JSON; empty before there is one. */
  key_figure: string
  error: string
  resumed: number
  /** What it became, as JSON; empty before that. */
  result: string
  code_version: string
  /** `RunLogLine[]` as JSON; the newest. */
  log: string
  author: string
  schedule: string
  created_at: number
  started_at: number | null
  ended_at: number | null
  heard_at: number | null
  active_ms: number
}

/** A stretch of the curves of a run. */
export type RunCurveTable = {
  run_id: string
  first_step: number
  last_step: number
  points: number
  /** `CurvePart` as JSON. */
  data: string
}

/** Figures of a run at a step. */
export type RunEvaluationTable = {
  run_id: string
  step: number
  /** On which samples: `validation`, `test`; or of another model on them: `before`, `champion`. */
  samples: string
  at: number
  figures: string
  best: number
}

/** A file of a run; its bytes are among the hub's models. Of checkpoints the newest few are kept. */
export type RunFileTable = {
  run_id: string
  kind: string
  step: number
  digest: string
  size_bytes: number
  created_at: number
}

/** Runs with other values of one recipe, asked for, going on or over. */
export type RunSearchTable = {
  search_id: string
  state: string
  /** `RunRequest` as JSON: what the trials have in common. */
  request: string
  /** `SearchPlan` as JSON. */
  plan: string
  seed: number
  dataset: string
  dataset_version: number
  parent: string
  model: string
  note: string
  /** Trials in all, if none fails. */
  trials: number
  /** The figure that decides, whether `more` or `less` of it is better, and what is best so far; empty, null before it is known. */
  metric: string
  better: string
  best_trial: string
  best_value: number | null
  ended: number
  /** What the best became, as JSON; empty before that. */
  result: string
  error: string
  author: string
  created_at: number
  ended_at: number | null
}

/** One run of a search. */
export type RunTrialTable = {
  search_id: string
  /** Candidate and round, from 1. */
  trial: string
  run_id: string
  candidate: number
  round: number
  share: number
  /** `TrialSettings` as JSON. */
  settings: string
  /** What it came to on the validation samples, as JSON. */
  figures: string
  seconds: number
  failure: string
  created_at: number
  ended_at: number | null
}

/** What begins runs by itself. */
export type TrainingScheduleTable = {
  name: string
  enabled: number
  /** `ScheduleCause` as JSON. */
  cause: string
  /** `ScheduledRun` as JSON. */
  run_request: string
  author: string
  created_at: number
  /** When it was due last. */
  last_at: number | null
  /** The run that it began last; empty before the first. */
  last_run: string
  last_outcome: string
}

/** What was compiled of a model version; its files are among the hub's models. */
export type ArtifactTable = {
  artifact_id: string
  name: string
  version: number
  target: string
  chosen: string
  digest: string
  size_bytes: number
  manifest_digest: string
  report_digest: string
  /** `Candidate[]` as JSON. */
  candidates: string
  job_id: string
  created_at: number
}

/** One version of a model for one kind of box, as boxes may be offered it; its bytes are among the hub's models. */
export type ArtifactPublicationTable = {
  name: string
  version: number
  target: string
  /** Kinds of boxes as JSON. */
  targets: string
  /** Null for the file as it was added. */
  artifact_id: string | null
  manifest_digest: string
  manifest_bytes: number
  file_digest: string
  file_bytes: number
  /** `PublishedEncoding[]` as JSON. */
  encodings: string
  scale_epoch: number
  /** Of all scales and zero points of its codes; empty where it has none. */
  scales_digest: string
  expires_at: number
  author: string
  published_at: number
}

/** A digest that boxes may fetch, and what it is: `manifest` or a codec. */
export type PublishedFileTable = {
  digest: string
  kind: string
  size_bytes: number
}

/** A picture that is kept for learning; its bytes are among the hub's samples, under `digest`. */
export type SampleTable = {
  digest: string
  /** `PictureForm`; empty for a mask. */
  form: string
  width: number
  height: number
  size_bytes: number
  /** Digest of a small picture of it; empty before one was made. */
  thumbnail: Generated<string>
  added_at: number
}

/** A dataset as it is now. */
export type DatasetTable = {
  name: string
  description: string
  /** `string[]` as JSON. */
  labels: string
  revision: number
  /** `Found` as JSON; empty before somebody looked. */
  inspection: string
  author: string
  created_at: number
  changed_at: number
}

/** A sample in a dataset, and what is said of it there now. */
export type DatasetSampleTable = {
  dataset: string
  digest: string
  /** Order in which they came. */
  position: number
  name: string
  site: string | null
  stream_id: string | null
  captured_at: number | null
  /** `SampleAnnotation[]` as JSON. */
  annotations: string
  /** Counts what was said of it. */
  revision: number
  author: string
  at: number
}

/** By what a sample of a dataset is found: its labels (`kind` label), and what is odd about it (`kind` problem). */
export type DatasetMarkTable = {
  dataset: string
  kind: string
  word: string
  digest: string
  count: number
}

/** What was said of a sample before. Bounded: the oldest of a sample give way. */
export type AnnotationRevisionTable = {
  dataset: string
  digest: string
  revision: number
  annotations: string
  author: string
  at: number
}

/** A frozen dataset; its list lies among the hub's samples under `digest`, its splits under `split_digest`. */
export type DatasetVersionTable = {
  dataset: string
  version: number
  /** Names what is in it: samples, annotations and labels. */
  digest: string
  split_digest: string
  labels: string
  samples: number
  /** `SplitKept` as JSON. */
  split: string
  /** Kept for what is to be known of a version; empty. */
  inspection: string
  note: string
  /** Of the dataset, when it was frozen. */
  revision: number
  author: string
  created_at: number
}

/** A queue of samples that wait for people. */
export type LabelQueueTable = {
  name: string
  dataset: string
  /** `LabelQueueConfig` as JSON. */
  config: string
  /** Moved by whoever gives or takes tasks, so that two never do at once. */
  revision: number
  /** Samples of boxes up to this one were looked at for it. */
  taken_through: Generated<number>
  author: string
  created_at: number
}

/** A sample in a queue, with all that is known of it, so that it outlives what it came from. */
export type LabelTaskTable = {
  task_id: Generated<number>
  queue: string
  digest: string
  /** Of the sample in the dataset. */
  name: string
  width: number
  height: number
  site: string | null
  device_id: string | null
  stream_id: string | null
  captured_at: number | null
  state: string
  /** Of the box that kept it; empty where none did. */
  reason: string
  why: string
  /** `Suggestion[]` as JSON. */
  suggestions: string
  /** Models that proposed, with spaces between: `champion:parts@3 teacher:large@1`. */
  suggested_by: string
  /** 0 to 1: how unsure models are of it; what `use_share` follows from. */
  doubt: number
  /** 0 to 1: how unlike it is to what was answered. */
  novelty: number
  use_share: number
  /** 64 bits in hex; empty where nobody looked, `?` where it cannot be known. */
  looks: string
  /** `number[]` as JSON; empty where there is none. */
  embedding: string
  /** What the dataset said of it before this task did, as JSON; null where it was not in the dataset. */
  before: string | null
  revision: number
  added_at: number
  changed_at: number
}

/** What a picture looks like that was looked at here. */
export type SampleLooksTable = {
  digest: string
  /** 64 bits in hex; empty where the picture cannot be read. */
  hash: string
  /** `number[]` as JSON; empty where it cannot be read. */
  embedding: string
  at: number
}

/** Somebody has a task open until then. */
export type LabelHoldTable = { task_id: number; person: string; until: number }

/** What somebody said of a task. */
export type LabelAnswerTable = {
  answer_id: string
  task_id: number
  queue: string
  person: string
  /** `label`, or `review`: one that decides. */
  part: string
  verdict: string
  /** `SampleAnnotation[]` as JSON. */
  annotations: string
  note: string
  looked_ms: number
  edits: number
  /** How many suggestions there were. */
  suggested: number
  /** 1 until something else was said in its place. */
  counts: number
  /** Revisions of the task: when it was looked at, and after this answer. */
  made_for: number
  led_to: number
  at: number
}

/** A file of the trust repository, such as `timestamp.json`. */
export type TrustFileTable = {
  name: string
  /** Byte for byte: its digest is signed. */
  text: string
  at: number
}

/** One row: counts changes of the trust repository, so that two replicas do not make one each. */
export type TrustRevisionTable = {
  id: number
  revision: number
}

/** A manifest that waits until somebody signs it with the targets key. */
export type TrustStagedTable = {
  path: string
  digest: string
  length_bytes: number
  at: number
}

/** A rollout: what was asked, how far it is. Whoever changes it, or one of its devices, raises `revision`. */
export type RolloutTable = {
  rollout_id: string
  name: string
  version: number
  state: string
  why: string
  stage: number
  /** `RolloutPlan` as JSON. */
  plan: string
  /** `StageRecord` of each stage and of the end, as JSON. */
  stages: string
  /** What a held one waits for, as JSON; empty where it is not held. */
  held: string
  /** Who goes back, of one that was stopped or aborted. */
  scope: string
  /** `LeftOut` as JSON. */
  left_out: string
  /** `RolloutShown` as JSON: counts, bytes and stages as they were worked out last. */
  shown: string
  superseded_by: string
  /** 1 while something may still be decided about it. */
  open: number
  author: string
  created_at: number
  started_at: number | null
  ended_at: number | null
  revision: number
}

/** One device of a rollout. */
export type RolloutBoxTable = {
  rollout_id: string
  device_key: number
  /** Order in which devices are offered it. */
  rank: number
  stage: number
  state: string
  attempt: number
  since: number
  offered_at: number | null
  contact_at: number | null
  confirmed_at: number | null
  revoked: number
  going_back: number
  /** 1 where no newer rollout has offered this model to the device. */
  current: number
  code: string
  reason: string
  /** Of the model's file that it is to run, and the kind of box that is for. */
  digest: string
  target: string
  /** Manifest of an offer, as JSON. */
  manifest: string
  version_before: number | null
  after_sequence: number
  /** End of the maintenance window that it was told last. */
  activate_before: number | null
  /** Bytes, history and comparisons: `BoxData` as JSON. */
  data: string
}

/** What was decided about a rollout, or asked for. Bounded: the oldest of a rollout give way. */
export type RolloutDecisionTable = {
  decision_id: Generated<number>
  rollout_id: string
  at: number
  act: string
  detail: string
  author: string
}

/** What a device said last of its models. */
export type DeviceUpdateTable = {
  device_key: number
  boot_id: string
  sequence: number
  /** Its own time. */
  said_at: number
  received_at: number
  /** How many of its messages were taken. */
  heard: number
  /** What it runs, and what it gives to other boxes, as JSON. */
  running: string
  mirror: string
}

/** A rule on events. */
export type EventRuleTable = {
  name: string
  enabled: number
  /** `EventRule` as JSON. */
  rule: string
  author: string
  created_at: number
  changed_at: number
  /** The newest event when it was set: it looks at later ones only. */
  since_event: number
  fired_at: number | null
}

/** One row: events up to here were looked at by all rules. */
export type RuleCursorTable = {
  id: number
  event_id: number
}

/** What a rule remembers of a group. Bounded: what was not touched for two days goes. */
export type RuleMemoryTable = {
  rule: string
  group_key: string
  /** `GroupMemory` as JSON. */
  memory: string
  /** Until when matches join the deliveries of the last firing. */
  gather_until: number
  touched_at: number
}

/** Whom rules can tell. */
export type ReceiverTable = {
  name: string
  /** `Receiver` as JSON. */
  receiver: string
  password: string
  /** Signs webhooks; empty for other kinds. */
  secret: string
  /** Signs beside it until then. */
  earlier_secret: string
  earlier_until: number | null
  author: string
  created_at: number
  changed_at: number
  failures: number
  paused_until: number
  ok_at: number | null
  error: string
  /** Which hub sends to it now. */
  worker: string
  lease_until: number
}

/** One thing that one receiver is told once; a queue that outlives the hub. Bounded: the oldest that are over give way. */
export type DeliveryTable = {
  delivery_id: Generated<number>
  message_id: string
  rule: string
  receiver: string
  group_key: string
  state: string
  /** `ToldEvent[]` as JSON. */
  events: string
  event_count: number
  /** Null of a trial. */
  first_event_id: number | null
  silenced: number
  created_at: number
  gather_until: number
  due_at: number
  ended_at: number | null
  attempts: number
  outcome: string
}

/** What takes a model from annotations to the boxes, again and again. */
export type PipelineTable = {
  model: string
  /** `PipelineConfig` as JSON. */
  config: string
  /** Who parked it and when, as JSON; empty where nobody has. */
  parked: string
  /** Who wants a round now, as JSON; empty where nobody does. */
  asked: string
  /** Alarms that the next round is to answer, as JSON; the newest. */
  alarms: string
  /** The newest alarm that was looked at. */
  alarms_through: number
  /** When its cron expression was due, if no round has answered that. */
  due_at: number | null
  /** 1 where somebody does not want to wait between two rounds. */
  hurry: number
  /** Site → version that it kept when a newer one was worse there, as JSON; null for one that nobody knows. */
  sites_behind: string
  author: string
  created_at: number
  changed_at: number
  revision: number
}

/** One passage of a pipeline. */
export type PipelineRoundTable = {
  model: string
  round: number
  state: string
  why: string
  /** `PipelineCause` as JSON. */
  cause: string
  /** `PipelineConfig` as JSON, as it was when the round began. */
  config: string
  annotations: number
  dataset_version: number | null
  version: number | null
  champion_before: number | null
  /** 1 since its version was made the champion. */
  crowned: number
  /** Figure that decides, as JSON; empty before it is known. */
  key_figure: string
  /** `SiteVerdict[]` as JSON. */
  sites: string
  author: string
  started_at: number
  ended_at: number | null
  revision: number
}

/** One step of a round. */
export type PipelineStepTable = {
  model: string
  round: number
  step: string
  state: string
  why: string
  progress: number | null
  attempt: number
  retry_at: number | null
  /** What it begins or has begun, by what it is for, as JSON: kept before anything is begun. */
  ids: string
  /** Who approved it; empty where nobody did. */
  approved_by: string
  started_at: number | null
  ended_at: number | null
}

/** Something that one hub of several does; it is free when its time is over. */
export type LeaseTable = {
  name: string
  worker: string
  until: number
}

/** A sample that a box sent; its picture is the `sample` of that digest. */
export type FieldSampleTable = {
  sample_id: Generated<number>
  digest: string
  device_id: string
  /** Where the device stood. */
  site: string
  stream_id: string
  captured_at: number
  received_at: number
  reason: string
  model_name: string
  looks: string
  size_bytes: number
  /** 1 where the redaction was signed by the device. */
  signature_valid: number
  /** `SampleOffer` as JSON. */
  offer: string
}

/** A sample that a box was told to send; its bytes lie in the hub's data folder as far as they have come. */
export type SampleOfferTable = {
  digest: string
  device_id: string
  stream_id: string
  size_bytes: number
  signature_valid: number
  offer: string
  heard_at: number
}

/** What samples of one stream cost in one day (UTC), and what its box would have sent. */
export type SampleSpendTable = {
  /** Days since the epoch. */
  day: number
  device_id: string
  stream_id: string
  wished: number
  frames: number
  bytes: number
}

/** One row, once somebody has set it: what all boxes together may send in a day. */
export type SampleBudgetTable = {
  id: number
  frames_per_day: number
  bytes_per_day: number
  author: string
  at: number
}

/** A time of a stream that was forgotten: samples of it are not taken any more. */
export type ForgottenTable = {
  forgotten_id: Generated<number>
  device_id: string
  /** Null: of every stream of the device. */
  stream_id: string | null
  from_at: number
  to_at: number
  author: string
  at: number
}

/** A stream whose sketches are watched. */
export type DriftStreamTable = {
  device_key: number
  stream_id: string
  /** `WatchState` as JSON. */
  state: string
  /** `DriftFigure[]` of the newest sketch, as JSON. */
  figures: string
  learnt: number
  is_night: number
  model_digest: string | null
  newest_at: number
  /** When the hub took in its newest sketch. */
  seen_at: number
  interval_ms: number
  revision: number
}

/** Figures of one sketch beside what was usual, for charts: `[name, now, usual, tolerance][]` as JSON. */
export type DriftPointTable = {
  device_key: number
  stream_id: string
  at: number
  figures: string
}

export type DriftAlarmTable = {
  alarm_id: Generated<number>
  device_key: number
  stream_id: string
  kind: string
  raised_at: number
  ended_at: number | null
  ended_by: string | null
  why: string
  figures: string
  model_digest: string | null
  snoozed_until: number | null
}

/** Events up to here were looked at. */
export type DriftProgressTable = {
  name: string
  event_id: number
}

/** A model asked about many pictures, under the name that whoever asked has given it. */
export type InferenceBatchTable = {
  task_id: string
  /** Digest of what was asked: the same asked again is the same batch. */
  fingerprint: string
  model: string
  version: number
  /** `modelKey` of that version. */
  model_key: string
  /** `BatchInputsShown` as JSON. */
  inputs: string
  score_min: number
  pictures: number
  done: number
  cached: number
  failed: number
  /** Of its newest job, as it ended; `queued` before. */
  state: string
  error: string
  job_id: string
  author: string
  created_at: number
  ended_at: number | null
}

/** One picture of a batch: `waiting`, `done` or `failed`. */
export type InferencePictureTable = {
  task_id: string
  position: number
  digest: string
  name: string
  state: string
  error: string
}

/** What a model said of a picture: `PictureReading` as JSON. */
export type InferenceResultTable = {
  model_key: string
  digest: string
  reading: string
  used_at: number
}

export type Tables = {
  device: DeviceTable
  earlier_key: EarlierKeyTable
  config_version: ConfigVersionTable
  enrolment_token: EnrolmentTokenTable
  account: AccountTable
  sign_in_token: SignInTokenTable
  session: SessionTable
  api_token: ApiTokenTable
  audit_entry: AuditEntryTable
  boot: BootTable
  event: EventTable
  event_mark: EventMarkTable
  health_figure: HealthFigureTable
  quarantine: QuarantineTable
  job: JobTable
  model_version: ModelVersionTable
  artifact: ArtifactTable
  artifact_publication: ArtifactPublicationTable
  published_file: PublishedFileTable
  sample: SampleTable
  dataset: DatasetTable
  dataset_sample: DatasetSampleTable
  dataset_mark: DatasetMarkTable
  annotation_revision: AnnotationRevisionTable
  dataset_version: DatasetVersionTable
  run: RunTable
  run_curve: RunCurveTable
  run_evaluation: RunEvaluationTable
  run_file: RunFileTable
  run_search: RunSearchTable
  run_trial: RunTrialTable
  training_schedule: TrainingScheduleTable
  trust_file: TrustFileTable
  trust_revision: TrustRevisionTable
  trust_staged: TrustStagedTable
  site: SiteTable
  rollout: RolloutTable
  rollout_box: RolloutBoxTable
  rollout_decision: RolloutDecisionTable
  device_update: DeviceUpdateTable
  event_rule: EventRuleTable
  rule_cursor: RuleCursorTable
  rule_memory: RuleMemoryTable
  receiver: ReceiverTable
  delivery: DeliveryTable
  lease: LeaseTable
  label_queue: LabelQueueTable
  label_task: LabelTaskTable
  label_hold: LabelHoldTable
  label_answer: LabelAnswerTable
  sample_looks: SampleLooksTable
  field_sample: FieldSampleTable
  sample_offer: SampleOfferTable
  sample_spend: SampleSpendTable
  sample_budget: SampleBudgetTable
  forgotten: ForgottenTable
  drift_stream: DriftStreamTable
  drift_point: DriftPointTable
  drift_alarm: DriftAlarmTable
  drift_progress: DriftProgressTable
  pipeline: PipelineTable
  pipeline_round: PipelineRoundTable
  pipeline_step: PipelineStepTable
  inference_batch: InferenceBatchTable
  inference_picture: InferencePictureTable
  inference_result: InferenceResultTable
}
