/**
 * Artifacts over mutual TLS: from the hub, or from another box of the site. Bytes come from a place on to the end, under
 * the digest that names them; what they are is for whoever asked to check.
 */
import { X509Certificate } from 'node:crypto'
import type { PeerCertificate, TLSSocket } from 'node:tls'
import { deviceRoutes, pathOf } from '@edgeloop/protocol'
import { Agent, buildConnector, request } from 'undici'
import type { Identity } from '../identity/identity.ts'
import type { ArtifactSource, SourceAnswer } from './download.ts'

const connectTimeoutMs = 10_000
/** Before an answer, and between two pieces of it. */
const answerTimeoutMs = 20_000
/** Of an answer that is not read. */
const dumpBytes = 16 * 1024

export type HubArtifacts = ArtifactSource &
  AsyncDisposable & {
    /** From now on requests show another identity; those under way go on. */
    show(identity: Identity): void
  }

/** What the hub has published. */
export function openHubArtifacts(identity: Identity): HubArtifacts {
  const dispatcherOf = ({ key, certificate: cert, ca }: Identity): Agent =>
    new Agent({
      ...limits,
      connect: { key, cert, ca, minVersion: 'TLSv1.3', timeout: connectTimeoutMs },
    })
  let dispatcher = dispatcherOf(identity)
  return {
    name: 'hub',
    open: (digest, from, signal) => ask(dispatcher, identity.deviceUrl, digest, from, signal),
    show(other) {
      const before = dispatcher
      dispatcher = dispatcherOf(other)
      void before.close()
    },
    [Symbol.asyncDispose]: () => dispatcher.destroy(),
  }
}

export type MirrorArtifacts = AsyncDisposable & {
  /** @param url base address of a mirror */
  source(url: string): ArtifactSource
  show(identity: Identity): void
}

/** What other boxes of the hub have. */
export function openMirrorArtifacts(identity: Identity): MirrorArtifacts {
  const dispatcherOf = (shown: Identity): Agent =>
    new Agent({ ...limits, connect: connectorTo(shown) })
  let dispatcher = dispatcherOf(identity)
  return {
    source: (url) => ({
      name: url,
      open: (digest, from, signal) => ask(dispatcher, url, digest, from, signal),
    }),
    show(other) {
      const before = dispatcher
      dispatcher = dispatcherOf(other)
      void before.close()
    },
    [Symbol.asyncDispose]: () => dispatcher.destroy(),
  }
}

const limits = {
  connections: 2,
  headersTimeout: answerTimeoutMs,
  bodyTimeout: answerTimeoutMs,
}

/**
 * Connects to a box. Its certificate is for signing in, not for serving, and names no host; that our authority has
 * signed it and that it has not ended is what counts. What it sends is checked byte by byte in any case.
 */
function connectorTo({ key, certificate: cert, ca }: Identity): buildConnector.connector {
  const connect = buildConnector({
    key,
    cert,
    ca,
    minVersion: 'TLSv1.3',
    timeout: connectTimeoutMs,
    rejectUnauthorized: false,
    // A session that is resumed shows no certificate.
    maxCachedSessions: 0,
  })
  return (options, callback) =>
    connect(options, (...[error, socket]) => {
      if (error) return callback(error, null)
      const why = strangeness((socket as TLSSocket).getPeerCertificate(true), ca)
      if (why === undefined) return callback(null, socket)
      socket.destroy()
      callback(new Error(`the mirror ${why}`), null)
    })
}

/** Why a certificate is of no box of this hub. */
function strangeness(peer: PeerCertificate, ca: string): string | undefined {
  if (!peer.raw) return 'shows no certificate'
  const authority = new X509Certificate(ca)
  const certificate = new X509Certificate(peer.raw)
  const isOurs = certificate.checkIssued(authority) && certificate.verify(authority.publicKey)
  if (!isOurs) return 'is of another hub'
  const now = Date.now()
  const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)]
  return now < from || now > to ? 'has a certificate that is not valid now' : undefined
}

async function ask(
  dispatcher: Agent,
  base: string,
  digest: string,
  from: number,
  signal: AbortSignal,
): Promise<SourceAnswer> {
  const url = new URL(pathOf(deviceRoutes.artifactShow, { digest }), base)
  const range = from > 0 && { range: `bytes=${from}-`, 'if-range': `"${digest}"` }
  const { statusCode, headers, body } = await request(url, {
    dispatcher,
    signal,
    headers: { ...range },
  })
  if (statusCode === 200 && from === 0) return { kind: 'bytes', bytes: body }
  if (statusCode === 206 && String(headers['content-range']).startsWith(`bytes ${from}-`)) {
    return { kind: 'bytes', bytes: body }
  }
  await body.dump({ limit: dumpBytes, signal })
  if (statusCode === 404) return { kind: 'absent', why: 'HTTP 404' }
  if (statusCode === 429 || statusCode === 503) {
    const afterMs = Number(headers['retry-after']) * 1000
    return { kind: 'busy', ...(Number.isFinite(afterMs) && afterMs >= 0 && { afterMs }) }
  }
  throw new Error(`${base} answered with HTTP ${statusCode}`)
}
