/**
 * How right a model is on images, by its task: against what people said is in them, or, where nobody did, against
 * what the original says. Models are opened and read as the agent does it, so what is measured is what a box will do.
 */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type ClassPicture,
  type Description,
  type Model,
  openModel,
  ortRuntime,
  type Reading,
  readClassMask,
} from '@edgeloop/edge-agent/detect'
import {
  boxAgreement,
  cosine,
  type Evaluation,
  type Found,
  MapOverlap,
  meanAveragePrecision,
  topAccuracy,
} from '@edgeloop/model-compiler'
import { Failure } from '../failure.ts'
import type { Canvas, Canvases } from './canvases.ts'
import type { Truths } from './image-set.ts'

/** Detections for average precision: few are cut off by the score, as COCO does it. */
const reading = { scoreMin: 0.02, nmsIou: 0.6, maxDetections: 100 }
/** Where nobody labelled anything, only what a box would report counts. */
const reportedScoreMin = 0.3
/** Pixels of VOC's masks that belong to no class. */
const ignoredClass = 255

export type EvaluatorOptions = {
  /** What opens the original, and every candidate: see `describe`. */
  readonly description: Description
  readonly canvases: Canvases
  readonly truths: Truths
  /** A folder where candidates lie while they are looked at. */
  readonly folder: string
  readonly onImage?: (done: number, total: number) => void
}

/** What a model says of one image, in the form its task is compared by. */
type Answer =
  | { readonly kind: 'boxes'; readonly boxes: readonly Found[] }
  | { readonly kind: 'classes'; readonly labels: readonly string[]; readonly image: string }
  | { readonly kind: 'picture'; readonly picture: ClassPicture; readonly image: string }
  | { readonly kind: 'vector'; readonly vector: readonly number[] }

/** Answers of the original that later models are compared with, image by image. */
export class Evaluator {
  readonly #options: EvaluatorOptions
  #reference: readonly Answer[] | undefined

  constructor(options: EvaluatorOptions) {
    this.#options = options
  }

  /**
   * The first model it is given is the original.
   * @param description where it is not described as the original is
   * @throws {ModelError} when the agent would not open the model
   */
  async evaluate(bytes: Uint8Array, description = this.#options.description): Promise<Evaluation> {
    const { folder, canvases, onImage } = this.#options
    const stem = join(folder, 'candidate')
    await writeFile(`${stem}.onnx`, bytes)
    await writeFile(`${stem}.model.json`, JSON.stringify(description))
    await using model = await openModel({ name: 'candidate', file: `${stem}.onnx` }, ortRuntime)
    const answers: Answer[] = []
    for await (const canvas of canvases.read()) {
      answers.push(await answerOf(model, canvas))
      onImage?.(answers.length, canvases.images.length)
    }
    const evaluation = await this.#compare(answers)
    this.#reference ??= answers
    if (!Number.isFinite(evaluation.value)) {
      throw new Failure(
        `Cannot evaluate: ${evaluation.metric} of ${canvases.images.length} images is no number`,
      )
    }
    return evaluation
  }

  /** Takes the last candidate away. */
  async removeFiles(): Promise<void> {
    for (const ending of ['onnx', 'model.json']) {
      await rm(join(this.#options.folder, `candidate.${ending}`), { force: true })
    }
  }

  async #compare(answers: readonly Answer[]): Promise<Evaluation> {
    const { truths, canvases } = this.#options
    const reference = this.#reference ?? answers
    const [first] = answers
    switch (first?.kind) {
      case 'boxes': {
        const found = answers.flatMap(boxesOf)
        if (truths.kind === 'boxes') {
          const images = new Set(canvases.images.map(({ name }) => name))
          const here = truths.boxes.filter(({ image }) => images.has(image))
          const { ap50, ap50to95 } = meanAveragePrecision(here, found)
          return { metric: 'ap50', value: ap50, others: { ap50to95 } }
        }
        const said = (boxes: readonly Found[]) =>
          boxes.filter(({ score }) => score >= reportedScoreMin)
        const value = boxAgreement(said(reference.flatMap(boxesOf)), said(found))
        return { metric: 'f1', value }
      }
      case 'classes': {
        const ranked = answers.flatMap((answer) =>
          answer.kind === 'classes' ? { classes: answer.labels, image: answer.image } : [],
        )
        if (truths.kind === 'classes') {
          const known = ranked.flatMap(({ classes, image }) => {
            const truth = truths.of.get(image)
            return truth === undefined ? [] : { classes, truth }
          })
          const others = { top5: topAccuracy(known, 5) }
          return { metric: 'top1', value: topAccuracy(known, 1), others }
        }
        const same = reference.flatMap((answer, at) =>
          answer.kind === 'classes'
            ? { classes: ranked[at]?.classes ?? [], truth: answer.labels[0] ?? '' }
            : [],
        )
        return { metric: 'agreement', value: topAccuracy(same, 1) }
      }
      case 'picture': {
        const overlap = new MapOverlap(ignoredClass)
        for (const [at, answer] of answers.entries()) {
          if (answer.kind !== 'picture') continue
          const { width, height, classes } = answer.picture
          if (truths.kind === 'masks') {
            const mask = truths.of.get(answer.image)
            if (mask === undefined) continue
            overlap.add(await readClassMask(mask, width, height), classes)
          } else {
            const other = reference[at]
            if (other?.kind === 'picture') overlap.add(other.picture.classes, classes)
          }
        }
        const metric = truths.kind === 'masks' ? 'miou' : 'agreement'
        return { metric, value: overlap.meanIntersectionOverUnion() }
      }
      default: {
        const angles = answers.map((answer, at) => {
          const other = reference[at]
          return answer.kind === 'vector' && other?.kind === 'vector'
            ? cosine(other.vector, answer.vector)
            : 0
        })
        const value = angles.reduce((sum, angle) => sum + angle, 0) / angles.length
        return { metric: 'cosine', value }
      }
    }
  }
}

const boxesOf = (answer: Answer): readonly Found[] => (answer.kind === 'boxes' ? answer.boxes : [])

async function answerOf(model: Model, { image, bytes, view }: Canvas): Promise<Answer> {
  if (model.task === 'segmentation') {
    return {
      kind: 'picture',
      picture: await model.classPicture(bytes, view),
      image: image.name,
    }
  }
  const scoreMin = model.task === 'classification' ? 0 : reading.scoreMin
  const said: Reading = await model.read(bytes, view, { ...reading, scoreMin })
  if (said.embedding) return { kind: 'vector', vector: said.embedding }
  if (said.classes) {
    const labels = said.classes.slice(0, 5).map(({ label }) => label)
    return { kind: 'classes', labels, image: image.name }
  }
  const boxes = (said.detections ?? []).map(({ label, score, box }): Found => {
    const [left = 0, top = 0, width = 0, height = 0] = box
    return { image: image.name, label, score, box: [left, top, width, height] }
  })
  return { kind: 'boxes', boxes }
}

/**
 * All that the agent needs to know to open a model like this one, whatever its file is called; labels by name.
 * @param description what was known of the original
 */
export function describe(model: Model, description: Description): Description {
  return {
    ...description,
    layout: model.layout,
    ...(model.labels.length > 0 && { labels: [...model.labels] }),
  }
}
