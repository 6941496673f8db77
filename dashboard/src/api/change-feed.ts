/**
 * One stream of changes per tab, kept alive: it resumes after the last change it saw, notices a dead
 * connection by its missing heartbeats, backs off with jitter, rests while the tab is hidden (so many
 * tabs do not use up a browser's connections) and says honestly what state it is in.
 */
import type { Change } from '@edgeloop/protocol'
import { type SseEvent, sseParser } from './sse.ts'

/**
 * `live`: changes arrive. `reconnecting`: they have not since `since`. `resting`: the tab is hidden.
 * Times are ms since the epoch; `dataAt` is when something last arrived, undefined before that.
 */
export type FeedState = {
  readonly kind: 'connecting' | 'live' | 'reconnecting' | 'resting'
  readonly since: number
  readonly dataAt: number | undefined
}

export type ChangeFeedOptions = {
  readonly url: string
  readonly onChange: (change: Change) => void
  /** What is on screen may miss changes: everything must be fetched again. */
  readonly onReset: () => void
  readonly onSignedOut: () => void
  readonly fetch?: typeof fetch
  readonly now?: () => number
  readonly random?: () => number
  readonly signal: AbortSignal
}

/** Heartbeats come every 15 s; after two missed ones the connection counts as dead. */
export const silenceMsMax = 35_000
export const backoffMsMin = 1000
export const backoffMsMax = 30_000
/** A hidden tab lets go of its connection after this long; the hub replays up to 5 minutes. */
export const restAfterMs = 60_000

/** How long to wait before the next attempt: doubling, capped, somewhere in the upper half. */
export function backoffMs(attempt: number, random: () => number): number {
  const whole = Math.min(backoffMsMax, backoffMsMin * 2 ** Math.min(attempt, 10))
  return whole / 2 + (whole / 2) * random()
}

/** True where `id` comes after `last` of the same epoch; ids look like `epoch-sequence`. */
export function isNewer(id: string, last: string): boolean {
  const [epoch, sequence] = splitId(id)
  const [lastEpoch, lastSequence] = splitId(last)
  return epoch !== lastEpoch || !(sequence <= lastSequence)
}

function splitId(id: string): readonly [string, number] {
  const dash = id.lastIndexOf('-')
  return [id.slice(0, dash), Number(id.slice(dash + 1))]
}

export class ChangeFeed {
  readonly #options: ChangeFeedOptions
  readonly #watchers = new Set<() => void>()
  #state: FeedState
  #lastId = ''
  #visible = true
  #wake: (() => void) | undefined
  #connection: AbortController | undefined
  #restTimer: ReturnType<typeof setTimeout> | undefined

  constructor(options: ChangeFeedOptions) {
    this.#options = options
    this.#state = { kind: 'connecting', since: this.#now(), dataAt: undefined }
  }

  /** For `useSyncExternalStore`. */
  readonly state = (): FeedState => this.#state
  readonly watch = (watcher: () => void): (() => void) => {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  /** Runs until the signal aborts or the session has ended. Never throws. */
  async run(): Promise<void> {
    const { signal } = this.#options
    let attempt = 0
    while (!signal.aborted) {
      if (!this.#visible && this.#state.kind === 'resting') await this.#pause(undefined)
      if (signal.aborted) return
      const heard = await this.#connect()
      if (heard === 'signedOut') return this.#options.onSignedOut()
      if (signal.aborted) return
      if (this.#state.kind === 'resting') continue
      attempt = heard === 'something' ? 0 : attempt + 1
      if (this.#state.kind !== 'connecting' || attempt > 1) this.#say('reconnecting')
      await this.#pause(backoffMs(attempt, this.#options.random ?? Math.random))
    }
  }

  /** Tells the feed whether anybody can see the page, and that the network may be back. */
  setVisible(visible: boolean): void {
    this.#visible = visible
    clearTimeout(this.#restTimer)
    if (visible) {
      if (this.#state.kind === 'resting') this.#say('reconnecting')
      this.#wake?.()
      return
    }
    this.#restTimer = setTimeout(() => {
      this.#say('resting')
      this.#connection?.abort()
    }, restAfterMs)
  }

  /** Tries again at once, if it is waiting to. */
  readonly retryNow = (): void => this.#wake?.()

  async #connect(): Promise<'something' | 'nothing' | 'signedOut'> {
    const { signal, url } = this.#options
    const connection = new AbortController()
    this.#connection = connection
    const either = AbortSignal.any([signal, connection.signal])
    let heard: 'something' | 'nothing' = 'nothing'
    let watchdog = setTimeout(() => connection.abort(), silenceMsMax)
    try {
      const reply = await (this.#options.fetch ?? fetch)(url, {
        headers: {
          accept: 'text/event-stream',
          ...(this.#lastId ? { 'last-event-id': this.#lastId } : {}),
        },
        cache: 'no-store',
        credentials: 'same-origin',
        signal: either,
      })
      if (reply.status === 401) return 'signedOut'
      if (!reply.ok || !reply.body) return 'nothing'
      const firstTime = this.#lastId === ''
      const parse = sseParser()
      this.#say('live')
      // What was fetched before this connection stood may already be out of date.
      if (firstTime) this.#options.onReset()
      const text = new TextDecoder()
      const reader = reply.body.getReader()
      for (;;) {
        const { value, done } = await reader.read()
        if (done) return heard
        heard = 'something'
        clearTimeout(watchdog)
        watchdog = setTimeout(() => connection.abort(), silenceMsMax)
        this.#state = { ...this.#state, dataAt: this.#now() }
        for (const event of parse(text.decode(value, { stream: true }))) this.#take(event)
      }
    } catch {
      // Whatever cut the connection, the answer is the same: wait, then resume after the last id.
      return heard
    } finally {
      clearTimeout(watchdog)
      connection.abort()
    }
  }

  #take(event: SseEvent): void {
    if (event.name === 'reset') {
      this.#lastId = event.id
      this.#options.onReset()
      return
    }
    if (event.id) {
      if (this.#lastId && !isNewer(event.id, this.#lastId)) return
      this.#lastId = event.id
    }
    if (event.data) this.#options.onChange(JSON.parse(event.data) as Change)
  }

  #say(kind: FeedState['kind']): void {
    if (kind === this.#state.kind) return
    this.#state = { kind, since: this.#now(), dataAt: this.#state.dataAt }
    for (const watcher of this.#watchers) watcher()
  }

  #now(): number {
    return (this.#options.now ?? Date.now)()
  }

  /** Waits `ms` (for ever where undefined), or until woken or aborted. */
  #pause(ms: number | undefined): Promise<void> {
    const { signal } = this.#options
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(finish, ms)
      const self = this
      function finish() {
        clearTimeout(timer)
        signal.removeEventListener('abort', finish)
        self.#wake = undefined
        resolve()
      }
      this.#wake = finish
      signal.addEventListener('abort', finish)
    })
  }
}
