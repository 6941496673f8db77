/**
 * How routes of the Open Inference Protocol behave: bodies are bytes whatever they are called, few are read at a time,
 * nobody asks too often, and each inference is counted.
 */
import { encodingFault, OipRefusal } from '@edgeloop/protocol/oip'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Person } from '../people/person.ts'
import type { Metrics } from '../telemetry/metrics.ts'

/** Paths of the protocol: what is refused there is refused in its words. */
export const isOipPath = (url: string): boolean => /^\/v2(?:[/?]|$)/.test(url)

/**
 * Sets the manners of routes that are mounted in `app` afterwards.
 * @param options.bodiesMax requests whose bodies are read or that wait for their answer; more are refused
 */
export function setOipManners(
  app: FastifyInstance,
  options: { readonly bodiesMax: number; readonly metrics: Pick<Metrics, 'inferences'> },
): void {
  const { bodiesMax, metrics } = options
  let underWay = 0
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    '*',
    { parseAs: 'buffer' },
    async (_request: unknown, body: Buffer) => body,
  )
  // After who asks was let in, and before the body is read: only so many bodies are in memory.
  app.addHook('preParsing', async (request, reply) => {
    if (request.method !== 'POST') return
    reply.raw.once('close', () => metrics.inferences.inc({ status: String(reply.statusCode) }))
    const fault = encodingFault(request.headers['content-encoding'])
    if (fault) throw fault
    if (underWay >= bodiesMax) {
      throw new OipRefusal(503, `Cannot take the request: ${bodiesMax} are under way; try again`, {
        retryAfterS: 1,
      })
    }
    underWay++
    reply.raw.once('close', () => underWay--)
  })
}

/** Whose requests are counted together: a token's, or a session's. */
export const oipCaller =
  (visitors: WeakMap<FastifyRequest, Person>) =>
  (request: FastifyRequest): string =>
    visitors.get(request)?.credentialId ?? request.ip
