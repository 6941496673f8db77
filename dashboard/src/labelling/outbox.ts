/**
 * Sends answers in the background, in the order in which they were given, until the hub has said of each what came
 * of it. An answer carries a number of its own, so that one that is sent twice is kept once. What the hub does not
 * take stays here, with its reason, until somebody says what shall become of it.
 */
import {
  CallFailed,
  type LabelAnswer,
  type LabelOutcomes,
  labelAnswersMax,
} from '@edgeloop/protocol'
import type { AnswerStore, WaitingAnswer } from './answer-store.ts'

/** Answers that wait at most; beyond that frames are not answered until the hub is back. */
export const waitingMax = 2000
/** Of one request, in characters of JSON. */
const requestLengthMax = 4_000_000
const retryMs = { first: 1000, last: 30_000 }

export type Outcome = LabelOutcomes['outcomes'][number]

export type OutboxState = {
  /** Own answers that the hub has not taken yet, those in trouble not among them. */
  readonly unsent: number
  readonly troubled: readonly WaitingAnswer[]
  /** Answers of other people that wait in this browser. */
  readonly ofOthers: number
  /** Why nothing is sent now, where it should. */
  readonly why?: string
  /** They must sign in, or may not answer: trying again is of no use. */
  readonly stopped?: 'signedOut' | 'forbidden'
  /** False where the browser has no room: what is unsent is lost with this page. */
  readonly durable: boolean
}

type Parts = {
  readonly user: string
  readonly store: AnswerStore
  readonly post: (
    queue: string,
    answers: readonly LabelAnswer[],
    signal: AbortSignal,
  ) => Promise<LabelOutcomes>
  /** Ends early when the signal is aborted. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>
  readonly now: () => number
  readonly random: () => number
  /** Runs in one tab at a time, where the browser can tell them apart. */
  readonly alone: (act: () => Promise<void>, signal: AbortSignal) => Promise<void>
  /** Tells other tabs that something changed. */
  readonly announce: () => void
}

export class Outbox {
  readonly #parts: Parts
  readonly #listeners = new Set<() => void>()
  readonly #heard = new Set<(answer: LabelAnswer, outcome: Outcome) => void>()
  /** What the store had no room for. */
  #unkept: WaitingAnswer[] = []
  /** On its way to the disk. */
  #arriving = 0
  /** On their way to the hub now. */
  #inFlight: ReadonlySet<string> = new Set()
  #state: OutboxState = { unsent: 0, troubled: [], ofOthers: 0, durable: true }
  #tasks: ReadonlySet<number> = new Set()
  #nudged: (() => void) | undefined

  constructor(parts: Parts) {
    this.#parts = parts
  }

  get state(): OutboxState {
    return this.#state
  }

  /** Called whenever the state is another; gives the way to end it. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Called with what the hub said of an answer that this page sent; gives the way to end it. */
  onOutcome(listener: (answer: LabelAnswer, outcome: Outcome) => void): () => void {
    this.#heard.add(listener)
    return () => void this.#heard.delete(listener)
  }

  /** Whether there is room for another answer. */
  get hasRoom(): boolean {
    return this.#state.unsent + this.#state.troubled.length < waitingMax
  }

  /** Own tasks with an answer that the hub has not settled. */
  waitingTasks(): ReadonlySet<number> {
    return this.#tasks
  }

  /** Takes an answer; when this ends, it is on the disk, or the state says that it is not. */
  async put(queue: string, answer: LabelAnswer): Promise<void> {
    const waiting = { user: this.#parts.user, queue, answer, at: this.#parts.now() }
    this.#arriving++
    this.#set({ unsent: this.#state.unsent + 1 })
    try {
      await this.#parts.store.put(waiting)
    } catch {
      this.#unkept = [...this.#unkept, waiting]
    }
    this.#arriving--
    await this.#changed()
    this.nudge()
  }

  /**
   * Takes an answer back that was not sent yet.
   * @returns false where the hub has it, or will have it in a moment
   */
  async withdraw(answerId: string): Promise<boolean> {
    if (this.#inFlight.has(answerId)) return false
    const left = this.#unkept.filter(({ answer }) => answer.answerId !== answerId)
    const wasUnkept = left.length < this.#unkept.length
    this.#unkept = left
    const removed = await this.#parts.store.remove(answerId).catch(() => false)
    await this.#changed()
    return removed || wasUnkept
  }

  /** An answer in trouble is given up. */
  async discard(answerId: string): Promise<void> {
    await this.withdraw(answerId)
  }

  /** An answer in trouble is sent once more, for the task as it is now: it takes the place of what is there. */
  async insist(answerId: string, revision: number): Promise<void> {
    const waiting = this.#state.troubled.find(({ answer }) => answer.answerId === answerId)
    if (!waiting) return
    const { trouble: _, ...rest } = waiting
    await this.#parts.store.put({ ...rest, answer: { ...rest.answer, revision, again: true } })
    await this.#changed()
    this.nudge()
  }

  /** Another tab changed the store. */
  async refresh(): Promise<void> {
    await this.#read()
    this.nudge()
  }

  /** Does not wait for the time of the next try. */
  nudge(): void {
    this.#nudged?.()
  }

  /** Sends until it is told to stop. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#read()
    await this.#parts.alone(() => this.#send(signal), signal)
  }

  async #send(signal: AbortSignal): Promise<void> {
    let failures = 0
    while (!signal.aborted) {
      const batch = await this.#nextBatch(failures)
      if (batch.length === 0) {
        failures = 0
        await this.#sleep(retryMs.last, signal)
        continue
      }
      try {
        await this.#sendBatch(batch, signal)
        failures = 0
      } catch (error) {
        if (signal.aborted) return
        failures++
        await this.#failed(error, batch, failures, signal)
      }
    }
  }

  /** Answers to one queue, oldest first; after a refusal of several one at a time, to find the one it was about. */
  async #nextBatch(failures: number): Promise<readonly WaitingAnswer[]> {
    const waiting = await this.#own()
    const [first] = waiting
    if (!first) return []
    const batch: WaitingAnswer[] = []
    let length = 0
    for (const one of waiting) {
      length += JSON.stringify(one.answer).length
      const isFull = batch.length >= (failures > 0 ? 1 : labelAnswersMax)
      if (one.queue !== first.queue || isFull || (batch.length > 0 && length > requestLengthMax))
        break
      batch.push(one)
    }
    return batch
  }

  async #sendBatch(batch: readonly WaitingAnswer[], signal: AbortSignal): Promise<void> {
    const answers = batch.map(({ answer }) => answer)
    this.#inFlight = new Set(answers.map(({ answerId }) => answerId))
    try {
      const { outcomes } = await this.#parts.post(batch[0]?.queue ?? '', answers, signal)
      const byId = new Map(outcomes.map((outcome) => [outcome.answerId, outcome]))
      for (const one of batch) {
        const outcome = byId.get(one.answer.answerId)
        if (outcome) await this.#settle(one, outcome)
      }
    } finally {
      this.#inFlight = new Set()
    }
    this.#set({ why: undefined, stopped: undefined })
    await this.#changed()
  }

  async #settle(waiting: WaitingAnswer, outcome: Outcome): Promise<void> {
    const { answer } = waiting
    if (outcome.outcome === 'kept') {
      await this.#forget(answer.answerId)
    } else {
      await this.#trouble(waiting, {
        kind: outcome.outcome,
        reason: outcome.reason ?? 'Somebody else has answered meanwhile',
      })
    }
    for (const heard of this.#heard) heard(answer, outcome)
  }

  async #forget(answerId: string): Promise<void> {
    this.#unkept = this.#unkept.filter(({ answer }) => answer.answerId !== answerId)
    await this.#parts.store.remove(answerId)
  }

  async #trouble(waiting: WaitingAnswer, trouble: WaitingAnswer['trouble'] & {}): Promise<void> {
    const { answerId } = waiting.answer
    try {
      await this.#parts.store.put({ ...waiting, trouble })
      this.#unkept = this.#unkept.filter(({ answer }) => answer.answerId !== answerId)
    } catch {
      this.#unkept = this.#unkept.map((one) =>
        one.answer.answerId === answerId ? { ...one, trouble } : one,
      )
    }
  }

  async #failed(
    error: unknown,
    batch: readonly WaitingAnswer[],
    failures: number,
    signal: AbortSignal,
  ): Promise<void> {
    const status = error instanceof CallFailed ? error.status : 0
    const why = error instanceof Error ? error.message : String(error)
    const [only] = batch
    const isTheirs = status === 400 || status === 404 || status === 413 || status === 422
    if (isTheirs && only && batch.length === 1) {
      await this.#trouble(only, { kind: 'refused', reason: why })
      const { answerId } = only.answer
      for (const heard of this.#heard)
        heard(only.answer, { answerId, outcome: 'refused', reason: why })
      await this.#changed()
      return
    }
    if (isTheirs) return
    const stopped = status === 401 ? 'signedOut' : status === 403 ? 'forbidden' : undefined
    this.#set({ why, stopped })
    const most = Math.min(retryMs.last, retryMs.first * 2 ** Math.min(10, failures - 1))
    await this.#sleep(most * (0.5 + this.#parts.random() / 2), signal)
  }

  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    const awake = new AbortController()
    this.#nudged = () => awake.abort()
    try {
      await this.#parts.wait(ms, AbortSignal.any([signal, awake.signal]))
    } finally {
      this.#nudged = undefined
    }
  }

  /** Own answers that are to be sent, oldest first. */
  async #own(): Promise<readonly WaitingAnswer[]> {
    return (await this.#all()).filter(({ user, trouble }) => user === this.#parts.user && !trouble)
  }

  async #all(): Promise<readonly WaitingAnswer[]> {
    const kept = await this.#parts.store.list().catch(() => [])
    return [...kept, ...this.#unkept]
  }

  async #changed(): Promise<void> {
    await this.#read()
    this.#parts.announce()
  }

  async #read(): Promise<void> {
    const all = await this.#all()
    const own = all.filter(({ user }) => user === this.#parts.user)
    this.#tasks = new Set(own.map(({ answer }) => answer.taskId))
    this.#set({
      unsent: own.filter(({ trouble }) => !trouble).length + this.#arriving,
      troubled: own.filter(({ trouble }) => trouble),
      ofOthers: all.length - own.length,
      durable: this.#unkept.length === 0,
    })
  }

  #set(change: { [K in keyof OutboxState]?: OutboxState[K] | undefined }): void {
    const next = { ...this.#state, ...change } as OutboxState
    if (JSON.stringify(next) === JSON.stringify(this.#state)) return
    this.#state = next
    for (const listener of this.#listeners) listener()
  }
}
