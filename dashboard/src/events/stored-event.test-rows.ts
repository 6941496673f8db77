/** Stored events for tests. */
import type { StoredEvent } from '@edgeloop/protocol'

/** An object that appeared, apart from `other`. */
export const storedEvent = (eventId: number, other: Partial<StoredEvent> = {}): StoredEvent => ({
  eventId,
  deviceId: 'gate-1',
  bootId: '00000000-0000-4000-8000-000000000000',
  sequence: eventId,
  kind: 'appeared',
  at: '2026-11-20T12:00:00.000Z',
  receivedAt: '2026-11-20T12:00:00.100Z',
  historical: false,
  streamId: 'north',
  label: 'person',
  score: 0.87,
  snapshot: null,
  data: {
    sequence: eventId,
    kind: 'appeared',
    at: '2026-11-20T12:00:00.000Z',
    streamId: 'north',
    trackId: 1,
    label: 'person',
    score: 0.87,
    box: [0.25, 0.25, 0.25, 0.5],
  },
  marks: [],
  ...other,
})
