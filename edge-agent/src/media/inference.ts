/**
 * Inference as a media process sees it: lanes of streams to models, in one worker thread; and the change of a model
 * under running streams. A model cannot move from one thread to another, and opening one blocks its thread, so
 * a change starts a second thread, opens everything that is in use there while the first goes on, points all lanes
 * over between two canvases, and lets the first answer what it still has before it ends.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { nearestName } from '@edgeloop/protocol/nearest'
import type { InputView } from '../cameras/camera.ts'
import { type InputSpec, placeFrame } from '../models/canvas.ts'
import type { DetectOptions, ModelSource } from '../models/model.ts'
import { ModelError, type Tensors } from '../runtimes/runtime.ts'
import type { OpenedModel } from './inference-protocol.ts'
import {
  type Detected,
  type InferenceThread,
  startInferenceThread,
  type ThreadLane,
} from './inference-thread.ts'

export type { Detected } from './inference-thread.ts'

/** One stream's way to its model, whichever that is just now. Closing it answers what is under way with undefined. */
export interface Lane extends Disposable {
  readonly model: OpenedModel
  /** Where a source frame of this size lands on the model's canvas: the same object until that changes. */
  inputFor(sourceWidth: number, sourceHeight: number): InputView
  /** The canvas to fill next: height × width × 3 bytes, or more. */
  readonly canvas: Uint8Array
  /**
   * Hands the filled canvas over. Answers undefined when a newer one replaced it first, or when it was filled for
   * a model that has been replaced.
   * @throws {ModelError} when the model fails on it, or was taken away
   */
  detect(view: InputView): Promise<Detected | undefined>
  /** Canvases that no model looked at, since the lane was opened. */
  readonly dropped: number
}

export interface Inference extends AsyncDisposable {
  /**
   * Opens a lane to a model, and the model with its first lane; it is freed with its last.
   * @throws {ModelError} whose text says which file, why, and what was expected
   */
  openLane(source: ModelSource, options: DetectOptions): Promise<Lane>
  /**
   * What a model is, found by opening it for a moment where no lane has.
   * @throws {ModelError} as `openLane()`
   */
  describe(source: ModelSource): Promise<OpenedModel>
  /**
   * Runs a model on tensors, when every stream has had its turn. It stays open for a minute after.
   * @throws {ModelError} when it cannot be opened or fails on them
   */
  infer(source: ModelSource, inputs: Tensors): Promise<Tensors>
  /**
   * Lanes to the model of this name go to `source` from now on; with undefined they fail. Of several changes each
   * waits for the one before.
   * @returns what it is; undefined where it was taken away
   * @throws {ModelError} when it cannot be opened, or a lane cannot use it; then every lane goes on as before
   */
  change(name: string, source: ModelSource | undefined): Promise<OpenedModel | undefined>
  /** How long the worker has owed an answer, in ms; 0 when it owes none. */
  readonly owingMs: number
}

/**
 * Starts the inference worker.
 * @param onCrash called when a worker dies by itself; its native state is then unknown
 */
export function openInference(onCrash: (error: Error) => void): Inference {
  return new ChangingInference(onCrash)
}

/** How long a thread that was replaced may take to answer what it still has. */
const drainMs = 5_000

class ChangingInference implements Inference {
  readonly #onCrash: (error: Error) => void
  readonly #lanes = new Set<ChangingLane>()
  /** Threads that are being filled or drained. */
  readonly #others = new Set<InferenceThread>()
  /** What a name means since it was changed, for whoever began to open a lane before. */
  readonly #changed = new Map<string, ModelSource>()
  #thread: InferenceThread
  #changing: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(onCrash: (error: Error) => void) {
    this.#onCrash = onCrash
    this.#thread = startInferenceThread(onCrash)
  }

  async openLane(wanted: ModelSource, options: DetectOptions): Promise<Lane> {
    for (;;) {
      const thread = this.#thread
      const source = this.#changed.get(wanted.name) ?? wanted
      const inner = await thread.openLane(source, options)
      // Replaced while the model was opened: it would end with that thread.
      if (thread !== this.#thread) {
        inner[Symbol.dispose]()
        continue
      }
      const lane = new ChangingLane(source, options, inner, () => this.#lanes.delete(lane))
      this.#lanes.add(lane)
      return lane
    }
  }

  describe(source: ModelSource): Promise<OpenedModel> {
    return this.#thread.describe(source)
  }

  infer(source: ModelSource, inputs: Tensors): Promise<Tensors> {
    return this.#thread.infer(source, inputs)
  }

  change(name: string, source: ModelSource | undefined): Promise<OpenedModel | undefined> {
    const done = this.#changing.then(() => this.#change(name, source))
    this.#changing = done.catch(() => {})
    return done
  }

  get owingMs(): number {
    return Math.max(...[this.#thread, ...this.#others].map(({ owingMs }) => owingMs))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    for (const lane of [...this.#lanes]) lane[Symbol.dispose]()
    await Promise.all(
      [this.#thread, ...this.#others].map((thread) => thread[Symbol.asyncDispose]()),
    )
  }

  async #change(name: string, source: ModelSource | undefined): Promise<OpenedModel | undefined> {
    if (this.#closed) throw new ModelError('Cannot change a model: the agent is stopping')
    if (source === undefined) {
      this.#changed.delete(name)
      for (const lane of this.#lanesTo(name)) lane.lose()
      return undefined
    }
    const next = startInferenceThread(this.#onCrash)
    this.#others.add(next)
    const old = this.#thread
    try {
      const model = await next.describe(source)
      // Nobody looks with it: whoever does next opens it then.
      if (this.#lanesTo(name).length > 0) await this.#moveAll(next, name, source)
      this.#changed.set(name, source)
      return model
    } finally {
      if (this.#thread === old) {
        this.#others.delete(next)
        await next[Symbol.asyncDispose]()
      } else {
        this.#others.delete(next)
        this.#others.add(old)
        void this.#drain(old)
      }
    }
  }

  #lanesTo(name: string): ChangingLane[] {
    return [...this.#lanes].filter((lane) => lane.source.name === name)
  }

  /** Opens in `next` what every lane needs, lanes that come meanwhile too; then all change over at once. */
  async #moveAll(next: InferenceThread, name: string, source: ModelSource): Promise<void> {
    const moved = new Map<ChangingLane, { inner: ThreadLane; source: ModelSource }>()
    for (;;) {
      const lane = [...this.#lanes].find((one) => !moved.has(one))
      if (!lane) break
      const to = lane.source.name === name ? source : lane.source
      const inner = await next.openLane(to, lane.options, lane.canvasBytes)
      if (to === source) refuseMisfit(lane, inner.model)
      moved.set(lane, { inner, source: to })
    }
    if (this.#closed) throw new ModelError('Cannot change a model: the agent is stopping')
    for (const [lane, to] of moved) {
      if (this.#lanes.has(lane)) lane.point(to.source, to.inner)
      else to.inner[Symbol.dispose]()
    }
    this.#thread = next
  }

  async #drain(thread: InferenceThread): Promise<void> {
    await Promise.race([thread.idle(), sleep(drainMs, undefined, { ref: false })])
    await thread[Symbol.asyncDispose]()
    this.#others.delete(thread)
  }
}

/** @throws {ModelError} where a stream could not go on with this model */
function refuseMisfit({ model: before, options }: ChangingLane, model: OpenedModel): void {
  const what = `Cannot put model "${model.name}" in place of the one before`
  if (model.task !== before.task) {
    throw new ModelError(`${what}: it is for ${model.task}, streams use it for ${before.task}`)
  }
  const missing = options.labels?.find((label) => !model.labels.includes(label))
  if (missing === undefined) return
  const near = nearestName(missing, model.labels)
  const hint = near === undefined ? '' : `; it has "${near}"`
  throw new ModelError(`${what}: a stream looks for "${missing}", which it does not know${hint}`)
}

class ChangingLane implements Lane {
  readonly options: DetectOptions
  readonly #leave: () => void
  #source: ModelSource
  #inner: ThreadLane
  #placed: { width: number; height: number; view: InputView } | undefined
  #dropped = 0
  #lost = false

  constructor(source: ModelSource, options: DetectOptions, inner: ThreadLane, leave: () => void) {
    this.#source = source
    this.options = options
    this.#inner = inner
    this.#leave = leave
  }

  get source(): ModelSource {
    return this.#source
  }

  get model(): OpenedModel {
    return this.#inner.model
  }

  get canvas(): Uint8Array {
    return this.#inner.canvas
  }

  get canvasBytes(): number {
    return this.#inner.model.inputBytes
  }

  get dropped(): number {
    return this.#dropped + this.#inner.dropped
  }

  inputFor(width: number, height: number): InputView {
    if (this.#placed?.width !== width || this.#placed.height !== height) {
      this.#placed = { width, height, view: placeFrame(this.model.input, width, height) }
    }
    return this.#placed.view
  }

  async detect(view: InputView): Promise<Detected | undefined> {
    if (this.#lost) {
      throw new ModelError(`Cannot use model "${this.#source.name}": it was taken from this device`)
    }
    if (fits(this.model.input, view)) return await this.#inner.detect(view)
    // Filled before the change: a camera may have had this picture ready.
    this.#dropped++
    return undefined
  }

  /** From now on this is the model. What the one before still has under way is answered. */
  point(source: ModelSource, inner: ThreadLane): void {
    this.#dropped += this.#inner.dropped
    this.#source = source
    this.#inner = inner
    this.#placed = undefined
  }

  /** There is no model any more. */
  lose(): void {
    this.#lost = true
  }

  [Symbol.dispose](): void {
    this.#leave()
    this.#inner[Symbol.dispose]()
  }
}

function fits(input: InputSpec, { width, height, channels }: InputView): boolean {
  return input.width === width && input.height === height && input.channels === channels
}
