/**
 * Detectors: boxes with labels, trained at the raw head of an exported model or of a net of our own, measured by average
 * precision. A model that tells other things apart gets the labels of the data, each begun as the old class that comes
 * nearest.
 */
import type { Dataset, Sample } from '../../datasets/index.ts'
import type { Found, Truth } from '../../evaluate/average-precision.ts'
import {
  type EvaluatedSample,
  type EvaluationReport,
  reportDetection,
} from '../../evaluate/evaluation-report.ts'
import { Graph } from '../../graph/graph.ts'
import type { ModelProto } from '../../onnx/schema.ts'
import { dropInitializerInputs } from '../../shapes/input-shapes.ts'
import { openBatches } from '../batches/batches.ts'
import type { CanvasSpec } from '../batches/canvas.ts'
import { findOrigins, type OriginPicture } from '../detectors/class-origins.ts'
import { DetectionStep, lossWeightsDefault } from '../detectors/detection-step.ts'
import { type Head, recognizeHead } from '../detectors/head.ts'
import { asked, type ClassOrigin, relabel } from '../detectors/relabel.ts'
import { boxAround, slotsFor } from '../detectors/truths.ts'
import type { RecipePart } from '../run/recipe.ts'
import { TrainError } from '../run/train-error.ts'
import type { EvaluateOptions, Task } from './task.ts'

/**
 * Runs a detector on samples as it will be run: with the layout, thresholds and suppression of the agent, which this
 * package knows nothing of. Images of what is found are called by the digest of their sample, boxes are shares of it.
 */
export type Detect = (
  model: ModelProto,
  labels: readonly string[],
  samples: readonly Sample[],
  options: Pick<EvaluateOptions, 'threads' | 'onSample' | 'signal'>,
) => Promise<readonly Found[]>

export type DetectionOptions = {
  readonly model: ModelProto
  /** The classes of the model as it is, where they are known. */
  readonly modelLabels?: readonly string[]
  readonly dataset: Dataset
  /** What is learned from, by digest: old classes are compared with nothing else. */
  readonly learned: readonly string[]
  readonly canvas: CanvasSpec
  /** Of the order in which pictures are looked at. */
  readonly seed: number
  /** It was trained on other data before. */
  readonly pretrained: boolean
  readonly detect: Detect
}

/** Pictures that old classes are asked about, at most. */
const originPicturesMax = 128

/**
 * @throws {TrainError} when there is no box to learn from
 * @throws {OnnxError} when the head of the model is none that is known
 */
export async function detectionTask(options: DetectionOptions): Promise<Task> {
  const { dataset, learned, canvas, pretrained, detect } = options
  const samples = new Map(dataset.samples.map((sample) => [sample.digest, sample]))
  const labels = labelsOfBoxes(dataset, learned, samples)
  const { model, origins } = await withLabels(options, labels)
  const head = recognizeHead(model)
  checkCanvas(canvas, head)
  const fullest = Math.max(...learned.map((digest) => truthsOf(samples.get(digest)!).length))
  const step = new DetectionStep(head, labels, {
    weights: lossWeightsDefault,
    slots: slotsFor(fullest),
    // A head that knows nothing yet cannot say which cells should answer.
    ...(pretrained
      ? { assigner: 'sim-ota', boxLoss: 'iou' }
      : { assigner: 'centre', boxLoss: 'giou' }),
  })
  const opened = new Graph(model)
  dropInitializerInputs(opened)
  const input = opened.requiredInputs[0]!.name
  const known = new Set(labels)
  const report = async (
    evaluated: ModelProto,
    digests: readonly string[],
    evaluation: EvaluateOptions,
  ): Promise<EvaluationReport> => {
    const chosen = digests.flatMap((digest) => samples.get(digest) ?? [])
    const found = await detect(evaluated, labels, chosen, evaluation)
    const truths = chosen.flatMap(truthsOf).filter(({ label }) => known.has(label))
    return reportDetection(
      { labels, samples: chosen.map(evaluatedSample), truths, found },
      evaluation,
    )
  }
  return {
    name: 'detection',
    model,
    labels,
    canvas,
    cut: step.cut,
    defaults: pretrained
      ? fineTuning(learned.length, origins ? classParameters(model, head) : [])
      : fromScratch(learned.length),
    inputShapes: (batch) => ({ [input]: [batch, canvas.channels, canvas.height, canvas.width] }),
    loss: (tape, outputs) => step.loss(tape, outputs),
    feeds: (batch, settings) => ({
      [input]: {
        type: 'float32',
        data: batch.images,
        dims: [settings.batch, canvas.channels, canvas.height, canvas.width],
      },
      ...step.feeds(batch.annotations),
    }),
    evaluate: report,
    ...(pretrained && {
      before: (digests, evaluation) =>
        report(origins ? asked(options.model, labels, origins) : model, digests, evaluation),
    }),
  }
}

/** The model with these labels, and where they come from when it had others. */
async function withLabels(
  options: DetectionOptions,
  labels: readonly string[],
): Promise<{ readonly model: ModelProto; readonly origins?: readonly ClassOrigin[] }> {
  const { model, modelLabels, pretrained } = options
  const { classes } = recognizeHead(model)
  if (!pretrained && classes === labels.length) {
    const graph = new Graph(model)
    graph.setMetadata('labels', labels.join(','))
    return { model: graph.toModel() }
  }
  const isSame =
    modelLabels?.length === labels.length && modelLabels.every((one, at) => one === labels[at])
  if (isSame && classes === labels.length) return { model }
  const origins = await findOrigins(model, labels, modelLabels, originPictures(options))
  return { model: relabel(model, labels, origins), origins }
}

/** Pictures as they are, each with its boxes in pixels of the canvas. */
async function* originPictures({
  dataset,
  learned,
  canvas,
  seed,
}: DetectionOptions): AsyncGenerator<OriginPicture> {
  const digests = learned.slice(0, originPicturesMax)
  await using batches = openBatches({
    dataset,
    digests,
    canvas,
    seed,
    batch: 1,
    order: 'listed',
  })
  const { channels, width, height } = canvas
  for (let step = 0; step < batches.stepsPerEpoch; step++) {
    const { images, annotations } = await batches.batch(step)
    const boxes = annotations[0]!.flatMap((annotation) => {
      const box = boxAround(annotation)
      if (!box) return []
      const [x, y, w, h] = box.box
      return [
        {
          label: box.label,
          corners: [x * width, y * height, (x + w) * width, (y + h) * height] as const,
        },
      ]
    })
    yield { image: { type: 'float32', dims: [1, channels, height, width], data: images }, boxes }
  }
}

/** The labels of the data set, if there are boxes to learn from. */
function labelsOfBoxes(
  { name, labels }: Dataset,
  learned: readonly string[],
  samples: ReadonlyMap<string, Sample>,
): readonly string[] {
  const said = new Set<string>()
  for (const digest of learned) {
    for (const { label } of truthsOf(samples.get(digest)!)) said.add(label)
  }
  if (said.size === 0) {
    throw new TrainError(
      `Cannot train a detector on "${name}": none of the ${learned.length} samples to learn from has a box`,
    )
  }
  return labels
}

function checkCanvas(
  canvas: CanvasSpec,
  head: { readonly width: number; readonly height: number },
): void {
  if (canvas.width === head.width && canvas.height === head.height) return
  throw new TrainError(
    `Cannot train the detector: it takes ${head.width}×${head.height}, pictures come as ${canvas.width}×${canvas.height}`,
  )
}

/** Boxes of a sample, outlines as the boxes around them. */
const truthsOf = ({ annotations, digest }: Sample): Truth[] =>
  annotations.flatMap((annotation) => {
    const box = boxAround(annotation)
    return box ? [{ image: digest, ...box }] : []
  })

const evaluatedSample = ({ digest, name, stream, site }: Sample): EvaluatedSample => ({
  digest,
  name,
  ...(stream !== undefined && { stream }),
  ...(site !== undefined && { site }),
})

/** Times the rate of the others. */
const renewedRate = 5

/** Weights of the convolutions that say classes and nothing else. */
function classParameters(model: ModelProto, { levels }: Head): readonly string[] {
  const graph = new Graph(model)
  return levels.flatMap(({ box, classes }) => {
    const weights = graph.producerOf(classes.value)?.input[1]
    return weights === undefined || box.value === classes.value ? [] : [weights]
  })
}

/** What changes pictures as cameras and days do. */
const augment = {
  flip: 0.5,
  aspect: 0.15,
  shift: 0.1,
  brightness: 0.3,
  contrast: 0.3,
  saturation: 0.3,
}

/** Epochs that are enough, but no fewer steps than a few pictures need. */
const epochsFor = (samples: number, batch: number, epochs: number, stepsMin: number): number =>
  Math.max(epochs, stepsMin / Math.ceil(samples / batch))

/**
 * BatchNorm is folded into most exported files, and then one rate is too much for some channels and nothing for others:
 * each moves by a share of its own size.
 */
const fineTuning = (samples: number, renewed: readonly string[]): RecipePart => ({
  batch: 4,
  epochs: epochsFor(samples, 4, 8, 240),
  batchNorm: 'frozen',
  ema: 0.99,
  optimizer: {
    name: 'adam',
    learningRate: 1e-3,
    relative: true,
    clipNorm: 0,
    // Rows that stood for something else have further to go than what has been learned for good.
    groups: renewed.map((match) => ({ match, rate: renewedRate })),
  },
  schedule: { name: 'cosine', warmupSteps: 20 },
  augment: { ...augment, scale: [0.6, 1.4] },
})

const fromScratch = (samples: number): RecipePart => ({
  batch: 8,
  epochs: epochsFor(samples, 8, 30, 2000),
  ema: 0.998,
  optimizer: { name: 'adamw', learningRate: 4e-3, weightDecay: 0.01, clipNorm: 10 },
  schedule: { name: 'cosine', warmupSteps: 50 },
  augment: { ...augment, scale: [0.8, 1.25] },
})
