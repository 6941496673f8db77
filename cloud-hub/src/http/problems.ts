/** Every refusal leaves the hub as problem+json, whoever raised it: a room, fastify, or a bug. */
import { type ProblemCode, problemOf, problems, Refusal } from '@edgeloop/protocol'
import { OipRefusal } from '@edgeloop/protocol/oip'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { isOipPath } from '../inference/oip-manners.ts'
import { StoreUnavailable } from '../store/store.ts'

/** What fastify refuses by itself, in our words. */
const codeOfStatus: Readonly<Record<number, ProblemCode>> = {
  400: 'badRequest',
  404: 'notFound',
  413: 'tooLarge',
  415: 'wrongMediaType',
  429: 'tooManyRequests',
}

/** Answers errors of every route of `app`. */
export function answerProblems(app: FastifyInstance, log: Logger): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    if (error instanceof OipRefusal) return refuseOip(reply, error, error.statusCode)
    const refusal = refusalOf(error, request)
    if (refusal) return refuse(request, reply, refusal)
    log.error({ err: error, route: request.routeOptions.url }, 'a request failed')
    const detail = 'The hub failed on this request; its log says why'
    return refuse(request, reply, new Refusal('internal', detail))
  })
}

/** Sends a refusal as problem+json; where the Open Inference Protocol is spoken, in its words. */
export function refuse(
  request: FastifyRequest,
  reply: FastifyReply,
  refusal: Refusal,
): FastifyReply {
  const [path] = request.url.split('?')
  const { newest, code } = refusal
  if (isOipPath(request.url)) return refuseOip(reply, refusal, problems[code].status, code)
  const problem = { ...problemOf(refusal.code, refusal.message, path), ...(newest && { newest }) }
  if (refusal.retryAfterS !== undefined) reply.header('retry-after', refusal.retryAfterS)
  // A string, so that no response schema is applied to it.
  return reply
    .code(problem.status)
    .header('content-type', 'application/problem+json')
    .header('cache-control', 'no-store')
    .send(JSON.stringify(problem))
}

/** @param code of our table, beside what the protocol asks for */
function refuseOip(
  reply: FastifyReply,
  { message, retryAfterS }: Pick<Refusal, 'message' | 'retryAfterS'>,
  status: number,
  code?: ProblemCode,
): FastifyReply {
  if (retryAfterS !== undefined) reply.header('retry-after', retryAfterS)
  return reply
    .code(status)
    .header('content-type', 'application/json')
    .header('cache-control', 'no-store')
    .send(JSON.stringify({ error: message, ...(code && { code }) }))
}

function refusalOf(error: FastifyError, request: FastifyRequest): Refusal | undefined {
  if (error instanceof Refusal) return error
  if (error instanceof StoreUnavailable) {
    return new Refusal(
      'unavailable',
      'The store cannot be reached right now; try again in a moment',
    )
  }
  const code = error.statusCode === undefined ? undefined : codeOfStatus[error.statusCode]
  if (code !== 'wrongMediaType') return code && new Refusal(code, error.message)
  const type = request.headers['content-type'] ?? ''
  return new Refusal(code, `Cannot take the content type "${type.slice(0, 100)}" here`)
}
