/**
 * One inference worker seen from the decoding thread: the models it holds open, and one lane per stream, through
 * which canvases go in and detections come back.
 */
import { Worker } from 'node:worker_threads'
import type { Detection } from '@edgeloop/protocol'
import type { InputView } from '../cameras/camera.ts'
import type { DetectOptions, ModelSource, Reading } from '../models/model.ts'
import { silenceOrt } from '../runtimes/load-ort.ts'
import { ModelError, type Tensors } from '../runtimes/runtime.ts'
import { SlotWriter, slotMemory } from './frame-slot.ts'
import type { FromInference, OpenedModel, ToInference } from './inference-protocol.ts'

/** What became of one canvas. */
export type Detected = {
  /** Empty where the model is no detector. */
  readonly detections: readonly Detection[]
  readonly reading: Reading
  readonly inferenceMs: number
  /** SHA-256 of the model's file. */
  readonly digest: string
}

/** One stream's way to its model in one thread. Closing it answers what is under way with undefined. */
export interface ThreadLane extends Disposable {
  readonly model: OpenedModel
  /** The canvas to fill next; at least as long as the model's input. */
  readonly canvas: Uint8Array
  /**
   * Hands the filled canvas over. Answers undefined when a newer one replaced it first.
   * @throws {ModelError} when the model fails on it
   */
  detect(view: InputView): Promise<Detected | undefined>
  /** Canvases replaced by a newer one before the model got to them, since the lane was opened. */
  readonly dropped: number
  /** Settles when nothing is under way. */
  idle(): Promise<void>
}

export interface InferenceThread extends AsyncDisposable {
  /**
   * Opens a lane to a model, and the model with its first lane; it is freed with its last.
   * @param canvasBytesMin least length of its canvases, where pictures of another size may still come
   * @throws {ModelError} whose text says which file, why, and what was expected
   */
  openLane(
    source: ModelSource,
    options: DetectOptions,
    canvasBytesMin?: number,
  ): Promise<ThreadLane>
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
  /** Settles when no canvas and no request is under way. */
  idle(): Promise<void>
  /** How long the worker has owed an answer, in ms; 0 when it owes none. */
  readonly owingMs: number
}

/**
 * Starts the inference worker.
 * @param onCrash called when the worker dies by itself; its native state is then unknown
 */
export function startInferenceThread(onCrash: (error: Error) => void): InferenceThread {
  silenceOrt()
  const worker = new Worker(new URL('./inference-worker.ts', import.meta.url), {
    name: 'inference',
  })
  return new WorkerInference(worker, onCrash)
}

type Waiting = {
  readonly resolve: (detected: Detected | undefined) => void
  readonly reject: (error: Error) => void
}

/** A model that is open or being opened, and how many need it. */
type Held = { readonly opened: PromiseWithResolvers<OpenedModel>; users: number }

/** How long a model stays open after a request for it, without any stream that uses it. */
const lingerMs = 60_000

class WorkerInference implements InferenceThread {
  readonly #worker: Worker
  readonly #models = new Map<string, Held>()
  readonly #lanes = new Map<number, WorkerLane>()
  readonly #requests = new Map<number, PromiseWithResolvers<Tensors>>()
  readonly #lingering = new Map<string, NodeJS.Timeout>()
  #nextLane = 1
  #nextRequest = 1
  #owed = 0
  #answeredAt = 0
  #closing = false

  constructor(worker: Worker, onCrash: (error: Error) => void) {
    this.#worker = worker
    worker.on('message', (message: FromInference) => this.#hear(message))
    worker.on('error', onCrash)
    worker.on('exit', (code) => {
      if (!this.#closing) onCrash(new Error(`Inference worker exited with code ${code}`))
    })
  }

  async describe(source: ModelSource): Promise<OpenedModel> {
    const held = this.#hold(source)
    try {
      return await held.opened.promise
    } finally {
      this.#release(source.name, held)
    }
  }

  async openLane(
    source: ModelSource,
    options: DetectOptions,
    canvasBytesMin = 0,
  ): Promise<ThreadLane> {
    const held = this.#hold(source)
    const model = await held.opened.promise
    const id = this.#nextLane++
    const canvasBytes = Math.max(model.inputBytes, canvasBytesMin)
    const memory = slotMemory(canvasBytes)
    this.#send({ kind: 'lane', lane: id, model: model.name, memory, canvasBytes, options })
    const lane = new WorkerLane(model, new SlotWriter(memory, canvasBytes), {
      ring: () => {
        this.#owe()
        this.#send({ kind: 'ring', lane: id })
      },
      answered: () => this.#answered(),
      leave: () => {
        if (!this.#lanes.delete(id)) return
        this.#send({ kind: 'leave', lane: id })
        this.#release(source.name, held)
      },
    })
    this.#lanes.set(id, lane)
    return lane
  }

  async infer(source: ModelSource, inputs: Tensors): Promise<Tensors> {
    const held = this.#hold(source)
    try {
      const model = await held.opened.promise
      const request = this.#nextRequest++
      const answer = Promise.withResolvers<Tensors>()
      this.#requests.set(request, answer)
      this.#owe()
      this.#send({ kind: 'infer', request, model: model.name, inputs })
      return await answer.promise
    } finally {
      this.#linger(source.name, held)
    }
  }

  /** Lets go of a model later than at once; of several that linger, the last one counts. */
  #linger(name: string, held: Held): void {
    const before = this.#lingering.get(name)
    if (before && this.#models.get(name) === held) {
      before.refresh()
      this.#release(name, held)
      return
    }
    clearTimeout(before)
    const timer = setTimeout(() => {
      this.#lingering.delete(name)
      this.#release(name, held)
    }, lingerMs)
    timer.unref()
    this.#lingering.set(name, timer)
  }

  #hold(source: ModelSource): Held {
    let held = this.#models.get(source.name)
    if (!held) {
      held = { opened: Promise.withResolvers(), users: 0 }
      this.#models.set(source.name, held)
      this.#owe()
      this.#send({ kind: 'open', source })
    }
    held.users++
    return held
  }

  #release(name: string, held: Held): void {
    held.users--
    // A model that was refused is no longer in the table.
    if (held.users > 0 || this.#models.get(name) !== held) return
    this.#models.delete(name)
    this.#send({ kind: 'close', model: name })
  }

  async idle(): Promise<void> {
    const lanes = [...this.#lanes.values()].map((lane) => lane.idle())
    const requests = [...this.#requests.values()].map(({ promise }) => promise.catch(() => {}))
    await Promise.all([...lanes, ...requests])
  }

  get owingMs(): number {
    return this.#owed > 0 ? performance.now() - this.#answeredAt : 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true
    for (const timer of this.#lingering.values()) clearTimeout(timer)
    const gone = new ModelError('Cannot run the model: the agent is stopping')
    for (const { reject } of this.#requests.values()) reject(gone)
    this.#requests.clear()
    for (const lane of [...this.#lanes.values()]) lane[Symbol.dispose]()
    await this.#worker.terminate()
  }

  #send(message: ToInference): void {
    this.#worker.postMessage(message)
  }

  #owe(): void {
    if (this.#owed++ === 0) this.#answeredAt = performance.now()
  }

  #answered(): void {
    this.#owed--
    this.#answeredAt = performance.now()
  }

  #take(request: number): PromiseWithResolvers<Tensors> | undefined {
    const waiting = this.#requests.get(request)
    if (this.#requests.delete(request)) this.#answered()
    return waiting
  }

  #hear(message: FromInference): void {
    switch (message.kind) {
      case 'opened':
        this.#answered()
        this.#models.get(message.model.name)?.opened.resolve(message.model)
        return
      case 'refused':
        this.#answered()
        this.#models.get(message.name)?.opened.reject(new ModelError(message.reason))
        // The next stream that asks tries again: the file may have been repaired.
        this.#models.delete(message.name)
        return
      case 'detected':
        this.#lanes.get(message.lane)?.answer(message.sequence, {
          detections: message.reading.detections ?? [],
          reading: message.reading,
          inferenceMs: message.inferenceMs,
        })
        return
      case 'failed':
        this.#lanes.get(message.lane)?.refuse(message.sequence, new ModelError(message.reason))
        return
      case 'inferred':
        this.#take(message.request)?.resolve(message.outputs)
        return
      case 'notInferred':
        this.#take(message.request)?.reject(new ModelError(message.reason))
    }
  }
}

type Wire = {
  readonly ring: () => void
  readonly answered: () => void
  readonly leave: () => void
}

class WorkerLane implements ThreadLane {
  readonly model: OpenedModel
  readonly #slot: SlotWriter
  readonly #wire: Wire
  /** At most two: the canvas being read and the one that waits in the slot. */
  readonly #waiting = new Map<number, Waiting>()
  #idle: PromiseWithResolvers<void> | undefined
  #sequence = 0
  #dropped = 0

  constructor(model: OpenedModel, slot: SlotWriter, wire: Wire) {
    this.model = model
    this.#slot = slot
    this.#wire = wire
  }

  get canvas(): Uint8Array {
    return this.#slot.canvas
  }

  get dropped(): number {
    return this.#dropped
  }

  detect(view: InputView): Promise<Detected | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<Detected | undefined>()
    const sequence = ++this.#sequence
    const replaced = this.#slot.publish(sequence, view)
    if (replaced) {
      this.#dropped++
      this.#settle(sequence - 1)?.resolve(undefined)
    }
    this.#waiting.set(sequence, { resolve, reject })
    this.#wire.ring()
    return promise
  }

  async idle(): Promise<void> {
    while (this.#waiting.size > 0) {
      this.#idle ??= Promise.withResolvers()
      await this.#idle.promise
    }
  }

  answer(sequence: number, detected: Omit<Detected, 'digest'>): void {
    this.#settle(sequence)?.resolve({ ...detected, digest: this.model.digest })
  }

  refuse(sequence: number, error: Error): void {
    this.#settle(sequence)?.reject(error)
  }

  [Symbol.dispose](): void {
    for (const sequence of [...this.#waiting.keys()]) this.#settle(sequence)?.resolve(undefined)
    this.#wire.leave()
  }

  #settle(sequence: number): Waiting | undefined {
    const waiting = this.#waiting.get(sequence)
    if (this.#waiting.delete(sequence)) this.#wire.answered()
    if (this.#waiting.size === 0) {
      this.#idle?.resolve()
      this.#idle = undefined
    }
    return waiting
  }
}
