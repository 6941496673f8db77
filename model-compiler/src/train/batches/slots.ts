/** Places for batches in shared memory: filled by one thread, read by another, never both at once. */
import type { CanvasSpec } from './canvas.ts'
import type { ItemPlan } from './plan.ts'
import type { Renderer } from './render.ts'

export type SlotSizes = {
  readonly count: number
  readonly batch: number
  readonly canvas: Pick<CanvasSpec, 'width' | 'height' | 'channels'>
}

export type SlotMemory = {
  readonly images: SharedArrayBuffer
  readonly masks: SharedArrayBuffer | undefined
  /** By slot: one more than the step whose batch is in it. */
  readonly filled: SharedArrayBuffer
}

export type SlotOrder = {
  readonly slot: number
  readonly step: number
  readonly plans: readonly ItemPlan[]
}

export class Slots {
  readonly #images: Float32Array[]
  readonly #masks: Uint8Array[]
  readonly #filled: Int32Array
  readonly #planes: number
  readonly #pixels: number

  constructor({ count, batch, canvas }: SlotSizes, { images, masks, filled }: SlotMemory) {
    this.#pixels = canvas.width * canvas.height
    this.#planes = this.#pixels * canvas.channels
    this.#filled = new Int32Array(filled)
    const all = Array.from({ length: count }, (_, slot) => slot)
    this.#images = all.map(
      (slot) => new Float32Array(images, slot * batch * this.#planes * 4, batch * this.#planes),
    )
    this.#masks = masks
      ? all.map((slot) => new Uint8Array(masks, slot * batch * this.#pixels, batch * this.#pixels))
      : []
  }

  static memory({ count, batch, canvas }: SlotSizes, withMasks: boolean): SlotMemory {
    const pixels = count * batch * canvas.width * canvas.height
    return {
      images: new SharedArrayBuffer(pixels * canvas.channels * 4),
      masks: withMasks ? new SharedArrayBuffer(pixels) : undefined,
      filled: new SharedArrayBuffer(count * 4),
    }
  }

  images(slot: number): Float32Array {
    return this.#images[slot]!
  }

  masks(slot: number): Uint8Array | undefined {
    return this.#masks[slot]
  }

  /** Whether the batch of a step is whole in a slot, as the thread that makes it says without a message. */
  isFilled(slot: number, step: number): boolean {
    return Atomics.load(this.#filled, slot) === step + 1
  }

  clear(slot: number): void {
    Atomics.store(this.#filled, slot, 0)
  }

  async fill({ slot, step, plans }: SlotOrder, renderer: Renderer): Promise<void> {
    const [images, masks] = [this.images(slot), this.masks(slot)]
    await renderer.prepare(plans)
    for (const [place, plan] of plans.entries()) {
      const planes = images.subarray(place * this.#planes, (place + 1) * this.#planes)
      const mask = masks?.subarray(place * this.#pixels, (place + 1) * this.#pixels)
      await renderer.render(plan, planes, mask)
    }
    Atomics.store(this.#filled, slot, step + 1)
  }
}
