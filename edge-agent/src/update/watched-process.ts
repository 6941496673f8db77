/**
 * A process of ours that runs a model nobody has trusted with frames yet: watched from outside, because from inside
 * nothing can be promised once native code runs. Silence and memory have a limit, and whoever goes beyond is killed.
 * (`ulimit -v` does not serve: ONNX Runtime reserves far more addresses than it uses.)
 */
import { type ChildProcess, fork } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { setPriority } from 'node:os'

export type WatchOptions<Out> = {
  readonly module: string | URL
  /** Resident memory beyond which it is killed, in bytes. Watched where there is /proc. */
  readonly memoryBytesMax: number
  /** Larger gives way to others; 0 is as everybody. */
  readonly niceness: number
  readonly onMessage: (message: Out) => void
}

export type Ended = {
  readonly why: 'exit' | 'memory' | 'silence' | 'stopped'
  /** How, for people: `exit code 1`, `SIGSEGV`. */
  readonly how: string
}

export interface WatchedProcess<In extends object> {
  send(message: In): void
  /** It may be silent for so long from now on; undefined: as long as it likes. */
  allow(silenceMs: number | undefined): void
  /** Ends it; it is then `stopped`. */
  stop(): void
  /** Highest resident memory so far, bytes; 0 where nothing tells it. */
  readonly peakBytes: number
  readonly ended: Promise<Ended>
}

/** How often memory is looked at. A process can take some 100 MB within that time. */
const memoryIntervalMs = 50

export function watchProcess<In extends object, Out>(
  options: WatchOptions<Out>,
): WatchedProcess<In> {
  const child = fork(options.module, {
    serialization: 'advanced',
    execArgv: ['--max-semi-space-size=2'],
    env: { ...process.env, MALLOC_ARENA_MAX: '2' },
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  let why: Ended['why'] = 'exit'
  let peakBytes = 0
  let silence: NodeJS.Timeout | undefined
  const kill = (reason: Ended['why']): void => {
    if (why === 'exit') why = reason
    child.kill('SIGKILL')
  }
  giveWay(child, options.niceness)
  const memory = setInterval(() => {
    peakBytes = Math.max(peakBytes, peakOf(child))
    if (peakBytes > options.memoryBytesMax) kill('memory')
  }, memoryIntervalMs)
  child.on('message', (message) => {
    silence?.refresh()
    // What it says on its way out is too late.
    if (why === 'exit') options.onMessage(message as Out)
  })
  const ended = new Promise<Ended>((resolve) => {
    child.once('error', (error) => resolve({ why, how: `the error: ${error.message}` }))
    child.once('exit', (code, signal) => resolve({ why, how: signal ?? `exit code ${code}` }))
  }).finally(() => {
    clearInterval(memory)
    clearTimeout(silence)
  })
  return {
    // A failed write means that it has gone, which its exit says as well.
    send: (message) => void (child.connected && child.send(message, () => {})),
    allow(silenceMs) {
      clearTimeout(silence)
      silence = silenceMs === undefined ? undefined : setTimeout(() => kill('silence'), silenceMs)
    },
    stop: () => kill('stopped'),
    get peakBytes() {
      return peakBytes
    },
    ended,
  }
}

/** When memory runs out on the box, this is who goes first. */
function giveWay({ pid }: ChildProcess, niceness: number): void {
  if (pid === undefined) return
  try {
    if (niceness > 0) setPriority(pid, niceness)
    writeFileSync(`/proc/${pid}/oom_score_adj`, '1000')
  } catch {
    // It has gone already, or this is no Linux.
  }
}

/** The kernel keeps the highest value itself, so that nothing between two looks is missed. */
function peakOf({ pid }: ChildProcess): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}
