/** What a model says of samples, run as anybody would run it: its own file, pictures as they are. */
import type { Dataset } from '../../datasets/index.ts'
import { Graph } from '../../graph/graph.ts'
import type { ModelProto } from '../../onnx/schema.ts'
import { writeModel } from '../../onnx/write.ts'
import { openSession, type Value } from '../../runtime/session.ts'
import { type Batch, openBatches } from '../batches/batches.ts'
import type { CanvasSpec } from '../batches/canvas.ts'

export type PlainAnswer = {
  /** In the order of the model's outputs; of a whole batch, of which the first `count` count. */
  readonly outputs: readonly Value[]
  readonly batch: Batch
  /** Of the first sample, among all. */
  readonly place: number
  readonly count: number
}

export type AnswerOptions = {
  readonly dataset: Dataset
  readonly digests: readonly string[]
  readonly canvas: CanvasSpec
  readonly maskLabels?: readonly string[]
  readonly threads: number
  readonly onSample?: (done: number, total: number) => void
  readonly signal?: AbortSignal
}

/** Enough that calls do not count, few enough that memory does not. */
const pixelsOfBatch = 64 * 96 * 96
const batchMax = 256

/** Runs a model on each of the samples, in their order. */
export async function plainAnswers(
  model: ModelProto,
  options: AnswerOptions,
  take: (answer: PlainAnswer) => void,
): Promise<void> {
  const { dataset, digests, canvas, maskLabels, threads, onSample, signal } = options
  if (digests.length === 0) return
  const { name, fixedBatch } = inputOf(model)
  const fitting = Math.floor(pixelsOfBatch / (canvas.width * canvas.height))
  const size = Math.max(1, Math.min(batchMax, fitting, digests.length))
  // A model of one fixed batch is asked for so many at a time.
  const batchSize = fixedBatch ?? size
  await using session = await openSession(writeModel(model), { threads })
  await using batches = openBatches({
    dataset,
    digests,
    canvas,
    batch: batchSize,
    order: 'listed',
    seed: 0,
    ...(maskLabels && { maskLabels }),
    ...(signal && { signal }),
  })
  const dims = [batchSize, canvas.channels, canvas.height, canvas.width]
  for (let step = 0; step < batches.stepsPerEpoch; step += 1) {
    const batch = await batches.batch(step)
    const feeds = { [name]: { type: 'float32', dims, data: batch.images } } as const
    const results = await session.run(feeds)
    const outputs = session.outputs.map(({ name: output }) => results[output]!)
    take({ outputs, batch, place: step * batchSize, count: batch.count })
    onSample?.(Math.min(digests.length, (step + 1) * batchSize), digests.length)
  }
}

/** The one input, and its batch where that is fixed. */
function inputOf(model: ModelProto) {
  const graph = new Graph(model)
  const { name } = graph.requiredInputs[0]!
  const batch = graph.typeOf(name)?.shape?.[0]
  return { name, fixedBatch: typeof batch === 'number' && batch > 0 ? batch : undefined }
}
