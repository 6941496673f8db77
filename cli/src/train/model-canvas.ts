/** How the agent would feed a model, in the words of training: pictures are the same to both. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { openModel, ortRuntime, readDescription } from '@edgeloop/edge-agent/detect'
import { Graph, type ModelProto } from '@edgeloop/model-compiler'
import { type CanvasSpec, recognizeHead, type TrainOrder } from '@edgeloop/model-compiler/train'
import { Failure } from '../failure.ts'

export type ModelCanvas = {
  readonly canvas: CanvasSpec
  /** The model's own; none where nobody says them. */
  readonly labels: readonly string[]
}

/**
 * @throws {ModelError} when the agent would not open the model
 * @throws {Failure} when it is fed in a way that cannot be trained
 */
export async function canvasOf(order: TrainOrder, proto: ModelProto): Promise<ModelCanvas> {
  const { model: file, layout } = order
  const described = await readDescription(file)
  const wanted = layout ?? described.layout
  const classes = missingLabels(proto, wanted, described.labels)
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-train-'))
  await using _ = { [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) }
  const description = join(folder, 'described.model.json')
  await writeFile(
    description,
    JSON.stringify({ ...described, ...(classes && { labels: classes }) }),
  )
  await using model = await openModel(
    {
      name: basename(file),
      file: resolve(file),
      description,
      ...(layout !== undefined && { layout }),
    },
    ortRuntime,
  )
  const { input } = model
  if (input.layout !== 'nchw') {
    throw new Failure(
      `Cannot train "${file}": its input is ${input.layout}, pictures come channel by channel (nchw)`,
    )
  }
  if (input.type !== 'float32') {
    throw new Failure(
      `Cannot train "${file}": its input is ${input.type}`,
      'train the float model, and compile what comes out',
    )
  }
  const of = (values: readonly number[]) => (input.gray ? values.slice(0, 1) : [...values])
  return {
    canvas: {
      width: input.width,
      height: input.height,
      channels: input.gray ? 1 : 3,
      fit: input.fit,
      order: input.channels,
      pad: input.pad,
      mean: of(input.mean),
      std: of(input.std),
    },
    labels: classes ? [] : model.labels,
  }
}

/** The agent opens a model only with as many labels as it has classes; what they are called does not matter here. */
function missingLabels(
  proto: ModelProto,
  layout: string | undefined,
  labels: unknown,
): readonly string[] | undefined {
  if (labels !== undefined || layout === 'embedding') return undefined
  const graph = new Graph(proto)
  const classes =
    layout === 'classifier' || layout === 'segmentation'
      ? graph.typeOf(graph.outputs[0]?.name ?? '')?.shape?.[1]
      : recognizeHead(proto).classes
  if (typeof classes !== 'number') return undefined
  return Array.from({ length: classes }, (_, at) => `class ${at}`)
}
