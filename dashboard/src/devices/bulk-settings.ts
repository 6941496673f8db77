/**
 * One setting for the streams of many devices: first a plan that says exactly what it hits, then one
 * request per device with the version that was planned on, so that nobody's newer edit is overwritten.
 */
import type { Desired, DeviceConfig, DeviceDetail, StreamConfig } from '@edgeloop/protocol'

/** What to set; what is left out stays as it is on each stream. */
export type BulkChange = Pick<StreamConfig, 'analysisFps' | 'scoreMin'>

export type PlannedDevice = {
  readonly deviceId: string
  /** The version that `before` is. */
  readonly version: number
  readonly before: DeviceConfig
  readonly after: DeviceConfig
  /** Streams that differ afterwards. */
  readonly streams: number
}

export type BulkPlan = {
  readonly devices: readonly PlannedDevice[]
  readonly streams: number
  /** Devices without a stream in their configuration, and those that have these values already. */
  readonly withoutStreams: number
  readonly alreadySo: number
}

type Known = Pick<DeviceDetail, 'desired'> & { readonly device: { readonly deviceId: string } }

/** Decides what a change does to each device; nothing is sent. */
export function planBulk(details: readonly Known[], change: BulkChange): BulkPlan {
  const devices: PlannedDevice[] = []
  let withoutStreams = 0
  let alreadySo = 0
  for (const { device, desired } of details) {
    if (!desired || desired.config.streams.length === 0) {
      withoutStreams++
      continue
    }
    const { version, config } = desired
    const after = { ...config, streams: config.streams.map((stream) => ({ ...stream, ...change })) }
    const streams = after.streams.filter(
      (stream, index) => JSON.stringify(stream) !== JSON.stringify(config.streams[index]),
    ).length
    if (streams === 0) alreadySo++
    else {
      devices.push({ deviceId: device.deviceId, version, before: config, after, streams })
    }
  }
  const streams = devices.reduce((sum, device) => sum + device.streams, 0)
  return { devices, streams, withoutStreams, alreadySo }
}

/** What became of one device: the new version, or why it is as it was. */
export type BulkOutcome =
  | { readonly deviceId: string; readonly kind: 'done'; readonly desired: Desired }
  | { readonly deviceId: string; readonly kind: 'failed'; readonly why: string }

/** The plan that takes back what was done: the configurations from before, on top of the new versions. */
export function planUndo(plan: BulkPlan, outcomes: readonly BulkOutcome[]): BulkPlan {
  const versions = new Map(
    outcomes.flatMap((one) => (one.kind === 'done' ? [[one.deviceId, one.desired.version]] : [])),
  )
  const devices = plan.devices.flatMap((device) => {
    const version = versions.get(device.deviceId)
    if (version === undefined) return []
    return [{ ...device, version, before: device.after, after: device.before }]
  })
  const streams = devices.reduce((sum, device) => sum + device.streams, 0)
  return { devices, streams, withoutStreams: 0, alreadySo: 0 }
}

/**
 * Does something for each of many, a few at a time, and goes on past failures.
 * @returns outcomes in the order of `all`; those that were not begun when `signal` aborted are missing
 */
export async function forEachOf<T, R>(
  all: readonly T[],
  atOnce: number,
  signal: AbortSignal,
  act: (one: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const work = async () => {
    while (next < all.length && !signal.aborted) {
      const index = next++
      const one = all[index]
      if (one !== undefined) results[index] = await act(one)
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, all.length) }, work))
  return results.filter((_, index) => index in results)
}
