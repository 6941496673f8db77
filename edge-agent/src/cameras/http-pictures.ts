/**
 * JPEG pictures of one camera by HTTP: an endless multipart answer, or a snapshot that is asked for
 * again and again. Nothing that comes is trusted: time, size, redirects and logins are bounded here.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, type Dispatcher, request } from 'undici'
import { CameraError } from './camera.ts'
import { type CameraCause, cameraFault } from './camera-fault.ts'
import { HttpLogin } from './http-login.ts'
import { multipartPictures } from './multipart-pictures.ts'
import { type Source, secretless } from './source.ts'

/** A larger picture is refused: a 20-megapixel JPEG of good quality has half of it. */
export const pictureMaxBytes = 16 << 20
/** Moves within the camera's own address that are followed for one request. */
const redirectsMax = 3
const headersMaxBytes = 16 << 10
const detailMax = 200

export type HttpPicturesOptions = {
  /** How often a snapshot is asked for; an endless answer comes as fast as it comes. */
  readonly intervalMs: number
  readonly openTimeoutMs: number
  readonly stallTimeoutMs: number
  /** Ends everything; its reason is thrown. */
  readonly signal: AbortSignal
}

/**
 * Every picture that comes, in memory of its own, until the signal aborts or the camera fails.
 * @throws {CameraError} refused, unreadable, stalled or ended
 */
export async function* httpPictures(
  source: Source & { kind: 'http' },
  options: HttpPicturesOptions,
): AsyncGenerator<Uint8Array> {
  const { openTimeoutMs, stallTimeoutMs, intervalMs, signal } = options
  const client = new Client(source, openTimeoutMs)
  let pictures = 0
  /** Aborts what is waited for when no picture has come in time. */
  const watch = new Watch(signal)
  const fault = (error: unknown): unknown => {
    signal.throwIfAborted()
    const act = pictures === 0 ? 'open' : 'read'
    if (watch.isLate) {
      return cameraFault(pictures === 0 ? 'silent' : 'stalled', act, source.name)
    }
    if (error instanceof CameraError) return error
    const said = secretless(detailOf(error), source).slice(0, detailMax)
    if (error instanceof RangeError) return cameraFault('garbage', act, source.name, said)
    return cameraFault(pictures === 0 ? causeOf(error) : 'ended', act, source.name, said)
  }
  try {
    watch.start(openTimeoutMs)
    for (;;) {
      const askedAt = performance.now()
      const { body, type } = await client.get(watch.signal)
      const cut = multipartPictures(type, pictureMaxBytes, (picture) => ready.push(picture))
      const ready: Uint8Array[] = []
      if (cut !== undefined) {
        for await (const bytes of body as AsyncIterable<Uint8Array>) {
          cut.push(bytes)
          for (const picture of ready.splice(0)) {
            pictures++
            watch.start(stallTimeoutMs)
            yield picture
          }
        }
        throw cameraFault(pictures === 0 ? 'notHttp' : 'ended', 'read', source.name)
      }
      const picture = await readWhole(body, type, source)
      pictures++
      watch.start(stallTimeoutMs + intervalMs)
      yield picture
      const restMs = askedAt + intervalMs - performance.now()
      if (restMs > 0) await sleep(restMs, undefined, { signal: watch.signal })
    }
  } catch (error) {
    throw fault(error)
  } finally {
    watch.stop()
    await client[Symbol.asyncDispose]()
  }
}

/** Slices into which a wait is cut. */
const slices = 8

/**
 * A signal that aborts with another one, or when it has not been started again in time. Time passes in slices, each of
 * which ends after what had come by then was taken in: a process that was itself held up for long, and finds pictures
 * waiting, loses one slice and does not take its own pause for the camera's silence.
 */
class Watch {
  readonly signal: AbortSignal
  isLate = false
  readonly #late = new AbortController()
  #timer: NodeJS.Timeout | undefined

  constructor(signal: AbortSignal) {
    this.signal = AbortSignal.any([signal, this.#late.signal])
  }

  start(timeoutMs: number): void {
    clearInterval(this.#timer)
    let left = slices
    this.#timer = setInterval(() => {
      if (--left > 0) return
      clearInterval(this.#timer)
      this.isLate = true
      this.#late.abort(new Error('nothing came in time'))
    }, timeoutMs / slices)
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}

type Answer = { readonly body: Dispatcher.ResponseData['body']; readonly type: string }

/** Asks one address, with a login where the camera wants one; stays with its host, port and scheme. */
class Client implements AsyncDisposable {
  readonly #source: Source & { kind: 'http' }
  readonly #dispatcher: Agent
  readonly #login: HttpLogin | undefined
  #url: URL

  constructor(source: Source & { kind: 'http' }, timeoutMs: number) {
    this.#source = source
    this.#url = new URL(source.url)
    const { username, password } = this.#url
    this.#url.username = ''
    this.#url.password = ''
    if (username !== '') {
      this.#login = new HttpLogin({
        user: decodeURIComponent(username),
        password: decodeURIComponent(password),
      })
    }
    this.#dispatcher = new Agent({
      // Ours come first; these are there so that nothing waits for ever.
      headersTimeout: timeoutMs * 2,
      bodyTimeout: 0,
      connect: { timeout: timeoutMs * 2 },
      maxHeaderSize: headersMaxBytes,
      pipelining: 1,
    })
  }

  async get(signal: AbortSignal): Promise<Answer> {
    let asked = false
    let moves = 0
    for (;;) {
      const path = `${this.#url.pathname}${this.#url.search}`
      const authorization = this.#login?.header('GET', path)
      const { statusCode, headers, body } = await request(this.#url, {
        dispatcher: this.#dispatcher,
        headers: {
          accept: 'multipart/x-mixed-replace, image/jpeg',
          ...(authorization && { authorization }),
        },
        signal,
      })
      if (statusCode === 200) return { body, type: text(headers['content-type']) }
      // Its text is of no use; the connection is closed rather than read to the end.
      body.on('error', () => {}).destroy()
      const challenges = [headers['www-authenticate'] ?? []].flat()
      if (statusCode === 401 && !asked && this.#login?.take(challenges) === true) {
        asked = true
        continue
      }
      const location = text(headers.location)
      if (statusCode < 300 || statusCode > 399 || location === '') {
        throw this.#refusal(causeOfStatus(statusCode), `HTTP ${statusCode}`)
      }
      if (++moves > redirectsMax) throw this.#refusal('failing', `${redirectsMax} redirects`)
      this.#url = this.#follow(location)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#dispatcher.destroy()
  }

  /** Another host could be anything the box can reach, and would be given the password. */
  #follow(location: string): URL {
    const to = URL.canParse(location, this.#url.href) ? new URL(location, this.#url) : undefined
    if (to?.origin === this.#url.origin && to.username === '') return to
    throw this.#refusal('elsewhere', to?.origin ?? 'no address')
  }

  #refusal(cause: CameraCause, detail: string): CameraError {
    return cameraFault(cause, 'open', this.#source.name, detail)
  }
}

/** One snapshot, refused as soon as it is larger than a picture may be. */
async function readWhole(body: Answer['body'], type: string, source: Source): Promise<Uint8Array> {
  const isPicture = /^\s*(image\/(p?jpe?g)|application\/octet-stream)\s*(;|$)/i.test(type)
  if (!isPicture) {
    body.on('error', () => {}).destroy()
    const said = type === '' ? 'without a content type' : `"${type.slice(0, 80)}"`
    throw cameraFault('notPictures', 'open', source.name, said)
  }
  const parts: Uint8Array[] = []
  let sizeBytes = 0
  for await (const bytes of body as AsyncIterable<Uint8Array>) {
    sizeBytes += bytes.length
    if (sizeBytes > pictureMaxBytes) {
      throw new RangeError(`a picture is larger than ${pictureMaxBytes} bytes`)
    }
    parts.push(bytes)
  }
  return Buffer.concat(parts)
}

const text = (header: string | string[] | undefined): string => [header ?? ''].flat()[0] ?? ''

function causeOfStatus(status: number): CameraCause {
  if (status === 401 || status === 403) return 'login'
  if (status === 400 || status === 404 || status === 410) return 'path'
  return 'failing'
}

function causeOf(error: unknown): CameraCause {
  const code = String((error as { code?: unknown }).code ?? '')
  if (/CERT|SELF_SIGNED|UNABLE_TO|ALTNAME/.test(code)) return 'untrusted'
  if (/^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT)$/.test(code)) {
    return 'nobody'
  }
  return 'notHttp'
}

const detailOf = (error: unknown): string =>
  error instanceof Error ? error.message || String((error as { code?: unknown }).code ?? '') : ''
