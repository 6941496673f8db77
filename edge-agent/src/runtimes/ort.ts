/**
 * The `Runtime` on onnxruntime-node's CPU provider. `run()` blocks the calling thread for the whole
 * inference (the package's own promise wraps a synchronous call), so a session belongs in a worker.
 */
import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { inspectOnnx, OnnxError } from './onnx-file.ts'
import {
  ModelError,
  type Runtime,
  type RuntimeSession,
  type SessionOptions,
  type Tensor,
  type TensorInfo,
  type TensorType,
} from './runtime.ts'

type Ort = typeof import('onnxruntime-node')

const runtimeName = 'ort:cpu'

/** Largest model file: protobuf itself cannot hold more. */
const sizeBytesMax = 2 ** 31 - 1

/** The native library is loaded when the first model is opened, not when this is imported. */
export const ortRuntime: Runtime = {
  name: runtimeName,
  async open(file, options) {
    const bytes = await readModel(file)
    const ort = await import('onnxruntime-node')
    // ORT writes to standard error past every logger of ours; what matters comes as an error anyway.
    ort.env.logLevel = 'fatal'
    try {
      const session = await ort.InferenceSession.create(bytes, settings(options))
      return new OrtSession(ort, session, createHash('sha256').update(bytes).digest('hex'))
    } catch (cause) {
      throw new ModelError(`Cannot load model "${file}": ${reasonOf(cause)}`, { cause })
    }
  },
}

function settings({ threads }: SessionOptions): InferenceSession.SessionOptions {
  return {
    executionProviders: ['cpu'],
    executionMode: 'sequential',
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    logSeverityLevel: 4,
    // A thread that spins while it waits takes the core from decoding (measured: twice as slow).
    extra: { session: { intra_op: { allow_spinning: '0' }, inter_op: { allow_spinning: '0' } } },
  }
}

async function readModel(file: string): Promise<Uint8Array> {
  const refuse = (reason: string, cause?: unknown): never => {
    throw new ModelError(`Cannot load model "${file}": ${reason}`, { cause })
  }
  const found = await stat(file).catch((cause: NodeJS.ErrnoException) =>
    refuse(cause.code === 'ENOENT' ? 'there is no such file' : cause.message, cause),
  )
  if (found.isDirectory()) refuse('it is a folder; name the .onnx file in it')
  if (found.size > sizeBytesMax) refuse(`${found.size} bytes, allowed ${sizeBytesMax}`)
  const bytes = await readFile(file).catch((cause: Error) => refuse(cause.message, cause))
  try {
    const { externalTensors } = inspectOnnx(bytes)
    const [first] = externalTensors
    if (first === undefined) return bytes
    return refuse(
      `tensor "${first}" keeps its data in another file, which is not allowed; save the model with all data inside`,
    )
  } catch (cause) {
    if (cause instanceof OnnxError) return refuse(cause.message, cause)
    throw cause
  }
}

/** ONNX Runtime's reasons in our words; its own, without C++ paths, where we have none. */
function reasonOf(cause: unknown): string {
  const text = (cause as Error).message
  const unknownOperator =
    /No Op registered for (?<operator>\S+) with domain_version of (?<opset>\d+)/.exec(text)?.groups
  if (unknownOperator) {
    const { operator, opset } = unknownOperator
    return `it needs operator "${operator}" of opset ${opset}, which this runtime does not know`
  }
  const custom = /(?:Fatal error: |implementation for )(?<operator>[\w.:]+)\(-?\d+\)/.exec(text)
    ?.groups?.operator
  if (custom) return `it needs operator "${custom}", which this runtime does not know`
  const domain = /Node,? \("[^"]*", (\w+), .*No opset import for domain '([^']*)'/.exec(text)
  if (domain) {
    return `it needs operator "${domain[2]}:${domain[1]}", whose domain the file does not import`
  }
  const opset =
    /Opset (\d+) is under development.*support for domain (\S+) is till opset (\d+)/s.exec(text)
  if (opset) {
    return `it needs opset ${opset[1]} of ${opset[2]}, ONNX Runtime knows up to ${opset[3]}; export it with an older opset`
  }
  // What stands behind the last code or C++ place is the reason itself.
  const place = /\[ONNXRuntimeError\] : \d+ : \w+ : |\S+\.(?:cc|h):\d+ [\w:]+(?:\([^)]*\))? /
  const plain = text.split(place).at(-1) ?? text
  return `ONNX Runtime refused it: ${plain.trim().replace(/\.$/, '')}`
}

class OrtSession implements RuntimeSession {
  readonly runtime = runtimeName
  readonly digest: string
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
  readonly #ort: Ort
  readonly #session: InferenceSession
  #given: OrtTensor[] = []
  #closed = false

  constructor(ort: Ort, session: InferenceSession, digest: string) {
    this.#ort = ort
    this.#session = session
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
    return Object.fromEntries(
      Object.entries(results).map(([name, result]) => [name, tensorOf(result)]),
    )
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
