/**
 * Two versions each of one model, as the trainer makes them: a MobileNetV2 (2.2 million parameters) that has learned ordinary pictures, and what becomes
 * of it when its last layer, its last blocks or all of it learn pictures of another camera. Each in int8, with the scales of
 * the first version kept and with scales of its own. And ultraface with its bytes fed directly. What was trained is kept in a folder.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import sharp from 'sharp'
import { calibrate } from '../../model-compiler/src/calibrate/calibrate.ts'
import { type Sample, samplesFrom } from '../../model-compiler/src/calibrate/samples.ts'
import { Workshop } from '../../model-compiler/src/compile/recipes.ts'
import { Graph } from '../../model-compiler/src/graph/graph.ts'
import { readModel } from '../../model-compiler/src/onnx/read.ts'
import type { ModelProto } from '../../model-compiler/src/onnx/schema.ts'
import { writeModel } from '../../model-compiler/src/onnx/write.ts'
import { foldPreprocessing } from '../../model-compiler/src/passes/fold-preprocessing.ts'
import { frozenScalesOf } from '../../model-compiler/src/quantize/frozen-scales.ts'
import { quantize } from '../../model-compiler/src/quantize/quantize.ts'
import { inferTypes } from '../../model-compiler/src/shapes/infer-types.ts'
import { targets } from '../../model-compiler/src/targets/index.ts'
import { material, needs } from '../require.ts'
import { writeCifar10Folders } from '../training/cifar10-folders.ts'

export type Pair = {
  readonly name: string
  /** Whether these are codes of one architecture, which the size figures are promised for. */
  readonly isInt8: boolean
  readonly base: Uint8Array
  readonly next: Uint8Array
}

const edgeloop = fileURLToPath(new URL('../../edgeloop', import.meta.url))
/** Pixels of a side: small, as what is measured is how weights move. */
const side = 16
const classes = 10

const common = ['--set', 'evaluateEvery=100000', '--json', '--progress', 'none', '--seed', '1']
const tuned = ['--set', 'batchNorm=frozen', '--set', 'ema=0', '--set', 'schedule.name=constant']
const rate = (optimizer: string, learningRate: number) => [
  ...['--set', `optimizer.name=${optimizer}`, '--set', `optimizer.learningRate=${learningRate}`],
]

/** How the second version learned. */
const versions: Readonly<Record<string, readonly string[]>> = {
  'head only': ['--set', 'trainable=head', '--set', 'steps=80', ...rate('adam', 1e-3)],
  'last blocks': ['--set', 'trainable=blocks:8', '--set', 'steps=50', ...rate('adam', 1e-4)],
  'all, SGD 1e-3': ['--set', 'steps=50', ...rate('sgd', 1e-3)],
  'all, Adam 1e-5': ['--set', 'steps=50', ...rate('adam', 1e-5)],
  'all, Adam 1e-4': ['--set', 'steps=50', ...rate('adam', 1e-4)],
}

/**
 * The pairs; hours apart they are the same, as what was trained lies in `folder`.
 * @param onProgress told what takes long
 * @param isWanted those whose name it refuses are neither trained nor compiled
 */
export async function deltaPairs(
  folder: string,
  onProgress: (text: string) => void,
  isWanted: (name: string) => boolean,
  signal: AbortSignal,
): Promise<Pair[]> {
  await mkdir(folder, { recursive: true })
  const data = join(folder, 'pictures')
  if (!existsSync(data)) {
    onProgress('writing pictures')
    await writePictures(`${data}.draft`)
    await rename(`${data}.draft`, data)
  }
  const train = async (name: string, args: readonly string[]): Promise<Uint8Array> => {
    const out = join(folder, name.replaceAll(/[^a-z0-9]+/gi, '-'))
    const file = join(out, 'model.onnx')
    if (!existsSync(file)) {
      onProgress(`training "${name}"`)
      const run = promisify(execFile)
      await run(process.execPath, [edgeloop, 'train', ...args, ...common, '--out', out], {
        signal,
        maxBuffer: 64 * 1024 * 1024,
      })
    }
    return new Uint8Array(await readFile(file))
  }
  const first = await train('base', [
    ...['--dataset-dir', join(data, 'first'), '--model', `new:mobilenet-v2?size=${side}`],
    ...['--holdout', '0.05', '--set', 'steps=120', '--set', 'batch=32'],
  ])
  const seen = await samplesOf(join(data, 'first'))
  const moved = await samplesOf(join(data, 'moved'))
  const base = await toCodes(first, seen)
  const pairs: Pair[] = []
  for (const [name, args] of Object.entries(versions)) {
    signal.throwIfAborted()
    const names = ['frozen', 'own scales', 'float'].map((how) => `${name}, ${how}`)
    if (!names.some(isWanted)) continue
    const next = await train(name, [
      ...['--dataset-dir', join(data, 'moved'), '--model', join(folder, 'base/model.onnx')],
      ...['--layout', 'classifier', '--holdout', '0.3', '--set', 'batch=16', ...tuned, ...args],
    ])
    onProgress(`compiling "${name}"`)
    const kept = await toCodes(next, moved, base)
    const own = await toCodes(next, moved)
    pairs.push({ name: `${name}, frozen`, isInt8: true, base, next: kept })
    pairs.push({ name: `${name}, own scales`, isInt8: true, base, next: own })
    if (name === 'all, Adam 1e-5') {
      pairs.push({ name: `${name}, float`, isInt8: false, base: first, next })
    }
  }
  if (needs('material').skip === undefined && isWanted(editedName)) pairs.push(await editedPair())
  return pairs.filter(({ name }) => isWanted(name))
}

/** As `model compile` makes int8, without trying how far to equalize: scales are to be compared here. */
async function toCodes(
  bytes: Uint8Array,
  samples: readonly Sample[],
  against?: Uint8Array,
): Promise<Uint8Array> {
  const target = targets['linux-x64-vnni']
  const source = samplesFrom([...samples])
  const workshop = new Workshop({
    original: readModel(bytes),
    samples: source,
    first: samples[0]!,
    target,
    measureSeconds: 1,
    onCalibrate: () => {},
    onSearch: () => {},
  })
  const float = await workshop.forCodes()
  const ranges = await calibrate(float, source, { method: 'minmax' })
  const frozen = against === undefined ? undefined : frozenScalesOf(readModel(against))
  return writeModel(quantize(float, ranges, { target, ...(frozen && { frozen }) }))
}

const editedName = 'ultraface slim, edited graph'

/** A detector, and the same with its preprocessing moved into the graph: other nodes, the same weights. */
async function editedPair(): Promise<Pair> {
  const base = new Uint8Array(await readFile(join(material, 'models/ultraface_slim_320.onnx')))
  const graph = new Graph(readModel(base))
  inferTypes(graph)
  await foldPreprocessing({ mean: [127, 127, 127], std: [128, 128, 128], reversed: false }).run(
    graph,
  )
  const edited: ModelProto = graph.toModel()
  return { name: editedName, isInt8: false, base, next: writeModel(edited) }
}

/** CIFAR-10 where the material is there, otherwise drawn stripes and spots; and the same as a darker, softer camera sees it. */
async function writePictures(to: string): Promise<void> {
  const all = join(to, 'all')
  if (needs('material').skip === undefined) {
    await writeCifar10Folders(join(material, 'datasets/cifar10'), all)
  } else await drawPictures(all)
  let at = 0
  for (const label of (await readdir(all)).toSorted()) {
    for (const part of ['first', 'moved']) await mkdir(join(to, part, label), { recursive: true })
    for (const name of (await readdir(join(all, label))).toSorted()) {
      const isMoved = at++ % 5 === 4
      let picture = sharp(join(all, label, name)).resize(side, side, { fit: 'fill' })
      if (isMoved) picture = picture.blur(0.6).linear([0.55, 0.7, 0.45], [40, 10, 20])
      await picture.png().toFile(join(to, isMoved ? 'moved' : 'first', label, name))
    }
  }
}

async function drawPictures(to: string): Promise<void> {
  let state = 12345
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  for (let label = 0; label < classes; label++) {
    await mkdir(join(to, String(label)), { recursive: true })
    for (let i = 0; i < 400; i++) {
      const [angle, phase] = [(label * Math.PI) / classes, random() * 6]
      const pixels = Buffer.alloc(side * side * 3)
      for (let at = 0; at < side * side; at++) {
        const along = (at % side) * Math.cos(angle) + Math.floor(at / side) * Math.sin(angle)
        const light = 128 + 80 * Math.sin(along + phase)
        for (let c = 0; c < 3; c++) pixels[3 * at + c] = light + 60 * (random() - 0.5)
      }
      const raw = { width: side, height: side, channels: 3 } as const
      const file = join(to, String(label), `${label}-${String(i).padStart(4, '0')}.png`)
      await writeFile(file, await sharp(pixels, { raw }).png().toBuffer())
    }
  }
}

/** Sixty-four pictures, of all labels in turn, as the net is fed. */
async function samplesOf(folder: string): Promise<Sample[]> {
  const labels = (await readdir(folder)).toSorted()
  const samples: Sample[] = []
  for (let i = 0; samples.length < 64; i++) {
    const label = labels[i % labels.length]!
    const names = (await readdir(join(folder, label))).toSorted()
    const file = join(folder, label, names[Math.floor(i / labels.length) % names.length]!)
    const pixels = await sharp(file).removeAlpha().raw().toBuffer()
    const data = new Float32Array(3 * side * side)
    for (let at = 0; at < side * side; at++) {
      for (let c = 0; c < 3; c++) data[c * side * side + at] = pixels[3 * at + c]! / 255
    }
    samples.push({ input: { type: 'float32', dims: [1, 3, side, side], data } })
  }
  return samples
}
