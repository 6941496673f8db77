/**
 * A model on an Open Inference Protocol server. Its metadata are a promise: every answer is held
 * against it, and after every trouble the promise is asked for again before the next run.
 */
import { parse } from '@edgeloop/protocol/check'
import {
  bodyOf,
  headOf,
  InferAnswer,
  jsonBytesMax,
  jsonLengthHeader,
  keepsShape,
  ModelMetadata,
  readTensors,
  ServerMetadata,
  shapeText,
  splitBody,
  typeOf,
} from '@edgeloop/protocol/oip'
import type { Static, TSchema } from 'typebox'
import type { ModelFile } from './model-file.ts'
import { type OipAnswer, OipConnection, OipFault, type OipRequest } from './oip-connection.ts'
import { saidReason } from './ort-reason.ts'
import {
  elementBytes,
  elementsOf,
  ModelError,
  type RuntimeSession,
  type SessionOptions,
  type Tensor,
  type TensorInfo,
} from './runtime.ts'

/** Where the model is. */
export type OipAddress = {
  readonly origin: string
  /** Name on the server; without one the file says it. */
  readonly model: string | undefined
  readonly token: string | undefined
}

export type OipLimits = {
  /** For what the server says about itself and its models. */
  readonly metadataTimeoutMs: number
  /** For loading a model that is sent to the server; one that takes longer is found ready later. */
  readonly loadTimeoutMs: number
  readonly inferTimeoutMs: number
  /**
   * For all that opening or running takes together: below the 30 s after which the watchdog takes a media
   * process for hung.
   */
  readonly totalTimeoutMs: number
  /** Largest answer of a model that leaves the size of its outputs free. */
  readonly answerBytesMax: number
}

export const oipLimits: OipLimits = {
  metadataTimeoutMs: 10_000,
  loadTimeoutMs: 20_000,
  inferTimeoutMs: 20_000,
  totalTimeoutMs: 25_000,
  answerBytesMax: 256 * 1024 * 1024,
}

/** Largest model that is sent to a server: as base64 it must fit into one string. */
const uploadBytesMax = 256 * 1024 * 1024

type Promised = { readonly inputs: readonly TensorInfo[]; readonly outputs: readonly TensorInfo[] }

export type OipSessionParts = {
  readonly runtime: string
  readonly address: OipAddress
  readonly file: string
  readonly model: ModelFile
  readonly options: SessionOptions
  readonly limits: OipLimits
}

/** @throws {ModelError} when the server cannot be reached, or has and takes no such model */
export async function openOipSession(parts: OipSessionParts): Promise<RuntimeSession> {
  const { address, file, options } = parts
  await using stack = new AsyncDisposableStack()
  const connection = new OipConnection(address.origin, address.token, options.signal)
  stack.use(connection)
  try {
    const bounds = new Bounds(parts.limits)
    const found = await findModel(connection, parts, bounds)
    const promised = await promiseOf(connection, found.name, bounds)
    stack.move()
    return new OipSession(connection, parts, found, promised)
  } catch (cause) {
    options.signal?.throwIfAborted()
    throw new ModelError(`Cannot load model "${file}": ${(cause as Error).message}`, { cause })
  }
}

/** The model under the name it has on the server, and whether this file was sent there for it. */
type Found = { readonly name: string; readonly sent: boolean }

/**
 * Finds the model on the server: under the name that was given; else under the name of the file; else
 * the file itself is sent there, under a name that holds its digest, so that what runs is certain.
 */
async function findModel(
  connection: OipConnection,
  parts: OipSessionParts,
  bounds: Bounds,
): Promise<Found> {
  const { address, file, model } = parts
  const given = address.model
  const name = given ?? nameOf(file)
  const problem = await readyProblem(connection, name, bounds)
  if (problem === undefined) return { name, sent: false }
  if (given !== undefined) throw problem
  const sentName = `${name}_${model.digest.slice(0, 16)}`
  if ((await readyProblem(connection, sentName, bounds)) === undefined) {
    return { name: sentName, sent: true }
  }
  const answer = await connection.send({ method: 'GET', path: '/v2', ...bounds.metadata })
  const { extensions = [] } = read(ServerMetadata, answer, address.origin)
  if (!extensions.includes('model_repository')) {
    throw new Error(
      `OIP server "${address.origin}" has no model "${name}" and takes none; put it there, or name the one to use: oip:${address.origin}/MODEL`,
    )
  }
  await sendModel(connection, sentName, parts, bounds)
  return { name: sentName, sent: true }
}

/** Undefined when the model can infer; else what the server says. */
async function readyProblem(
  connection: OipConnection,
  name: string,
  bounds: Bounds,
): Promise<Error | undefined> {
  try {
    const path = `/v2/models/${encodeURIComponent(name)}/ready`
    await connection.send({ method: 'GET', path, ...bounds.metadata })
    return undefined
  } catch (error) {
    const status = error instanceof OipFault ? error.status : undefined
    if (status !== 400 && status !== 404 && status !== 503) throw error
    const { said, message } = error as OipFault
    const why = said === undefined ? message : saidReason(said)
    return new Error(`model "${name}" is not ready there: ${why}`, { cause: error })
  }
}

/**
 * Loads the file on the server through the model repository extension of Triton: `file:` parameters
 * carry the content, and a configuration has to come with them.
 */
async function sendModel(
  connection: OipConnection,
  name: string,
  { model }: OipSessionParts,
  bounds: Bounds,
): Promise<void> {
  const { bytes } = model
  if (bytes.length > uploadBytesMax) {
    throw new Error(
      `${bytes.length} bytes are too many to send to a server (${uploadBytesMax}); put the model there`,
    )
  }
  const content = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
  const parameters = {
    config: JSON.stringify({ backend: 'onnxruntime' }),
    'file:1/model.onnx': content,
  }
  try {
    await connection.send({
      method: 'POST',
      path: `/v2/repository/models/${encodeURIComponent(name)}/load`,
      headers: { 'content-type': 'application/json' },
      body: Buffer.from(JSON.stringify({ parameters })),
      ...bounds.load,
    })
  } catch (error) {
    if (error instanceof OipFault && error.said !== undefined) {
      throw new Error(saidReason(error.said), { cause: error })
    }
    throw error
  }
}

async function promiseOf(
  connection: OipConnection,
  name: string,
  bounds: Bounds,
): Promise<Promised> {
  const path = `/v2/models/${encodeURIComponent(name)}`
  const answer = await connection.send({ method: 'GET', path, ...bounds.metadata })
  const metadata = read(ModelMetadata, answer, `model "${name}"`)
  const infos = (tensors: ModelMetadata['inputs']): TensorInfo[] =>
    tensors.map(({ name, datatype, shape }) => {
      try {
        return { name, type: typeOf(datatype), shape }
      } catch (error) {
        throw new Error(`its "${name}" is of ${(error as Error).message}`)
      }
    })
  return { inputs: infos(metadata.inputs), outputs: infos(metadata.outputs) }
}

function read<S extends TSchema>(schema: S, { body }: OipAnswer, what: string): Static<S> {
  try {
    return parse(schema, splitBody(body, undefined).json, 'answer')
  } catch (error) {
    const why = (error as Error).message.replace('Cannot read answer: ', '')
    throw new Error(`what the server says about ${what} is none of the protocol: ${why}`)
  }
}

class OipSession implements RuntimeSession {
  readonly runtime: string
  readonly digest: string
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
  readonly #connection: OipConnection
  readonly #parts: OipSessionParts
  readonly #answerBytesMax: number
  #found: Found
  /** False after a failure: the server may have been started anew, with another model. */
  #certain = true
  #closed = false

  constructor(connection: OipConnection, parts: OipSessionParts, found: Found, promised: Promised) {
    this.#connection = connection
    this.#parts = parts
    this.#found = found
    this.runtime = parts.runtime
    this.digest = parts.model.digest
    this.inputs = promised.inputs
    this.outputs = promised.outputs
    this.#answerBytesMax = Math.min(
      parts.limits.answerBytesMax,
      promised.outputs.reduce((sum, info) => sum + bytesMaxOf(info), jsonBytesMax),
    )
  }

  async run(inputs: Readonly<Record<string, Tensor>>): Promise<Readonly<Record<string, Tensor>>> {
    if (this.#closed) throw new Error('Cannot run the model: it was closed')
    this.#parts.options.signal?.throwIfAborted()
    const given = this.inputs.map((info) => checkedInput(info, inputs[info.name]))
    const heads = this.inputs.map(({ name }, i) => headOf(name, given[i]!))
    const { body, jsonLength } = bodyOf(
      { inputs: heads, parameters: { binary_data_output: true } },
      given,
    )
    try {
      const bounds = new Bounds(this.#parts.limits)
      if (!this.#certain) await this.#askAgain(bounds)
      this.#certain = false
      const answer = await this.#connection.send({
        method: 'POST',
        path: `/v2/models/${encodeURIComponent(this.#found.name)}/infer`,
        headers: {
          'content-type': 'application/octet-stream',
          [jsonLengthHeader]: String(jsonLength),
        },
        body,
        ...bounds.infer(this.#answerBytesMax),
      })
      const outputs = this.#outputsIn(answer)
      this.#certain = true
      return outputs
    } catch (cause) {
      this.#parts.options.signal?.throwIfAborted()
      throw new ModelError(`Cannot run the model: ${(cause as Error).message}`, { cause })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#connection[Symbol.asyncDispose]()
  }

  /** @throws {Error} when the model is gone, or is another one now */
  async #askAgain(bounds: Bounds): Promise<void> {
    this.#found = await findModel(this.#connection, this.#parts, bounds)
    const now = await promiseOf(this.#connection, this.#found.name, bounds)
    const before = { inputs: this.inputs, outputs: this.outputs }
    if (JSON.stringify(now) === JSON.stringify(before)) return
    throw new Error(
      `model "${this.#found.name}" of OIP server "${this.#parts.address.origin}" has become another one: ${shownPromise(now)}, before ${shownPromise(before)}`,
    )
  }

  #outputsIn({ body, headers }: OipAnswer): Record<string, Tensor> {
    const what = `the answer of OIP server "${this.#parts.address.origin}"`
    try {
      const header = headers[jsonLengthHeader]
      const { json, binary } = splitBody(body, Array.isArray(header) ? header.join() : header)
      const { outputs } = parse(InferAnswer, json, 'answer')
      const tensors = readTensors(outputs, binary)
      for (const info of this.outputs) keepPromise(info, tensors.get(info.name))
      const extra = outputs.find(({ name }) => !this.outputs.some((info) => info.name === name))
      if (extra) throw new Error(`has "${extra.name}", which was not promised`)
      return Object.fromEntries(tensors)
    } catch (error) {
      const why = (error as Error).message.replace(/^Cannot read answer: /, 'is none: ')
      throw new Error(`${what} ${why}`)
    }
  }
}

function checkedInput({ name, type, shape }: TensorInfo, tensor: Tensor | undefined): Tensor {
  if (!tensor) throw new Error(`Cannot run the model: there is no tensor for input "${name}"`)
  const fits = tensor.type === type && keepsShape(tensor.shape, shape)
  if (fits && tensor.data.length === elementsOf(tensor.shape)) return tensor
  const has = `${tensor.type} with dimensions ${shapeText(tensor.shape)} and ${tensor.data.length} elements`
  throw new Error(
    `Cannot run the model: input "${name}" has ${has}, expected ${type} ${shapeText(shape)}`,
  )
}

function keepPromise(info: TensorInfo, tensor: Tensor | undefined): void {
  if (!tensor) throw new Error(`lacks "${info.name}"`)
  if (tensor.type === info.type && keepsShape(tensor.shape, info.shape)) return
  const has = `${tensor.type} ${shapeText(tensor.shape)}`
  throw new Error(`has "${info.name}" ${has}, promised was ${info.type} ${shapeText(info.shape)}`)
}

/** Infinity where a dimension is free. */
function bytesMaxOf({ type, shape }: TensorInfo): number {
  const sizes = shape.map((size) => (typeof size === 'string' || size < 0 ? Infinity : size))
  return elementsOf(sizes) * elementBytes[type]
}

/** What the requests of one opening or one run may take: each its own, and all together the total. */
class Bounds {
  readonly #limits: OipLimits
  readonly #endMs: number

  constructor(limits: OipLimits) {
    this.#limits = limits
    this.#endMs = performance.now() + limits.totalTimeoutMs
  }

  get metadata(): RequestBounds {
    return this.#of(this.#limits.metadataTimeoutMs, jsonBytesMax)
  }

  get load(): RequestBounds {
    return this.#of(this.#limits.loadTimeoutMs, jsonBytesMax)
  }

  infer(bytesMax: number): RequestBounds {
    return this.#of(this.#limits.inferTimeoutMs, bytesMax)
  }

  #of(timeoutMs: number, bytesMax: number): RequestBounds {
    const leftMs = Math.max(1, Math.ceil(this.#endMs - performance.now()))
    return { timeoutMs: Math.min(timeoutMs, leftMs), bytesMax }
  }
}

type RequestBounds = Pick<OipRequest, 'timeoutMs' | 'bytesMax'>

function shownPromise({ inputs, outputs }: Promised): string {
  const shown = ({ name, type, shape }: TensorInfo) => `"${name}" ${type} ${shapeText(shape)}`
  return `${inputs.map(shown).join(', ')} → ${outputs.map(shown).join(', ')}`
}

/** The file's name without its ending, in letters that every server takes. */
function nameOf(file: string): string {
  const base = file.split(/[/\\]/).at(-1) ?? file
  return base.replace(/\.onnx$/i, '').replace(/[^A-Za-z0-9._-]/g, '_')
}
