/** A step graph with its weights: a batch in, a loss out, and the optimizer moves what is trained. */
import { writeModel } from '../../onnx/write.ts'
import {
  openSession,
  type Session,
  type SessionOptions,
  type Value,
} from '../../runtime/session.ts'
import type { Step } from '../differentiate/differentiate.ts'
import { Optimizer } from '../optimizers/optimizer.ts'
import { relativeScale, stretchesOf } from '../optimizers/stretches.ts'
import { averageDecay, rateShare } from '../schedules/schedule.ts'
import type { Vectors } from './checkpoint-folder.ts'
import type { Figures } from './progress.ts'
import type { Recipe } from './recipe.ts'

/** Weights and running figures, as a model takes them. */
export type Weights = { readonly parameters: Float32Array; readonly state: Float32Array }

export type BatchOutcome = {
  readonly loss: number
  readonly terms: Figures
  /** In the runtime. */
  readonly runMs: number
}

/** A few large matrices are what a step consists of: threads that wait for the next one without sleeping are faster. */
const spinning = { session: { intra_op: { allow_spinning: '1' }, force_spinning_stop: '1' } }

export class StepRunner implements AsyncDisposable {
  readonly #step: Step
  readonly #recipe: Recipe
  readonly #session: Session
  readonly #optimizer: Optimizer
  readonly #weights: Readonly<Record<string, Value>>
  readonly #state: Float32Array
  readonly #stateAverage: Float32Array | undefined
  readonly #wanted: readonly string[]

  private constructor(step: Step, recipe: Recipe, session: Session) {
    this.#step = step
    this.#recipe = recipe
    this.#session = session
    const { parameters, state } = step.initial
    this.#optimizer = new Optimizer({
      elements: parameters.length,
      settings: recipe.optimizer,
      stretches: stretchesOf(step.parameters, recipe.optimizer),
      averaged: recipe.ema > 0,
      scaled: recipe.optimizer.relative,
      accumulates: recipe.accumulate > 1,
    })
    this.#optimizer.parameters.set(parameters)
    this.#optimizer.average?.set(parameters)
    this.#optimizer.scale?.set(relativeScale(step.parameters, parameters))
    this.#state = state.slice()
    this.#stateAverage = recipe.ema > 0 ? state.slice() : undefined
    this.#weights = Object.fromEntries(
      step.inputs.map(({ name, offset, elements, shape }) => {
        const data = this.#optimizer.parameters.subarray(offset, offset + elements)
        return [name, { type: 'float32', dims: shape, data }]
      }),
    )
    const { loss, terms } = step.outputs
    this.#wanted = [
      ...new Set([
        loss,
        ...Object.values(terms),
        ...step.gradients.map(({ name }) => name),
        ...step.state.map(({ output }) => output),
      ]),
    ]
  }

  /** @param options of the runtime that a benchmark varies */
  static async open(
    step: Step,
    recipe: Recipe,
    options: Pick<SessionOptions, 'level' | 'profileTo'> = {},
  ): Promise<StepRunner> {
    const session = await openSession(writeModel(step.model), {
      threads: recipe.threads,
      extra: spinning,
      memoryPattern: false,
      ...options,
    })
    return new StepRunner(step, recipe, session)
  }

  /** Runs a batch; its gradients are taken, on top of those of the batches before where `onTop` is set. */
  async run(feeds: Readonly<Record<string, Value>>, onTop: boolean): Promise<BatchOutcome> {
    const { outputs, gradients } = this.#step
    const startedAt = performance.now()
    const results = await this.#session.run({ ...feeds, ...this.#weights }, this.#wanted)
    const runMs = performance.now() - startedAt
    const numberOf = (name: string): number => Number(results[name]!.data[0])
    for (const { name, offset } of gradients) {
      this.#optimizer.take(results[name]!.data as Float32Array, offset, onTop)
    }
    this.#takeFigures(results)
    const terms = Object.entries(outputs.terms).map(([term, name]) => [term, numberOf(name)])
    return { loss: numberOf(outputs.loss), terms: Object.fromEntries(terms), runMs }
  }

  /**
   * Moves the weights along the gradients that were taken.
   * @param step from 0, of so many in all
   */
  move(step: number, steps: number): void {
    const { optimizer, schedule, accumulate, ema } = this.#recipe
    let scale = 1 / accumulate
    if (optimizer.clipNorm > 0) {
      const norm = this.#optimizer.gradientNorm() * scale
      // What is not finite stays so, and shows in the next loss.
      if (norm > optimizer.clipNorm) scale *= optimizer.clipNorm / norm
    }
    const decay = averageDecay(ema, step)
    this.#optimizer.step(optimizer.learningRate * rateShare(schedule, step, steps), scale, decay)
    const average = this.#stateAverage
    if (average) {
      for (let i = 0; i < average.length; i += 1) {
        average[i]! += (1 - decay) * (this.#state[i]! - average[i]!)
      }
    }
  }

  /** What is evaluated and kept: the averages where there are some. The views change with the next step. */
  weights(): Weights {
    return {
      parameters: this.#optimizer.average ?? this.#optimizer.parameters,
      state: this.#stateAverage ?? this.#state,
    }
  }

  /** Whether every weight is a number. */
  isFinite(): boolean {
    return [this.#optimizer.parameters, this.#state].every((vector) => {
      let sum = 0
      for (const one of vector) sum += Math.abs(one)
      return Number.isFinite(sum)
    })
  }

  /** Everything that the next step depends on. */
  vectors(): Vectors {
    return {
      ...this.#optimizer.vectors(),
      state: this.#state,
      ...(this.#stateAverage && { stateAverage: this.#stateAverage }),
    }
  }

  /** Goes on from what `vectors` gave after so many steps. */
  restore(vectors: Vectors, steps: number): void {
    this.#optimizer.restore(vectors, steps)
    this.#state.set(vectors.state!)
    this.#stateAverage?.set(vectors.stateAverage!)
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#session[Symbol.asyncDispose]()
  }

  #takeFigures(results: Readonly<Record<string, Value>>): void {
    for (const { output, offset, elements, momentum } of this.#step.state) {
      const batch = results[output]!.data as Float32Array
      for (let i = offset; i < offset + elements; i += 1) {
        this.#state[i] = momentum * this.#state[i]! + (1 - momentum) * batch[i]!
      }
    }
  }
}
