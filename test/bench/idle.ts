/**
 * What a still scene costs: 720p30 cameras in front of which only the sensor's noise moves, in one agent
 * that decodes key frames only and in one that decodes everything, in turns on the same machine.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { material } from '../require.ts'
import { Site } from './agent.ts'
import type { BenchResult } from './bench.ts'

const analysisFps = 5
/** Cameras in one agent, which share what the agent costs by itself. */
const cameras = 5

/** What is compared: seconds between key frames, and what the streams allow. */
const cases = [
  { key: 'everySecond', keySeconds: 1, idleLatencyMaxMs: 1200 },
  { key: 'everyTwoSeconds', keySeconds: 2, idleLatencyMaxMs: 2200 },
  { key: 'everything', keySeconds: 2, idleLatencyMaxMs: 0 },
] as const

/** What `npm run bench -- idle` measures; see the head of the file. */
export async function bench(options: {
  args: string[]
  signal: AbortSignal
}): Promise<BenchResult> {
  const { values } = parseArgs({
    args: options.args,
    options: {
      seconds: { type: 'string', default: '10' },
      rounds: { type: 'string', default: '3' },
    },
  })
  const model = join(material, 'models/yolox_nano_416.onnx')
  if (!existsSync(model)) throw new Error(`Cannot run the idle bench: there is no "${model}"`)
  await using site = await Site.open(model)
  const sources = {
    1: await site.camera(await stillClip(1)),
    2: await site.camera(await stillClip(2)),
  }
  const measured = { everySecond: [], everyTwoSeconds: [], everything: [] } as Record<
    (typeof cases)[number]['key'],
    number[]
  >
  /** A scene in which the detector is undecided is looked at, still or not: that is seen here. */
  const analysed: typeof measured = { everySecond: [], everyTwoSeconds: [], everything: [] }
  for (let round = 0; round < Number(values.rounds) && !options.signal.aborted; round++) {
    for (const { key, keySeconds, idleLatencyMaxMs } of cases) {
      const streams = Array.from({ length: cameras }, (_, i) => ({
        streamId: `camera-${i + 1}`,
        source: sources[keySeconds],
        analysisFps,
        idleLatencyMaxMs,
      }))
      const window = await site.measure(streams, Number(values.seconds))
      measured[key].push(rounded(window.cpuMsPerSecond / cameras))
      analysed[key].push(rounded(window.analysedFps / cameras))
    }
  }
  const figure = 'CPU ms per stream-second, whole agent'
  const what = `${cameras} still 720p30 cameras by RTSP`
  const says = {
    everySecond: 'key frames only, one each second (default)',
    everyTwoSeconds: 'key frames only, one every 2 s (idleLatencyMaxMs 2200)',
    everything: 'everything decoded',
  }
  return {
    name: 'idle',
    rows: cases.map(({ key }) => ({
      what: `${what}: ${says[key]}`,
      figure: key === 'everything' ? figure : `${figure}, ≤ 8`,
      value: median(measured[key]),
      'through the model per second': median(analysed[key]),
    })),
    json: {
      everySecondCpuMs: median(measured.everySecond),
      everyTwoSecondsCpuMs: median(measured.everyTwoSeconds),
      everythingCpuMs: median(measured.everything),
      rounds: measured,
      analysed,
    },
  }
}

/** Twenty seconds of a street in which nothing moves but the noise, at 2 Mb/s. */
async function stillClip(keySeconds: number): Promise<string> {
  const folder = fileURLToPath(new URL('../../node_modules/.cache/edgeloop/bench', import.meta.url))
  const file = join(folder, `still-720p30-key${keySeconds}-v1.mp4`)
  if (existsSync(file)) return file
  await mkdir(folder, { recursive: true })
  const filter =
    'trim=start_frame=0:end_frame=1,loop=loop=599:size=1:start=0,setpts=N/30/TB,scale=1280:720,' +
    'noise=alls=4:allf=t,format=yuv420p'
  const source = join(material, 'clips/vehicle-counting.mp4')
  const part = `${file}.part.mp4`
  await promisify(execFile)('ffmpeg', [
    ...['-hide_banner', '-loglevel', 'error', '-y', '-i', source],
    ...['-an', '-vf', filter, '-c:v', 'libx264', '-profile:v', 'main', '-preset', 'veryfast'],
    ...[
      '-b:v',
      '2M',
      '-maxrate',
      '2M',
      '-bufsize',
      '4M',
      '-bf',
      '0',
      '-g',
      String(30 * keySeconds),
      '-r',
      '30',
      part,
    ],
  ])
  await rename(part, file)
  return file
}

const rounded = (value: number): number => Math.round(value * 100) / 100

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.ceil(sorted.length / 2) - 1] ?? 0
}
