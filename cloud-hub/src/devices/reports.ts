/** What devices say about themselves, taken into the fleet: status, and what they run. */
import type { Reported } from '@edgeloop/protocol'
import { Misfit, parsePayload } from '@edgeloop/protocol/check'
import type { Logger } from 'pino'
import { aheadOf, type Device } from './device.ts'
import type { Fleet } from './fleet.ts'

export type Reports = {
  /** Takes a `status` or `reported` payload. Never throws: what does not fit is logged and left. */
  take(name: 'status' | 'reported', device: Device, payload: Uint8Array): void
  /** The device's connection is gone, whatever it said last. */
  left(device: Device): void
}

export function openReports(deps: {
  fleet: Fleet
  /** Told what a device reports, after the fleet. */
  heard: (device: Device, reported: Reported) => void
  clock: () => number
  log: Logger
  /** A last will may arrive after the device is back: what counts is whether it is connected. */
  isConnected: (deviceId: string) => boolean
}): Reports {
  const { fleet, clock, log } = deps

  function take(name: 'status' | 'reported', device: Device, payload: Uint8Array): void {
    try {
      if (name === 'reported') {
        const reported = parsePayload('reported', payload)
        const now = clock()
        const clockAheadMs = aheadOf(reported.at, now)
        fleet.change(device, { reported, lastSeenAt: now, clockAheadMs })
        deps.heard(device, reported)
        return
      }
      const { state } = parsePayload('status', payload)
      const online = state === 'online' && deps.isConnected(device.deviceId)
      fleet.change(device, { online, lastSeenAt: clock() })
    } catch (error) {
      if (!(error instanceof Misfit)) throw error
      log.warn({ device: device.deviceId, why: error.message }, 'a report was left')
    }
  }

  return {
    take,
    left: (device) => fleet.change(device, { online: false, lastSeenAt: clock() }),
  }
}
