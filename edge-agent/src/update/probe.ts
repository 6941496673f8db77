/** Tries a candidate in a process of its own; whatever that does, hanging and dying included, becomes an answer. */
import type { Candidate, ProbeReport, Refused } from './model-host.ts'
import type { ProbeNews, ProbeOrder } from './probe-process.ts'
import { watchProcess } from './watched-process.ts'

export type ProbeOptions = {
  /** Another program in place of the probe; for tests. */
  readonly module?: string | URL
  /** Granted on top of what the manifest says before the process counts as hung. */
  readonly slackMs?: number
  readonly signal: AbortSignal
}

/** The kernel, the C library and what else the box has loaded make this much of a difference to where it was published. */
export const memoryFactor = 1.5
/** Processes start and files are read on a busy box with a slow disk. */
const slackMsDefault = 20_000

type Act = Extract<ProbeNews, { kind: 'about' }>['act'] | 'start'
const acts: Readonly<Record<Act, string>> = {
  start: 'before it could be looked at',
  check: 'while its file was checked',
  open: 'while it was opened',
  golden: 'in a run on a golden vector',
  measure: 'in a run that was timed',
}

/**
 * @throws the signal's reason
 */
export async function probeCandidate(
  { source, digest, manifest }: Candidate,
  { module, slackMs = slackMsDefault, signal }: ProbeOptions,
): Promise<ProbeReport> {
  signal.throwIfAborted()
  const { limits, golden } = manifest
  const memoryBytesMax = limits.memoryBytesMax * memoryFactor
  let act: Act = 'start'
  let said: Exclude<ProbeNews, { kind: 'about' }> | undefined
  const child = watchProcess<ProbeOrder, ProbeNews>({
    module: module ?? new URL('./probe-process.ts', import.meta.url),
    memoryBytesMax,
    niceness: 0,
    onMessage: (news) => {
      if (news.kind !== 'about') {
        said = news
        return
      }
      act = news.act
      const limitMs = act === 'open' ? limits.loadMsMax : limits.inferenceMsMax
      child.allow(act === 'check' ? slackMs : limitMs + slackMs)
    },
  })
  child.allow(slackMs)
  const stop = (): void => child.stop()
  signal.addEventListener('abort', stop, { once: true })
  child.send({ source, digest, golden })
  const { why, how } = await child.ended
  signal.removeEventListener('abort', stop)
  signal.throwIfAborted()
  const refuse = (code: Refused['code'], reason: string): Refused => ({
    ok: false,
    code,
    reason: reason.slice(0, 500),
  })
  if (why === 'memory') {
    return refuse(
      'probe-memory',
      `It took more than ${megabytes(memoryBytesMax)} MB ${acts[act]}, ${memoryFactor} times what is signed`,
    )
  }
  if (why === 'silence') return refuse('probe-time', `It did not come back ${acts[act]}`)
  if (!said) return refuse('probe-load', `Its process ended with ${how} ${acts[act]}`)
  if (said.kind === 'refused') return refuse(said.code, said.reason)
  const { loadMs, runsMs } = said
  const inferenceP95Ms = runsMs.toSorted((a, b) => a - b)[Math.ceil(runsMs.length * 0.95) - 1] ?? 0
  if (loadMs > limits.loadMsMax) {
    return refuse(
      'probe-time',
      `Opening it took ${loadMs.toFixed(0)} ms, allowed ${limits.loadMsMax}`,
    )
  }
  if (inferenceP95Ms > limits.inferenceMsMax) {
    return refuse(
      'probe-time',
      `p95 of its inference is ${inferenceP95Ms.toFixed(1)} ms, allowed ${limits.inferenceMsMax}`,
    )
  }
  return { ok: true, memoryBytes: child.peakBytes, loadMs, inferenceP95Ms }
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0)
