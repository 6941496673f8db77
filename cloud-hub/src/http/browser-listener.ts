/** The listener for people and programs: plain HTTP on the machine itself, TLS for all others. */
import type { Socket } from 'node:net'
import { Refusal } from '@edgeloop/protocol'
import cookie from '@fastify/cookie'
import rateLimit from '@fastify/rate-limit'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { setOipManners } from '../inference/oip-manners.ts'
import { mountLive } from '../live/live-socket.ts'
import type { AccessDesk } from './access.ts'
import { apiHandlers, type Rooms } from './api.ts'
import type { BrowserTls } from './browser-tls.ts'
import { serveDashboard } from './dashboard.ts'
import { mountRoutes } from './mount.ts'
import { answerProblems } from './problems.ts'
import { checkSchemas } from './schemas.ts'
import { answerUnreadable, securityHeaders, sendSecurityHeaders } from './security-headers.ts'

const requestTimeoutMs = 30_000
/** Milliseconds for a TLS handshake. */
const handshakeTimeout = 10_000
/** Connections at once; a browser has six at most. Further ones are closed unanswered. */
const connectionsMax = 4000

/** Builds the listener with every route; it does not listen yet. */
export async function buildBrowserListener(
  rooms: Rooms,
  { dashboardDir, tls }: { dashboardDir: string; tls: BrowserTls | undefined },
): Promise<FastifyInstance> {
  const headers = securityHeaders({ strictTransport: tls?.strictTransport ?? false })
  const app = Fastify({
    ...answerUnreadable(headers),
    logger: false,
    requestTimeout: requestTimeoutMs,
    forceCloseConnections: true,
    ...(tls ? { https: { ...tls, minVersion: 'TLSv1.2', handshakeTimeout } } : {}),
  }) as unknown as FastifyInstance
  const desk: AccessDesk = { people: rooms.people, visitors: new WeakMap(), secure: rooms.secure }
  app.removeContentTypeParser('text/plain')
  app.addContentTypeParser(
    'application/octet-stream',
    { parseAs: 'buffer' },
    async (_request: FastifyRequest, body: Buffer) => body,
  )
  answerProblems(app, rooms.log)
  checkSchemas(app)
  logRequests(app, rooms.log)
  endConnections(app)
  app.server.maxConnections = connectionsMax
  // Node reports a handshake that failed or took too long, and leaves its socket open.
  app.server.on('tlsClientError', (_error: Error, socket: Socket) => socket.destroy())
  sendSecurityHeaders(app, headers)
  await app.register(cookie)
  await app.register(rateLimit, { global: false, errorResponseBuilder: tooMany })
  await mountLive(app, { live: rooms.live, desk })
  const handlers = apiHandlers(rooms)
  const { inferencesPerMinuteMax } = rooms
  const mounting = { ...desk, audit: rooms.audit, inferencesPerMinuteMax }
  mountRoutes(app, handlers, mounting, ({ speaks }) => speaks === undefined)
  await app.register(async (oip) => {
    setOipManners(oip, { bodiesMax: rooms.inferenceBodiesMax, metrics: rooms.metrics })
    mountRoutes(oip, handlers, mounting, ({ speaks }) => speaks === 'oip')
  })
  await serveDashboard(app, dashboardDir)
  return app
}

/**
 * Change streams and live pictures never end by themselves, and a browser that is gone never answers a
 * closing handshake: when the hub closes, their connections are ended. Browsers come back and resume.
 */
function endConnections(app: FastifyInstance): void {
  const open = new Set<Socket>()
  app.server.on('connection', (socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  app.addHook('preClose', async () => {
    for (const socket of open) socket.destroy()
  })
}

/** One line per request, by its route and never by its address: addresses hold tokens. */
export function logRequests(app: FastifyInstance, log: Logger): void {
  app.addHook('onResponse', async (request, reply) => {
    const ms = Math.round(reply.elapsedTime)
    const route = request.routeOptions.url ?? 'none'
    log.debug({ method: request.method, route, status: reply.statusCode, ms }, 'request')
  })
}

/** What a caller hears who tries secrets too fast. */
export function tooMany(_request: unknown, { after }: { after: string }): Error {
  return new Refusal('tooManyRequests', `Cannot take another try yet: wait ${after}`)
}
