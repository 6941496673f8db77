/** What a receiver is told, before it takes the form of a webhook, an MQTT message or a mail. */
import type { StoredEvent } from '@edgeloop/protocol'

/** An event with the site of its device, as a delivery keeps it: the event itself may be gone when it is sent. */
export type ToldEvent = { readonly site: string; readonly event: StoredEvent }

export type Message = {
  /** Stays the same over tries, so that a receiver can tell a repetition. */
  readonly messageId: string
  readonly rule: string
  readonly group: string
  /** When the rule fired, ms. */
  readonly firedAt: number
  /** At most `deliveryEventsMax`, oldest first. */
  readonly events: readonly ToldEvent[]
  /** How many there were. */
  readonly eventCount: number
  readonly silenced: number
  /** Sent because somebody wanted to see whether it arrives. */
  readonly trial: boolean
}

/** Thrown where a message was not taken. */
export class Undelivered extends Error {
  override readonly name = 'Undelivered'
  /** Trying again changes nothing. */
  readonly final: boolean
  /** How long the receiver wants to be left alone, where it said so. */
  readonly retryAfterMs: number | undefined
  constructor(text: string, options: { final?: boolean; retryAfterMs?: number } = {}) {
    super(text)
    this.final = options.final ?? false
    this.retryAfterMs = options.retryAfterMs
  }
}

/** One line about an event for people: `person entered dock (gate/door)`. */
export function sayEvent({ event }: ToldEvent): string {
  const { data } = event
  const where = event.streamId === null ? event.deviceId : `${event.deviceId}/${event.streamId}`
  const what = (() => {
    switch (event.kind) {
      case 'appeared':
        return `${event.label} appeared`
      case 'left':
        return `${event.label} left`
      case 'zone':
        return `${event.label} ${data.act} ${data.zone}`
      case 'line':
        return `${event.label} crossed ${data.line}`
      case 'stream':
        return `stream is ${data.state}`
      case 'alarm':
        return `${data.active === true ? 'alarm' : 'end of alarm'} ${data.code}: ${data.text}`
      case 'loss':
        return 'events were lost'
      default:
        return event.kind
    }
  })()
  return `${what} (${where})`
}
