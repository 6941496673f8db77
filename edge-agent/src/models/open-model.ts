/**
 * Opens a model: loads the file, binds it to a layout, and refuses whatever does not fit before the
 * first frame is looked at.
 */
import type { Detection } from '@edgeloop/protocol'
import { nearestName } from '@edgeloop/protocol/nearest'
import type { InputView } from '../cameras/camera.ts'
import {
  ModelError,
  type Runtime,
  type RuntimeSession,
  type SessionOptions,
  type Tensor,
  type TensorInfo,
} from '../runtimes/runtime.ts'
import { Candidates } from './candidates.ts'
import { type InputSpec, placeFrame, tensorWriter, toSourceBox } from './canvas.ts'
import type { Description } from './description.ts'
import { readDescription } from './description-file.ts'
import { inputSpecOf, shown } from './input-spec.ts'
import { checkedLabels, type Labels, readLabels } from './labels.ts'
import { layoutNamed, layouts } from './layouts/index.ts'
import type { Decoder, Layout, ModelShape, Outputs } from './layouts/layout.ts'
import type { DetectOptions, Model, ModelSource } from './model.ts'
import { suppress } from './nms.ts'

/**
 * Loads a model and runs it once on an empty canvas, so that its real shapes are known and the first
 * frame is as fast as the others.
 * @param session one thread unless measured otherwise
 * @throws {ModelError} saying which file, why, and what was expected
 */
export async function openModel(
  source: ModelSource,
  runtime: Runtime,
  session: SessionOptions = { threads: 1 },
): Promise<Model> {
  const description = await readDescription(source.file, source.description)
  const wish = source.layout ?? description.layout
  const named = wish === undefined ? undefined : layoutNamed(wish)
  await using stack = new AsyncDisposableStack()
  const opened = stack.use(await runtime.open(source.file, session))
  const layout = named ?? refuseWithoutLayout(source.file, opened, description)
  const bound = await bind(source.file, opened, layout, description)
  const labels = await labelsOf(source, description, layout, bound.decoder.classes)
  stack.move()
  return new OpenModel({ source, session: opened, layout, labels, ...bound })
}

/** What a session and a layout make together. */
type Bound = {
  readonly spec: InputSpec
  readonly decoder: Decoder
}

async function bind(
  file: string,
  session: RuntimeSession,
  layout: Layout,
  description: Description,
): Promise<Bound> {
  const what = `Cannot use model "${file}" with layout ${layout.name}`
  try {
    const spec = inputSpecOf(session.inputs, layout.preset, description.input)
    const results = await firstRun(session, spec)
    const outputs = session.outputs.map((info) => realShape(info, results))
    const shape = { ...spec, outputs, strides: description.strides }
    const decoder = layout.check(shape)
    if ('expected' in decoder) {
      const has = outputs.map(shown).join(', ')
      throw new Error(`expected ${decoder.expected}, it has ${has}${fittingHint(shape)}`)
    }
    const odd = outputs.find(({ type }) => type !== 'float32')
    if (odd) throw new Error(`its output "${odd.name}" is of type ${odd.type}, expected float32`)
    checkScores(decoder, results)
    return { spec, decoder }
  } catch (cause) {
    throw new ModelError(`${what}: ${(cause as Error).message}`, { cause })
  }
}

/** What the model makes of an empty canvas. */
function firstRun(session: RuntimeSession, spec: InputSpec): Promise<Outputs> {
  const canvas = new Uint8Array(spec.width * spec.height * 3).fill(spec.pad)
  return session.run(tensorFeeder(session, spec)(canvas))
}

/** An output with the shape it really has, where the file leaves some of it free. */
function realShape(info: TensorInfo, results: Outputs): TensorInfo {
  const result = results[info.name]
  return result ? { name: info.name, type: result.type, shape: result.shape } : info
}

/** A float's rounding above 1 is none of the model's faults. */
const scoreSlack = 1e-3

/** @throws {Error} when what should be scores is none: usually the last sigmoid was not exported */
function checkScores(decoder: Decoder, results: Outputs): void {
  decoder.scores(results, (score) => {
    if (score >= -scoreSlack && score <= 1 + scoreSlack) return
    const shown = Number.isFinite(score) ? score.toFixed(2) : score
    throw new Error(
      `its scores must lie within 0..1, it gave ${shown}; export it with the sigmoid at its end`,
    )
  })
}

/** Makes the function that gives the model's input tensor for a canvas; its buffer is reused. */
function tensorFeeder(
  session: RuntimeSession,
  spec: InputSpec,
): (canvas: Uint8Array) => Record<string, Tensor> {
  const { width, height, layout } = spec
  const name = session.inputs[0]?.name ?? ''
  const shape = layout === 'nchw' ? [1, 3, height, width] : [1, height, width, 3]
  if (spec.type === 'uint8' && layout === 'nhwc') {
    // The compiler folded everything into the graph: the canvas is the tensor.
    return (canvas) => ({ [name]: { type: 'uint8', shape, data: canvas } })
  }
  if (spec.type === 'uint8') {
    const write = tensorWriter({ ...spec, mean: [0, 0, 0], std: [1, 1, 1] })
    const data = new Uint8Array(width * height * 3)
    return (canvas) => {
      write(canvas, data)
      return { [name]: { type: 'uint8', shape, data } }
    }
  }
  const write = tensorWriter(spec)
  const data = new Float32Array(width * height * 3)
  return (canvas) => {
    write(canvas, data)
    return { [name]: { type: 'float32', shape, data } }
  }
}

function fittingLayouts(shape: ModelShape): string[] {
  const fitting = layouts.filter((layout) => !('expected' in layout.check(shape)))
  return fitting.map(({ name }) => name)
}

function fittingHint(shape: ModelShape): string {
  const fitting = fittingLayouts({ ...shape, strides: undefined })
  return fitting.length > 0 ? `; layout ${fitting.join(' or ')} fits it` : ''
}

function refuseWithoutLayout(
  file: string,
  session: RuntimeSession,
  description: Description,
): never {
  const names = layouts.map(({ name }) => name)
  let fitting: string[] = []
  try {
    // Which size the canvas has does not depend on the layout, so any preset will do.
    const spec = inputSpecOf(session.inputs, layouts[0]!.preset, description.input)
    fitting = fittingLayouts({ ...spec, outputs: session.outputs })
  } catch {
    // A model that no layout can feed gets the general answer.
  }
  const way =
    fitting.length > 0
      ? `--layout ${fitting.join(' or ')} fits it`
      : `--layout ${names.slice(0, -1).join(', ')} or ${names.at(-1)}`
  throw new ModelError(`Cannot use model "${file}": it does not say its layout; ${way}`)
}

async function labelsOf(
  source: ModelSource,
  description: Description,
  layout: Layout,
  classes: number,
): Promise<readonly string[]> {
  const labels = await givenLabels(source, description, layout)
  const what = `Cannot use model "${source.file}"`
  const has = `model has ${classes} ${classes === 1 ? 'class' : 'classes'}`
  if (!labels) {
    throw new ModelError(
      `${what}: ${has} and their labels were not given; add --labels FILE (one per line) or --labels coco`,
    )
  }
  if (labels.names.length !== classes) {
    throw new ModelError(`${what}: ${has}, ${labels.from} has ${labels.names.length}`)
  }
  return labels.names
}

async function givenLabels(
  source: ModelSource,
  description: Description,
  layout: Layout,
): Promise<Labels | undefined> {
  if (source.labels !== undefined) return readLabels(source.labels)
  if (typeof description.labels === 'string') return readLabels(description.labels)
  if (description.labels) {
    const from = `description of "${source.file}"`
    return { names: checkedLabels(description.labels, from), from: 'its description' }
  }
  return layout.labels ? { names: layout.labels, from: `layout ${layout.name}` } : undefined
}

/** Steps per unit that scores are rounded to. */
const scoreSteps = 1e4

class OpenModel implements Model {
  readonly name: string
  readonly digest: string
  readonly layout: string
  readonly labels: readonly string[]
  readonly runtime: string
  readonly input: InputSpec
  readonly inputBytes: number
  readonly #session: RuntimeSession
  readonly #decoder: Decoder
  readonly #feed: (canvas: Uint8Array) => Record<string, Tensor>
  readonly #candidates = new Candidates()
  /** Class indexes by the label lists they were asked with. */
  readonly #wanted = new WeakMap<readonly string[], ReadonlySet<number>>()
  #busy = false

  constructor(
    parts: Bound & {
      readonly source: ModelSource
      readonly session: RuntimeSession
      readonly layout: Layout
      readonly labels: readonly string[]
    },
  ) {
    this.name = parts.source.name
    this.digest = parts.session.digest
    this.layout = parts.layout.name
    this.labels = parts.labels
    this.runtime = parts.session.runtime
    this.inputBytes = parts.spec.width * parts.spec.height * 3
    this.#session = parts.session
    this.input = parts.spec
    this.#decoder = parts.decoder
    this.#feed = tensorFeeder(parts.session, parts.spec)
  }

  inputFor(sourceWidth: number, sourceHeight: number): InputView {
    return placeFrame(this.input, sourceWidth, sourceHeight)
  }

  async detect(canvas: Uint8Array, view: InputView, options: DetectOptions): Promise<Detection[]> {
    if (canvas.length !== this.inputBytes) {
      const wanted = `${this.input.width}×${this.input.height}×3 = ${this.inputBytes}`
      throw new RangeError(`Cannot detect: canvas has ${canvas.length} bytes, expected ${wanted}`)
    }
    if (this.#busy) throw new Error('Cannot detect: the model is busy with another canvas')
    this.#busy = true
    try {
      const classes = options.labels && this.#classesOf(options.labels)
      const outputs = await this.#session.run(this.#feed(canvas))
      this.#candidates.clear()
      this.#decoder.decode(outputs, options.scoreMin, this.#candidates)
      const kept = suppress(this.#candidates, {
        iouMax: options.nmsIou,
        keepMax: options.maxDetections,
        ...(classes && { classes }),
      })
      return kept.flatMap((index) => this.#detection(index, view) ?? [])
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
