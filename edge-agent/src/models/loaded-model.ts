/** A model at work: canvas in, session, decoder, suppression, detections out. */
import type { Detection } from '@edgeloop/protocol'
import { nearestName } from '@edgeloop/protocol/nearest'
import type { ModelSignature } from '@edgeloop/protocol/oip'
import type { InputView } from '../cameras/camera.ts'
import { ModelError, type RuntimeSession, type Tensors } from '../runtimes/runtime.ts'
import { Candidates } from './candidates.ts'
import { type InputSpec, placeFrame, toSourceBox } from './canvas.ts'
import type { Decoder, Reader } from './layouts/layout.ts'
import type { ClassPicture, DetectOptions, Model, Reading, Task } from './model.ts'
import { suppress } from './nms.ts'
import type { TensorFeeder } from './tensor-feeder.ts'

/** What `openModel` found to fit together. */
export type LoadedParts = {
  readonly name: string
  readonly session: RuntimeSession
  readonly layout: string
  readonly task: Task
  readonly labels: readonly string[]
  readonly spec: InputSpec
  readonly feed: TensorFeeder
  readonly decoder: Decoder | Reader
}

/** Steps per unit that scores are rounded to. */
const scoreSteps = 1e4

export class LoadedModel implements Model {
  readonly name: string
  readonly digest: string
  readonly layout: string
  readonly task: Task
  readonly labels: readonly string[]
  readonly runtime: string
  readonly signature: ModelSignature
  readonly input: InputSpec
  readonly inputBytes: number
  readonly #session: RuntimeSession
  readonly #decoder: Decoder | Reader
  readonly #feed: TensorFeeder
  readonly #candidates = new Candidates()
  /** Class indexes by the label lists they were asked with. */
  readonly #wanted = new WeakMap<readonly string[], ReadonlySet<number>>()
  #busy = false

  constructor({ name, session, layout, task, labels, spec, feed, decoder }: LoadedParts) {
    this.name = name
    this.digest = session.digest
    this.layout = layout
    this.task = task
    this.labels = labels
    this.runtime = session.runtime
    this.signature = { inputs: session.inputs, outputs: session.outputs }
    this.input = spec
    this.inputBytes = spec.width * spec.height * 3
    this.#session = session
    this.#decoder = decoder
    this.#feed = feed
  }

  inputFor(sourceWidth: number, sourceHeight: number): InputView {
    return placeFrame(this.input, sourceWidth, sourceHeight)
  }

  async detect(canvas: Uint8Array, view: InputView, options: DetectOptions): Promise<Detection[]> {
    const { detections } = await this.read(canvas, view, options)
    if (detections) return [...detections]
    throw new ModelError(
      `Cannot detect with model "${this.name}": layout ${this.layout} is for ${this.task}; name a detector`,
    )
  }

  async classPicture(canvas: Uint8Array, view: InputView): Promise<ClassPicture> {
    const decoder = this.#decoder
    if (!('picture' in decoder) || !decoder.picture) {
      throw new ModelError(
        `Cannot read a class picture of model "${this.name}": layout ${this.layout} is for ${this.task}`,
      )
    }
    this.#checkCanvas(canvas)
    return decoder.picture(await this.run(this.#feed(canvas)), view)
  }

  tensorsOf(canvas: Uint8Array): Tensors {
    this.#checkCanvas(canvas)
    return this.#feed(canvas)
  }

  #checkCanvas(canvas: Uint8Array): void {
    if (canvas.length === this.inputBytes) return
    const wanted = `${this.input.width}×${this.input.height}×3 = ${this.inputBytes}`
    throw new RangeError(`Cannot detect: canvas has ${canvas.length} bytes, expected ${wanted}`)
  }

  async read(canvas: Uint8Array, view: InputView, options: DetectOptions): Promise<Reading> {
    this.#checkCanvas(canvas)
    if (this.#busy) throw new Error('Cannot detect: the model is busy with another canvas')
    this.#busy = true
    try {
      const classes = options.labels && this.#classesOf(options.labels)
      const outputs = await this.#session.run(this.#feed(canvas))
      if (!('decode' in this.#decoder)) {
        const { scoreMin, maxDetections: keepMax } = options
        const given = { labels: this.labels, view, scoreMin, keepMax, wanted: classes }
        return this.#decoder.read(outputs, given)
      }
      this.#candidates.clear()
      this.#decoder.decode(outputs, options.scoreMin, this.#candidates)
      const kept = suppress(this.#candidates, {
        iouMax: options.nmsIou,
        keepMax: options.maxDetections,
        ...(classes && { classes }),
      })
      return { detections: kept.flatMap((index) => this.#detection(index, view) ?? []) }
    } finally {
      this.#busy = false
    }
  }

  async run(inputs: Tensors): Promise<Tensors> {
    if (this.#busy) throw new Error('Cannot run the model: it is busy with a canvas')
    this.#busy = true
    try {
      return await this.#session.run(inputs)
    } finally {
      this.#busy = false
    }
  }

  #detection(index: number, view: InputView): Detection | undefined {
    const { scores, classes, corners } = this.#candidates
    const [left = 0, top = 0, right = 0, bottom = 0] = corners.subarray(index * 4, index * 4 + 4)
    const box = toSourceBox(view, left, top, right, bottom)
    const label = this.labels[classes[index] ?? 0]
    if (!box || label === undefined) return undefined
    const score = Math.round(Math.min(1, scores[index] ?? 0) * scoreSteps) / scoreSteps
    return { label, score, box: [...box] }
  }

  #classesOf(labels: readonly string[]): ReadonlySet<number> {
    let classes = this.#wanted.get(labels)
    if (!classes) {
      classes = new Set(labels.map((label) => this.#classOf(label)))
      this.#wanted.set(labels, classes)
    }
    return classes
  }

  #classOf(label: string): number {
    const index = this.labels.indexOf(label)
    if (index >= 0) return index
    const near = nearestName(label, this.labels)
    const hint = near ? `; did you mean "${near}"?` : ''
    throw new ModelError(
      `Cannot look for "${label}": model "${this.name}" has no such label${hint}`,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session[Symbol.asyncDispose]()
  }
}
