/** Compiling and comparing with images: the model is opened as the agent would, and images become its samples. */
import { readFile, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { type Model, openModel, ortRuntime, readDescription } from '@edgeloop/edge-agent/detect'
import {
  cosine,
  modelSizeBytesMax,
  OnnxError,
  readModel,
  type Sample,
  verify,
} from '@edgeloop/model-compiler'
import { comparePairs, compileModel } from '@edgeloop/model-compiler/compile'
import { Failure } from '../failure.ts'
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
import { evaluateMax, splitImages } from './split-images.ts'
import { describe, Evaluator } from './task-evaluation.ts'

type Tell = (progress: OrderProgress) => void

/**
 * Compiles into `order.folder`.
 * @throws {Failure | OnnxError | ModelError | ImageError} saying what of model, labels or images does not fit
 */
export async function compile(order: CompileOrder, tell: Tell): Promise<Compiled> {
  const { file, folder } = order
  const bytes = await modelBytes(file)
  const { model, description } = await openOriginal(file, order)
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
    ...{ description, canvases, truths, folder },
    onImage: (done, total) => tell({ ...last, done, total }),
  })
  const { report, manifest } = await compileModel({
    model: bytes,
    name: basename(file),
    samples: imageSamples(model, new Canvases(model, split.calibrate)),
    evaluate: (candidate) => evaluator.evaluate(candidate),
    ...{ target: order.target, precision: order.precision, maxDrop: order.maxDrop },
    ...{ measureSeconds: order.measureSeconds, keep: order.keep, description, folder, onProgress },
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
  const [a, b] = await Promise.all(order.files.map(modelBytes))
  const [first, second] = order.files
  const original = await openOriginal(first, order)
  await using modelA = original.model
  // The second may be described by its own file: a compiled model is.
  const other = await openOriginal(second, order)
  await using modelB = other.model
  const set = await ImageSet.open(order.images)
  const canvases = new Canvases(modelA, set.images.slice(0, evaluateMax))
  const truths = await truthsOf(set, modelA)
  const { description } = original
  const onImage = (done: number, total: number) =>
    tell({ step: 'evaluate', done, total, share: done / total / 3 })
  const evaluator = new Evaluator({ description, canvases, truths, folder: order.folder, onImage })
  const evaluations = [
    await evaluator.evaluate(a!),
    await evaluator.evaluate(b!, other.description),
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
  const { medianRatio, aMs, bMs } = await comparePairs(a!, b!, feeds[0]!, { feedsOfB: feeds[1]! })
  return {
    models: order.files.map((file, at) => ({
      file,
      sizeBytes: (at === 0 ? a! : b!).length,
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

/** @throws {OnnxError} when the file is no model; the runtime's own words for it help nobody */
async function modelBytes(file: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(file)
    if (size > modelSizeBytesMax) {
      throw new Failure(
        `Cannot read model "${file}": it has ${size} bytes, at most ${modelSizeBytesMax} are read`,
      )
    }
    const bytes = await readFile(file)
    const proto = readModel(bytes, { name: file })
    const outside = proto.graph?.initializer.find(({ externalData }) => externalData.length > 0)
    if (outside) {
      const at = outside.externalData.find(({ key }) => key === 'location')?.value
      throw new OnnxError(
        `Cannot compile "${file}": tensor "${outside.name}" lies in another file ("${at}"); save the model with its weights inside`,
      )
    }
    verify(proto, { name: file })
    return bytes
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const known: Record<string, string> = {
      ENOENT: 'there is no such file',
      EISDIR: 'it is a folder',
    }
    if (code === undefined || !known[code]) throw cause
    throw new Failure(`Cannot read model "${file}": ${known[code]}`, undefined, { cause })
  }
}

/** The model as the agent opens it, and all that has to be known to open one like it. */
async function openOriginal(
  file: string,
  given: Pick<CompileOrder, 'layout' | 'labels' | 'description'>,
) {
  const { layout, labels, description: named } = given
  const source = {
    ...{ name: basename(file), file },
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
