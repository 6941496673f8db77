/** Compiling and comparing with images: the model is opened as the agent would, and images become its samples. */
import { readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { type Model, openModel, ortRuntime, readDescription } from '@edgeloop/edge-agent/detect'
import { cosine, type Sample } from '@edgeloop/model-compiler'
import { comparePairs, compileModel } from '@edgeloop/model-compiler/compile'
import { Canvases } from './canvases.ts'
import type {
  Compared,
  CompareOrder,
  Compiled,
  CompileOrder,
  OrderProgress,
} from './compile-order.ts'
import { imageSamples } from './image-samples.ts'
import { ImageSet, type Truths } from './image-set.ts'
import { type ModelSource, openModelSource } from './model-source.ts'
import { evaluateMax, splitImages } from './split-images.ts'
import { describe, Evaluator } from './task-evaluation.ts'

type Tell = (progress: OrderProgress) => void

/**
 * Compiles into `order.folder`.
 * @throws {Failure | OnnxError | ModelError | ImageError} saying what of model, labels or images does not fit
 */
export async function compile(order: CompileOrder, tell: Tell): Promise<Compiled> {
  const { file, folder } = order
  await using source = await openModelSource(file, folder, order.description)
  const { model, description } = await openOriginal(source, order)
  await using _ = model
  const given = await ImageSet.open(order.calibrate)
  const held = order.evaluate === undefined ? undefined : await ImageSet.open(order.evaluate)
  const split = await splitImages(given.images, held?.images, order.seed)
  const truths = await truthsOf(held ?? given, model)
  const canvases = new Canvases(model, split.evaluate)
  // What compileModel tells of an evaluation is that it began; each image moves it on.
  let last: OrderProgress = { step: 'read', done: 0, total: 1, share: 0 }
  const onProgress = (progress: OrderProgress): void => {
    last = progress
    tell(progress)
  }
  const evaluator = new Evaluator({
    description,
    canvases,
    truths,
    folder,
    onImage: (done, total) => tell({ ...last, done, total }),
  })
  const { report, manifest } = await compileModel({
    model: source.bytes,
    name: basename(file),
    samples: imageSamples(model, new Canvases(model, split.calibrate)),
    evaluate: (candidate) => evaluator.evaluate(candidate),
    target: order.target,
    precision: order.precision,
    maxDrop: order.maxDrop,
    measureSeconds: order.measureSeconds,
    keep: order.keep,
    description,
    folder,
    onProgress,
    ...(order.trace && { trace: true }),
    ...(order.successors && { successors: true }),
    ...(order.against !== undefined && {
      against: new Uint8Array(await readFile(order.against)),
      deltaAware: order.deltaAware ?? false,
    }),
  })
  await evaluator.removeFiles()
  // The agent finds this beside the model, and runs it without being told anything.
  await writeFile(join(folder, 'model.model.json'), `${JSON.stringify(description, null, 2)}\n`)
  return {
    report,
    manifest,
    calibrationImages: split.calibrate.length,
    evaluationImages: split.evaluate.length,
    leftOut: split.leftOut,
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
  }
}

/** Runs two models on the same images. @throws as `compile` does */
export async function compare(order: CompareOrder, tell: Tell): Promise<Compared> {
  const [first, second] = order.files
  await using a = await openModelSource(first, order.folder, order.description)
  await using b = await openModelSource(second, order.folder, order.description)
  const original = await openOriginal(a, order)
  await using modelA = original.model
  // The second may be described by its own file: a compiled model is.
  const other = await openOriginal(b, order)
  await using modelB = other.model
  const set = await ImageSet.open(order.images)
  const canvases = new Canvases(modelA, set.images.slice(0, evaluateMax))
  const truths = await truthsOf(set, modelA)
  const { description } = original
  const onImage = (done: number, total: number) =>
    tell({ step: 'evaluate', done, total, share: done / total / 3 })
  const evaluator = new Evaluator({ description, canvases, truths, folder: order.folder, onImage })
  const evaluations = [
    await evaluator.evaluate(a.bytes),
    await evaluator.evaluate(b.bytes, other.description),
  ]
  const canvasesB = new Canvases(modelB, canvases.images)
  const samplesB = imageSamples(modelB, canvasesB).read()[Symbol.asyncIterator]()
  const angles = new Map(modelA.signature.outputs.map(({ name }) => [name, [] as number[]]))
  const feeds: Sample[] = []
  for await (const sampleA of imageSamples(modelA, canvases).read()) {
    const { value: sampleB } = await samplesB.next()
    if (feeds.length === 0) feeds.push(sampleA, sampleB!)
    const [said, answered] = [await run(modelA, sampleA), await run(modelB, sampleB!)]
    for (const [name, list] of angles) {
      const [x, y] = [said[name], answered[name]]
      if (x && y && x.length === y.length) list.push(cosine(x, y))
    }
  }
  await samplesB.return?.(undefined)
  tell({ step: 'measure', done: 0, total: 1, share: 0.7 })
  const { medianRatio, aMs, bMs } = await comparePairs(a.bytes, b.bytes, feeds[0]!, {
    feedsOfB: feeds[1]!,
  })
  return {
    models: order.files.map((file, at) => ({
      file,
      sizeBytes: (at === 0 ? a : b).bytes.length,
      evaluation: evaluations[at]!,
      latencyMs: at === 0 ? aMs : bMs,
    })),
    latencyRatio: medianRatio,
    outputs: [...angles].map(([name, list]) => ({
      name,
      cosine: list.length > 0 ? list.reduce((sum, angle) => sum + angle, 0) / list.length : null,
    })),
    images: canvases.images.length,
  }
}

/** The outputs of a run as numbers, copied. */
async function run(model: Model, sample: Sample): Promise<Record<string, Float64Array>> {
  const inputs = Object.entries(sample).map(([name, { type, dims, data }]) => [
    name,
    { type, shape: dims, data },
  ])
  const outputs = await model.run(Object.fromEntries(inputs))
  return Object.fromEntries(
    Object.entries(outputs).map(([name, { data }]) => [name, Float64Array.from(data, Number)]),
  )
}

/** The model as the agent opens it, and all that has to be known to open one like it. */
async function openOriginal(
  { file, description: named }: ModelSource,
  { layout, labels }: Pick<CompileOrder, 'layout' | 'labels'>,
) {
  const source = {
    name: basename(file),
    file,
    ...(layout !== undefined && { layout }),
    ...(labels !== undefined && { labels }),
    ...(named !== undefined && { description: named }),
  }
  const model = await openModel(source, ortRuntime)
  return { model, description: describe(model, await readDescription(file, named)) }
}

async function truthsOf(set: ImageSet, model: Model): Promise<Truths> {
  switch (model.task) {
    case 'detection':
      return await set.boxes(model.labels)
    case 'classification':
      return set.classes(model.labels)
    case 'segmentation':
      return set.masks()
    default:
      return { kind: 'none' }
  }
}
