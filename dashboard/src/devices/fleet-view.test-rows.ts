/** Rows for tests. */
import type { DeviceRow } from '@edgeloop/protocol'

/** A healthy device, apart from `other`. */
export const row = (deviceId: string, other: Partial<DeviceRow> = {}): DeviceRow => ({
  deviceId,
  site: 'plant-1',
  name: deviceId,
  tags: [],
  connectivity: 'online',
  health: 'ok',
  reason: '',
  agentVersion: '0.1.0',
  lastSeenAt: '2026-11-20T12:00:00.000Z',
  enrolledAt: '2026-11-01T12:00:00.000Z',
  streamsLive: 1,
  streamsTotal: 1,
  analysedFps: 5,
  cpuShare: 0.4,
  memoryBytes: 200e6,
  eventsStored: 10,
  revision: 1,
  ...other,
})
