/**
 * One running `ffmpeg` that writes three pictures per picked frame to three pipes and a line per frame
 * to standard error. Here they are put together again, in order.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { copyFd, pictureFds } from './ffmpeg-arguments.ts'
import { type LogEntry, lineSplitter, parseLogLine } from './ffmpeg-log.ts'

export type PictureName = keyof typeof pictureFds
const pictureNames = Object.keys(pictureFds) as PictureName[]

/** What the camera knows about a picked frame when its line is read, before its pictures are there. */
export type Picked = { readonly isShown: boolean }

export type Joined<P extends Picked> = { readonly picked: P } & Record<PictureName, Buffer>

export type FfmpegTask<P extends Picked> = {
  readonly args: readonly string[]
  readonly sizeBytes: Record<PictureName, number>
  /** Live: pictures that nobody took in time make room for newer ones. Otherwise ffmpeg waits. */
  readonly isLive: boolean
  /** Told every line; returns the frame of a `picked` entry, `end` to read no further. */
  readonly onEntry: (entry: LogEntry) => P | 'end' | undefined
  /** Told what comes through the pipe of copied packets, where there is one. */
  readonly onCopied?: ((bytes: Buffer) => void) | undefined
}

/** Frames put together and not yet taken: more only cost memory. */
const readyMax = 2

export class FfmpegProcess<P extends Picked> implements AsyncDisposable {
  /** Pictures that made room for newer ones. */
  dropped = 0
  readonly #task: FfmpegTask<P>
  readonly #child: ChildProcess
  readonly #closed: Promise<unknown>
  readonly #picked: P[] = []
  readonly #pipes: Record<PictureName, PicturePipe>
  readonly #copies: Readable | undefined
  readonly #ready: Joined<P>[] = []
  #wake = Promise.withResolvers<void>()
  #isEnded = false
  #isCut = false
  #failure: Error | undefined

  constructor(task: FfmpegTask<P>) {
    this.#task = task
    // In our own process group: whoever ends that, ends the decoder too.
    this.#child = spawn('ffmpeg', task.args, {
      stdio: [
        'ignore',
        'ignore',
        'pipe',
        'pipe',
        'pipe',
        'pipe',
        task.onCopied ? 'pipe' : 'ignore',
      ],
    })
    this.#closed = once(this.#child, 'close').then(
      () => this.#end(),
      (error) => this.#end(error),
    )
    // Asked for as pipes above; the type of `stdio` knows only five.
    const pipeOf = (fd: number) => (this.#child.stdio as readonly unknown[])[fd] as Readable
    const open = (name: PictureName) =>
      new PicturePipe(pipeOf(pictureFds[name]), task.sizeBytes[name], () => this.#join())
    if (task.onCopied) {
      this.#copies = pipeOf(copyFd)
      // A killed process leaves a broken pipe behind; that it ended is told elsewhere.
      this.#copies.on('error', () => {}).on('data', task.onCopied)
    }
    this.#pipes = {
      gate: open('gate'),
      content: open('content'),
      snapshot: open('snapshot'),
    }
    const take = lineSplitter((line) => this.#read(line))
    this.#child.stderr?.setEncoding('utf8').on('data', take)
  }

  /** Not null once the process has gone. */
  get exitCode(): number | null {
    return this.#child.exitCode
  }

  /**
   * The next frame with its pictures; undefined when there will be none.
   * @throws where the process could not be started
   */
  async next(): Promise<Joined<P> | undefined> {
    for (;;) {
      const joined = this.#ready.shift()
      if (joined !== undefined) {
        this.#flow()
        return joined
      }
      if (this.#failure !== undefined) throw this.#failure
      if (this.#isEnded) return undefined
      await this.#wake.promise
      this.#wake = Promise.withResolvers()
    }
  }

  /** Takes back the buffers of a frame that is no longer looked at. */
  recycle(joined: Joined<P>, { snapshot = true } = {}): void {
    this.#pipes.gate.recycle(joined.gate)
    this.#pipes.content.recycle(joined.content)
    if (snapshot) this.#pipes.snapshot.recycle(joined.snapshot)
  }

  /** Ends it now; `next()` still gives what was put together. */
  kill(): void {
    this.#child.kill('SIGKILL')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill()
    // What is left in a pipe would otherwise keep it open.
    for (const name of pictureNames) this.#pipes[name].close()
    this.#copies?.destroy()
    await this.#closed
  }

  #read(line: string): void {
    const entry = parseLogLine(line)
    if (entry === undefined || this.#isCut) return
    const answer = this.#task.onEntry(entry)
    if (answer === 'end') {
      this.#isCut = true
    } else if (answer !== undefined) {
      this.#picked.push(answer)
    }
    this.#join()
  }

  /** Puts together what has come; pictures and lines arrive independently, each in order. */
  #join(): void {
    while (this.#picked.length > 0 && pictureNames.every((name) => this.#pipes[name].has)) {
      const joined = {
        picked: this.#picked.shift()!,
        gate: this.#pipes.gate.take(),
        content: this.#pipes.content.take(),
        snapshot: this.#pipes.snapshot.take(),
      }
      if (!joined.picked.isShown) {
        this.recycle(joined)
        continue
      }
      this.#ready.push(joined)
      if (this.#task.isLive && this.#ready.length > readyMax) {
        this.#ready.splice(0, 1).forEach((old) => {
          this.recycle(old)
        })
        this.dropped++
      }
      this.#wake.resolve()
    }
    if (this.#isCut && this.#picked.length === 0) this.kill()
    this.#flow()
  }

  /** All pipes together, or one that waits for another's reader would wait for ever. */
  #flow(): void {
    const wait = !this.#task.isLive && this.#ready.length >= readyMax
    for (const name of pictureNames) this.#pipes[name].flow(!wait)
  }

  #end(error?: Error): void {
    this.#failure = error
    this.#isEnded = true
    this.#wake.resolve()
  }
}

/** Cuts the bytes of one pipe into pictures of one size; buffers are used again. */
class PicturePipe {
  readonly #pipe: Readable
  readonly #sizeBytes: number
  readonly #whole: Buffer[] = []
  readonly #spare: Buffer[] = []
  #filling: Buffer | undefined
  #filled = 0

  constructor(pipe: Readable, sizeBytes: number, onPicture: () => void) {
    this.#pipe = pipe
    this.#sizeBytes = sizeBytes
    // A killed process leaves a broken pipe behind; that it ended is told elsewhere.
    pipe.on('error', () => {})
    pipe.on('data', (bytes: Buffer) => {
      if (this.#fill(bytes)) onPicture()
    })
  }

  get has(): boolean {
    return this.#whole.length > 0
  }

  take(): Buffer {
    return this.#whole.shift()!
  }

  recycle(buffer: Buffer): void {
    if (this.#spare.length < readyMax) this.#spare.push(buffer)
  }

  flow(on: boolean): void {
    if (on && this.#pipe.isPaused()) this.#pipe.resume()
    else if (!on && !this.#pipe.isPaused()) this.#pipe.pause()
  }

  close(): void {
    this.#pipe.destroy()
  }

  #fill(bytes: Buffer): boolean {
    let from = 0
    const before = this.#whole.length
    while (from < bytes.length) {
      this.#filling ??= this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.#sizeBytes)
      const count = bytes.copy(this.#filling, this.#filled, from)
      from += count
      this.#filled += count
      if (this.#filled === this.#sizeBytes) {
        this.#whole.push(this.#filling)
        this.#filling = undefined
        this.#filled = 0
      }
    }
    return this.#whole.length > before
  }
}
