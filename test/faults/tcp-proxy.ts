/** A TCP proxy that stands for the network between agent and hub, and fails when it is told to. */
import { connect, createServer, type Socket } from 'node:net'

export type TcpProxy = AsyncDisposable & {
  readonly port: number
  /** Breaks every connection there is, with a reset. New ones are let through. */
  cut(): void
  /** Breaks every connection and lets no new one through. */
  down(): void
  /** Bytes stop in both directions, connections stay: neither side is told. */
  stall(): void
  /** What the hub says no longer reaches the agent, the other way goes on: acknowledgements are lost. */
  deafen(): void
  /** Ends `down()`, `stall()` and `deafen()`; what was held back goes on its way. */
  heal(): void
  /** Connections that were made through it so far. */
  readonly connections: number
}

/** Opens the proxy on a free port of the loopback address, towards `targetPort` there. */
export async function openTcpProxy(targetPort: number): Promise<TcpProxy> {
  const pairs = new Set<readonly [Socket, Socket]>()
  let refusing = false
  let connections = 0

  const server = createServer({ allowHalfOpen: false }, (inner) => {
    if (refusing) {
      inner.resetAndDestroy()
      return
    }
    connections++
    const outer = connect({ host: '127.0.0.1', port: targetPort })
    const pair = [inner, outer] as const
    pairs.add(pair)
    for (const [from, to] of [pair, [outer, inner]] as const) {
      from.setNoDelay(true)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        to.destroy()
        pairs.delete(pair)
      })
      from.pipe(to)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (typeof address !== 'object' || !address) throw new Error('Cannot open proxy: no port')

  const each = (act: (inner: Socket, outer: Socket) => void) => {
    for (const [inner, outer] of pairs) act(inner, outer)
  }
  const cut = () => each((inner, outer) => [inner, outer].map((s) => s.resetAndDestroy()))
  return {
    port: address.port,
    cut,
    down: () => {
      refusing = true
      cut()
    },
    stall: () =>
      each((inner, outer) => {
        inner.unpipe(outer)
        outer.unpipe(inner)
      }),
    deafen: () => each((inner, outer) => outer.unpipe(inner)),
    heal: () => {
      refusing = false
      each((inner, outer) => {
        inner.pipe(outer)
        outer.pipe(inner)
      })
    },
    get connections() {
      return connections
    },
    async [Symbol.asyncDispose]() {
      cut()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
