/**
 * What the compiler makes of every model of the material: speed, size and accuracy of each candidate beside the float
 * original, and beside what ONNX Runtime's own quantizer made of the same file. Each compilation is the one that
 * `./edgeloop model compile` runs, in its own process. Needs ../shared/material.
 */
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import {
  type CompileReport,
  openOutputFolder,
  ownTarget,
  runInChild,
} from '@edgeloop/model-compiler/compile'
import sharp from 'sharp'
import { compileProcess } from '../../cli/src/commands/model-compile.ts'
import type { Compiled, CompileOrder, OrderProgress } from '../../cli/src/model/compile-order.ts'
import { doing } from '../../cli/src/model/tell-progress.ts'
import { material, needs } from '../require.ts'
import type { BenchResult } from './bench.ts'

/** Images that calibrate; the rest of the set evaluates. */
const calibrateCount = 20

type Subject = {
  readonly model: string
  readonly layout: string
  readonly labels?: string
  /** What images are taken: with boxes, without labels, or digits by class. */
  readonly images: 'coco128' | 'photographs' | 'digits'
  readonly description?: string
}

const voc =
  'background aeroplane bicycle bird boat bottle bus car cat chair cow table dog horse motorbike person plant sheep sofa train monitor'
const subjects: readonly Subject[] = [
  { model: 'nanodet_m_320', layout: 'nanodet', labels: 'coco', images: 'coco128' },
  { model: 'fastestdet_352', layout: 'fastestdet', labels: 'coco', images: 'coco128' },
  { model: 'yolox_nano_416', layout: 'yolox', labels: 'coco', images: 'coco128' },
  { model: 'light_person_detector_192', layout: 'yolox', labels: 'person', images: 'coco128' },
  { model: 'ultraface_rfb_320', layout: 'ultraface', images: 'photographs' },
  { model: 'ultraface_slim_320', layout: 'ultraface', images: 'photographs' },
  { model: 'deeplab_v3_mnv2_257', layout: 'segmentation', labels: voc, images: 'photographs' },
  { model: 'person_reid_retail_0288', layout: 'embedding', images: 'photographs' },
  {
    model: 'mnist-8_cntk',
    layout: 'classifier',
    labels: '0 1 2 3 4 5 6 7 8 9',
    images: 'digits',
    description: 'input: {mean: 0, std: 1}',
  },
]

/** What `npm run bench -- compile` measures; see the head of the file. */
export async function bench(options: {
  args: string[]
  signal: AbortSignal
}): Promise<BenchResult> {
  const { values } = parseArgs({
    args: options.args,
    options: {
      models: { type: 'string', default: subjects.map(({ model }) => model).join(',') },
      seconds: { type: 'string', default: '3' },
      'max-drop': { type: 'string', default: '0.01' },
    },
  })
  const { skip } = needs('material')
  if (skip) throw new Error(`Cannot run the compile bench: ${skip}`)
  const wanted = values.models.split(',').map((name) => {
    const subject = subjects.find(({ model }) => model === name)
    if (subject) return subject
    const names = subjects.map(({ model }) => model).join(', ')
    throw new Error(`Cannot bench model "${name}": there are ${names}`)
  })
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-bench-compile-'))
  const rows: Record<string, string | number>[] = []
  const results: object[] = []
  try {
    const images = await prepareImages(folder)
    for (const subject of wanted) {
      if (options.signal.aborted) break
      console.error(`compiling ${subject.model}`)
      const begin = performance.now()
      const compiled = await compileOne(subject, {
        folder,
        images: images[subject.images],
        signal: options.signal,
        seconds: Number(values.seconds),
        maxDrop: Number(values['max-drop']),
      })
      const seconds = Math.round((performance.now() - begin) / 100) / 10
      const peakMb = Math.round(compiled.peakMemoryBytes / 1e6)
      const reference = await referenceOf(subject.model)
      rows.push(...rowsOf(subject.model, compiled.report, { seconds, peakMb, reference }))
      const { chosen, metric, candidates } = compiled.report
      results.push({ model: subject.model, chosen, metric, candidates, reference, seconds, peakMb })
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  return { name: 'compile', rows, json: { models: results } }
}

type Folders = { readonly calibrate: string; readonly evaluate: string }

async function compileOne(
  { model, layout, labels, description }: Subject,
  given: {
    readonly folder: string
    readonly images: Folders
    readonly seconds: number
    readonly maxDrop: number
    readonly signal: AbortSignal
  },
): Promise<Compiled> {
  const { folder, images, signal } = given
  const put = async (name: string, text: string): Promise<string> => {
    await writeFile(join(folder, name), text)
    return join(folder, name)
  }
  await using output = await openOutputFolder(join(folder, 'out', model))
  const list = labels === undefined || labels === 'coco' ? labels : labels.replaceAll(' ', '\n')
  return await runInChild<CompileOrder, OrderProgress, Compiled>({
    program: compileProcess,
    order: {
      kind: 'compile',
      file: `${material}/models/${model}.onnx`,
      layout,
      ...images,
      ...(list !== undefined && { labels: list === 'coco' ? list : await put('labels.txt', list) }),
      ...(description !== undefined && { description: await put('model.yaml', description) }),
      target: ownTarget(),
      precision: 'auto',
      maxDrop: given.maxDrop,
      keep: [],
      seed: 1,
      measureSeconds: given.seconds,
      folder: output.draft,
    },
    what: `compile "${model}"`,
    doing,
    signal,
  })
}

async function prepareImages(
  folder: string,
): Promise<Readonly<Record<Subject['images'], Folders>>> {
  const photographs = `${material}/datasets/coco128/images/train2017`
  const calibrate = join(folder, 'calibrate')
  await mkdir(calibrate)
  // Every fifth, so that both parts show the same kinds of things. What calibrates is left out of the rest by digest.
  const names = (await readdir(photographs)).sort()
  for (const name of names.filter((_, at) => at % 5 === 0).slice(0, calibrateCount)) {
    await copyFile(join(photographs, name), join(calibrate, name))
  }
  const digits = { calibrate: join(folder, 'digits-20'), evaluate: join(folder, 'digits') }
  await drawDigits(digits)
  return {
    coco128: { calibrate, evaluate: `${material}/datasets/coco128` },
    photographs: { calibrate, evaluate: photographs },
    digits,
  }
}

/** MNIST's training pictures as files, in a folder for each digit. */
async function drawDigits({ calibrate, evaluate }: Folders, count = 420): Promise<void> {
  const read = async (name: string) =>
    gunzipSync(await readFile(`${material}/datasets/mnist/train-${name}-ubyte.gz`))
  const [pictures, truth] = await Promise.all([read('images-idx3'), read('labels-idx1')])
  const raw = { width: 28, height: 28, channels: 1 } as const
  for (let i = 0; i < count; i++) {
    const folder = join(i < calibrateCount ? calibrate : evaluate, String(truth[8 + i]))
    await mkdir(folder, { recursive: true })
    const bytes = pictures.subarray(16 + i * 784, 16 + (i + 1) * 784)
    await sharp(bytes, { raw }).toFile(join(folder, `${i}.png`))
  }
}

/** What ONNX Runtime's own quantizer reached, on another run of the same machine type. */
type Reference = {
  readonly sqnrDbMedian: number
  readonly speedUpMedian: number
  readonly sizeBytes: number
}

async function referenceOf(model: string): Promise<Reference | undefined> {
  const file = `${material}/suites/ort-quantization-reference/${model}.json`
  const text = await readFile(file, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  const { sqnrDbMedian, speedUpMedian, sizeBytes } = JSON.parse(text).methods.minmax
  return { sqnrDbMedian, speedUpMedian, sizeBytes }
}

function rowsOf(
  model: string,
  { candidates, metric, chosen }: CompileReport,
  {
    seconds,
    peakMb,
    reference,
  }: { seconds: number; peakMb: number; reference?: Reference | undefined },
): Record<string, string | number>[] {
  const ours = candidates.map((one) => ({
    model: one.name === 'original' ? model : '',
    candidate: one.name === chosen ? `**${one.name}**` : one.name,
    'size MB': one.sizeBytes === null ? '' : (one.sizeBytes / 1e6).toFixed(2),
    speed: one.latencyRatio === null ? '' : `${one.latencyRatio.toFixed(2)}×`,
    metric,
    value: one.metrics[metric]?.toFixed(3) ?? one.why,
    'SQNR dB': one.sqnrDb ?? '',
    'whole s': one.name === 'original' ? seconds : '',
    'peak MB': one.name === 'original' ? peakMb : '',
  }))
  if (!reference) return ours
  return [
    ...ours,
    {
      model: '',
      candidate: "ONNX Runtime's quantizer (int8, MinMax)",
      'size MB': (reference.sizeBytes / 1e6).toFixed(2),
      speed: `${reference.speedUpMedian.toFixed(2)}×`,
      metric: '',
      value: '',
      'SQNR dB': reference.sqnrDbMedian,
      'whole s': '',
      'peak MB': '',
    },
  ]
}
