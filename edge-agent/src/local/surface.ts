/**
 * The local surface: what the box itself tells and does for whoever stands beside it and has its token.
 * Health, metrics, pictures, and the agent's models as an Open Inference Protocol v2 server. Off unless
 * `agent.yaml` asks for it; in clear text on the machine itself only.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, BlockList, isIP } from 'node:net'
import { join } from 'node:path'
import type { ReportedStream, StreamFigures } from '@edgeloop/protocol'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { type CameraLimits, cameraLimits, mountCameras } from './camera-routes.ts'
import type { LiveViews } from './live-views.ts'
import { openMetrics } from './metrics.ts'
import { mountOip, type OipLimits, oipServerLimits, type ServedModels } from './oip-routes.ts'
import { readCertificate, readToken } from './secrets.ts'

/** What `agent.yaml` says. */
export type LocalConfig = {
  readonly host: string
  /** 0: any that is free. */
  readonly port: number
  readonly tlsCert?: string
  readonly tlsKey?: string
}

export type LocalSurfaceOptions = {
  readonly config: LocalConfig
  /** Token and certificate are kept in `local/` of it. */
  readonly dataDir: string
  readonly version: string
  readonly models: ServedModels
  readonly streams: () => readonly ReportedStream[]
  readonly figures: () => readonly StreamFigures[]
  readonly outbox: () => { readonly entries: number; readonly bytes: number }
  readonly live: LiveViews
  readonly limits?: Partial<OipLimits & CameraLimits>
  readonly now: () => number
  readonly signal: AbortSignal
}

export type LocalSurface = AsyncDisposable & {
  readonly url: string
  readonly tokenFile: string
  /** Certificate that clients have to trust, where the box made its own. */
  readonly certificateFile: string | undefined
}

const requestTimeoutMs = 30_000
const headersTimeoutMs = 10_000
const keepAliveMs = 65_000
const connectionsMax = 64
/** Of requests that carry no tensors. */
const bodyBytesMax = 64 * 1024

/** @throws {Error} when the address cannot be taken, or token or certificate not be read */
export async function openLocalSurface(options: LocalSurfaceOptions): Promise<LocalSurface> {
  const { config, dataDir, now, signal } = options
  const folder = join(dataDir, 'local')
  const { file: tokenFile, token } = await readToken(folder)
  const tls = isLoopback(config.host) ? undefined : await tlsOf(config, folder, now())
  const ending = new AbortController()
  const app = buildApp(options, token, tls, AbortSignal.any([signal, ending.signal]))
  try {
    await app.listen({ host: config.host, port: config.port })
  } catch (cause) {
    await app.close()
    throw new Error(
      `Cannot open the local surface at ${config.host}:${config.port}: ${(cause as Error).message}`,
      { cause },
    )
  }
  const { port } = app.server.address() as AddressInfo
  const host = isIP(config.host) === 6 ? `[${config.host}]` : config.host
  return {
    url: `${tls ? 'https' : 'http'}://${host}:${port}`,
    tokenFile,
    certificateFile: tls?.file,
    async [Symbol.asyncDispose]() {
      ending.abort()
      await app.close()
    },
  }
}

type Tls = { readonly key: string; readonly cert: string; readonly file: string | undefined }

async function tlsOf(config: LocalConfig, folder: string, now: number): Promise<Tls> {
  const { tlsCert, tlsKey, host } = config
  if (tlsCert === undefined || tlsKey === undefined) return await readCertificate(folder, host, now)
  const [cert, key] = await Promise.all([readFile(tlsCert, 'utf8'), readFile(tlsKey, 'utf8')])
  return { cert, key, file: undefined }
}

function buildApp(
  options: LocalSurfaceOptions,
  token: string,
  tls: Tls | undefined,
  signal: AbortSignal,
): FastifyInstance {
  const { version, models, streams, figures, outbox, live, limits } = options
  const timeouts = {
    requestTimeout: requestTimeoutMs,
    headersTimeout: headersTimeoutMs,
    keepAliveTimeout: keepAliveMs,
  }
  const app = Fastify({
    logger: false,
    bodyLimit: bodyBytesMax,
    forceCloseConnections: true,
    serverFactory: (handler) => {
      const server: Server = tls
        ? (createTlsServer(
            { ...timeouts, cert: tls.cert, key: tls.key, minVersion: 'TLSv1.2' },
            handler,
          ) as unknown as Server)
        : createServer(timeouts, handler)
      server.maxConnections = connectionsMax
      return server
    },
  })
  // Tensors are bytes, and the JSON before them is checked where it is read.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' })
    const refusal = refusalOf(request, token)
    if (!refusal) return
    if (refusal.status === 401) reply.header('www-authenticate', 'Basic realm="edgeloop"')
    return reply.code(refusal.status).send({ error: refusal.error })
  })
  app.setErrorHandler(async (error: { statusCode?: number; message: string }, _request, reply) =>
    reply.code(error.statusCode ?? 500).send({ error: error.message }),
  )
  app.setNotFoundHandler(async ({ method, url }, reply) =>
    reply.code(404).send({ error: `There is no ${method} ${url.split('?')[0]}` }),
  )
  const metrics = openMetrics({ version, streams, figures, outbox })
  app.get('/health', async () => {
    const away = streams().filter(({ state }) => state !== 'live')
    return {
      health: away.length === 0 ? 'ok' : 'degraded',
      version,
      streams: streams().map(({ streamId, state, reason }) => ({ streamId, state, reason })),
      outbox: outbox(),
    }
  })
  app.get('/metrics', async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  )
  mountCameras(app, { streams, live, limits: { ...cameraLimits, ...limits }, signal })
  mountOip(app, {
    models,
    version,
    limits: { ...oipServerLimits, ...limits },
    count: (status) => metrics.inferences.inc({ status: String(status) }),
  })
  return app
}

/** Why a request is not even looked at. */
function refusalOf(
  { headers }: FastifyRequest,
  token: string,
): { status: number; error: string } | undefined {
  const given = tokenIn(headers.authorization)
  if (given === undefined || !isSame(given, token)) {
    return {
      status: 401,
      error: 'This needs the token of the box, as bearer token or as password of any user',
    }
  }
  // A browser that knows the password sends it along with what other pages make it ask for.
  const site = headers['sec-fetch-site']
  if (site === undefined || site === 'none' || site === 'same-origin') return undefined
  return { status: 403, error: 'Other pages may not use this' }
}

/** What browsers and players can send is a password; programs send a bearer token. */
function tokenIn(authorization = ''): string | undefined {
  const [, scheme = '', value = ''] = /^(\S+) +(\S+)$/.exec(authorization) ?? []
  if (/^bearer$/i.test(scheme)) return value
  if (!/^basic$/i.test(scheme)) return undefined
  const pair = Buffer.from(value, 'base64').toString()
  return pair.slice(pair.indexOf(':') + 1)
}

function isSame(given: string, token: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(token))
}

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8)
loopback.addAddress('::1', 'ipv6')

/** True for addresses that no other machine reaches. */
function isLoopback(host: string): boolean {
  if (host === 'localhost') return true
  const family = isIP(host)
  return family !== 0 && loopback.check(host, family === 6 ? 'ipv6' : 'ipv4')
}
