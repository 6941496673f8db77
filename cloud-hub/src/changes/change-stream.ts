/** Server-sent events: one reply that stays open (WHATWG HTML §9.2). */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Changes } from './changes.ts'

/** A comment at least this often; after two missed ones a client gives the connection up. */
export const beatIntervalMs = 15_000
/** How long a browser's own EventSource waits before it comes back. */
const retryMs = 1000

/**
 * Answers with the stream of changes, from where the client was.
 * @param watch calls back when whoever listens may no longer
 */
export function streamChanges(
  changes: Changes,
  request: FastifyRequest,
  reply: FastifyReply,
  watch: (end: () => void) => () => void,
): FastifyReply {
  reply.hijack()
  const { raw } = reply
  raw.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  raw.write(`retry: ${retryMs}\n\n`)
  const stop = changes.subscribe(request.headers['last-event-id']?.toString(), {
    write: (text) => void raw.write(text),
    unsentBytes: () => raw.writableLength,
    drop: () => raw.destroy(),
  })
  // Whoever is signed out hears no more; the next request says why.
  const unwatch = watch(() => {
    stop()
    raw.end()
  })
  raw.once('close', () => {
    stop()
    unwatch()
  })
  return reply
}
