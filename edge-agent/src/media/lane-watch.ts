/**
 * What is known of a model at work without asking it anything more: sums of what it saw, and now and then a copy of a
 * canvas it was given together with what it said, for whoever compares another model with it. Nothing is queued:
 * a copy is taken of the next frame after it was asked for, so the newest wins, and nobody waits for it.
 */
import type { InputView } from '../cameras/camera.ts'
import type { DetectOptions, Reading } from '../models/model.ts'
import type { Lane } from './inference.ts'
import type { Detected } from './inference-thread.ts'

/** Sums of what one model saw on one stream between two reports. */
export type SeenBlock = {
  readonly model: string
  readonly digest: string
  readonly streamId: string
  readonly frames: number
  /** Detections that count by themselves, and the sum of their scores. */
  readonly detections: number
  readonly scores: number
  /** Of at most `timesMax` frames. */
  readonly inferenceMs: readonly number[]
  /** Longest time between two answers of a model on this stream, whichever model gave them; a scene at rest has none. */
  readonly gapMs: number
}

/** A canvas as a model was given it, and what that said. */
export type SeenFrame = {
  readonly model: string
  readonly digest: string
  readonly streamId: string
  /** Of the picture from which the canvas was made. */
  readonly width: number
  readonly height: number
  readonly view: InputView
  readonly canvas: Uint8Array
  readonly options: DetectOptions
  readonly reading: Reading
}

const timesMax = 256

type Ask = { readonly model: string; readonly give: (frame: SeenFrame) => void }
type Sums = { -readonly [K in keyof SeenBlock]: SeenBlock[K] } & { inferenceMs: number[] }

export class LaneWatch {
  readonly #sums = new Map<string, Sums>()
  /** When a model last answered, by stream, on a clock that is never set. */
  readonly #answeredMs = new Map<string, number>()
  #ask: Ask | undefined

  /** Gives the next frame that goes through a model of this name; replaces what was asked before. Undefined: none. */
  ask(ask: Ask | undefined): void {
    this.#ask = ask
  }

  /** The request for a frame of this model, which is then taken. */
  claim(model: string): Ask | undefined {
    if (this.#ask?.model !== model) return undefined
    const ask = this.#ask
    this.#ask = undefined
    return ask
  }

  /** Nothing came of a claim. */
  giveBack(ask: Ask): void {
    this.#ask ??= ask
  }

  add(lane: Lane, streamId: string, { scoreFirm = 0 }: DetectOptions, seen: Detected): void {
    const { name, digest } = lane.model
    const key = `${digest} ${streamId} ${name}`
    let sums = this.#sums.get(key)
    if (!sums) {
      const none = { frames: 0, detections: 0, scores: 0, inferenceMs: [], gapMs: 0 }
      sums = { model: name, digest, streamId, ...none }
      this.#sums.set(key, sums)
    }
    sums.frames++
    const nowMs = performance.now()
    sums.gapMs = Math.max(sums.gapMs, nowMs - (this.#answeredMs.get(streamId) ?? nowMs))
    this.#answeredMs.set(streamId, nowMs)
    for (const { score } of seen.detections) {
      if (score < scoreFirm) continue
      sums.detections++
      sums.scores += score
    }
    if (sums.inferenceMs.length < timesMax) sums.inferenceMs.push(seen.inferenceMs)
  }

  /** What was seen since the last call. */
  take(): SeenBlock[] {
    const blocks = [...this.#sums.values()]
    this.#sums.clear()
    return blocks
  }

  /** A lane that is watched; everything else about it is as before. */
  over(lane: Lane, streamId: string, options: DetectOptions): Lane {
    return new WatchedLane(this, lane, streamId, options)
  }
}

class WatchedLane implements Lane {
  readonly #watch: LaneWatch
  readonly #lane: Lane
  readonly #streamId: string
  readonly #options: DetectOptions
  #size = { width: 1, height: 1 }

  constructor(watch: LaneWatch, lane: Lane, streamId: string, options: DetectOptions) {
    this.#watch = watch
    this.#lane = lane
    this.#streamId = streamId
    this.#options = options
  }

  get model() {
    return this.#lane.model
  }

  get canvas(): Uint8Array {
    return this.#lane.canvas
  }

  get dropped(): number {
    return this.#lane.dropped
  }

  inputFor(width: number, height: number): InputView {
    if (this.#size.width !== width || this.#size.height !== height) this.#size = { width, height }
    return this.#lane.inputFor(width, height)
  }

  async detect(view: InputView): Promise<Detected | undefined> {
    const { model, canvas } = this.#lane
    const ask = this.#watch.claim(model.name)
    // Before it is handed over: then somebody else writes on it.
    const copy = ask && canvas.slice(0, model.inputBytes)
    let detected: Detected | undefined
    try {
      detected = await this.#lane.detect(view)
    } finally {
      if (ask && !detected) this.#watch.giveBack(ask)
    }
    // It came from the model before, which is no longer there to be described.
    if (!detected || this.#lane.model.digest !== detected.digest) return detected
    this.#watch.add(this.#lane, this.#streamId, this.#options, detected)
    if (ask && copy) {
      ask.give({
        model: model.name,
        digest: model.digest,
        streamId: this.#streamId,
        ...this.#size,
        view,
        canvas: copy,
        options: this.#options,
        reading: detected.reading,
      })
    }
    return detected
  }

  [Symbol.dispose](): void {
    this.#lane[Symbol.dispose]()
  }
}
