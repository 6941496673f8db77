/**
 * The optimizer: parameters, gradients and what is remembered of them as vectors in the memory of a WebAssembly module
 * that is made for exactly this optimizer. The step graph reads the parameters as views of that memory, so nothing is
 * copied on the way in. One pass over memory does the step, and keeps the average of the weights.
 */
import { TrainError } from '../run/train-error.ts'
import { assemble, pageBytes } from './assembler.ts'
import {
  addKernel,
  numbersOf,
  sumOfSquaresKernel,
  type UpdateForm,
  updateKernel,
  vectorsOf,
} from './kernels.ts'

export type OptimizerSettings = {
  readonly name: 'sgd' | 'adam' | 'adamw'
  readonly momentum: number
  readonly nesterov: boolean
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
}

/** Neighbouring elements that learn at one rate. */
export type Stretch = {
  readonly offset: number
  readonly elements: number
  /** Times the learning rate. */
  readonly rate: number
  readonly weightDecay: number
}

/** What a checkpoint keeps of an optimizer, beside its steps. */
export type OptimizerVectors = Readonly<Record<string, Float32Array>>

type Exports = {
  readonly memory: { readonly buffer: ArrayBuffer }
  update(...args: readonly number[]): void
  add(to: number, from: number, count: number): void
  sumOfSquares(vector: number, count: number): number
}

/** As much of it as is used here: its types belong to those of browsers, which are not loaded. */
const { WebAssembly } = globalThis as unknown as {
  readonly WebAssembly: {
    readonly Module: new (bytes: Uint8Array) => object
    readonly Instance: new (module: object) => { readonly exports: unknown }
  }
}

/** Vectors begin where a line of the processor's cache begins. */
const alignment = 64

export class Optimizer {
  /** Views of the module's memory; they stay valid. */
  readonly parameters: Float32Array
  readonly gradients: Float32Array
  /** The average of the parameters over the latest steps, where it is kept. */
  readonly average: Float32Array | undefined
  /** What each element's update is multiplied by, where it is; all 1 at first. */
  readonly scale: Float32Array | undefined
  /** Steps done. */
  steps = 0
  readonly #settings: OptimizerSettings
  readonly #form: UpdateForm
  readonly #stretches: readonly Stretch[]
  readonly #vectors: ReadonlyMap<string, Float32Array>
  readonly #exports: Exports

  /**
   * @param options.stretches cover what is learned; elements outside of them stay as they are
   * @throws {TrainError} when the vectors exceed what WebAssembly can address (4 GiB)
   */
  constructor(options: {
    readonly elements: number
    readonly settings: OptimizerSettings
    readonly stretches: readonly Stretch[]
    readonly averaged: boolean
    readonly scaled: boolean
    /** Room for gradients that are added to others (accumulation). */
    readonly accumulates: boolean
  }) {
    const { elements, settings, stretches, averaged, scaled, accumulates } = options
    const nesterov = settings.name === 'sgd' && settings.nesterov
    this.#form = { rule: nesterov ? 'sgd-nesterov' : settings.name, averaged, scaled }
    this.#settings = settings
    this.#stretches = stretches
    const names = [...vectorsOf(this.#form), ...(accumulates ? ['arriving'] : [])]
    const strideBytes = Math.ceil((elements * 4) / alignment) * alignment
    const pages = Math.max(1, Math.ceil((strideBytes * names.length) / pageBytes))
    if (pages > 65_536) {
      throw new TrainError(
        `Cannot train ${elements} parameters: ${names.length} vectors of them exceed 4 GiB`,
        'train fewer of them (trainable), or with sgd',
      )
    }
    const bytes = assemble(pages, [updateKernel(this.#form), addKernel(), sumOfSquaresKernel()])
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes))
    this.#exports = instance.exports as Exports
    const { buffer } = this.#exports.memory
    this.#vectors = new Map(
      names.map((name, i) => [name, new Float32Array(buffer, i * strideBytes, elements)]),
    )
    this.parameters = this.#vector('parameters')
    this.gradients = this.#vector('gradients')
    this.average = this.#vectors.get('average')
    this.scale = this.#vectors.get('scale')?.fill(1)
  }

  /** Takes gradients of elements from `offset` on: instead of those that are there, or on top of them. */
  take(gradient: Float32Array, offset: number, onTop: boolean): void {
    if (!onTop) {
      this.gradients.set(gradient, offset)
      return
    }
    const arriving = this.#vector('arriving').subarray(offset, offset + gradient.length)
    arriving.set(gradient)
    const to = this.gradients.byteOffset + offset * 4
    this.#exports.add(to, arriving.byteOffset, gradient.length)
  }

  /** Euclidean length of the gradients; not finite where one of them is not. */
  gradientNorm(): number {
    return Math.sqrt(this.#exports.sumOfSquares(this.gradients.byteOffset, this.gradients.length))
  }

  /**
   * One step along the gradients.
   * @param rate the learning rate; each stretch multiplies it by its own
   * @param gradientScale what gradients are multiplied by first: 1 / batches that were summed, or less to shorten them
   * @param averageDecay how much of the average stays
   */
  step(rate: number, gradientScale: number, averageDecay: number): void {
    this.steps += 1
    const { beta1, beta2, epsilon, momentum } = this.#settings
    const vectors = vectorsOf(this.#form).map((name) => this.#vector(name))
    for (const stretch of this.#stretches) {
      const values: Readonly<Record<string, number>> = {
        rate: rate * stretch.rate,
        gradientScale,
        weightDecay: stretch.weightDecay,
        beta1,
        rest1: 1 - beta1,
        unbias1: 1 / (1 - beta1 ** this.steps),
        beta2,
        rest2: 1 - beta2,
        unbias2: 1 / (1 - beta2 ** this.steps),
        epsilon,
        momentum,
        averageRest: 1 - averageDecay,
      }
      this.#exports.update(
        ...vectors.map((vector) => vector.byteOffset + stretch.offset * 4),
        stretch.elements,
        ...numbersOf(this.#form).map((name) => values[name]!),
      )
    }
  }

  /** Everything that a step depends on but the gradients. */
  vectors(): OptimizerVectors {
    const kept = vectorsOf(this.#form).filter((name) => name !== 'gradients' && name !== 'scale')
    return Object.fromEntries(kept.map((name) => [name, this.#vector(name)]))
  }

  /** Goes on from what `vectors` gave. */
  restore(vectors: OptimizerVectors, steps: number): void {
    for (const [name, own] of Object.entries(this.vectors())) own.set(vectors[name]!)
    this.steps = steps
  }

  #vector(name: string): Float32Array {
    return this.#vectors.get(name)!
  }
}
