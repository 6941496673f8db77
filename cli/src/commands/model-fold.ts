/** `edgeloop model fold`: what the agent does before and after a model, done by the model. */
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Description, Model } from '@edgeloop/edge-agent/detect'
import type { Graph, Pass } from '@edgeloop/model-compiler'
import { Command } from 'commander'
import { Failure, UsageFailure } from '../failure.ts'
import { integer, jsonOption, number } from '../options.ts'
import { bytes, printJson } from '../output.ts'

type Options = {
  layout?: string
  labels?: string
  description?: string
  channels?: string
  decode?: boolean
  detections?: boolean
  scoreMin: number
  nmsIou: number
  maxDetections: number
  out: string
  json?: boolean
}

/** Heads that are read in the graph, and the strides that their layouts have unless a description says others. */
const heads = {
  yolox: { head: 'yolox', strides: [8, 16, 32] },
  nanodet: { head: 'gfl', strides: [8, 16, 32] },
  picodet: { head: 'gfl', strides: [8, 16, 32, 64] },
} as const

export function foldCommand(): Command {
  return new Command('fold')
    .description('make a model take bytes of pictures, and give boxes or detections')
    .argument('<file>', 'ONNX model in float')
    .option('--layout <name>', 'input and output conventions, as for detect')
    .option('--labels <file>', 'file with one label per line, or coco')
    .option('--description <file>', 'model description; NAME.model.yaml beside the model is found')
    .option('--channels <order>', 'rgb or bgr: how the bytes will come (default: as they do now)')
    .option('--decode', 'read the head in the model too: boxes in pixels, as yolov8 gives them')
    .option('--detections', 'suppress in the model too: rows of box, score and class, best first')
    .option('--score-min <n>', 'lowest score of --detections', number(1e-6, 1), 0.25)
    .option('--nms-iou <n>', 'largest overlap of --detections', number(0, 1), 0.6)
    .option('--max-detections <n>', 'most of --detections', integer(1, 10_000), 100)
    .requiredOption('--out <file>', 'the new model, NAME.onnx; its description is put beside it')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop model fold nanodet_m_320.onnx --layout nanodet --labels coco --out bytes.onnx
  $ ./edgeloop model fold yolox_nano_416.onnx --layout yolox --labels coco --decode --out boxes.onnx

The result is a float model; it may be compiled like any other. The agent runs it from the description beside it, except with
--detections: such a model is for whoever has nothing but a runtime.`,
    )
    .action(fold)
}

async function fold(file: string, given: Options): Promise<void> {
  if (!given.out.endsWith('.onnx')) {
    throw new UsageFailure(`Cannot write "${given.out}"`, 'name a file that ends in .onnx')
  }
  const { openModel, ortRuntime, readDescription } = await import('@edgeloop/edge-agent/detect')
  const compiler = await import('@edgeloop/model-compiler')
  const { layout, labels, description: named } = given
  const source = {
    name: basename(file),
    file,
    ...(layout !== undefined && { layout }),
    ...(labels !== undefined && { labels }),
    ...(named !== undefined && { description: named }),
  }
  const description = await readDescription(file, named)
  await using model = await openModel(source, ortRuntime)
  const graph = new compiler.Graph(compiler.readModel(await readFile(file), { name: file }))
  compiler.dropInitializerInputs(graph)
  compiler.setInputShapes(graph, { [graph.requiredInputs[0]!.name]: shapeOf(model) })
  if (graph.opset < 11) compiler.upgradeOpset(graph, 13)
  const reads = given.decode || given.detections
  const passes = passesFor(compiler, model, description, given)
  for (const pass of passes) {
    compiler.inferTypes(graph)
    await pass.run(graph)
  }
  await compiler.optimize(graph)
  const made = compiler.writeModel(graph.toModel())
  const beside = given.out.replace(/\.onnx$/, '.model.json')
  if (given.detections) await put([[given.out, made]])
  else {
    const said = describe(model, description, orderOf(model, given), Boolean(reads))
    await put([
      [beside, `${JSON.stringify(said, null, 2)}\n`],
      [given.out, made],
    ])
    // What the agent would not open is no result.
    await (await openModel({ name: model.name, file: given.out }, ortRuntime))[
      Symbol.asyncDispose
    ]()
  }
  tell(graph, made.length, given)
}

function passesFor(
  compiler: typeof import('@edgeloop/model-compiler'),
  model: Model,
  description: Description,
  given: Options,
): readonly Pass[] {
  const { decode, detections, scoreMin, nmsIou: iouMax, maxDetections: keepMax } = given
  const passes: Pass[] = []
  if ((decode || detections) && model.layout !== 'yolov8') {
    const known = heads[model.layout as keyof typeof heads]
    if (known === undefined) {
      throw new Failure(
        `Cannot read the head of layout ${model.layout} in the model: ${Object.keys(heads).join(', ')} are known`,
      )
    }
    const strides = description.strides ?? known.strides
    passes.push(compiler.foldDecoding({ head: known.head, strides }))
  }
  if (detections) passes.push(compiler.foldSuppression({ scoreMin, iouMax, keepMax }))
  const { type, mean, std, channels, gray } = model.input
  if (gray) throw new Failure(`Cannot fold the input of "${model.name}": it takes gray pictures`)
  const reversed = orderOf(model, given) !== channels
  if (type === 'float32') passes.push(compiler.foldPreprocessing({ mean, std, reversed }))
  else if (reversed || passes.length === 0) {
    throw new Failure(
      `Cannot fold the input of "${model.name}": it takes bytes already, as ${channels}`,
      'add --decode or --detections for what comes after it',
    )
  }
  return passes
}

function orderOf(model: Model, { channels }: Options): 'rgb' | 'bgr' {
  if (channels === undefined) return model.input.channels
  if (channels === 'rgb' || channels === 'bgr') return channels
  throw new UsageFailure(`Cannot use --channels "${channels}"`, 'it is rgb or bgr')
}

function shapeOf({ input: { layout, width, height, gray } }: Model): number[] {
  const depth = gray ? 1 : 3
  return layout === 'nchw' ? [1, depth, height, width] : [1, height, width, depth]
}

/** What the agent has to know of the new model: all but what moved into it. */
function describe(
  model: Model,
  { strides }: Description,
  channels: 'rgb' | 'bgr',
  decoded: boolean,
): Description {
  const { fit, pad } = model.input
  return {
    layout: decoded ? 'yolov8' : model.layout,
    ...(model.labels.length > 0 && { labels: [...model.labels] }),
    // The schema's unions are made of lists, which its static type does not see through.
    input: { type: 'uint8', layout: 'nhwc', channels, fit, pad } as NonNullable<
      Description['input']
    >,
    ...(strides ? { strides } : decoded && { strides: stridesOf(model) }),
  }
}

const stridesOf = ({ layout }: Model): number[] => [
  ...(heads[layout as keyof typeof heads]?.strides ?? [8, 16, 32]),
]

/** Files that appear whole or not at all. */
async function put(files: readonly (readonly [string, string | Uint8Array])[]): Promise<void> {
  const drafts = files.map(([file]) => `${file}.${process.pid}.draft`)
  try {
    for (const [at, [, content]] of files.entries()) await writeFile(drafts[at]!, content)
    for (const [at, [file]] of files.entries()) await rename(drafts[at]!, file)
  } catch (cause) {
    const why = (cause as Error).message
    throw new Failure(`Cannot write "${files.at(-1)![0]}": ${why}`, undefined, { cause })
  } finally {
    for (const draft of drafts) await rm(draft, { force: true })
  }
}

function tell(graph: Graph, sizeBytes: number, { out, json }: Options): void {
  const port = ({ name }: { readonly name: string }) => ({
    name,
    shape: graph.typeOf(name)?.shape?.map((size) => size ?? null) ?? null,
  })
  const [inputs, outputs] = [graph.requiredInputs.map(port), graph.outputs.map(port)]
  if (json) {
    printJson({ file: out, sizeBytes, inputs, outputs })
    return
  }
  const shown = (ports: typeof inputs) =>
    ports
      .map(({ name, shape }) => `${name} [${shape?.map((size) => size ?? '?').join(', ') ?? '?'}]`)
      .join(', ')
  console.log(`${out} (${bytes(sizeBytes)}): bytes ${shown(inputs)} → ${shown(outputs)}`)
}
