/**
 * The newest lines of an agent's log: kept on the box, and sent only when somebody asks. The hub asks by
 * MQTT, the device answers by HTTPS under the number of the request.
 */
import { type Static, Type } from 'typebox'
import { BootId, Timestamp } from './names.ts'

export const logLevels = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof logLevels)[number]

/** Lines in one answer. */
export const logLinesMax = 1000

/** The whole answer of a device; what does not fit gives way from the oldest line on. */
export const logAnswerBytesMax = 512 * 1024

/** One line of the log. Passwords are out of it before it is kept. */
export const LogLine = Type.Object({
  /** Counts from 1 since the agent started. */
  sequence: Type.Integer({ minimum: 1 }),
  at: Timestamp,
  level: Type.Enum(logLevels),
  text: Type.String({ maxLength: 2000 }),
  /** What else was said with it, as `key=value`. */
  facts: Type.String({ maxLength: 2000 }),
})
export type LogLine = Static<typeof LogLine>

/** From where on somebody wants to go on reading; of another start of the agent it means nothing. */
export const LogPlace = Type.Object({
  bootId: BootId,
  sequence: Type.Integer({ minimum: 0 }),
})
export type LogPlace = Static<typeof LogPlace>

const RequestId = Type.String({ pattern: '^[0-9a-f-]{36}$', maxLength: 36 })

/** The hub wants lines of the log, once. */
export const LogRequest = Type.Object({
  requestId: RequestId,
  /** Only lines after this one. */
  after: Type.Optional(LogPlace),
  linesMax: Type.Integer({ minimum: 1, maximum: logLinesMax }),
})
export type LogRequest = Static<typeof LogRequest>

/** Oldest first. */
export const LogAnswer = Type.Object(
  {
    bootId: BootId,
    lines: Type.Array(LogLine, { maxItems: logLinesMax }),
    /** Lines between what was asked for and the first of these: not kept any more, or too many for one answer. */
    omitted: Type.Integer({ minimum: 0 }),
  },
  { $id: 'LogAnswer', additionalProperties: false },
)
export type LogAnswer = Static<typeof LogAnswer>

/** What somebody gets who asks the hub for a device's log. */
export const DeviceLog = Type.Object(
  {
    /** `silent`: connected, and did not answer in time. */
    state: Type.Union([Type.Literal('answered'), Type.Literal('offline'), Type.Literal('silent')]),
    /** Why there are no lines; empty where the device answered. */
    reason: Type.String(),
    /** The start of the agent that the lines are of; null without an answer. */
    bootId: Type.Union([BootId, Type.Null()]),
    lines: Type.Array(LogLine),
    omitted: Type.Integer(),
  },
  { $id: 'DeviceLog' },
)
export type DeviceLog = Static<typeof DeviceLog>

/** Path parameters of an answer. */
export const LogRequestPath = Type.Object({ requestId: RequestId }, { additionalProperties: false })
