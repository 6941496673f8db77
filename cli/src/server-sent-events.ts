/** Reads server-sent events (WHATWG HTML §9.2) from a response body. */

export type ServerSentEvent = { readonly event: string; readonly data: string; readonly id: string }

/** Longest event that is taken: a server that never ends a line must not fill the memory. */
const eventCharactersMax = 4 * 1024 * 1024

/**
 * Yields each event of the stream, comments and events without data left out.
 * @throws {Error} when one event is longer than 4 M characters
 */
export async function* readServerSentEvents(
  body: ReadableStream<Uint8Array>,
): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true })
    const blocks = rest.split(/\r?\n\r?\n/)
    rest = blocks.pop() ?? ''
    if (rest.length > eventCharactersMax)
      throw new Error('Cannot read events: one is longer than 4 M characters')
    for (const block of blocks) {
      const event = readEvent(block)
      if (event.data !== '') yield event
    }
  }
}

function readEvent(block: string): ServerSentEvent {
  const fields = { event: 'message', data: '', id: '' }
  for (const line of block.split(/\r?\n/)) {
    const [, name = '', value = ''] = /^([^:]*):? ?(.*)$/.exec(line) ?? []
    if (name === 'data') fields.data += fields.data === '' ? value : `\n${value}`
    else if (name === 'event' || name === 'id') fields[name] = value
  }
  return fields
}
