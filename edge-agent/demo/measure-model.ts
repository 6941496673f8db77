/**
 * How good the demo's detector is where it counts: on scenes it never saw, encoded to H.264, decoded by a
 * real camera, scaled, detected and suppressed by the agent's own code. `node
 * edge-agent/demo/measure-model.ts [SEEDS]` prints average precision for each label.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  averagePrecision,
  type Found,
  intersectionOverUnion,
  meanAveragePrecision,
  type Truth,
} from '../../model-compiler/src/evaluate/average-precision.ts'
import { openCamera } from '../src/cameras/open-camera.ts'
import { demoClip, truthOf } from '../src/demo/clip.ts'
import { demoModel } from '../src/demo/demo-model.ts'
import { demoLabels } from '../src/demo/parts.ts'
import { detectCamera } from '../src/detect/detect-camera.ts'
import { openModel } from '../src/models/open-model.ts'
import { ortRuntime } from '../src/runtimes/ort.ts'
import { visibleShareMin } from './training-frames.ts'

export type MeasureOptions = {
  readonly seeds: readonly number[]
  /** Length of each seed's clip. */
  readonly seconds: number
  /** Frames looked at for each second of it. */
  readonly framesPerSecond: number
  /** Clips are kept here. */
  readonly folder: string
  readonly signal: AbortSignal
}

export type Measured = {
  readonly ap50: number
  readonly ap50to95: number
  readonly byLabel: Readonly<Record<string, number>>
  readonly frames: number
  readonly truths: number
}

/** As for COCO: low scores count too, at most 100 boxes a frame, overlaps of one label above .6 go. */
const options = { scoreMin: 0.02, nmsIou: 0.6, maxDetections: 100 } as const

/**
 * Average precision over the clips of `seeds`. Parts that show less than a quarter of themselves are
 * neither wanted nor wrong.
 */
export async function measureModel(asked: MeasureOptions): Promise<Measured> {
  const { seeds, seconds, framesPerSecond, folder, signal } = asked
  await using model = await openModel(demoModel, ortRuntime)
  const truths: Truth[] = []
  const found: Found[] = []
  let frames = 0
  for (const seed of seeds) {
    const source = await demoClip({ seed, seconds, folder, signal })
    const truth = truthOf(seed, seconds)
    const clip = {
      open: openCamera,
      model,
      source,
      everyFrame: false,
      analysisFps: framesPerSecond,
      options,
    } as const
    for await (const { frame, detections = [] } of detectCamera(clip, signal)) {
      frames++
      const image = `${seed}/${frame}`
      const parts = truth(frame)
      const wanted = parts.filter(({ visibleShare }) => visibleShare >= visibleShareMin)
      const hardlySeen = parts.filter(({ visibleShare }) => visibleShare < visibleShareMin)
      truths.push(...wanted.map(({ label, box }) => ({ image, label, box })))
      for (const { label, score, box } of detections) {
        const one = [box[0]!, box[1]!, box[2]!, box[3]!] as const
        const overlap = (part: { box: Truth['box'] }) => intersectionOverUnion(one, part.box)
        const excused = hardlySeen.some((part) => overlap(part) >= 0.5)
        if (excused && !wanted.some((part) => overlap(part) >= 0.5)) continue
        found.push({ image, label, score, box: one })
      }
    }
  }
  const of = <T extends { label: string }>(all: readonly T[], label: string): T[] =>
    all.filter((one) => one.label === label)
  const byLabel = Object.fromEntries(
    demoLabels.map((label) => [
      label,
      averagePrecision(of(truths, label), of(found, label), 0.5, 101),
    ]),
  )
  return { ...meanAveragePrecision(truths, found), byLabel, frames, truths: truths.length }
}

if (import.meta.main) {
  const count = Number(process.argv[2] ?? 6)
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-measure-'))
  try {
    const measured = await measureModel({
      seeds: Array.from({ length: count }, (_, k) => k + 1),
      seconds: 48,
      framesPerSecond: 1,
      folder,
      signal: AbortSignal.timeout(3_600_000),
    })
    process.stdout.write(`${JSON.stringify(measured)}\n`)
  } finally {
    await rm(folder, { recursive: true })
  }
}
