/** What an event says, in words a person reads. */
import type { alarmCodes, Counts, Event, EventKind, Loss, StoredEvent } from '@edgeloop/protocol'
import { sayBytes, sayCount, sayDuration, sayNumber, sayOf } from '../shell/say.ts'
import type { StatusKind } from '../shell/status.tsx'
import { streamStateWord } from '../streams/stream-status.ts'

export const kindWords: Record<EventKind, string> = {
  appeared: 'Appeared',
  left: 'Left',
  zone: 'Zone',
  line: 'Line',
  counts: 'Counts',
  sketch: 'Sketch',
  stream: 'Stream',
  alarm: 'Alarm',
  loss: 'Loss',
  health: 'Health',
  clip: 'Clip',
}

const alarmWords: Record<(typeof alarmCodes)[number], string> = {
  mediaCrashed: 'Media process crashed',
  mediaHung: 'Media process hung',
  modelFailed: 'Model failed',
  overloaded: 'Overloaded',
  diskFull: 'Disk full',
  outboxFull: 'Outbox full',
  clockJumped: 'Clock jumped',
  configRefused: 'Configuration refused',
}

const lossWords: Record<Loss['reason'], string> = {
  outboxFull: 'the outbox was full',
  diskFull: 'the disk was full',
  damaged: 'the store was damaged',
  acknowledgedEarlier: 'an earlier store of the hub had them',
}

export type EventFacts = {
  readonly status: StatusKind
  /** Short: the label, or what happened. */
  readonly title: string
  /** The rest, in one line; may be empty. */
  readonly text: string
}

/** The event itself. The hub has checked it against its schema before storing it. */
export const eventOf = (stored: StoredEvent): Event => stored.data as Event

/** What to show of an event wherever it appears. */
export function factsOf(stored: StoredEvent): EventFacts {
  const event = eventOf(stored)
  switch (event.kind) {
    case 'appeared':
      return { status: 'info', title: event.label, text: 'Appeared' }
    case 'left': {
      const stayMs = Date.parse(event.at) - Date.parse(event.appearedAt)
      return {
        status: 'offline',
        title: event.label,
        text: join(`Left after ${sayDuration(stayMs)}`, pictureDelay(event.best)),
      }
    }
    case 'zone':
      return { status: 'info', title: event.label, text: zoneText(event) }
    case 'line': {
      const side = event.direction === 'toRight' ? 'right' : 'left'
      return {
        status: 'info',
        title: event.label,
        text: `Crossed ${event.line} to its ${side} side`,
      }
    }
    case 'counts':
      return { status: 'info', title: 'Counts', text: countsText(event) }
    case 'sketch':
      return {
        status: 'info',
        title: 'Sketch',
        text: `Of ${sayOf(event.pictures, 'picture')} and ${sayOf(event.analysed, 'analysed frame')}`,
      }
    case 'stream': {
      const { kind, word } = streamStateWord(event.state)
      const gap = event.gapMs ? `${sayDuration(event.gapMs)} without a frame` : ''
      return { status: kind, title: `Stream ${word.toLowerCase()}`, text: join(event.reason, gap) }
    }
    case 'alarm':
      return {
        status: event.active ? 'bad' : 'ok',
        title: event.active ? alarmWords[event.code] : `${alarmWords[event.code]}: over`,
        text: event.text,
      }
    case 'loss': {
      const count = event.through - event.sequence + 1
      return {
        status: 'bad',
        title: `${sayOf(count, 'event')} lost`,
        text: join(`because ${lossWords[event.reason]}`, lostClasses(event)),
      }
    }
    case 'clip':
      return {
        status: 'info',
        title: 'Clip',
        text: join(`${sayDuration(event.durationMs)} recorded`, sayBytes(event.sizeBytes)),
      }
    case 'health':
      return { status: 'info', title: 'Health', text: `${sayOf(event.streams.length, 'stream')}` }
  }
}

function zoneText({ zone, act, dwellMs = 0 }: Extract<Event, { kind: 'zone' }>): string {
  if (act === 'entered') return `Entered ${zone}`
  const stay = sayDuration(dwellMs)
  return act === 'left' ? `Left ${zone} after ${stay}` : `Has been in ${zone} for ${stay}`
}

/** What was counted, the most telling first: crossings, then visits, then objects. */
function countsText({ intervalMs, objects, zones, lines }: Counts): string {
  const crossed = lines.map(
    ({ line, label, toRight, toLeft }) =>
      `${line}: ${label} ${sayCount(toRight)} to the right, ${sayCount(toLeft)} to the left`,
  )
  const visited = zones.map(
    ({ zone, label, entered, most }) =>
      `${zone}: ${label} ${sayCount(entered)} in, ${sayCount(most)} at most`,
  )
  const appeared = objects.map(
    ({ label, appeared, most }) =>
      `${label} ${sayCount(appeared)} appeared, ${sayCount(most)} at most`,
  )
  return join(`In ${sayDuration(intervalMs)}`, ...crossed, ...visited, ...appeared)
}

/** How far a picture is from the moment it stands for; empty where it is of that moment. */
function pictureDelay({ at, snapshotAt }: { at: string; snapshotAt?: string }): string {
  if (snapshotAt === undefined) return ''
  const delayMs = Date.parse(snapshotAt) - Date.parse(at)
  return `picture ${sayDuration(Math.abs(delayMs))} ${delayMs < 0 ? 'earlier' : 'later'}`
}

const join = (...parts: string[]): string => parts.filter((part) => part !== '').join('; ')

function lostClasses(loss: Loss): string {
  const { alarms, events, aggregates } = loss
  return [
    [alarms, 'alarm'],
    [events, 'event'],
    [aggregates, 'aggregate'],
  ]
    .filter(([count]) => count)
    .map(([count, word]) => `${sayCount(Number(count))} ${word}${count === 1 ? '' : 's'}`)
    .join(', ')
}

/** What further models said of the event's object: a line per model. */
export function attributeFacts(stored: StoredEvent): { model: string; text: string }[] {
  const event = eventOf(stored)
  const attributes = 'attributes' in event ? (event.attributes ?? []) : []
  return attributes.map(({ model, classes, embedding }) => {
    const named = (classes ?? []).map(({ label, score }) => `${label} ${score.toFixed(2)}`)
    const vector = embedding ? [`a vector of ${sayCount(embedding.length)} numbers`] : []
    const text = [...named, ...vector].join(', ')
    return { model, text: text || 'nothing sure enough' }
  })
}

/** The box to draw on the event's picture, where it has one: the best moment's, or where it appeared. */
export function pictureBox(stored: StoredEvent): readonly number[] | undefined {
  const event = eventOf(stored)
  // A picture of another moment: the object has moved on in it.
  if (event.kind === 'left') return event.best.snapshotAt ? undefined : event.best.box
  return 'box' in event ? event.box : undefined
}

/**
 * The part of a picture that shows a box with its surroundings, as shares of the picture: as wide as
 * high (in shares, so it keeps the picture's shape), at least `spanMin`, within the picture.
 */
export function closeUp(
  box: readonly number[],
  spanMin = 0.4,
): { left: number; top: number; span: number } {
  const [left = 0, top = 0, width = 1, height = 1] = box
  const span = Math.min(1, Math.max(spanMin, width * 1.8, height * 1.4))
  const within = (centre: number) => Math.max(0, Math.min(1 - span, centre - span / 2))
  return { left: within(left + width / 2), top: within(top + height / 2), span }
}

/** Events by the hour they happened in, in the viewer's zone; the order stays. */
export function groupByHour(
  events: readonly StoredEvent[],
): { hour: number; events: StoredEvent[] }[] {
  const groups: { hour: number; events: StoredEvent[] }[] = []
  for (const event of events) {
    const hour = new Date(event.at).setMinutes(0, 0, 0)
    const last = groups.at(-1)
    if (last?.hour === hour) last.events.push(event)
    else groups.push({ hour, events: [event] })
  }
  return groups
}

/** A device's clock may be ahead of the hub's by this much, and nobody needs to know, ms. */
const aheadUnsaidMs = 2000

/** How long after it happened an event was received: `0.4 s later`. Before it, only by the device's own clock. */
export function sayDelay(ms: number): string {
  if (ms < -aheadUnsaidMs) return `${sayDuration(-ms)} earlier: the clock of the device is ahead`
  return ms < 60_000 ? `${sayNumber(Math.max(0, ms) / 1000)} s later` : `${sayDuration(ms)} later`
}
