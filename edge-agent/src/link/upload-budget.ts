/**
 * Who may send when the way to the hub is narrow. Events come first, then pictures somebody looks at
 * now, then snapshots, then frames kept for learning. Status messages are few and small and do not wait at all. Among events the
 * order is that of their numbers, as delivery exactly once needs; alarms do not overtake
 * (docs/decisions/0005-outbox.md).
 */
import { setTimeout as sleep } from 'node:timers/promises'

/** What is sent, most urgent first. */
export const uploads = ['events', 'live', 'snapshots', 'samples'] as const
export type Upload = (typeof uploads)[number]

export type UploadBudget = {
  /**
   * Waits until so many bytes may be sent.
   * @throws the signal's reason when it aborts first
   */
  take(upload: Upload, bytes: number, signal: AbortSignal): Promise<void>
}

/**
 * @param bytesPerSecondMax 0: no limit
 * @param monotonicMs milliseconds of a clock that never jumps
 */
export function openUploadBudget(
  bytesPerSecondMax: number,
  monotonicMs: () => number = () => performance.now(),
): UploadBudget {
  if (bytesPerSecondMax === 0) return { take: async () => {} }
  let bucket: Bucket = { bytes: bytesPerSecondMax, atMs: monotonicMs() }
  const waiting: Record<Upload, number> = { events: 0, live: 0, snapshots: 0, samples: 0 }

  return {
    async take(upload, bytes, signal) {
      waiting[upload]++
      try {
        for (;;) {
          signal.throwIfAborted()
          bucket = refill(bucket, bytesPerSecondMax, monotonicMs())
          const urgent = uploads.slice(0, uploads.indexOf(upload))
          if (bucket.bytes > 0 && urgent.every((other) => waiting[other] === 0)) break
          const delayMs = Math.max(10, (-bucket.bytes / bytesPerSecondMax) * 1000)
          await sleep(delayMs, undefined, { signal, ref: false })
        }
        bucket = { ...bucket, bytes: bucket.bytes - bytes }
      } finally {
        waiting[upload]--
      }
    },
  }
}

/** May be negative: something larger than what is left is sent whole and paid for afterwards. */
type Bucket = { readonly bytes: number; readonly atMs: number }

/** Holds a second's worth at most. */
export function refill({ bytes, atMs }: Bucket, bytesPerSecond: number, nowMs: number): Bucket {
  const gained = (Math.max(0, nowMs - atMs) / 1000) * bytesPerSecond
  return { bytes: Math.min(bytesPerSecond, bytes + gained), atMs: nowMs }
}
