/**
 * One person at one queue: the desk, what is ahead, what is on its way to the hub. Every act changes the desk at
 * once; sending, fetching and prolonging go on behind it, and nothing of them is waited for.
 */
import { CallFailed, type LabelTask, tasksHeldMax, tasksTakenMax } from '@edgeloop/protocol'
import {
  answered,
  answeredEmpty,
  answerOf,
  type Desk,
  type Draft,
  draftOf,
  editsOf,
  emptyDesk,
  frameAt,
  goneTo,
  redone,
  type Step,
  undone,
  type Verdict,
  withDraft,
  withFacts,
  withoutTasks,
  withTasks,
} from './desk.ts'
import { DraftKeeper } from './draft-keeper.ts'
import type { DraftStore } from './draft-store.ts'
import type { Outbox } from './outbox.ts'
import type { AnswerNoted } from './pace.ts'
import { type PictureShelf, wantedAround } from './picture-shelf.ts'

/** Frames that wait for an answer and are here already. */
const keepAhead = 40
/** Well within the ten minutes for which the hub keeps tasks from others. */
const prolongMs = 4 * 60_000
/** How often a queue that had nothing is asked again, where no change is heard of. */
const askAgainMs = 15_000
const retryMs = { first: 1000, last: 20_000 }
const notesMax = 500

export type Supply = {
  readonly kind: 'taking' | 'enough' | 'nothing' | 'away'
  /** Why nothing could be had. */
  readonly why?: string
}

export type SessionState = {
  readonly desk: Desk
  readonly supply: Supply
  readonly notes: readonly AnswerNoted[]
  /** What was done last, for screen readers. */
  readonly said: string
  /** Tasks that were answered in another tab of this browser. */
  readonly elsewhere: ReadonlySet<number>
  /** Another tab has this queue open. */
  readonly otherTab: boolean
  /** What was drawn and not accepted yet outlives this page. */
  readonly draftsKept: boolean
}

/** What tabs of one browser tell each other. */
export type TabNews =
  | { readonly kind: 'outbox' }
  | { readonly kind: 'answered'; readonly queue: string; readonly taskId: number }
  | { readonly kind: 'open' | 'here'; readonly queue: string }

type Parts = {
  readonly queue: string
  readonly label: string
  readonly threshold: number
  readonly outbox: Outbox
  readonly shelf: PictureShelf
  readonly drafts: DraftStore
  /** A task as it is now. */
  readonly showTask: (taskId: number, signal: AbortSignal) => Promise<LabelTask>
  readonly take: (
    wish: { readonly count: number; readonly have: number[] },
    signal: AbortSignal,
  ) => Promise<readonly LabelTask[]>
  readonly tell: (news: TabNews) => void
  readonly now: () => number
  readonly newId: () => string
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>
}

export class LabelSession {
  readonly #parts: Parts
  readonly #listeners = new Set<() => void>()
  /** Answers that were given to the outbox, of each task. */
  readonly #given = new Map<number, string[]>()
  readonly #keeper: DraftKeeper
  /** Answers that are not in the outbox yet: until then their drafts stay. */
  readonly #giving = new Set<number>()
  /** One after the other, so that answers are kept in their order. */
  #sending: Promise<void> = Promise.resolve()
  #lookedSince: number
  #looking = true
  #nudged: (() => void) | undefined
  /** The hub had nothing more when it was asked last. */
  #isDry = false
  #state: SessionState

  constructor(parts: Parts) {
    this.#parts = parts
    this.#lookedSince = parts.now()
    this.#keeper = new DraftKeeper({
      store: parts.drafts,
      draftOf: (taskId) => this.#draftOf(taskId),
      onState: () => this.#set({ draftsKept: this.#keeper.isKept }),
    })
    this.#state = {
      desk: emptyDesk(parts.label, parts.threshold),
      supply: { kind: 'taking' },
      notes: [],
      said: '',
      elsewhere: new Set(),
      otherTab: false,
      draftsKept: true,
    }
  }

  readonly state = (): SessionState => this.#state

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Changes the desk by one of its functions. */
  update(change: (desk: Desk) => Desk, said = ''): void {
    const before = this.#state.desk
    const desk = change(before)
    if (desk === before) return
    this.#setDesk(desk, said)
  }

  /** Puts a task before the others and shows it. */
  show(task: LabelTask): void {
    const { desk } = this.#state
    const next = withTasks(desk, [task])
    const at = next.frames.findIndex((frame) => frame.task.taskId === task.taskId)
    this.#setDesk(goneTo(next, at), '')
  }

  /** Says something of the frame that is looked at. */
  answer(verdict: Verdict, empty = false): void {
    const { outbox, newId, now, queue, tell } = this.#parts
    const { desk } = this.#state
    const frame = frameAt(desk)
    if (!frame) return
    if (!outbox.hasRoom) {
      this.#set({ said: 'Cannot answer: too many answers wait for the hub' })
      return
    }
    const looked = this.#withLooked(desk)
    const answer = { answerId: newId(), verdict }
    const next = (empty ? answeredEmpty : answered)(looked, answer)
    const { taskId } = frame.task
    const now_ = next.frames.find(({ task }) => task.taskId === taskId)
    const notes = [
      ...this.#state.notes,
      {
        at: now(),
        edits: now_ ? editsOf(now_, desk.threshold) : 0,
        lookedMs: now_?.lookedMs ?? 0,
      },
    ].slice(-notesMax)
    this.#state = { ...this.#state, notes: verdict === 'annotated' ? notes : this.#state.notes }
    this.#setDesk(next, `${saidOf[verdict]}. ${sayWhere(next)}`)
    this.#give(taskId, answer.answerId)
    tell({ kind: 'answered', queue, taskId })
    if (this.#isDry && this.#openIds().length === 0) this.#set({ supply: { kind: 'nothing' } })
    this.nudge()
  }

  undo(): void {
    this.#turn(undone(this.#withLooked(this.#state.desk)), 'Taken back')
  }

  redo(): void {
    this.#turn(redone(this.#withLooked(this.#state.desk)), 'Done again')
  }

  #turn({ desk, step }: { desk: Desk; step: Step | undefined }, word: string): void {
    if (!step) {
      this.#set({ said: 'There is nothing to take back or do again' })
      return
    }
    this.#setDesk(desk, `${word}: ${step.word}`)
    if (!step.answer) return
    const { taskId } = step
    const frame = desk.frames.find(({ task }) => task.taskId === taskId)
    if (frame?.answered) this.#give(taskId, frame.answered.answerId)
    else this.#takeBack(taskId)
  }

  /** Gives the answer of a task to the outbox, in place of earlier ones that have not left yet. */
  #give(taskId: number, answerId: string): void {
    const { threshold } = this.#state.desk
    this.#giving.add(taskId)
    this.#sending = this.#sending.then(async () => {
      await this.#withdraw(taskId, answerId)
      const frame = this.#frame(taskId)
      // Taken back meanwhile.
      if (frame?.answered?.answerId !== answerId) return
      const answer = answerOf(frame, threshold)
      if (!answer) return
      this.#given.set(taskId, [...(this.#given.get(taskId) ?? []), answerId])
      await this.#parts.outbox.put(this.#parts.queue, answer)
      this.#giving.delete(taskId)
      this.#keeper.changed(taskId)
    })
  }

  /** What would be lost of a task with this page; while its answer is on the way to the disk, what is answered. */
  #draftOf(taskId: number): Draft | undefined {
    const { desk } = this.#state
    const frame = this.#frame(taskId)
    if (!frame) return undefined
    const isOnTheWay = frame.answered !== undefined && this.#giving.has(taskId)
    return draftOf(desk, isOnTheWay ? { ...frame, answered: undefined } : frame)
  }

  #takeBack(taskId: number): void {
    this.#sending = this.#sending.then(() => this.#withdraw(taskId))
  }

  /** What has left already is replaced by the next answer. */
  async #withdraw(taskId: number, but?: string): Promise<void> {
    const left: string[] = []
    for (const answerId of this.#given.get(taskId) ?? []) {
      if (answerId === but || (await this.#parts.outbox.withdraw(answerId))) continue
      left.push(answerId)
    }
    this.#given.set(taskId, left)
    if (left.length === 0 || this.#frame(taskId)?.again) return
    this.#setDesk(withFacts(this.#state.desk, taskId, { again: true }), this.#state.said)
  }

  #frame(taskId: number) {
    return this.#state.desk.frames.find(({ task }) => task.taskId === taskId)
  }

  /** Another tab said something. */
  heard(news: TabNews): void {
    const { queue, tell } = this.#parts
    if (news.kind === 'outbox' || news.queue !== queue) return
    if (news.kind === 'open') tell({ kind: 'here', queue })
    if (news.kind !== 'answered') {
      this.#set({ otherTab: true })
      return
    }
    const frame = this.#frame(news.taskId)
    if (!frame || frame.answered) return
    const elsewhere = new Set([...this.#state.elsewhere, news.taskId])
    this.#state = { ...this.#state, elsewhere, otherTab: true }
    this.#setDesk(withoutTasks(this.#state.desk, elsewhere), 'A frame was answered in another tab')
  }

  /** Whether somebody is looking: time away counts for no frame. */
  setLooking(looking: boolean): void {
    if (looking === this.#looking) return
    this.#state = { ...this.#state, desk: this.#withLooked(this.#state.desk) }
    this.#looking = looking
  }

  /** Looks for more tasks now. */
  nudge(): void {
    this.#nudged?.()
  }

  /** Keeps tasks ahead, and those that are here from others, until it is told to stop. */
  async run(signal: AbortSignal): Promise<void> {
    const { outbox, now, queue, tell } = this.#parts
    tell({ kind: 'open', queue })
    this.#wantPictures()
    const stop = outbox.onOutcome((answer, { outcome, revision, state }) => {
      const frame = this.#frame(answer.taskId)
      if (!frame || outcome !== 'kept' || revision === undefined) return
      const task = { ...frame.task, revision, ...(state && { state }) }
      this.#set({ desk: withFacts(this.#state.desk, answer.taskId, { task }) })
    })
    let left = await this.#keeper.restore()
    let [failures, askedAt, gotNothingAt] = [0, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]
    while (!signal.aborted) {
      const open = this.#openIds()
      const isShort = open.length < keepAhead && now() - gotNothingAt >= askAgainMs
      if (!isShort && now() - askedAt < prolongMs) {
        await this.#sleep(Math.min(askAgainMs, prolongMs), signal)
        continue
      }
      try {
        if (left.length > 0) {
          await this.#restore(left, signal)
          left = []
        }
        const count = Math.min(tasksTakenMax, Math.max(1, keepAhead - open.length))
        const waitingBefore = outbox.waitingTasks()
        const tasks = await this.#parts.take({ count, have: open.slice(0, tasksHeldMax) }, signal)
        ;[failures, askedAt] = [0, now()]
        const waiting = new Set([...waitingBefore, ...outbox.waitingTasks()])
        // What was answered here, and the hub has not heard of, is not asked again.
        const fresh = tasks.filter(
          ({ taskId }) => !waiting.has(taskId) && !this.#isAnswered(taskId),
        )
        const known = new Set(this.#state.desk.frames.map(({ task }) => task.taskId))
        const more = fresh.filter(({ taskId }) => !known.has(taskId))
        this.#isDry = more.length === 0
        if (this.#isDry) gotNothingAt = now()
        this.#setDesk(withTasks(this.#state.desk, fresh), this.#state.said)
        const kind = more.length > 0 || this.#openIds().length > 0 ? 'enough' : 'nothing'
        this.#set({ supply: { kind } })
      } catch (error) {
        if (signal.aborted) break
        failures++
        const why = error instanceof Error ? error.message : String(error)
        this.#set({ supply: { kind: 'away', why } })
        await this.#sleep(
          Math.min(retryMs.last, retryMs.first * 2 ** Math.min(failures - 1, 10)),
          signal,
        )
      }
    }
    stop()
  }

  /** Frames with what an earlier page left on them; of tasks that are gone, nothing is left. */
  async #restore(drafts: readonly Draft[], signal: AbortSignal): Promise<void> {
    const { showTask } = this.#parts
    const tasks = await Promise.all(
      drafts.map(async ({ taskId }) => {
        try {
          return await showTask(taskId, signal)
        } catch (error) {
          if (error instanceof CallFailed && error.code === 'notFound') return undefined
          throw error
        }
      }),
    )
    let { desk } = this.#state
    for (const [n, draft] of drafts.entries()) {
      const task = tasks[n]
      if (task) desk = withDraft(desk, task, draft)
      else this.#keeper.changed(draft.taskId)
    }
    this.#setDesk(desk, 'What you drew before is back')
  }

  #openIds(): number[] {
    return this.#state.desk.frames
      .filter(({ answered }) => answered === undefined)
      .map(({ task }) => task.taskId)
  }

  #isAnswered = (taskId: number): boolean => this.#frame(taskId)?.answered !== undefined

  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    const awake = new AbortController()
    this.#nudged = () => awake.abort()
    await this.#parts.wait(ms, AbortSignal.any([signal, awake.signal]))
    this.#nudged = undefined
  }

  /** The desk with the time that its frame was looked at until now. */
  #withLooked(desk: Desk): Desk {
    const now = this.#parts.now()
    const lookedMs = this.#looking ? now - this.#lookedSince : 0
    this.#lookedSince = now
    const frame = frameAt(desk)
    if (!frame || lookedMs <= 0) return desk
    return withFacts(desk, frame.task.taskId, { lookedMs: frame.lookedMs + lookedMs })
  }

  #setDesk(given: Desk, said: string): void {
    const before = frameAt(this.#state.desk)?.task.taskId
    let desk = given
    if (frameAt(given)?.task.taskId !== before && before !== undefined) {
      const now = this.#parts.now()
      const frame = given.frames.find(({ task }) => task.taskId === before)
      const lookedMs = this.#looking ? now - this.#lookedSince : 0
      this.#lookedSince = now
      if (frame && !frame.answered) {
        desk = withFacts(given, before, { lookedMs: frame.lookedMs + lookedMs })
      }
    } else if (before === undefined) {
      this.#lookedSince = this.#parts.now()
    }
    const { at, frames } = this.#state.desk
    this.#state = { ...this.#state, desk }
    const known = new Map(frames.map((frame) => [frame.task.taskId, frame]))
    for (const { task, pieces, answered } of desk.frames) {
      const was = known.get(task.taskId)
      if (was && (was.pieces !== pieces || was.answered !== answered)) {
        this.#keeper.changed(task.taskId)
      }
    }
    if (desk.at !== at || desk.frames.length !== frames.length) this.#wantPictures()
    this.#set({ said })
  }

  #wantPictures(): void {
    const { frames, at } = this.#state.desk
    const digests = frames.map(({ task }) => task.sample.digest)
    const { near, far } = wantedAround(digests, at)
    this.#parts.shelf.want(near, far)
  }

  #set(change: Partial<SessionState>): void {
    this.#state = { ...this.#state, ...change }
    for (const listener of this.#listeners) listener()
  }
}

const saidOf: Readonly<Record<Verdict, string>> = {
  annotated: 'Accepted',
  skip: 'Skipped',
  bad: 'Kept out as a bad frame',
  flag: 'Flagged',
}

const sayWhere = (desk: Desk): string => {
  const frame = frameAt(desk)
  if (!frame || frame.answered) return 'No frame waits'
  return `Frame ${desk.at + 1}, ${frame.pieces.length} proposed`
}
