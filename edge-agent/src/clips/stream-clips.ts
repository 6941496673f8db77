/** The clips of one connection of a stream: its packets and events in, files and `clip` records out. */
import type { NewEvent } from '@edgeloop/protocol'
import { type Clip, ClipFile } from './clip-file.ts'
import { ClipRecorder, type ClipWindow } from './clip-recorder.ts'
import type { CodedPacket } from './h264.ts'

export type ClipSettings = ClipWindow & {
  readonly kinds: readonly string[]
  readonly labels: readonly string[] | undefined
}

export type StreamClipsOptions = {
  readonly streamId: string
  readonly folder: string
  readonly settings: ClipSettings
  /** A clip is complete in the folder. */
  readonly announce: (digest: string, sizeBytes: number) => void
  readonly record: (event: NewEvent) => Promise<void>
  readonly warn: (text: string) => void
  readonly free?: (folder: string) => Promise<number>
}

export class StreamClips {
  readonly #options: StreamClipsOptions
  readonly #recorder: ClipRecorder<ClipFile>
  readonly #finishing = new Set<Promise<void>>()
  #isFailing = false

  constructor(options: StreamClipsOptions) {
    const { folder, settings, free } = options
    this.#options = options
    this.#recorder = new ClipRecorder({
      ...settings,
      open: (coding) => new ClipFile({ folder, coding, ...(free && { free }) }),
      close: (file) => {
        const finishing = this.#finish(file).finally(() => this.#finishing.delete(finishing))
        this.#finishing.add(finishing)
      },
    })
  }

  /** Takes a packet. Nothing is waited for. */
  packet(packet: CodedPacket): void {
    this.#recorder.packet(packet)
  }

  /** Begins or extends a clip where the event is one of those that are wanted. */
  take(event: NewEvent): void {
    const { kinds, labels } = this.#options.settings
    if (!kinds.includes(event.kind)) return
    if (labels && 'label' in event && !labels.includes(event.label)) return
    this.#recorder.want(Date.parse(event.at))
  }

  /** Ends what is being recorded; settles when it is on disk and recorded. */
  async end(): Promise<void> {
    this.#recorder.end()
    await Promise.all(this.#finishing)
  }

  async #finish(file: ClipFile): Promise<void> {
    const { streamId, announce, record, warn } = this.#options
    let clip: Clip
    try {
      clip = await file.finish()
      this.#isFailing = false
    } catch (error) {
      // Said once: a full disk refuses every clip.
      if (!this.#isFailing) warn((error as Error).message)
      this.#isFailing = true
      return
    }
    const { digest, sizeBytes, startedAt, endedAt, ...rest } = clip
    announce(digest, sizeBytes)
    await record({
      kind: 'clip',
      at: new Date(endedAt).toISOString(),
      streamId,
      startedAt: new Date(startedAt).toISOString(),
      clip: digest,
      sizeBytes,
      ...rest,
    })
  }
}
