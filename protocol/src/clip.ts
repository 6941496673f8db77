/**
 * Clips on their way from a device: they stay on the box until somebody asks. The hub asks by MQTT, the bytes
 * come by HTTPS in parts, so that a narrow way is shared and a cut costs one part.
 */
import { type Static, Type } from 'typebox'
import { DeviceId, Digest, StreamId, Timestamp } from './names.ts'
import { clipBytesMax } from './stream.ts'

/** Most clips in one request, and most bytes of one part. */
export const clipsAskedMax = 500
export const clipPartBytes = 1024 * 1024

/** What the hub wants with clips of a device: their bytes, to outlive their days, or to outlive them no longer. */
export const ClipRequest = Type.Object({
  act: Type.Union([Type.Literal('send'), Type.Literal('keep'), Type.Literal('release')]),
  clips: Type.Array(Digest, { minItems: 1, maxItems: clipsAskedMax }),
})
export type ClipRequest = Static<typeof ClipRequest>

/** Where the next part begins; as many bytes as the clip has: it is complete. */
export const ClipReceived = Type.Object(
  { receivedBytes: Type.Integer({ minimum: 0, maximum: clipBytesMax }) },
  { $id: 'ClipReceived' },
)
export type ClipReceived = Static<typeof ClipReceived>

/**
 * `none`: nothing was recorded at that moment, or not yet. `onBox`: it can be asked for. `offline`: it is on the
 * box, which is not connected. `coming`: it was asked for. `here`: the hub has it. `expired`: it is nowhere any more.
 */
export const clipStates = ['none', 'onBox', 'offline', 'coming', 'here', 'expired'] as const
export type ClipState = (typeof clipStates)[number]

/** The clip that shows the moment of an event. */
export const EventClip = Type.Object(
  {
    state: Type.Enum(clipStates),
    /** Why it is not to be had; empty where it is. */
    reason: Type.String(),
    clip: Type.Union([
      Type.Null(),
      Type.Object({
        digest: Digest,
        deviceId: DeviceId,
        streamId: StreamId,
        startedAt: Timestamp,
        endedAt: Timestamp,
        durationMs: Type.Integer(),
        sizeBytes: Type.Integer(),
        width: Type.Integer(),
        height: Type.Integer(),
        /** Where in the video the event is, ms. */
        momentMs: Type.Integer(),
      }),
    ]),
    /** Of those that are coming. */
    receivedBytes: Type.Integer(),
  },
  { $id: 'EventClip' },
)
export type EventClip = Static<typeof EventClip>
