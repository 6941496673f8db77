/**
 * A camera for tests: an RTSP server (RFC 2326) that sends an H.264 clip for ever over the TCP
 * connection it was asked on, and misbehaves on request. The clip is packed once; each viewer costs a
 * copy of its bytes.
 */
import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { VideoClip } from './access-units.ts'
import { randomFrom } from './random.ts'
import { headBytes, packUnit, payloadType, stampPacket, type UnitPackets } from './rtp.ts'

/** How the camera misbehaves. Frames are counted for each viewer from PLAY on. */
export type CameraFaults = {
  /** Hangs up on whoever connects, or answers every request with this status. */
  readonly refuse?: true | 404 | 453 | 503
  /** Takes the connection and never says a word. */
  readonly mute?: true
  /** Demands these, and answers 401 without them. */
  readonly unauthorized?: { scheme: 'basic' | 'digest'; user: string; password: string }
  /** Promises to play and sends nothing. */
  readonly silentAfterPlay?: true
  /** Goes silent, with the connection open. */
  readonly stallAfterFrames?: number
  /** Closes the connection. */
  readonly closeAfterFrames?: number
  /** Sends random bytes in place of pictures. */
  readonly garbageAfterFrames?: number
  /** Share (0..1) of RTP packets that never leave; their sequence numbers are missing. */
  readonly dropShare?: number
  /** Share (0..1) of RTP packets with a few bytes changed. */
  readonly corruptShare?: number
  /** Goes on with the server's second clip, also for those who connect later. */
  readonly resolutionChangeAfterFrames?: number
}

export type RtspServerOptions = {
  readonly clip: VideoClip
  /** What `resolutionChangeAfterFrames` changes to. */
  readonly second?: VideoClip
  readonly faults?: CameraFaults
  /** For drops, corruption and garbage. */
  readonly seed?: number
}

/** Bytes a viewer may leave unread before pictures are left out, as cameras do. */
const backlogMaxBytes = 4 << 20
/** Longest request that is read. */
const requestMaxBytes = 16 << 10
const ticksPerMs = 90

export class RtspServer implements AsyncDisposable {
  /** Takes effect on viewers that connect from now on. */
  faults: CameraFaults
  readonly #server: Server
  readonly #viewers = new Set<Viewer>()
  readonly #clips: readonly PackedClip[]
  readonly #seed: number
  #connections = 0
  #hasChanged = false

  static async open(options: RtspServerOptions): Promise<RtspServer> {
    const camera = new RtspServer(options)
    camera.#server.listen(0, '127.0.0.1')
    await once(camera.#server, 'listening')
    return camera
  }

  private constructor({ clip, second, faults = {}, seed = 1 }: RtspServerOptions) {
    this.faults = faults
    this.#seed = seed
    this.#clips = (second === undefined ? [clip] : [clip, second]).map(packClip)
    this.#server = createServer((socket) => this.#connect(socket))
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Address for a viewer, with user and password where the camera demands them. */
  get url(): string {
    const { unauthorized } = this.faults
    const login =
      unauthorized === undefined
        ? ''
        : `${encodeURIComponent(unauthorized.user)}:${encodeURIComponent(unauthorized.password)}@`
    return `rtsp://${login}127.0.0.1:${this.port}/stream`
  }

  /** Connections taken so far. */
  get connections(): number {
    return this.#connections
  }

  /** Closes every connection that is open now; new ones are taken. */
  cut(): void {
    for (const viewer of this.#viewers) viewer.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #connect(socket: Socket): void {
    const seed = this.#seed + this.#connections++
    if (this.faults.refuse === true) {
      socket.resetAndDestroy()
      return
    }
    const second = this.#clips[1]
    const clips = this.#hasChanged && second !== undefined ? [second] : this.#clips
    const viewer = new Viewer(socket, this.faults, clips, seed, () => {
      this.#hasChanged = true
    })
    this.#viewers.add(viewer)
    socket.on('close', () => this.#viewers.delete(viewer))
  }
}

type PackedClip = VideoClip & {
  readonly packed: readonly UnitPackets[]
  /** When each access unit leaves: decoding order, evenly spread. */
  readonly sendMs: readonly number[]
}

/** Parameter sets go before every key frame, so that a viewer may come or get lost at any time. */
function packClip(clip: VideoClip): PackedClip {
  const stepMs = clip.durationMs / clip.units.length
  return {
    ...clip,
    packed: clip.units.map(({ nals, isKey }) =>
      packUnit(isKey ? [...clip.parameterSets, ...nals] : nals, 0),
    ),
    sendMs: clip.units.map((_, index) => index * stepMs),
  }
}

/** One connection: answers requests, and after PLAY sends pictures at their time. */
class Viewer {
  readonly #socket: Socket
  readonly #faults: CameraFaults
  readonly #clips: readonly PackedClip[]
  readonly #random: () => number
  readonly #onChange: () => void
  readonly #nonce = randomUUID().replaceAll('-', '')
  readonly #session = randomUUID().slice(0, 8)
  #requests = Buffer.alloc(0)
  #timer: NodeJS.Timeout | undefined
  #clip: PackedClip
  #sent = 0
  #index = 0
  #sequence: number
  #passStart = 0
  /** RTP time of the pass that is being sent, in ms. */
  #passStampMs: number

  constructor(
    socket: Socket,
    faults: CameraFaults,
    clips: readonly PackedClip[],
    seed: number,
    onChange: () => void,
  ) {
    this.#onChange = onChange
    this.#socket = socket
    this.#faults = faults
    this.#clips = clips
    this.#clip = clips[0]!
    this.#random = randomFrom(seed)
    this.#sequence = Math.floor(this.#random() * 0x10000)
    this.#passStampMs = Math.floor(this.#random() * 1e6)
    socket.setNoDelay(true)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => clearTimeout(this.#timer))
    socket.on('data', (bytes) => {
      if (faults.mute !== true) this.#take(bytes)
    })
  }

  close(): void {
    this.#socket.destroy()
  }

  #take(bytes: Buffer): void {
    this.#requests = Buffer.concat([this.#requests, bytes])
    for (;;) {
      // RTCP reports of the viewer come interleaved with its requests.
      if (this.#requests[0] === 0x24) {
        if (this.#requests.length < 4) return
        const end = 4 + this.#requests.readUInt16BE(2)
        if (this.#requests.length < end) return
        this.#requests = this.#requests.subarray(end)
        continue
      }
      const end = this.#requests.indexOf('\r\n\r\n')
      if (end < 0) {
        if (this.#requests.length > requestMaxBytes) this.close()
        return
      }
      const request = this.#requests.subarray(0, end).toString()
      this.#requests = this.#requests.subarray(end + 4)
      this.#answer(request)
    }
  }

  #answer(text: string): void {
    const request = parseRequest(text)
    const { status, headers = {}, body = '' } = this.#replyTo(request)
    const head = [
      `RTSP/1.0 ${status} ${reasons[status] ?? 'Unknown'}`,
      `CSeq: ${request.headers.get('cseq') ?? '0'}`,
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
      ...(body === '' ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]),
    ]
    this.#socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
    if (status !== 200) return
    if (request.method === 'PLAY' && this.#faults.silentAfterPlay !== true) this.#play()
    if (request.method === 'TEARDOWN') this.#socket.end()
  }

  #replyTo({ method, url, headers }: RtspRequest): Reply {
    const { refuse } = this.#faults
    if (typeof refuse === 'number') return { status: refuse }
    if (method !== 'OPTIONS' && !this.#isAllowed(method, headers.get('authorization'))) {
      return { status: 401, headers: { 'WWW-Authenticate': this.#challenge() } }
    }
    const session = { Session: this.#session }
    switch (method) {
      case 'OPTIONS':
        return {
          status: 200,
          headers: { Public: 'OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN' },
        }
      case 'DESCRIBE':
        return {
          status: 200,
          headers: { 'Content-Base': `${url}/`, 'Content-Type': 'application/sdp' },
          body: describe(this.#clip),
        }
      case 'SETUP':
        if (headers.get('transport')?.includes('TCP') !== true) return { status: 461 }
        return {
          status: 200,
          headers: {
            Transport: 'RTP/AVP/TCP;unicast;interleaved=0-1',
            Session: `${this.#session};timeout=60`,
          },
        }
      case 'PLAY':
        return { status: 200, headers: { ...session, Range: 'npt=now-' } }
      case 'GET_PARAMETER':
      case 'TEARDOWN':
        return { status: 200, headers: session }
      default:
        return { status: 405 }
    }
  }

  #play(): void {
    if (this.#timer !== undefined) return
    this.#passStart = performance.now()
    this.#timer = setTimeout(() => this.#send(), 0)
  }

  /** Sends what is due and sets the timer for what comes next. */
  #send(): void {
    const { stallAfterFrames, closeAfterFrames, resolutionChangeAfterFrames } = this.#faults
    for (;;) {
      if (this.#sent === stallAfterFrames) return
      if (this.#sent === closeAfterFrames) {
        this.close()
        return
      }
      if (this.#sent === resolutionChangeAfterFrames && this.#clip === this.#clips[0]) {
        const second = this.#clips[1]
        if (second !== undefined) {
          this.#nextPass(second)
          this.#onChange()
        }
      }
      if (this.#index === this.#clip.packed.length) this.#nextPass(this.#clip)
      const waitMs = this.#passStart + this.#clip.sendMs[this.#index]! - performance.now()
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#send(), waitMs)
        return
      }
      this.#sendUnit(this.#clip.packed[this.#index]!, this.#clip.units[this.#index]!.stampMs)
      this.#index++
      this.#sent++
    }
  }

  #nextPass(clip: PackedClip): void {
    const elapsedMs = this.#clip.sendMs[this.#index] ?? this.#clip.durationMs
    this.#passStart += elapsedMs
    this.#passStampMs += elapsedMs
    this.#clip = clip
    this.#index = 0
  }

  #sendUnit(packets: UnitPackets, stampMs: number): void {
    const { dropShare = 0, corruptShare = 0, garbageAfterFrames } = this.#faults
    if (this.#socket.writableLength > backlogMaxBytes) return
    const ticks = Math.round((this.#passStampMs + stampMs) * ticksPerMs)
    const garbage = garbageAfterFrames !== undefined && this.#sent >= garbageAfterFrames
    const parts: Buffer[] = []
    for (const template of packets) {
      const sequence = this.#sequence++
      if (dropShare > 0 && this.#random() < dropShare) continue
      const packet = Buffer.from(template)
      stampPacket(packet, { sequence, ticks, source: 0x45444745 })
      const corrupt = corruptShare > 0 && this.#random() < corruptShare
      if (garbage) this.#spoil(packet, packet.length)
      else if (corrupt) this.#spoil(packet, corruptBytes)
      parts.push(packet)
    }
    this.#socket.write(Buffer.concat(parts))
  }

  /** Overwrites `count` places of the payload, chosen at random; all of it in order where that fits. */
  #spoil(packet: Buffer, count: number): void {
    const length = packet.length - headBytes
    for (let n = 0; n < Math.min(count, length); n++) {
      const place = count >= length ? n : Math.floor(this.#random() * length)
      packet[headBytes + place] = Math.floor(this.#random() * 256)
    }
  }

  #challenge(): string {
    return this.#faults.unauthorized?.scheme === 'digest'
      ? `Digest realm="${realm}", nonce="${this.#nonce}"`
      : `Basic realm="${realm}"`
  }

  /** RFC 7617 and RFC 2069 (no quality of protection), which is what cameras speak. */
  #isAllowed(method: string, given: string | undefined): boolean {
    const wanted = this.#faults.unauthorized
    if (wanted === undefined) return true
    if (given === undefined) return false
    const { user, password } = wanted
    if (wanted.scheme === 'basic') {
      return given === `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
    }
    const field = (name: string) => new RegExp(`\\b${name}="([^"]*)"`).exec(given)?.[1] ?? ''
    const secret = md5(`${user}:${realm}:${password}`)
    const expected = md5(`${secret}:${this.#nonce}:${md5(`${method}:${field('uri')}`)}`)
    return field('username') === user && field('response') === expected
  }
}

type RtspRequest = {
  readonly method: string
  readonly url: string
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>
}

type Reply = {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

function parseRequest(text: string): RtspRequest {
  const [line = '', ...lines] = text.split('\r\n')
  const [method = '', url = ''] = line.split(' ')
  const headers = lines.map((header): [string, string] => {
    const colon = header.indexOf(':')
    return [header.slice(0, colon).toLowerCase(), header.slice(colon + 1).trim()]
  })
  return { method, url, headers: new Map(headers) }
}

const realm = 'Edgeloop test camera'
/** Enough to break a slice, few enough that its header often stays whole. */
const corruptBytes = 8
const md5 = (text: string): string => createHash('md5').update(text).digest('hex')

const reasons: Record<number, string> = {
  200: 'OK',
  401: 'Unauthorized',
  404: 'Not Found',
  405: 'Method Not Allowed',
  453: 'Not Enough Bandwidth',
  461: 'Unsupported Transport',
  503: 'Service Unavailable',
}

/** Session description (RFC 8866) with the parameter sets of RFC 6184 8.2.1. */
function describe({ parameterSets, fps }: VideoClip): string {
  const [sps] = parameterSets
  const profile = sps?.subarray(1, 4).toString('hex') ?? '42e01f'
  const sets = parameterSets.map((set) => set.toString('base64')).join(',')
  return [
    'v=0',
    'o=- 0 0 IN IP4 127.0.0.1',
    's=Edgeloop test camera',
    'c=IN IP4 0.0.0.0',
    't=0 0',
    'a=control:*',
    `m=video 0 RTP/AVP ${payloadType}`,
    `a=rtpmap:${payloadType} H264/90000`,
    `a=fmtp:${payloadType} packetization-mode=1;profile-level-id=${profile};sprop-parameter-sets=${sets}`,
    `a=framerate:${fps}`,
    'a=control:track0',
    '',
  ].join('\r\n')
}
