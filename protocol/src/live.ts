/**
 * Live pictures: a frame and its detections share one message and one number, so boxes can never
 * drift from the picture they belong to. Layout: 4 bytes header length (big endian), the header as
 * JSON, then the JPEG. The same bytes go from the agent to the hub and from the hub to browsers.
 */
import { type Static, Type } from 'typebox'
import { Box, DeviceId, Label, StreamId, Timestamp } from './names.ts'

/** One box, label and score from one frame. */
export const Detection = Type.Object({
  label: Label,
  score: Type.Number({ minimum: 0, maximum: 1 }),
  box: Box,
  trackId: Type.Optional(Type.Integer({ minimum: 1 })),
})
export type Detection = Static<typeof Detection>

export const LiveHeader = Type.Object({
  deviceId: DeviceId,
  streamId: StreamId,
  /** Number of the frame since the stream went live. */
  frame: Type.Integer({ minimum: 0 }),
  at: Timestamp,
  /** Size of the source frame; boxes are shares of it, whatever the JPEG's own size. */
  width: Type.Integer({ minimum: 1 }),
  height: Type.Integer({ minimum: 1 }),
  detections: Type.Array(Detection, { maxItems: 300 }),
})
export type LiveHeader = Static<typeof LiveHeader>

/** What a browser wants to see, sent whole whenever it changes; an empty list stops everything. */
export const LiveWant = Type.Object({
  want: Type.Array(
    Type.Object({
      deviceId: DeviceId,
      streamId: StreamId,
      widthMax: Type.Integer({ minimum: 64, maximum: 1920 }),
      fpsMax: Type.Number({ exclusiveMinimum: 0, maximum: 30 }),
    }),
    { maxItems: 64 },
  ),
})
export type LiveWant = Static<typeof LiveWant>

/** Said in place of a picture where there is none: `silent` is connected, and sent none in time. */
export const PictureAbsent = Type.Object(
  {
    state: Type.Union([Type.Literal('offline'), Type.Literal('silent')]),
    reason: Type.String(),
  },
  { $id: 'PictureAbsent' },
)
export type PictureAbsent = Static<typeof PictureAbsent>

export const liveFrameBytesMax = 1024 * 1024
const headerBytesMax = 64 * 1024

/** Puts header and JPEG into one message. */
export function encodeLiveFrame(header: LiveHeader, jpeg: Uint8Array): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(JSON.stringify(header))
  const bytes = new Uint8Array(4 + json.length + jpeg.length)
  new DataView(bytes.buffer).setUint32(0, json.length)
  bytes.set(json, 4)
  bytes.set(jpeg, 4 + json.length)
  return bytes
}

/**
 * Takes a message apart. The header is parsed, not checked: the hub checks it at its boundary.
 * @throws {Error} when the lengths do not fit or the header is not JSON
 */
export function decodeLiveFrame(bytes: Uint8Array): { header: unknown; jpeg: Uint8Array } {
  if (bytes.length < 4)
    throw new Error(`Cannot read live frame: ${bytes.length} bytes, expected ≥ 4`)
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
  if (length > headerBytesMax || 4 + length > bytes.length) {
    throw new Error(`Cannot read live frame: header of ${length} bytes in ${bytes.length}`)
  }
  const header: unknown = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)))
  return { header, jpeg: bytes.subarray(4 + length) }
}
