/** What a run is going to do, decided before it begins: samples, steps, memory. Pure but for building the step graph. */
import { availableParallelism } from 'node:os'
import type { Dataset, Split, SplitName } from '../../datasets/index.ts'
import { differentiate, type Step } from '../differentiate/differentiate.ts'
import { freezeDepth } from '../differentiate/freezing.ts'
import type { LossSettings, Task } from '../tasks/task.ts'
import type { Recipe } from './recipe.ts'
import { TrainError } from './train-error.ts'

/** Digests of the samples of each part, in the order of the data set. */
export type Parts = Readonly<Record<SplitName, readonly string[]>>

/** @throws {TrainError} when there is nothing to learn from */
export function partsOf(dataset: Dataset, split: Split): Parts {
  const of = (part: SplitName) =>
    dataset.samples.flatMap(({ digest }) => (split.get(digest) === part ? [digest] : []))
  const parts = { train: of('train'), validation: of('validation'), test: of('test') }
  if (parts.train.length === 0) {
    throw new TrainError(
      `Cannot train on "${dataset.name}": its split leaves no samples to learn from`,
      `${parts.validation.length} are for validation, ${parts.test.length} for the test`,
    )
  }
  return parts
}

/** Fills in what a recipe leaves to the machine and the data, so that the run can be resumed as it was. */
export function settled(recipe: Recipe, samples: number): Recipe {
  return {
    ...recipe,
    batch: Math.min(recipe.batch, samples),
    threads: recipe.threads === 0 ? availableParallelism() : recipe.threads,
  }
}

export type Pace = { readonly steps: number; readonly stepsPerEpoch: number }

/**
 * How many steps there are, where one takes `accumulate` batches.
 * @param samples to learn from; what is replayed beside them makes no epoch longer
 */
export function paceOf(recipe: Recipe, samples: number): Pace {
  const { batch, accumulate, replayShare } = recipe
  const fresh = Math.max(1, batch - Math.round(batch * replayShare))
  const stepsPerEpoch = Math.max(1, Math.ceil(samples / (fresh * accumulate)))
  const steps = recipe.steps ?? Math.max(1, Math.round(recipe.epochs * stepsPerEpoch))
  return { steps, stepsPerEpoch }
}

/** Whether something that happens every so many steps happens after this one; the last step always counts. */
export const isDue = (step: number, every: number, { steps, stepsPerEpoch }: Pace): boolean =>
  step === steps || step % (every === 0 ? stepsPerEpoch : every) === 0

export const lossSettings = ({ batch, loss }: Recipe): LossSettings => ({ batch, ...loss })

/** Which parameters move. */
export function trainableOf(task: Task, { trainable }: Recipe): (parameter: string) => boolean {
  if (trainable === 'all') return () => true
  const layers = trainable === 'head' ? 1 : Number(trainable.slice('blocks:'.length))
  return freezeDepth(task.model, layers, task.cut ? { cut: task.cut } : {})
}

/**
 * The step graph of a recipe.
 * @param trainable which parameters move, where that is not told by the task's own model
 * @throws {OnnxError} when the model cannot be differentiated
 */
export function stepOf(task: Task, recipe: Recipe, trainable = trainableOf(task, recipe)): Step {
  const settings = lossSettings(recipe)
  return differentiate(task.model, {
    batch: recipe.batch,
    ...(task.inputShapes && { inputShapes: task.inputShapes(recipe.batch) }),
    ...(task.cut && { cut: task.cut }),
    trainable,
    batchNorm: recipe.batchNorm,
    ...(task.through && { through: task.through }),
    loss: (tape, outputs) => task.loss(tape, outputs, settings),
  })
}

/** Of the program and decoded pictures, beside what the step counts for the runtime. */
const baseBytes = 180 * 1024 ** 2

/** Estimated most that a run holds: the step, the optimizer's vectors, the best weights so far. */
export function memoryOf(step: Step, { optimizer, ema }: Recipe): number {
  const moments = optimizer.name === 'sgd' ? 1 : 2
  const vectors = 1 + moments + (ema > 0 ? 1 : 0) + (optimizer.relative ? 1 : 0) + 1
  return baseBytes + step.memoryBytes + vectors * step.initial.parameters.byteLength
}

/**
 * The step graph, where it fits.
 * @throws {TrainError} when it does not, with the largest batch that would
 */
export function fittingStep(
  task: Task,
  recipe: Recipe,
  trainable = trainableOf(task, recipe),
): Step {
  const step = stepOf(task, recipe, trainable)
  const cap = recipe.memoryMibMax * 1024 ** 2
  const needed = memoryOf(step, recipe)
  if (needed <= cap) return step
  let [fits, exceeds] = [0, recipe.batch]
  while (exceeds - fits > 1) {
    const batch = Math.floor((fits + exceeds) / 2)
    const smaller = { ...recipe, batch }
    if (memoryOf(stepOf(task, smaller, trainable), smaller) <= cap) fits = batch
    else exceeds = batch
  }
  const mebibytes = Math.ceil(needed / 1024 ** 2)
  throw new TrainError(
    `Cannot train with batches of ${recipe.batch}: it would take about ${mebibytes} MiB, allowed are ${recipe.memoryMibMax}`,
    fits > 0
      ? `batches of ${fits} would fit (batch=${fits} accumulate=${Math.ceil(recipe.batch / fits)} learns much the same), or allow more with memoryMibMax`
      : 'not even a batch of 1 would fit: allow more with memoryMibMax, train fewer layers, or take smaller pictures',
  )
}
