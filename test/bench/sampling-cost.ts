/**
 * What sampling costs a box: the demo camera is decoded, looked at by the demo's detector and tracked, block by block
 * in turns with a sampler and without, and the CPU time of the process is counted. What a picture costs that is kept
 * is counted beside it, at the start, when there are many, and added at the rate of the default budget.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { sampleReasons } from '@edgeloop/protocol'
import { openCamera } from '../../edge-agent/src/cameras/open-camera.ts'
import { demoClip } from '../../edge-agent/src/demo/clip.ts'
import { demoModel } from '../../edge-agent/src/demo/demo-model.ts'
import { openModel } from '../../edge-agent/src/models/open-model.ts'
import { ortRuntime } from '../../edge-agent/src/runtimes/ort.ts'
import { StreamSampler } from '../../edge-agent/src/sampling/stream-sampler.ts'
import { MotionGate } from '../../edge-agent/src/streams/motion-gate.ts'
import { doubtfulShare, Tracker, trackerDefaults } from '../../edge-agent/src/streams/tracker.ts'
import type { BenchResult } from './bench.ts'

const scoreMin = 0.4
const analysisFps = 5
const blockFrames = 25
const warmBlocks = 10

/** What `npm run bench -- sampling-cost` measures; see the head of the file. */
export async function bench(options: {
  args: string[]
  signal: AbortSignal
}): Promise<BenchResult> {
  const { values } = parseArgs({
    args: options.args,
    options: { blocks: { type: 'string', default: '40' } },
  })
  const blocks = Number(values.blocks)
  const { signal } = options
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-bench-cost-'))
  try {
    const source = await demoClip({ seed: 7, folder, signal })
    await using model = await openModel(demoModel, ortRuntime)
    await using camera = await openCamera({
      ...{ source, analysisFps, pace: 'unpaced', loop: true, masks: [], jpegWidthMax: 1280 },
      ...{ openTimeoutMs: 15_000, stallTimeoutMs: 15_000, decoder: 'auto', now: Date.now, signal },
      inputFor: (width, height) => model.inputFor(width, height),
    })
    let at = 0
    let kept = 0
    const sampler = await StreamSampler.open(
      {
        ...{ framesPerDay: 40, bytesPerDay: 1e12, reasons: sampleReasons, randomShare: 0.1 },
        ...{ rareLabels: undefined, intervalMinMs: 2_000, widthMax: 1280 },
      },
      {
        ...{ streamId: 'belt', folder, now: () => at, monotonicMs: () => at, random: Math.random },
        announce: () => kept++,
        warn: (text) => console.error(text),
      },
    )
    const gate = new MotionGate({
      ...{ enabled: true, levelMin: 18, areaMin: 0.002, holdMs: 2_000, idleIntervalMs: 10_000 },
    })
    const tracker = new Tracker({ ...trackerDefaults, scoreMin })
    const detect = { scoreMin: scoreMin * doubtfulShare, nmsIou: 0.5, maxDetections: 100 }
    const canvas = new Uint8Array(model.inputBytes)
    const cpu = { with: 0, without: 0 }
    const pictures = { count: 0, cpuMs: 0 }
    let count = 0
    let begun = process.cpuUsage()
    for await (using frame of camera.frames()) {
      at += 1000 / analysisFps
      const block = Math.floor(count / blockFrames)
      // First everything warms up, and what the budget holds is spent.
      const isSampled = block < warmBlocks || block % 2 === 1
      gate.look(frame.gate(), at)
      const view = frame.input(canvas)
      const detections = await model.detect(canvas, view, detect)
      const { trackIds } = tracker.update(detections, at)
      if (isSampled) {
        const [before, beforeCpu] = [kept, process.cpuUsage()]
        const facts = { at, detections, trackIds, tracks: tracker.tracks, moving: gate.moving }
        await sampler.look(
          frame,
          { ...facts, scoreMinOf: () => scoreMin },
          { bytes: canvas, view },
          { model: { name: model.name, version: 0, digest: model.digest }, masks: 0 },
        )
        await sampler.settle()
        const spent = process.cpuUsage(beforeCpu)
        if (kept > before && block >= warmBlocks) {
          // Counted apart: at this rate pictures come only in a bench.
          cpu.with -= (spent.user + spent.system) / 1000
        }
        if (kept > before) {
          pictures.count++
          pictures.cpuMs += (spent.user + spent.system) / 1000
        }
      }
      if (++count % blockFrames > 0) continue
      const { user, system } = process.cpuUsage(begun)
      if (block >= warmBlocks) cpu[isSampled ? 'with' : 'without'] += (user + system) / 1000
      begun = process.cpuUsage()
      if (block + 1 >= blocks + warmBlocks) break
    }
    const frames = (blocks / 2) * blockFrames
    const looking = cpu.with / cpu.without - 1
    const perPicture = pictures.cpuMs / Math.max(1, pictures.count)
    const picturesPerFrame = 200 / (86_400 * analysisFps)
    const keeping = (perPicture * picturesPerFrame) / (cpu.without / frames)
    const share = looking + keeping
    return {
      name: 'sampling-cost',
      rows: [
        {
          pipeline: 'without sampling',
          'CPU per frame': `${(cpu.without / frames).toFixed(2)} ms`,
        },
        { pipeline: 'with sampling', 'CPU per frame': `${(cpu.with / frames).toFixed(2)} ms` },
        { pipeline: 'a picture that is kept', 'CPU per frame': `${perPicture.toFixed(1)} ms` },
        {
          pipeline: 'more, with 200 pictures a day',
          'CPU per frame': `${(share * 100).toFixed(1)} %`,
        },
      ],
      json: { cpu, frames, looking, perPicture, keeping, share },
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
