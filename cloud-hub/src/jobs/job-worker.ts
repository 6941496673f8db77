/**
 * Works on some kinds of the queue, one job at a time: takes one, lets its kind do it, says how far it is, ends it when
 * somebody asks. When the hub closes, what runs goes back into the queue.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Job } from '@edgeloop/protocol'
import type { JobQueue, TakenJob } from './jobs.ts'

/** How often a worker says that it lives, and hears that it should end. */
const reportIntervalMs = 1000
/** How often the queue is looked into without a reason: another hub may have died. */
const lookIntervalMs = 10_000

export type JobProgress = (progress: number, step: string) => void

/** Why a job is to end before it is done; the reason of the signal that its act is given. */
export type EndReason = 'cancelled' | 'lost' | 'closing'

/**
 * Does one kind of job.
 * @param signal aborts with an `EndReason`
 * @param kept says that what was done so far survives the death of this hub
 * @throws {Error} with what could not be done and why
 */
export type JobAct = (
  job: TakenJob,
  progress: JobProgress,
  signal: AbortSignal,
  kept: () => Promise<void>,
) => Promise<void>

export type JobActs = { readonly [K in Job['kind']]?: JobAct }

export type JobWorker = AsyncDisposable & {
  /** Something was queued. */
  wake(): void
}

export function openJobWorker(deps: {
  queue: JobQueue
  /** The kinds it works on; jobs of other kinds are left to other workers. */
  acts: JobActs
  failed: (error: unknown) => void
}): JobWorker {
  const { queue, acts, failed } = deps
  const worker = randomUUID()
  const kinds = Object.keys(acts) as Job['kind'][]
  const closing = new AbortController()
  let woken = new AbortController()

  async function loop(): Promise<void> {
    while (!closing.signal.aborted) {
      woken = new AbortController()
      const taken = await queue.take(worker, kinds).catch((error) => void failed(error))
      if (taken) await work(taken).catch(failed)
      else {
        const either = AbortSignal.any([closing.signal, woken.signal])
        await sleep(lookIntervalMs, undefined, { signal: either, ref: false }).catch(() => {})
      }
    }
  }

  async function work(taken: TakenJob): Promise<void> {
    const { jobId, kind } = taken.job
    const ending = new AbortController()
    let at = { progress: 0, step: '' }
    let why: 'cancelled' | 'lost' | undefined
    let reporting = Promise.resolve()
    const beat = setInterval(() => {
      reporting = reporting.then(async () => {
        const word = await queue.report(jobId, worker, at)
        if (word === 'go' || why) return
        why = word
        ending.abort(word)
      }, failed)
    }, reportIntervalMs)
    const signal = AbortSignal.any([ending.signal, closing.signal])
    let error: unknown
    try {
      const progress: JobProgress = (share, step) => {
        at = { progress: share, step }
      }
      await acts[kind]?.(taken, progress, signal, () => queue.kept(jobId, worker))
    } catch (cause) {
      error = cause
    } finally {
      clearInterval(beat)
      await reporting.catch(failed)
    }
    if (why === 'lost') return
    if (error === undefined) return await queue.finish(jobId, worker, { state: 'done' })
    if (why === 'cancelled') return await queue.finish(jobId, worker, { state: 'cancelled' })
    if (closing.signal.aborted) return await queue.release(jobId, worker)
    const text = error instanceof Error ? error.message : String(error)
    await queue.finish(jobId, worker, { state: 'failed', error: text })
  }

  const running = loop()
  return {
    wake: () => woken.abort(),
    async [Symbol.asyncDispose]() {
      closing.abort('closing' satisfies EndReason)
      await running
    },
  }
}
