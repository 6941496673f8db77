/**
 * A device that speaks the real protocol without a camera: it enrols, reports, numbers its events and
 * waits for them to be acknowledged, and sends live pictures while the hub asks for them.
 */
import { createHash, randomUUID } from 'node:crypto'
import { Agent } from 'node:https'
import { cpus } from 'node:os'
import {
  type Acknowledged,
  type ClipRequest,
  clipPartBytes,
  type Event,
  type EventBatch,
  encodeLiveFrame,
  type LiveHeader,
  type LiveRequest,
  type LogRequest,
  type Loss,
  type MessageName,
  messages,
  type NewEvent,
  type Reported,
  type ReportedStream,
  topicFor,
} from '@edgeloop/protocol'
import type { MqttClient } from 'mqtt'
import { LogRing } from '../../edge-agent/src/log/log-ring.ts'
import type { TestDevice } from '../hub/fixture.ts'
import type { Part } from './scene.ts'

export type Shot = {
  readonly jpeg: Uint8Array
  readonly parts: readonly Part[]
  /** Of the camera's frame, where it is not 1280 by 720. */
  readonly size?: { readonly width: number; readonly height: number }
}

/** What a stream's camera shows at its nth frame. */
export type Scene = (frame: number) => Promise<Shot>

export class SimulatedDevice implements AsyncDisposable {
  readonly deviceId: string
  /** What its agent says, for who asks. */
  readonly log = new LogRing()
  readonly #device: TestDevice
  readonly #bootId = randomUUID()
  readonly #scenes: ReadonlyMap<string, Scene>
  readonly #stop = new AbortController()
  readonly #sending = new Set<Promise<void>>()
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 4 })
  readonly #clips = new Map<string, Uint8Array>()
  readonly #live = new Map<string, { until: number; fpsMax: number }>()
  #client: MqttClient | undefined
  #sequence = 0
  #acknowledged = 0
  #waiting: (() => void)[] = []

  private constructor(device: TestDevice, scenes: ReadonlyMap<string, Scene>) {
    this.deviceId = device.deviceId
    this.#device = device
    this.#scenes = scenes
  }

  /** Connects and says that it is there. */
  static async open(
    device: TestDevice,
    scenes: ReadonlyMap<string, Scene> = new Map(),
  ): Promise<SimulatedDevice> {
    const simulated = new SimulatedDevice(device, scenes)
    await simulated.#connect()
    return simulated
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await Promise.allSettled(this.#sending)
    this.#agent.destroy()
    await this.#client?.endAsync(true)
  }

  async #connect(): Promise<void> {
    const client = await this.#device.connect({ reconnectPeriod: 200 })
    this.#client = client
    client.on('error', () => {}) // the hub may be restarting: mqtt tries again by itself
    client.on('message', (topic, payload) => this.#receive(topic, payload))
    const begin = async () => {
      const heard = ['acknowledged', 'liveRequest', 'logRequest', 'clipRequest'] as const
      await client.subscribeAsync(heard.map((name) => this.#topic(name)))
      await this.#publish('status', { state: 'online', at: now(), bootId: this.#bootId })
    }
    client.on('connect', () => void begin().catch(() => {}))
    await begin()
  }

  #topic(name: MessageName): string {
    return topicFor(name, this.#device)
  }

  async #publish(name: 'status' | 'reported' | 'events', payload: object): Promise<void> {
    const { qos, retain } = messages[name]
    await this.#client?.publishAsync(this.#topic(name), JSON.stringify(payload), { qos, retain })
  }

  /** Says which streams it runs. */
  async report(
    streams: readonly (Pick<ReportedStream, 'streamId'> & Partial<ReportedStream>)[],
    other: Partial<Reported> = {},
  ): Promise<void> {
    await this.#publish('reported', {
      at: now(),
      bootId: this.#bootId,
      startedAt: now(),
      agentVersion: '0.1.0',
      platform: 'linux x64',
      targets: ['any'],
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      memoryBytes: 8e9,
      configVersion: 0,
      models: [
        {
          name: 'demo-parts',
          digest: '0'.repeat(64),
          layout: 'yolox',
          labels: ['gear', 'bracket', 'washer', 'nut'],
          runtime: 'ort:cpu',
          measured: {
            at: '2026-01-01T00:00:00.000Z',
            runtimes: [
              { runtime: 'ort:webgpu', reason: 'there is no graphics processor' },
              { runtime: 'ort:cpu', medianMs: 4.96 },
            ],
          },
        },
      ],
      ...other,
      streams: streams.map((stream) => ({
        name: stream.streamId,
        source: 'demo:1',
        state: 'live',
        reason: '',
        since: now(),
        model: 'demo-parts',
        decoder: 'node-av',
        width: 1280,
        height: 720,
        ...stream,
      })),
    } satisfies Reported)
  }

  /** Reports events in order; resolves when the hub has stored them. */
  async tell(...events: (NewEvent | Omit<Loss, 'sequence' | 'through'>)[]): Promise<void> {
    const entries = events.map((event): Event => {
      this.#sequence++
      if (event.kind !== 'loss') return { ...event, sequence: this.#sequence } as Event
      const first = this.#sequence
      this.#sequence += event.aggregates + event.events + event.alarms - 1
      return { ...event, sequence: first, through: this.#sequence }
    })
    const through = this.#sequence
    await this.#publish('events', {
      bootId: this.#bootId,
      acknowledgedThrough: this.#acknowledged,
      entries,
    } satisfies EventBatch)
    while (this.#acknowledged < through) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /** Sends a JPEG under its digest, which it gives back. */
  async snapshot(jpeg: Uint8Array): Promise<string> {
    const digest = createHash('sha256').update(jpeg).digest('hex')
    const { status, text } = await this.#device.put(`/blobs/${digest}`, 'image/jpeg', jpeg)
    if (status !== 204) throw new Error(`Cannot send a snapshot: ${status} ${text}`)
    return digest
  }

  /** Has a clip from now on, which it sends when it is asked; gives its digest. */
  keepClip(video: Uint8Array): string {
    const digest = createHash('sha256').update(video).digest('hex')
    this.#clips.set(digest, video)
    return digest
  }

  async #sendClips({ act, clips }: ClipRequest): Promise<void> {
    if (act !== 'send') return
    for (const digest of clips) {
      const video = this.#clips.get(digest) ?? new Uint8Array()
      for (let from = 0; from < video.length; from += clipPartBytes) {
        const path = `/clips/${digest}/parts/${from}`
        const part = video.subarray(from, from + clipPartBytes)
        await this.#device.put(path, 'application/octet-stream', part, this.#agent)
      }
      const none = Buffer.from('{}')
      const path = `/clips/${digest}/gone`
      if (video.length === 0) await this.#device.put(path, 'application/json', none, this.#agent)
    }
  }

  /** Until when pictures are wanted of a stream, ms since the epoch; 0 when they are not. */
  wantedUntil(streamId: string): number {
    return this.#live.get(streamId)?.until ?? 0
  }

  #receive(topic: string, payload: Buffer): void {
    if (topic === this.#topic('acknowledged')) {
      const { bootId, through } = JSON.parse(payload.toString()) as Acknowledged
      if (bootId === this.#bootId) this.#acknowledged = Math.max(this.#acknowledged, through)
      for (const resolve of this.#waiting.splice(0)) resolve()
      return
    }
    if (topic === this.#topic('logRequest')) {
      const request = JSON.parse(payload.toString()) as LogRequest
      const answer = Buffer.from(JSON.stringify(this.log.read(request, this.#bootId)))
      const path = `/log-answers/${request.requestId}`
      void this.#device.put(path, 'application/json', answer, this.#agent).catch(() => {})
      return
    }
    if (topic === this.#topic('clipRequest')) {
      void this.#sendClips(JSON.parse(payload.toString()) as ClipRequest).catch(() => {})
      return
    }
    const { until, streams } = JSON.parse(payload.toString()) as LiveRequest
    const wanted = new Map(streams.map((stream) => [stream.streamId, stream]))
    for (const streamId of this.#scenes.keys()) {
      const want = wanted.get(streamId)
      const before = this.#live.get(streamId)
      this.#live.set(streamId, { until: want ? Date.parse(until) : 0, fpsMax: want?.fpsMax ?? 1 })
      if (want && (before?.until ?? 0) <= Date.now()) this.#sendLive(streamId)
    }
  }

  #sendLive(streamId: string): void {
    const sending = this.#streamLive(streamId)
      .catch(() => {}) // a hub that is away gets the next picture
      .finally(() => this.#sending.delete(sending))
    this.#sending.add(sending)
  }

  async #streamLive(streamId: string): Promise<void> {
    const scene = this.#scenes.get(streamId)
    if (!scene) return
    for (let frame = 0; !this.#stop.signal.aborted; frame++) {
      const want = this.#live.get(streamId)
      if (!want || want.until <= Date.now()) return
      const { jpeg, parts, size = { width: 1280, height: 720 } } = await scene(frame)
      const header: LiveHeader = {
        deviceId: this.deviceId,
        streamId,
        frame,
        at: now(),
        ...size,
        detections: parts.map(({ label, score, box }) => ({ label, score, box: [...box] })),
      }
      const bytes = encodeLiveFrame(header, jpeg)
      const path = `/streams/${streamId}/picture`
      await this.#device.put(path, 'application/octet-stream', bytes, this.#agent)
      await new Promise((resolve) => setTimeout(resolve, 1000 / Math.min(want.fpsMax, 5)))
    }
  }
}

const now = (): string => new Date().toISOString()
