/**
 * One act on many devices: counted before it is done, done one device after the other, and what one of them
 * refuses holds up none of the others.
 */
import {
  type ConfigStep,
  type DeviceActs,
  type DeviceConfig,
  diffConfigs,
  Refusal,
  type StreamSettings,
} from '@edgeloop/protocol'
import type { AuditNote } from '../audit/audit.ts'
import type { DesiredDesk } from './desired.ts'
import type { Device } from './device.ts'
import type { Fleet } from './fleet.ts'
import type { RetirementDesk } from './retirement.ts'

type Outcome = DeviceActs['devices'][number]
type Done = Omit<Outcome, 'deviceId'>

/** The audit entry of one device's part. */
type NoteOf = (deviceId: string) => AuditNote

export type DeviceActsDesk = {
  retire(
    given: { devices: readonly string[]; dryRun: boolean },
    noteOf: NoteOf,
  ): Promise<DeviceActs>
  setStreams(
    given: { devices: readonly string[]; dryRun: boolean; set: StreamSettings },
    by: string,
    noteOf: NoteOf,
  ): Promise<DeviceActs>
  rollBack(
    steps: readonly ({ readonly deviceId: string } & ConfigStep)[],
    by: string,
    noteOf: NoteOf,
  ): Promise<DeviceActs>
}

export function openDeviceActs(deps: {
  fleet: Fleet
  retirement: RetirementDesk
  desired: DesiredDesk
}): DeviceActsDesk {
  const { fleet, retirement, desired } = deps

  /** @param act says what it did, or would do, or why there was nothing to do */
  async function forEach(
    devices: Iterable<string>,
    act: (device: Device) => Promise<Done>,
  ): Promise<DeviceActs> {
    const outcomes: Outcome[] = []
    for (const deviceId of new Set(devices)) {
      try {
        outcomes.push({ deviceId, ...(await act(fleet.get(deviceId))) })
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        outcomes.push({ deviceId, outcome: 'failed', text: error.message })
      }
    }
    const count = (wanted: Outcome['outcome']) =>
      outcomes.filter(({ outcome }) => outcome === wanted).length
    return {
      changed: count('changed'),
      unchanged: count('unchanged'),
      failed: count('failed'),
      devices: outcomes,
    }
  }

  return {
    retire: ({ devices, dryRun }, noteOf) =>
      forEach(devices, async ({ deviceId, retiredAt, online }) => {
        if (retiredAt !== null) return unchanged('retired already')
        if (!dryRun) await retirement.retire(deviceId, noteOf(deviceId))
        return changed(online ? 'retired; it was connected' : 'retired')
      }),
    setStreams: ({ devices, dryRun, set }, by, noteOf) =>
      forEach(devices, async ({ deviceId, desired: wanted }) => {
        if (!wanted || wanted.config.streams.length === 0) return unchanged('it has no streams')
        const { version: to, config } = wanted
        const after = withSettings(config, set)
        if (diffConfigs(config, after).length === 0) return unchanged('its streams are so already')
        const streams = after.streams.filter((one, i) => !isSame(one, config.streams[i])).length
        const text = `${streams} of ${after.streams.length} streams`
        if (dryRun) return changed(text)
        // On the version that was looked at: an edit that came in between is not overwritten.
        const { version } = await desired.replace(deviceId, to, after, by, noteOf(deviceId))
        return { ...changed(text), undo: { version, to } }
      }),
    rollBack: (steps, by, noteOf) => {
      const stepOf = new Map(steps.map((step) => [step.deviceId, step]))
      return forEach(stepOf.keys(), async ({ deviceId }) => {
        const { version: newest = 0, to = 0 } = stepOf.get(deviceId) ?? {}
        const step = { version: newest, to }
        const { version } = await desired.rollback(deviceId, step, by, noteOf(deviceId))
        return { ...changed(`version ${to} again`), undo: { version, to: newest } }
      })
    },
  }
}

const changed = (text: string): Done => ({ outcome: 'changed', text })
const unchanged = (text: string): Done => ({ outcome: 'unchanged', text })

const withSettings = (config: DeviceConfig, set: StreamSettings): DeviceConfig => ({
  ...config,
  streams: config.streams.map((stream) => ({ ...stream, ...set })),
})

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)
