/**
 * Batches of a data set, ready before they are wanted. What a batch holds is a function of the data set, the recipe, the
 * seed and the step alone: a run that was killed goes on with the very same pictures, however many threads make them.
 * What happens to each picture is decided here (`plan.ts`); its pixels are made in worker threads.
 */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { Annotation, Dataset, Sample } from '../../datasets/index.ts'
import { TrainError } from '../run/train-error.ts'
import { type Augmentation, noAugmentation } from './augmentation.ts'
import type { WorkerAnswer, WorkerStart, WorkerTask } from './batches-worker.ts'
import type { CanvasSpec } from './canvas.ts'
import { BatchPlanner, type Mixed, type PlannedItem, type Pool, zoomMaxOf } from './plan.ts'
import { Renderer, type RenderOptions } from './render.ts'
import { type SlotOrder, type SlotSizes, Slots } from './slots.ts'

export type BatchesOptions = {
  readonly dataset: Dataset
  /** Which of its samples. */
  readonly digests: readonly string[]
  /** Older data, of which each batch holds a share. */
  readonly replay?: {
    readonly dataset: Dataset
    readonly digests: readonly string[]
    readonly share: number
  }
  /** Pictures of a batch. */
  readonly batch: number
  readonly canvas: CanvasSpec
  readonly augment?: Augmentation
  readonly seed: number
  /** `listed`: in their order, once, to evaluate; the last batch is filled up from the beginning. Default `shuffled`. */
  readonly order?: 'shuffled' | 'listed'
  /** From this step on neither mosaic nor mixup: a model ends with pictures as a camera makes them. */
  readonly mixingEndsAt?: number
  /** Steps beyond it are not made ahead. */
  readonly steps?: number
  /** Classes of the masks that are wanted beside the images, in the order of their indexes; 255 is no class. */
  readonly maskLabels?: readonly string[]
  /**
   * Threads; 0 (the default): as many as the machine has cores left, and none where raw pictures stay as they are.
   * `none`: pixels are made as they are asked for, where they are asked for.
   */
  readonly workers?: number | 'none'
  /** Memory for decoded pictures, of all threads together. Default 512 MiB. */
  readonly cacheBytesMax?: number
  readonly signal?: AbortSignal
}

export type Batch = {
  /** [N, C, H, W], in shared memory; overwritten after the next batch is asked for. */
  readonly images: Float32Array
  /** [N, H, W], where masks are wanted. */
  readonly masks?: Uint8Array
  /** By place: what is to be seen on the canvas, as shares of it. */
  readonly annotations: readonly (readonly Annotation[])[]
  /** By place: the second picture's classes and numbers, where two were laid over each other. */
  readonly mixed: readonly (Mixed | undefined)[]
  /** By place. */
  readonly samples: readonly Sample[]
  /** Places that count; fewer than N only in the last batch of a `listed` order. */
  readonly count: number
  /** How long it was not ready after it was asked for. */
  readonly waitedMs: number
}

export type Batches = AsyncDisposable & {
  /** Samples that are drawn from. */
  readonly samples: number
  /** Steps of one pass over them. */
  readonly stepsPerEpoch: number
  /** Threads at work; 0 where pixels are made as they are asked for. */
  readonly workers: number
  /**
   * The batch of a step, from 0; asking in order is what is fast. One at a time.
   * @throws {DatasetError} naming a picture that cannot be decoded
   */
  batch(step: number): Promise<Batch>
}

/** Batches that are made ahead of the one in use. */
const ahead = 3
const cacheBytesDefault = 512 * 1024 * 1024
const workersMax = 16

/** @throws {TrainError} when there is nothing to draw from */
export function openBatches(options: BatchesOptions): Batches {
  const { dataset, digests, replay, canvas, batch, signal, maskLabels } = options
  const { augment = noAugmentation, order = 'shuffled' } = options
  const pool = poolOf(dataset, digests)
  const replayed = replay && replay.share > 0 ? poolOf(replay.dataset, replay.digests) : undefined
  const planner = new BatchPlanner({
    pools: replayed ? [pool, replayed] : [pool],
    replayShare: replay?.share ?? 0,
    batch,
    canvas,
    augment,
    order,
    seed: options.seed,
    mixingEndsAt: order === 'listed' ? 0 : (options.mixingEndsAt ?? Number.POSITIVE_INFINITY),
    ...(maskLabels && { maskLabels }),
  })
  const workers = workersFor(options, augment)
  const render: RenderOptions = {
    sources: [dataset, ...(replayed ? [replay!.dataset] : [])].map(({ pictures, folder }) => ({
      pictures,
      folder,
    })),
    canvas,
    zoomMax: zoomMaxOf(augment),
    ...(maskLabels && { maskLabels }),
    cacheBytesMax: Math.floor((options.cacheBytesMax ?? cacheBytesDefault) / Math.max(1, workers)),
  }
  const fresh = batch - (replayed ? Math.round(batch * replay!.share) : 0)
  if (fresh < 1)
    throw new TrainError(`Cannot make batches of ${batch}: all of it would be replayed`)
  const stepsPerEpoch = Math.ceil(pool.length / fresh)
  const steps = order === 'listed' ? stepsPerEpoch : (options.steps ?? Number.POSITIVE_INFINITY)
  const countOf = (step: number) =>
    order === 'listed' ? Math.min(batch, pool.length - step * batch) : batch
  const maker = new BatchMaker({ planner, render, batch, workers, steps, countOf, signal })
  return {
    samples: pool.length,
    stepsPerEpoch,
    workers,
    batch: (step) => maker.batch(step),
    [Symbol.asyncDispose]: () => maker[Symbol.asyncDispose](),
  }
}

function poolOf(dataset: Dataset, digests: readonly string[]): Pool {
  const byDigest = new Map(dataset.samples.map((sample) => [sample.digest, sample]))
  const pool = digests.map((digest) => {
    const sample = byDigest.get(digest)
    if (!sample)
      throw new TrainError(`Cannot train on "${dataset.name}": it has no sample ${digest}`)
    return sample
  })
  if (pool.length === 0)
    throw new TrainError(`Cannot train on "${dataset.name}": no sample was given`)
  return pool
}

/** Copying raw pixels takes less than handing them over; files are decoded beside the step, on what it leaves. */
function workersFor({ dataset, workers = 0 }: BatchesOptions, augment: Augmentation): number {
  if (workers === 'none') return 0
  if (workers > 0) return Math.min(workersMax, workers)
  const unchanged = JSON.stringify(augment) === JSON.stringify(noAugmentation)
  if (dataset.pictures.kind === 'raw' && unchanged) return 0
  return Math.max(1, Math.min(4, availableParallelism() - 1))
}

type MakerOptions = {
  readonly planner: BatchPlanner
  readonly render: RenderOptions
  readonly batch: number
  readonly workers: number
  readonly steps: number
  readonly countOf: (step: number) => number
  readonly signal: AbortSignal | undefined
}

/** A batch that is being made, or is ready. */
type Task = {
  readonly step: number
  readonly slot: number
  readonly items: readonly PlannedItem[]
  readonly done: Promise<void>
}

/** Executes plans ahead of whoever asks. */
class BatchMaker {
  readonly #options: MakerOptions
  readonly #slots: Slots
  readonly #free: number[]
  readonly #threads: Thread[]
  readonly #renderer: Renderer | undefined
  /** By step. */
  readonly #tasks = new Map<number, Task>()
  #inUse: Task | undefined
  #busy = false
  #closed = false

  constructor(options: MakerOptions) {
    const { render, batch, workers } = options
    this.#options = options
    const sizes: SlotSizes = { count: (workers > 0 ? ahead : 0) + 2, batch, canvas: render.canvas }
    const memory = Slots.memory(sizes, render.maskLabels !== undefined)
    this.#slots = new Slots(sizes, memory)
    this.#free = Array.from({ length: sizes.count }, (_, slot) => slot)
    const start: WorkerStart = { render, slots: sizes, memory }
    this.#threads = Array.from({ length: workers }, () => new Thread(start))
    this.#renderer = workers > 0 ? undefined : new Renderer(render)
  }

  async batch(step: number): Promise<Batch> {
    const asked = performance.now()
    const { signal, steps, countOf } = this.#options
    signal?.throwIfAborted()
    if (this.#closed) throw new TrainError('Cannot make a batch: this source of batches is closed')
    if (this.#busy) throw new TrainError('Cannot make two batches at once: await the first')
    this.#busy = true
    try {
      await this.#release(step)
      const task = this.#tasks.get(step) ?? this.#start(step)
      // Asked for before waiting, so that threads go on while this one computes.
      if (this.#renderer === undefined) {
        for (let next = step + 1; next <= step + ahead && next < steps; next++) {
          if (!this.#tasks.has(next)) this.#start(next)
        }
      }
      // A run that computes without a pause has heard nothing of its threads, and needs not to.
      if (!this.#slots.isFilled(task.slot, step)) await abortable(task.done, signal)
      this.#tasks.delete(step)
      this.#inUse = task
      const { slot, items } = task
      const masks = this.#slots.masks(slot)
      return {
        images: this.#slots.images(slot),
        ...(masks && { masks }),
        annotations: items.map(({ annotations }) => annotations),
        mixed: items.map(({ mixed }) => mixed),
        samples: items.map(({ sample }) => sample),
        count: countOf(step),
        waitedMs: performance.now() - asked,
      }
    } finally {
      this.#busy = false
    }
  }

  /** Gives back the slot of the last batch, and those of steps that nobody will ask for. */
  async #release(step: number): Promise<void> {
    if (this.#inUse) this.#free.push(this.#inUse.slot)
    this.#inUse = undefined
    for (const task of [...this.#tasks.values()]) {
      if (task.step >= step && task.step <= step + ahead) continue
      this.#tasks.delete(task.step)
      // A thread still writes into it.
      await task.done.catch(() => {})
      this.#free.push(task.slot)
    }
  }

  #start(step: number): Task {
    // The slot that has been free for longest, so that the last batch stays as it is a little longer.
    const slot = this.#free.shift()
    if (slot === undefined) throw new Error('no slot is free')
    this.#slots.clear(slot)
    const items = this.#options.planner.batch(step)
    const plans = items.map(({ plan }) => plan)
    const done = this.#renderer
      ? this.#slots.fill({ slot, step, plans }, this.#renderer)
      : this.#threads[step % this.#threads.length]!.fill({ slot, step, plans })
    // A failure is told to whoever asks for this step, later.
    done.catch(() => {})
    const task = { step, slot, items, done }
    this.#tasks.set(step, task)
    return task
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    await Promise.all(this.#threads.map((thread) => thread.close()))
  }
}

type Waiting = { readonly resolve: () => void; readonly reject: (error: Error) => void }

class Thread {
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting>()
  #last = 0
  #failure: Error | undefined
  #closing = false

  constructor(start: WorkerStart) {
    this.#worker = new Worker(new URL('./batches-worker.ts', import.meta.url), {
      workerData: start,
    })
    this.#worker.on('message', ({ task, error }: WorkerAnswer) => {
      const waiting = this.#waiting.get(task)
      this.#waiting.delete(task)
      if (error) waiting?.reject(new TrainError(error.message, error.hint))
      else waiting?.resolve()
    })
    this.#worker.on('error', (error) => this.#fail(error as Error))
    this.#worker.on('exit', () => this.#fail(new Error('it has ended')))
    // A run that is done does not stay for its threads.
    this.#worker.unref()
  }

  fill(order: SlotOrder): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure)
    const task = ++this.#last
    this.#worker.ref()
    return new Promise<void>((resolve, reject) => {
      this.#waiting.set(task, { resolve, reject })
      this.#worker.postMessage({ task, order } satisfies WorkerTask)
    }).finally(() => {
      if (this.#waiting.size === 0 && !this.#closing) this.#worker.unref()
    })
  }

  #fail(cause: Error): void {
    this.#failure ??= new TrainError(
      `Cannot make batches: the thread that decodes pictures failed: ${cause.message}`,
      undefined,
      { cause },
    )
    for (const { reject } of this.#waiting.values()) reject(this.#failure)
    this.#waiting.clear()
  }

  async close(): Promise<void> {
    this.#closing = true
    this.#worker.ref()
    await this.#worker.terminate()
  }
}

async function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return await work
  signal.throwIfAborted()
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason as Error)
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
