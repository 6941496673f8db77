/**
 * What a server of the Open Inference Protocol v2 says and refuses, whatever carries it over HTTP: a request is
 * read against the tensors of its model, and what the model gave is written down as it was asked for.
 */
import { Misfit, parse } from './check.ts'
import {
  bodyOf,
  datatypeOf,
  headOf,
  InferRequest,
  jsonLengthHeader,
  jsonNumbers,
  keepsShape,
  readTensors,
  shapeText,
  splitBody,
} from './oip-wire.ts'
import type { Tensor, TensorInfo, Tensors } from './tensor.ts'

/** What a model's tensors are called, and what they hold. */
export type ModelSignature = {
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
}

/** A refusal with its HTTP status; what it says goes into `{error}`. */
export class OipRefusal extends Error {
  readonly statusCode: number
  /** After how many seconds the same may be tried again, where that is known. */
  readonly retryAfterS: number | undefined

  constructor(
    statusCode: number,
    text: string,
    options?: ErrorOptions & { readonly retryAfterS?: number },
  ) {
    super(text, options)
    this.name = 'OipRefusal'
    this.statusCode = statusCode
    this.retryAfterS = options?.retryAfterS
  }
}

/** What was asked of a model, read and found to fit it. */
export type OipInference = {
  readonly id: string | undefined
  readonly inputs: Tensors
  readonly outputs: readonly { readonly name: string; readonly isBinary: boolean }[]
}

/**
 * @param body all of it, as it came
 * @param header value of `jsonLengthHeader`
 * @throws {OipRefusal} with 400 for everything that is wrong with what was sent
 */
export function readInference(
  body: unknown,
  header: string | readonly string[] | undefined,
  signature: ModelSignature,
): OipInference {
  try {
    if (!(body instanceof Uint8Array)) throw new Error('is empty')
    const length = typeof header === 'object' ? header.join() : header
    const { json, binary } = splitBody(body, length)
    const wish = parse(InferRequest, json, 'request')
    const tensors = readTensors(wish.inputs, binary)
    for (const info of signature.inputs) checkInput(info, tensors.get(info.name))
    const known = signature.inputs.map(({ name }) => name)
    const extra = wish.inputs.find(({ name }) => !known.includes(name))
    if (extra) throw new Error(`has "${extra.name}", which the model does not take`)
    const outputs = wantedOutputs(wish, signature)
    return { id: wish.id, inputs: Object.fromEntries(tensors), outputs }
  } catch (error) {
    if (error instanceof OipRefusal) throw error
    const { message } = error as Error
    const text = error instanceof Misfit ? message : `Cannot read request: it ${message}`
    throw new OipRefusal(400, text, { cause: error })
  }
}

function checkInput({ name, type, shape }: TensorInfo, tensor: Tensor | undefined): void {
  const expected = `${datatypeOf(type)} ${shapeText(shape)}`
  if (!tensor) throw new Error(`lacks input "${name}" ${expected}`)
  if (tensor.type === type && keepsShape(tensor.shape, shape)) return
  const has = `${datatypeOf(tensor.type)} ${shapeText(tensor.shape)}`
  throw new Error(`has "${name}" ${has}, expected ${expected}`)
}

function wantedOutputs(
  { outputs, parameters }: InferRequest,
  signature: ModelSignature,
): OipInference['outputs'] {
  const all = parameters?.binary_data_output ?? false
  if (!outputs || outputs.length === 0) {
    return signature.outputs.map(({ name }) => ({ name, isBinary: all }))
  }
  const names = signature.outputs.map(({ name }) => name)
  return outputs.map(({ name, parameters: own }) => {
    if (names.includes(name)) return { name, isBinary: own?.binary_data ?? all }
    throw new OipRefusal(400, `Cannot give "${name}": the model gives ${names.join(', ')}`)
  })
}

/** An answer on its way: its body, and the headers that say how it is to be read. */
export type OipReply = {
  readonly body: Buffer
  readonly headers: Readonly<Record<string, string>>
}

/**
 * @param results what the model gave
 * @throws {OipRefusal} 400 for what JSON cannot carry; 500 where the model gave less than it promised
 */
export function writeInference(
  model: { readonly name: string; readonly version: string },
  { id, outputs: wanted }: OipInference,
  results: Tensors,
): OipReply {
  const binary: Tensor[] = []
  const outputs = wanted.map(({ name, isBinary }) => {
    const tensor = results[name]
    if (!tensor) throw new OipRefusal(500, `Cannot answer: the model gave no "${name}"`)
    if (isBinary) {
      binary.push(tensor)
      return headOf(name, tensor)
    }
    return { ...headOf(name, tensor), parameters: undefined, data: numbersOf(tensor, name) }
  })
  const json = {
    model_name: model.name,
    model_version: model.version,
    ...(id !== undefined && { id }),
    outputs,
  }
  const { body, jsonLength } = bodyOf(json, binary)
  if (binary.length === 0) return { body, headers: { 'content-type': 'application/json' } }
  return {
    body,
    headers: {
      'content-type': 'application/octet-stream',
      [jsonLengthHeader]: String(jsonLength),
    },
  }
}

function numbersOf(tensor: Tensor, name: string): (number | boolean)[] {
  try {
    return jsonNumbers(tensor)
  } catch (error) {
    const text = `Cannot give "${name}" as JSON: ${(error as Error).message}`
    throw new OipRefusal(400, `${text}; ask for binary_data`)
  }
}

/** What `GET /v2` answers. */
export const oipServerOf = (version: string) => ({
  name: 'edgeloop',
  version,
  extensions: ['binary_tensor_data'],
})

/** What `GET /v2/models/NAME` answers. */
export function oipModelOf(
  name: string,
  versions: readonly string[],
  { inputs, outputs }: ModelSignature,
) {
  return {
    name,
    versions: [...versions],
    platform: 'edgeloop',
    inputs: inputs.map(metadataOf),
    outputs: outputs.map(metadataOf),
  }
}

function metadataOf({ name, type, shape }: TensorInfo) {
  const sizes = shape.map((size) => (typeof size === 'number' ? size : -1))
  return { name, datatype: datatypeOf(type), shape: sizes }
}

/** Why a body is not taken because of how it is packed; undefined where it is taken. */
export function encodingFault(encoding: string | undefined): OipRefusal | undefined {
  if (encoding === undefined || encoding === 'identity') return undefined
  return new OipRefusal(415, `Cannot read a body of encoding "${encoding}": send it as it is`)
}

/** Waits for an inference, but not for ever; one that comes later is thrown away. @throws {OipRefusal} 504 */
export async function inferWithin(running: Promise<Tensors>, timeoutMs: number): Promise<Tensors> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => late.reject(new OipRefusal(504, `Cannot answer within ${timeoutMs} ms`)),
    timeoutMs,
  )
  try {
    return await Promise.race([running, late.promise])
  } finally {
    running.catch(() => {}) // when it fails later, nobody is there to be told
    clearTimeout(timer)
  }
}
