/** A scenario through the box's sketches and the hub's watch, with what was said and when. */
import type { DriftKind } from '@edgeloop/protocol'
import { sketchesToTell } from '../../cloud-hub/src/drift/evidence.ts'
import { rangeOf } from '../../cloud-hub/src/drift/reference.ts'
import { newWatch, type WatchState, watch } from '../../cloud-hub/src/drift/watch.ts'
import { mixSeed, seededRandom } from '../../edge-agent/src/demo/random.ts'
import type { Scenario } from './scenarios.ts'
import { type Injection, simulatedSketches } from './simulated-camera.ts'

/** Stream time before anything is done: a whole day and some hours more. */
export const quietMinutes = 28 * 60
/** Stream time in which a drift has to be found. */
export const foundWithin = 5
const watchedAfter = 15

export type DriftRun = {
  readonly scenario: string
  readonly seed: number
  /** Hours watched in which nothing was done. */
  readonly quietHours: number
  /** Alarms of those hours; `night` is told and is none. */
  readonly falseAlarms: readonly {
    readonly kind: DriftKind
    readonly why: string
    readonly minute: number
  }[]
  readonly expected: DriftKind | undefined
  /** Minutes from when all of it was done to the first alarm; undefined where there was none in time. */
  readonly foundAfter: number | undefined
  /** What was said within that time, the last one counting. */
  readonly said: DriftKind | undefined
  readonly why: string
  /** Sketches that a change of traffic needs on this stream, by how much each of them says of it. */
  readonly needed: number | undefined
}

/** @param learnsFrom sketches that the reference is learnt from */
export function runScenario(
  scenario: Scenario,
  seed: number,
  learnsFrom = 120,
  quiet = quietMinutes,
): DriftRun {
  const { habits, drift, name } = scenario
  const startHour = scenario.hour === undefined ? 8 : (scenario.hour - quiet / 60 + 48) % 24
  const startAt = Date.UTC(2026, 5, 1) + startHour * 3_600_000
  // Not always at the beginning of a minute's sketch, nor of an hour.
  const begins = quiet + Math.floor(seededRandom(mixSeed(seed, 5))() * 10)
  const ramp = drift?.rampMinutes ?? 0
  const done = (minute: number): Injection => {
    if (!drift || minute < begins) return {}
    const share = ramp === 0 ? 1 : Math.min(1, (minute - begins + 1) / ramp)
    if (share === 1) return drift.injection
    return Object.fromEntries(
      Object.entries(drift.injection).map(([key, value]) => [
        key,
        typeof value === 'number' ? value * share : value,
      ]),
    )
  }
  const minutes = begins + (drift ? ramp + watchedAfter : 60)
  const state: WatchState = newWatch()
  const falseAlarms: { kind: DriftKind; why: string; minute: number }[] = []
  let foundAfter: number | undefined
  let said: DriftKind | undefined
  let why = ''
  let needed: number | undefined
  let minute = 0
  for (const sketch of simulatedSketches({ seed, habits, startAt, minutes, done })) {
    // Of the minute that has just ended.
    minute++
    const hour = (Date.parse(sketch.at) / 3_600_000 - 0.5 / 60) % 24
    const { raised } = watch(state, sketch, { hour, learnsFrom })
    const traffic = drift?.injection.traffic
    if (minute === begins && traffic !== undefined) {
      const roots = rangeOf(state.day, 'objects', hour)
      needed = roots && sketchesToTell(roots, traffic)
    }
    for (const alarm of raised) {
      if (alarm.kind === 'night') continue
      const after = minute - begins - ramp
      if (!drift || minute <= begins) {
        falseAlarms.push({ kind: alarm.kind, why: alarm.why, minute })
      } else if (after <= foundWithin) {
        foundAfter ??= Math.max(0, after)
        said = alarm.kind
        why = alarm.why
      }
    }
  }
  const quietHours = ((drift ? begins : minutes) - learnsFrom) / 60
  return {
    scenario: name,
    seed,
    quietHours,
    falseAlarms,
    expected: drift?.kind,
    foundAfter,
    said,
    why,
    needed,
  }
}
