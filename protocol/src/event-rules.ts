/**
 * Rules on events: which events are meant, when enough of them have come, and whom to tell. What is sent is a
 * **delivery**; whom it goes to is a **receiver** (a webhook, an MQTT topic, people by e-mail), set up by an admin
 * and used by rules under its name.
 */
import { type Static, type TSchema, Type } from 'typebox'
import { AreaName } from './areas.ts'
import { StreamState } from './device.ts'
import { driftKinds } from './drift.ts'
import { alarmCodes, eventKinds, isUnlisted, StoredEvent, zoneActs } from './event.ts'
import { DeviceId, DeviceTag, Label, SiteId, StreamId, Timestamp } from './names.ts'
import { MaintenanceWindow } from './rollouts.ts'

const closed = { additionalProperties: false } as const
const namePattern = '^[a-z0-9][a-z0-9_-]{0,62}$'

export const RuleName = Type.String({ pattern: namePattern, maxLength: 63 })
export const ReceiverName = Type.String({ pattern: namePattern, maxLength: 63 })

/** Rules and receivers at most. */
export const rulesMax = 200
export const receiversMax = 100
/** Words in one list of a condition. */
const wordsMax = 100
/** Events that one delivery carries; further ones are only counted. */
export const deliveryEventsMax = 50

/** Kinds that a rule can be about: what happens, not figures that come all the time. */
export const ruleEventKinds = eventKinds.filter((kind) => !isUnlisted(kind))

/** Alarms that a rule can be about: those of boxes, and what the hub says of streams that have drifted. */
export const ruleAlarmCodes = [
  ...alarmCodes,
  ...driftKinds.filter((kind) => kind !== 'night').map((kind) => `drift-${kind}` as const),
]

const anyOf = <S extends TSchema>(word: S) =>
  Type.Optional(Type.Array(word, { minItems: 1, maxItems: wordsMax, uniqueItems: true }))

/** Times of day and days on which a rule looks, in the time zone of the event's site. */
export const RuleHours = MaintenanceWindow

/**
 * Which events are meant: those that fit every key. A list fits where one of its words does; a key that is left out fits
 * every event, one about something that an event does not have (a zone, a score) fits none without it.
 */
export const RuleCondition = Type.Object(
  {
    kinds: anyOf(Type.Enum(ruleEventKinds)),
    labels: anyOf(Label),
    zones: anyOf(AreaName),
    zoneActs: anyOf(Type.Enum(zoneActs)),
    lines: anyOf(AreaName),
    directions: anyOf(Type.Enum(['toRight', 'toLeft'] as const)),
    scoreMin: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    alarmCodes: anyOf(Type.Enum(ruleAlarmCodes)),
    /** Whether alarms that begin (true) or that end (false) are meant. */
    alarmActive: Type.Optional(Type.Boolean()),
    streamStates: anyOf(StreamState),
    devices: anyOf(DeviceId),
    sites: anyOf(SiteId),
    streams: anyOf(StreamId),
    /** Devices that have one of these tags. */
    tags: anyOf(DeviceTag),
    hours: Type.Optional(Type.Array(RuleHours, { minItems: 1, maxItems: 20 })),
    /** Events that came in later than this after they happened are left. */
    lateSecondsMax: Type.Optional(Type.Integer({ minimum: 1, maximum: 30 * 86_400 })),
  },
  { $id: 'RuleCondition', ...closed },
)
export type RuleCondition = Static<typeof RuleCondition>

/** What makes events belong together: each of these parts that differs begins a count of its own. */
export const ruleGroupings = ['site', 'device', 'stream', 'label', 'area', 'track'] as const
export type RuleGrouping = (typeof ruleGroupings)[number]

export const EventRule = Type.Object(
  {
    description: Type.Optional(Type.String({ maxLength: 300 })),
    enabled: Type.Optional(Type.Boolean({ default: true })),
    when: RuleCondition,
    /** Fires only when so many came within the time; each firing begins to count anew. */
    count: Type.Optional(
      Type.Object(
        {
          atLeast: Type.Integer({ minimum: 2, maximum: 1000 }),
          withinSeconds: Type.Integer({ minimum: 1, maximum: 86_400 }),
        },
        closed,
      ),
    ),
    /** Empty: all events of the rule together. */
    groupBy: Type.Optional(
      Type.Array(Type.Enum(ruleGroupings), { maxItems: ruleGroupings.length, uniqueItems: true }),
    ),
    /** After a firing the group stays silent for so long; what comes meanwhile is counted and told with the next. */
    coolDownSeconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 86_400, default: 0 })),
    /** A firing waits so long for more of its group, and all go in one delivery. */
    gatherSeconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 3600, default: 0 })),
    /** Receivers that are told. */
    tell: Type.Array(ReceiverName, { minItems: 1, maxItems: 10, uniqueItems: true }),
  },
  { $id: 'EventRule', ...closed },
)
export type EventRule = Static<typeof EventRule>

export const RuleRow = Type.Object(
  {
    name: RuleName,
    rule: EventRule,
    by: Type.String(),
    createdAt: Timestamp,
    changedAt: Timestamp,
    /** When it fired last; null where it never did since it was set. */
    lastFiredAt: Type.Union([Timestamp, Type.Null()]),
    /** Deliveries that wait, and that were given up. */
    waiting: Type.Integer({ minimum: 0 }),
    dead: Type.Integer({ minimum: 0 }),
  },
  { $id: 'RuleRow' },
)
export type RuleRow = Static<typeof RuleRow>

/** Examples in a trial, and rows that one looks at. */
export const trialExamplesMax = 20
export const trialEventsMax = 200_000

/** What a rule would have done with the events that are stored of a time. Nothing is sent. */
export const RuleTrial = Type.Object(
  {
    from: Timestamp,
    to: Timestamp,
    /** Events that were looked at, and those that fit the condition. */
    looked: Type.Integer({ minimum: 0 }),
    matched: Type.Integer({ minimum: 0 }),
    /** Deliveries to each receiver. */
    fired: Type.Integer({ minimum: 0 }),
    /** Fell into a cool-down. */
    silenced: Type.Integer({ minimum: 0 }),
    /** False where there were more events than are looked at: the oldest were left. */
    whole: Type.Boolean(),
    /** The newest firings, by the event that caused each. */
    examples: Type.Array(Type.Object({ group: Type.String(), event: StoredEvent }), {
      maxItems: trialExamplesMax,
    }),
  },
  { $id: 'RuleTrial' },
)
export type RuleTrial = Static<typeof RuleTrial>

export const deliveryStates = ['waiting', 'done', 'dead'] as const
export type DeliveryState = (typeof deliveryStates)[number]

/** One thing that one receiver is told, once. */
export const Delivery = Type.Object(
  {
    deliveryId: Type.Integer({ minimum: 1 }),
    rule: Type.String(),
    receiver: Type.String(),
    /** What the events have in common, such as `gate/door`; empty where they are not grouped. */
    group: Type.String(),
    state: Type.Enum(deliveryStates),
    events: Type.Integer({ minimum: 0 }),
    /** The event that caused it, as the store numbers it; null where that was none of a box. */
    firstEventId: Type.Union([Type.Integer(), Type.Null()]),
    /** Matches that a cool-down had kept back before it. */
    silenced: Type.Integer({ minimum: 0 }),
    createdAt: Timestamp,
    /** When it is tried next; null where it is over. */
    dueAt: Type.Union([Timestamp, Type.Null()]),
    endedAt: Type.Union([Timestamp, Type.Null()]),
    attempts: Type.Integer({ minimum: 0 }),
    /** What came of the last try. */
    outcome: Type.String(),
  },
  { $id: 'Delivery' },
)
export type Delivery = Static<typeof Delivery>

/** Newest first. `next` is the `before` of the next page, or null at the end. */
export const DeliveryPage = Type.Object(
  { deliveries: Type.Array(Delivery), next: Type.Union([Type.Integer(), Type.Null()]) },
  { $id: 'DeliveryPage' },
)
export type DeliveryPage = Static<typeof DeliveryPage>

/** Private addresses that an admin lets the hub connect to: an address, a range (`10.1.0.0/16`), or a host name. */
const Allowed = Type.Optional(
  Type.Array(Type.String({ minLength: 1, maxLength: 253 }), { maxItems: 50, uniqueItems: true }),
)
const Certificates = Type.Optional(Type.String({ maxLength: 100_000 }))

export const WebhookReceiver = Type.Object(
  {
    kind: Type.Literal('webhook'),
    /** `https:`; `http:` only together with `plainHttp`. */
    url: Type.String({ minLength: 8, maxLength: 2000 }),
    plainHttp: Type.Optional(Type.Boolean()),
    /** One CloudEvent for each event of a delivery, as a batch, instead of one for the firing. */
    batch: Type.Optional(Type.Boolean()),
    /** Certificates (PEM) that are trusted beside those every system trusts. */
    ca: Certificates,
    allow: Allowed,
  },
  closed,
)
export type WebhookReceiver = Static<typeof WebhookReceiver>

export const MqttReceiver = Type.Object(
  {
    kind: Type.Literal('mqtt'),
    /** `mqtts://HOST:PORT`; `mqtt:` sends everything readable. */
    url: Type.String({ minLength: 7, maxLength: 2000 }),
    username: Type.Optional(Type.String({ maxLength: 200 })),
    /** `{rule}`, `{site}`, `{device}`, `{stream}`, `{label}` stand for those of the first event; `-` where it has none. */
    topic: Type.String({ minLength: 1, maxLength: 500, pattern: '^[^+#\\u0000]+$' }),
    retain: Type.Optional(Type.Boolean()),
    ca: Certificates,
    allow: Allowed,
  },
  closed,
)
export type MqttReceiver = Static<typeof MqttReceiver>

const MailAddress = Type.String({ pattern: '^[^\\s@<>"]{1,64}@[^\\s@<>"]{1,250}$', maxLength: 320 })

export const MailReceiver = Type.Object(
  {
    kind: Type.Literal('mail'),
    to: Type.Array(MailAddress, { minItems: 1, maxItems: 50, uniqueItems: true }),
    from: MailAddress,
    host: Type.String({ minLength: 1, maxLength: 253 }),
    port: Type.Integer({ minimum: 1, maximum: 65_535 }),
    /** `tls` from the first byte (465), `starttls` after the greeting (587), `none`: readable by everybody between. */
    security: Type.Enum(['tls', 'starttls', 'none'] as const),
    username: Type.Optional(Type.String({ maxLength: 200 })),
    ca: Certificates,
    allow: Allowed,
  },
  closed,
)
export type MailReceiver = Static<typeof MailReceiver>

export const Receiver = Type.Union([WebhookReceiver, MqttReceiver, MailReceiver])
export type Receiver = Static<typeof Receiver>

export const ReceiverRequest = Type.Object(
  {
    receiver: Receiver,
    /** Of an MQTT broker or a mail server; left out, the one that is there stays. */
    password: Type.Optional(Type.String({ maxLength: 1000 })),
  },
  { $id: 'ReceiverRequest', ...closed },
)
export type ReceiverRequest = Static<typeof ReceiverRequest>

export const ReceiverRow = Type.Object(
  {
    name: ReceiverName,
    receiver: Receiver,
    hasPassword: Type.Boolean(),
    by: Type.String(),
    createdAt: Timestamp,
    changedAt: Timestamp,
    /** Until when an earlier signing secret still signs beside the newest; null where none does. */
    earlierSecretUntil: Type.Union([Timestamp, Type.Null()]),
    /** Deliveries in a row that failed. */
    failures: Type.Integer({ minimum: 0 }),
    /** Nothing is tried before then, because too much has failed; null where it is tried. */
    pausedUntil: Type.Union([Timestamp, Type.Null()]),
    lastOkAt: Type.Union([Timestamp, Type.Null()]),
    lastError: Type.String(),
    waiting: Type.Integer({ minimum: 0 }),
    dead: Type.Integer({ minimum: 0 }),
  },
  { $id: 'ReceiverRow' },
)
export type ReceiverRow = Static<typeof ReceiverRow>

/** Of webhooks: the secret that signs from now on. It is never shown again. */
export const ReceiverSaved = Type.Object(
  { receiver: ReceiverRow, secret: Type.Union([Type.String(), Type.Null()]) },
  { $id: 'ReceiverSaved' },
)
export type ReceiverSaved = Static<typeof ReceiverSaved>

/** How long an earlier secret may sign beside the newest. */
export const secretOverlapHoursMax = 24 * 30

const rulePath = Type.Object({ name: RuleName }, closed)
const receiverPath = Type.Object({ name: ReceiverName }, closed)

export const ruleRoutes = {
  ruleList: {
    method: 'GET',
    path: '/api/rules',
    access: 'viewer',
    summary: 'Lists the rules on events, with what waits and what was given up',
    response: Type.Array(RuleRow),
  },
  rulePut: {
    method: 'PUT',
    path: '/api/rules/:name',
    access: 'operator',
    summary: 'Sets a rule; it looks at what is stored from now on',
    params: rulePath,
    body: EventRule,
    response: RuleRow,
  },
  ruleRemove: {
    method: 'DELETE',
    path: '/api/rules/:name',
    access: 'operator',
    summary: 'Removes a rule; what it has queued is still delivered',
    params: rulePath,
    status: 204,
  },
  ruleTest: {
    method: 'POST',
    path: '/api/rule-trials',
    access: 'operator',
    summary: 'Says what a rule would have done with the events of the last hours; sends nothing',
    body: Type.Object(
      { rule: EventRule, hours: Type.Optional(Type.Integer({ minimum: 1, maximum: 168 })) },
      closed,
    ),
    response: RuleTrial,
    unaudited: true,
  },
  deliveryList: {
    method: 'GET',
    path: '/api/rule-deliveries',
    access: 'viewer',
    summary: 'Lists what rules have told whom, newest first, with what came of it',
    query: Type.Object(
      {
        rule: Type.Optional(RuleName),
        receiver: Type.Optional(ReceiverName),
        state: Type.Optional(Type.Enum(deliveryStates)),
        before: Type.Optional(Type.Integer({ minimum: 1 })),
        limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 50 })),
      },
      closed,
    ),
    response: DeliveryPage,
  },
  deliveryRetry: {
    method: 'POST',
    path: '/api/rule-deliveries/retry',
    access: 'operator',
    summary: 'Tries deliveries again that were given up: those named, or all of a receiver',
    body: Type.Object(
      {
        deliveryIds: Type.Optional(
          Type.Array(Type.Integer({ minimum: 1 }), { minItems: 1, maxItems: 500 }),
        ),
        receiver: Type.Optional(ReceiverName),
      },
      closed,
    ),
    response: Type.Object({ retried: Type.Integer({ minimum: 0 }) }),
  },
  receiverList: {
    method: 'GET',
    path: '/api/receivers',
    access: 'operator',
    summary: 'Lists whom rules can tell, and how each does; without secrets',
    response: Type.Array(ReceiverRow),
  },
  receiverPut: {
    method: 'PUT',
    path: '/api/receivers/:name',
    access: 'admin',
    summary: 'Sets whom rules can tell; the signing secret of a new webhook is in the reply, once',
    params: receiverPath,
    body: ReceiverRequest,
    response: ReceiverSaved,
  },
  receiverRemove: {
    method: 'DELETE',
    path: '/api/receivers/:name',
    access: 'admin',
    summary: 'Removes a receiver that no rule names; what waits for it is given up',
    params: receiverPath,
    status: 204,
  },
  receiverSecretRotate: {
    method: 'POST',
    path: '/api/receivers/:name/secret',
    access: 'admin',
    summary: 'Makes the next signing secret; the earlier one signs beside it for a while',
    params: receiverPath,
    body: Type.Object(
      {
        overlapHours: Type.Optional(
          Type.Integer({ minimum: 0, maximum: secretOverlapHoursMax, default: 24 }),
        ),
      },
      closed,
    ),
    response: ReceiverSaved,
  },
  receiverTest: {
    method: 'POST',
    path: '/api/receivers/:name/trials',
    access: 'admin',
    summary: 'Sends a receiver a trial now and says what came of it',
    params: receiverPath,
    response: Type.Object({ ok: Type.Boolean(), outcome: Type.String() }),
  },
} as const
