/** Classifiers: one label for a picture, softmax cross-entropy, accuracy. */
import type { Annotation, Dataset } from '../../datasets/index.ts'
import { type EvaluatedSample, reportClassification } from '../../evaluate/evaluation-report.ts'
import { Graph } from '../../graph/graph.ts'
import type { ModelProto } from '../../onnx/schema.ts'
import type { CanvasSpec } from '../batches/canvas.ts'
import { crossEntropy } from '../losses/cross-entropy.ts'
import type { RecipePart } from '../run/recipe.ts'
import { TrainError } from '../run/train-error.ts'
import { classHeadOf, withClasses } from './class-head.ts'
import { plainAnswers } from './plain-answers.ts'
import { type Task, withBefore } from './task.ts'

export type ClassificationOptions = {
  readonly model: ModelProto
  /** The classes of the model as it is; undefined where it was built for these data. */
  readonly modelLabels?: readonly string[]
  readonly dataset: Dataset
  readonly canvas: CanvasSpec
  /** Of the weights of a new last layer. */
  readonly seed: number
  /** It was trained on other data before. */
  readonly pretrained: boolean
}

/**
 * @throws {TrainError} when the samples have no labels, or only one
 * @throws {OnnxError} when the model is no classifier
 */
export function classificationTask(options: ClassificationOptions): Task {
  const { dataset, canvas, seed, modelLabels, pretrained } = options
  const labels = labelsOfClasses(dataset)
  const classes = labels.length
  const head = classHeadOf(options.model)
  const fits = head.classes === classes && (modelLabels === undefined || same(modelLabels, labels))
  const model = fits ? options.model : withClasses(options.model, classes, seed)
  const { logits } = classHeadOf(model)
  const input = new Graph(model).requiredInputs[0]!.name
  const places = new Map(labels.map((label, at) => [label, at]))
  const samples = new Map(dataset.samples.map((sample) => [sample.digest, sample]))
  const counts = new Float64Array(classes)
  for (const { annotations } of dataset.samples) {
    const at = classAt(annotations, places)
    if (at !== undefined) counts[at]! += 1
  }
  const task: Task = {
    name: 'classification',
    model,
    labels,
    canvas,
    cut: [logits],
    defaults: defaultsFor(pretrained),
    inputShapes: (batch) => ({ [input]: [batch, canvas.channels, canvas.height, canvas.width] }),
    loss(tape, outputs, settings) {
      const said = tape.reshape(outputs[logits]!, [settings.batch, classes])
      const target = tape.input('target', 'float32', [settings.batch, classes])
      const count = tape.input('target-count', 'float32', [1])
      const total = crossEntropy(tape, said, target, count, {
        labelSmoothing: settings.labelSmoothing,
        focalGamma: settings.focalGamma,
        ...(settings.classWeights === 'balanced' && { classWeights: balanced(counts) }),
      })
      return { total, terms: { crossEntropy: total } }
    },
    feeds(batch, settings) {
      const target = new Float32Array(settings.batch * classes)
      const mark = (place: number, annotations: readonly Annotation[], share: number) => {
        const at = classAt(annotations, places)
        if (at !== undefined) target[place * classes + at]! += share
      }
      for (const [place, annotations] of batch.annotations.entries()) {
        const mixed = batch.mixed[place]
        mark(place, annotations, 1 - (mixed?.share ?? 0))
        if (mixed) mark(place, mixed.annotations, mixed.share)
      }
      const known = target.reduce((sum, one) => sum + one, 0)
      const { channels, height, width } = canvas
      return {
        [input]: {
          type: 'float32',
          dims: [settings.batch, channels, height, width],
          data: batch.images,
        },
        target: { type: 'float32', dims: [settings.batch, classes], data: target },
        'target-count': { type: 'float32', dims: [1], data: Float32Array.of(Math.max(1, known)) },
      }
    },
    async evaluate(evaluated, digests, evaluation) {
      const known = digests.filter(
        (digest) => classAt(samples.get(digest)?.annotations ?? [], places) !== undefined,
      )
      const scores = new Float32Array(known.length * classes)
      await plainAnswers(
        evaluated,
        { dataset, digests: known, canvas, ...evaluation },
        (answer) => {
          const { outputs, place, count } = answer
          const [said] = outputs
          scores.set((said!.data as Float32Array).subarray(0, count * classes), place * classes)
        },
      )
      // A model that ends with a softmax says probabilities; their logarithms are logits as well.
      if (logits !== new Graph(evaluated).outputs[0]!.name) {
        for (const [at, one] of scores.entries()) scores[at] = Math.log(Math.max(one, 1e-30))
      }
      const truth = known.map((digest) => classAt(samples.get(digest)!.annotations, places)!)
      const evaluatedSamples = known.map((digest): EvaluatedSample => samples.get(digest)!)
      return reportClassification({ labels, samples: evaluatedSamples, truth, scores }, evaluation)
    },
  }
  // With another last layer it says nothing yet.
  return fits && pretrained ? withBefore(task) : task
}

const same = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((one, at) => one === b[at])

function classAt(
  annotations: readonly Annotation[],
  places: ReadonlyMap<string, number>,
): number | undefined {
  for (const annotation of annotations) {
    if (annotation.kind === 'class') return places.get(annotation.label)
  }
  return undefined
}

/** The labels that are said of whole pictures, in the order of the data set. */
function labelsOfClasses({ name, labels, samples }: Dataset): readonly string[] {
  const said = new Set<string>()
  for (const { annotations } of samples) {
    for (const annotation of annotations)
      if (annotation.kind === 'class') said.add(annotation.label)
  }
  if (said.size === 0) {
    throw new TrainError(`Cannot train a classifier on "${name}": no sample has a label of its own`)
  }
  if (said.size === 1) {
    throw new TrainError(
      `Cannot train a classifier on "${name}": all samples have the label "${[...said][0]}"`,
      'add samples of another label',
    )
  }
  // Labels without samples are kept where the data set lists them: the model's classes are the list.
  return labels
}

/** Rare classes count more: by samples / (classes × samples of the class). */
function balanced(counts: Float64Array): readonly number[] {
  const all = counts.reduce((sum, one) => sum + one, 0)
  return Array.from(counts, (count) => (count === 0 ? 0 : all / (counts.length * count)))
}

/** A net that has learned already moves slowly and less far. */
const defaultsFor = (pretrained: boolean): RecipePart =>
  pretrained
    ? {
        batch: 32,
        epochs: 10,
        ema: 0.99,
        optimizer: { name: 'adamw', learningRate: 3e-4, weightDecay: 0.01 },
        schedule: { name: 'cosine', warmupSteps: 20 },
      }
    : {
        batch: 64,
        epochs: 10,
        ema: 0.99,
        optimizer: { name: 'adamw', learningRate: 2e-3, weightDecay: 0.01 },
        schedule: { name: 'cosine', warmupSteps: 50 },
      }
