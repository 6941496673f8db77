/**
 * A task with a smaller, sparser or coarser model in the place of its own, trained on with whatever the recipe asks for:
 * channels taken out, weights held at zero, activations replaced, codes of int8 on the way forward, and a teacher beside it.
 * The run itself knows nothing of it.
 */
import { calibrate } from '../../calibrate/calibrate.ts'
import type { Range } from '../../calibrate/range.ts'
import type { SampleSource } from '../../calibrate/samples.ts'
import { withTrainedRanges } from '../../calibrate/trained-ranges.ts'
import type { Dataset } from '../../datasets/index.ts'
import { Graph } from '../../graph/graph.ts'
import { OnnxError } from '../../onnx/read.ts'
import type { ModelProto } from '../../onnx/schema.ts'
import { writeModel } from '../../onnx/write.ts'
import { upgradeOpset } from '../../opset/upgrade.ts'
import { int8Passes } from '../../passes/index.ts'
import { optimize } from '../../passes/optimize.ts'
import { removeDead } from '../../passes/remove-dead.ts'
import { opsetMin, quantize } from '../../quantize/quantize.ts'
import { openSession, type Session, type Value } from '../../runtime/session.ts'
import { inferTypes } from '../../shapes/infer-types.ts'
import { dropInitializerInputs } from '../../shapes/input-shapes.ts'
import { type TargetName, type TargetProfile, targets } from '../../targets/index.ts'
import { openBatches } from '../batches/batches.ts'
import type { Through } from '../differentiate/lowering.ts'
import { prepare } from '../differentiate/prepare.ts'
import { meanSquaredError } from '../losses/distance.ts'
import { softenedDivergence } from '../losses/distillation.ts'
import { TrainError } from '../run/train-error.ts'
import type { LossSettings, Task } from '../tasks/task.ts'
import { type Compression, compressionDefaults } from './compression.ts'
import { fakeQuantization } from './fake-quantization.ts'
import { pruneChannels, pruneWeights } from './prune.ts'
import { siluToHardSwish } from './replace-activations.ts'

export type CompressOptions = {
  readonly compression: Compression
  readonly dataset: Dataset
  /** Samples to learn from; the first of them calibrate. */
  readonly digests: readonly string[]
  /** Of a step. */
  readonly batch: number
  /** Whom the student is to follow (default: the model as the task has it, before it is compressed). */
  readonly teacher?: ModelProto
  /** Of the runtime, for the teacher. */
  readonly threads: number
  /** Told in words what was changed. */
  readonly tell?: (text: string) => void
  readonly signal?: AbortSignal
}

/** Pictures that ranges are taken from. */
const calibrationMax = 256

/**
 * The task with its model compressed. To be closed when the run is over.
 * @throws {TrainError | OnnxError} when the model has nothing of what is to be changed, or the teacher does not fit
 */
export async function compressedTask(
  task: Task,
  options: CompressOptions,
): Promise<Task & AsyncDisposable> {
  const { compression, tell = () => {} } = options
  const throughs: Through[] = []
  let model = task.model
  if (compression.activations === 'hard-swish') {
    const changed = siluToHardSwish(model)
    model = changed.model
    tell(`${changed.replaced} SiLU became HardSwish`)
  }
  if (compression.pruneChannels > 0) {
    const pruned = pruneChannels(model, { share: compression.pruneChannels })
    model = pruned.model
    tell(`${pruned.removed} of ${pruned.of} channels between convolutions were taken out`)
  }
  if (compression.pruneWeights > 0) {
    const pruned = pruneWeights(model, { share: compression.pruneWeights })
    model = pruned.model
    throughs.push(masked(pruned.masks))
    tell(`${pruned.removed} of ${pruned.of} weights are held at zero`)
  }
  let coded:
    | { readonly ranges: ReadonlyMap<string, Range>; readonly target: TargetProfile }
    | undefined
  if (compression.quantize) {
    const target = targetNamed(compression.target)
    model = await foldedFor(model, task.cut ?? [])
    const ranges = await calibrate(model, calibrationSamples(task, model, options), {
      method: 'mse',
      ...(options.signal && { signal: options.signal }),
    })
    throughs.push(fakeQuantization(model, ranges, { target }))
    coded = { ranges, target }
    tell(`${ranges.size} values are rounded as ${target.name} rounds them`)
  }
  const teacher = compression.distill > 0 ? await openTeacher(task, options) : undefined
  const compressed: Task = {
    ...task,
    model,
    defaults: compressionDefaults(task.defaults, compression),
    ...(throughs.length > 0 && { through: inTurn(throughs) }),
    ...(coded && {
      // What counts is what the boxes will compute.
      evaluate: (made, digests, evaluation) =>
        task.evaluate(quantize(made, coded.ranges, { target: coded.target }), digests, evaluation),
      finish: (made) => withTrainedRanges(task.finish?.(made) ?? made, coded.ranges),
    }),
    // What the figures are to be held against: the model before anything was changed.
    before: (digests, evaluation) => task.evaluate(task.model, digests, evaluation),
  }
  const [student, close] = teacher
    ? [distilled(compressed, teacher, compression), () => teacher.session[Symbol.asyncDispose]()]
    : [compressed, async () => {}]
  return { ...student, [Symbol.asyncDispose]: close }
}

const inTurn =
  (throughs: readonly Through[]): Through =>
  (tape, name, value) =>
    throughs.reduce((now, through) => through(tape, name, now), value)

/** Weights that were pruned stay zero, and no gradient reaches them. */
const masked =
  (masks: ReadonlyMap<string, Uint8Array>): Through =>
  (tape, name, value) => {
    const mask = masks.get(name)
    return mask ? tape.mul(value, tape.constant(value.shape, Float32Array.from(mask))) : value
  }

function targetNamed(name: string): TargetProfile {
  const target = Object.hasOwn(targets, name) ? targets[name as TargetName] : undefined
  if (target) return target
  throw new TrainError(
    `Cannot train for int8 on "${name}": there is no such target`,
    `targets are ${Object.keys(targets).join(', ')}`,
  )
}

/** BatchNorm folded and everything in the form that the compiler quantizes; the batch stays free. */
async function foldedFor(model: ModelProto, cut: readonly string[]): Promise<ModelProto> {
  const graph = new Graph(model)
  dropInitializerInputs(graph)
  if (graph.opset < opsetMin) upgradeOpset(graph, opsetMin)
  inferTypes(graph)
  // The loss is put on by name; as outputs these values keep theirs.
  const added = cut.filter((name) => !graph.isOutput(name))
  for (const name of added) graph.addOutput(name)
  await optimize(graph, { passes: int8Passes })
  for (const name of added) graph.removeOutput(name)
  removeDead.run(graph)
  return graph.toModel()
}

/** The first pictures to learn from, as the model is fed them, unaltered. */
function calibrationSamples(
  task: Task,
  model: ModelProto,
  { dataset, digests, signal }: CompressOptions,
): SampleSource {
  const used = digests.slice(0, calibrationMax)
  const inputs = new Set(new Graph(model).requiredInputs.map(({ name }) => name))
  return {
    count: used.length,
    async *read() {
      await using batches = openBatches({
        // One at a time, as a model that was exported for one picture takes them.
        dataset,
        digests: used,
        batch: 1,
        canvas: task.canvas,
        seed: 0,
        order: 'listed',
        ...(task.maskLabels && { maskLabels: task.maskLabels }),
        ...(signal && { signal }),
      })
      for (let step = 0; step < batches.stepsPerEpoch; step++) {
        const feeds = await task.feeds(await batches.batch(step), plainSettings)
        yield Object.fromEntries(Object.entries(feeds).filter(([name]) => inputs.has(name)))
      }
    },
  }
}

/** Only the pictures of these feeds are looked at. */
const plainSettings: LossSettings = {
  batch: 1,
  labelSmoothing: 0,
  classWeights: 'none',
  focalGamma: 0,
}

type Teacher = {
  readonly session: Session
  readonly inputs: readonly string[]
  /** Values of the student with what the teacher calls them. */
  readonly outputs: ReadonlyMap<string, string>
}

async function openTeacher(
  task: Task,
  { teacher, threads, batch }: CompressOptions,
): Promise<Teacher> {
  const graph = new Graph(teacher ?? task.model)
  dropInitializerInputs(graph)
  const wanted = task.cut ?? new Graph(task.model).outputs.map(({ name }) => name)
  const own = graph.outputs.map(({ name }) => name)
  const made = new Set(graph.nodes.flatMap(({ output }) => output))
  const names = wanted.map((name, at) => {
    if (made.has(name)) return name
    // Another net calls its values otherwise: then its outputs stand for the student's.
    const other = own.length === wanted.length ? own[at] : undefined
    if (other !== undefined) return other
    throw new TrainError(
      `Cannot learn from the teacher: it has no value "${name}", and ${own.length} outputs for ${wanted.length}`,
    )
  })
  // A file that was exported for one picture answers for a batch, as the student's does.
  const whole = prepare(teacher ?? task.model, {
    batch,
    cut: names,
    ...(task.inputShapes && { inputShapes: task.inputShapes(batch) }),
  })
  const session = await openSession(writeModel(whole.toModel()), { threads })
  const inputs = session.inputs.map(({ name }) => name)
  const studentInputs = new Graph(task.model).requiredInputs.map(({ name }) => name)
  const strange = inputs.find((name) => !studentInputs.includes(name))
  if (strange !== undefined) {
    await session[Symbol.asyncDispose]()
    throw new TrainError(
      `Cannot learn from the teacher: it wants an input "${strange}", the student has ${studentInputs.join(', ')}`,
    )
  }
  return { session, inputs, outputs: new Map(wanted.map((name, at) => [name, names[at]!])) }
}

const fedName = (value: string) => `teacher/${value}`

/** The task whose loss is shared between what people said and what the teacher says. */
function distilled(task: Task, teacher: Teacher, { distill, temperature }: Compression): Task {
  return {
    ...task,
    loss(tape, outputs, settings) {
      const hard = task.loss(tape, outputs, settings)
      const parts = Object.entries(outputs).map(([name, said]) => {
        const wanted = tape.input(fedName(name), 'float32', said.shape)
        if (task.name === 'classification' && said.shape.length === 2) {
          return softenedDivergence(tape, said, wanted, temperature)
        }
        // In shares of what the teacher says, so that heads of any scale count alike.
        const size = tape.add(tape.reduceMean(tape.mul(wanted, wanted)), 1e-6)
        return tape.div(meanSquaredError(tape, said, wanted), size)
      })
      const soft = parts.reduce((sum, part) => tape.add(sum, part))
      const total = tape.add(tape.mul(hard.total, 1 - distill), tape.mul(soft, distill))
      return { total, terms: { ...hard.terms, teacher: soft } }
    },
    async feeds(batch, settings) {
      const feeds = await task.feeds(batch, settings)
      const given = Object.fromEntries(teacher.inputs.map((name) => [name, feeds[name]!]))
      const said = await teacher.session.run(given)
      const wanted = [...teacher.outputs].map(([name, own]): [string, Value] => {
        const value = said[own]
        if (value?.type !== 'float32') throw new OnnxError(`The teacher gave no "${own}"`)
        return [fedName(name), value]
      })
      return { ...feeds, ...Object.fromEntries(wanted) }
    },
  }
}
