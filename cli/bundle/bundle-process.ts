/** Builds one bundle in a process of its own: packing takes seconds of CPU that a hub needs for devices. */
import { buildBundle } from './bundle.ts'
import type { Platform } from './platforms.ts'

/** What the process is asked, and what it answers. */
export type BuildOrder = { readonly platform: Platform; readonly file: string }
export type BuildAnswer =
  | { readonly kind: 'progress'; readonly text: string }
  | { readonly kind: 'built'; readonly sizeBytes: number; readonly digest: string }
  | { readonly kind: 'failed'; readonly reason: string }

const stop = new AbortController()
// Whoever started us is gone, or wants no bundle any more.
process.once('disconnect', () => stop.abort(new Error('nobody waits for it')))
const answer = (message: BuildAnswer): void => void process.send?.(message)

process.once('message', (order: BuildOrder) => {
  const onProgress = (text: string) => answer({ kind: 'progress', text })
  buildBundle({ ...order, onProgress, signal: stop.signal })
    .then(({ sizeBytes, digest }) => answer({ kind: 'built', sizeBytes, digest }))
    .catch((error: Error) => answer({ kind: 'failed', reason: error.message }))
    .finally(() => process.disconnect?.())
})
