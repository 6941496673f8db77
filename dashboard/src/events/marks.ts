/** Marks on events that are cached: set and taken back in place, the same whoever says so and however often. */
import type { Mark, MarkKind, StoredEvent } from '@edgeloop/protocol'
import type { StatusKind } from '../shell/status.tsx'

export const markWords: Record<MarkKind, { kind: StatusKind; word: string; verb: string }> = {
  reviewed: { kind: 'ok', word: 'Reviewed', verb: 'reviewed' },
  falseAlarm: { kind: 'offline', word: 'False alarm', verb: 'marked as a false alarm' },
  important: { kind: 'warn', word: 'Important', verb: 'marked as important' },
}

export type Marking = {
  readonly eventIds: readonly number[]
  readonly mark: Mark
  /** False where it is taken back. */
  readonly set: boolean
}

/** The event as it is with the marking; the same object where that changes nothing. */
export function withMarking(event: StoredEvent, { eventIds, mark, set }: Marking): StoredEvent {
  if (!eventIds.includes(event.eventId)) return event
  const others = event.marks.filter((one) => one.mark !== mark.mark || one.user !== mark.user)
  const has = others.length < event.marks.length
  if (has === set) return event
  return { ...event, marks: set ? [...others, mark] : others }
}

/** True where `user` has marked the event so. */
export const isMarked = (event: StoredEvent, kind: MarkKind, user: string): boolean =>
  event.marks.some((one) => one.mark === kind && one.user === user)

/** What somebody did, so that it can be undone. */
export type Act = {
  readonly eventIds: readonly number[]
  readonly mark: MarkKind
  readonly set: boolean
}

/** Acts that can be undone; the oldest gives way. */
export const actsMax = 50

export const remember = (acts: readonly Act[], act: Act): readonly Act[] =>
  act.eventIds.length === 0 ? acts : [...acts, act].slice(-actsMax)
