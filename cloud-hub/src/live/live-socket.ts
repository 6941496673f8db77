/** The WebSocket of one tab: it says what it wants to see, and gets frames. */
import { LiveWant, Refusal, routes } from '@edgeloop/protocol'
import { Misfit, parse, parseJson } from '@edgeloop/protocol/check'
import websocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import { type AccessDesk, admit } from '../http/access.ts'
import type { Live } from './live.ts'

/** A want list of 64 tiles is some 8 KB. */
const messageBytesMax = 64 * 1024
/** RFC 6455 §7.4.1. */
const unsupportedData = 1003
const tryAgainLater = 1013
/** Policy violation: the session has ended while the socket was open. */
const signedOut = 1008

/** Mounts `/api/live`; session and origin are checked before the handshake. */
export async function mountLive(
  app: FastifyInstance,
  { live, desk }: { live: Live; desk: AccessDesk },
): Promise<void> {
  await app.register(websocket, { options: { maxPayload: messageBytesMax } })
  app.route({
    method: 'GET',
    url: routes.live.path,
    onRequest: (request) => admit(request, routes.live.access, desk),
    handler: async () => {
      throw new Refusal('badRequest', 'Cannot answer: this route speaks WebSocket')
    },
    wsHandler: (socket, request) => {
      let place: ReturnType<Live['enter']>
      try {
        place = live.enter({
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
      const person = desk.visitors.get(request)
      const unwatch = person && desk.people.presence.watch(person, () => socket.close(signedOut))
      socket.on('close', () => {
        place.leave()
        unwatch?.()
      })
      socket.on('error', () => socket.terminate())
    },
  })
}
