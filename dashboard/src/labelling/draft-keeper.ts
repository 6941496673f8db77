/**
 * Keeps what was drawn and not said yet on the disk, while somebody works: one write at a time, always of what is there by
 * then, so that however fast boxes change, nobody waits and nothing is written that is out of date.
 */
import type { Draft } from './desk.ts'
import type { DraftStore } from './draft-store.ts'

export class DraftKeeper {
  readonly #store: DraftStore
  readonly #draftOf: (taskId: number) => Draft | undefined
  readonly #onState: () => void
  /** Tasks to look at. */
  readonly #due = new Set<number>()
  /** Tasks of which a draft may be on the disk. */
  readonly #there = new Set<number>()
  #writing: Promise<void> | undefined
  #isKept = true

  /**
   * @param parts.draftOf what there is of a task by now
   * @param parts.onState called when drafts are kept again, or no longer
   */
  constructor(parts: {
    store: DraftStore
    draftOf: (taskId: number) => Draft | undefined
    onState: () => void
  }) {
    this.#store = parts.store
    this.#draftOf = parts.draftOf
    this.#onState = parts.onState
  }

  /** False where the browser has no room: what is drawn is lost with this page. */
  get isKept(): boolean {
    return this.#isKept
  }

  /** What an earlier page left; nothing where the browser keeps nothing. */
  async restore(): Promise<readonly Draft[]> {
    const drafts = await this.#store.list().catch(() => [])
    for (const { taskId } of drafts) this.#there.add(taskId)
    return drafts
  }

  /** A frame is another than it was. */
  changed(taskId: number): void {
    this.#due.add(taskId)
    this.#writing ??= this.#write()
  }

  /** Ends when everything that is due is on the disk, or cannot be. */
  async settled(): Promise<void> {
    await this.#writing
  }

  async #write(): Promise<void> {
    // What comes in the same moment is one write.
    await Promise.resolve()
    for (const taskId of this.#due) {
      this.#due.delete(taskId)
      const draft = this.#draftOf(taskId)
      try {
        if (draft) {
          this.#there.add(taskId)
          await this.#store.put(draft)
        } else if (this.#there.has(taskId)) {
          await this.#store.remove(taskId)
          this.#there.delete(taskId)
        }
        this.#setKept(true)
      } catch {
        // The next change tries again; until then the page asks before it goes.
        if (draft) this.#setKept(false)
      }
    }
    this.#writing = undefined
  }

  #setKept(isKept: boolean): void {
    if (isKept === this.#isKept) return
    this.#isKept = isKept
    this.#onState()
  }
}
