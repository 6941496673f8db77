/** Models that say numbers of a picture: how full, how far, how many. Learned around 0, said in the units of the data. */
import type { Dataset } from '../../datasets/index.ts'
import { reportRegression } from '../../evaluate/evaluation-report.ts'
import { Graph } from '../../graph/graph.ts'
import { node } from '../../onnx/build.ts'
import type { ModelProto } from '../../onnx/schema.ts'
import { tensor } from '../../onnx/tensor.ts'
import type { CanvasSpec } from '../batches/canvas.ts'
import type { RecipePart } from '../run/recipe.ts'
import { classHeadOf, withClasses } from './class-head.ts'
import { type NumberFacts, numberOf, numbersIn } from './numbers.ts'
import { plainAnswers } from './plain-answers.ts'
import { type Task, withBefore } from './task.ts'

export type RegressionOptions = {
  readonly model: ModelProto
  readonly dataset: Dataset
  readonly canvas: CanvasSpec
  /** Of the weights of a new last layer. */
  readonly seed: number
  /** It was trained on other data before. */
  readonly pretrained: boolean
}

/** Errors above so many spreads count by their size, not by its square: a wrong label must not drown the others. */
const beta = 0.5

/**
 * @throws {TrainError} when the samples have no numbers
 * @throws {OnnxError} when the model does not end with one vector
 */
export function regressionTask(options: RegressionOptions): Task {
  const { dataset, canvas, seed, pretrained } = options
  const facts = numbersIn(dataset)
  const count = facts.length
  const isAsItIs = pretrained && classHeadOf(options.model).classes === count
  const fitting =
    classHeadOf(options.model).classes === count
      ? options.model
      : withClasses(options.model, count, seed)
  const { model, said } = isAsItIs
    ? { model: fitting, said: classHeadOf(fitting).logits }
    : inUnits(fitting, facts)
  const input = new Graph(model).requiredInputs[0]!.name
  const samples = new Map(dataset.samples.map((sample) => [sample.digest, sample]))
  const task: Task = {
    name: 'regression',
    model,
    labels: facts.map(({ name }) => name),
    canvas,
    cut: [said],
    defaults: defaultsFor(pretrained),
    inputShapes: (batch) => ({ [input]: [batch, canvas.channels, canvas.height, canvas.width] }),
    loss(tape, outputs, { batch }) {
      const target = tape.input('target', 'float32', [batch, count])
      // 0 where a sample has no such number.
      const weight = tape.input('target-weight', 'float32', [batch, count])
      const shift = tape.constant(
        [1, count],
        isAsItIs ? facts.map(({ mean }) => mean) : zeros(count),
      )
      const scale = tape.constant(
        [1, count],
        facts.map(({ spread }) => (isAsItIs ? 1 / spread : 1)),
      )
      const value = tape.reshape(outputs[said]!, [batch, count])
      const off = tape.sub(tape.mul(tape.sub(value, shift), scale), target)
      const far = tape.abs(tape.mul(off, weight))
      const near = tape.min(far, beta)
      const each = tape.add(tape.mul(tape.mul(near, near), 0.5 / beta), tape.sub(far, near))
      const total = tape.div(tape.reduceSum(each), tape.max(tape.reduceSum(weight), 1))
      return { total, terms: { smoothL1: total } }
    },
    feeds(batch, settings) {
      const target = new Float32Array(settings.batch * count)
      const weight = new Float32Array(settings.batch * count)
      for (const [place, annotations] of batch.annotations.entries()) {
        const mixed = batch.mixed[place]
        for (const [k, { name, mean, spread }] of facts.entries()) {
          const first = numberOf(annotations, name)
          const second = mixed && numberOf(mixed.annotations, name)
          if (first === undefined || (mixed && second === undefined)) continue
          const value = mixed ? first + mixed.share * (second! - first) : first
          target[place * count + k] = (value - mean) / spread
          weight[place * count + k] = 1
        }
      }
      const { channels, height, width } = canvas
      const dims = [settings.batch, count]
      return {
        [input]: {
          type: 'float32',
          dims: [settings.batch, channels, height, width],
          data: batch.images,
        },
        target: { type: 'float32', dims, data: target },
        'target-weight': { type: 'float32', dims, data: weight },
      }
    },
    async evaluate(evaluated, digests, evaluation) {
      const known = digests.filter((digest) =>
        facts.every(
          ({ name }) => numberOf(samples.get(digest)?.annotations ?? [], name) !== undefined,
        ),
      )
      const answers = new Float32Array(known.length * count)
      await plainAnswers(
        evaluated,
        { dataset, digests: known, canvas, ...evaluation },
        (answer) => {
          const { outputs, place, count: pictures } = answer
          const [first] = outputs
          answers.set((first!.data as Float32Array).subarray(0, pictures * count), place * count)
        },
      )
      const truth = known.flatMap((digest) =>
        facts.map(({ name }) => numberOf(samples.get(digest)!.annotations, name)!),
      )
      return reportRegression(
        {
          names: facts.map(({ name }) => name),
          truth,
          said: answers,
          samples: known.map((digest) => samples.get(digest)!),
        },
        evaluation,
      )
    },
  }
  return isAsItIs ? withBefore(task) : task
}

const zeros = (count: number): number[] => Array(count).fill(0)

/** Puts spread and mean behind the model; `said` is the value before them, which is what learns. */
function inUnits(
  model: ModelProto,
  facts: readonly NumberFacts[],
): { readonly model: ModelProto; readonly said: string } {
  const graph = new Graph(model)
  const output = graph.outputs[0]!
  const last = graph.producerOf(output.name)!
  const said = graph.freshName(`${output.name}_around_0`)
  const wide = graph.freshName(`${output.name}_wide`)
  graph.edit(last, (one) => {
    one.output = one.output.map((name) => (name === output.name ? said : name))
  })
  const shape = [
    1,
    facts.length,
    ...(graph
      .typeOf(output.name)
      ?.shape?.slice(2)
      .map(() => 1) ?? []),
  ]
  const constant = (name: string, values: readonly number[]): string =>
    graph.addInitializer(tensor(name, shape, Float32Array.from(values)))
  const spread = constant(
    'spread',
    facts.map((one) => one.spread),
  )
  const mean = constant(
    'mean',
    facts.map((one) => one.mean),
  )
  graph.insert([node('Mul', [said, spread], [wide]), node('Add', [wide, mean], [output.name])])
  return { model: graph.toModel(), said }
}

const defaultsFor = (pretrained: boolean): RecipePart => ({
  batch: pretrained ? 32 : 64,
  epochs: 20,
  ema: 0.99,
  optimizer: { name: 'adamw', learningRate: pretrained ? 3e-4 : 2e-3, weightDecay: 0.01 },
  schedule: { name: 'cosine', warmupSteps: 20 },
})
