/**
 * ONNX Runtime as the compiler uses it: to measure what a graph computes, how fast, and what the runtime
 * made of it. One thread that does not spin unless said otherwise, so that two measurements can be compared.
 * A run blocks the thread it is called from; whoever must stay responsive runs this in a process of its own.
 */
import type { InferenceSession, Tensor } from 'onnxruntime-node'
import { OnnxError } from '../onnx/read.ts'
import type { Numbers, NumberTypeName } from '../onnx/tensor.ts'

export type Level = 'disabled' | 'basic' | 'extended' | 'all'

export type SessionOptions = {
  /** What the runtime may rewrite (default `all`). */
  readonly level?: Level
  /** Threads within one operator (default 1). */
  readonly threads?: number
  /**
   * Whether the runtime plans its memory as one block from the second run on (default true). It keeps what the first run took
   * beside the block, so a large graph needs a third less without.
   */
  readonly memoryPattern?: boolean
  /** Writes the graph as the runtime rewrote it to this file. */
  readonly dumpTo?: string
  /** Writes the time of each operator of each run to a file of this prefix (see `endProfiling`). */
  readonly profileTo?: string
  /**
   * Config entries of ONNX Runtime, as nested keys. By default its rewriting of float weights beside Q/DQ to
   * int8 per tensor is off (`optimization.disable_specified_optimizers`): it ruins models without a word.
   */
  readonly extra?: Readonly<Record<string, unknown>>
}

/** A value that goes in or comes out. */
export type Value = {
  readonly type: NumberTypeName
  readonly dims: readonly number[]
  readonly data: Numbers
}

export type Port = {
  readonly name: string
  readonly type: string
  /** Free dimensions are -1 or a name. */
  readonly shape: readonly (number | string)[]
}

export type Session = AsyncDisposable & {
  readonly inputs: readonly Port[]
  readonly outputs: readonly Port[]
  /**
   * @param wanted names of outputs (default all)
   * @throws {OnnxError} when an input does not fit or the runtime fails
   */
  run(
    feeds: Readonly<Record<string, Value>>,
    wanted?: readonly string[],
  ): Promise<Record<string, Value>>
  /** Ends profiling; the file lies beside `profileTo`. */
  endProfiling(): void
}

const requantizing = { optimization: { disable_specified_optimizers: 'WeightBiasQuantization' } }

/**
 * Loads a model into ONNX Runtime on the CPU.
 * @param model bytes, or a path where tensors lie in other files
 * @throws {OnnxError} when the runtime refuses it
 */
export async function openSession(
  model: Uint8Array | string,
  options: SessionOptions = {},
): Promise<Session> {
  const { level = 'all', threads = 1, dumpTo, profileTo, extra = requantizing } = options
  const ort = await loadOrt()
  const settings: InferenceSession.SessionOptions = {
    executionProviders: ['cpu'],
    graphOptimizationLevel: level,
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    enableMemPattern: options.memoryPattern ?? true,
    ...(dumpTo !== undefined && { optimizedModelFilePath: dumpTo }),
    ...(profileTo !== undefined && { enableProfiling: true, profileFilePrefix: profileTo }),
    extra: { session: { intra_op: { allow_spinning: '0' } }, ...extra },
  }
  const session = await (typeof model === 'string'
    ? ort.InferenceSession.create(model, settings)
    : ort.InferenceSession.create(model, settings)
  ).catch(refusing('Cannot load the model into ONNX Runtime'))
  const portOf = (port: InferenceSession.ValueMetadata): Port => ({
    name: port.name,
    type: port.isTensor ? port.type : 'not a tensor',
    shape: port.isTensor ? port.shape : [],
  })
  return {
    inputs: session.inputMetadata.map(portOf),
    outputs: session.outputMetadata.map(portOf),
    run: async (feeds, wanted = session.outputNames) => {
      const given = Object.entries(feeds).map(
        ([name, given]) => [name, tensorFrom(ort, given)] as const,
      )
      const results = await session
        .run(Object.fromEntries(given), [...wanted])
        .catch(refusing('Cannot run the model'))
      return Object.fromEntries(
        Object.entries(results).map(([name, tensor]) => [name, valueFrom(name, tensor)]),
      )
    },
    endProfiling: () => session.endProfiling(),
    [Symbol.asyncDispose]: () => session.release(),
  }
}

type Ort = typeof import('onnxruntime-node')

/**
 * The package, whose native library is loaded with the first call. On Linux it reports to its vendor unless the
 * process says not to; a thread cannot say so.
 */
async function loadOrt(): Promise<Ort> {
  process.env.ORT_DISABLE_TELEMETRY = '1'
  const ort = await import('onnxruntime-node')
  // It writes to standard error past every logger of ours; what matters comes as an error anyway.
  ort.env.logLevel = 'fatal'
  return ort
}

/** The binding knows float16 only as its bits, which the constructor of a tensor refuses to keep as such. */
function tensorFrom(ort: Ort, { type, data, dims }: Value): Tensor {
  const tensor = new ort.Tensor(type, data as never, dims)
  if (data instanceof Float16Array) {
    const cpuData = new Uint16Array(data.buffer, data.byteOffset, data.length)
    Object.defineProperty(tensor, 'cpuData', { value: cpuData })
  }
  return tensor
}

function valueFrom(name: string, tensor: Tensor): Value {
  const type = tensor.type as string
  if (type === 'string') throw new OnnxError(`Cannot read output "${name}": it holds text`)
  return { type: type as NumberTypeName, dims: tensor.dims, data: tensor.data as Numbers }
}

const refusing =
  (what: string) =>
  (error: unknown): never => {
    throw new OnnxError(`${what}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    })
  }
