/** How rollouts and their boxes are said: words, kinds of state, and figures that never promise more than there is. Pure. */
import {
  type BoxCounts,
  type BoxState,
  latencyRatio,
  type MaintenanceWindow,
  type RolloutBox,
  type RolloutRow,
  type RolloutStage,
  type RolloutState,
  type Selection,
  updateStates,
} from '@edgeloop/protocol'
import { sayBytes, sayCount, sayOf } from '../shell/say.ts'
import type { StatusKind } from '../shell/status.tsx'

type Said = { readonly kind: StatusKind; readonly word: string }

const stateWords: Readonly<Record<RolloutState, Said>> = {
  queued: { kind: 'offline', word: 'Waits for another' },
  running: { kind: 'updating', word: 'Running' },
  held: { kind: 'warn', word: 'Waits for approval' },
  paused: { kind: 'warn', word: 'Paused' },
  complete: { kind: 'ok', word: 'Complete' },
  stopped: { kind: 'bad', word: 'Stopped by itself' },
  aborted: { kind: 'warn', word: 'Aborted' },
  superseded: { kind: 'offline', word: 'Superseded' },
}

export const sayState = (state: RolloutState): Said => stateWords[state]

/** A rollout that is through, but not everywhere, says so. */
export function sayRollout({ state, counts }: Pick<RolloutRow, 'state' | 'counts'>): Said {
  if (state !== 'complete') return stateWords[state]
  if (counts.failed > 0)
    return { kind: 'warn', word: `Complete, ${sayCount(counts.failed)} failed` }
  const late = counts.devices - counts.confirmed - counts.ended
  return late > 0
    ? { kind: 'ok', word: `Complete, ${sayCount(late)} to follow` }
    : stateWords.complete
}

const boxWords: Readonly<Record<BoxState, Said>> = {
  waiting: { kind: 'offline', word: 'Waiting' },
  offered: { kind: 'updating', word: 'Offered' },
  downloading: { kind: 'updating', word: 'Downloading' },
  verified: { kind: 'updating', word: 'Verified' },
  staged: { kind: 'updating', word: 'Staged' },
  probed: { kind: 'updating', word: 'Probed' },
  shadowing: { kind: 'updating', word: 'Shadowing' },
  activating: { kind: 'updating', word: 'Activating' },
  probation: { kind: 'updating', word: 'On probation' },
  committed: { kind: 'info', word: 'Committed' },
  'rolled-back': { kind: 'bad', word: 'Rolled back' },
  failed: { kind: 'bad', word: 'Failed' },
  rejected: { kind: 'bad', word: 'Refused by the box' },
  'timed-out': { kind: 'bad', word: 'Timed out' },
  superseded: { kind: 'offline', word: 'Superseded' },
  cancelled: { kind: 'offline', word: 'Cancelled' },
}

export const sayBoxState = (state: BoxState): Said => boxWords[state]

/** Committed alone is no success: only a box that was seen running it since is. */
export function sayBox(
  box: Pick<RolloutBox, 'state' | 'confirmedAt' | 'revoked' | 'goingBack' | 'code'>,
): Said {
  if (box.goingBack) return { kind: 'updating', word: 'Going back' }
  if (box.revoked) return { kind: 'bad', word: 'Fell back later' }
  if (box.state === 'committed' && box.confirmedAt !== null) return { kind: 'ok', word: 'Runs it' }
  if (box.state === 'rolled-back' && box.code === 'by-request') {
    return { kind: 'offline', word: 'Taken back' }
  }
  return boxWords[box.state]
}

/** Parts of a bar, in the order in which boxes pass through them. */
export const countParts = [
  { key: 'confirmed', word: 'run it', kind: 'ok' },
  { key: 'committed', word: 'committed', kind: 'info' },
  { key: 'active', word: 'on the way', kind: 'updating' },
  { key: 'waiting', word: 'waiting', kind: 'offline' },
  { key: 'failed', word: 'failed', kind: 'bad' },
  { key: 'ended', word: 'ended otherwise', kind: 'offline' },
] as const satisfies readonly { key: keyof BoxCounts; word: string; kind: StatusKind }[]

/** `214 of 400 run it`, and how much that is. 999 of 1,000 is 99 %, not 100. */
export const sayDone = ({ confirmed, devices }: BoxCounts): string =>
  `${sayCount(confirmed)} of ${sayCount(devices)} run it, ${donePercent({ confirmed, devices })} %`

export const donePercent = ({
  confirmed,
  devices,
}: Pick<BoxCounts, 'confirmed' | 'devices'>): number =>
  devices === 0 ? 0 : Math.floor((100 * confirmed) / devices)

/** The stage that a held rollout waits before, from 0: the one where it is, or the next where that one has begun. */
export const heldStage = (
  { stage }: Pick<RolloutRow, 'stage'>,
  stages: readonly Pick<RolloutStage, 'startedAt'>[],
): number => (stages[stage]?.startedAt === null ? stage : stage + 1)

/** What an abort hits, in boxes. */
export type Hits = {
  /** Take the version back: it is what frames meet there now. */
  readonly back: number
  /** Were on the way, and stay with what they run. */
  readonly givenUp: number
  /** Are never offered it. */
  readonly spared: number
}

export function hitsOf(stages: readonly Pick<RolloutStage, 'states' | 'counts'>[]): Hits {
  const hits = { back: 0, givenUp: 0, spared: 0 }
  for (const { states } of stages) {
    for (const [state, count] of Object.entries(states)) {
      if (state === 'waiting') hits.spared += count
      const known = updateStates[state as keyof typeof updateStates]
      if (known?.touches) hits.back += count
      else if (known?.kind === 'active') hits.givenUp += count
    }
  }
  return hits
}

/** `Line 4 and 2 more sites, tag pilot`; `every device` where all are meant. */
export function saySelection(select: Selection): string {
  if (select.all) return 'every device'
  const list = (words: readonly string[] | undefined, one: string, many = `${one}s`): string[] => {
    if (!words || words.length === 0) return []
    if (words.length > 3) return [`${words.length} ${many}`]
    return [`${words.length === 1 ? one : many} ${words.join(', ')}`]
  }
  return [
    ...list(select.sites, 'site'),
    ...list(select.tags, 'tag'),
    ...list(select.targets, 'kind of box', 'kinds of boxes'),
    ...list(select.devices, 'device'),
  ].join('; ')
}

/** `12 MB instead of 120 MB, 10.0× less`. */
export function saySaved(sent: number, whole: number): string {
  if (whole === 0) return 'Nothing was sent yet'
  const times = sent > 0 ? `, ${(whole / sent).toFixed(1)}× less` : ''
  return `${sayBytes(sent)} instead of ${sayBytes(whole)}${sent < whole ? times : ''}`
}

type BoxComparisons = Pick<RolloutBox, 'probation' | 'shadow'>

/** As the gate looks at it: beside each other both models were timed under the same load. Null where neither was. */
export const latencyRatioOf = ({ probation, shadow }: BoxComparisons): number | null =>
  (shadow && latencyRatio(shadow)) ?? (probation && latencyRatio(probation))

/** Null where they were not compared: on probation the model before does not run any more. */
export const agreementOf = ({ shadow }: Pick<RolloutBox, 'shadow'>): number | null =>
  shadow && shadow.frames > 0 ? shadow.agreement : null

/** One digit, and no minus before nothing. */
export const sayDrift = (drift: number): string => (Math.round(drift * 10) / 10 || 0).toFixed(1)

/** The larger of both drifts, in standard errors. */
export function driftOf({ probation, shadow }: BoxComparisons): number | null {
  const found = probation ?? shadow
  if (!found || found.frames === 0) return null
  const { countDrift, confidenceDrift } = found
  return Math.abs(countDrift) > Math.abs(confidenceDrift) ? countDrift : confidenceDrift
}

export const sayBoxes = (count: number): string => sayOf(count, 'box', 'boxes')

const dayNames = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'] as const

/** `Mon, Tue 22:00–04:00 by the clock of the site` */
export const sayWindow = (window: MaintenanceWindow): string =>
  `${window.days.map((day) => dayNames[day - 1]).join(', ')} ${window.from}–${window.to} by the clock of each site`
