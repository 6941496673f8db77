/**
 * The supervisor's hold on one media process: starts it, listens for its heartbeat, kills it when it
 * hangs, and starts it again. Native code may do anything at any moment (a decoder that never comes
 * back from a stalled camera has been seen); here it costs a few seconds of one group of streams.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LiveRequest, StreamConfig } from '@edgeloop/protocol'
import { Backoff, type BackoffOptions } from '../streams/backoff.ts'
import type { FromMedia, Start, ToMedia } from './protocol.ts'

export type MediaHostOptions = {
  /** Program of the media process. */
  readonly module: string | URL
  /** Made anew for every start of the process. */
  readonly start: () => Start
  /** Most cameras it may hold: each parks one thread of libuv's pool while it waits for packets. */
  readonly streamsMax: number
  /** Silence after which it is killed. */
  readonly heartbeatTimeoutMs: number
  /** Silence it is granted at its start, when native libraries are loaded from a slow disk. */
  readonly startTimeoutMs: number
  readonly backoff: BackoffOptions
  readonly onMessage: (message: FromMedia) => void
  /** It has ended without having been asked to. */
  readonly onDown: (down: MediaDown) => void
  /** It has worked for `backoff.resetAfterMs` since its start. */
  readonly onSteady: () => void
  readonly monotonicMs: () => number
  readonly random: () => number
  readonly signal: AbortSignal
}

export type MediaDown = {
  readonly code: 'mediaHung' | 'mediaCrashed'
  /** What happened and what is done about it, for people. */
  readonly text: string
}

/** Threads of libuv's pool that are not for cameras: files, DNS, scaling. */
const spareThreads = 8
/** How long a process may take to close its cameras and report its last tracks. */
const stopTimeoutMs = 2_000
const checkIntervalMs = 500

export class MediaHost {
  readonly #options: MediaHostOptions
  readonly #backoff: Backoff
  #child: ChildProcess | undefined
  #streams: readonly StreamConfig[] = []
  #live: LiveRequest | undefined
  /** Settled when `signal` has aborted and the process is gone. */
  readonly done: Promise<void>

  constructor(options: MediaHostOptions) {
    this.#options = options
    this.#backoff = new Backoff(options.backoff, options.random)
    this.done = this.#keepRunning()
  }

  /** Undefined while no process runs. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  setStreams(streams: readonly StreamConfig[]): void {
    this.#streams = streams
    this.send({ kind: 'streams', streams })
  }

  setLive(request: LiveRequest): void {
    this.#live = request
    this.send({ kind: 'live', request })
  }

  /** Sends to the process where one runs; what it must know is told to the next one too. */
  send(message: ToMedia): void {
    if (!this.#child?.connected) return
    // A failed write means that the process has gone, which its exit says as well.
    this.#child.send(message, () => {})
  }

  async #keepRunning(): Promise<void> {
    const { signal, monotonicMs } = this.#options
    while (!signal.aborted) {
      const startedMs = monotonicMs()
      const down = await this.#runOnce()
      if (signal.aborted) return
      const waitMs = this.#backoff.next(monotonicMs() - startedMs)
      const text = `${down.text}; starting it again in ${(waitMs / 1000).toFixed(1)} s`
      this.#options.onDown({ code: down.code, text })
      await sleep(waitMs, undefined, { signal }).catch(() => {})
    }
  }

  /** One life of the process. */
  async #runOnce(): Promise<MediaDown> {
    const { signal, onMessage, onSteady, monotonicMs, backoff } = this.#options
    const { heartbeatTimeoutMs, startTimeoutMs } = this.#options
    const child = this.#fork()
    this.#child = child
    const startedMs = monotonicMs()
    let heardMs = startedMs + startTimeoutMs - heartbeatTimeoutMs
    let checkedMs = startedMs
    let ready = false
    let hung = false
    let steady = false
    child.on('message', (message: FromMedia) => {
      heardMs = Math.max(heardMs, monotonicMs())
      if (message.kind === 'ready') {
        heardMs = monotonicMs()
        ready = true
      }
      if (message.kind !== 'heartbeat') onMessage(message)
    })
    const watchdog = setInterval(() => {
      const nowMs = monotonicMs()
      // This process has itself been asleep: what was sent meanwhile has not been read yet.
      if (nowMs - checkedMs > checkIntervalMs + heartbeatTimeoutMs / 2) heardMs = nowMs
      checkedMs = nowMs
      if (nowMs - heardMs > heartbeatTimeoutMs) {
        hung = true
        killGroup(child)
      } else if (!steady && nowMs - startedMs > backoff.resetAfterMs) {
        steady = true
        onSteady()
      }
    }, checkIntervalMs)
    let stopping: NodeJS.Timeout | undefined
    const stop = (): void => {
      this.send({ kind: 'stop' })
      stopping = setTimeout(() => killGroup(child), stopTimeoutMs)
    }
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    this.send(this.#options.start())
    this.send({ kind: 'streams', streams: this.#streams })
    if (this.#live) this.send({ kind: 'live', request: this.#live })
    const ended = await endOf(child)
    clearInterval(watchdog)
    clearTimeout(stopping)
    signal.removeEventListener('abort', stop)
    this.#child = undefined
    // Decoders it had started as processes of their own must not outlive it.
    killGroup(child)
    const name = `Media process ${child.pid ?? ''}`.trim()
    if (!hung) return { code: 'mediaCrashed', text: `${name} ended with ${ended}` }
    const what = ready
      ? `gave no heartbeat for ${heartbeatTimeoutMs} ms`
      : `was not ready ${startTimeoutMs} ms after its start`
    return { code: 'mediaHung', text: `${name} ${what}` }
  }

  #fork(): ChildProcess {
    return fork(this.#options.module, {
      // A process group of its own: Ctrl-C in a terminal is for the supervisor, and a kill reaches
      // the decoders that run as processes.
      detached: true,
      serialization: 'advanced',
      // Frames leave no garbage on the JavaScript heap; small semi-spaces save memory.
      execArgv: ['--max-semi-space-size=2'],
      env: {
        ...process.env,
        UV_THREADPOOL_SIZE: String(this.#options.streamsMax + spareThreads),
        // glibc otherwise keeps up to eight heaps per core for these threads.
        MALLOC_ARENA_MAX: '2',
      },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
  }
}

/** Settles with how the process ended. */
function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(`the error: ${error.message}`))
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
  })
}

/** Kills the process and all that it started. */
function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    // Nobody is left in the group.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
