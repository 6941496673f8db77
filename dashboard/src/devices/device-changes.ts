/** Keeps everything cached about devices current while changes arrive. */
import type { DeviceRow } from '@edgeloop/protocol'
import { useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef } from 'react'
import { useChanges } from '../api/changes.tsx'
import { deviceListQuery, deviceQuery } from './device-queries.ts'
import { mayChangeReport, patchRow, patchRows } from './device-row.ts'

/** What must be fetched again is fetched at most this often. */
const refetchEveryMs = 2000

export function useDeviceChanges(): void {
  const queryClient = useQueryClient()
  const refetchSoon = useRefetch()

  useChanges(
    (batch) => {
      const changes = batch.filter((change) => change.kind === 'device')
      const list = queryClient.getQueryData(deviceListQuery.queryKey)
      if (list && changes.length > 0) {
        const { rows, unknown } = patchRows(list, changes)
        queryClient.setQueryData(deviceListQuery.queryKey, rows as DeviceRow[])
        if (unknown) refetchSoon(deviceListQuery.queryKey)
      }
      const removed = batch.filter((change) => change.kind === 'deviceRemoved')
      if (removed.length > 0) {
        const gone = new Set(removed.map(({ deviceId }) => deviceId))
        queryClient.setQueryData(deviceListQuery.queryKey, (rows) =>
          rows?.filter(({ deviceId }) => !gone.has(deviceId)),
        )
        for (const deviceId of gone) refetchSoon(deviceQuery(deviceId).queryKey)
      }
      for (const change of changes) {
        const { queryKey } = deviceQuery(change.deviceId)
        queryClient.setQueryData(queryKey, (detail) =>
          detail ? { ...detail, device: patchRow(detail.device, change) } : undefined,
        )
        if (mayChangeReport(change)) {
          refetchSoon(queryKey)
          refetchSoon(['streams'])
        }
      }
      for (const change of batch) {
        if (change.kind === 'event' && change.event.kind === 'stream') {
          refetchSoon(deviceQuery(change.event.deviceId).queryKey)
        }
      }
    },
    () =>
      void queryClient.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'events' }),
  )
}

/** Fetches again what is cached under a key: soon, once, however often it is asked to. */
function useRefetch(): (queryKey: readonly string[]) => void {
  const queryClient = useQueryClient()
  const timers = useRef(new Map<string, ReturnType<typeof setTimeout>>())
  useEffect(() => {
    const waiting = timers.current
    return () => {
      for (const timer of waiting.values()) clearTimeout(timer)
      waiting.clear()
    }
  }, [])
  return (queryKey) => {
    const name = queryKey.join('/')
    if (timers.current.has(name)) return
    const refetch = () => {
      timers.current.delete(name)
      // Lists of streams are cached by what was asked for; everything else under its own key alone.
      void queryClient.invalidateQueries({ queryKey, exact: queryKey[0] !== 'streams' })
    }
    timers.current.set(name, setTimeout(refetch, refetchEveryMs))
  }
}
