/**
 * The `Runtime` on onnxruntime-node. `run()` blocks the calling thread for the whole
 * inference (the package's own promise wraps a synchronous call), so a session belongs in a worker.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { loadOrt } from './load-ort.ts'
import { readModelFile } from './model-file.ts'
import {
  type OrtProvider,
  type Placement,
  placementIn,
  providerChain,
  providerReason,
} from './providers.ts'
import {
  ModelError,
  type Runtime,
  type RuntimeSession,
  type SessionOptions,
  type Tensor,
  type TensorInfo,
  type TensorType,
} from './runtime.ts'

/** What is used of the package. */
export type Ort = Pick<typeof import('onnxruntime-node'), 'InferenceSession' | 'Tensor' | 'env'>

/** The CPU: always there, and what every other provider is measured against. */
export const ortRuntime: Runtime = ortRuntimeOn('cpu')

/**
 * ONNX Runtime on one of its providers. Its first run on anything but the CPU is profiled: ONNX Runtime
 * gives what a provider does not take to the CPU without a word, and a model that runs there
 * altogether is refused.
 * @param load gives the package; the native library is loaded with the first model, not before
 */
export function ortRuntimeOn(provider: OrtProvider, load: () => Promise<Ort> = loadOrt): Runtime {
  const name = `ort:${provider}`
  return {
    name,
    async open(file, options) {
      const { bytes, digest } = await readModelFile(file)
      const ort = await load()
      await using stack = new AsyncDisposableStack()
      const profile = provider === 'cpu' ? undefined : stack.use(await openProfile(provider))
      try {
        const session = await ort.InferenceSession.create(
          bytes,
          settings(provider, options, profile),
        )
        stack.move()
        return new OrtSession(ort, session, { runtime: name, digest, profile })
      } catch (cause) {
        const reason = providerReason(provider, (cause as Error).message)
        throw new ModelError(`Cannot load model "${file}": ${reason}`, { cause })
      }
    },
  }
}

function settings(
  provider: OrtProvider,
  { threads }: SessionOptions,
  profile: Profile | undefined,
): InferenceSession.SessionOptions {
  return {
    executionProviders: [...providerChain(provider)],
    executionMode: 'sequential',
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    logSeverityLevel: 4,
    ...(profile && { enableProfiling: true, profileFilePrefix: profile.prefix }),
    extra: {
      // A thread that spins while it waits takes the core from decoding (measured: twice as slow).
      session: { intra_op: { allow_spinning: '0' }, inter_op: { allow_spinning: '0' } },
      // It would turn weights that a compiled model keeps float into int8, one scale for all channels, without a word.
      optimization: { disable_specified_optimizers: 'WeightBiasQuantization' },
    },
  }
}

/** A profile that ONNX Runtime is about to write. */
type Profile = AsyncDisposable & {
  readonly provider: OrtProvider
  readonly prefix: string
  /** Where the operators ran, once the profile is written. */
  read(): Promise<Placement>
}

async function openProfile(provider: OrtProvider): Promise<Profile> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-profile-'))
  return {
    provider,
    prefix: join(folder, 'run'),
    async read() {
      const [file = ''] = await readdir(folder)
      return placementIn(await readFile(join(folder, file), 'utf8'), provider)
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

class OrtSession implements RuntimeSession {
  readonly runtime: string
  readonly digest: string
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
  readonly #ort: Ort
  readonly #session: InferenceSession
  /** Until the first run is over. */
  #profile: Profile | undefined
  #placement: Placement | undefined
  #given: OrtTensor[] = []
  #closed = false

  constructor(
    ort: Ort,
    session: InferenceSession,
    { runtime, digest, profile }: { runtime: string; digest: string; profile: Profile | undefined },
  ) {
    this.#ort = ort
    this.#session = session
    this.#profile = profile
    this.runtime = runtime
    this.digest = digest
    this.inputs = session.inputMetadata.map(infoOf)
    this.outputs = session.outputMetadata.map(infoOf)
  }

  async run(inputs: Readonly<Record<string, Tensor>>): Promise<Readonly<Record<string, Tensor>>> {
    if (this.#closed) throw new Error('Cannot run the model: it was closed')
    this.#release()
    const feeds: Record<string, OrtTensor> = {}
    for (const { name } of this.inputs) {
      const tensor = inputs[name]
      if (!tensor) throw new Error(`Cannot run the model: there is no tensor for input "${name}"`)
      feeds[name] = new this.#ort.Tensor(tensor.type, tensor.data, tensor.shape)
    }
    const results = await this.#session.run(feeds)
    this.#given = Object.values(results)
    if (this.#profile) await this.#place(this.#profile)
    return Object.fromEntries(
      Object.entries(results).map(([name, result]) => [name, tensorOf(result)]),
    )
  }

  get placement(): Placement | undefined {
    return this.#placement
  }

  /** @throws {ModelError} when the provider that was asked for ran nothing */
  async #place(profile: Profile): Promise<void> {
    if (this.#placement === undefined) {
      this.#session.endProfiling()
      this.#placement = await profile.read()
    }
    const { operators, onProvider } = this.#placement
    if (onProvider === 0 && operators > 0) {
      throw new ModelError(
        `Cannot run the model on ${this.runtime}: ONNX Runtime ran all of its ${operators} operators elsewhere; use ort:cpu`,
      )
    }
    this.#profile = undefined
    await profile[Symbol.asyncDispose]()
  }

  /**
   * Frees the memory of the last outputs at once. Left to the garbage collector, which sees only
   * small objects, they pile up to 64 MB (measured with YOLOX-nano: 175 MB resident, 113 MB so).
   */
  #release(): void {
    for (const { data } of this.#given) {
      if (ArrayBuffer.isView(data) && data.buffer instanceof ArrayBuffer) data.buffer.transfer(0)
    }
    this.#given = []
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#release()
    await this.#session.release()
    await this.#profile?.[Symbol.asyncDispose]()
  }
}

const tensorTypes: readonly string[] = [
  'float32',
  'uint8',
  'int8',
  'int32',
  'int64',
  'float16',
  'bool',
] satisfies TensorType[]

function isTensorType(type: string): type is TensorType {
  return tensorTypes.includes(type)
}

function infoOf(meta: InferenceSession.ValueMetadata): TensorInfo {
  if (!meta.isTensor) throw new Error(`"${meta.name}" is no tensor`)
  if (!isTensorType(meta.type)) throw new Error(`"${meta.name}" is of type ${meta.type}`)
  return { name: meta.name, type: meta.type, shape: meta.shape }
}

function tensorOf(result: OrtTensor): Tensor {
  const { type, dims, data } = result
  if (!isTensorType(type) || !ArrayBuffer.isView(data)) {
    throw new Error(`Cannot read an output of type ${type}`)
  }
  // Half floats come as Float16Array where the engine has one; the contract speaks of their bits.
  const bits =
    type === 'float16' ? new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2) : data
  return { type, shape: dims, data: bits as Tensor['data'] }
}
