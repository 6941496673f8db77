/** Sums up how the agent does, once per interval, as the health event. */
import { statfs } from 'node:fs/promises'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NewEvent, StreamFigures } from '@edgeloop/protocol'
import { cpuBetween, measureProcesses, type ProcessCosts } from './processes.ts'

export type HealthSources = {
  readonly intervalMs: number
  readonly dataDir: string
  /** Processes that belong to the agent, without their descendants. */
  readonly pids: () => readonly number[]
  /** What waits in the outbox. */
  readonly outbox: () => { readonly entries: number; readonly bytes: number }
  readonly streams: () => readonly StreamFigures[]
  readonly record: (event: NewEvent) => void
  readonly now: () => number
  readonly monotonicMs: () => number
  readonly signal: AbortSignal
}

/** Resolution of the event-loop histogram: what is shorter is not seen. */
const loopResolutionMs = 100

/** Records health events until the signal aborts. */
export async function reportHealth(sources: HealthSources): Promise<void> {
  const { intervalMs, pids, record, now, monotonicMs, signal } = sources
  const loop = monitorEventLoopDelay({ resolution: loopResolutionMs })
  loop.enable()
  let before: ProcessCosts = await measureProcesses(pids())
  let measuredMs = monotonicMs()
  while (!signal.aborted) {
    await sleep(intervalMs, undefined, { signal }).catch(() => {})
    if (signal.aborted) break
    const after = await measureProcesses(pids())
    const elapsedMs = Math.max(1, monotonicMs() - measuredMs)
    measuredMs += elapsedMs
    const { entries, bytes } = sources.outbox()
    record({
      kind: 'health',
      at: new Date(now()).toISOString(),
      intervalMs: Math.round(elapsedMs),
      cpuShare: Math.round((cpuBetween(before, after) / elapsedMs) * 1000) / 1000,
      memoryBytes: after.memoryBytes,
      loopP99Ms: loopP99Ms(loop.percentile(99)),
      outboxEvents: entries,
      outboxBytes: bytes,
      diskFreeBytes: await diskFreeBytes(sources.dataDir),
      streams: [...sources.streams()],
    })
    before = after
    loop.reset()
  }
  loop.disable()
}

/** How late timers were: the histogram holds the whole interval between two of them, in ns. */
function loopP99Ms(nanoseconds: number): number {
  return Math.max(0, Math.round((nanoseconds / 1e6 - loopResolutionMs) * 100) / 100)
}

async function diskFreeBytes(folder: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(folder)
    return bavail * bsize
  } catch {
    return 0
  }
}
