/**
 * What the agent costs and how fast it is, on real parts: cameras in one process, a hub in this one, the
 * agent in its own. Its CPU is compared with the physical limit, measured in turns within the same run.
 */
import { type ChildProcess, execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { type Hub, openHub, readHubConfig } from '@edgeloop/cloud-hub'
import { enrol } from '@edgeloop/edge-agent'
import supervisorNode from '@edgeloop/edge-agent/supervisor-node.json' with { type: 'json' }
import type { Change, Event, StoredEvent, StreamConfig } from '@edgeloop/protocol'
import { pino } from 'pino'
import { readServerSentEvents } from '../../cli/src/server-sent-events.ts'
import { cpuBetween, measureProcesses } from '../../edge-agent/src/health/processes.ts'
import { material } from '../require.ts'
import { makeClip } from '../rtsp/make-clip.ts'
import type { LimitResult, LimitTask } from './agent-limit.ts'
import type { BenchResult } from './bench.ts'

const analysisFps = 5
/** As shipped. Windows begin and end with a health event, so that CPU and figures speak of the same time. */
const healthIntervalMs = 10_000
/** Time for streams to connect, code to be compiled and the first tracks to be pictured. */
const warmUpMs = 6_000

/** What `npm run bench -- agent` measures; see the head of the file. */
export async function bench(options: {
  args: string[]
  signal: AbortSignal
}): Promise<BenchResult> {
  const { values } = parseArgs({
    args: options.args,
    options: {
      // Twice the clip's length: as much stillness as traffic, wherever the window begins.
      seconds: { type: 'string', default: '40' },
      rounds: { type: 'string', default: '3' },
      only: { type: 'string', default: 'limit,eight,memory' },
    },
  })
  const seconds = Number(values.seconds)
  const model = join(material, 'models/yolox_nano_416.onnx')
  if (!existsSync(model)) throw new Error(`Cannot run the agent bench: there is no "${model}"`)
  const parts = values.only.split(',')
  await using site = await Site.open(model)
  const rows: BenchResult['rows'][number][] = []
  const json: Record<string, unknown> = {}
  const add = (part: Part): void => {
    rows.push(...part.rows)
    Object.assign(json, part.json)
  }
  if (parts.includes('limit')) add(await againstLimit(site, seconds, Number(values.rounds)))
  if (parts.includes('eight') && !options.signal.aborted) add(await eightStreams(site, seconds))
  if (parts.includes('memory') && !options.signal.aborted) add(await memoryOfStreams(site))
  return { name: 'agent', rows, json }
}

type Part = { rows: BenchResult['rows'][number][]; json: Record<string, unknown> }

/** One 720p30 camera, gated, against the limit; in turns, so that both meet the same machine. */
async function againstLimit(site: Site, seconds: number, rounds: number): Promise<Part> {
  const clip = await streetClip()
  const camera = await site.camera(clip)
  const measured: { agent: Window; paced: LimitResult; unpaced: LimitResult }[] = []
  for (let round = 0; round < rounds; round++) {
    const agent = await site.measure([{ streamId: 'street', source: camera, analysisFps }], seconds)
    const task = { model: site.model, seconds, analysisFps }
    const limit = { ...task, inferencesPerSecond: Math.min(analysisFps, agent.analysedFps) }
    measured.push({
      agent,
      paced: await runLimit({ ...limit, source: camera }),
      unpaced: await runLimit({ ...limit, source: clip }),
    })
  }
  const agentMs = median(measured.map(({ agent }) => agent.cpuMsPerSecond))
  const pacedMs = median(measured.map(({ paced }) => paced.cpuMsPerStreamSecond))
  const unpacedMs = median(measured.map(({ unpaced }) => unpaced.cpuMsPerStreamSecond))
  const ratios = measured.map(
    ({ agent, paced }) => agent.cpuMsPerSecond / paced.cpuMsPerStreamSecond,
  )
  const inferred = median(measured.map(({ agent }) => agent.analysedFps))
  const latencies = measured.flatMap(({ agent }) => agent.latencies)
  const commitMs = quantile(
    latencies.map(({ committedMs }) => committedMs),
    0.95,
  )
  const browserMs = quantile(
    latencies.map(({ seenMs }) => seenMs),
    0.95,
  )
  const memory = median(measured.map(({ agent }) => agent.memoryBytes))
  const what = '720p30 H.264 by RTSP, 5 looked at/s, gated, YOLOX-nano 416'
  return {
    rows: [
      { what: `agent: ${what}`, figure: 'CPU ms per stream-second', value: round(agentMs) },
      {
        what: 'limit, from the same camera',
        figure: 'CPU ms per stream-second',
        value: round(pacedMs),
      },
      {
        what: 'limit, from a file as fast as it goes',
        figure: 'CPU ms per stream-second',
        value: round(unpacedMs),
      },
      {
        what: 'agent ÷ limit (median of rounds)',
        figure: 'ratio, ≤ 1.25',
        value: round(median(ratios)),
      },
      { what: 'frames through the model', figure: 'per second', value: round(inferred) },
      {
        what: 'capture to commit in the hub',
        figure: `p95 ms of ${latencies.length} events, ≤ 500`,
        value: round(commitMs),
      },
      {
        what: 'capture to browser (server-sent event)',
        figure: 'p95 ms, ≤ 1000',
        value: round(browserMs),
      },
      { what: 'memory with one 720p stream', figure: 'PSS MB, ≤ 300', value: round(memory / 1e6) },
      {
        what: 'supervisor’s loop',
        figure: 'p99 ms, ≤ 20',
        value: round(Math.max(...measured.map(({ agent }) => agent.loopP99Ms))),
      },
    ],
    json: {
      limitRatio: round(median(ratios)),
      limitRatioUnpaced: round(agentMs / unpacedMs),
      agentCpuMs: round(agentMs),
      limitCpuMs: round(pacedMs),
      limitUnpacedCpuMs: round(unpacedMs),
      ratios: ratios.map(round),
      inferencesPerSecond: round(inferred),
      captureToCommitP95Ms: round(commitMs),
      captureToBrowserP95Ms: round(browserMs),
      memoryBytes: memory,
    },
  }
}

/** Eight live cameras of 360p in one agent. */
async function eightStreams(site: Site, seconds: number): Promise<Part> {
  const clip = await makeClip({ width: 640, height: 360, fps: 30, seconds: 10 })
  const camera = await site.camera(clip)
  const streams = Array.from({ length: 8 }, (_, i) => ({
    streamId: `camera-${i + 1}`,
    source: camera,
    analysisFps,
  }))
  const window = await site.measure(streams, seconds)
  const slowest = Math.min(...window.inputFps.values())
  return {
    rows: [
      {
        what: 'eight 360p30 streams by RTSP',
        figure: 'input fps of the slowest',
        value: round(slowest),
      },
      {
        what: 'eight 360p30 streams by RTSP',
        figure: 'CPU ms per second, all',
        value: round(window.cpuMsPerSecond),
      },
      {
        what: 'eight streams: frames through the model',
        figure: 'per second, all',
        value: round(window.analysedFps),
      },
      { what: 'eight streams: dropped before the model', figure: 'frames', value: window.dropped },
      {
        what: 'eight streams: supervisor’s loop',
        figure: 'p99 ms, ≤ 20',
        value: round(window.loopP99Ms),
      },
      { what: 'eight streams: memory', figure: 'PSS MB', value: round(window.memoryBytes / 1e6) },
    ],
    json: {
      eightStreamsInputFpsMin: round(slowest),
      eightStreamsCpuMs: round(window.cpuMsPerSecond),
      eightStreamsLoopP99Ms: round(window.loopP99Ms),
      eightStreamsMemoryBytes: window.memoryBytes,
      eightStreamsDropped: window.dropped,
    },
  }
}

/** What each further 720p stream adds to the memory of all processes. */
async function memoryOfStreams(site: Site): Promise<Part> {
  const camera = await site.camera(await streetClip())
  const memory: number[] = []
  for (const count of [1, 4]) {
    const streams = Array.from({ length: count }, (_, i) => ({
      streamId: `camera-${i + 1}`,
      source: camera,
      analysisFps,
    }))
    memory.push((await site.measure(streams, 20)).memoryBytes)
  }
  const [one = 0, four = 0] = memory
  const further = (four - one) / 3
  return {
    rows: [
      { what: 'memory with one 720p stream', figure: 'PSS MB, ≤ 300', value: round(one / 1e6) },
      { what: 'each further 720p stream', figure: 'PSS MB, ≤ 15', value: round(further / 1e6) },
    ],
    json: { memoryOneStreamBytes: one, memoryFurtherStreamBytes: Math.round(further) },
  }
}

/** What was measured of an agent over some seconds. */
type Window = {
  readonly cpuMsPerSecond: number
  readonly memoryBytes: number
  readonly analysedFps: number
  readonly inputFps: ReadonlyMap<string, number>
  readonly dropped: number
  readonly loopP99Ms: number
  readonly latencies: readonly { committedMs: number; seenMs: number }[]
}

/** A hub, the cameras of the bench, and one enrolled agent at a time. */
export class Site implements AsyncDisposable {
  readonly model: string
  readonly #folder: string
  readonly #hub: Hub
  readonly #token: string
  readonly #children: ChildProcess[] = []
  #devices = 0

  static async open(model: string): Promise<Site> {
    const folder = await mkdtemp(join(tmpdir(), 'edgeloop-bench-'))
    const config = readHubConfig({
      dataDir: join(folder, 'hub'),
      browser: { port: 0 },
      device: { port: 0 },
      mqtt: { port: 0 },
    })
    await mkdir(join(folder, 'hub'))
    const hub = await openHub(config, { log: pino({ level: 'error' }, pino.destination(2)) })
    const token = (await readFile(hub.localTokenFile, 'utf8')).trim()
    return new Site(model, folder, hub, token)
  }

  private constructor(model: string, folder: string, hub: Hub, token: string) {
    this.model = model
    this.#folder = folder
    this.#hub = hub
    this.#token = token
  }

  /** Serves a clip as a live camera; gives its address. */
  async camera(clip: string): Promise<string> {
    const child = fork(new URL('./agent-cameras.ts', import.meta.url), [clip])
    this.#children.push(child)
    const [{ url }] = (await once(child, 'message')) as [{ url: string }]
    return url
  }

  /** Runs a fresh agent with these streams, and measures it for some seconds after it has settled. */
  async measure(streams: readonly StreamConfig[], seconds: number): Promise<Window> {
    const deviceId = `box-${++this.#devices}`
    const dataDir = join(this.#folder, deviceId)
    await mkdir(dataDir)
    const offer = await this.#api<Record<'token' | 'caFingerprint' | 'deviceUrl', string>>(
      ...(['POST', '/api/enrolment-tokens', { deviceId }] as const),
    )
    await enrol({ ...offer, folder: dataDir, signal: AbortSignal.timeout(10_000) })
    await this.#api('PUT', `/api/devices/${deviceId}/desired`, { version: 0, config: { streams } })
    const settings = {
      models: [{ name: 'yolox', file: this.model, layout: 'yolox', labels: 'coco' }],
      health: { intervalMs: healthIntervalMs },
    }
    const agent = fork(
      new URL('./agent-box.ts', import.meta.url),
      [dataDir, JSON.stringify(settings)],
      { execArgv: supervisorNode.flags, env: { ...process.env, ...supervisorNode.env } },
    )
    const stopped = once(agent, 'exit')
    using seen = await this.#watch(deviceId)
    try {
      await this.#untilLive(deviceId, streams.length)
      await sleep(warmUpMs)
      const [first] = await this.#untilHealth(deviceId, new Date(), 1)
      const before = await measureProcesses([agent.pid ?? 0])
      const startedAt = performance.now()
      const count = Math.max(1, Math.round((seconds * 1000) / healthIntervalMs))
      const health = await this.#untilHealth(deviceId, new Date(first?.at ?? 0), count)
      const after = await measureProcesses([agent.pid ?? 0])
      const elapsed = (performance.now() - startedAt) / 1000
      const figures = health.flatMap((event) => event.streams)
      const fpsOf = (id: string): number =>
        mean(figures.filter(({ streamId }) => streamId === id).map(({ inputFps }) => inputFps))
      return {
        cpuMsPerSecond: cpuBetween(before, after) / elapsed,
        memoryBytes: after.memoryBytes,
        analysedFps:
          figures.reduce((sum, f) => sum + f.analysedFps, 0) / Math.max(1, health.length),
        inputFps: new Map(streams.map(({ streamId }) => [streamId, fpsOf(streamId)])),
        dropped: figures.reduce((sum, { dropped }) => sum + dropped, 0),
        loopP99Ms: Math.max(0, ...health.map(({ loopP99Ms }) => loopP99Ms)),
        latencies: seen.latencies,
      }
    } finally {
      agent.kill('SIGTERM')
      await stopped
    }
  }

  /** Listens as a browser does, and notes when it hears of what the device saw. */
  async #watch(deviceId: string) {
    const abort = new AbortController()
    const latencies: { committedMs: number; seenMs: number }[] = []
    const reply = await fetch(`${this.#hub.urls.browser}/api/changes`, {
      headers: { authorization: `Bearer ${this.#token}` },
      signal: abort.signal,
    })
    const listen = async (): Promise<void> => {
      if (!reply.body) return
      for await (const { data } of readServerSentEvents(reply.body)) {
        const change = JSON.parse(data) as Change
        if (change.kind !== 'event') continue
        const { event } = change
        if (event.deviceId !== deviceId || event.kind !== 'appeared') continue
        const at = Date.parse(event.at)
        const committedMs = Date.parse(event.receivedAt) - at
        latencies.push({ committedMs, seenMs: Date.now() - at })
      }
    }
    void listen().catch(() => {})
    return { latencies, [Symbol.dispose]: () => abort.abort() }
  }

  async #untilLive(deviceId: string, count: number): Promise<void> {
    const deadline = Date.now() + 60_000
    for (;;) {
      const { device } = await this.#api<{ device: { streamsLive: number } }>(
        ...(['GET', `/api/devices/${deviceId}`] as const),
      )
      if (device.streamsLive >= count) return
      if (Date.now() > deadline) {
        throw new Error(
          `Cannot measure: ${device.streamsLive} of ${count} streams are live after 60 s`,
        )
      }
      await sleep(200)
    }
  }

  /** Waits until the device has reported its health `count` times after `since`, and gives those reports. */
  async #untilHealth(deviceId: string, since: Date, count: number) {
    const from = new Date(since.getTime() + 1).toISOString()
    const query = `device=${deviceId}&kind=health&from=${from}&limit=500`
    const deadline = Date.now() + (count + 1) * healthIntervalMs + 10_000
    for (;;) {
      const { events } = await this.#api<{ events: StoredEvent[] }>('GET', `/api/events?${query}`)
      if (events.length >= count) {
        return events.map(({ data }) => data as Extract<Event, { kind: 'health' }>)
      }
      if (Date.now() > deadline) {
        throw new Error(`Cannot measure: ${events.length} of ${count} health events have come`)
      }
      await sleep(100)
    }
  }

  async #api<T>(method: string, path: string, body?: unknown): Promise<T> {
    const reply = await fetch(this.#hub.urls.browser + path, {
      method,
      headers: { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    if (!reply.ok)
      throw new Error(`Cannot ${method} ${path}: ${reply.status} ${await reply.text()}`)
    return (await reply.json()) as T
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) child.disconnect()
    await this.#hub[Symbol.asyncDispose]()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

const run = promisify(execFile)

async function runLimit(task: LimitTask): Promise<LimitResult> {
  const program = fileURLToPath(new URL('./agent-limit.ts', import.meta.url))
  const { stdout } = await run(process.execPath, [program, JSON.stringify(task)], {
    // As in the agent: reports to the library's vendor are no part of the limit.
    env: { ...process.env, ORT_DISABLE_TELEMETRY: '1' },
  })
  return JSON.parse(stdout) as LimitResult
}

/**
 * A street camera at 720p30: ten seconds in which nothing moves but the sensor's noise, ten of traffic.
 * Made once of the clip in ../shared/material by ffmpeg, at 2 Mb/s without B-frames, as cameras send it.
 */
async function streetClip(): Promise<string> {
  const folder = fileURLToPath(new URL('../../node_modules/.cache/edgeloop/bench', import.meta.url))
  const file = join(folder, 'street-720p30-v1.mp4')
  if (existsSync(file)) return file
  await mkdir(folder, { recursive: true })
  const source = join(material, 'clips/vehicle-counting.mp4')
  const size = 'scale=1280:720'
  const filter = [
    `[0:v]trim=start_frame=0:end_frame=1,loop=loop=299:size=1:start=0,setpts=N/30/TB,${size}[still]`,
    `[0:v]trim=0:10,setpts=PTS-STARTPTS,fps=30,${size}[moving]`,
    '[still][moving]concat=n=2:v=1,noise=alls=4:allf=t,format=yuv420p[out]',
  ].join(';')
  const part = `${file}.part.mp4`
  await run('ffmpeg', [
    ...['-hide_banner', '-loglevel', 'error', '-y', '-i', source, '-filter_complex', filter],
    ...['-map', '[out]', '-c:v', 'libx264', '-profile:v', 'main', '-preset', 'veryfast'],
    ...['-b:v', '2M', '-maxrate', '2M', '-bufsize', '4M', '-bf', '0', '-g', '60', '-r', '30', part],
  ])
  await rename(part, file)
  return file
}

const round = (value: number): number => Math.round(value * 100) / 100
const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
const median = (values: readonly number[]): number => quantile(values, 0.5)

/** The smallest value that `share` of the values do not exceed; 0 without values. */
function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0
}
