/**
 * What is where just now, from events: which objects a stream shows, who is in which zone, which alarms are on. Pure state that
 * is told one event after the other; what an outage swallowed is mended by time, because an object that was not heard of for
 * long is taken for gone.
 */
import type { StoredEvent } from '@edgeloop/protocol'

/** An object that nothing was heard of for so long is gone: its end was lost. */
export const objectKeptMs = 3_600_000
/** Bounds of one stream; what comes beyond is not shown. */
export const labelsMax = 30
export const zonesMax = 32
const objectsMax = 500
const alarmsMax = 100

/** An object on a stream, as far as it is known. */
export type SeenObject = {
  readonly id: string
  readonly label: string
  readonly startedAt: number
  readonly heardAt: number
  readonly score: number
  readonly topScore: number
  /** Shares of the picture: left, top, width, height. */
  readonly box: readonly number[]
  readonly zones: readonly string[]
  readonly enteredZones: readonly string[]
  readonly snapshot: string | null
  readonly endedAt: number | null
}

export type StreamScene = {
  readonly objects: ReadonlyMap<string, SeenObject>
  /** Labels and zones that were ever there, in the order in which they came. */
  readonly labels: ReadonlySet<string>
  readonly zones: ReadonlySet<string>
}

/** What an event did to an object. */
export type ObjectChange = {
  readonly type: 'new' | 'update' | 'end'
  readonly before: SeenObject
  readonly after: SeenObject
}

type Kept = {
  readonly objects: Map<string, SeenObject>
  readonly labels: Set<string>
  readonly zones: Set<string>
}

export type Scene = {
  /** Takes an event in. @returns what it did to an object; undefined where it is about none */
  take(event: StoredEvent): ObjectChange | undefined
  /** Says that a stream has these, though nothing was seen yet. */
  expect(deviceId: string, streamId: string, given: { labels?: string[]; zones?: string[] }): void
  stream(deviceId: string, streamId: string): StreamScene
  /** Alarms of a device that are on: code, and stream where it is about one. */
  alarms(deviceId: string): readonly { code: string; streamId: string | null; text: string }[]
  /** Takes objects that were not heard of for long for gone. @returns streams that changed */
  age(now: number): { deviceId: string; streamId: string }[]
  forget(deviceId: string): void
}

const empty: StreamScene = { objects: new Map(), labels: new Set(), zones: new Set() }

export function openScene(): Scene {
  /** By device, then by stream. */
  const streams = new Map<string, Map<string, Kept>>()
  const alarms = new Map<
    string,
    Map<string, { code: string; streamId: string | null; text: string }>
  >()

  const keptOf = (deviceId: string, streamId: string): Kept => {
    const ofDevice = streams.get(deviceId) ?? new Map<string, Kept>()
    streams.set(deviceId, ofDevice)
    const kept = ofDevice.get(streamId) ?? {
      objects: new Map<string, SeenObject>(),
      labels: new Set<string>(),
      zones: new Set<string>(),
    }
    ofDevice.set(streamId, kept)
    return kept
  }

  function takeAlarm({ deviceId, streamId, data }: StoredEvent): undefined {
    const ofDevice = alarms.get(deviceId) ?? new Map()
    alarms.set(deviceId, ofDevice)
    const code = String(data.code)
    const key = `${code} ${streamId ?? ''}`
    if (data.active !== true) ofDevice.delete(key)
    else if (ofDevice.size < alarmsMax)
      ofDevice.set(key, { code, streamId, text: String(data.text) })
  }

  return {
    take: (event) => {
      const { deviceId, streamId, kind, label, data } = event
      if (kind === 'alarm') return takeAlarm(event)
      if (streamId === null) return undefined
      const kept = keptOf(deviceId, streamId)
      if (kind === 'stream') {
        // A stream that is not live shows nobody.
        if (data.state !== 'live') kept.objects.clear()
        return undefined
      }
      if (label === null || typeof data.trackId !== 'number') return undefined
      if (kept.labels.size < labelsMax) kept.labels.add(label)
      const zone = kind === 'zone' ? String(data.zone) : undefined
      if (zone !== undefined && kept.zones.size < zonesMax) kept.zones.add(zone)
      const at = Date.parse(event.at)
      const id = `${event.bootId.slice(0, 8)}-${streamId}-${data.trackId}`
      const before = kept.objects.get(id)
      // One that has left and is told of once more, or whose begin was never heard.
      const base: SeenObject = before ?? {
        id,
        label,
        startedAt: at,
        heardAt: at,
        score: event.score ?? 0,
        topScore: event.score ?? 0,
        box: boxOf(data),
        zones: [],
        enteredZones: [],
        snapshot: null,
        endedAt: null,
      }
      const inside =
        zone === undefined
          ? base.zones
          : data.act === 'left'
            ? base.zones.filter((one) => one !== zone)
            : [...new Set([...base.zones, zone])]
      const isGone = kind === 'left'
      const after: SeenObject = {
        ...base,
        label,
        heardAt: at,
        score: event.score ?? base.score,
        topScore: Math.max(base.topScore, event.score ?? 0),
        box: boxOf(data),
        zones: isGone ? [] : inside,
        enteredZones: [...new Set([...base.enteredZones, ...inside])],
        snapshot: event.snapshot ?? base.snapshot,
        endedAt: isGone ? at : null,
      }
      if (isGone) kept.objects.delete(id)
      else if (before || kept.objects.size < objectsMax) kept.objects.set(id, after)
      const type = isGone ? 'end' : before ? 'update' : 'new'
      return { type, before: before ?? after, after }
    },
    expect: (deviceId, streamId, { labels = [], zones = [] }) => {
      const kept = keptOf(deviceId, streamId)
      for (const label of labels) if (kept.labels.size < labelsMax) kept.labels.add(label)
      for (const zone of zones) if (kept.zones.size < zonesMax) kept.zones.add(zone)
    },
    stream: (deviceId, streamId) => streams.get(deviceId)?.get(streamId) ?? empty,
    alarms: (deviceId) => [...(alarms.get(deviceId)?.values() ?? [])],
    age: (now) => {
      const changed: { deviceId: string; streamId: string }[] = []
      for (const [deviceId, ofDevice] of streams) {
        for (const [streamId, { objects }] of ofDevice) {
          const old = [...objects.values()].filter(({ heardAt }) => now - heardAt > objectKeptMs)
          for (const { id } of old) objects.delete(id)
          if (old.length > 0) changed.push({ deviceId, streamId })
        }
      }
      return changed
    },
    forget: (deviceId) => {
      streams.delete(deviceId)
      alarms.delete(deviceId)
    },
  }
}

const boxOf = (data: Record<string, unknown>): readonly number[] =>
  Array.isArray(data.box) ? (data.box as number[]) : [0, 0, 0, 0]

/** How many objects of a label are there; of all labels where none is named. */
export const countOf = ({ objects }: StreamScene, label?: string): number =>
  [...objects.values()].filter((one) => label === undefined || one.label === label).length

/** Whether anybody is in a zone. */
export const isOccupied = ({ objects }: StreamScene, zone: string): boolean =>
  [...objects.values()].some(({ zones }) => zones.includes(zone))
