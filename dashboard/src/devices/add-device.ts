/** What becomes of a box while somebody waits for it. */
import type { DeviceRow } from '@edgeloop/protocol'
import type { StatusKind } from '../shell/status.tsx'

export type Waiting = { readonly status: StatusKind; readonly word: string; readonly text: string }

/**
 * How far a box has come since its token was made.
 * @param row of the device, or undefined where there is none yet
 * @param before the row when the token was made, where the device was one already
 */
export function waitingFor(
  token: { readonly deviceId: string; readonly madeAt: number; readonly expiresAt: number },
  row: DeviceRow | undefined,
  before: DeviceRow | undefined,
  now: number,
): Waiting {
  const { deviceId } = token
  const seenAt = row?.lastSeenAt ? Date.parse(row.lastSeenAt) : 0
  // A known device that goes on with its old certificate has not come with this token.
  const isNew = before === undefined || before.connectivity !== 'online'
  if (row?.connectivity === 'online' && (isNew || seenAt > token.madeAt)) {
    return { status: 'ok', word: 'Connected', text: `${deviceId} is here and reports.` }
  }
  if (row && !before) {
    const text = `${deviceId} has its certificate and will connect in a moment.`
    return { status: 'updating', word: 'Enrolled', text }
  }
  if (now >= token.expiresAt) {
    const text = 'Nobody came with this token in time. Make another.'
    return { status: 'bad', word: 'Too old', text }
  }
  const text = `It appears here by itself as soon as ${deviceId} has run the command.`
  return { status: 'info', word: 'Waiting for the box', text }
}
