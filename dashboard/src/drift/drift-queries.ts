/** What is fetched about drift, and how it stays current. */
import { queryOptions, useQueryClient } from '@tanstack/react-query'
import { call } from '../api/call.ts'
import { useChanges } from '../api/changes.tsx'

/** Figures come with every sketch, alarms are told at once. */
const figuresIntervalMs = 30_000

export const driftListQuery = queryOptions({
  queryKey: ['drift'],
  queryFn: ({ signal }) => call('driftStreamList', { query: {}, signal }),
  refetchInterval: figuresIntervalMs,
})

/** Of one device: for badges. */
export const driftOfDeviceQuery = (deviceId: string) =>
  queryOptions({
    queryKey: ['drift', 'of', deviceId],
    queryFn: ({ signal }) => call('driftStreamList', { query: { device: deviceId }, signal }),
  })

export const driftQuery = (deviceId: string, streamId: string, hours: number) =>
  queryOptions({
    queryKey: ['drift', deviceId, streamId, hours],
    queryFn: ({ signal }) =>
      call('driftStreamShow', { params: { deviceId, streamId }, query: { hours }, signal }),
    refetchInterval: figuresIntervalMs,
  })

/** Fetches drift anew when an alarm was raised, has ended or was answered. */
export function useDriftChanges(): void {
  const queryClient = useQueryClient()
  const again = () => void queryClient.invalidateQueries({ queryKey: driftListQuery.queryKey })
  useChanges((batch) => {
    if (batch.some(({ kind }) => kind === 'drift')) again()
  }, again)
}
