/** What is fetched about devices, and under which name it is cached. */
import type { ConnectionChange, DeviceDetail, StoredEvent } from '@edgeloop/protocol'
import { keepPreviousData, queryOptions } from '@tanstack/react-query'
import { call } from '../api/call.ts'
import { type KeptLog, mergeLog } from './device-log.ts'

export const deviceListQuery = queryOptions({
  queryKey: ['devices'],
  queryFn: ({ signal }) => call('deviceList', { signal }),
  // The change stream keeps the list current and says when it cannot: ten thousand rows are four
  // megabytes, which nobody should wait for on every visit.
  staleTime: Number.POSITIVE_INFINITY,
  structuralSharing: false,
})

export const deviceQuery = (deviceId: string) =>
  queryOptions({
    queryKey: ['device', deviceId],
    queryFn: ({ signal }) => call('deviceShow', { params: { deviceId }, signal }),
  })

/** Asked again when somebody wishes something else, and when the device says what it makes of it. */
export const configVersionsQuery = ({ device, desired, reported }: DeviceDetail) =>
  queryOptions({
    queryKey: [
      ...['device', device.deviceId, 'config', 'versions'],
      ...[desired?.version, reported?.config?.version, reported?.config?.accepted],
    ],
    queryFn: ({ signal }) =>
      call('configVersionList', { params: { deviceId: device.deviceId }, signal }),
    placeholderData: keepPreviousData,
  })

/** What leads from one version to another; versions never change, so neither does this. */
export const configDiffQuery = (deviceId: string, from: number, to: number) =>
  queryOptions({
    queryKey: ['device', deviceId, 'config', 'diff', from, to],
    queryFn: ({ signal }) =>
      call('configDiff', { params: { deviceId }, query: { from, to }, signal }),
    staleTime: Number.POSITIVE_INFINITY,
  })

/** Moments on the page of a device's history. */
const historyMax = 200
const historyEveryMs = 10_000

/** One line of a device's history. */
export type Moment = {
  readonly key: string
  readonly at: string
  readonly happened: StoredEvent | ConnectionChange
}

/** When a device came and went, and the newest states of its streams and alarms; newest first. */
export const deviceHistoryQuery = (deviceId: string) =>
  queryOptions({
    queryKey: ['device', deviceId, 'history'],
    queryFn: async ({ signal }) => {
      const of = (kind: 'stream' | 'alarm') =>
        call('eventList', { query: { device: deviceId, kind, limit: historyMax }, signal })
      const [connections, streams, alarms] = await Promise.all([
        call('deviceConnectionList', { params: { deviceId }, signal }),
        of('stream'),
        of('alarm'),
      ])
      const events = [...streams.events, ...alarms.events]
      const moments: Moment[] = [
        ...connections.map((one) => ({ key: `connection ${one.at}`, at: one.at, happened: one })),
        ...events.map((one) => ({ key: `event ${one.eventId}`, at: one.at, happened: one })),
      ]
      return moments.sort((a, b) => b.at.localeCompare(a.at)).slice(0, historyMax)
    },
    refetchInterval: historyEveryMs,
  })

/** How often a device is asked for new lines of its log by who follows it. */
const logEveryMs = 2000
const logLinesFirst = 500

/**
 * The log of a device as far as it was read on this page: each fetch asks for what came since.
 * @param options.online what is known of the device; when that changes it is asked again
 */
export const deviceLogQuery = (
  deviceId: string,
  { follow, online }: { follow: boolean; online: boolean },
) =>
  queryOptions({
    queryKey: ['device', deviceId, 'log'],
    queryFn: async ({ signal, client, queryKey }): Promise<KeptLog> => {
      const before = client.getQueryData<KeptLog>(queryKey)
      const newest = before?.lines.at(-1)
      const place = newest ? { boot: newest.bootId, after: newest.sequence } : {}
      const query = { lines: logLinesFirst, ...place }
      const answer = await call('deviceLogShow', { params: { deviceId }, query, signal })
      return mergeLog(client.getQueryData<KeptLog>(queryKey), answer, Date.now())
    },
    staleTime: 0,
    // A device that is away cannot answer, and the page says so; it is asked when it is back.
    refetchInterval: (query) => {
      const wasAway = query.state.data?.state === 'offline'
      return (follow && online) || (online && wasAway) ? logEveryMs : false
    },
  })

/** How far back charts look. */
export const ranges = {
  '15m': { word: '15 min', ms: 15 * 60_000 },
  '1h': { word: '1 h', ms: 3_600_000 },
  '6h': { word: '6 h', ms: 6 * 3_600_000 },
  '24h': { word: '24 h', ms: 24 * 3_600_000 },
} as const
export type Range = keyof typeof ranges
export const rangeNames = Object.keys(ranges) as readonly Range[]

/** Health figures come every few seconds; charts follow at this pace. */
const healthEveryMs = 5000

export const deviceHealthQuery = (deviceId: string, range: Range) =>
  queryOptions({
    queryKey: ['device', deviceId, 'health', range],
    queryFn: ({ signal }) =>
      call('deviceHealth', {
        params: { deviceId },
        query: { from: new Date(Date.now() - ranges[range].ms).toISOString(), points: 600 },
        signal,
      }),
    refetchInterval: healthEveryMs,
    staleTime: 0,
  })
