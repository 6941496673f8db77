/** How the health of a device is shown. */
import type { DeviceHealth } from '@edgeloop/protocol'
import type { StatusKind } from '../shell/status.tsx'

export const healthWords: Record<DeviceHealth, { kind: StatusKind; word: string; does: string }> = {
  ok: { kind: 'ok', word: 'Working', does: 'Connected, and every stream is live' },
  degraded: { kind: 'warn', word: 'Degraded', does: 'Connected, but not every stream is live' },
  offline: { kind: 'bad', word: 'Offline', does: 'Was connected before and is not now' },
  never: { kind: 'offline', word: 'Never seen', does: 'Enrolled, but has not connected yet' },
  retired: { kind: 'offline', word: 'Retired', does: 'Not let in any more; what it told is kept' },
}
