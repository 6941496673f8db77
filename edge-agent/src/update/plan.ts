/**
 * What a box does next about one of its models. Pure, and asked again after every step and every start: it knows only
 * what is on the disk, what the hub offers, and what frames go to now. So it makes no difference where power failed.
 *
 * An update goes offered → downloading → verified → staged → probed → shadowing and until there touches nothing that
 * runs; whatever happens, its files are removed. Activating is one write (`activated` in passage.ts); from then on
 * the way out is to go back, which needs nothing but what is on the disk. The slot from before stays until the new
 * model is committed.
 */
import { type Offer, type UpdateCode, type UpdateState, updateStates } from '@edgeloop/protocol'
import type { ModelRecord, Passage, SlotContent, SlotName } from './model-record.ts'

/** A candidate that was active at so many starts of the agent without being committed is what ends it. */
export const startsMax = 2

/** What is true now and not written down. */
export type Facts = {
  /** Wall clock, ms. */
  readonly now: number
  /** How long the update is in its state, by a clock that does not jump; counted anew from a start of the agent. */
  readonly inStateMs: number
  /** Where frames go now; null: to the box's own file; undefined: not known. */
  readonly running: SlotName | null | undefined
}

export type Step =
  /** Nothing to do before something changes. */
  | { readonly do: 'rest' }
  /** A new passage begins. */
  | { readonly do: 'take-up'; readonly offer: Offer }
  /** An offer that is answered with no. */
  | {
      readonly do: 'reject'
      readonly offer: Offer
      readonly code: UpdateCode
      readonly reason: string
    }
  /** The same offer with other limits. */
  | { readonly do: 'follow'; readonly offer: Offer }
  /** The update ends; nothing that runs has changed. */
  | {
      readonly do: 'end'
      readonly state: UpdateState
      readonly code?: UpdateCode
      readonly reason: string
    }
  /** Metadata, then the manifest: is it signed, and for this box? */
  | { readonly do: 'check' }
  | { readonly do: 'download' }
  /** Makes the model's file of what came. */
  | { readonly do: 'rebuild' }
  | { readonly do: 'probe' }
  | { readonly do: 'enter'; readonly state: 'shadowing' | 'probation' }
  | { readonly do: 'shadow' }
  /** From now on frames belong to the candidate: one write. */
  | { readonly do: 'activate' }
  /** Frames go elsewhere than they should. */
  | { readonly do: 'run' }
  /** Probation; commits at its end. */
  | { readonly do: 'watch' }
  /** From now on frames belong to the model before: one write. */
  | {
      readonly do: 'go-back'
      readonly state: 'rolled-back' | 'superseded'
      readonly code?: UpdateCode
      readonly reason: string
    }

/** @param offers what the hub wants of this model; undefined while that is not known, which changes nothing */
export function planUpdate(
  record: ModelRecord,
  offers: readonly Offer[] | undefined,
  facts: Facts,
): Step {
  const passage = openPassage(record)
  if (passage && updateStates[passage.told.state].touches) {
    return planActivated(record, passage, offers, facts)
  }
  if (facts.running !== record.active) return { do: 'run' }
  if (passage) return planCandidate(record, passage, offers, facts)
  return offers ? planNext(record, offers) : { do: 'rest' }
}

/** Frames belong to the candidate, which has to prove itself. */
function planActivated(
  record: ModelRecord,
  passage: Passage,
  offers: readonly Offer[] | undefined,
  facts: Facts,
): Step {
  const { state } = passage.told
  if (passage.starts >= startsMax) {
    const reason = `The agent was started ${passage.starts} times before it had proved itself`
    return { do: 'go-back', state: 'rolled-back', code: 'boot-loop', reason }
  }
  if (offers?.some((offer) => asksBack(offer, passage.told))) return goBackByRequest
  const newer = wanted(record, offers)
  if (newer && newer.version >= record.floor && !isSameAttempt(newer, passage.offer)) {
    const reason = `Version ${newer.version} is offered`
    return { do: 'go-back', state: 'superseded', reason }
  }
  if (facts.inStateMs > deadlineMs(passage)) {
    const reason = `It was ${state} for longer than ${minutes(deadlineMs(passage))}`
    return { do: 'go-back', state: 'rolled-back', code: 'deadline', reason }
  }
  if (facts.running !== record.active) return { do: 'run' }
  return state === 'activating' ? { do: 'enter', state: 'probation' } : { do: 'watch' }
}

/** The candidate touches nothing yet. */
function planCandidate(
  record: ModelRecord,
  passage: Passage,
  offers: readonly Offer[] | undefined,
  { now, inStateMs }: Facts,
): Step {
  const { state } = passage.told
  let { offer } = passage
  if (offers) {
    if (offers.some((other) => asksBack(other, offer))) {
      return { do: 'end', state: 'cancelled', code: 'by-request', reason: 'The hub took it back' }
    }
    const newest = wanted(record, offers)
    if (!newest) return { do: 'end', state: 'cancelled', reason: 'It is no longer offered' }
    if (!isSameAttempt(newest, offer)) {
      return { do: 'end', state: 'superseded', reason: `Version ${newest.version} is offered` }
    }
    if (JSON.stringify(newest) !== JSON.stringify(offer)) return { do: 'follow', offer: newest }
    offer = newest
  }
  if (state === 'shadowing' && passage.shadowed) {
    const isOpen = offer.activateBefore === undefined || now < Date.parse(offer.activateBefore)
    // After the end of the window the hub offers another, or takes this one back.
    return isOpen ? { do: 'activate' } : { do: 'rest' }
  }
  if (inStateMs > deadlineMs(passage)) {
    const reason = `It was ${state} for longer than ${minutes(deadlineMs(passage))}`
    return { do: 'end', state: 'timed-out', code: 'deadline', reason }
  }
  return candidateSteps[state as keyof typeof candidateSteps]
}

const candidateSteps = {
  offered: { do: 'check' },
  downloading: { do: 'download' },
  verified: { do: 'rebuild' },
  staged: { do: 'probe' },
  probed: { do: 'enter', state: 'shadowing' },
  shadowing: { do: 'shadow' },
} as const satisfies Partial<Record<UpdateState, Step>>

/** No update is under way. */
function planNext(record: ModelRecord, offers: readonly Offer[]): Step {
  const content = activeContent(record)
  if (content && offers.some((offer) => asksBack(offer, content))) return goBackByRequest
  const offer = wanted(record, offers)
  if (!offer) return { do: 'rest' }
  if (offer.version < record.floor) {
    const reason = `Version ${offer.version} is older than version ${record.floor}, which has run here`
    return { do: 'reject', offer, code: 'version-floor', reason }
  }
  return { do: 'take-up', offer }
}

const goBackByRequest: Step = {
  ...({ do: 'go-back', state: 'rolled-back', code: 'by-request' } as const),
  reason: 'The hub asked for the model before',
}

/** The passage that has not ended; undefined where none is under way. */
export function openPassage({ passages }: ModelRecord): Passage | undefined {
  const last = passages.at(-1)
  return last && updateStates[last.told.state].kind === 'active' ? last : undefined
}

/** What lies in the slot that frames belong to; undefined where that is the box's own file. */
export const activeContent = ({ active, slots }: ModelRecord): SlotContent | undefined =>
  active ? slots[active] : undefined

/** What a candidate is put together in: never what frames belong to. */
export const freeSlot = ({ active }: ModelRecord): SlotName => (active === 'a' ? 'b' : 'a')

/** How long an update may be in its state; the times that the hub chose come on top of the table's. */
export function deadlineMs({ told, offer }: Passage): number {
  const { shadowMs, probationMs } = offer.care
  const { deadlineMs } = updateStates[told.state]
  if (told.state === 'shadowing') return deadlineMs + 3 * shadowMs
  if (told.state === 'probation') return deadlineMs + probationMs
  if (told.state === 'downloading') return deadlineMs + offer.jitterMs
  return deadlineMs
}

/** Offers of one try are the same for as long as they mean the same bytes. */
function isSameAttempt(one: Offer, other: Offer): boolean {
  return (
    one.rolloutId === other.rolloutId &&
    one.version === other.version &&
    one.attempt === other.attempt &&
    one.manifest.digest === other.manifest.digest
  )
}

/** The hub wants the model before of what came by this rollout. */
function asksBack(
  { act, rolloutId, version }: Offer,
  of: { readonly rolloutId: string; readonly version: number },
): boolean {
  return act === 'roll-back' && of.rolloutId === rolloutId && of.version === version
}

/** Of several rollouts of one model the highest version counts, and its newest try; what has ended here is answered. */
function wanted(record: ModelRecord, offers: readonly Offer[] | undefined): Offer | undefined {
  const open = openPassage(record)
  const answered = record.passages.filter((passage) => passage !== open)
  return offers
    ?.filter(({ act }) => act === 'update')
    .filter((offer) => !answered.some((passage) => isSameAttempt(offer, passage.offer)))
    .toSorted((one, other) => other.version - one.version || other.attempt - one.attempt)[0]
}

const minutes = (ms: number): string => `${Math.round(ms / 60_000)} minutes`
