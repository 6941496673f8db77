/**
 * Where only the last layers learn and pictures are shown as they are, what comes before says the same of a picture each
 * time. It is asked once; the run then learns from what it said, which takes seconds where the whole net would take
 * minutes.
 */
import type { Dataset, Sample } from '../../datasets/index.ts'
import type { Graph } from '../../graph/graph.ts'
import { staticShape } from '../../graph/value-type.ts'
import type { ModelProto } from '../../onnx/schema.ts'
import { removeDead } from '../../passes/remove-dead.ts'
import { inferTypes } from '../../shapes/infer-types.ts'
import { setInputShapes } from '../../shapes/input-shapes.ts'
import { noAugmentation } from '../batches/augmentation.ts'
import type { Batches } from '../batches/batches.ts'
import { shuffledPlaces } from '../batches/draws.ts'
import { compresses } from '../compress/compression.ts'
import { prepareConstants } from '../differentiate/prepare.ts'
import { sizeOf } from '../tape/sym.ts'
import { plainAnswers } from '../tasks/plain-answers.ts'
import type { Task } from '../tasks/task.ts'
import type { Recipe } from './recipe.ts'

export type FrozenPart = {
  /** What is asked once: its output is the value that the rest reads. */
  readonly before: ModelProto
  /** The rest, as a task of its own. */
  readonly task: Task
  /** Numbers that the frozen part says of a picture. */
  readonly elements: number
}

/** More than this is not kept in memory. */
const featureBytesMax = 512 * 1024 ** 2

/**
 * Divides a task where nothing before a value learns.
 * @param trainable which parameters of the task's model move
 * @param samples to learn from
 * @returns undefined where nothing would be gained, or several values cross the border
 */
export function frozenPartOf(
  task: Task,
  recipe: Recipe,
  trainable: (parameter: string) => boolean,
  samples: number,
): FrozenPart | undefined {
  const isPlain = JSON.stringify(recipe.augment) === JSON.stringify(noAugmentation)
  if (recipe.trainable === 'all' || !isPlain || recipe.replayShare > 0 || task.maskLabels) {
    return undefined
  }
  // A teacher wants the pictures, and codes are made of the whole.
  if (compresses(recipe.compress)) return undefined
  const value = borderOf(graphOf(task), trainable, task.cut)
  const shape = value === undefined ? undefined : staticShape(graphOf(task).typeOf(value))
  if (value === undefined || shape === undefined) return undefined
  const elements = sizeOf(shape)
  if (elements * samples * 4 > featureBytesMax) return undefined
  // A model that was written for one picture has it in its reshapes as well, and stays so.
  const free = isBatchFree(task.model)
  const rest = partAfter(graphOf(task), value, free)
  return {
    before: partBefore(graphOf(task), value, free),
    elements,
    task: {
      ...task,
      model: rest,
      inputShapes: (batch) => ({ [value]: [batch, ...shape.slice(1)] }),
      async feeds(batch, settings) {
        const features = { type: 'float32', data: batch.images } as const
        const fed = Object.entries(await task.feeds(batch, settings))
        const targets = fed.filter(([, { data }]) => data !== batch.images)
        return {
          ...Object.fromEntries(targets),
          [value]: { ...features, dims: [settings.batch, ...shape.slice(1)] },
        }
      },
    },
  }
}

/** With shapes for one picture. */
function graphOf(task: Task): Graph {
  const graph = prepareConstants(task.model, task.cut)
  const input = graph.requiredInputs[0]!.name
  const { channels, height, width } = task.canvas
  setInputShapes(graph, { [input]: [1, channels, height, width] })
  inferTypes(graph)
  return graph
}

/** The one value of pictures that is read where something learns, or behind it. */
function borderOf(
  graph: Graph,
  trainable: (parameter: string) => boolean,
  cut: readonly string[] | undefined,
): string | undefined {
  graph.sort()
  const ends = cut ?? graph.outputs.map(({ name }) => name)
  const moving = new Set<string>()
  const learned = new Set([...graph.initializers.keys()].filter(trainable))
  const border = new Set<string>()
  for (const node of graph.nodes) {
    if (!node.input.some((name) => moving.has(name) || learned.has(name))) continue
    for (const name of node.output) moving.add(name)
    for (const name of node.input) {
      if (name === '' || moving.has(name) || graph.constantOf(name)) continue
      border.add(name)
    }
  }
  const [value, second] = border
  const isAtInput = value !== undefined && graph.isInput(value)
  if (second !== undefined || isAtInput || !ends.every((name) => moving.has(name))) return undefined
  return value
}

function isBatchFree(model: ModelProto): boolean {
  const graph = prepareConstants(model)
  const batch = graph.typeOf(graph.requiredInputs[0]!.name)?.shape?.[0]
  return typeof batch !== 'number' || batch < 1
}

function partBefore(graph: Graph, value: string, free: boolean): ModelProto {
  for (const { name } of [...graph.outputs]) graph.removeOutput(name)
  graph.addOutput(value)
  removeDead.run(graph)
  if (free) freeBatch(graph)
  return graph.toModel()
}

function partAfter(graph: Graph, value: string, free: boolean): ModelProto {
  const type = graph.typeOf(value)!
  graph.remove(graph.producerOf(value)!)
  graph.addInput(value, type)
  removeDead.run(graph)
  for (const { name } of [...graph.requiredInputs]) if (name !== value) graph.removeInput(name)
  if (free) freeBatch(graph)
  return graph.toModel()
}

/** What was looked at for one picture takes any number of them again. */
function freeBatch(graph: Graph): void {
  for (const { name } of [...graph.requiredInputs, ...graph.outputs]) {
    const type = graph.typeOf(name)!
    graph.setInterface(name, { ...type, shape: ['N', ...(type.shape?.slice(1) ?? [])] })
  }
}

/**
 * Asks the frozen part about each sample, and deals what it said in batches: those of a step follow from seed and step, as
 * those of pictures do.
 */
export async function openFeatureBatches(
  part: FrozenPart,
  options: {
    readonly dataset: Dataset
    readonly digests: readonly string[]
    readonly batch: number
    readonly seed: number
    readonly threads: number
    readonly signal?: AbortSignal
  },
): Promise<Batches> {
  const { dataset, digests, batch, seed, threads, signal } = options
  const { elements } = part
  const count = digests.length
  const features = new Float32Array(count * elements)
  const { canvas } = part.task
  await plainAnswers(
    part.before,
    { dataset, digests, canvas, threads, ...(signal && { signal }) },
    ({ outputs, place, count: pictures }) => {
      const said = outputs[0]!.data as Float32Array
      features.set(said.subarray(0, pictures * elements), place * elements)
    },
  )
  const byDigest = new Map(dataset.samples.map((sample) => [sample.digest, sample]))
  const samples = digests.map((digest): Sample => byDigest.get(digest)!)
  const images = new Float32Array(batch * elements)
  let order: { readonly epoch: number; readonly places: Uint32Array } = {
    epoch: -1,
    places: new Uint32Array(0),
  }
  const placeOf = (index: number): number => {
    const epoch = Math.floor(index / count)
    if (epoch !== order.epoch) order = { epoch, places: shuffledPlaces(count, seed, epoch) }
    return order.places[index % count]!
  }
  return {
    samples: count,
    stepsPerEpoch: Math.ceil(count / batch),
    workers: 0,
    async batch(step) {
      const drawn = Array.from({ length: batch }, (_, at) => placeOf(step * batch + at))
      for (const [at, place] of drawn.entries()) {
        images.set(features.subarray(place * elements, (place + 1) * elements), at * elements)
      }
      return {
        images,
        annotations: drawn.map((place) => samples[place]!.annotations),
        mixed: drawn.map(() => undefined),
        samples: drawn.map((place) => samples[place]!),
        count: batch,
        waitedMs: 0,
      }
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}
