/**
 * Explains what a classifier says of an image: fed as the agent feeds it, differentiated as training does it. Started by
 * `runInChild`, which ends it when it exceeds its limits.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { basename, extname, join, resolve } from 'node:path'
import {
  type Model,
  openModel,
  ortRuntime,
  placeImage,
  readDescription,
} from '@edgeloop/edge-agent/detect'
import { readModelFile } from '@edgeloop/model-compiler'
import { answerOrder } from '@edgeloop/model-compiler/compile'
import { decodePicture, readImageFile } from '@edgeloop/model-compiler/datasets'
import { type HeatMap, heatPicture, openExplainer } from '@edgeloop/model-compiler/train'
import { nearestName } from '@edgeloop/protocol/nearest'
import { Failure } from '../failure.ts'
import type { Explained, ExplainOrder } from './explain-order.ts'

answerOrder<ExplainOrder, never, Explained>(async (order) => {
  const { file, image, out } = order
  await using model = await openFor(order)
  const picture = await decodePicture(await readImageFile(image), image)
  const canvas = new Uint8Array(model.inputBytes)
  const { view } = await placeImage(picture, (w, h) => model.inputFor(w, h), canvas)
  const [[name, fed] = []] = Object.entries(model.tensorsOf(canvas))
  if (!name || !fed) throw new Failure(`Cannot explain "${file}": it takes nothing`)
  const input = { type: fed.type, dims: [...fed.shape], data: fed.data }
  await using explainer = await openExplainer(await readModelFile(resolve(file)), {
    inputShapes: { [name]: input.dims },
    ...(order.layer !== undefined && { layer: order.layer }),
  })
  const wanted = order.label === undefined ? undefined : indexOf(model, order.label)
  const said = await explainer.explain(input, wanted)
  const { content, width, height } = view
  const shown = {
    left: content.left / width,
    top: content.top / height,
    width: content.width / width,
    height: content.height / height,
  }
  await mkdir(out, { recursive: true })
  const stem = basename(image, extname(image))
  const write = async (map: HeatMap, kind: string): Promise<string> => {
    const to = join(out, `${stem}.${kind}.png`)
    await writeFile(to, await heatPicture(map, picture, { shown }))
    return to
  }
  const scores = shares(said.logits)
    .map((score, index) => ({ label: model.labels[index] ?? String(index), score, index }))
    .sort((a, b) => b.score - a.score)
  const own = scores.find(({ index }) => index === said.label)!
  return {
    image,
    label: own.label,
    score: own.score,
    layer: explainer.layer,
    scores: scores.slice(0, 5).map(({ label, score }) => ({ label, score })),
    peak: peakOf(said.gradCam, shown),
    files: {
      gradCam: await write(said.gradCam, 'grad-cam'),
      saliency: await write(said.saliency, 'saliency'),
    },
  }
})

/** @throws {Failure} when it is no classifier */
async function openFor({ file, layout, labels, description }: ExplainOrder): Promise<Model> {
  const known = await readDescription(file, description)
  const model = await openModel(
    {
      name: basename(file),
      file: resolve(file),
      layout: layout ?? known.layout ?? 'classifier',
      ...(labels !== undefined && { labels }),
      ...(description !== undefined && { description }),
    },
    ortRuntime,
  )
  if (model.task === 'classification') return model
  await model[Symbol.asyncDispose]()
  throw new Failure(
    `Cannot explain "${file}": layout ${model.layout} is for ${model.task}, and classifiers are explained`,
  )
}

function indexOf(model: Model, label: string): number {
  const index = model.labels.indexOf(label)
  if (index >= 0) return index
  const near = nearestName(label, model.labels)
  throw new Failure(
    `Cannot explain "${label}": the model has no such label`,
    near === undefined ? undefined : `did you mean "${near}"?`,
  )
}

function shares(logits: Float32Array): number[] {
  const most = logits.reduce((a, b) => Math.max(a, b))
  const powers = Array.from(logits, (one) => Math.exp(one - most))
  const total = powers.reduce((a, b) => a + b, 0)
  return powers.map((power) => power / total)
}

type Shown = {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

function peakOf({ width, height, values }: HeatMap, shown: Shown): readonly [number, number] {
  let best = 0
  for (let at = 1; at < values.length; at++) if (values[at]! > values[best]!) best = at
  const within = (share: number, from: number, size: number) =>
    Math.round(Math.min(1, Math.max(0, (share - from) / size)) * 1e4) / 1e4
  return [
    within(((best % width) + 0.5) / width, shown.left, shown.width),
    within((Math.floor(best / width) + 0.5) / height, shown.top, shown.height),
  ]
}
