/** Pictures of the box's streams for whoever stands beside it: one JPEG, or one after the other. */
import { decodeLiveFrame, type ReportedStream } from '@edgeloop/protocol'
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { LiveViews } from './live-views.ts'

export type CameraRoutesOptions = {
  readonly streams: () => readonly ReportedStream[]
  readonly live: LiveViews
  readonly limits: CameraLimits
  /** Ends every picture in motion. */
  readonly signal: AbortSignal
}

export type CameraLimits = {
  /** How long a snapshot waits for a frame. */
  readonly snapshotTimeoutMs: number
  /** People who look at the same time, at one picture or many; more are refused. */
  readonly viewersMax: number
}

export const cameraLimits: CameraLimits = { snapshotTimeoutMs: 5_000, viewersMax: 8 }

const boundary = 'edgeloop-frame'
const widthDefault = 1280
const fpsDefault = 5

type ToStream = {
  Params: { stream: string }
  Querystring: { width?: number; fps?: number }
}

const querystring = {
  type: 'object',
  additionalProperties: false,
  properties: {
    width: { type: 'integer', minimum: 64, maximum: 1920 },
    fps: { type: 'number', exclusiveMinimum: 0, maximum: 30 },
  },
} as const

export function mountCameras(app: FastifyInstance, options: CameraRoutesOptions): void {
  const { live, limits, signal } = options
  let viewers = 0
  /** Counts whoever looks until the answer is over. */
  const refuse = (reply: FastifyReply, stream: string): FastifyReply | undefined => {
    const streams = options.streams()
    const found = streams.find(({ streamId }) => streamId === stream)
    const names = streams.map(({ streamId }) => streamId).join(', ') || 'none'
    if (!found)
      return reply.code(404).send({ error: `There is no stream "${stream}"; there are ${names}` })
    if (viewers >= limits.viewersMax) {
      reply.header('retry-after', '5')
      return reply.code(503).send({ error: `${limits.viewersMax} are looking already` })
    }
    viewers++
    reply.raw.once('close', () => viewers--)
    return undefined
  }

  app.get('/streams', async () => options.streams())

  app.get<ToStream>(
    '/streams/:stream/snapshot.jpg',
    { schema: { querystring } },
    async ({ params, query }, reply) => {
      const { stream } = params
      const refused = refuse(reply, stream)
      if (refused) return refused
      const taken = Promise.withResolvers<Uint8Array | undefined>()
      const timer = setTimeout(() => taken.resolve(undefined), limits.snapshotTimeoutMs)
      const want = { streamId: stream, widthMax: query.width ?? widthDefault, fpsMax: 30 }
      using _view = live.look(want, (message) => taken.resolve(decodeLiveFrame(message).jpeg))
      reply.raw.once('close', () => taken.resolve(undefined))
      const jpeg = await taken.promise
      clearTimeout(timer)
      if (jpeg) return reply.type('image/jpeg').send(Buffer.from(jpeg))
      const state = options.streams().find(({ streamId }) => streamId === stream)
      const why = state?.reason || `no frame came within ${limits.snapshotTimeoutMs} ms`
      return reply.code(503).send({ error: `Cannot take a picture of "${stream}": ${why}` })
    },
  )

  app.get<ToStream>(
    '/streams/:stream/live.mjpeg',
    { schema: { querystring } },
    async ({ params, query }, reply) => {
      const refused = refuse(reply, params.stream)
      if (refused) return refused
      reply.hijack()
      const { raw } = reply
      raw.writeHead(200, {
        'content-type': `multipart/x-mixed-replace; boundary=${boundary}`,
        'cache-control': 'no-store',
      })
      raw.flushHeaders()
      const want = {
        streamId: params.stream,
        widthMax: query.width ?? widthDefault,
        fpsMax: query.fps ?? fpsDefault,
      }
      using _view = live.look(want, (message) => {
        // Who does not take pictures as fast as they come misses some.
        if (raw.writableLength > 0) return
        const { jpeg } = decodeLiveFrame(message)
        const head = `--${boundary}\r\ncontent-type: image/jpeg\r\ncontent-length: ${jpeg.length}\r\n\r\n`
        raw.write(Buffer.concat([Buffer.from(head), jpeg, Buffer.from('\r\n')]))
      })
      const over = Promise.withResolvers<void>()
      raw.once('close', over.resolve)
      const end = (): void => void raw.end()
      signal.addEventListener('abort', end, { once: true })
      if (signal.aborted) end()
      await over.promise
      signal.removeEventListener('abort', end)
      return reply
    },
  )
}
