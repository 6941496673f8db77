/**
 * The agent as an Open Inference Protocol v2 server: any model it holds, for whoever has the token. Streams
 * come first; how many requests may wait, how large they are and how long they take is bounded.
 */
import {
  encodingFault,
  inferWithin,
  jsonLengthHeader,
  type ModelSignature,
  OipRefusal,
  oipModelOf,
  oipServerOf,
  readInference,
  type Tensors,
  writeInference,
} from '@edgeloop/protocol/oip'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { BusyError } from '../media/media-fleet.ts'

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

export function mountOip(app: FastifyInstance, options: OipRoutesOptions): void {
  const { models, version, limits } = options
  app.get('/v2/health/live', async () => ({ live: true }))
  app.get('/v2/health/ready', async () => ({ ready: true }))
  app.get('/v2', async () => oipServerOf(version))
  // There is one version of every model: the one that runs.
  for (const path of ['/v2/models/:model', '/v2/models/:model/versions/1']) {
    app.get<ToModel>(`${path}/ready`, async ({ params }) => {
      await signatureOf(models, params.model)
      return { name: params.model, ready: true }
    })
    app.get<ToModel>(path, async ({ params }) =>
      oipModelOf(params.model, ['1'], await signatureOf(models, params.model)),
    )
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
    const fault = encodingFault(request.headers['content-encoding'])
    if (fault) throw fault
    if (underWay >= requestsMax) {
      reply.header('retry-after', '1')
      throw new OipRefusal(503, `Cannot take the request: ${requestsMax} are under way; try again`)
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
  const { body, headers } = request
  const asked = readInference(body, headers[jsonLengthHeader], signature)
  const running = models.infer(model, asked.inputs)
  const results = await inferWithin(running, limits.inferTimeoutMs).catch((error: Error) => {
    if (error instanceof OipRefusal) throw error
    throw new OipRefusal(error instanceof BusyError ? 503 : 500, error.message)
  })
  const answer = writeInference({ name: model, version: '1' }, asked, results)
  return reply.headers(answer.headers).send(answer.body)
}

/** @throws {OipRefusal} 404 where there is no such model, 503 where it cannot run */
async function signatureOf(models: ServedModels, name: string): Promise<ModelSignature> {
  const found = await models.describe(name)
  if (found && 'signature' in found) return found.signature
  if (found) throw new OipRefusal(503, found.refusal)
  const has = models.names().join(', ') || 'none'
  throw new OipRefusal(404, `There is no model "${name}"; there are ${has}`)
}
