/** Models that say a class for each pixel: softmax cross-entropy over the map, mIoU. */
import type { Dataset } from '../../datasets/index.ts'
import { MapOverlap } from '../../evaluate/accuracy.ts'
import { reportSegmentation } from '../../evaluate/evaluation-report.ts'
import { Graph } from '../../graph/graph.ts'
import { OnnxError } from '../../onnx/read.ts'
import type { ModelProto } from '../../onnx/schema.ts'
import { isOp } from '../../passes/matching.ts'
import { inferTypes } from '../../shapes/infer-types.ts'
import { dropInitializerInputs, setInputShapes } from '../../shapes/input-shapes.ts'
import type { CanvasSpec } from '../batches/canvas.ts'
import type { RecipePart } from '../run/recipe.ts'
import { TrainError } from '../run/train-error.ts'
import { plainAnswers } from './plain-answers.ts'
import { type Task, withBefore } from './task.ts'

export type SegmentationOptions = {
  readonly model: ModelProto
  readonly dataset: Dataset
  readonly canvas: CanvasSpec
  /** It was trained on other data before. */
  readonly pretrained: boolean
}

/** Pixels of masks that belong to no class (VOC). */
const noClass = 255

/**
 * @throws {TrainError} when no sample has a mask or an outline, or the model has another number of classes
 * @throws {OnnxError} when the model does not end with one map of classes
 */
export function segmentationTask({
  model,
  dataset,
  canvas,
  pretrained,
}: SegmentationOptions): Task {
  const { labels } = dataset
  const isMarked = dataset.samples.some(({ annotations }) =>
    annotations.some(({ kind }) => kind === 'mask' || kind === 'polygon'),
  )
  if (!isMarked) {
    throw new TrainError(
      `Cannot train segmentation on "${dataset.name}": no sample has a mask or an outline`,
    )
  }
  const map = classMapOf(model, canvas)
  if (map.classes !== labels.length) {
    throw new TrainError(
      `Cannot train segmentation on "${dataset.name}": it has ${labels.length} labels, the model ${map.classes} classes`,
      'name as many labels with --labels, or build a new net: new:unet',
    )
  }
  const { input, logits, height, width, classes } = map
  const samples = new Map(dataset.samples.map((sample) => [sample.digest, sample]))
  const task: Task = {
    name: 'segmentation',
    model,
    labels,
    canvas,
    maskLabels: labels,
    cut: [logits],
    defaults: defaultsFor(pretrained),
    inputShapes: (batch) => ({ [input]: [batch, canvas.channels, canvas.height, canvas.width] }),
    loss(tape, outputs, settings) {
      if (settings.labelSmoothing > 0 || settings.classWeights !== 'none') {
        throw new TrainError(
          'Cannot train segmentation with loss.labelSmoothing or loss.classWeights: only loss.focalGamma is known there',
        )
      }
      const { batch, focalGamma } = settings
      const shape = [batch, 1, height, width]
      const index = tape.input('target', 'int64', shape)
      // 0 where a pixel belongs to no class.
      const weight = tape.input('target-weight', 'float32', shape)
      const surprise = tape.gatherElements(tape.logSoftmax(outputs[logits]!, 1), index, 1)
      const counted =
        focalGamma > 0
          ? tape.mul(weight, tape.pow(tape.relu(tape.sub(1, tape.exp(surprise))), focalGamma))
          : weight
      const sum = tape.neg(tape.reduceSum(tape.mul(counted, surprise)))
      const total = tape.div(sum, tape.max(tape.reduceSum(weight), 1))
      return { total, terms: { crossEntropy: total } }
    },
    feeds(batch, settings) {
      const pixels = settings.batch * height * width
      const index = new BigInt64Array(pixels)
      const weight = new Float32Array(pixels)
      const masks = sampled(batch.masks!, settings.batch, canvas, { height, width })
      for (const [at, value] of masks.entries()) {
        if (value === noClass) continue
        index[at] = BigInt(value)
        weight[at] = 1
      }
      const dims = [settings.batch, 1, height, width]
      return {
        [input]: {
          type: 'float32',
          data: batch.images,
          dims: [settings.batch, canvas.channels, canvas.height, canvas.width],
        },
        target: { type: 'int64', dims, data: index },
        'target-weight': { type: 'float32', dims, data: weight },
      }
    },
    async evaluate(evaluated, digests, evaluation) {
      const overlaps: MapOverlap[] = []
      const options = { dataset, digests, canvas, maskLabels: labels, ...evaluation }
      await plainAnswers(evaluated, options, ({ outputs, batch, count }) => {
        const truth = sampled(batch.masks!, count, canvas, { height, width })
        const said = highest(outputs[0]!.data as Float32Array, count, classes, height * width)
        const size = height * width
        for (let place = 0; place < count; place += 1) {
          const overlap = new MapOverlap(noClass)
          const [from, to] = [place * size, (place + 1) * size]
          overlap.add(truth.subarray(from, to), said.subarray(from, to))
          overlaps.push(overlap)
        }
      })
      return reportSegmentation(
        {
          labels,
          overlaps,
          samples: digests.map((digest) => samples.get(digest)!),
          empty: () => new MapOverlap(noClass),
        },
        evaluation,
      )
    },
  }
  return pretrained ? withBefore(task) : task
}

type Size = { readonly width: number; readonly height: number }

/** The map that the model ends with, for pictures of the canvas. */
function classMapOf(model: ModelProto, { channels, height, width }: CanvasSpec) {
  const graph = new Graph(model)
  dropInitializerInputs(graph)
  const input = graph.requiredInputs[0]!.name
  setInputShapes(graph, { [input]: [1, channels, height, width] })
  inferTypes(graph)
  const [output] = graph.outputs
  const shape = output && graph.typeOf(output.name)?.shape
  const [, classes, rows, columns] = shape ?? []
  const isMap = shape?.length === 4 && [classes, rows, columns].every((one) => Number(one) > 1)
  if (!output || graph.outputs.length !== 1 || !isMap) {
    throw new OnnxError(
      `Cannot train the model for segmentation: expected one output [N, classes, height, width], it has [${shape ?? '?'}]`,
    )
  }
  const last = graph.producerOf(output.name)
  const logits = isOp(last, 'Softmax', 'LogSoftmax') ? last!.input[0]! : output.name
  return {
    input,
    logits,
    classes: Number(classes),
    height: Number(rows),
    width: Number(columns),
  }
}

/** Masks at the size of the model's map: each place has the class of the pixel in its middle. */
function sampled(masks: Uint8Array, count: number, from: Size, to: Size): Uint8Array {
  if (from.width === to.width && from.height === to.height) {
    return masks.subarray(0, count * from.width * from.height)
  }
  const result = new Uint8Array(count * to.width * to.height)
  for (let place = 0; place < count; place += 1) {
    for (let y = 0; y < to.height; y += 1) {
      const row = Math.floor(((y + 0.5) * from.height) / to.height)
      for (let x = 0; x < to.width; x += 1) {
        const column = Math.floor(((x + 0.5) * from.width) / to.width)
        result[(place * to.height + y) * to.width + x] =
          masks[(place * from.height + row) * from.width + column]!
      }
    }
  }
  return result
}

/** Of each place the class that scores highest. */
function highest(scores: Float32Array, count: number, classes: number, size: number): Uint8Array {
  const said = new Uint8Array(count * size)
  for (let place = 0; place < count; place += 1) {
    const from = place * classes * size
    for (let at = 0; at < size; at += 1) {
      let best = 0
      for (let k = 1; k < classes; k += 1) {
        if (scores[from + k * size + at]! > scores[from + best * size + at]!) best = k
      }
      said[place * size + at] = best
    }
  }
  return said
}

const defaultsFor = (pretrained: boolean): RecipePart => ({
  batch: 8,
  epochs: 30,
  ema: 0.99,
  optimizer: { name: 'adamw', learningRate: pretrained ? 2e-4 : 2e-3, weightDecay: 0.01 },
  schedule: { name: 'cosine', warmupSteps: 20 },
})
