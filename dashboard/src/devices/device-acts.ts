/**
 * One act on many devices, some of them per request: what has been done is known at any time, and what was
 * not begun when the hub or somebody stopped it is known too. Pure but for what it is given to send.
 */
import type { ConfigStep, DeviceActs } from '@edgeloop/protocol'

/** Devices in one request of an act: small enough to show how it goes on and to be stopped in between. */
const batchDevices = 100

export type Outcomes = {
  readonly devices: DeviceActs['devices']
  /** What the act was not tried on. */
  readonly left: readonly string[]
  /** Why it ended before its end; absent where somebody stopped it. */
  readonly why?: string
}

/**
 * Acts on devices in their order.
 * @param send acts on some of them, as the routes of acts do
 * @param onProgress told after each request how many are behind it
 */
export async function actOn(
  deviceIds: readonly string[],
  send: (some: readonly string[]) => Promise<DeviceActs>,
  onProgress: (done: number) => void,
  signal: AbortSignal,
): Promise<Outcomes> {
  const devices: DeviceActs['devices'] = []
  for (let at = 0; at < deviceIds.length; at += batchDevices) {
    const left = deviceIds.slice(at)
    if (signal.aborted) return { devices, left }
    try {
      devices.push(...(await send(left.slice(0, batchDevices))).devices)
    } catch (error) {
      return { devices, left, why: error instanceof Error ? error.message : String(error) }
    }
    onProgress(Math.min(at + batchDevices, deviceIds.length))
  }
  return { devices, left: [] }
}

/** What takes back what was done, for those devices where it can be. */
export function undoOf(outcomes: Outcomes): (ConfigStep & { readonly deviceId: string })[] {
  return outcomes.devices.flatMap(({ deviceId, undo }) => (undo ? [{ deviceId, ...undo }] : []))
}

/** Devices of one outcome. */
export const thoseThat = (
  { devices }: Pick<Outcomes, 'devices'>,
  outcome: DeviceActs['devices'][number]['outcome'],
): DeviceActs['devices'] => devices.filter((one) => one.outcome === outcome)

/** How many devices there are for each reason, the most frequent first. */
export function countReasons(
  devices: DeviceActs['devices'],
): { readonly text: string; readonly count: number }[] {
  const counts = new Map<string, number>()
  for (const { text } of devices) counts.set(text, (counts.get(text) ?? 0) + 1)
  return [...counts]
    .map(([text, count]) => ({ text, count }))
    .sort((a, b) => b.count - a.count || a.text.localeCompare(b.text))
}
