/**
 * Makes the demo's detector: `node edge-agent/demo/make-model.ts` writes conveyor.onnx and its
 * description, `--check` makes it anew and compares. All arithmetic is plain JavaScript in a fixed
 * order, so the same Node.js gives the same bytes on every machine. Takes some minutes on one core.
 */
import { createHash } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { writeModel } from '@edgeloop/model-compiler'
import { demoLabels } from '../src/demo/parts.ts'
import { sceneVersion } from '../src/demo/scene.ts'
import { calibrate } from './calibrate.ts'
import { detectorGraph } from './detector-graph.ts'
import { fitDetector, stride } from './fit.ts'
import { canvasPad } from './training-frames.ts'

/** Seeds from here on were seen by the fit; tests and measurements use others. */
const firstTrainingSeed = 10_000
const trainingSeeds = 32
const calibrationSeeds = 6
const framesPerSeed = 8

if (import.meta.main) {
  const check = process.argv.slice(2).includes('--check')
  const bytes = makeModel(log)
  const file = new URL('./conveyor.onnx', import.meta.url)
  if (check) {
    const same = digestOf(await readFile(file)) === digestOf(bytes)
    log(
      same ? 'conveyor.onnx is what this script makes' : 'conveyor.onnx differs from what is made',
    )
    process.exitCode = same ? 0 : 1
  } else {
    await replace(file, bytes)
    await replace(new URL('./conveyor.model.yaml', import.meta.url), describe())
    log(`wrote conveyor.onnx: ${bytes.length} bytes, sha256 ${digestOf(bytes)}`)
  }
}

function makeModel(log: (text: string) => void): Uint8Array {
  const seeds = (first: number, count: number): number[] =>
    Array.from({ length: count }, (_, k) => first + k)
  const detector = fitDetector({
    seeds: seeds(firstTrainingSeed, trainingSeeds),
    framesPerSeed,
    log,
  })
  const calibration = calibrate(
    detector,
    seeds(firstTrainingSeed + trainingSeeds, calibrationSeeds),
    framesPerSeed,
  )
  log(`calibrated on ${calibrationSeeds} further seeds`)
  const metadata = {
    about: 'Demo detector of parts on a conveyor, made by edge-agent/demo/make-model.ts',
    labels: demoLabels.join(','),
    scene: `version ${sceneVersion}, seeds ${firstTrainingSeed} and up`,
  }
  return writeModel(detectorGraph(detector, calibration, metadata))
}

function describe(): string {
  return [
    '# Written by make-model.ts, beside the model that it describes.',
    'layout: yolox',
    `labels: [${demoLabels.join(', ')}]`,
    `strides: [${stride}]`,
    'input:',
    '  channels: rgb',
    '  fit: letterbox-topleft',
    `  pad: ${canvasPad}`,
    '  type: uint8',
    '  layout: nhwc',
    '',
  ].join('\n')
}

/** Whole or not at all. */
async function replace(file: URL, content: Uint8Array | string): Promise<void> {
  const unfinished = new URL(`${file.href}.part`)
  await writeFile(unfinished, content)
  await rename(unfinished, file)
}

function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function log(text: string): void {
  process.stderr.write(`${(performance.now() / 1000).toFixed(1)} s  ${text}\n`)
}
