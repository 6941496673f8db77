/**
 * One source opened with node-av's low-level API: packets in, decoded frames out. Live sources are
 * read asynchronously (one libuv thread waits per camera), files synchronously; decoding always runs
 * on the calling thread, which costs 1.5 times less CPU than hopping threads for every packet.
 * The rules that keep it from hanging or crashing: a timeout on every socket, never close while a read
 * is blocked, no options at the decoder's creation, every picture freed by hand.
 */
import { constants } from 'node:os'
import { setImmediate } from 'node:timers/promises'
import type {
  Frame as AvFrame,
  Codec,
  CodecContext,
  FormatContext,
  Packet,
  Stream,
} from 'node-av/lib'
import {
  type CodedPacket,
  type Coding,
  codingOf,
  codingWithin,
  isSameCoding,
} from '../clips/h264.ts'
import { type CameraCause, cameraFault } from './camera-fault.ts'
import { damageGate, type PictureState } from './damage-gate.ts'
import type { KeyFrameSelection } from './key-frames.ts'
import type { NodeAvSource } from './source.ts'
import { believableFps } from './timeline.ts'

export type LibAv = typeof import('node-av/lib') & typeof import('node-av/constants')

export type InputLimits = {
  /** No first picture after this long: refused. */
  readonly openTimeoutMs: number
  /** Nothing, or nothing decodable, for this long: stalled, or unreadable. */
  readonly stallTimeoutMs: number
  /** Told every packet of a source that sends H.264; without it, packets may be dropped where they are read. */
  readonly onCoded?: ((packet: CodedPacket) => void) | undefined
  readonly signal: AbortSignal
}

/** Added to the library's own socket timeout: ours fires first, it is there so that exit never hangs. */
const socketTimeoutExtraMs = 2000

/** A rest is at most this share of the time without packets that is a stall: it must not look like one. */
const restShareMax = 0.5
/** A shorter rest is not worth its timer. */
const restMinMs = 100

/** After this many packets of a file without a picture, other work gets its turn. */
const turnPackets = 100

/** Formats that FFmpeg finds in plain text: character art, never a clip. */
const textFormats = new Set(['tty', 'bin', 'xbin', 'adf', 'idf', 'sbg', 'txd'])

/** What a source may make the library open: a playlist must not reach the network from a file. */
const protocols = { live: 'rtsp,rtsps,rtp,srtp,tcp,tls,udp,crypto', file: 'file' } as const

/** Loads node-av. @throws where the optional dependency or its binary is missing */
export async function loadLibAv(): Promise<LibAv> {
  const [lib, constants] = await Promise.all([import('node-av/lib'), import('node-av/constants')])
  // What it says about single packets is counted as `damaged`; on standard error it would drown the log.
  lib.Log.setLevel(constants.AV_LOG_FATAL)
  return { ...lib, ...constants }
}

/** An open source. Dispose of it when no `next()` is pending; `interrupt()` ends a pending one. */
export class NodeAvInput implements AsyncDisposable {
  readonly codec: string
  /** As the container, or else the stream itself, says. */
  fps: number | undefined
  /** Size of the first picture. */
  width = 0
  height = 0
  decoded = 0
  damaged = 0

  readonly #av: LibAv
  readonly #source: NodeAvSource
  readonly #limits: InputLimits
  readonly #packet: Packet
  readonly #frame: AvFrame
  readonly #format: FormatContext
  readonly #decoder: CodecContext
  readonly #stream: Stream
  readonly #streamIndex: number
  readonly #tickMs: number
  readonly #watchdog: NodeJS.Timeout
  readonly #now: () => number
  /** Of the packets, where they are H.264 and somebody records. */
  #coding: Coding | undefined
  #isCoded = false
  #pending: Promise<number> | undefined
  /** Runs while packets are dropped where they are read. */
  #resting: NodeJS.Timeout | undefined
  #interrupted = false
  #isClosed = false
  #drained = false
  #holding = false
  #picturedAt = performance.now()
  readonly #isShown = damageGate()
  readonly #keyFrames: KeyFrameSelection
  /** The last key frame that was decoded by itself. */
  #lastKey: Packet | undefined
  /** Time stamp of a picture that was shown before and is decoded only for those that refer to it. */
  #shownStamp: bigint | undefined
  #lostPacket = false
  #spoilt = false

  /**
   * Opens the source and decodes its first picture.
   * @param keyFrames says what is decoded; lives longer than one pass through a clip
   * @throws {CameraError} refused or unreadable
   * @throws the signal's reason when aborted
   */
  static async open(
    av: LibAv,
    source: NodeAvSource,
    limits: InputLimits,
    keyFrames: KeyFrameSelection,
    now: () => number,
  ): Promise<NodeAvInput> {
    keyFrames.startOver()
    limits.signal.throwIfAborted()
    const format = new av.FormatContext()
    format.allocContext()
    let isLate = false
    const interrupt = () => format.interrupt()
    const deadline = setTimeout(() => {
      isLate = true
      interrupt()
    }, limits.openTimeoutMs)
    limits.signal.addEventListener('abort', interrupt)
    const fail: Fail = (cause, code) => {
      limits.signal.throwIfAborted()
      const detail = code === undefined ? undefined : av.FFmpegError.strerror(code)
      throw cameraFault(isLate ? 'silent' : cause, 'open', source.name, detail)
    }
    let input: NodeAvInput | undefined
    try {
      await openFormat(av, format, source, limits, fail)
      const { stream, codec } = findVideo(av, format, fail)
      const decoder = openDecoder(av, stream, codec, fail)
      input = new NodeAvInput(av, source, limits, keyFrames, now, format, decoder, stream, codec)
      await input.#first(fail)
      return input
    } catch (error) {
      if (input !== undefined) await input[Symbol.asyncDispose]()
      else await format.closeInput()
      throw error
    } finally {
      clearTimeout(deadline)
      limits.signal.removeEventListener('abort', interrupt)
    }
  }

  private constructor(
    av: LibAv,
    source: NodeAvSource,
    limits: InputLimits,
    keyFrames: KeyFrameSelection,
    now: () => number,
    format: FormatContext,
    decoder: CodecContext,
    stream: Stream,
    codec: Codec,
  ) {
    this.#av = av
    this.#source = source
    this.#limits = limits
    this.#keyFrames = keyFrames
    this.#now = now
    if (limits.onCoded && stream.codecpar.codecId === av.AV_CODEC_ID_H264) {
      const { extradata } = stream.codecpar
      this.#isCoded = true
      this.#coding = extradata === null ? undefined : codingOf(extradata)
    }
    this.#format = format
    this.#decoder = decoder
    this.#stream = stream
    this.#streamIndex = stream.index
    this.#tickMs = 1000 * stream.timeBase.toDouble()
    this.fps = believableFps(stream.avgFrameRate.toDouble())
    this.codec = codec.name ?? 'unknown'
    this.#packet = new av.Packet()
    this.#packet.alloc()
    this.#frame = new av.Frame()
    this.#frame.alloc()
    this.#watchdog = setTimeout(() => this.#watch(), limits.stallTimeoutMs).unref()
  }

  /** The picture that `next()` found; valid until `next()` is called again. */
  get frame(): AvFrame {
    return this.#frame
  }

  /** Gives the picture's memory back before the next one needs it. */
  release(): void {
    if (!this.#isClosed) this.#frame.unref()
  }

  /** Time stamp of the picture in ms, undefined where the source gave none. */
  get stampMs(): number | undefined {
    const stamp = this.#frame.bestEffortTimestamp
    return stamp === this.#av.AV_NOPTS_VALUE ? undefined : Number(stamp) * this.#tickMs
  }

  /**
   * Goes on to the next decoded picture. Returns a promise only where it had to wait for a packet.
   * @returns false at the end of a file
   * @throws {CameraError} stalled, ended or unreadable: from the promise
   */
  next(): boolean | Promise<boolean> {
    if (this.#holding) {
      this.#holding = false
      return true
    }
    for (let packets = 0; !this.#receive(); packets++) {
      if (this.#drained) return false
      if (this.#source.kind === 'live') return this.#wait()
      if (packets === turnPackets) return setImmediate().then(() => this.next())
      this.#feed(this.#format.readFrameSync(this.#packet))
    }
    return true
  }

  /** True where the picture must not be shown: it refers to one that was damaged. */
  get spoilt(): boolean {
    return this.#spoilt
  }

  /** Ends a pending `next()` soon; it fails with `ended`. */
  interrupt(): void {
    this.#interrupted = true
    this.#format.interrupt()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#watchdog)
    clearTimeout(this.#resting)
    if (this.#pending !== undefined) {
      // Closing while a read is blocked crashes the process at exit: let the read come back first.
      this.interrupt()
      await this.#pending
    }
    this.#isClosed = true
    this.#packet.free()
    this.#lastKey?.free()
    this.#frame.free()
    this.#decoder.freeContext()
    await this.#format.closeInput()
  }

  async #first(fail: Fail): Promise<void> {
    const isLive = this.#source.kind === 'live'
    for (let packets = 0; !this.#receive(); packets++) {
      if (this.#drained) fail(this.damaged > 0 ? 'garbage' : 'noVideo')
      if (packets % turnPackets === turnPackets - 1) await setImmediate()
      const code = isLive ? await this.#read() : this.#format.readFrameSync(this.#packet)
      this.#limits.signal.throwIfAborted()
      const isBroken = code < 0 && code !== this.#av.AVERROR_EAGAIN
      if (isLive && isBroken) fail(this.damaged > 0 ? 'garbage' : 'ended', code)
      this.#feed(code)
    }
    this.#holding = true
    this.width = this.#frame.width
    this.height = this.#frame.height
    this.fps ??= believableFps(this.#decoder.framerate.toDouble())
  }

  async #wait(): Promise<boolean> {
    do {
      const code = await this.#read()
      if (code < 0 && code !== this.#av.AVERROR_EAGAIN) throw this.#broken(code)
      this.#feed(code)
      const blindMs = performance.now() - this.#picturedAt
      if (blindMs > 2 * this.#limits.stallTimeoutMs) {
        throw cameraFault(
          'garbage',
          'read',
          this.#source.name,
          `no picture for ${seconds(blindMs)}`,
        )
      }
    } while (!this.#receive())
    return true
  }

  async #read(): Promise<number> {
    if (this.#interrupted) return this.#av.AVERROR_EXIT
    this.#watchdog.refresh()
    this.#rest()
    this.#pending = this.#format.readFrame(this.#packet)
    try {
      return await this.#pending
    } finally {
      this.#pending = undefined
    }
  }

  /**
   * While nothing comes that would be decoded, lets the reading thread drop packets by itself: each one
   * that comes here costs two changes of threads.
   */
  #rest(): void {
    const { quietUntilMs } = this.#keyFrames
    if (this.#resting !== undefined || quietUntilMs === undefined || this.#isCoded) return
    const longestMs = this.#limits.stallTimeoutMs * restShareMax
    const restMs = Math.min(quietUntilMs - performance.now(), longestMs)
    if (restMs < restMinMs) return
    this.#keyFrames.leaveUnread()
    this.#stream.discard = this.#av.AVDISCARD_ALL
    this.#resting = setTimeout(() => {
      this.#resting = undefined
      this.#stream.discard = this.#av.AVDISCARD_DEFAULT
    }, restMs)
  }

  #watch(): void {
    if (this.#pending === undefined) this.#watchdog.refresh()
    else this.#format.interrupt()
  }

  #broken(code: number): Error {
    this.#limits.signal.throwIfAborted()
    const { stallTimeoutMs } = this.#limits
    // The library's own socket timeout has no constant of its own: it is the system's ETIMEDOUT.
    const timedOut = code === this.#av.AVERROR_EXIT || code === -constants.errno.ETIMEDOUT
    const stalled = !this.#interrupted && timedOut
    return stalled
      ? cameraFault('stalled', 'read', this.#source.name, `nothing for ${seconds(stallTimeoutMs)}`)
      : cameraFault('ended', 'read', this.#source.name)
  }

  /** Gives the decoder what a read brought; a failed read is the end of the file. */
  #feed(code: number): void {
    if (code === this.#av.AVERROR_EAGAIN) return
    if (code < 0) {
      this.#drained = true
      this.#decoder.sendPacketSync(null)
      return
    }
    if (this.#packet.streamIndex === this.#streamIndex) {
      if (this.#isCoded) this.#tellCoded(this.#packet)
      this.#decode(this.#packet)
    }
    this.#packet.unref()
  }

  #tellCoded(packet: Packet): void {
    const { data, dts, isKeyframe: isKey } = packet
    const unknown = this.#av.AV_NOPTS_VALUE
    const pts = packet.pts === unknown ? dts : packet.pts
    // The first packets of a camera may have no time: what begins with them could not be played.
    if (data === null || dts === unknown) return
    if (isKey && this.#coding?.packing !== 'lengths') {
      const found = codingWithin(data)
      const isNew = found && !(this.#coding && isSameCoding(this.#coding, found))
      if (isNew) this.#coding = found
    }
    if (this.#coding === undefined) return
    this.#limits.onCoded?.({
      coding: this.#coding,
      isKey,
      at: this.#now(),
      // The packet's own memory is used again.
      data: Buffer.from(data),
      decodeMs: Number(dts) * this.#tickMs,
      shownMs: Number(pts) * this.#tickMs,
    })
  }

  #decode(packet: Packet): void {
    const stamp = packet.pts === this.#av.AV_NOPTS_VALUE ? packet.dts : packet.pts
    const isKnown = stamp !== this.#av.AV_NOPTS_VALUE
    const stampMs = isKnown ? Number(stamp) * this.#tickMs : undefined
    const treatment = this.#keyFrames.take(packet.isKeyframe, stampMs, performance.now())
    if (treatment === 'pass') {
      // Not looked at is not blind.
      this.#picturedAt = performance.now()
      return
    }
    if (treatment === 'decode after last key') this.#refer()
    else if (treatment !== 'decode') this.#decoder.flushBuffers()
    if (this.#decoder.sendPacketSync(packet) < 0) this.#lose()
    if (treatment !== 'alone') return
    this.#lastKey?.free()
    this.#lastKey = packet.clone() ?? undefined
    // Tells the decoder that nothing follows: it gives the picture now, not when it has seen more.
    this.#decoder.sendPacketSync(null)
  }

  /** Decodes the last key frame again, for the frames that refer to it; it was shown before. */
  #refer(): void {
    this.#decoder.flushBuffers()
    const key = this.#lastKey
    if (key === undefined) return
    this.#shownStamp = key.pts
    if (this.#decoder.sendPacketSync(key) < 0) this.#lose()
    while (this.#decoder.receiveFrameSync(this.#frame) >= 0) this.#shownStamp = undefined
  }

  /** Takes one picture out of the decoder, if it has one. */
  #receive(): boolean {
    const code = this.#decoder.receiveFrameSync(this.#frame)
    if (code < 0) {
      if (code !== this.#av.AVERROR_EAGAIN && code !== this.#av.AVERROR_EOF) this.#lose()
      return false
    }
    if (this.#shownStamp !== undefined && this.#frame.pts === this.#shownStamp) {
      this.#shownStamp = undefined
      return this.#receive()
    }
    this.decoded++
    this.#picturedAt = performance.now()
    this.#spoilt = !this.#isShown(this.#pictureState(), this.#picturedAt)
    if (this.#spoilt) this.damaged++
    return true
  }

  #pictureState(): PictureState {
    const { flags, decodeErrorFlags } = this.#frame
    const lost = this.#lostPacket
    this.#lostPacket = false
    if ((flags & this.#av.AV_FRAME_FLAG_CORRUPT) !== 0 || decodeErrorFlags !== 0) return 'damaged'
    if ((flags & this.#av.AV_FRAME_FLAG_KEY) !== 0) return 'whole key'
    return lost ? 'damaged' : 'whole'
  }

  #lose(): void {
    this.damaged++
    this.#lostPacket = true
  }
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`

/** Throws why opening failed: as `cause`, unless it was aborted or came too late. */
type Fail = (cause: CameraCause, code?: number) => never

async function openFormat(
  av: LibAv,
  format: FormatContext,
  source: NodeAvSource,
  limits: InputLimits,
  fail: Fail,
): Promise<void> {
  using options = av.Dictionary.fromObject(openOptions(source, limits))
  const url = source.kind === 'live' ? source.url : `file:${source.path}`
  const opened = await format.openInput(url, null, options)
  if (opened < 0) fail(openCause(av, source, opened), opened)
  if (textFormats.has(format.iformat?.name ?? '')) fail('noVideo')
  const probed = await format.findStreamInfo()
  if (probed < 0) fail('noVideo', probed)
}

function findVideo(av: LibAv, format: FormatContext, fail: Fail): { stream: Stream; codec: Codec } {
  const { streamIndex, decoder } = format.findBestStream(av.AVMEDIA_TYPE_VIDEO, -1, -1, true)
  if (streamIndex === av.AVERROR_DECODER_NOT_FOUND) fail('codec')
  const { streams } = format
  const stream = streams[streamIndex]
  // The cover of a song is a stream of one picture.
  if (stream === undefined || stream.attachedPic !== null) return fail('noVideo')
  if (decoder === null) return fail('codec')
  for (const other of streams) {
    if (other.index !== streamIndex) other.discard = av.AVDISCARD_ALL
  }
  return { stream, codec: decoder }
}

function openDecoder(av: LibAv, stream: Stream, codec: Codec, fail: Fail): CodecContext {
  const decoder = new av.CodecContext()
  decoder.allocContext3(codec)
  decoder.parametersToContext(stream.codecpar)
  decoder.pktTimebase = stream.timeBase
  decoder.threadCount = 1
  const opened = decoder.open2Sync(codec, null)
  if (opened >= 0) return decoder
  decoder.freeContext()
  return fail('codec', opened)
}

function openOptions(source: NodeAvSource, limits: InputLimits): Record<string, string> {
  if (source.kind !== 'live') return { protocol_whitelist: protocols.file }
  const socketTimeoutMs =
    Math.max(limits.openTimeoutMs, limits.stallTimeoutMs) + socketTimeoutExtraMs
  return {
    protocol_whitelist: protocols.live,
    rtsp_transport: 'tcp',
    allowed_media_types: 'video',
    // Microseconds. Without it a silent camera would keep the process from ever exiting.
    timeout: String(socketTimeoutMs * 1000),
    // No frames read only to guess the rate: the first picture comes 0.7 s earlier (measured).
    fpsprobesize: '0',
    analyzeduration: '1500000',
  }
}

function openCause(av: LibAv, source: NodeAvSource, code: number): CameraCause {
  if (code === av.AVERROR_HTTP_UNAUTHORIZED || code === av.AVERROR_HTTP_FORBIDDEN) return 'login'
  if (code === av.AVERROR_HTTP_NOT_FOUND || code === av.AVERROR_HTTP_BAD_REQUEST) return 'path'
  if (code === -constants.errno.ECONNRESET) return 'strange'
  if (code === av.AVERROR_INVALIDDATA) return source.kind === 'live' ? 'strange' : 'noVideo'
  return source.kind === 'live' ? 'nobody' : 'gone'
}
