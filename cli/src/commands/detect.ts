/** `edgeloop detect`: a model on images, a clip or a camera, without hub or agent. */
import { once } from 'node:events'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import type { ModelSource } from '@edgeloop/edge-agent'
import type { Reading } from '@edgeloop/edge-agent/detect'
import { Command } from 'commander'
import { Failure, UsageFailure } from '../failure.ts'
import { dataOption, gather, integer, jsonOption, number } from '../options.ts'
import { formatTable, plain, printJson } from '../output.ts'
import { stopSignal } from '../stopping.ts'

type Options = {
  model: string
  layout?: string
  labels?: string
  description?: string
  images?: string[]
  camera?: string
  scoreMin: number
  nmsIou: number
  maxDetections: number
  label?: string[]
  everyFrame?: boolean
  analysisFps?: number
  decoder: 'auto' | 'node-av' | 'ffmpeg'
  runtime: string
  runtimes?: boolean
  data: string
  json?: boolean
}

type Answer = Reading & {
  readonly source: string
  readonly frame?: number
  readonly at?: string
}

export function detectCommand(): Command {
  return new Command('detect')
    .description('run a model on images, a clip or a camera')
    .requiredOption(
      '--model <file>',
      'ONNX model: a detector, classifier, segmentation or embedding',
    )
    .option(
      '--layout <name>',
      'input and output conventions: yolox, yolov8, nanodet, picodet, fastestdet, ultraface, classifier, segmentation, embedding',
    )
    .option('--labels <file>', 'file with one label per line, or coco')
    .option(
      '--description <file>',
      'model description (YAML or JSON); NAME.model.yaml beside the model is found',
    )
    .option('--images <path...>', 'images, or folders of images')
    .option('--camera <source>', 'rtsp://…, http://… (MJPEG or JPEG), or a clip')
    .option('--score-min <n>', 'leave out detections below this score', number(0, 1), 0.3)
    .option(
      '--nms-iou <n>',
      'of two boxes of one label that overlap more than this, the better stays',
      number(0, 1),
      0.6,
    )
    .option('--max-detections <n>', 'most detections per image', integer(1, 300), 100)
    .option('--label <label>', 'only this label; may be repeated', gather)
    .option('--every-frame', 'analyse every frame of the camera')
    .option(
      '--analysis-fps <n>',
      'frames per second of the camera to analyse (default: 5)',
      number(0.01, 240),
    )
    .option('--decoder <name>', 'auto, node-av or ffmpeg', 'auto')
    .option(
      '--runtime <name>',
      'auto (the fastest that was measured, else ort:cpu), ort:PROVIDER, or oip:URL of an inference server',
      'auto',
    )
    .option('--runtimes', 'measure what can run the model on this box, and detect nothing')
    .addOption(dataOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop detect --model yolox_nano_416.onnx --layout yolox --labels coco --images photos/ --json
  $ ./edgeloop detect --model ultraface_rfb_320.onnx --layout ultraface --camera door.mp4 --every-frame
  $ ./edgeloop detect --model yolox.onnx --images photos/ --runtime oip:http://127.0.0.1:8000/yolox
  $ ./edgeloop detect --model yolox.onnx --runtimes
  $ ./edgeloop detect --model deeplab.onnx --layout segmentation --labels voc.txt --images photos/

Boxes are left, top, width, height as shares (0..1) of the image.`,
    )
    .action(detect)
}

async function detect(given: Options): Promise<void> {
  if (given.runtimes) return await measureRuntimes(given)
  if ((given.images === undefined) === (given.camera === undefined)) {
    throw new UsageFailure(
      'Cannot detect: give either --images or --camera',
      'for example --images photos/',
    )
  }
  const cameraOnly = (['everyFrame', 'analysisFps'] as const).find(
    (key) => given[key] !== undefined,
  )
  if (given.images && cameraOnly) {
    const flag = cameraOnly === 'everyFrame' ? '--every-frame' : '--analysis-fps'
    throw new UsageFailure(`Cannot use ${flag} with --images: it is about a camera`, 'leave it out')
  }
  const signal = stopSignal()
  const door = await import('@edgeloop/edge-agent/detect')
  // Measuring costs seconds, and what is measured here the next detection finds.
  const { source } = await door.settleRuntime(sourceOf(given), {
    ...settleOptions(given, signal),
    mode: 'known',
  })
  await using model = await door.openModel(source, door.chooseRuntime(source.runtime), {
    threads: 1,
    signal,
  })
  const options = {
    scoreMin: given.scoreMin,
    nmsIou: given.nmsIou,
    maxDetections: given.maxDetections,
    ...(given.label && { labels: given.label }),
  }
  const answers: AsyncIterable<Answer> = given.images
    ? door.detectImages({ model, images: given.images, options }, signal)
    : door.detectCamera(
        {
          open: (settings) => door.openCamera({ ...settings, decoder: given.decoder }),
          model,
          source: given.camera ?? '',
          everyFrame: given.everyFrame ?? false,
          ...(given.analysisFps !== undefined && { analysisFps: given.analysisFps }),
          options,
        },
        signal,
      )
  try {
    await print(answers, given.json ?? false)
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

function sourceOf({ model: file, layout, labels, description, runtime }: Options): ModelSource {
  return {
    name: file,
    file,
    runtime,
    ...(layout !== undefined && { layout }),
    ...(labels !== undefined && { labels }),
    ...(description !== undefined && { description }),
  }
}

function settleOptions({ data }: Options, signal: AbortSignal) {
  const log = { info: () => {}, warn: (text: string) => process.stderr.write(`${text}\n`) }
  return { cacheFolder: join(data, 'cache'), log, now: Date.now, signal }
}

/** Prints how fast each runtime executes the model; an agent with the same --data uses the figures. */
async function measureRuntimes(given: Options): Promise<void> {
  if (given.runtime !== 'auto') {
    throw new UsageFailure('Cannot use --runtime with --runtimes: all are measured', 'leave it out')
  }
  const signal = stopSignal()
  const door = await import('@edgeloop/edge-agent/detect')
  const { source, measured } = await door.settleRuntime(sourceOf(given), {
    ...settleOptions(given, signal),
    mode: 'again',
  })
  if (signal.aborted) return
  if (!measured) throw new Failure(`Cannot measure runtimes of "${given.model}"`)
  const rows = measured.runtimes.map((row) => ({ ...row, chosen: row.runtime === source.runtime }))
  if (given.json) {
    for (const row of rows) printJson(row)
    return
  }
  console.log(
    formatTable(rows, [
      { title: 'RUNTIME', of: ({ runtime }) => runtime },
      { title: 'MEDIAN', of: ({ medianMs }) => millisecondsText(medianMs), right: true },
      { title: 'PLACED', of: ({ placedShare }) => shareText(placedShare), right: true },
      { title: '', of: ({ chosen, reason }) => (chosen ? 'chosen' : (reason ?? '')) },
    ]),
  )
}

const millisecondsText = (value?: number): string =>
  value === undefined ? '' : `${value.toFixed(1)} ms`
const shareText = (value?: number): string =>
  value === undefined ? '' : `${Math.round(value * 100)} %`

/** Prints answer by answer, never faster than the reader takes them. */
async function print(answers: AsyncIterable<Answer>, json: boolean): Promise<void> {
  let count = 0
  const begin = performance.now()
  for await (const answer of answers) {
    count += 1
    await write(json ? JSON.stringify(answer) : describe(answer))
  }
  if (count === 0) throw new Failure('Cannot detect: the source held no frames')
  const seconds = (performance.now() - begin) / 1000
  if (process.stderr.isTTY) {
    process.stderr.write(
      `${count} in ${seconds.toFixed(1)} s, ${(count / seconds).toFixed(1)} per second\n`,
    )
  }
}

function describe({ source, frame, at, ...reading }: Answer): string {
  const head = frame === undefined ? source : `${frame}  ${at}`
  const found = wordsOf(reading)
  return plain(`${head}  ${found.length === 0 ? '–' : found.join('  ')}`)
}

/** Numbers of a vector that a line shows. */
const embeddingShown = 4

function wordsOf({ detections = [], classes = [], areas = [], embedding }: Reading): string[] {
  const boxes = detections.map(
    ({ label, score, box }) =>
      `${label} ${score.toFixed(2)} [${box.map((v) => v.toFixed(3)).join(' ')}]`,
  )
  const named = classes.map(({ label, score }) => `${label} ${score.toFixed(2)}`)
  const parts = areas.map(({ label, share, polygons }) => {
    const outlines = `${polygons.length} outline${polygons.length === 1 ? '' : 's'}`
    return `${label} ${(share * 100).toFixed(1)} % (${outlines})`
  })
  const vector = embedding?.slice(0, embeddingShown).map((value) => value.toFixed(3))
  const direction = vector ? [`${embedding?.length} numbers [${vector.join(' ')} …]`] : []
  return [...boxes, ...named, ...parts, ...direction]
}

async function write(line: string): Promise<void> {
  const out: Writable = process.stdout
  if (!out.write(`${line}\n`)) await once(out, 'drain')
}
