/**
 * Asks further models about objects: each time a track gets a better picture, the crop of it goes to a
 * classifier or an embedding, and what that says stays with the track. Crops come from pictures that are
 * taken anyway, so their number is bounded per track, and nobody waits for the answers.
 */
import type { Attribute, Box } from '@edgeloop/protocol'
import { cropOnto } from '../cameras/crop.ts'
import type { Lane } from '../media/inference.ts'

/** One further model and what it is asked about. */
export type Step = {
  readonly lane: Lane
  /** Labels of the objects; all when undefined. */
  readonly labels: readonly string[] | undefined
}

type Crop = {
  readonly trackId: number
  readonly label: string
  readonly box: Box
  readonly jpeg: Uint8Array
  /** When the picture was taken, ms since the epoch. */
  readonly at: number
}

/** Crops that wait for their turn, of one stream; beyond it the oldest is dropped. */
export const cropsMax = 8
/** Most classes of one answer. */
export const classesMax = 5

export class Cascade implements Disposable {
  readonly #steps: readonly Step[]
  readonly #fail: (error: Error) => void
  readonly #waiting: Crop[] = []
  /** What is known of tracks that are still there, by model. */
  readonly #known = new Map<number, Map<string, Attribute>>()
  #working: Promise<void> | undefined
  #closed = false
  /** Crops that nobody looked at, because too many were waiting. */
  dropped = 0

  /** @param fail told when a model fails on a crop: the object then keeps what was known of it */
  constructor(steps: readonly Step[], fail: (error: Error) => void) {
    this.#steps = steps
    this.#fail = fail
  }

  /** Whether any model wants to see objects of this label. */
  concerns(label: string): boolean {
    return this.#steps.some((step) => isAskedAbout(step, label))
  }

  /** A picture of a track that is better than those before. */
  look(crop: Crop): void {
    if (this.#closed || !this.concerns(crop.label)) return
    if (!this.#known.has(crop.trackId)) this.#known.set(crop.trackId, new Map())
    // An older picture of the same track need not be looked at any more.
    const older = this.#waiting.findIndex(({ trackId }) => trackId === crop.trackId)
    if (older >= 0) this.#waiting.splice(older, 1)
    this.#waiting.push(crop)
    if (this.#waiting.length > cropsMax) {
      this.#waiting.shift()
      this.dropped++
    }
    this.#working ??= this.#work()
  }

  /** What is known of a track so far, in the order of the models. */
  attributesOf(trackId: number): Attribute[] {
    const known = this.#known.get(trackId)
    return this.#steps.flatMap(({ lane }) => known?.get(lane.model.name) ?? [])
  }

  /** The track has gone. */
  forget(trackId: number): void {
    this.#known.delete(trackId)
  }

  /** Settles when nothing waits any more. */
  async settled(): Promise<void> {
    await this.#working
  }

  [Symbol.dispose](): void {
    this.#closed = true
    this.#waiting.length = 0
    for (const { lane } of this.#steps) lane[Symbol.dispose]()
  }

  async #work(): Promise<void> {
    for (let crop = this.#waiting.shift(); crop; crop = this.#waiting.shift()) {
      for (const step of this.#steps) {
        if (this.#closed || !isAskedAbout(step, crop.label)) continue
        try {
          await this.#ask(step.lane, crop)
        } catch (error) {
          this.#fail(error as Error)
        }
      }
    }
    this.#working = undefined
  }

  async #ask(lane: Lane, { trackId, jpeg, box, at }: Crop): Promise<void> {
    const view = await cropOnto(lane, jpeg, box)
    if (this.#closed) return
    const answer = await lane.detect(view)
    // Answered with nothing when the lane was closed meanwhile; and the track may have gone.
    const known = this.#known.get(trackId)
    if (!answer || !known) return
    const { classes, embedding } = answer.reading
    known.set(lane.model.name, {
      model: lane.model.name,
      at: new Date(at).toISOString(),
      ...(classes && { classes: classes.slice(0, classesMax).map((found) => ({ ...found })) }),
      ...(embedding && { embedding: [...embedding] }),
    })
  }
}

const isAskedAbout = ({ labels }: Step, label: string): boolean =>
  labels === undefined || labels.includes(label)
