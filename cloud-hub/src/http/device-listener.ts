/**
 * The listener for boxes: HTTPS where they enrol with a token, and with their certificate send snapshots
 * and live pictures. Who sends is who the certificate says, never what is in the request.
 */
import type { X509Certificate } from 'node:crypto'
import type { Server } from 'node:https'
import { basename, dirname } from 'node:path'
import { Readable } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import {
  deviceRoutes,
  type LogAnswer,
  type Platform,
  Refusal,
  type Route,
  type SampleOffers,
} from '@edgeloop/protocol'
import rateLimit from '@fastify/rate-limit'
import fastifyStatic from '@fastify/static'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { Downloads } from '../artifacts/downloads.ts'
import type { Audit, AuditNote } from '../audit/audit.ts'
import type { Blobs } from '../blobs/blobs.ts'
import type { Clips } from '../clips/clips.ts'
import type { CertificateDesk } from '../devices/certificates.ts'
import type { Device } from '../devices/device.ts'
import type { DeviceLogs } from '../devices/device-logs.ts'
import type { EnrolmentDesk } from '../devices/enrolment.ts'
import { identityOf } from '../identity/device-identity.ts'
import type { AgentBundle, AgentBundles } from '../installs/installs.ts'
import type { Live } from '../live/live.ts'
import type { FieldSamples } from '../samples/field-samples.ts'
import { type TrustDesk, trustFile } from '../trust/trust-desk.ts'
import { logRequests, tooMany } from './browser-listener.ts'
import { answerAudited, isAudited, limitOf, schemaOf } from './mount.ts'
import { answerProblems } from './problems.ts'
import { checkSchemas } from './schemas.ts'
import { answerUnreadable, securityHeaders, sendSecurityHeaders } from './security-headers.ts'

/** A body that takes longer than this is cut off. */
const requestTimeoutMs = 60_000
const enrolBytesMax = 16 * 1024
/** How often it is looked which requests take too long. */
const headersCheckIntervalMs = 1000

export type DeviceListenerOptions = {
  readonly authority: {
    readonly certificate: string
    readonly server: { key: string; cert: string }
  }
  readonly connectionsMax: number
  /** From the first byte to a finished TLS handshake. */
  readonly connectTimeoutMs: number
  readonly enrolment: EnrolmentDesk
  readonly certificates: CertificateDesk
  readonly audit: Audit
  readonly blobs: Blobs
  readonly live: Live
  readonly logs: DeviceLogs
  readonly clips: Clips
  readonly fieldSamples: FieldSamples
  readonly trust: TrustDesk
  readonly downloads: Downloads
  /** Agents for new boxes; undefined where this hub has none to give. */
  readonly bundles: AgentBundles | undefined
  /** Aborted when the hub closes: what is being made for boxes then ends. */
  readonly closing: AbortSignal
  readonly log: Logger
}

/** Builds the listener; it does not listen yet. */
export async function buildDeviceListener(
  options: DeviceListenerOptions,
): Promise<FastifyInstance> {
  const headers = securityHeaders({ strictTransport: false })
  const app = Fastify({
    ...answerUnreadable(headers),
    logger: false,
    requestTimeout: requestTimeoutMs,
    forceCloseConnections: true,
    https: {
      ...options.authority.server,
      ca: options.authority.certificate,
      // Asked for, and demanded by each route that needs it: enrolment comes before the certificate.
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      handshakeTimeout: options.connectTimeoutMs,
      // Who sends a request byte by byte holds a connection no longer than who sends none.
      headersTimeout: options.connectTimeoutMs,
      connectionsCheckingInterval: headersCheckIntervalMs,
    },
  }) as unknown as FastifyInstance
  const server = app.server as unknown as Server
  server.maxConnections = options.connectionsMax
  // Node reports a handshake that takes too long and leaves its socket open (measured on 24.21).
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  app.removeContentTypeParser('text/plain')
  sendSecurityHeaders(app, headers)
  answerProblems(app, options.log)
  checkSchemas(app)
  logRequests(app, options.log)
  app.setNotFoundHandler((request) => {
    throw new Refusal('notFound', `Cannot find ${request.method} ${request.url.slice(0, 200)}`)
  })
  app.addContentTypeParser('image/jpeg', async (_request: FastifyRequest, body: Readable) => body)
  app.addContentTypeParser(
    'application/octet-stream',
    { parseAs: 'buffer' },
    async (_request: FastifyRequest, body: Buffer) => body,
  )
  await app.register(rateLimit, { global: false, errorResponseBuilder: tooMany })
  // Gives ranges and entity tags; it serves nothing by itself.
  await app.register(fastifyStatic, { root: import.meta.dirname, serve: false })
  mountDeviceRoutes(app, options)
  return app
}

function mountDeviceRoutes(app: FastifyInstance, options: DeviceListenerOptions): void {
  const mount = (
    action: keyof typeof deviceRoutes,
    handler: (request: FastifyRequest, note: AuditNote, reply: FastifyReply) => Promise<unknown>,
  ): void => {
    const route: Route = deviceRoutes[action]
    app.route({
      method: route.method,
      url: route.path,
      schema: schemaOf(route),
      bodyLimit: route.bytesMax ?? enrolBytesMax,
      config: limitOf(route),
      onRequest: async (request) => {
        // Before the body is read: a stranger's bytes are not.
        if (route.access === 'device') deviceOf(request, options)
        if (route.access === 'enrolment' && !route.body) {
          await options.enrolment.check(bearerOf(request))
        }
      },
      handler: async (request, reply) => {
        reply.code(route.status ?? 200)
        if (route.produces !== undefined) reply.type(route.produces)
        const isDevice = route.access === 'device'
        const actor = isDevice ? deviceOf(request, options).deviceId : null
        const via = isDevice ? 'device' : 'nobody'
        const facts = { actor, via, action, target: actor ?? '', address: request.ip } as const
        const note = options.audit.begin(facts)
        const answer = isAudited(route)
          ? await answerAudited((call) => handler(request, call.note, reply), { note })
          : await handler(request, note, reply)
        return route.status === 204 ? reply.send() : answer
      },
    })
  }
  mount('installScript', async () => bundlesOf(options).installScript)
  mount('bundleDigest', async (request) => `${(await openBundle(request, options)).digest}\n`)
  mount('bundleShow', async (request, _note, reply) => {
    const { file } = await openBundle(request, options)
    return reply.sendFile(basename(file), dirname(file), { cacheControl: false })
  })
  mount('enrol', async ({ body }, note) => {
    return await options.enrolment.enrol(body as { token: string; csr: string }, note)
  })
  mount('trustGet', async ({ params }) => {
    return await trustFile(options.trust, (params as { file: string }).file)
  })
  mount('renew', async (request) => {
    const { csr } = request.body as { csr: string }
    return await options.certificates.renew(deviceOf(request, options), csr, certificateOf(request))
  })
  mount('blobPut', async ({ params, body, signal }) => {
    const { digest } = params as { digest: string }
    const { bytesMax } = deviceRoutes.blobPut
    await options.blobs.put(digest, jpegOnly(body as Readable), { bytesMax, signal })
  })
  mount('artifactShow', async (request, _note, reply) => {
    const { digest } = request.params as { digest: string }
    const { range, 'if-range': ifRange } = request.headers as Record<string, string | undefined>
    const { status, headers, body } = await options.downloads.begin(
      deviceOf(request, options).deviceId,
      digest,
      {
        head: request.method === 'HEAD',
        ...(range !== undefined && { range }),
        ...(ifRange !== undefined && { ifRange }),
      },
    )
    reply.code(status).headers(headers)
    // An empty stream, as fastify would put the length of anything else in the place of ours.
    return body ?? Readable.from([])
  })
  mount('livePut', async (request) => {
    const { streamId } = request.params as { streamId: string }
    options.live.receive(deviceOf(request, options), streamId, request.body as Buffer)
  })
  mount('clipPart', (request) => {
    const { digest, from } = request.params as { digest: string; from: number }
    return options.clips.take(deviceOf(request, options), digest, from, request.body as Buffer)
  })
  mount('clipGone', async (request) => {
    const { digest } = request.params as { digest: string }
    options.clips.gone(deviceOf(request, options), digest)
  })
  mount('sampleOffer', (request) => {
    const device = deviceOf(request, options)
    const by = { publicKey: certificateOf(request).publicKey, address: request.ip }
    return options.fieldSamples.offer(device, request.body as SampleOffers, by)
  })
  mount('samplePart', (request) => {
    const { digest } = request.params as { digest: string }
    const { from } = request.query as { from: number }
    const bytes = (request.body as Buffer | undefined) ?? Buffer.alloc(0)
    return options.fieldSamples.take(deviceOf(request, options), digest, from, bytes)
  })
  mount('logPut', async (request) => {
    const { requestId } = request.params as { requestId: string }
    options.logs.receive(deviceOf(request, options), requestId, request.body as LogAnswer)
  })
}

function bundlesOf({ bundles }: DeviceListenerOptions): AgentBundles {
  if (bundles) return bundles
  throw new Refusal('notFound', 'Cannot give an agent: this hub was started without its sources')
}

async function openBundle(
  request: FastifyRequest,
  options: DeviceListenerOptions,
): Promise<AgentBundle> {
  const { platform } = request.params as { platform: Platform }
  try {
    return await bundlesOf(options).open(platform, options.closing)
  } catch (cause) {
    if (cause instanceof Refusal) throw cause
    options.log.error({ err: cause, platform }, 'an agent could not be made')
    const reason = (cause as Error).message
    throw new Refusal('unavailable', `Cannot give an agent for ${platform}: ${reason}`, { cause })
  }
}

/** @throws {Refusal} notSignedIn when the request carries no token */
function bearerOf({ headers }: FastifyRequest): string {
  const token = /^Bearer ([\w.~+/-]{1,200}=*)$/.exec(headers.authorization ?? '')?.[1]
  if (token !== undefined) return token
  throw new Refusal('notSignedIn', 'Cannot give this: it needs an enrolment token as a bearer')
}

/** The certificate that a device came with that was let in. */
function certificateOf({ raw }: FastifyRequest): X509Certificate {
  const certificate = (raw.socket as TLSSocket).getPeerX509Certificate()
  if (!certificate) throw new Error('A device was let in without a certificate')
  return certificate
}

/** @throws {Refusal} notSignedIn when the request carries no certificate of a device of this hub */
function deviceOf(request: FastifyRequest, { certificates }: DeviceListenerOptions): Device {
  const socket = request.raw.socket as TLSSocket
  const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined
  const identity = certificate && identityOf(certificate)
  if (!identity) {
    throw new Refusal('notSignedIn', 'Cannot take this: it needs a device certificate of this hub')
  }
  const device = certificates.admit(identity)
  if ('refusal' in device) throw new Refusal('forbidden', `Cannot take this: ${device.refusal}`)
  return device
}

/** Passes a body on that begins like a JPEG (ISO/IEC 10918-1: SOI, then a marker). */
async function* jpegOnly(body: Readable): AsyncGenerator<Uint8Array> {
  let head: Buffer | undefined = Buffer.alloc(0)
  for await (const chunk of body as AsyncIterable<Buffer>) {
    if (head === undefined) {
      yield chunk
      continue
    }
    head = Buffer.concat([head, chunk])
    if (head.length < 3) continue
    checkJpeg(head)
    yield head
    head = undefined
  }
  if (head !== undefined) checkJpeg(head)
}

function checkJpeg(head: Uint8Array): void {
  if (head[0] === 0xff && head[1] === 0xd8 && head[2] === 0xff) return
  throw new Refusal('wrongMediaType', 'Cannot store these bytes: they are no JPEG')
}
