/**
 * A camera for tests that speaks HTTP: MJPEG at `/video`, the newest picture at `/picture.jpg`, with the
 * habits and the faults of real ones on request.
 */
import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LiveFaults } from '../contracts/live-camera.ts'
import { randomFrom } from '../rtsp/random.ts'

/** How cameras differ where the standard says one thing. */
export type MjpegHabits = {
  /** What follows `boundary=`, and what stands before each part. */
  readonly boundary?: { readonly named: string; readonly written: string }
  /** `lying`: says one picture is shorter than it is. */
  readonly length?: 'given' | 'left out' | 'lying'
  readonly lineEnd?: '\r\n' | '\n'
  /** Sent in place of the pictures' own type. */
  readonly type?: string
  /** Answers every request with a redirect to there. */
  readonly redirect?: string
  /** A part of this many bytes, without an end. */
  readonly endlessPart?: true
  /** Bytes arrive one by one, this many a second. */
  readonly drips?: number
  /** The algorithm of a digest login. */
  readonly algorithm?: 'MD5' | 'SHA-256'
}

export type MjpegServerOptions = {
  /** JPEGs, sent one after the other and then again. */
  readonly pictures: readonly Uint8Array[]
  /** What `resolutionChangeAfterFrames` changes to. */
  readonly second?: readonly Uint8Array[]
  readonly fps?: number
  readonly faults?: LiveFaults
  readonly habits?: MjpegHabits
}

const algorithms = { MD5: 'md5', 'SHA-256': 'sha256' } as const

export class MjpegServer implements AsyncDisposable {
  /** Requests that were answered with pictures. */
  answered = 0
  /** Everything that was sent as `Authorization`. */
  readonly logins: string[] = []
  readonly #server: Server
  readonly #options: MjpegServerOptions
  readonly #nonce = randomUUID()
  readonly #closing = new AbortController()
  #pictured = 0

  static async open(options: MjpegServerOptions): Promise<MjpegServer> {
    const camera = new MjpegServer(options)
    camera.#server.listen(0, '127.0.0.1')
    await once(camera.#server, 'listening')
    return camera
  }

  private constructor(options: MjpegServerOptions) {
    this.#options = options
    this.#server = createServer((asked, answer) => {
      this.#answer(asked, answer).catch(() => answer.destroy())
    })
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Address for a viewer, with user and password where the camera demands them. */
  url(path = '/video'): string {
    const url = new URL(path, this.origin)
    const { unauthorized } = this.#faults
    url.username = encodeURIComponent(unauthorized?.user ?? '')
    url.password = encodeURIComponent(unauthorized?.password ?? '')
    return url.href
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  get #faults(): LiveFaults {
    return this.#options.faults ?? {}
  }

  async #answer(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { refuse, mute, unauthorized } = this.#faults
    const { redirect } = this.#options.habits ?? {}
    if (mute === true) return
    if (refuse === true) {
      asked.socket.resetAndDestroy()
      return
    }
    if (refuse !== undefined) {
      answer.writeHead(refuse).end('no')
      return
    }
    const path = asked.url ?? '/'
    if (redirect !== undefined && path !== redirect) {
      answer.writeHead(302, { location: redirect }).end()
      return
    }
    if (unauthorized !== undefined && !this.#isUser(asked, path)) {
      answer.writeHead(401, { 'www-authenticate': this.#challenge() }).end()
      return
    }
    this.answered++
    if (path.startsWith('/picture')) await this.#picture(answer)
    else await this.#video(answer)
  }

  async #picture(answer: ServerResponse): Promise<void> {
    const n = this.#pictured++
    const { stallAfterFrames, closeAfterFrames, silentAfterPlay } = this.#faults
    answer.writeHead(200, { 'content-type': this.#options.habits?.type ?? 'image/jpeg' })
    if (silentAfterPlay === true || n >= (stallAfterFrames ?? Number.POSITIVE_INFINITY)) {
      answer.flushHeaders()
      return
    }
    if (n >= (closeAfterFrames ?? Number.POSITIVE_INFINITY)) answer.destroy()
    else answer.end(this.#bytesOf(n))
  }

  async #video(answer: ServerResponse): Promise<void> {
    const { habits = {}, fps = 30 } = this.#options
    const { boundary = { named: 'frame', written: '--frame' } } = habits
    const { lineEnd = '\r\n', length = 'given', drips, endlessPart } = habits
    const { silentAfterPlay, stallAfterFrames, closeAfterFrames } = this.#faults
    answer.writeHead(200, {
      'content-type': habits.type ?? `multipart/x-mixed-replace; boundary=${boundary.named}`,
    })
    answer.flushHeaders()
    if (silentAfterPlay === true) return
    const began = performance.now()
    for (let n = 0; !answer.destroyed && !this.#closing.signal.aborted; n++) {
      if (n === closeAfterFrames) {
        answer.destroy()
        return
      }
      if (n === stallAfterFrames) return
      const picture = this.#bytesOf(n)
      const said = length === 'lying' && n % 2 === 1 ? picture.length - 100 : picture.length
      const head = [
        boundary.written,
        'Content-Type: image/jpeg',
        ...(length === 'left out' ? [] : [`Content-Length: ${said}`]),
      ]
      const part = Buffer.concat([
        Buffer.from(`${head.join(lineEnd)}${lineEnd}${lineEnd}`),
        picture,
        Buffer.from(lineEnd),
      ])
      if (drips !== undefined) await this.#drip(answer, part, drips)
      else answer.write(endlessPart === true ? part.subarray(0, part.length - 8) : part)
      while (endlessPart === true && !answer.destroyed && !this.#closing.signal.aborted) {
        answer.write(Buffer.alloc(1 << 16, 7))
        await sleep(2)
      }
      await sleep(Math.max(0, began + ((n + 1) * 1000) / fps - performance.now()))
    }
  }

  async #drip(answer: ServerResponse, part: Buffer, perSecond: number): Promise<void> {
    for (const byte of part) {
      if (answer.destroyed || this.#closing.signal.aborted) return
      answer.write(Uint8Array.of(byte))
      await sleep(1000 / perSecond)
    }
  }

  #bytesOf(n: number): Uint8Array {
    const { pictures, second = pictures } = this.#options
    const { garbageAfterFrames = Number.POSITIVE_INFINITY } = this.#faults
    const { resolutionChangeAfterFrames = Number.POSITIVE_INFINITY } = this.#faults
    if (n >= garbageAfterFrames) {
      const random = randomFrom(n)
      return Uint8Array.from({ length: 5000 }, () => 256 * random())
    }
    const from = n >= resolutionChangeAfterFrames ? second : pictures
    return from[n % from.length]!
  }

  get #algorithm() {
    return this.#options.habits?.algorithm ?? 'MD5'
  }

  #challenge(): string {
    if (this.#faults.unauthorized?.scheme === 'basic') return 'Basic realm="camera"'
    const fields = `realm="camera", qop="auth", nonce="${this.#nonce}", opaque="0a"`
    return `Digest ${fields}, algorithm=${this.#algorithm}`
  }

  #isUser(asked: IncomingMessage, path: string): boolean {
    const { scheme, user, password } = this.#faults.unauthorized!
    const { authorization } = asked.headers
    if (authorization === undefined) return false
    this.logins.push(authorization)
    if (scheme === 'basic') {
      return authorization === `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
    }
    const field = (key: string) =>
      new RegExp(`\\b${key}="?([^",]+)"?`).exec(authorization)?.[1] ?? ''
    const hash = (text: string) =>
      createHash(algorithms[this.#algorithm]).update(text).digest('hex')
    const expected = hash(
      [
        hash(`${user}:camera:${password}`),
        ...[this.#nonce, field('nc'), field('cnonce'), 'auth'],
        hash(`${asked.method}:${path}`),
      ].join(':'),
    )
    return field('response') === expected && field('uri') === path
  }
}
