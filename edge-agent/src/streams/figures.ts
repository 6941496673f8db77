/** Counts what a stream does and sums it up once per interval for the health event. */
import type { StreamFigures } from '@edgeloop/protocol'

/** Measurements kept for one interval; beyond it every other one is dropped, which keeps the shape. */
const measurementsMax = 4096

/** Figures of one stream between two readings. */
export class Figures {
  readonly #streamId: string
  #came = 0
  #analysed = 0
  #gated = 0
  #dropped = 0
  #reconnects = 0
  #inferenceMs = new Measurements()
  #latencyMs = new Measurements()

  constructor(streamId: string) {
    this.#streamId = streamId
  }

  /** Frames the camera sent, decoded or not. */
  came(frames: number): void {
    this.#came += frames
  }

  gated(): void {
    this.#gated++
  }

  dropped(frames: number): void {
    this.#dropped += frames
  }

  reconnected(): void {
    this.#reconnects++
  }

  /** A frame went through the model. */
  analysed(inferenceMs: number, latencyMs: number): void {
    this.#analysed++
    this.#inferenceMs.add(inferenceMs)
    this.#latencyMs.add(latencyMs)
  }

  /**
   * Sums up the interval and starts the next one.
   * @param objects believed tracks at this moment
   */
  take(intervalMs: number, objects: number): StreamFigures {
    const seconds = Math.max(intervalMs, 1) / 1000
    const figures: StreamFigures = {
      streamId: this.#streamId,
      inputFps: rounded(this.#came / seconds),
      analysedFps: rounded(this.#analysed / seconds),
      wantedFps: rounded((this.#analysed + this.#dropped) / seconds),
      gated: this.#gated,
      dropped: this.#dropped,
      inferenceMs: rounded(this.#inferenceMs.quantile(0.5)),
      inferenceP95Ms: rounded(this.#inferenceMs.quantile(0.95)),
      latencyP95Ms: rounded(this.#latencyMs.quantile(0.95)),
      reconnects: this.#reconnects,
      objects,
    }
    this.#came = 0
    this.#analysed = 0
    this.#gated = 0
    this.#dropped = 0
    this.#reconnects = 0
    this.#inferenceMs = new Measurements()
    this.#latencyMs = new Measurements()
    return figures
  }
}

class Measurements {
  #values: number[] = []

  add(value: number): void {
    if (this.#values.length >= measurementsMax) {
      this.#values = this.#values.filter((_, i) => i % 2 === 0)
    }
    this.#values.push(value)
  }

  /** The smallest value that `share` of the values do not exceed; 0 without values. */
  quantile(share: number): number {
    const sorted = Float64Array.from(this.#values).sort()
    return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0
  }
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100
}
