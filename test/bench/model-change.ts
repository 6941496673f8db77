/**
 * How long cameras are without detections when a box changes its model: two rendered cameras on one media process, and the model
 * changed for another file (the same net with a note in it) and back, as an update and a rollback do.
 * `npm run bench -- model-change [--changes N] [--fps N]`
 */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import pino from 'pino'
import { demoModel } from '../../edge-agent/src/demo/demo-model.ts'
import { MediaFleet } from '../../edge-agent/src/media/media-fleet.ts'
import { readDescription } from '../../edge-agent/src/models/description-file.ts'
import { FleetModelHost } from '../../edge-agent/src/update/fleet-model-host.ts'
import { candidateOf } from '../updates/candidate.ts'
import type { Bench } from './bench.ts'

/** Until both cameras are looked at; their clips are drawn before that. */
const startMs = 300_000
/** Figures come so often, and a change is watched for so many of them. */
const intervalMs = 1000
const watchedIntervals = 5

export const bench: Bench = async ({ args, signal: stop }) => {
  const { values } = parseArgs({
    args,
    options: {
      changes: { type: 'string', default: '10' },
      fps: { type: 'string', default: '10' },
    },
  })
  const [changes, analysisFps] = [Number(values.changes), Number(values.fps)]
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-bench-change-'))
  const over = new AbortController()
  const signal = AbortSignal.any([stop, over.signal])
  const folders = ['snapshots', 'cache', 'samples', 'clips'].map((name) => join(folder, name))
  const [snapshotFolder, cacheFolder, sampleFolder, clipFolder] = folders as [
    ...[string, string, string, string],
  ]
  for (const one of folders) await mkdir(one)
  const log = pino({ level: 'silent' })
  const clocks = { now: Date.now, monotonicMs: () => performance.now() }
  const seenStreams = new Set<string>()
  let longestMs = 0
  let fleet: MediaFleet | undefined
  try {
    await using host = await FleetModelHost.open({
      configured: [{ ...demoModel, runtime: 'ort:cpu' }],
      delivered: [],
      dataDir: folder,
      cacheFolder,
      log,
      signal,
      ...clocks,
    })
    fleet = new MediaFleet({
      module: new URL('../../edge-agent/src/media/media-process.ts', import.meta.url),
      start: {
        deviceId: 'box',
        snapshotFolder,
        cacheFolder,
        sampleFolder,
        clipFolder,
        models: host.sources,
        heartbeatIntervalMs: 500,
        figuresIntervalMs: intervalMs,
      },
      only: demoModel.name,
      processesMax: 1,
      streamsPerProcess: 2,
      heartbeatTimeoutMs: 60_000,
      record: async () => 1,
      onSnapshot: () => {},
      onClip: () => {},
      onLive: () => {},
      onSeen: (block) => {
        seenStreams.add(block.streamId)
        longestMs = Math.max(longestMs, block.gapMs)
        host.saw(block)
      },
      onDown: (code, streams) => host.fell(code, streams),
      onChange: () => {},
      log,
      random: Math.random,
      signal,
      ...clocks,
    })
    host.join(fleet)
    const camera = { analysisFps, motionGate: { enabled: false } }
    fleet.setStreams([
      { streamId: 'a', source: 'demo:1', ...camera },
      { streamId: 'b', source: 'demo:2', ...camera },
    ])
    const deadline = performance.now() + startMs
    while (seenStreams.size < 2) {
      if (performance.now() > deadline) throw new Error('Cannot measure: no camera is looked at')
      await sleep(200, undefined, { signal })
    }
    const longest = async (): Promise<number> => {
      longestMs = 0
      await sleep(watchedIntervals * intervalMs, undefined, { signal })
      return longestMs
    }
    const bytes = await readFile(demoModel.file)
    const { layout = '', labels } = await readDescription(demoModel.file)
    const description = await readFile(demoModel.file.replace(/onnx$/, 'model.yaml'), 'utf8')
    // A note in its metadata (metadata_props, field 14 of ModelProto).
    const note = Buffer.from([0x72, 0x06, 0x0a, 0x01, 0x6b, 0x12, 0x01, 0x76])
    const other = await candidateOf(join(folder, 'slot'), Buffer.concat([bytes, note]), {
      name: demoModel.name,
      version: 2,
      layout,
      description,
      labels: Array.isArray(labels) ? labels : [],
    })
    const calmMs = await longest()
    const gaps: number[] = []
    for (let change = 0; change < changes; change++) {
      const watching = longest()
      await host.activate(demoModel.name, change % 2 === 0 ? other : undefined, signal)
      gaps.push(await watching)
    }
    const sorted = gaps.toSorted((a, b) => a - b)
    const [medianMs, worstMs] = [sorted[sorted.length >> 1] ?? 0, sorted.at(-1) ?? 0]
    const figure = (what: string, ms: number) => ({ what, ms: Math.round(ms) })
    return {
      name: 'model-change',
      rows: [
        figure('between two frames of a camera, as asked for', 1000 / analysisFps),
        figure('longest time between two answers, without a change', calmMs),
        figure(`the same around a change, median of ${changes}`, medianMs),
        figure('the same, at worst (aim: at most 1000)', worstMs),
      ],
      json: { changes, analysisFps, calmMs, gapsMs: gaps, medianMs, worstMs, aimMs: 1000 },
    }
  } finally {
    over.abort(new Error('the bench is over'))
    await fleet?.done()
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}
