/** The WebSocket of one tab: it says what it wants to see, and gets frames. */
import { LiveWant, Refusal, routes } from '@edgeloop/protocol'
import { Misfit, parse, parseJson } from '@edgeloop/protocol/check'
import websocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import { guard, type Visitors } from '../http/access.ts'
import type { People } from '../people/people.ts'
import type { Live } from './live.ts'

/** A want list of 64 tiles is some 8 KB. */
const messageBytesMax = 64 * 1024
/** RFC 6455 §7.4.1. */
const unsupportedData = 1003
const tryAgainLater = 1013

/** Mounts `/api/live`; session and origin are checked before the handshake. */
export async function mountLive(
  app: FastifyInstance,
  deps: { live: Live; people: People; visitors: Visitors },
): Promise<void> {
  await app.register(websocket, { options: { maxPayload: messageBytesMax } })
  app.route({
    method: 'GET',
    url: routes.live.path,
    onRequest: guard(routes.live.access, deps.people, deps.visitors),
    handler: async () => {
      throw new Refusal('badRequest', 'Cannot answer: this route speaks WebSocket')
    },
    wsHandler: (socket) => {
      let place: ReturnType<Live['enter']>
      try {
        place = deps.live.enter({
          send: (bytes) => socket.send(bytes),
          unsentBytes: () => socket.bufferedAmount,
        })
      } catch (error) {
        socket.close(tryAgainLater, (error as Error).message.slice(0, 120))
        return
      }
      socket.on('message', (data: Buffer) => {
        try {
          place.want(parse(LiveWant, parseJson(data, 'live want'), 'live want'))
        } catch (error) {
          if (!(error instanceof Misfit)) throw error
          socket.close(unsupportedData, error.message.slice(0, 120))
        }
      })
      socket.on('close', () => place.leave())
      socket.on('error', () => socket.terminate())
    },
  })
}
