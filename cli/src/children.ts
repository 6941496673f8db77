/**
 * Runs the hub and the agent as child processes of `up`: started with an IPC channel (whose end tells
 * them that we are gone), restarted when they end by themselves, stopped within a bound.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Failure } from './failure.ts'

const main = fileURLToPath(new URL('main.ts', import.meta.url))

/** How long a child may take to end after SIGTERM; then it is killed. */
const stopTimeoutMs = 4000
const restartMinMs = 1000
const restartMaxMs = 30_000

/** What the hub tells `up` once it listens. */
export type HubReady = {
  readonly kind: 'ready'
  readonly url: string
  readonly signInUrl: string
  readonly deviceUrl: string
  readonly mqttUrl: string
}

export type ChildOptions = {
  /** Words after `edgeloop`. */
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Flags of Node itself. */
  readonly nodeFlags?: readonly string[]
  readonly signal: AbortSignal
}

/** Starts `edgeloop ARGS`; what it prints goes to our standard error. */
export function startChild({
  args,
  env,
  nodeFlags = [],
}: Omit<ChildOptions, 'signal'>): ChildProcess {
  return spawn(process.execPath, [...nodeFlags, main, ...args], {
    stdio: ['ignore', 2, 2, 'ipc'],
    env: { ...process.env, ...env },
  })
}

/**
 * Waits for the hub's word that it listens.
 * @throws {Failure} when the child ends before that; it has printed why
 */
export async function untilReady(child: ChildProcess, signal: AbortSignal): Promise<HubReady> {
  const ended = new AbortController()
  child.once('exit', () => ended.abort())
  try {
    const [ready] = await once(child, 'message', {
      signal: AbortSignal.any([signal, ended.signal]),
    })
    return ready as HubReady
  } catch (cause) {
    if (signal.aborted) throw cause
    throw new Failure('Cannot start: the hub ended (its reason is above)', undefined, { cause })
  }
}

/**
 * Keeps a child running until the signal: started again 1 s after it ended by itself, then after 2, 4,
 * … 30 s; a child that ran for a minute starts over at 1 s.
 * @param first a child that runs already
 */
export async function keepRunning(
  name: string,
  options: ChildOptions,
  first?: ChildProcess,
): Promise<void> {
  let waitMs = restartMinMs
  let child = first
  while (!options.signal.aborted) {
    const startedAt = performance.now()
    child ??= startChild(options)
    const code = await untilEnd(child, options.signal)
    child = undefined
    if (options.signal.aborted) return
    if (performance.now() - startedAt > 60_000) waitMs = restartMinMs
    process.stderr.write(
      `edgeloop: the ${name} ended (${code}); starting it again in ${waitMs / 1000} s\n`,
    )
    await sleep(waitMs, undefined, { signal: options.signal }).catch(() => undefined)
    waitMs = Math.min(restartMaxMs, waitMs * 2)
  }
}

/** Waits for the child's end; on the signal asks it to stop, and kills it where it does not. */
export async function untilEnd(child: ChildProcess, signal: AbortSignal): Promise<string> {
  if (child.exitCode !== null || child.signalCode !== null)
    return `exit code ${child.exitCode ?? child.signalCode}`
  const stop = (): void => {
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs)
    child.once('exit', () => clearTimeout(timer))
  }
  if (signal.aborted) stop()
  else signal.addEventListener('abort', stop, { once: true })
  const [code, by] = await once(child, 'exit')
  signal.removeEventListener('abort', stop)
  return by === null ? `exit code ${code}` : String(by)
}
