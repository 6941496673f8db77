/** The part of a training step that is a detector's own: the loss in the step graph, and what it is fed beside pictures. */
import type { Annotation } from '../../datasets/dataset.ts'
import type { Value } from '../../runtime/session.ts'
import type { Sym, Tape } from '../tape/tape.ts'
import { Anchors } from './anchors.ts'
import { type BoxLoss, detectionLoss, type LossWeights } from './detection-loss.ts'
import { cutsOf, type Head } from './head.ts'
import { assignByCentre } from './static-assignment.ts'
import { packTruths } from './truths.ts'

/** Who decides which cells answer for a box: what the head says of them, or where they lie. */
export const assigners = ['sim-ota', 'centre'] as const
export type Assigner = (typeof assigners)[number]

export type DetectionChoices = {
  readonly assigner: Assigner
  readonly boxLoss: BoxLoss
  readonly weights: LossWeights
  /** Boxes of a picture that the step has room for. */
  readonly slots: number
}

/** As YOLOX weighs them; distributions as YOLOv8 does, for a box weighs less there too. */
export const lossWeightsDefault: LossWeights = { box: 5, objectness: 1, classes: 1, bins: 1 }

export class DetectionStep {
  readonly head: Head
  readonly #labels: readonly string[]
  readonly #choices: DetectionChoices
  readonly #anchors: Anchors

  /** @param labels of the head's classes, in order */
  constructor(head: Head, labels: readonly string[], choices: DetectionChoices) {
    this.head = head
    this.#labels = labels
    this.#choices = choices
    this.#anchors = new Anchors(head)
  }

  /** Values of the model at which it is cut. */
  get cut(): readonly string[] {
    return cutsOf(this.head)
  }

  /** Writes the loss; asks for the inputs that `feeds` gives. @param outputs the cut values, [N, C, rows, columns] */
  loss(
    tape: Tape,
    outputs: Readonly<Record<string, Sym>>,
  ): { readonly total: Sym; readonly terms: Readonly<Record<string, Sym>> } {
    const { assigner, boxLoss, weights, slots } = this.#choices
    const { head } = this
    const pictures = outputs[this.cut[0]!]!.shape[0]!
    const input = (name: string, last: number) =>
      tape.input(`truth/${name}`, 'float32', [pictures, slots, last])
    const truths = {
      boxes: input('boxes', 4),
      present: input('present', 1),
      crowd: input('crowd', 1),
      classes: input('classes', head.classes),
    }
    const given = assigner === 'centre' ? input('matched', this.#anchors.count) : undefined
    const anchors = this.#anchors.write(tape)
    const { total, terms } = detectionLoss(
      tape,
      { head, boxLoss, weights },
      outputs,
      truths,
      anchors,
      given,
    )
    return { total, terms }
  }

  /** @param pictures annotations of each picture of the batch, as shares of the canvas */
  feeds(pictures: readonly (readonly Annotation[])[]): Record<string, Value> {
    const { slots, assigner } = this.#choices
    const truths = packTruths(pictures, this.#labels, this.head, slots)
    const value = (data: Float32Array, last: number): Value => ({
      type: 'float32',
      dims: [pictures.length, slots, last],
      data,
    })
    return {
      'truth/boxes': value(truths.boxes, 4),
      'truth/present': value(truths.present, 1),
      'truth/crowd': value(truths.crowd, 1),
      'truth/classes': value(truths.classes, this.head.classes),
      ...(assigner === 'centre' && {
        'truth/matched': value(
          assignByCentre(truths, this.#anchors, pictures.length),
          this.#anchors.count,
        ),
      }),
    }
  }
}
