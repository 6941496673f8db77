/**
 * What sampling costs a box: the demo camera is decoded, looked at by the demo's detector and tracked, block by block
 * in turns with a sampler and without, and the CPU time of the process is counted. What a picture costs that is kept
 * is counted beside it, at the start, when there are many, and added at the rate of the default budget. Blocks are
 * compared in pairs, so that a machine with other work changes both.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { sampleReasons } from '@edgeloop/protocol'
import { openCamera } from '../../edge-agent/src/cameras/open-camera.ts'
import { demoClip } from '../../edge-agent/src/demo/clip.ts'
import { demoModel } from '../../edge-agent/src/demo/demo-model.ts'
import { seededRandom } from '../../edge-agent/src/demo/random.ts'
import { openModel } from '../../edge-agent/src/models/open-model.ts'
import { ortRuntime } from '../../edge-agent/src/runtimes/ort.ts'
import { StreamSampler } from '../../edge-agent/src/sampling/stream-sampler.ts'
import { MotionGate } from '../../edge-agent/src/streams/motion-gate.ts'
import { doubtfulShare, Tracker, trackerDefaults } from '../../edge-agent/src/streams/tracker.ts'
import type { BenchResult } from './bench.ts'
import { type Interval, overSeeds } from './label-curves.ts'

const scoreMin = 0.4
const analysisFps = 5
/** A second of frames: short, so that both of a pair meet the same machine. */
const blockFrames = analysisFps
const warmBlocks = 50

/** What `npm run bench -- sampling-cost` measures; see the head of the file. */
export async function bench(options: {
  args: string[]
  signal: AbortSignal
}): Promise<BenchResult> {
  const { values } = parseArgs({
    args: options.args,
    options: { blocks: { type: 'string', default: '400' } },
  })
  const blocks = Number(values.blocks)
  const { signal } = options
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-bench-cost-'))
  try {
    const source = await demoClip({ seed: 7, folder, signal })
    await using model = await openModel(demoModel, ortRuntime)
    await using camera = await openCamera({
      source,
      analysisFps,
      pace: 'unpaced',
      loop: true,
      masks: [],
      jpegWidthMax: 1280,
      openTimeoutMs: 15_000,
      stallTimeoutMs: 15_000,
      decoder: 'auto',
      now: Date.now,
      signal,
      inputFor: (width, height) => model.inputFor(width, height),
    })
    let at = 0
    let kept = 0
    const sampler = await StreamSampler.open(
      {
        framesPerDay: 40,
        bytesPerDay: 1e12,
        reasons: sampleReasons,
        randomShare: 0.1,
        rareLabels: undefined,
        intervalMinMs: 2_000,
        widthMax: 1280,
      },
      {
        streamId: 'belt',
        folder,
        now: () => at,
        monotonicMs: () => at,
        random: Math.random,
        announce: () => kept++,
        warn: (text) => console.error(text),
      },
    )
    const gate = new MotionGate({
      enabled: true,
      levelMin: 18,
      areaMin: 0.002,
      holdMs: 2_000,
      idleIntervalMs: 10_000,
    })
    const tracker = new Tracker({ ...trackerDefaults, scoreMin })
    const detect = { scoreMin: scoreMin * doubtfulShare, nmsIou: 0.5, maxDetections: 100 }
    const canvas = new Uint8Array(model.inputBytes)
    const blocksCpu: { isSampled: boolean; cpuMs: number; kept: number }[] = []
    const pictures = { count: 0, cpuMs: 0 }
    const order = seededRandom(1)
    let isFirst = true
    let count = 0
    let keptBefore = 0
    let begun = process.cpuUsage()
    for await (using frame of camera.frames()) {
      at += 1000 / analysisFps
      const block = Math.floor(count / blockFrames)
      // First everything warms up, and what the budget holds is spent. Then pairs of blocks, either one first.
      const isWarm = block >= warmBlocks
      if (count % (2 * blockFrames) === 0) isFirst = order() < 0.5
      const isSampled = !isWarm || (block % 2 === 0) === isFirst
      gate.look(frame.gate(), at)
      const view = frame.input(canvas)
      const detections = await model.detect(canvas, view, detect)
      const { trackIds } = tracker.update(detections, at)
      if (isSampled) {
        // Asking what was used costs more than the sampler does: in pairs it is asked once a block.
        const before = isWarm ? undefined : { kept, cpu: process.cpuUsage() }
        const facts = { at, detections, trackIds, tracks: tracker.tracks, moving: gate.moving }
        await sampler.look(
          frame,
          { ...facts, scoreMinOf: () => scoreMin },
          { bytes: canvas, view },
          { model: { name: model.name, version: 0, digest: model.digest }, masks: 0 },
        )
        await sampler.settle()
        if (before && kept > before.kept) {
          pictures.count++
          pictures.cpuMs += millisecondsOf(process.cpuUsage(before.cpu))
        }
      }
      if (++count % blockFrames > 0) continue
      const cpuMs = millisecondsOf(process.cpuUsage(begun))
      if (isWarm) blocksCpu.push({ isSampled, cpuMs, kept: kept - keptBefore })
      keptBefore = kept
      begun = process.cpuUsage()
      if (block + 1 >= blocks + warmBlocks) break
    }
    const pairs = Array.from({ length: Math.floor(blocksCpu.length / 2) }, (_, pair) => {
      const two = blocksCpu.slice(2 * pair, 2 * pair + 2)
      const of = (sampled: boolean) => two.find((one) => one.isSampled === sampled)!.cpuMs
      return { with: of(true), without: of(false), kept: two.some((one) => one.kept > 0) }
      // What pictures cost is said apart: at this rate they come only in a bench.
    }).filter((pair) => !pair.kept)
    const ratio = overSeeds([...pairs.keys()], (some) => {
      const sum = (key: 'with' | 'without') => some.reduce((all, i) => all + pairs[i]![key], 0)
      return sum('with') / sum('without') - 1
    })
    const meanMs = (key: 'with' | 'without') =>
      pairs.reduce((all, one) => all + one[key], 0) / pairs.length / blockFrames
    const perPicture = pictures.cpuMs / Math.max(1, pictures.count)
    const keepingMs = perPicture * (200 / (86_400 * analysisFps))
    const keeping = keepingMs / meanMs('without')
    const percents = ({ mean, low, high }: Interval) =>
      `${percent(mean + keeping)} (${percent(low + keeping)} to ${percent(high + keeping)})`
    const row = (pipeline: string, cpu: string) => ({ pipeline, 'CPU per frame': cpu })
    return {
      name: 'sampling-cost',
      rows: [
        row('without sampling', `${meanMs('without').toFixed(2)} ms`),
        row('with sampling', `${meanMs('with').toFixed(2)} ms`),
        row('a picture that is kept', `${perPicture.toFixed(1)} ms`),
        row(`more, in ${pairs.length} pairs of blocks, with 200 pictures a day`, percents(ratio)),
      ],
      json: { pairs, ratio, perPicture, keeping, share: ratio.mean + keeping },
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const millisecondsOf = ({ user, system }: NodeJS.CpuUsage): number => (user + system) / 1000
const percent = (share: number): string => `${(share * 100).toFixed(1)} %`
