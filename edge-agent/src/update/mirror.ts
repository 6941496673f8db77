/**
 * Gives other boxes of the hub what this one has fetched and checked: over TLS with the device's own certificate, to
 * whoever shows one of the same authority. Off unless `agent.yaml` has a port for it. What is given is checked by whoever
 * takes it; what is asked of this box is bounded.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import { type AddressInfo, isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Identity } from '../identity/identity.ts'
import type { UpdateDisk } from './update-disk.ts'

/** What `agent.yaml` says. */
export type MirrorConfig = {
  /** 0: any that is free. */
  readonly port: number
  /** Address that other boxes reach it by; the first of the machine where it is left out. */
  readonly host?: string
  /** Of all transfers together. */
  readonly bytesPerSecondMax: number
}

export type Mirror = AsyncDisposable & {
  readonly url: string
}

export type MirrorOptions = {
  readonly config: MirrorConfig
  readonly identity: () => Identity
  /** Path of an encoding that is here, whole; undefined for anything else. */
  readonly file: (digest: string) => string | undefined
  readonly disk: UpdateDisk
}

const connectionsMax = 16
const transfersMax = 4
const pieceBytes = 64 * 1024
const requestTimeoutMs = 30_000
/** A reader that takes nothing for so long is cut. */
const stallMs = 60_000
/** When to come again, where too many ask. */
const retryAfterSeconds = 20

/** @throws {Error} when the port cannot be taken */
export async function openMirror({ config, identity, file, disk }: MirrorOptions): Promise<Mirror> {
  let transfers = 0
  /** When the next byte may go, by the limit for all. */
  let freeAtMs = 0
  const ending = new AbortController()

  async function* pieces(path: string, from: number, length: number): AsyncIterable<Uint8Array> {
    for (let sent = 0; sent < length; ) {
      const piece = await disk.readPart(path, from + sent, Math.min(pieceBytes, length - sent))
      if (!piece?.length) throw new Error('the file is not there any more')
      const now = performance.now()
      freeAtMs = Math.max(freeAtMs, now) + (piece.length / config.bytesPerSecondMax) * 1000
      await sleep(freeAtMs - now, undefined, { signal: ending.signal, ref: false })
      yield piece
      sent += piece.length
    }
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const refuse = (status: number, headers = {}) => {
      response.writeHead(status, headers).end()
      request.resume()
    }
    const isGet = request.method === 'GET' || request.method === 'HEAD'
    const digest = /^\/artifacts\/([0-9a-f]{64})$/.exec(request.url ?? '')?.[1]
    if (digest === undefined) return refuse(404)
    if (!isGet) return refuse(405, { allow: 'GET, HEAD' })
    const path = file(digest)
    const size = path === undefined ? undefined : await disk.size(path)
    if (path === undefined || !size) return refuse(404)
    if (transfers >= transfersMax) return refuse(503, { 'retry-after': retryAfterSeconds })
    const etag = `"${digest}"`
    const isSame = (request.headers['if-range'] ?? etag) === etag
    const range = isSame ? /^bytes=(\d{1,15})-$/.exec(request.headers.range ?? '')?.[1] : undefined
    const from = Number(range ?? 0)
    if (from >= size) return refuse(416, { 'content-range': `bytes */${size}` })
    response.writeHead(range === undefined ? 200 : 206, {
      etag,
      'accept-ranges': 'bytes',
      'content-type': 'application/octet-stream',
      'content-length': size - from,
      ...(range !== undefined && { 'content-range': `bytes ${from}-${size - 1}/${size}` }),
    })
    if (request.method === 'HEAD') {
      response.end()
      return
    }
    transfers++
    try {
      response.setTimeout(stallMs, () => response.destroy())
      await pipeline(Readable.from(pieces(path, from, size - from)), response)
    } finally {
      transfers--
    }
  }

  const { key, certificate: cert, ca } = identity()
  const server: Server = createServer(
    {
      key,
      cert,
      ca,
      minVersion: 'TLSv1.3',
      requestCert: true,
      rejectUnauthorized: true,
      requestTimeout: requestTimeoutMs,
      headersTimeout: 10_000,
      keepAliveTimeout: 10_000,
    },
    // What breaks off is the reader's to ask for again.
    (request, response) => void answer(request, response).catch(() => response.destroy()),
  )
  server.maxConnections = connectionsMax
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(config.port, () => resolve())
  })
  const { port } = server.address() as AddressInfo
  const host = config.host ?? ownAddress()
  // A renewed certificate is shown to whoever connects from then on.
  const renewal = setInterval(() => {
    const { key, certificate: cert, ca } = identity()
    server.setSecureContext({ key, cert, ca, minVersion: 'TLSv1.3' })
  }, renewalIntervalMs)
  renewal.unref()
  return {
    url: `https://${isIP(host) === 6 ? `[${host}]` : host}:${port}`,
    async [Symbol.asyncDispose]() {
      clearInterval(renewal)
      ending.abort(new Error('the agent stops'))
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

const renewalIntervalMs = 3_600_000

/** The first address of this machine that others can reach; its own where there is none. */
function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? [])
  const outer = addresses.find(({ internal, family }) => !internal && family === 'IPv4')
  return outer?.address ?? '127.0.0.1'
}
