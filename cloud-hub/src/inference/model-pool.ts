/**
 * The models that are open for others: so many processes, each with one model; the one that was not used for longest
 * gives way. Whoever asks by HTTP is refused when too many wait; a batch waits for its turn.
 */
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ModelVersion, PictureReading } from '@edgeloop/protocol'
import { type ModelSignature, OipRefusal, type Tensors } from '@edgeloop/protocol/oip'
import { withWorkFolder } from '../datasets/work-folder.ts'
import type { ModelDesk } from '../models/models.ts'
import { type InferenceEngine, type LookOptions, ModelFault, type ModelProcess } from './engine.ts'

export type PoolLimits = {
  /** Models that are open at once. */
  readonly modelsMax: number
  /** Requests that run or wait for their turn, of all models together. */
  readonly waitingMax: number
  readonly openTimeoutMs: number
  /** For one inference; then its process is ended. */
  readonly inferTimeoutMs: number
  /** A model that nobody asked for so long is closed. */
  readonly idleMs: number
  /** How long a model that could not be opened is not tried again. */
  readonly faultKeptMs: number
}

export const poolLimits: PoolLimits = {
  modelsMax: 2,
  waitingMax: 8,
  openTimeoutMs: 60_000,
  inferTimeoutMs: 20_000,
  idleMs: 300_000,
  faultKeptMs: 30_000,
}

/** Models of which it is known that they cannot be opened. */
const faultsMax = 100
const tidyIntervalMs = 30_000

export type ModelPool = AsyncDisposable & {
  /** Opens the model where it is not. @throws {OipRefusal} 503 */
  signatureOf(model: ModelVersion): Promise<ModelSignature>
  /** @throws {OipRefusal} 500 where the model fails; 503, with when to come again, while too many wait; 504 */
  infer(model: ModelVersion, inputs: Tensors): Promise<Tensors>
  /** Waits for its turn. @throws {ModelFault} */
  look(
    model: ModelVersion,
    picture: Uint8Array,
    options: LookOptions,
    signal: AbortSignal,
  ): Promise<PictureReading>
  /** Models that are open. */
  readonly open: number
}

/** Names what answers: the same file, fed and read in the same way, says the same. */
export function modelKey({ digest, layout, labels, description }: ModelVersion): string {
  const facts = JSON.stringify([digest, layout, labels, description])
  return createHash('sha256').update(facts).digest('hex')
}

type Place = {
  readonly process: Promise<ModelProcess>
  /** Those who run or wait. */
  users: number
  usedAt: number
  turn: Promise<void>
}

export function openModelPool(deps: {
  engine: InferenceEngine
  models: Pick<ModelDesk, 'file'>
  /** Models are laid into new folders below this one. */
  folder: string
  clock: () => number
  limits?: Partial<PoolLimits>
}): ModelPool {
  const { engine, models, folder, clock } = deps
  const limits = { ...poolLimits, ...deps.limits }
  /** By `modelKey`. */
  const places = new Map<string, Place>()
  const faults = new Map<string, { readonly reason: string; readonly until: number }>()
  let waiting = 0
  let freed = Promise.withResolvers<void>()
  let closed = false
  const tidy = setInterval(() => {
    for (const [key, place] of places) {
      if (place.users === 0 && place.usedAt < clock() - limits.idleMs) drop(key, place)
    }
  }, tidyIntervalMs)
  tidy.unref()

  /** Its place is free at once; the process ends by itself. */
  function drop(key: string, place: Place): void {
    if (places.get(key) === place) places.delete(key)
    void place.process.then(
      (process) => process[Symbol.asyncDispose](),
      () => {},
    )
    freed.resolve()
    freed = Promise.withResolvers()
  }

  async function begin(model: ModelVersion): Promise<ModelProcess> {
    const { name, version, layout, labels, description } = model
    const bytes = await models.file(name, version)
    // What it was opened from is not needed once it is open.
    return await withWorkFolder(folder, 'infer', async (work) => {
      const file = join(work, `${name}-${version}.onnx`)
      await writeFile(file, bytes)
      const described = { file, name: `${name}/${version}`, layout, labels, description }
      return await engine.open(described, limits.openTimeoutMs)
    })
  }

  function enter(key: string, model: ModelVersion): Place {
    const process = begin(model)
    const place: Place = { process, users: 0, usedAt: clock(), turn: Promise.resolve() }
    places.set(key, place)
    process.then(
      ({ ended }) => void ended.then(() => drop(key, place)),
      (error: Error) => {
        drop(key, place)
        faults.set(key, { reason: error.message, until: clock() + limits.faultKeptMs })
        for (const oldest of faults.keys()) {
          if (faults.size <= faultsMax) break
          faults.delete(oldest)
        }
      },
    )
    return place
  }

  /** A place for the model; undefined while all are in use by others. @throws {ModelFault} */
  function placeFor(model: ModelVersion): Place | undefined {
    if (closed) throw new ModelFault('The hub closes', true)
    const key = modelKey(model)
    const known = places.get(key)
    if (known) return known
    const fault = faults.get(key)
    if (fault && fault.until > clock()) throw new ModelFault(fault.reason, true)
    faults.delete(key)
    if (places.size >= limits.modelsMax) {
      const [idle] = [...places]
        .filter(([, { users }]) => users === 0)
        .sort(([, a], [, b]) => a.usedAt - b.usedAt)
      if (!idle) return undefined
      drop(...idle)
    }
    return enter(key, model)
  }

  /**
   * One after the other; whoever waits keeps the place from being given to another model.
   * @param opened resolves when the model is open
   * @param signal those who are gone when it is their turn are passed over
   */
  async function inTurn<T>(
    place: Place,
    opened: (place: Place) => Promise<ModelProcess>,
    act: (process: ModelProcess) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    place.users++
    const before = place.turn
    const mine = Promise.withResolvers<void>()
    place.turn = mine.promise
    try {
      const process = await opened(place)
      await before
      signal.throwIfAborted()
      return await act(process)
    } finally {
      // Whoever left early is waited for by the next one as well.
      void before.then(mine.resolve)
      place.users--
      place.usedAt = clock()
      if (place.users === 0) {
        freed.resolve()
        freed = Promise.withResolvers()
      }
    }
  }

  /** What somebody asks by HTTP: refused rather than kept waiting without end. */
  async function asked<T>(
    model: ModelVersion,
    act: (process: ModelProcess) => Promise<T>,
    runFault: 500 | 503,
  ): Promise<T> {
    if (waiting >= limits.waitingMax) {
      throw new OipRefusal(503, `Cannot take the request: ${waiting} wait already; try again`, {
        retryAfterS: 1,
      })
    }
    waiting++
    try {
      const place = placeFor(model)
      if (!place) {
        throw new OipRefusal(
          503,
          `Cannot open ${model.name}/${model.version}: ${limits.modelsMax} other models are at work; try again`,
          { retryAfterS: 2 },
        )
      }
      const limit = AbortSignal.timeout(limits.inferTimeoutMs)
      return await inTurn(place, openedInTime, act, limit)
    } catch (cause) {
      if (cause instanceof OipRefusal) throw cause
      if ((cause as Error).name === 'TimeoutError') throw late(cause)
      if (!(cause instanceof ModelFault)) throw cause
      throw new OipRefusal(runFault, cause.message, { cause })
    } finally {
      waiting--
    }
  }

  /** @throws {OipRefusal} 503 where it cannot be opened; 504 while it is being opened */
  async function openedInTime({ process }: Place): Promise<ModelProcess> {
    const timeout = Promise.withResolvers<never>()
    const timer = setTimeout(() => timeout.reject(late(undefined)), limits.inferTimeoutMs)
    try {
      return await Promise.race([process, timeout.promise])
    } catch (cause) {
      if (cause instanceof OipRefusal) throw cause
      throw new OipRefusal(503, (cause as Error).message, { cause, retryAfterS: 30 })
    } finally {
      clearTimeout(timer)
    }
  }

  const late = (cause: unknown) =>
    new OipRefusal(504, `Cannot answer within ${limits.inferTimeoutMs} ms`, { cause })

  return {
    get open() {
      return places.size
    },
    signatureOf: async (model) => await asked(model, async ({ signature }) => signature, 503),
    infer: async (model, inputs) =>
      await asked(model, (process) => process.infer(inputs, limits.inferTimeoutMs), 500),
    look: async (model, picture, options, signal) => {
      for (;;) {
        signal.throwIfAborted()
        const free = freed.promise
        const place = placeFor(model)
        if (place) {
          const act = (process: ModelProcess) =>
            process.look(picture, options, limits.inferTimeoutMs)
          return await unless(
            signal,
            inTurn(place, ({ process }) => process, act, signal),
          )
        }
        await unless(signal, free)
      }
    },
    async [Symbol.asyncDispose]() {
      closed = true
      clearInterval(tidy)
      const open = [...places.values()]
      for (const [key, place] of places) drop(key, place)
      for (const { process } of open) await process.then(({ ended }) => ended).catch(() => {})
    },
  }
}

/** Waits for something no longer than until `signal` aborts. @throws its reason */
async function unless<T>(signal: AbortSignal, awaited: Promise<T>): Promise<T> {
  const aborted = Promise.withResolvers<never>()
  const abort = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', abort)
  try {
    return await Promise.race([awaited, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
    awaited.catch(() => {}) // when it fails later, nobody is there to be told
  }
}
