/** What all viewers together want of each device: the widest and fastest wish for a stream wins. */
import type { LiveRequest, LiveWant } from '@edgeloop/protocol'

export type Want = LiveWant['want'][number]

/** Streams per device, in the order of their ids. */
export function mergeWants(wants: readonly Want[]): Map<string, LiveRequest['streams']> {
  const devices = new Map<string, Map<string, LiveRequest['streams'][number]>>()
  for (const { deviceId, streamId, widthMax, fpsMax } of wants) {
    const streams = devices.get(deviceId) ?? new Map()
    devices.set(deviceId, streams)
    const other = streams.get(streamId)
    streams.set(streamId, {
      streamId,
      widthMax: Math.max(widthMax, other?.widthMax ?? 0),
      fpsMax: Math.max(fpsMax, other?.fpsMax ?? 0),
    })
  }
  return new Map(
    [...devices].map(([deviceId, streams]) => [
      deviceId,
      [...streams.values()].sort((a, b) => a.streamId.localeCompare(b.streamId)),
    ]),
  )
}
