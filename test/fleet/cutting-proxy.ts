/**
 * The network between boxes and the hub's HTTPS, which resets connections in the middle of what they bring. It sees TLS
 * and so no requests, but that one began: the box says something after it was answered. A part of what is asked is cut
 * after as many bytes as chance says, up to the length of a transfer; short answers mostly get through before that.
 */
import { connect, createServer, type Socket } from 'node:net'

export type CuttingProxy = AsyncDisposable & {
  readonly port: number
  /** Bytes that reached boxes, TLS and headers included. */
  readonly bytesToBoxes: number
  readonly connections: number
  readonly cuts: number
  /** From now on every new connection goes there: the hub was started again. */
  target(port: number): void
}

export type CuttingOptions = {
  readonly targetPort: number
  /** Share 0..1 of what is asked that is cut where it is as long as a transfer. */
  readonly cutShare: number
  /** Length of a transfer. */
  readonly transferBytes: number
  /** 0..1 */
  readonly random: () => number
}

export async function openCuttingProxy(options: CuttingOptions): Promise<CuttingProxy> {
  const { cutShare, transferBytes, random } = options
  let { targetPort } = options
  let [bytesToBoxes, connections, cuts] = [0, 0, 0]
  const pairs = new Set<readonly [Socket, Socket]>()
  const server = createServer((box) => {
    connections++
    const hub = connect({ host: '127.0.0.1', port: targetPort })
    const pair = [box, hub] as const
    pairs.add(pair)
    for (const [from, to] of [pair, [hub, box]] as const) {
      from.setNoDelay(true)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        to.destroy()
        pairs.delete(pair)
      })
    }
    let isAnswered = true
    /** Bytes of this answer that still get through. */
    let left = Number.POSITIVE_INFINITY
    box.on('data', (bytes: Buffer) => {
      if (isAnswered)
        left = random() < cutShare ? random() * transferBytes : Number.POSITIVE_INFINITY
      isAnswered = false
      forward(box, hub, bytes)
    })
    hub.on('data', (bytes: Buffer) => {
      isAnswered = true
      const through = bytes.subarray(0, Math.floor(left))
      left -= bytes.length
      bytesToBoxes += through.length
      if (left > 0) return forward(hub, box, through)
      cuts++
      box.write(through, () => box.resetAndDestroy())
      hub.destroy()
    })
    box.on('end', () => hub.end())
    hub.on('end', () => box.end())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (typeof address !== 'object' || !address) throw new Error('Cannot open proxy: no port')
  return {
    port: address.port,
    get bytesToBoxes() {
      return bytesToBoxes
    },
    get connections() {
      return connections
    },
    get cuts() {
      return cuts
    },
    target: (port) => {
      targetPort = port
    },
    async [Symbol.asyncDispose]() {
      for (const pair of pairs) for (const socket of pair) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Waits with reading while the other side does not take more. */
function forward(from: Socket, to: Socket, bytes: Buffer): void {
  if (to.write(bytes)) return
  from.pause()
  to.once('drain', () => from.resume())
}
