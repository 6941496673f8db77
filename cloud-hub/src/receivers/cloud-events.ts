/**
 * Messages as CloudEvents 1.0 in JSON (github.com/cloudevents/spec, `cloudevents/spec.md` and
 * `formats/json-format.md`): one for a firing, or a batch of one for each of its events.
 */
import type { Message, ToldEvent } from './message.ts'

/** Media types of the JSON format and of the JSON batch format. */
export const cloudEventType = 'application/cloudevents+json; charset=utf-8'
export const cloudEventBatchType = 'application/cloudevents-batch+json; charset=utf-8'

export type CloudEvent = {
  readonly specversion: '1.0'
  readonly id: string
  /** Together with `id` unique. */
  readonly source: string
  readonly type: string
  readonly subject?: string
  readonly time: string
  readonly datacontenttype: 'application/json'
  readonly data: unknown
}

const common = { specversion: '1.0', datacontenttype: 'application/json' } as const

/** The firing as one event. */
export function firedEvent(message: Message): CloudEvent {
  const { messageId, rule, group, firedAt, events, eventCount, silenced, trial } = message
  return {
    ...common,
    id: messageId,
    source: `/rules/${encodeURIComponent(rule)}`,
    type: trial ? 'io.edgeloop.rule.trial' : 'io.edgeloop.rule.fired',
    ...(group === '' ? {} : { subject: group }),
    time: new Date(firedAt).toISOString(),
    data: { rule, group, eventCount, silenced, events: events.map(dataOf) },
  }
}

/** Each event by itself. */
export function eachEvent(message: Message): CloudEvent[] {
  if (message.events.length === 0) return [firedEvent(message)]
  return message.events.map((told) => {
    const { event, site } = told
    const stream = event.streamId === null ? '' : `/streams/${event.streamId}`
    return {
      ...common,
      id: `${message.messageId}:${event.eventId}`,
      source: `/sites/${site}/devices/${event.deviceId}${stream}`,
      type: `io.edgeloop.event.${event.kind}`,
      ...(event.label === null ? {} : { subject: event.label }),
      time: event.at,
      data: { rule: message.rule, ...dataOf(told) },
    }
  })
}

function dataOf({ event, site }: ToldEvent) {
  const { marks: _, ...rest } = event
  return { site, ...rest }
}
