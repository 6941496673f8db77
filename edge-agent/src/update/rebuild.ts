/** Makes a model's file of what came, in a thread of its own: a large one would hold up everything else. */
import { Worker } from 'node:worker_threads'
import { ArtifactError, type ArtifactErrorCode } from '@edgeloop/model-compiler/artifact'
import type { UpdateParts } from './model-updates.ts'

export type RebuildOrder = {
  readonly encoding: Parameters<UpdateParts['rebuild']>[0]
  readonly bytes: Uint8Array
  readonly base: Uint8Array | undefined
  readonly bounds: Parameters<UpdateParts['rebuild']>[3]
}
export type RebuildAnswer =
  | { readonly bytes: Uint8Array }
  | { readonly code: ArtifactErrorCode | undefined; readonly text: string }

/** Of what a thread drops at once, as little is kept as goes: a decoder makes a small object for every few numbers, and a box has little memory. */
const youngMb = 1
/** A thread that takes longer is ended. */
const timeoutMs = 300_000

export const rebuildInThread: UpdateParts['rebuild'] = async (
  encoding,
  bytes,
  base,
  bounds,
  signal,
) => {
  signal.throwIfAborted()
  const workerData: RebuildOrder = { encoding, bytes, base, bounds }
  const worker = new Worker(new URL('./rebuild-worker.ts', import.meta.url), {
    workerData,
    resourceLimits: { maxYoungGenerationSizeMb: youngMb },
  })
  const ended = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
  const { promise, resolve, reject } = Promise.withResolvers<RebuildAnswer>()
  const stop = () => reject(ended.reason)
  ended.addEventListener('abort', stop, { once: true })
  worker.once('message', resolve)
  worker.once('error', reject)
  worker.once('exit', (code) => reject(new Error(`the thread ended with ${code}`)))
  try {
    const answer = await promise
    if ('bytes' in answer) return answer.bytes
    if (answer.code) throw new ArtifactError(answer.code, answer.text)
    throw new Error(answer.text)
  } finally {
    ended.removeEventListener('abort', stop)
    await worker.terminate()
  }
}
