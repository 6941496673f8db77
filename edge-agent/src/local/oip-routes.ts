/**
 * The agent as an Open Inference Protocol v2 server: any model it holds, for whoever has the token. Streams
 * come first; how many requests may wait, how large they are and how long they take is bounded.
 */
import { Misfit, parse } from '@edgeloop/protocol/check'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { BusyError } from '../media/media-fleet.ts'
import type { ModelSignature } from '../models/model.ts'
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
} from '../runtimes/oip-wire.ts'
import type { Tensor, TensorInfo, Tensors } from '../runtimes/runtime.ts'

/** Models that can be run on tensors. */
export interface ServedModels {
  names(): readonly string[]
  /** A model's tensors, or why it cannot run; undefined where there is none of that name. */
  describe(name: string): Promise<{ signature: ModelSignature } | { refusal: string } | undefined>
  /**
   * @throws {BusyError} when it may work later
   * @throws {Error} when it does not work
   */
  infer(name: string, inputs: Tensors): Promise<Tensors>
}

export type OipLimits = {
  /** Largest body of a request: an RGB frame of 1920×1080 in floats fits. */
  readonly bodyBytesMax: number
  /** Requests whose bodies are read or that wait for their answer; more are refused. */
  readonly requestsMax: number
  readonly inferTimeoutMs: number
}

export const oipServerLimits: OipLimits = {
  bodyBytesMax: 32 * 1024 * 1024,
  requestsMax: 4,
  inferTimeoutMs: 20_000,
}

export type OipRoutesOptions = {
  readonly models: ServedModels
  readonly version: string
  readonly limits: OipLimits
  /** An inference was asked for; `result` is an HTTP status. */
  readonly count: (result: number) => void
}

type ToModel = { Params: { model: string } }

/** A refusal with its HTTP status. */
class Refused extends Error {
  readonly statusCode: number

  constructor(statusCode: number, text: string) {
    super(text)
    this.name = 'Refused'
    this.statusCode = statusCode
  }
}

export function mountOip(app: FastifyInstance, options: OipRoutesOptions): void {
  const { models, version, limits } = options
  app.get('/v2/health/live', async () => ({ live: true }))
  app.get('/v2/health/ready', async () => ({ ready: true }))
  app.get('/v2', async () => ({ name: 'edgeloop', version, extensions: ['binary_tensor_data'] }))
  // There is one version of every model: the one that runs.
  for (const path of ['/v2/models/:model', '/v2/models/:model/versions/1']) {
    app.get<ToModel>(`${path}/ready`, async ({ params }) => {
      await signatureOf(models, params.model)
      return { name: params.model, ready: true }
    })
    app.get<ToModel>(path, async ({ params }) => {
      const { inputs, outputs } = await signatureOf(models, params.model)
      return {
        name: params.model,
        versions: ['1'],
        platform: 'edgeloop',
        inputs: inputs.map(metadataOf),
        outputs: outputs.map(metadataOf),
      }
    })
    app.post<ToModel>(
      `${path}/infer`,
      { bodyLimit: limits.bodyBytesMax, onRequest: admission(limits) },
      async (request, reply) => {
        reply.raw.once('close', () => options.count(reply.statusCode))
        return await infer(request, reply, options)
      },
    )
  }
}

/** Refuses before a body is read, so that only so many bodies are in memory. */
function admission({ requestsMax }: OipLimits) {
  let underWay = 0
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const encoding = request.headers['content-encoding']
    if (encoding !== undefined && encoding !== 'identity') {
      throw new Refused(415, `Cannot read a body of encoding "${encoding}": send it as it is`)
    }
    if (underWay >= requestsMax) {
      reply.header('retry-after', '1')
      throw new Refused(503, `Cannot take the request: ${requestsMax} are under way; try again`)
    }
    underWay++
    reply.raw.once('close', () => underWay--)
  }
}

async function infer(
  request: FastifyRequest<ToModel>,
  reply: FastifyReply,
  { models, limits }: OipRoutesOptions,
): Promise<unknown> {
  const { model } = request.params
  const signature = await signatureOf(models, model)
  const { wish, inputs } = readRequest(request, signature)
  const wanted = wantedOutputs(wish, signature)
  const results = await within(models.infer(model, inputs), limits.inferTimeoutMs)
  const binary: Tensor[] = []
  const outputs = wanted.map(({ name, isBinary }) => {
    const tensor = results[name]
    if (!tensor) throw new Refused(500, `Cannot answer: the model gave no "${name}"`)
    if (isBinary) {
      binary.push(tensor)
      return headOf(name, tensor)
    }
    return { ...headOf(name, tensor), parameters: undefined, data: numbersOf(tensor, name) }
  })
  const json = {
    model_name: model,
    model_version: '1',
    ...(wish.id !== undefined && { id: wish.id }),
    outputs,
  }
  const { body, jsonLength } = bodyOf(json, binary)
  if (binary.length > 0) reply.header(jsonLengthHeader, jsonLength)
  return reply.type(binary.length > 0 ? 'application/octet-stream' : 'application/json').send(body)
}

/** @throws {Refused} with 400 for everything that is wrong with what was sent */
function readRequest(
  { body, headers }: FastifyRequest,
  { inputs }: ModelSignature,
): { wish: InferRequest; inputs: Tensors } {
  try {
    if (!Buffer.isBuffer(body)) throw new Error('is empty')
    const header = headers[jsonLengthHeader]
    const { json, binary } = splitBody(body, Array.isArray(header) ? header.join() : header)
    const wish = parse(InferRequest, json, 'request')
    const tensors = readTensors(wish.inputs, binary)
    for (const info of inputs) checkInput(info, tensors.get(info.name))
    const extra = wish.inputs.find(({ name }) => !inputs.some((info) => info.name === name))
    if (extra) throw new Error(`has "${extra.name}", which the model does not take`)
    return { wish, inputs: Object.fromEntries(tensors) }
  } catch (error) {
    const { message } = error as Error
    throw new Refused(400, error instanceof Misfit ? message : `Cannot read request: it ${message}`)
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
): { name: string; isBinary: boolean }[] {
  const all = parameters?.binary_data_output ?? false
  if (!outputs || outputs.length === 0) {
    return signature.outputs.map(({ name }) => ({ name, isBinary: all }))
  }
  const names = signature.outputs.map(({ name }) => name)
  return outputs.map(({ name, parameters: own }) => {
    if (names.includes(name)) return { name, isBinary: own?.binary_data ?? all }
    throw new Refused(400, `Cannot give "${name}": the model gives ${names.join(', ')}`)
  })
}

function numbersOf(tensor: Tensor, name: string): (number | boolean)[] {
  try {
    return jsonNumbers(tensor)
  } catch (error) {
    const text = `Cannot give "${name}" as JSON: ${(error as Error).message}`
    throw new Refused(400, `${text}; ask for binary_data`)
  }
}

/** @throws {Refused} 404 where there is no such model, 503 where it cannot run */
async function signatureOf(models: ServedModels, name: string): Promise<ModelSignature> {
  const found = await models.describe(name)
  if (found && 'signature' in found) return found.signature
  if (found) throw new Refused(503, found.refusal)
  const has = models.names().join(', ') || 'none'
  throw new Refused(404, `There is no model "${name}"; there are ${has}`)
}

/** Waits for an inference, but not for ever; one that comes later is thrown away. */
async function within(running: Promise<Tensors>, timeoutMs: number): Promise<Tensors> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => late.reject(new Refused(504, `Cannot answer within ${timeoutMs} ms`)),
    timeoutMs,
  )
  try {
    return await Promise.race([running, late.promise])
  } catch (error) {
    running.catch(() => {}) // when it fails later, nobody is there to be told
    if (error instanceof Refused) throw error
    throw new Refused(error instanceof BusyError ? 503 : 500, (error as Error).message)
  } finally {
    clearTimeout(timer)
  }
}

function metadataOf({ name, type, shape }: TensorInfo): object {
  const sizes = shape.map((size) => (typeof size === 'number' ? size : -1))
  return { name, datatype: datatypeOf(type), shape: sizes }
}
