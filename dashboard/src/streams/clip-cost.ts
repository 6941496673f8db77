/** What clips of a stream cost its box, for a usual camera. */
import type { ClipConfig } from '@edgeloop/protocol'

/** 4 Mbit/s with a key frame every two seconds. */
const bytesPerSecond = 500_000
const keySeconds = 2
/** Events are told a little late: packets are kept for so much longer. */
const lateSeconds = 2
const memoryBytesMax = 32 * 1024 * 1024

export function clipCost({ beforeSeconds = 5, afterSeconds = 10 }: ClipConfig): {
  readonly memoryBytes: number
  readonly clipBytes: number
} {
  const keptSeconds = beforeSeconds + lateSeconds + keySeconds
  return {
    memoryBytes: Math.min(memoryBytesMax, keptSeconds * bytesPerSecond),
    // On average it begins half a key-frame interval early.
    clipBytes: (beforeSeconds + afterSeconds + keySeconds / 2) * bytesPerSecond,
  }
}
