/**
 * Whether an event is meant by a rule, and whether the rule fires. Pure: what a rule has seen before is a small record
 * that is given and given back, and the only clock is that of the events, so that a trial over yesterday says what
 * would have happened.
 */
import type { EventRule, RuleCondition, StoredEvent } from '@edgeloop/protocol'
import { openingAt } from '../rollouts/windows.ts'

/** An event with where its device stands. */
export type PlacedEvent = {
  readonly event: StoredEvent
  readonly site: string
  readonly tags: readonly string[]
}

/** What a rule remembers of one group. Times are milliseconds of the events' clocks. */
export type GroupMemory = {
  /** Of matches that count towards the next firing, ascending; fewer than `count.atLeast`. */
  readonly seen: readonly number[]
  readonly firedAt: number | null
  /** Matches since then that the cool-down kept back. */
  readonly silenced: number
}

export const noMemory: GroupMemory = { seen: [], firedAt: null, silenced: 0 }

/** `fire`: tell the receivers, and that so many were kept back before; `silence`: it fell into the cool-down. */
export type Step = {
  readonly act: 'wait' | 'fire' | 'silence'
  readonly silenced: number
  readonly memory: GroupMemory
}

/** True where every key of the condition fits. @param zoneOf time zone of a site, as IANA names it */
export function fitsCondition(
  when: RuleCondition,
  { event, site, tags }: PlacedEvent,
  zoneOf: (site: string) => string,
): boolean {
  const { data } = event
  const at = Date.parse(event.at)
  if (!isAmong(when.kinds, event.kind)) return false
  if (!isAmong(when.devices, event.deviceId) || !isAmong(when.sites, site)) return false
  if (!isAmong(when.streams, event.streamId) || !isAmong(when.labels, event.label)) return false
  if (when.tags && !when.tags.some((tag) => tags.includes(tag))) return false
  if (!isAmong(when.zones, data.zone) || !isAmong(when.zoneActs, actOf(event))) return false
  if (!isAmong(when.lines, data.line) || !isAmong(when.directions, data.direction)) return false
  if (when.scoreMin !== undefined && (event.score ?? -1) < when.scoreMin) return false
  if (!isAmong(when.alarmCodes, data.code) || !isAmong(when.streamStates, data.state)) return false
  if (when.alarmActive !== undefined && data.active !== when.alarmActive) return false
  if (when.lateSecondsMax !== undefined) {
    if (Date.parse(event.receivedAt) - at > when.lateSecondsMax * 1000) return false
  }
  return !when.hours || openingAt(when.hours, zoneOf(site), at) !== undefined
}

function isAmong(words: readonly unknown[] | undefined, word: unknown): boolean {
  return words === undefined || words.includes(word)
}

/** `left` is a kind of its own, too: only that of a zone is an act. */
const actOf = ({ kind, data }: StoredEvent): unknown => (kind === 'zone' ? data.act : undefined)

/** What tells groups of a rule apart, such as `gate/door`; `-` for what an event does not have. */
export function groupOf({ groupBy = [] }: EventRule, { event, site }: PlacedEvent): string {
  const { data } = event
  const parts = {
    site,
    device: event.deviceId,
    stream: event.streamId,
    label: event.label,
    area: data.zone ?? data.line,
    // Numbered anew at each start of the agent.
    track: data.trackId === undefined ? undefined : `${event.bootId.slice(0, 8)}:${data.trackId}`,
  }
  return groupBy.map((part) => String(parts[part] ?? '-')).join('/')
}

/** What becomes of a match. Matches that come out of order are taken as they come. */
export function advance(rule: EventRule, memory: GroupMemory, at: number): Step {
  const coolDownMs = (rule.coolDownSeconds ?? 0) * 1000
  const { firedAt } = memory
  if (firedAt !== null && Math.abs(at - firedAt) < coolDownMs) {
    const silenced = memory.silenced + 1
    return { act: 'silence', silenced, memory: { ...memory, silenced } }
  }
  if (rule.count) {
    const { atLeast, withinSeconds } = rule.count
    const newest = Math.max(at, memory.seen.at(-1) ?? at)
    const seen = [...memory.seen, at]
      .sort((a, b) => a - b)
      .filter((time) => time > newest - withinSeconds * 1000)
    if (seen.length < atLeast) return { act: 'wait', silenced: 0, memory: { ...memory, seen } }
  }
  return {
    act: 'fire',
    silenced: memory.silenced,
    memory: { seen: [], firedAt: Math.max(at, firedAt ?? at), silenced: 0 },
  }
}

/** True for a rule whose firings depend on what came before. */
export const remembers = (rule: EventRule): boolean =>
  rule.count !== undefined || (rule.coolDownSeconds ?? 0) > 0 || (rule.gatherSeconds ?? 0) > 0
