/**
 * Trains the demo's detector: `npm run demo:train-detector` draws scenes, trains a small net on them from scratch, makes
 * int8 of it and writes both forms beside this file, with what the agent has to know. Some minutes on two cores. On one
 * machine the same comes out each time; on another the last digits of floats differ, and so do the files.
 */
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import {
  Graph,
  inferTypes,
  type ModelProto,
  readModelFile,
  setInputShapes,
  writeModel,
} from '@edgeloop/model-compiler'
import { type Dataset, openDataset, type Split } from '@edgeloop/model-compiler/datasets'
import {
  buildNet,
  type CanvasSpec,
  detectionTask,
  recipeDefault,
  recipeOf,
  train,
} from '@edgeloop/model-compiler/train'
import { foldPreprocessing } from '../../model-compiler/src/passes/fold-preprocessing.ts'
import { demoLabels } from '../src/demo/parts.ts'
import { sceneVersion } from '../src/demo/scene.ts'
import { placeImage } from '../src/detect/images.ts'
import { openModel } from '../src/models/open-model.ts'
import { ortRuntime } from '../src/runtimes/ort.ts'
import { int8Form } from './int8-form.ts'
import { canvasHeight, canvasPad, canvasWidth, writeTrainingFrames } from './training-frames.ts'

/** Seeds from here on are learned from; tests and measurements use lower ones. */
const firstTrainingSeed = 10_000
const trainingSeeds = 60
const framesPerSeed = 8
/** Scenes that are only looked at, at the end. */
const firstTestSeed = 20_000
const testSeeds = 6
const calibrationFrames = 32

const stride = 8
const recipe = {
  batch: 8,
  steps: 2400,
  optimizer: { name: 'adamw', learningRate: 5e-3, weightDecay: 0.01, clipNorm: 10 },
  schedule: { name: 'cosine', warmupSteps: 50 },
  ema: 0.998,
  augment: {
    flip: 0.5,
    scale: [0.9, 1.15],
    aspect: 0.1,
    shift: 0.1,
    brightness: 0.2,
    contrast: 0.2,
    saturation: 0.2,
    // A camera's pictures come through a codec.
    noise: 0.3,
    noiseSigma: 6,
    jpeg: 0.4,
    jpegQuality: 40,
    blur: 0.2,
    blurSigma: 0.8,
  },
}

const canvas: CanvasSpec = {
  width: canvasWidth,
  height: canvasHeight,
  channels: 3,
  order: 'rgb',
  fit: 'letterbox-topleft',
  pad: canvasPad,
  mean: [0, 0, 0],
  std: [255, 255, 255],
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: fileURLToPath(new URL('.', import.meta.url)) },
      steps: { type: 'string', default: String(recipe.steps) },
      seed: { type: 'string', default: '1' },
      scenes: { type: 'string', default: String(trainingSeeds) },
      // Share of parts that are given the name of another kind: how the bad model of docs/rollouts.md is made.
      'wrong-labels': { type: 'string', default: '0' },
    },
  })
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-demo-detector-'))
  try {
    await trainDetector(folder, values.out, {
      steps: Number(values.steps),
      seed: Number(values.seed),
      scenes: Number(values.scenes),
      wrongLabels: Number(values['wrong-labels']),
    })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function trainDetector(
  folder: string,
  out: string,
  options: { steps: number; seed: number; scenes: number; wrongLabels: number },
): Promise<void> {
  const { steps, seed, scenes, wrongLabels } = options
  const seeds = (first: number, count: number) => Array.from({ length: count }, (_, k) => first + k)
  const data = join(folder, 'scenes')
  const learned = seeds(firstTrainingSeed, scenes)
  await writeTrainingFrames(data, [...learned, ...seeds(firstTestSeed, testSeeds)], framesPerSeed)
  if (wrongLabels > 0) await mislabel(join(data, 'instances.json'), wrongLabels)
  const dataset = await openDataset(data, { format: 'coco' })
  const split: Split = new Map(
    dataset.samples.map(({ digest, stream }) => {
      const isLearned = Number(stream?.slice('seed-'.length)) < firstTestSeed
      return [digest, isLearned ? 'train' : 'test'] as const
    }),
  )
  const train = dataset.samples.filter(({ digest }) => split.get(digest) === 'train')
  log(`drew ${dataset.samples.length} pictures, ${train.length} to learn from`)

  const master = await trained(dataset, split, { folder, steps, seed })
  const metadata = {
    about: 'Demo detector of parts on a conveyor, trained by edge-agent/demo/train-detector.ts',
    labels: demoLabels.join(','),
    scene: `version ${sceneVersion}, seeds ${firstTrainingSeed} and up`,
  }
  const float = await fedWithBytes(master, metadata)
  const pictures = []
  for (const sample of train.slice(0, calibrationFrames)) {
    pictures.push((await dataset.picture(sample)).data)
  }
  const int8 = await int8Form(float, pictures, 1)
  await replace(join(out, 'conveyor-float.onnx'), writeModel(float))
  await replace(join(out, 'conveyor-float.model.yaml'), describe())
  await replace(join(out, 'conveyor.onnx'), writeModel(int8))
  await replace(join(out, 'conveyor.model.yaml'), describe())
  log(`wrote conveyor.onnx: ${writeModel(int8).length} bytes`)
}

/** Gives a share of the parts the label of the next kind, evenly through the set. */
async function mislabel(file: string, share: number): Promise<void> {
  const set = JSON.parse(await readFile(file, 'utf8'))
  for (const [at, annotation] of set.annotations.entries()) {
    const isWrong = Math.floor((at + 1) * share) > Math.floor(at * share)
    if (isWrong) annotation.category_id = (annotation.category_id % demoLabels.length) + 1
  }
  await writeFile(file, JSON.stringify(set))
}

async function trained(
  dataset: Dataset,
  split: Split,
  { folder, steps, seed }: { folder: string; steps: number; seed: number },
): Promise<ModelProto> {
  const net = { classes: demoLabels.length, channels: 3, scale: 0.5, seed } as const
  const task = await detectionTask({
    model: buildNet('relu-detector', { ...net, width: canvasWidth, height: canvasHeight }),
    learned: dataset.samples.flatMap(({ digest }) => (split.get(digest) === 'train' ? digest : [])),
    dataset,
    canvas,
    seed,
    pretrained: false,
    detect: async (model, labels, samples) => {
      const file = join(folder, 'candidate.onnx')
      await writeFile(file, writeModel(model))
      const description = join(folder, 'candidate.model.yaml')
      await writeFile(description, describe('float32', labels))
      await using opened = await openModel({ name: 'candidate', file, description }, ortRuntime)
      const found = []
      for (const sample of samples) {
        const bytes = new Uint8Array(opened.inputBytes)
        const picture = await dataset.picture(sample)
        const { view } = await placeImage(picture, (w, h) => opened.inputFor(w, h), bytes)
        const options = { scoreMin: 0.02, nmsIou: 0.6, maxDetections: 100 }
        for (const { label, score, box } of await opened.detect(bytes, view, options)) {
          const [left = 0, top = 0, width = 0, height = 0] = box
          found.push({
            image: sample.digest,
            label,
            score,
            box: [left, top, width, height] as const,
          })
        }
      }
      return found
    },
  })
  const run = join(folder, 'run')
  const result = await train({
    task,
    dataset,
    split,
    seed,
    folder: run,
    name: 'conveyor',
    recipe: recipeOf(recipeDefault, task.defaults, recipe, { steps }),
    splitText: 'scenes of other seeds held out',
    code: { version: 'demo' },
    progress: (word) => {
      if (word.kind === 'step' && word.step % 100 === 0) {
        const eta = word.etaMs === null ? '' : `, ${Math.round(word.etaMs / 1000)} s left`
        log(`step ${word.step} of ${word.steps}: loss ${word.loss.toFixed(3)}${eta}`)
      }
      if (word.kind === 'evaluation') log(`${word.on}: ${JSON.stringify(word.figures)}`)
      if (word.kind === 'warning') log(word.text)
    },
  })
  if (result.kind !== 'ended') throw new Error('Cannot go on: the run was paused')
  return await readModelFile(result.modelFile)
}

/** The trained net as it is, BatchNorm and all, that takes the bytes of a picture. */
async function fedWithBytes(
  master: ModelProto,
  metadata: Readonly<Record<string, string>>,
): Promise<ModelProto> {
  const graph = new Graph(master)
  const input = graph.requiredInputs[0]!.name
  setInputShapes(graph, { [input]: [1, 3, canvasHeight, canvasWidth] })
  inferTypes(graph)
  await foldPreprocessing({ mean: [0, 0, 0], std: [255, 255, 255] }).run(graph)
  // What it takes from now on is a frame as the camera gives it.
  const type = graph.typeOf(input)!
  graph.addInput('frame', type)
  graph.redirect(input, 'frame')
  graph.removeInput(input)
  for (const [key, value] of Object.entries(metadata)) graph.setMetadata(key, value)
  return graph.toModel()
}

function describe(type = 'uint8', labels: readonly string[] = demoLabels): string {
  return [
    '# Written by train-detector.ts, beside the model that it describes.',
    'layout: yolox',
    `labels: [${labels.join(', ')}]`,
    `strides: [${stride}]`,
    'input:',
    '  channels: rgb',
    '  fit: letterbox-topleft',
    `  pad: ${canvasPad}`,
    ...(type === 'uint8'
      ? ['  type: uint8', '  layout: nhwc']
      : ['  mean: [0, 0, 0]', '  std: [255, 255, 255]']),
    '',
  ].join('\n')
}

/** Whole or not at all. */
async function replace(file: string, content: Uint8Array | string): Promise<void> {
  await writeFile(`${file}.part`, content)
  await rename(`${file}.part`, file)
}

function log(text: string): void {
  process.stderr.write(`${(performance.now() / 1000).toFixed(1)} s  ${text}\n`)
}
