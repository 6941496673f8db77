/**
 * What two models say of the same frames, box by box: where the figures come from that bad models are told from good
 * ones by. `node test/fleet/measure-quality.ts --again DIR --worse DIR --compiled FILE > test/fleet/live-quality.jsonl`, where the
 * folders are what `npm run demo:train-detector -- --seed 2 --steps 800 --out DIR` and `… --wrong-labels 0.5` left. With
 * ../shared/material also a detector of the field on real clips, and FILE, what our compiler made of it in int8.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Box, intersectionOverUnion } from '@edgeloop/model-compiler'
import type { Detection } from '@edgeloop/protocol'
import { demoFloatModel } from '../../edge-agent/demo/float-model.ts'
import { trainingFrames } from '../../edge-agent/demo/training-frames.ts'
import { openCamera } from '../../edge-agent/src/cameras/open-camera.ts'
import { demoModel } from '../../edge-agent/src/demo/demo-model.ts'
import { detectCamera } from '../../edge-agent/src/detect/detect-camera.ts'
import { placeImage } from '../../edge-agent/src/detect/images.ts'
import type { Model } from '../../edge-agent/src/models/model.ts'
import { openModel } from '../../edge-agent/src/models/open-model.ts'
import { ortRuntime } from '../../edge-agent/src/runtimes/ort.ts'
import { material } from '../require.ts'
import { type BoxQuality, type FrameFacts, writeBox } from './live-quality.ts'

/** As streams detect by default. */
const options = { scoreMin: 0.35, nmsIou: 0.5, maxDetections: 100 } as const
const description = demoModel.file.replace('.onnx', '.model.yaml')
/** Scenes of these seeds were never learned from. */
const firstSeed = 30_000
const boxes = 12
const framesOfBox = 50
/** Frames of a real clip that stand for one box, in the order in which they were seen. */
const framesOfWindow = 50

type Seen = readonly Detection[]

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      again: { type: 'string' },
      worse: { type: 'string' },
      /** What `./edgeloop model compile yolox_nano_416.onnx` made, and the file itself where it is not beside us. */
      compiled: { type: 'string' },
    },
  })
  if (values.again ?? values.worse) await onScenes({ again: values.again, worse: values.worse })
  if (values.compiled && existsSync(material)) await onClips(values.compiled)
}

/** Models on scenes of the demo: one box for each seed. */
async function onScenes(folders: { again?: string | undefined; worse?: string | undefined }) {
  await using opened = new AsyncDisposableStack()
  const open = async (file: string) =>
    opened.use(await openModel({ ...demoModel, description, file }, ortRuntime))
  const inFolder = async (folder: string | undefined) =>
    folder === undefined ? undefined : await open(join(folder, 'conveyor.onnx'))
  const own = await open(demoModel.file)
  const again = await inFolder(folders.again)
  const worse = await inFolder(folders.worse)
  const pairs = [
    { pair: 'not quantized', equal: true, active: own, candidate: await open(demoFloatModel.file) },
    again && { pair: 'trained longer', equal: true, active: again, candidate: own },
    worse && { pair: 'wrong labels', equal: false, active: own, candidate: worse },
  ].filter((pair) => pair !== undefined)
  const models = [...new Set(pairs.flatMap(({ active, candidate }) => [active, candidate]))]
  for (let box = 0; box < boxes; box++) {
    const seen = new Map(models.map((model): [Model, Seen[]] => [model, []]))
    for (const { rgb } of trainingFrames(firstSeed + box, framesOfBox)) {
      const picture = { width: 320, height: 180, channels: 3, data: rgb } as const
      for (const model of models) {
        const canvas = new Uint8Array(model.inputBytes)
        const { view } = await placeImage(picture, (w, h) => model.inputFor(w, h), canvas)
        seen.get(model)!.push(await model.detect(canvas, view, options))
      }
    }
    for (const { pair, equal, active, candidate } of pairs) {
      const other = seen.get(candidate)!
      const frames = seen.get(active)!.map((one, at) => factsOf(one, other[at]!))
      tell({ pair, equal, box: `scene ${firstSeed + box}`, frames })
    }
  }
}

async function onClips(compiled: string): Promise<void> {
  const file = join(material, 'models', 'yolox_nano_416.onnx')
  const sources = [file, compiled].map((one) => ({
    name: 'yolox',
    file: one,
    layout: 'yolox',
    labels: 'coco',
  }))
  for (const clip of ['vehicle-counting.mp4', 'one-by-one-person-detection.mp4']) {
    const [active = [], candidate = []] = await Promise.all(
      sources.map((source) => readingsOf(join(material, 'clips', clip), source)),
    )
    const frames = active.map((seen, at) => factsOf(seen, candidate[at]!))
    for (let from = 0; from + framesOfWindow <= frames.length; from += framesOfWindow) {
      const some = frames.slice(from, from + framesOfWindow)
      tell({ pair: 'compiled', equal: true, box: `${clip} from ${from}`, frames: some })
    }
  }
}

async function readingsOf(clip: string, source: Parameters<typeof openModel>[0]): Promise<Seen[]> {
  await using model = await openModel(source, ortRuntime)
  const seen: Seen[] = []
  const asked = { open: openCamera, model, source: clip, everyFrame: false, options }
  for await (const { detections = [] } of detectCamera(asked, AbortSignal.timeout(600_000))) {
    seen.push(detections)
  }
  return seen
}

function factsOf(active: Seen, candidate: Seen): FrameFacts {
  const scores = (seen: Seen) => seen.reduce((sum, { score }) => sum + score, 0)
  return {
    matched: matchedOf(active, candidate),
    active: { detections: active.length, scores: scores(active) },
    candidate: { detections: candidate.length, scores: scores(candidate) },
  }
}

function tell(box: BoxQuality): void {
  process.stdout.write(`${writeBox(box)}\n`)
}

/** Detections that both have: same label, boxes that overlap by half; the surest of one model choose first. */
function matchedOf(active: readonly Detection[], candidate: readonly Detection[]): number {
  const free = new Set(candidate)
  let matched = 0
  for (const one of active.toSorted((a, b) => b.score - a.score)) {
    let best: Detection | undefined
    let overlap = 0.5
    for (const other of free) {
      const iou = other.label === one.label ? intersectionOverUnion(boxOf(one), boxOf(other)) : 0
      if (iou < overlap) continue
      best = other
      overlap = iou
    }
    if (!best) continue
    free.delete(best)
    matched++
  }
  return matched
}

function boxOf({ box: [left = 0, top = 0, width = 0, height = 0] }: Detection): Box {
  return [left, top, width, height]
}
