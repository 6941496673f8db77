/**
 * The agent's own media process, with a ledger beside it: one line for every event that it made, one for every event that it was
 * told is recorded under a number, and the longest time without an answer of a model in each interval. Nothing of what it says or
 * hears is changed.
 */
import { openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { FromMedia, ToMedia } from '../../edge-agent/src/media/protocol.ts'

/** Names the folder of the ledgers; the agent passes its environment on. */
export const countingFolderVariable = 'EDGELOOP_TEST_COUNTING'

export type CountedLine =
  | { readonly made: number; readonly kind: string; readonly at: string }
  | {
      readonly recorded: number
      readonly sequence: number | undefined
      readonly kind: string
      readonly at: string
    }
  | { readonly gapMs: number; readonly digest: string }

if (import.meta.main) await count(process.env[countingFolderVariable] ?? '')

async function count(folder: string): Promise<void> {
  const ledger = openSync(join(folder, `${process.pid}.lines`), 'a')
  const note = (line: CountedLine) => writeSync(ledger, `${JSON.stringify(line)}\n`)
  const waiting = new Map<number, { kind: string; at: string }>()
  const send = process.send?.bind(process)
  process.send = ((message: FromMedia, ...more: []) => {
    if (message.kind === 'event') {
      const { kind, at } = message.event
      waiting.set(message.id, { kind, at })
      note({ made: message.id, kind, at })
    } else if (message.kind === 'figures') {
      for (const { gapMs, digest } of message.seen) note({ gapMs, digest })
    }
    return send?.(message, ...more) ?? false
  }) as NonNullable<typeof process.send>
  process.on('message', (message: ToMedia) => {
    if (message.kind !== 'recorded') return
    const event = waiting.get(message.id)
    waiting.delete(message.id)
    if (event) note({ recorded: message.id, sequence: message.sequence, ...event })
  })
  await import('../../edge-agent/src/media/media-process.ts')
}
