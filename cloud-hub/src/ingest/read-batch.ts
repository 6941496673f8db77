/** An `events` payload taken apart: what numbering needs is checked, each event keeps its own text. */
import { EventBatch, messages } from '@edgeloop/protocol'
import { Misfit, parse } from '@edgeloop/protocol/check'
import { elementSpans } from './element-spans.ts'

export type ReceivedBatch = {
  readonly batch: EventBatch
  /** The JSON of each entry as it came. */
  readonly texts: readonly string[]
}

const what = 'events payload'

/** @throws {Misfit} when the payload is too large, not UTF-8, not JSON, or no batch */
export function readBatch(payload: Uint8Array): ReceivedBatch {
  const { bytesMax } = messages.events
  if (payload.length > bytesMax) {
    throw new Misfit(`Cannot read ${what}: ${payload.length} bytes, allowed ${bytesMax}`)
  }
  const [text, value] = readJson(payload)
  const batch = parse(EventBatch, value, what)
  const spans = elementSpans(payload, 'entries')
  // A key written with escapes hides from the search; then the entries are written anew.
  if (spans?.length !== batch.entries.length * 2) {
    return { batch, texts: batch.entries.map((entry) => JSON.stringify(entry)) }
  }
  // Text as long as its bytes is ASCII: places in one are places in the other.
  const cut =
    text.length === payload.length
      ? (from: number, to: number) => text.slice(from, to)
      : (from: number, to: number) => new TextDecoder().decode(payload.subarray(from, to))
  return { batch, texts: batch.entries.map((_, i) => cut(spans[i * 2]!, spans[i * 2 + 1]!)) }
}

function readJson(payload: Uint8Array): readonly [text: string, value: unknown] {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(payload)
    return [text, JSON.parse(text)]
  } catch (cause) {
    throw new Misfit(`Cannot read ${what}: not JSON (${(cause as Error).message})`)
  }
}
