/** One device of a rollout as the hub keeps it, and what a message of the device changes in it. Pure. */
import {
  type Comparison,
  type Offer,
  type Update,
  type UpdateState,
  updateStates,
} from '@edgeloop/protocol'
import { type Box, isConfirmed } from './decide.ts'

/** What of a box is kept as one text. */
export type BoxData = {
  readonly bytes: Update['bytes'] & {
    /** The whole compressed file. */
    readonly whole: number
    /** Of tries before this one. */
    readonly earlierHub: number
    readonly earlierMirrors: number
  }
  readonly history: readonly { readonly state: UpdateState; readonly at: string }[]
  readonly shadow: Comparison | null
  readonly probation: Comparison | null
}

/** What is kept of a device; what the fleet knows of it comes with `factsOf`. */
export type KeptBox = Omit<Box, 'online' | 'lastSeenAt' | 'zone' | 'running' | 'deviceId'> &
  BoxData & {
    readonly rolloutId: string
    readonly deviceKey: number
    readonly rank: number
    readonly attempt: number
    readonly revoked: boolean
    readonly reason: string
    readonly target: string
    readonly manifest: Offer['manifest']
    readonly versionBefore: number | null
    readonly activateBefore: number | null
  }

/** What a device runs of one name, in which of its messages it said so. */
export type RunningModel = {
  readonly digest: string
  readonly version: number
  readonly sequence: number
}

/** States kept of one update, the newest. */
const historyMax = 40

export const noBytes = (whole: number): BoxData['bytes'] => ({
  codec: '',
  total: 0,
  done: 0,
  fromHub: 0,
  fromMirrors: 0,
  whole,
  earlierHub: 0,
  earlierMirrors: 0,
})

/** The history with a state that the hub gave. */
export const historyWith = (
  history: BoxData['history'],
  state: UpdateState,
  now: number,
): BoxData['history'] => [...history, { state, at: new Date(now).toISOString() }].slice(-historyMax)

/**
 * What a device says of its update, taken into what is kept. The newest word of the device counts, but one that the hub has given up
 * is only heard again for what touches its frames.
 * @param update of this rollout and version
 * @param running what it says that it runs of this name
 */
export function take<B extends KeptBox>(
  box: B,
  update: Update,
  running: RunningModel | undefined,
  heard: number,
  now: number,
): B {
  if (update.attempt !== box.attempt) return box
  const { state } = update
  const takes = isHeard(box, state, running)
  const figures = {
    bytes: { ...box.bytes, ...update.bytes },
    shadow: update.shadow ?? box.shadow,
    probation: update.probation ?? box.probation,
  }
  if (!takes) return { ...box, ...figures }
  const story = {
    ...figures,
    code: update.code ?? null,
    reason: update.reason,
    history: update.history.slice(-historyMax),
    contactAt: box.contactAt ?? now,
    offeredAt: box.offeredAt ?? now,
  }
  if (state === box.state) return { ...box, ...story }
  const ends = updateStates[state].kind !== 'active'
  return {
    ...box,
    ...story,
    state,
    since: now,
    confirmedAt: null,
    revoked:
      state === 'committed'
        ? false
        : box.revoked || (isConfirmed(box) && update.code !== 'by-request'),
    goingBack: box.goingBack && !(ends && state !== 'committed'),
    afterSequence: state === 'committed' ? heard : box.afterSequence,
  }
}

/** States that the hub gives by itself, and on which a device's word before does not count any more. */
const givenUp: readonly string[] = ['timed-out', 'superseded', 'cancelled']

function isHeard(box: KeptBox, state: UpdateState, running: RunningModel | undefined): boolean {
  // It fell back: what it said before that is still in its messages.
  if (box.state === 'rolled-back' && state === 'committed') return running?.digest === box.digest
  if (box.state === 'rolled-back' && updateStates[state].kind === 'active') return false
  if (!givenUp.includes(box.state)) return true
  return updateStates[state].touches || updateStates[state].kind === 'failure'
}
