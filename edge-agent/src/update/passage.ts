/** How a model's record changes with each step of an update. Pure: who performs the step writes down what comes out. */
import type { Offer, Update, UpdateCode, UpdateState } from '@edgeloop/protocol'
import {
  type ModelRecord,
  type Passage,
  passagesMax,
  type SlotContent,
  type SlotName,
} from './model-record.ts'
import { activeContent, freeSlot, openPassage } from './plan.ts'

const historyMax = 32
const reasonCharsMax = 500

type End = {
  readonly state: UpdateState
  readonly code?: UpdateCode | undefined
  readonly reason: string
}

/** @param now wall clock, ms; so everywhere here */
export function takenUp(record: ModelRecord, offer: Offer, now: number): ModelRecord {
  const at = new Date(now).toISOString()
  const { rolloutId, name, version, attempt } = offer
  const told: Update = {
    rolloutId,
    name,
    version,
    attempt,
    state: 'offered',
    since: at,
    reason: '',
    bytes: { codec: '', total: 0, done: 0, fromHub: 0, fromMirrors: 0 },
    history: [{ state: 'offered', at }],
  }
  const passages = [...record.passages, { offer, told, shadowed: false, starts: 0 }]
  return { ...record, passages: passages.slice(-passagesMax) }
}

/** An offer that was answered with no. */
export function rejected(record: ModelRecord, offer: Offer, end: End, now: number): ModelRecord {
  return ended(takenUp(record, offer, now), end, now)
}

/** Another state of the update that is under way. */
export function entered(record: ModelRecord, state: UpdateState, now: number): ModelRecord {
  return changed(record, (passage) => ({
    ...passage,
    told: inState(passage.told, { state, reason: '' }, now),
  }))
}

/** The update that is under way ends, and its candidate is no more; what frames belong to stays. */
export function ended(record: ModelRecord, end: End, now: number): ModelRecord {
  const passage = openPassage(record)
  const slot = passage?.slot
  const after = changed(record, ({ slot: _, ...rest }) => ({
    ...rest,
    told: inState(rest.told, end, now),
  }))
  return slot === undefined || slot === record.active ? after : withSlot(after, slot, undefined)
}

/** The slot that a candidate will lie in is given up: what was there is no way back any more. */
export function slotFreed(record: ModelRecord): ModelRecord {
  const slot = freeSlot(record)
  return changed(withSlot(record, slot, undefined), (passage) => ({ ...passage, slot }))
}

/** The candidate lies in its slot, whole and verified. */
export function staged(record: ModelRecord, digest: string, now: number): ModelRecord {
  const { offer, slot } = openOf(record)
  if (slot === undefined) throw new Error('Cannot stage a candidate that has no slot')
  const { rolloutId, version, manifest } = offer
  const manifestDigest = manifest.digest
  const content = { rolloutId, version, digest, manifestDigest, committed: false }
  return entered(withSlot(record, slot, content), 'staged', now)
}

/** Frames belong to the candidate. The floor rises in the same write. */
export function activated(record: ModelRecord, now: number): ModelRecord {
  const { slot, told } = openOf(record)
  if (slot === undefined) throw new Error('Cannot activate a candidate that has no slot')
  const floor = Math.max(record.floor, told.version)
  return entered({ ...record, floor, previous: record.active, active: slot }, 'activating', now)
}

/** The candidate has proved itself. */
export function committed(record: ModelRecord, now: number): ModelRecord {
  const content = activeContent(record)
  if (!content || !record.active) throw new Error('Cannot commit a model that is not active')
  const after = withSlot(record, record.active, { ...content, committed: true })
  return entered(after, 'committed', now)
}

/** Frames belong to the model before, and what they belonged to is no more. */
export function wentBack(record: ModelRecord, end: End, now: number): ModelRecord {
  const { active, previous } = record
  const content = activeContent(record)
  if (!content || !active) throw new Error('Cannot go back: frames go to the own file')
  const passages = record.passages.map((passage) =>
    passage.told.rolloutId === content.rolloutId &&
    passage.told.version === content.version &&
    ['activating', 'probation', 'committed'].includes(passage.told.state)
      ? withoutSlot({ ...passage, told: inState(passage.told, end, now) })
      : passage,
  )
  const before = { ...record, passages, active: previous, previous: null }
  return withSlot(before, active, undefined)
}

/** The agent starts, or stops as it should: only starts after an end that nobody wanted count. */
export function startsCounted(record: ModelRecord, starts: number): ModelRecord {
  return changed(record, (passage) => ({ ...passage, starts }))
}

/** Changes the update that is under way. */
export function changed(record: ModelRecord, change: (passage: Passage) => Passage): ModelRecord {
  const passage = openOf(record)
  return { ...record, passages: record.passages.with(-1, change(passage)) }
}

function openOf(record: ModelRecord): Passage {
  const passage = openPassage(record)
  if (!passage) throw new Error(`Cannot go on with an update of "${record.name}": none is open`)
  return passage
}

function withSlot(
  record: ModelRecord,
  slot: SlotName,
  content: SlotContent | undefined,
): ModelRecord {
  const { [slot]: _, ...others } = record.slots
  const previous = content === undefined && record.previous === slot ? null : record.previous
  return { ...record, previous, slots: content ? { ...others, [slot]: content } : others }
}

const withoutSlot = ({ slot: _, ...passage }: Passage): Passage => passage

function inState(told: Update, { state, code, reason }: End, now: number): Update {
  const at = new Date(now).toISOString()
  const { code: _, ...before } = told
  return {
    ...before,
    state,
    since: at,
    reason: reason.slice(0, reasonCharsMax),
    ...(code && { code }),
    history: [...told.history, { state, at }].slice(-historyMax),
  }
}
