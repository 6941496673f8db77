/**
 * The `Camera` behind which the `ffmpeg` executable works: one process per camera, which decodes,
 * selects and scales; only the pictures of analysed frames reach us. For where node-av is not
 * installed, as in our images.
 */
import sharp from 'sharp'
import { flvReader } from '../clips/flv.ts'
import { BufferedFrame } from './buffered-frame.ts'
import type { Camera, CameraCounts, CameraInfo, CameraOptions, Frame, InputView } from './camera.ts'
import { CameraError, gateHeight, gateWidth } from './camera.ts'
import { type CameraCause, cameraFault } from './camera-fault.ts'
import { checkedView, sizeWithin } from './canvas.ts'
import { damageGate } from './damage-gate.ts'
import { canCopy, type FfmpegVersion, ffmpegArguments } from './ffmpeg-arguments.ts'
import type { LogEntry } from './ffmpeg-log.ts'
import { type Probed, probe } from './ffmpeg-probe.ts'
import { FfmpegProcess, type Joined, type Picked } from './ffmpeg-process.ts'
import { hardwareArguments, wasHardware } from './hardware-decode.ts'
import { pace, waitFor } from './pace.ts'
import { type PictureMask, pictureMask } from './picture-mask.ts'
import { type FfmpegSource, isLive, secretless } from './source.ts'
import { timeline } from './timeline.ts'

/**
 * Opens a clip or a live camera and waits for its first picture.
 * @param now ms since the epoch
 * @throws {CameraError} refused or unreadable
 */
export async function openFfmpegCamera(
  version: FfmpegVersion,
  source: FfmpegSource,
  options: CameraOptions,
  now: () => number,
): Promise<Camera> {
  const began = performance.now()
  const probed = await probe(source, version, options)
  const camera = new FfmpegCamera(version, source, options, now, probed)
  try {
    await camera.start(options.openTimeoutMs - (performance.now() - began))
    return camera
  } catch (error) {
    await camera[Symbol.asyncDispose]()
    throw error
  }
}

/** A frame selected for analysis. */
type Shot = Picked & {
  readonly frame: number
  readonly positionMs: number
  /** When its line was read, ms since the epoch. */
  readonly arrivedAt: number
}

type Size = { readonly width: number; readonly height: number }

class FfmpegCamera implements Camera {
  readonly #probed: Probed
  readonly #version: FfmpegVersion
  readonly #source: FfmpegSource
  readonly #options: CameraOptions
  readonly #now: () => number
  readonly #signal: AbortSignal
  readonly #closing = new AbortController()
  readonly #position: ReturnType<typeof timeline>
  readonly #isShown = damageGate()
  readonly #firstSize: Size
  readonly #mask: PictureMask | undefined
  #pictures: SizedPictures
  #process: FfmpegProcess<Shot> | undefined
  #hardware: readonly string[]
  /** Why software decodes although hardware was asked for, where we know. */
  #softwareWhy: string | undefined
  #format = ''
  #first: Joined<Shot> | undefined
  #decoded = 0
  #damaged = 0
  #taken = false
  #tickSeconds = 0
  #fromSeconds: number | undefined
  #shot: Shot | undefined
  /** Set when the source has changed its size: the next process is to be asked for this. */
  #resized: { readonly size: Size; readonly fromSeconds: number | undefined } | undefined
  #isSpoilt = false
  #lastWords = ''
  #heardAt = performance.now()
  /** A process that was just started may take as long as opening may. */
  #quietMaxMs = 0
  #damagedAt = Number.NEGATIVE_INFINITY

  constructor(
    version: FfmpegVersion,
    source: FfmpegSource,
    options: CameraOptions,
    now: () => number,
    probed: Probed,
  ) {
    this.#version = version
    this.#source = source
    this.#options = options
    this.#now = now
    this.#signal = AbortSignal.any([options.signal, this.#closing.signal])
    this.#position = timeline(probed.fps)
    this.#firstSize = probed
    this.#pictures = sizedPictures(probed, options)
    this.#mask = pictureMask(options.masks)
    this.#probed = probed
    const { hardwareDecode: hardware = 'none' } = options
    const asked = hardwareArguments(hardware, probed.codec)
    this.#hardware = asked ?? []
    if (asked === undefined) this.#softwareWhy = `${hardware} does not know ${probed.codec}`
  }

  get info(): CameraInfo {
    const { hardwareDecode: hardware = 'none' } = this.#options
    const software = `software: ${this.#softwareWhy ?? 'ffmpeg found no hardware for it'}`
    const isUsed = this.#hardware.length > 0 && wasHardware(hardware, this.#format)
    return {
      decoder: 'ffmpeg',
      ...this.#probed,
      ...(hardware !== 'none' && { hardwareDecode: isUsed ? hardware : software }),
      ...(this.#options.onCoded && !canCopy(this.#version) && { notCoded: oldText }),
    }
  }

  get counts(): CameraCounts {
    return { decoded: this.#decoded, damaged: this.#damaged }
  }

  /** Starts the process and waits for the first picture; without the hardware where that fails. */
  async start(timeoutMs: number): Promise<void> {
    const began = performance.now()
    if (this.#hardware.length > 0) {
      try {
        return await this.#start(timeoutMs * hardwareShare)
      } catch (error) {
        this.#options.signal.throwIfAborted()
        if (!(error instanceof CameraError)) throw error
        await this.#process?.[Symbol.asyncDispose]()
        this.#hardware = []
        const said = secretless(this.#lastWords, this.#source).slice(0, wordsMax)
        this.#softwareWhy = `the hardware failed (${said || 'no picture in time'})`
        this.#lastWords = ''
      }
    }
    await this.#start(timeoutMs - (performance.now() - began))
  }

  async #start(timeoutMs: number): Promise<void> {
    this.#launch()
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(), Math.max(0, timeoutMs))
    try {
      const signal = AbortSignal.any([this.#signal, late.signal])
      this.#first = await this.#advance(() => this.#next(signal))
    } catch (error) {
      this.#options.signal.throwIfAborted()
      if (late.signal.aborted) throw this.#fault(this.#isBlind() ? 'garbage' : 'silent', 'open')
      throw error
    } finally {
      clearTimeout(timer)
    }
    if (this.#first !== undefined) return
    const without = isLive(this.#source) ? 'ended' : 'noVideo'
    throw this.#fault(this.#isBlind() ? 'garbage' : without, 'open')
  }

  async *frames(): AsyncGenerator<Frame> {
    if (this.#taken) throw new Error('Cannot take the frames of a camera twice: open it again')
    this.#taken = true
    const live = isLive(this.#source)
    const clock = pace(!live && this.#options.pace === 'live', this.#now)
    for (;;) {
      this.#signal.throwIfAborted()
      const joined = this.#first ?? (await this.#advance(() => this.#watched()))
      this.#first = undefined
      if (joined === undefined) return
      const { frame, positionMs, arrivedAt } = joined.picked
      if (!live) await waitFor(clock, positionMs, this.#signal)
      using picked = this.#frame(joined, frame, live ? arrivedAt : clock.at(positionMs))
      yield picked
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new Error('The camera was closed'))
    await this.#process?.[Symbol.asyncDispose]()
  }

  #launch(): void {
    const { view, snapshot, sizeBytes } = this.#pictures
    const { analysisFps, loop, openTimeoutMs, stallTimeoutMs, onCoded } = this.#options
    const copied =
      onCoded && this.#probed.codec === 'h264' && canCopy(this.#version)
        ? flvReader(this.#now, onCoded)
        : undefined
    this.#process = new FfmpegProcess<Shot>({
      args: ffmpegArguments({
        source: this.#source,
        version: this.#version,
        view,
        snapshot,
        analysisFps,
        loop,
        fromSeconds: this.#fromSeconds,
        hardware: this.#hardware,
        copies: copied !== undefined,
        socketTimeoutMs: Math.max(openTimeoutMs, stallTimeoutMs) + 1000,
      }),
      sizeBytes,
      isLive: isLive(this.#source),
      onEntry: (entry) => this.#hear(entry),
      // What makes no sense is read on and left aside: the pictures come through other pipes.
      ...(copied && { onCopied: (bytes: Buffer) => void copied(bytes) }),
    })
    this.#heardAt = performance.now()
    this.#quietMaxMs = openTimeoutMs
  }

  /** The next frame, over as many processes as the source has changed its size. */
  async #advance(next: () => Promise<Joined<Shot> | undefined>): Promise<Joined<Shot> | undefined> {
    for (;;) {
      const joined = await next()
      if (joined !== undefined || this.#resized === undefined) return joined
      await this.#relaunch()
    }
  }

  /** The decoder's process is bound to one size of pictures: a new size takes a new one. */
  async #relaunch(): Promise<void> {
    const resized = this.#resized!
    await this.#process?.[Symbol.asyncDispose]()
    // Closed meanwhile: a process started now would have nobody to end it.
    this.#signal.throwIfAborted()
    this.#resized = undefined
    this.#pictures = sizedPictures(resized.size, this.#options)
    this.#fromSeconds = resized.fromSeconds
    this.#launch()
  }

  #hear(entry: LogEntry): Shot | 'end' | undefined {
    switch (entry.kind) {
      case 'time base':
        this.#tickSeconds = entry.tickSeconds
        return undefined
      case 'decoded':
        return this.#count(entry)
      case 'picked':
        return this.#shot
      case 'damage':
        this.#damaged++
        this.#damagedAt = performance.now()
        this.#isSpoilt = true
        this.#lastWords = entry.text
        return undefined
      case 'complaint':
        this.#lastWords = entry.text
        return undefined
    }
  }

  #count(entry: LogEntry & { kind: 'decoded' }): 'end' | undefined {
    this.#heardAt = performance.now()
    this.#quietMaxMs = this.#options.stallTimeoutMs
    const { ticks, width, height, format, isKey } = entry
    this.#format = format
    const seconds = ticks === undefined ? undefined : ticks * this.#tickSeconds
    // Read again only to come to where the last process stopped.
    if (this.#fromSeconds !== undefined && seconds !== undefined) {
      if (seconds < this.#fromSeconds - stampTolerance) return undefined
      this.#fromSeconds = undefined
    }
    if (width !== this.#pictures.source.width || height !== this.#pictures.source.height) {
      this.#resized = { size: { width, height }, fromSeconds: this.#resumeAt(entry, seconds) }
      return 'end'
    }
    const state = this.#isSpoilt ? 'damaged' : isKey ? 'whole key' : 'whole'
    this.#isSpoilt = false
    this.#shot = {
      frame: this.#decoded++,
      positionMs: this.#position(seconds === undefined ? undefined : seconds * 1000),
      arrivedAt: this.#now(),
      isShown: this.#isShown(state, this.#heardAt),
    }
    return undefined
  }

  /** A looped clip that comes back to its first size is at its beginning again. */
  #resumeAt({ width, height }: Size, seconds: number | undefined): number | undefined {
    if (isLive(this.#source)) return undefined
    const isFirst = width === this.#firstSize.width && height === this.#firstSize.height
    return this.#options.loop && isFirst ? undefined : seconds
  }

  /** The next joined frame of a source that is watched for stalls. */
  async #watched(): Promise<Joined<Shot> | undefined> {
    if (!isLive(this.#source)) return this.#orFault(await this.#next(this.#signal))
    let stalled = false
    const watch = setInterval(() => {
      if (performance.now() - this.#heardAt < this.#quietMaxMs) return
      stalled = true
      this.#process?.kill()
    }, watchIntervalMs)
    try {
      const joined = await this.#next(this.#signal)
      if (joined !== undefined || this.#resized !== undefined) return joined
    } finally {
      clearInterval(watch)
    }
    if (this.#isBlind()) throw this.#fault('garbage', 'read')
    throw this.#fault(stalled ? 'stalled' : 'ended', 'read')
  }

  #orFault(joined: Joined<Shot> | undefined): Joined<Shot> | undefined {
    const failed = joined === undefined && this.#resized === undefined
    if (failed && this.#process?.exitCode !== 0) throw this.#fault('garbage', 'read')
    return joined
  }

  /** `next()` of the process, given up when `signal` aborts. */
  async #next(signal: AbortSignal): Promise<Joined<Shot> | undefined> {
    signal.throwIfAborted()
    const process = this.#process!
    const kill = () => process.kill()
    signal.addEventListener('abort', kill)
    try {
      const joined = await process.next()
      signal.throwIfAborted()
      return joined
    } finally {
      signal.removeEventListener('abort', kill)
    }
  }

  #frame(joined: Joined<Shot>, frame: number, at: number): Frame {
    const { source, view, snapshot } = this.#pictures
    const process = this.#process!
    this.#blank(joined)
    let snapshotIsFree = true
    return new BufferedFrame({
      frame,
      at,
      ...source,
      view,
      gate: joined.gate,
      content: joined.content,
      // The process makes pictures for the model that there was at its start.
      anew: {
        inputFor: () => checkedView(this.#options.inputFor(source.width, source.height)),
        from: { ...snapshot, pixels: joined.snapshot },
      },
      jpeg: async ({ widthMax, quality }) => {
        // sharp may still read it when the frame has been disposed of.
        snapshotIsFree = false
        const { width, height } = sizeWithin(source.width, source.height, widthMax)
        const raw = { ...snapshot, channels: 3 as const }
        const picture = sharp(joined.snapshot, { raw })
        if (width < snapshot.width) picture.resize(width, height, { fit: 'fill' })
        return picture.jpeg({ quality }).toBuffer()
      },
      release: () => process.recycle(joined, { snapshot: snapshotIsFree }),
    })
  }

  /** What must not be seen is blanked before the frame is handed out. */
  #blank({ gate, content, snapshot }: Joined<Shot>): void {
    if (this.#mask === undefined) return
    const { source, view, snapshot: size } = this.#pictures
    const rgb = ({ width, height }: Size) => ({
      width,
      height,
      stride: width * 3,
      bytesPerPixel: 3,
    })
    const grey = { width: gateWidth, height: gateHeight, stride: gateWidth, bytesPerPixel: 1 }
    this.#mask.blank(gate, grey, source)
    this.#mask.blank(content, rgb(view.content), source)
    this.#mask.blank(snapshot, rgb(size), source)
  }

  /** It sends, but for as long as a stall lasts nothing could be decoded. */
  #isBlind(): boolean {
    return this.#damagedAt > this.#heardAt
  }

  #fault(cause: CameraCause, act: 'open' | 'read') {
    const said = secretless(this.#lastWords, this.#source).slice(0, wordsMax)
    return cameraFault(cause, act, this.#source.name, said)
  }
}

/** Time stamps that went through text and back may be off by less than this (s). */
const stampTolerance = 1e-6
const watchIntervalMs = 250
const wordsMax = 200
const oldText = 'this ffmpeg is older than 4.4'
/** Part of the time for opening after which software is tried in place of hardware. */
const hardwareShare = 0.5

type SizedPictures = {
  readonly source: Size
  readonly view: InputView
  readonly snapshot: Size
  readonly sizeBytes: { readonly gate: number; readonly content: number; readonly snapshot: number }
}

function sizedPictures({ width, height }: Size, options: CameraOptions): SizedPictures {
  const view = checkedView(options.inputFor(width, height))
  const snapshot = sizeWithin(width, height, options.jpegWidthMax)
  return {
    source: { width, height },
    view,
    snapshot,
    sizeBytes: {
      gate: gateWidth * gateHeight,
      content: view.content.width * view.content.height * 3,
      snapshot: snapshot.width * snapshot.height * 3,
    },
  }
}
