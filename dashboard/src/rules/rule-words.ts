/** Rules in words, and what a form says of one: lists are typed with commas between. */
import {
  type Delivery,
  type EventRule,
  type ReceiverRow,
  type RuleCondition,
  type RuleTrial,
  ruleEventKinds,
} from '@edgeloop/protocol'
import { sayClock, sayDuration, sayOf } from '../shell/say.ts'
import type { StatusKind } from '../shell/status.tsx'
import { listed, typed } from './typed-list.ts'

/** Fields of the form, as they are typed. */
export type RuleDraft = {
  readonly name: string
  readonly kinds: readonly string[]
  readonly labels: string
  readonly areas: string
  readonly devices: string
  readonly sites: string
  readonly streams: string
  readonly tags: string
  readonly scoreMin: number | ''
  readonly atLeast: number | ''
  readonly withinSeconds: number
  readonly coolDownSeconds: number
  readonly gatherSeconds: number
  readonly apart: boolean
  readonly tell: readonly string[]
}

export const newDraft: RuleDraft = {
  name: '',
  kinds: ['appeared'],
  labels: '',
  areas: '',
  devices: '',
  sites: '',
  streams: '',
  tags: '',
  scoreMin: '',
  atLeast: '',
  withinSeconds: 60,
  coolDownSeconds: 300,
  gatherSeconds: 0,
  apart: true,
  tell: [],
}

export function draftOf(name: string, { when, count, ...rule }: EventRule): RuleDraft {
  return {
    name,
    kinds: when.kinds ?? [],
    labels: typed(when.labels),
    areas: typed([...(when.zones ?? []), ...(when.lines ?? [])]),
    devices: typed(when.devices),
    sites: typed(when.sites),
    streams: typed(when.streams),
    tags: typed(when.tags),
    scoreMin: when.scoreMin ?? '',
    atLeast: count?.atLeast ?? '',
    withinSeconds: count?.withinSeconds ?? 60,
    coolDownSeconds: rule.coolDownSeconds ?? 0,
    gatherSeconds: rule.gatherSeconds ?? 0,
    apart: (rule.groupBy ?? []).length > 0,
    tell: rule.tell,
  }
}

/** @param before the rule that is edited: what the form does not show stays as it is */
export function ruleOf(draft: RuleDraft, before?: EventRule): EventRule {
  const isLine = draft.kinds.length === 1 && draft.kinds[0] === 'line'
  const { zones: _z, lines: _l, ...kept } = before?.when ?? {}
  const areas = listed(draft.areas)
  const said = {
    kinds:
      draft.kinds.length === 0
        ? undefined
        : ruleEventKinds.filter((kind) => draft.kinds.includes(kind)),
    labels: listed(draft.labels),
    [isLine ? 'lines' : 'zones']: areas,
    devices: listed(draft.devices),
    sites: listed(draft.sites),
    streams: listed(draft.streams),
    tags: listed(draft.tags),
    scoreMin: draft.scoreMin === '' ? undefined : draft.scoreMin,
  }
  const when = withoutAbsent({ ...kept, ...said }) as RuleCondition
  const { count: _count, ...rest } = before ?? { when, tell: [] }
  const groupBy: EventRule['groupBy'] = draft.apart
    ? before?.groupBy?.length
      ? before.groupBy
      : ['device', 'stream']
    : []
  return {
    ...rest,
    when,
    ...(draft.atLeast === ''
      ? {}
      : { count: { atLeast: draft.atLeast, withinSeconds: draft.withinSeconds } }),
    groupBy,
    coolDownSeconds: draft.coolDownSeconds,
    gatherSeconds: draft.gatherSeconds,
    tell: [...draft.tell],
  }
}

const withoutAbsent = (given: object) =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))

/** `appeared, zone of person in dock, at least 3 within 1 min`. */
export function sayRule({ when, count }: EventRule): string {
  const what = when.kinds ? when.kinds.join(', ') : 'any event'
  const parts = [
    when.labels ? `${what} of ${when.labels.join(', ')}` : what,
    ...[when.zones, when.lines].flatMap((areas) => (areas ? [`in ${areas.join(', ')}`] : [])),
    ...(when.alarmCodes ? [when.alarmCodes.join(', ')] : []),
    ...(when.scoreMin === undefined ? [] : [`score ${when.scoreMin} or more`]),
    ...[when.sites, when.devices, when.streams, when.tags].flatMap((words) =>
      words ? [`at ${words.join(', ')}`] : [],
    ),
    ...(when.hours ? ['at its hours'] : []),
    ...(count
      ? [`at least ${count.atLeast} within ${sayDuration(count.withinSeconds * 1000)}`]
      : []),
  ]
  return parts.join(', ')
}

/** What a trial over the last day came to. */
export function sayTrial({ fired, matched, looked, silenced, whole }: RuleTrial): string {
  const times = fired === 1 ? 'once' : `${fired} times`
  const kept = silenced > 0 ? `; ${silenced} fell into its cool-down` : ''
  const only = whole ? 'in the last day' : 'in the newest part of the last day'
  return `It would have fired ${times} ${only}: ${matched} of ${sayOf(looked, 'event')} fit${kept}.`
}

export function sayDelivery({ state, attempts }: Delivery): { kind: StatusKind; word: string } {
  if (state === 'done') return { kind: 'ok', word: 'taken' }
  if (state === 'dead') return { kind: 'bad', word: 'given up' }
  return attempts > 0 ? { kind: 'warn', word: 'tried again' } : { kind: 'updating', word: 'waits' }
}

export function sayReceiver({ pausedUntil, failures }: ReceiverRow): {
  kind: StatusKind
  word: string
} {
  if (pausedUntil !== null) {
    return { kind: 'bad', word: `paused until ${sayClock(Date.parse(pausedUntil))}` }
  }
  return failures > 0 ? { kind: 'warn', word: 'failing' } : { kind: 'ok', word: 'works' }
}

/** Where a receiver is, without what stands behind the host. */
export function sayPlace({ receiver }: ReceiverRow): string {
  if (receiver.kind === 'mail') return `mail to ${receiver.to.join(', ')}`
  return `${receiver.kind} at ${URL.parse(receiver.url)?.host ?? receiver.url}`
}
