/** An `events` payload taken apart: what numbering needs is checked, each event keeps its own text. */
import { EventBatch, messages } from '@edgeloop/protocol'
import { Misfit, parse } from '@edgeloop/protocol/check'
import { elementTexts } from './element-texts.ts'

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
  const cut = elementTexts(text, 'entries')
  // A key written with escapes hides from the cutter; then the entries are written anew.
  const whole = cut?.length === batch.entries.length
  return { batch, texts: whole ? cut : batch.entries.map((entry) => JSON.stringify(entry)) }
}

function readJson(payload: Uint8Array): readonly [text: string, value: unknown] {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(payload)
    return [text, JSON.parse(text)]
  } catch (cause) {
    throw new Misfit(`Cannot read ${what}: not JSON (${(cause as Error).message})`)
  }
}
