/** The names things go by, and the few scalar shapes that every other record is made of. */
import { type Static, Type } from 'typebox'

const namePattern = '^[a-z0-9][a-z0-9_-]{0,62}$'

/** A site: a place with devices. Lower case letters, digits, `-` and `_`; safe inside a topic. */
export const SiteId = Type.String({ pattern: namePattern, maxLength: 63 })
export type SiteId = Static<typeof SiteId>

/** A device: one box. Same alphabet as a site. */
export const DeviceId = Type.String({ pattern: namePattern, maxLength: 63 })
export type DeviceId = Static<typeof DeviceId>

/** A stream: one camera feed, unique within its device. */
export const StreamId = Type.String({ pattern: namePattern, maxLength: 63 })
export type StreamId = Static<typeof StreamId>

/** One start of an agent; events are numbered from 1 within it. */
export const BootId = Type.String({ pattern: '^[0-9a-f-]{36}$', maxLength: 36 })
export type BootId = Static<typeof BootId>

/** SHA-256 of some bytes in lower-case hex: the name of every blob. */
export const Digest = Type.String({ pattern: '^[0-9a-f]{64}$', maxLength: 64 })
export type Digest = Static<typeof Digest>

/** An instant, ISO 8601 in UTC with milliseconds, as `Date.toISOString()` writes it. */
export const Timestamp = Type.String({
  pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z$',
  maxLength: 24,
})
export type Timestamp = Static<typeof Timestamp>

/** A class name, such as `person`. */
export const Label = Type.String({ minLength: 1, maxLength: 100 })
export type Label = Static<typeof Label>

/** A word that people put on devices to choose them by: `front-door`, `pilot`. */
export const DeviceTag = Type.String({ pattern: '^[a-z0-9][a-z0-9_.-]{0,39}$', maxLength: 40 })
/** Tags of one device, at most. */
export const deviceTagsMax = 16
export const DeviceTags = Type.Array(DeviceTag, { maxItems: deviceTagsMax, uniqueItems: true })

/** Left, top, width, height as shares (0..1) of the source frame. */
export const Box = Type.Array(Type.Number({ minimum: 0, maximum: 1 }), {
  minItems: 4,
  maxItems: 4,
})
export type Box = readonly [left: number, top: number, width: number, height: number]

/** True where `name` may be used as a site, device or stream id. */
export function isName(name: string): boolean {
  return new RegExp(namePattern).test(name)
}
