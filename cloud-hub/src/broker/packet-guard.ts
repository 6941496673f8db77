/**
 * Stands between a socket and the broker, which has no limit of its own: reads the fixed header of every
 * MQTT packet as it passes and cuts the connection before an oversized packet is buffered anywhere.
 */
import { Duplex } from 'node:stream'

const connectType = 1

/** Before the broker has accepted it, a client has nothing large to say. */
export const connectBytesMax = 4096

/** Thrown into the connection that is cut. */
export class PacketRefused extends Error {
  constructor(text: string) {
    super(text)
    this.name = 'PacketRefused'
  }
}

/**
 * Sizes of packets, read from a stream in pieces of any length (MQTT 3.1.1 §2.2).
 * `accept()` is called when the client has been let in.
 */
export class PacketSizes {
  readonly #packetBytesMax: number
  #accepted = false
  #first = true
  /** Bytes of the current packet that are still to come; -1 while its header is being read. */
  #left = -1
  #type = -1
  #length = 0
  #shift = 0

  constructor(packetBytesMax: number) {
    this.#packetBytesMax = packetBytesMax
  }

  accept(): void {
    this.#accepted = true
  }

  /** @throws {PacketRefused} for a packet that is too large, malformed, or not the first to be sent */
  inspect(chunk: Uint8Array): void {
    let offset = 0
    while (offset < chunk.length) {
      if (this.#left < 0) {
        this.#header(chunk[offset]!)
        offset++
      } else {
        const step = Math.min(this.#left, chunk.length - offset)
        offset += step
        this.#left -= step
      }
      if (this.#left === 0) this.#next()
    }
  }

  #header(byte: number): void {
    if (this.#type < 0) {
      this.#type = byte >> 4
      // [MQTT-3.1.0-1]: the first packet is a CONNECT.
      if (this.#first && this.#type !== connectType) {
        throw new PacketRefused(`the first packet is of type ${this.#type}, expected CONNECT`)
      }
      return
    }
    // At most four bytes of seven bits each (§2.2.3).
    this.#length |= (byte & 0x7f) << this.#shift
    this.#shift += 7
    if (byte & 0x80) {
      if (this.#shift >= 28)
        throw new PacketRefused('the length of a packet takes more than 4 bytes')
      return
    }
    const max = this.#accepted ? this.#packetBytesMax : connectBytesMax
    if (this.#length > max) {
      throw new PacketRefused(`a packet of ${this.#length} bytes, allowed ${max}`)
    }
    this.#left = this.#length
  }

  #next(): void {
    this.#first = false
    this.#left = -1
    this.#type = -1
    this.#length = 0
    this.#shift = 0
  }
}

/** A connection as the broker sees it: the socket, without what is refused. */
export class PacketGuard extends Duplex {
  readonly #socket: Duplex
  readonly #sizes: PacketSizes

  constructor(socket: Duplex, packetBytesMax: number) {
    super()
    this.#socket = socket
    this.#sizes = new PacketSizes(packetBytesMax)
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('end', () => this.push(null))
    socket.on('close', () => this.destroy())
    socket.on('error', (error) => this.destroy(error))
    socket.pause()
  }

  /** The client was let in: from now on its packets may be as large as any message. */
  accept(): void {
    this.#sizes.accept()
  }

  #take(chunk: Buffer): void {
    try {
      this.#sizes.inspect(chunk)
    } catch (error) {
      this.destroy(error as PacketRefused)
      return
    }
    if (!this.push(chunk)) this.#socket.pause()
  }

  override _read(): void {
    this.#socket.resume()
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    // Not `write(chunk, done)`: that would wait for each packet to leave the machine.
    if (this.#socket.write(chunk)) done()
    else this.#socket.once('drain', done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), 'buffer', done)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.end(done)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy()
    done(error)
  }
}
