/**
 * Loss records: what stands in the outbox for events that had to give way. They carry the sequence
 * range they replace and count it by class, so a hub can see exactly what it will never get.
 */
import type { EventClass, Loss } from '@edgeloop/protocol'

export type LossReason = Loss['reason']

/** How many events of each class. */
export type ClassCounts = { readonly [C in `${EventClass}s`]: number }

export const nothingLost: ClassCounts = { aggregates: 0, events: 0, alarms: 0 }

/** One event of a class, as a count. */
export const oneOf = (eventClass: EventClass): ClassCounts => ({
  ...nothingLost,
  [`${eventClass}s`]: 1,
})

/** Class by class. */
export const sumOf = (a: ClassCounts, b: ClassCounts): ClassCounts => ({
  aggregates: a.aggregates + b.aggregates,
  events: a.events + b.events,
  alarms: a.alarms + b.alarms,
})

/** Over all classes. */
export const totalOf = ({ aggregates, events, alarms }: ClassCounts): number =>
  aggregates + events + alarms

/** The record for `sequence`..`through`. */
export function lossOf(
  sequence: number,
  through: number,
  lost: ClassCounts,
  reason: LossReason,
  at: string,
): Loss {
  return { sequence, through, kind: 'loss', at, reason, ...lost }
}

/**
 * One record for two that touch. Time and reason are those of the newer loss: what matters to the
 * hub are range and counts, and one range with two reasons would keep records from ever merging.
 * @throws {Error} when the ranges do not touch
 */
export function mergeLosses(earlier: Loss, later: Loss): Loss {
  if (later.sequence !== earlier.through + 1) {
    throw new Error(
      `Cannot merge loss ${earlier.sequence}–${earlier.through} with ${later.sequence}–${later.through}: they do not touch`,
    )
  }
  const newer = later.at >= earlier.at ? later : earlier
  return lossOf(earlier.sequence, later.through, sumOf(earlier, later), newer.reason, newer.at)
}
