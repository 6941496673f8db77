/** Somebody wants frames of a stream now: its box is told, and they come the way all samples come. */
import { Refusal, type SampleAsk, type SampleAsked, type SampleRequest } from '@edgeloop/protocol'
import type { Device } from '../devices/device.ts'

/** A box that has not shown a frame by then is not asked any more. */
const askedMs = 10 * 60_000

export type SampleDesk = {
  /**
   * Asks a box for frames of one of its streams.
   * @param by who wants them
   * @throws {Refusal} notFound where it has no such stream; conflict where that stream keeps no frames
   */
  ask(device: Device, streamId: string, wish: SampleAsk, by: string): SampleAsked
}

export function openSampleDesk(deps: {
  readonly clock: () => number
  readonly request: (device: Device, request: SampleRequest) => void
}): SampleDesk {
  return {
    ask(device, streamId, { frames = 1, why }, by) {
      const { deviceId, desired, online, retiredAt } = device
      const stream = desired?.config.streams.find((one) => one.streamId === streamId)
      if (!stream) {
        throw new Refusal(
          'notFound',
          `Cannot ask for frames of "${streamId}": device "${deviceId}" has no such stream`,
        )
      }
      if (!stream.sampling) {
        throw new Refusal(
          'conflict',
          `Cannot ask for frames of "${streamId}": it keeps none; give it "sampling" in the settings of the stream`,
        )
      }
      if (!online) {
        const reason = `Device "${deviceId}" ${retiredAt === null ? 'is not connected' : 'is retired'}`
        return { state: 'offline', reason, frames: 0 }
      }
      const until = new Date(deps.clock() + askedMs).toISOString()
      const words = why === undefined ? `${by} asked for it` : `${by} asked for it: ${why}`
      deps.request(device, { streamId, frames, why: words.slice(0, 300), until })
      return { state: 'asked', reason: '', frames }
    },
  }
}
