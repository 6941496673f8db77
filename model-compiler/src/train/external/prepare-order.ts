/** Writes the folder that an external trainer works in. The samples of the test are not in it. */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Dataset, Split } from '../../datasets/dataset.ts'
import { writeFrozen } from '../../datasets/formats/frozen.ts'
import { datasetDigest } from '../../datasets/frozen-list.ts'
import { Graph } from '../../graph/graph.ts'
import type { ModelProto } from '../../onnx/schema.ts'
import { writeModel } from '../../onnx/write.ts'
import { inferTypes } from '../../shapes/infer-types.ts'
import type { CanvasSpec } from '../batches/canvas.ts'
import type { Recipe } from '../run/recipe.ts'
import { TrainError } from '../run/train-error.ts'
import {
  contractVersion,
  type ExternalLimits,
  type ExternalOrder,
  externalLimitsDefault,
  names,
  type TensorPort,
} from './contract.ts'

export type OrderParts = {
  readonly task: {
    readonly name: ExternalOrder['task']
    readonly model: ModelProto
    readonly labels: readonly string[]
    readonly canvas: CanvasSpec
  }
  readonly dataset: Dataset
  readonly split: Split
  readonly recipe: Recipe
  readonly seed: number
  readonly limits?: Partial<ExternalLimits>
}

/**
 * @param folder what it holds of an earlier order is replaced, but for `output`, which a paused trainer goes on from
 * @throws {TrainError} when the split leaves nothing to learn from, or a picture cannot be read
 */
export async function prepareOrder(
  parts: OrderParts,
  folder: string,
  signal?: AbortSignal,
): Promise<ExternalOrder> {
  const { task, dataset, split, recipe, seed } = parts
  const samples = dataset.samples.filter(({ digest }) => {
    const part = split.get(digest)
    return part === 'train' || part === 'validation'
  })
  if (!samples.some(({ digest }) => split.get(digest) === 'train')) {
    throw new TrainError('Cannot train: the split leaves no sample to learn from')
  }
  for (const name of [names.dataset, names.split, names.start, names.order]) {
    await rm(join(folder, name), { recursive: true, force: true })
  }
  await mkdir(join(folder, names.output), { recursive: true })
  const given = { ...dataset, samples, digest: datasetDigest(dataset.labels, samples) }
  await writeFrozen(given, join(folder, names.dataset), signal ? { signal } : {})
  const divided = Object.fromEntries(samples.map(({ digest }) => [digest, split.get(digest)]))
  await writeFile(join(folder, names.split), JSON.stringify(divided))
  await writeFile(join(folder, names.start), writeModel(task.model))
  const order: ExternalOrder = {
    contract: contractVersion,
    task: task.name,
    labels: task.labels,
    dataset: names.dataset,
    split: names.split,
    start: names.start,
    output: names.output,
    ...portsOf(task.model),
    canvas: task.canvas,
    recipe,
    seed,
    limits: { ...externalLimitsDefault, ...parts.limits },
  }
  // The order comes last: where it is, everything else is.
  await writeFile(join(folder, names.order), `${JSON.stringify(order, null, 2)}\n`)
  return order
}

/** What a model takes and gives; lengths that it leaves open, and the batch, are null. */
export function portsOf(model: ModelProto): {
  readonly inputs: readonly TensorPort[]
  readonly outputs: readonly TensorPort[]
} {
  const graph = new Graph(model)
  inferTypes(graph)
  const portOf = ({ name }: { readonly name: string }): TensorPort => ({
    name,
    shape: (graph.typeOf(name)?.shape ?? []).map((length, axis) =>
      axis > 0 && typeof length === 'number' ? length : null,
    ),
  })
  return { inputs: graph.requiredInputs.map(portOf), outputs: graph.outputs.map(portOf) }
}
