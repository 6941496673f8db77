/**
 * An Open Inference Protocol v2 server for tests: real HTTP, real inference by onnxruntime-node, and
 * nothing of the agent's own protocol code, so that a mistake there is not made twice. It can be told
 * to lie, to hang and to break off.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { InferenceSession, Tensor } from 'onnxruntime-node'

/** An answer before it is sent: a misbehaviour may change all of it. */
export type Answer = {
  status: number
  headers: Record<string, string>
  json: Record<string, unknown>
  tensors: Uint8Array[]
}

/** Told every answer and its connection; may change the one, destroy the other, or never settle. */
export type Misbehaviour = (
  path: string,
  answer: Answer,
  response: ServerResponse,
) => void | Promise<void>

export type OipServer = AsyncDisposable & {
  /** Without a slash at its end. */
  readonly url: string
  readonly port: number
  /** What is done to answers from now on; undefined: nothing. */
  misbehave: Misbehaviour | undefined
  /** Connections taken so far. */
  readonly connections: number
  /** Method and path of every request. */
  readonly requests: readonly string[]
  /** Puts a model there, as its operator would. */
  put(name: string, bytes: Uint8Array): Promise<void>
}

const datatypes: Readonly<Record<string, string>> = {
  float32: 'FP32',
  uint8: 'UINT8',
  int8: 'INT8',
  int32: 'INT32',
  int64: 'INT64',
  bool: 'BOOL',
}

/** @param repository says whether models may be loaded over HTTP, as with Triton */
export async function startOipServer({
  port = 0,
  repository = true,
  token,
}: {
  port?: number
  repository?: boolean
  token?: string
} = {}): Promise<OipServer> {
  const models = new Map<string, InferenceSession>()
  const requests: string[] = []
  let connections = 0
  const put = async (name: string, bytes: Uint8Array): Promise<void> => {
    const session = await InferenceSession.create(bytes, {
      executionProviders: ['cpu'],
      intraOpNumThreads: 1,
      logSeverityLevel: 4,
    })
    models.set(name, session)
  }
  const server: Server = createServer((request, response) => {
    const path = request.url ?? ''
    requests.push(`${request.method} ${path}`)
    const allowed = token === undefined || request.headers.authorization === `Bearer ${token}`
    const answering = allowed
      ? answerOf(request, { models, put, repository })
      : Promise.resolve(failure(401, 'no token'))
    void answering
      .catch((error: Error) => failure(400, error.message))
      .then(async (answer) => {
        await self.misbehave?.(path, answer, response)
        if (!response.destroyed && !response.writableEnded) send(answer, response)
      })
  })
  server.on('connection', () => connections++)
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const bound = (server.address() as AddressInfo).port
  const self: OipServer = {
    url: `http://127.0.0.1:${bound}`,
    port: bound,
    misbehave: undefined,
    get connections() {
      return connections
    },
    requests,
    put,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      if (!server.listening) return
      await new Promise((resolve) => server.close(resolve))
      for (const session of models.values()) await session.release()
      models.clear()
    },
  }
  return self
}

type House = {
  readonly models: ReadonlyMap<string, InferenceSession>
  readonly put: (name: string, bytes: Uint8Array) => Promise<void>
  readonly repository: boolean
}

function failure(status: number, error: string): Answer {
  return { status, headers: { 'content-type': 'application/json' }, json: { error }, tensors: [] }
}

function success(json: Record<string, unknown>): Answer {
  return { status: 200, headers: { 'content-type': 'application/json' }, json, tensors: [] }
}

async function answerOf(request: IncomingMessage, house: House): Promise<Answer> {
  const body = await bodyOf(request)
  const [, v2, room, ...rest] = (request.url ?? '').split('/').map(decodeURIComponent)
  if (v2 !== 'v2') return failure(404, 'no such path')
  if (room === undefined) {
    const extensions = ['binary_tensor_data', ...(house.repository ? ['model_repository'] : [])]
    return success({ name: 'test', version: '1', extensions })
  }
  if (room === 'repository' && house.repository) return await load(rest, body, house)
  if (room !== 'models') return failure(404, 'no such path')
  const [name = '', act] = rest
  const session = house.models.get(name)
  if (!session) return failure(404, `Request for unknown model: '${name}' is not found`)
  if (act === 'ready') return success({})
  if (act === 'infer') return await infer(session, request, body)
  return success({
    name,
    versions: ['1'],
    platform: 'onnxruntime_onnx',
    inputs: session.inputMetadata.map(metadataOf),
    outputs: session.outputMetadata.map(metadataOf),
  })
}

async function load([, name = '', act]: string[], body: Buffer, house: House): Promise<Answer> {
  if (act !== 'load') return failure(404, 'no such path')
  const { parameters } = JSON.parse(body.toString())
  if (typeof parameters.config !== 'string') return failure(400, 'a file needs a config')
  await house.put(name, Buffer.from(parameters['file:1/model.onnx'], 'base64'))
  return success({})
}

function metadataOf(meta: InferenceSession.ValueMetadata): object {
  if (!meta.isTensor) throw new Error(`${meta.name} is no tensor`)
  const shape = meta.shape.map((size) => (typeof size === 'number' ? size : -1))
  return { name: meta.name, datatype: datatypes[meta.type], shape }
}

async function infer(
  session: InferenceSession,
  request: IncomingMessage,
  body: Buffer,
): Promise<Answer> {
  const jsonLength = Number(request.headers['inference-header-content-length'] ?? body.length)
  const { inputs, parameters } = JSON.parse(body.subarray(0, jsonLength).toString())
  let at = jsonLength
  const feeds: Record<string, Tensor> = {}
  for (const { name, datatype, shape, parameters: own, data } of inputs) {
    const type = Object.keys(datatypes).find((key) => datatypes[key] === datatype)
    if (!type) throw new Error(`unknown datatype ${datatype}`)
    const size = own?.binary_data_size ?? 0
    const bytes = new Uint8Array(body.subarray(at, at + size))
    at += size
    feeds[name] = new Tensor(type as 'float32', data ?? numbersIn(type, bytes), shape)
  }
  const results = await session.run(feeds)
  const binary = parameters?.binary_data_output === true
  const answer = success({ model_name: 'm', outputs: [] })
  const outputs = Object.entries(results).map(([name, { type, dims, data }]) => {
    const head = { name, datatype: datatypes[type], shape: [...dims] }
    const numbers = data as Float32Array
    if (!binary) return { ...head, data: Array.from(numbers, Number) }
    const bytes = new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength)
    answer.tensors.push(bytes)
    return { ...head, parameters: { binary_data_size: bytes.length } }
  })
  answer.json.outputs = outputs
  return answer
}

function numbersIn(type: string, { buffer }: Uint8Array<ArrayBuffer>): Float32Array {
  const arrays: Record<string, (buffer: ArrayBuffer) => unknown> = {
    float32: (bytes) => new Float32Array(bytes),
    int32: (bytes) => new Int32Array(bytes),
    int64: (bytes) => new BigInt64Array(bytes),
    int8: (bytes) => new Int8Array(bytes),
  }
  return (arrays[type] ?? ((bytes) => new Uint8Array(bytes)))(buffer) as Float32Array
}

function send({ status, headers, json, tensors }: Answer, response: ServerResponse): void {
  const head = Buffer.from(JSON.stringify(json))
  const body = Buffer.concat([head, ...tensors])
  response.writeHead(status, {
    ...(tensors.length > 0 && { 'inference-header-content-length': String(head.length) }),
    'content-length': String(body.length),
    ...headers,
  })
  response.end(body)
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>))
}
