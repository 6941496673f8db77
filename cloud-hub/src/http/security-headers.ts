/**
 * What every reply tells browsers to keep to, whoever answers: a route, a file, fastify, or the HTTP parser that
 * could not even read the request.
 */
import type { Socket } from 'node:net'
import { Refusal } from '@edgeloop/protocol'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import { refuse } from './problems.ts'

/**
 * What pages may load: only from here. Styles may be inline, which Mantine needs; scripts may not, and
 * nothing is evaluated.
 */
const contentSecurityPolicy = [
  "default-src 'self'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' blob: data:",
  "connect-src 'self'",
  "worker-src 'self' blob:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ')

export type SecurityHeaders = Readonly<Record<string, string>>

/**
 * @param strictTransport tells browsers to come by TLS only, for half a year; only for a certificate that they
 * trust by themselves, because behind this header they let nobody pass a warning
 */
export const securityHeaders = ({
  strictTransport,
}: {
  strictTransport: boolean
}): SecurityHeaders => ({
  'content-security-policy': contentSecurityPolicy,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), microphone=(), geolocation=()',
  ...(strictTransport ? { 'strict-transport-security': 'max-age=15768000' } : {}),
})

/** Puts the headers on every reply of a route or file of `app`. */
export function sendSecurityHeaders(app: FastifyInstance, headers: SecurityHeaders): void {
  app.addHook('onRequest', async (_request, reply) => {
    reply.headers(headers)
  })
}

/** Options of fastify that put them on what no route sees: addresses and requests that cannot be read. */
export function answerUnreadable(
  headers: SecurityHeaders,
): Pick<FastifyServerOptions, 'frameworkErrors' | 'clientErrorHandler'> {
  return {
    frameworkErrors: (_error, request, reply) => {
      reply.headers(headers)
      refuse(request, reply, new Refusal('badRequest', 'Cannot read this address'))
    },
    clientErrorHandler: (error: NodeJS.ErrnoException, socket: Socket) => {
      if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
      const status = statuses[error.code ?? ''] ?? '400 Bad Request'
      socket.end(
        `HTTP/1.1 ${status}\r\n${lines.join('')}content-length: 0\r\nconnection: close\r\n\r\n`,
      )
    },
  }
}

const statuses: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}
