/**
 * Takes a text/event-stream apart (WHATWG HTML §9.2.6). Read through `fetch` rather than
 * `EventSource`, which gives up for good after one 503, hides heartbeats from a watchdog, tells
 * nothing of a 401, and cannot resume from an id after its tab has rested.
 */

export type SseEvent = { readonly id: string; readonly name: string; readonly data: string }

/** Most characters of one unfinished event; a stream that exceeds it is not ours. */
const pendingCharsMax = 4 * 1024 * 1024

/**
 * Gives a function that is fed text as it arrives and returns the events that became whole. Comments
 * (heartbeats) give nothing.
 * @throws {Error} from the returned function when an event never ends
 */
export function sseParser(): (text: string) => SseEvent[] {
  let pending = ''
  let id = ''
  let name = ''
  let data: string[] = []

  const take = (line: string): SseEvent | undefined => {
    if (line === '') {
      const event =
        data.length > 0 || name ? { id, name: name || 'message', data: data.join('\n') } : undefined
      name = ''
      data = []
      return event
    }
    const colon = line.indexOf(':')
    if (colon === 0) return undefined
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'data') data.push(value)
    else if (field === 'event') name = value
    else if (field === 'id' && !value.includes('\0')) id = value
    return undefined
  }

  return (text) => {
    pending += text
    const events: SseEvent[] = []
    // A CR at the very end may be half of a CRLF: it waits for the next piece.
    const lines = pending.split(/\r\n|\n|\r(?!$)/)
    pending = lines.pop() ?? ''
    if (pending.length > pendingCharsMax) {
      throw new Error(
        `Cannot read the change stream: a line of more than ${pendingCharsMax} characters`,
      )
    }
    for (const line of lines) {
      const event = take(line)
      if (event) events.push(event)
    }
    return events
  }
}
