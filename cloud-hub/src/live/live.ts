/**
 * Live pictures from devices to whoever looks: only the newest frame of a stream is kept, a slow viewer
 * loses frames and not time, and a device sends pictures only while somebody wants them. Wants are leases:
 * when the hub goes silent, devices stop by themselves.
 */
import {
  decodeLiveFrame,
  type LiveHeader,
  LiveHeader as LiveHeaderSchema,
  type LiveRequest,
  type LiveWant,
  type PictureAbsent,
  Refusal,
} from '@edgeloop/protocol'
import { parse } from '@edgeloop/protocol/check'
import type { Device } from '../devices/device.ts'
import type { Fleet } from '../devices/fleet.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { mergeWants, type Want } from './wants.ts'

/** How long a device goes on without hearing from us, and how often it does. */
export const leaseMs = 30_000
export const renewIntervalMs = 10_000
/** A viewer with more than this unsent gets no frame until it has caught up. */
export const unsentBytesMax = 512 * 1024
/** A frame younger than this answers a request for a picture. */
const freshMs = 3000
/** How long a request for a picture waits for a device to send one. */
const pictureWaitMs = 3000
/** Bytes of newest frames kept, one per stream; the one that was replaced longest ago gives way. */
const framesBytesMax = 64 * 1024 * 1024
/** Viewers at once; the next is refused. */
export const viewersMax = 200

/** Where frames go: one open WebSocket. */
export type Viewer = {
  send(bytes: Uint8Array): void
  unsentBytes(): number
}

export type Live = Disposable & {
  /**
   * Takes a frame from a device.
   * @throws {Refusal} badRequest when it is no live frame, or not of this device and stream
   */
  receive(device: Device, streamId: string, bytes: Uint8Array): void
  /** Lets a viewer in; `want` says what it looks at, whole, whenever that changes. */
  enter(viewer: Viewer): { want(want: LiveWant): void; leave(): void }
  /**
   * The newest frame of a stream; asks the device for one where none is fresh. Says why where there is none:
   * a device that is away is no failure of the hub.
   */
  picture(
    device: Device,
    streamId: string,
    signal: AbortSignal,
  ): Promise<Uint8Array | PictureAbsent>
  readonly viewers: number
}

type Frame = { readonly bytes: Uint8Array; readonly receivedAt: number }
type Looking = { readonly viewer: Viewer; wants: Map<string, Want>; sentAt: Map<string, number> }

export function openLive(deps: {
  fleet: Fleet
  clock: () => number
  metrics: Metrics
  request: (device: Device, request: LiveRequest) => void
}): Live {
  const { fleet, clock, metrics } = deps
  const frames = new Map<string, Frame>()
  let framesBytes = 0
  const looking = new Set<Looking>()
  const waiting = new Map<string, Set<(frame: Frame) => void>>()
  /** Single pictures that somebody waits for, until when. */
  const glances = new Map<string, { want: Want; until: number }>()
  const asked = new Map<string, string>()

  const timer = setInterval(() => renew(true), renewIntervalMs)

  /** Tells every device what is wanted of it, where that changed or the lease must be renewed. */
  function renew(all: boolean): void {
    const now = clock()
    for (const [key, { until }] of glances) if (until <= now) glances.delete(key)
    const wants = [...looking].flatMap((one) => [...one.wants.values()])
    const byDevice = mergeWants([...wants, ...[...glances.values()].map(({ want }) => want)])
    for (const [deviceId, streams] of byDevice) {
      const device = fleet.find(deviceId)
      const text = JSON.stringify(streams)
      if (!device?.online || (!all && asked.get(deviceId) === text)) continue
      asked.set(deviceId, text)
      deps.request(device, { until: new Date(now + leaseMs).toISOString(), streams })
    }
    for (const deviceId of asked.keys()) {
      if (byDevice.has(deviceId)) continue
      asked.delete(deviceId)
      const device = fleet.find(deviceId)
      if (device) deps.request(device, { until: new Date(now).toISOString(), streams: [] })
    }
  }

  function receive(device: Device, streamId: string, bytes: Uint8Array): void {
    const header = readHeader(bytes)
    if (header.deviceId !== device.deviceId || header.streamId !== streamId) {
      throw new Refusal(
        'badRequest',
        `Cannot take a frame of "${header.deviceId}/${header.streamId}" from ` +
          `"${device.deviceId}/${streamId}": a device sends its own pictures`,
      )
    }
    const key = keyOf(device.deviceId, streamId)
    const frame = { bytes, receivedAt: clock() }
    forget(key)
    frames.set(key, frame)
    framesBytes += bytes.length
    for (const oldest of frames.keys()) {
      if (framesBytes <= framesBytesMax) break
      forget(oldest)
    }
    for (const one of looking) show(one, key, frame)
    for (const take of waiting.get(key) ?? []) take(frame)
    waiting.delete(key)
  }

  function forget(key: string): void {
    framesBytes -= frames.get(key)?.bytes.length ?? 0
    frames.delete(key)
  }

  function show(one: Looking, key: string, { bytes, receivedAt }: Frame): void {
    const want = one.wants.get(key)
    if (!want) return
    // A tenth of slack: frames that come a little early are not every second one lost.
    const intervalMs = 900 / want.fpsMax
    if (receivedAt - (one.sentAt.get(key) ?? 0) < intervalMs) return
    if (one.viewer.unsentBytes() > unsentBytesMax) {
      metrics.liveFrames.inc({ result: 'dropped' })
      return
    }
    one.sentAt.set(key, receivedAt)
    one.viewer.send(bytes)
    metrics.liveFrames.inc({ result: 'sent' })
  }

  function enter(viewer: Viewer): ReturnType<Live['enter']> {
    if (looking.size >= viewersMax) {
      throw new Refusal(
        'unavailable',
        `Cannot show live pictures: ${viewersMax} viewers look already`,
      )
    }
    const one: Looking = { viewer, wants: new Map(), sentAt: new Map() }
    looking.add(one)
    return {
      want: ({ want }) => {
        const before = one.wants
        one.wants = new Map(want.map((w) => [keyOf(w.deviceId, w.streamId), w]))
        // What is there already is shown at once, before the device has heard of it.
        for (const key of one.wants.keys()) {
          const frame = frames.get(key)
          if (frame && !before.has(key)) show(one, key, frame)
        }
        renew(false)
      },
      leave: () => {
        looking.delete(one)
        renew(false)
      },
    }
  }

  const picture: Live['picture'] = async (device, streamId, signal) => {
    const key = keyOf(device.deviceId, streamId)
    const kept = frames.get(key)
    if (kept && clock() - kept.receivedAt < freshMs) return kept.bytes
    if (device.online) {
      const want = { deviceId: device.deviceId, streamId, widthMax: 640, fpsMax: 1 }
      glances.set(key, { want, until: clock() + renewIntervalMs })
      const next = nextFrame(key, signal)
      renew(false)
      const frame = await next
      if (frame) return frame.bytes
    }
    // An old picture says its age in its header; better than none.
    if (kept) return kept.bytes
    const why = device.online ? 'the device sent none' : 'the device is not connected'
    const reason = `There is no picture of "${streamId}": ${why}`
    return { state: device.online ? 'silent' : 'offline', reason }
  }

  function nextFrame(key: string, signal: AbortSignal): Promise<Frame | undefined> {
    const { promise, resolve } = Promise.withResolvers<Frame | undefined>()
    const takers = waiting.get(key) ?? new Set()
    waiting.set(key, takers.add(resolve))
    const timeout = setTimeout(finish, pictureWaitMs)
    signal.addEventListener('abort', finish, { once: true })
    function finish() {
      takers.delete(resolve)
      if (takers.size === 0 && waiting.get(key) === takers) waiting.delete(key)
      resolve(undefined)
    }
    return promise.finally(() => {
      clearTimeout(timeout)
      signal.removeEventListener('abort', finish)
    })
  }

  return {
    receive,
    enter,
    picture,
    get viewers() {
      return looking.size
    },
    [Symbol.dispose]: () => clearInterval(timer),
  }
}

const keyOf = (deviceId: string, streamId: string): string => `${deviceId}/${streamId}`

function readHeader(bytes: Uint8Array): LiveHeader {
  try {
    const { header, jpeg } = decodeLiveFrame(bytes)
    if (jpeg[0] !== 0xff || jpeg[1] !== 0xd8)
      throw new Error('Cannot read live frame: no JPEG in it')
    return parse(LiveHeaderSchema, header, 'live header')
  } catch (cause) {
    throw new Refusal('badRequest', (cause as Error).message, { cause })
  }
}
