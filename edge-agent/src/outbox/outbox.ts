/**
 * The outbox: everything the agent has to say waits here, on disk, until the hub has stored it. The
 * room's door; the work is done in its own thread by `OutboxStore`.
 */
import { Worker } from 'node:worker_threads'
import {
  type BootId,
  batchEntriesMax,
  classOf,
  eventBytesMax,
  eventClasses,
  type NewEvent,
} from '@edgeloop/protocol'
import { type ClassCounts, nothingLost, oneOf, sumOf, totalOf } from './loss.ts'
import type { Arrival, Batch, OutboxFigures, OutboxStoreOptions } from './outbox-store.ts'
import type { OutboxAnswer, OutboxAsk, OutboxCall, OutboxCalls } from './outbox-worker.ts'

export type { ClassCounts } from './loss.ts'
export type { Batch, OutboxFigures } from './outbox-store.ts'

export const outboxBytesMaxDefault = 64 * 1024 * 1024
/** Less than a few batches cannot work: what may have been sent never gives way. */
export const outboxBytesMaxMin = 2 * 1024 * 1024
const reserveBytesDefault = 8 * 1024 * 1024

/** Events wait so long for others to share their commit. */
const commitDelayMs = 10
/** Most events, and most bytes of JSON, of one commit. */
const commitEntriesMax = 500
const commitBytesMax = 256 * 1024
/** JSON waiting for a slow disk; what comes on top of it is turned away and counted as lost. */
const waitingBytesMax = 8 * 1024 * 1024
/** How often a loss that could not be recorded is tried again. */
const settleIntervalMs = 5000

export type OutboxOptions = {
  /** SQLite file; its folder must exist. */
  readonly file: string
  /** This start of the agent. */
  readonly bootId: BootId
  /** Bound of what waits; 64 MB unless said. */
  readonly bytesMax?: number
  /** Space on disk set aside when the outbox is opened; 8 MB unless said. */
  readonly reserveBytes?: number
  /** Now, for loss records and alarms. */
  readonly clock?: () => Date
  /** Told when a damaged file was found at the start, and what could be saved of it. */
  readonly onDamage?: (text: string) => void
  /** Told when the outbox cannot go on: the agent has to be started anew. */
  readonly onFailure?: (error: Error) => void
}

export type Outbox = AsyncDisposable & {
  readonly bootId: BootId
  /** As they were when the last call was answered. */
  readonly figures: OutboxFigures
  /**
   * Records an event. Its number comes back once it is on disk for good; undefined when it could not
   * be recorded, which is counted and reported as a loss. Never rejects: nobody has to wait for it.
   */
  append(event: NewEvent): Promise<number | undefined>
  /** The oldest entries, or undefined when nothing waits; the same again until acknowledged. */
  peekBatch(entriesMax?: number): Promise<Batch | undefined>
  /**
   * Forgets what the hub has stored, for good before the promise resolves. To be awaited before the
   * next `peekBatch()`: at most one batch may be unacknowledged.
   */
  acknowledge(bootId: BootId, through: number): Promise<void>
  /** Resolves when something waits, or `signal` aborts. */
  filled(signal: AbortSignal): Promise<void>
}

/**
 * Opens the outbox; what earlier starts left in it is sent first.
 * @throws {Error} when another agent uses the file or it cannot be made
 */
export async function openOutbox(options: OutboxOptions): Promise<Outbox> {
  const bytesMax = options.bytesMax ?? outboxBytesMaxDefault
  if (bytesMax < outboxBytesMaxMin) {
    throw new Error(
      `Cannot open outbox of ${bytesMax} bytes: at least ${outboxBytesMaxMin} are needed for what is on its way; set outbox.bytesMax higher`,
    )
  }
  const clock = options.clock ?? (() => new Date())
  const workerData: OutboxStoreOptions = {
    file: options.file,
    bootId: options.bootId,
    bytesMax,
    reserveBytes: Math.min(bytesMax, options.reserveBytes ?? reserveBytesDefault),
    at: clock().toISOString(),
  }
  const worker = new Worker(new URL('./outbox-worker.ts', import.meta.url), {
    workerData,
    // What it makes is short-lived: a large young generation would only be memory of the box.
    resourceLimits: { maxYoungGenerationSizeMb: 4 },
  })
  return OutboxThread.open(worker, { ...options, clock })
}

type ThreadOptions = OutboxOptions & { readonly clock: () => Date }
type Waiting = { readonly arrival: Arrival; readonly resolve: (sequence?: number) => void }

/** The caller's side of the thread: gathers events into commits, matches answers to asks. */
class OutboxThread implements Outbox {
  readonly bootId: BootId
  readonly #worker: Worker
  readonly #clock: () => Date
  readonly #options: OutboxOptions
  readonly #asks = new Map<number, PromiseWithResolvers<unknown>>()
  readonly #settling: NodeJS.Timeout
  #figures: OutboxFigures = {
    entries: 0,
    bytes: 0,
    lost: nothingLost,
    unrecorded: nothingLost,
  }
  #number = 0
  #waiting: Waiting[] = []
  #waitingBytes = 0
  #turnedAway = nothingLost
  #commitTimer: NodeJS.Timeout | undefined
  #committing: Promise<void> | undefined
  #filled = Promise.withResolvers<void>()
  #closed: Promise<void> | undefined
  #gone: Error | undefined

  static async open(worker: Worker, options: ThreadOptions): Promise<Outbox> {
    const outbox = new OutboxThread(worker, options)
    const opened = Promise.withResolvers<unknown>()
    outbox.#asks.set(0, opened)
    await opened.promise
    return outbox
  }

  private constructor(worker: Worker, options: ThreadOptions) {
    this.bootId = options.bootId
    this.#worker = worker
    this.#clock = options.clock
    this.#options = options
    worker.on('message', (answer: OutboxAnswer) => this.#onAnswer(answer))
    worker.on('error', (error) => this.#onGone(error as Error))
    worker.on('exit', () => this.#onGone(new Error('Cannot use the outbox: it is closed')))
    this.#settling = setInterval(() => this.#settle(), settleIntervalMs)
    this.#settling.unref()
  }

  get figures(): OutboxFigures {
    return this.#figures
  }

  append(event: NewEvent): Promise<number | undefined> {
    const eventClass = classOf(event.kind)
    const json = JSON.stringify(event)
    const tooMuch =
      json.length * 3 > eventBytesMax && Buffer.byteLength(json) > eventBytesMax - numberBytesMax
    if (tooMuch || this.#waitingBytes + json.length > waitingBytesMax || this.#closed) {
      this.#turnedAway = sumOf(this.#turnedAway, oneOf(eventClass))
      this.#commitSoon()
      return Promise.resolve(undefined)
    }
    const { promise, resolve } = Promise.withResolvers<number | undefined>()
    this.#waiting.push({ arrival: { class: eventClasses.indexOf(eventClass), json }, resolve })
    this.#waitingBytes += json.length
    this.#commitSoon()
    return promise
  }

  peekBatch(entriesMax: number = batchEntriesMax): Promise<Batch | undefined> {
    return this.#ask('peekBatch', { entriesMax })
  }

  async acknowledge(bootId: BootId, through: number): Promise<void> {
    await this.#ask('acknowledge', { bootId, through })
  }

  async filled(signal: AbortSignal): Promise<void> {
    if (this.#figures.entries > 0 || signal.aborted) return
    const aborted = Promise.withResolvers<void>()
    const stop = () => aborted.resolve()
    signal.addEventListener('abort', stop, { once: true })
    await Promise.race([this.#filled.promise, aborted.promise])
    signal.removeEventListener('abort', stop)
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    clearInterval(this.#settling)
    clearTimeout(this.#commitTimer)
    const gone = Promise.withResolvers<void>()
    this.#worker.once('exit', () => gone.resolve())
    if (this.#gone) return
    await this.#committing
    await this.#commit()
    await this.#ask('close', {}).catch(() => {})
    await gone.promise
  }

  #commitSoon(): void {
    if (this.#committing || this.#closed) return
    this.#commitTimer ??= setTimeout(() => {
      this.#commitTimer = undefined
      this.#committing = this.#commit().finally(() => {
        this.#committing = undefined
        // Those who were just told of their number may have appended before this ran.
        if (this.#waiting.length > 0) this.#commitSoon()
      })
    }, commitDelayMs)
  }

  /** Stores what waits, commit by commit, until nothing waits any more. */
  async #commit(): Promise<void> {
    while (this.#waiting.length > 0 || totalOf(this.#turnedAway) > 0) {
      const group = this.#takeGroup()
      const turnedAway = this.#turnedAway
      this.#turnedAway = nothingLost
      const first = await this.#store(group, turnedAway)
      for (const [index, { resolve }] of group.entries()) {
        resolve(first === undefined ? undefined : first + index)
      }
    }
  }

  async #store(group: readonly Waiting[], turnedAway: ClassCounts): Promise<number | undefined> {
    const arrivals = group.map(({ arrival }) => arrival)
    try {
      const { first } = await this.#ask('append', { arrivals, turnedAway })
      return first
    } catch {
      // The worker has failed: a loss that the next start of the agent cannot know of either.
      return undefined
    }
  }

  #takeGroup(): Waiting[] {
    let bytes = 0
    let count = 0
    for (const { arrival } of this.#waiting) {
      bytes += arrival.json.length
      if (count > 0 && (count >= commitEntriesMax || bytes > commitBytesMax)) break
      count += 1
    }
    const group = this.#waiting.splice(0, count)
    for (const { arrival } of group) this.#waitingBytes -= arrival.json.length
    return group
  }

  #settle(): void {
    if (totalOf(this.#figures.unrecorded) > 0) this.#ask('settle', {}).catch(() => {})
  }

  #ask<C extends OutboxCall>(
    call: C,
    what: OutboxCalls[C]['ask'],
  ): Promise<OutboxCalls[C]['answer']> {
    if (this.#gone) return Promise.reject(this.#gone)
    const asked = Promise.withResolvers<unknown>()
    const number = ++this.#number
    this.#asks.set(number, asked)
    const ask = { number, call, at: this.#clock().toISOString(), ...what } as OutboxAsk
    this.#worker.postMessage(ask)
    return asked.promise as Promise<OutboxCalls[C]['answer']>
  }

  #onAnswer({ number, figures, answer, error, damage }: OutboxAnswer): void {
    this.#figures = figures
    if (damage !== undefined) this.#options.onDamage?.(damage)
    if (figures.entries > 0) {
      this.#filled.resolve()
      this.#filled = Promise.withResolvers()
    }
    const asked = this.#asks.get(number)
    this.#asks.delete(number)
    if (error === undefined) asked?.resolve(answer)
    else asked?.reject(new Error(`Cannot use the outbox: ${error}`))
  }

  #onGone(error: Error): void {
    if (this.#gone) return
    this.#gone = error
    clearInterval(this.#settling)
    const asks = [...this.#asks.values()]
    const opened = !this.#asks.has(0)
    this.#asks.clear()
    for (const asked of asks) asked.reject(error)
    if (opened && !this.#closed) this.#options.onFailure?.(error)
  }
}

/** `"sequence":9007199254740991,` in front of the event's own keys. */
const numberBytesMax = 32
