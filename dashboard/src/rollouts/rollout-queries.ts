/** What is fetched about rollouts, and how it stays current. */
import type { BoxState, RolloutRequest } from '@edgeloop/protocol'
import {
  infiniteQueryOptions,
  keepPreviousData,
  queryOptions,
  useQueryClient,
} from '@tanstack/react-query'
import { useRef } from 'react'
import { call } from '../api/call.ts'
import { useChanges } from '../api/changes.tsx'

/** A page of a rollout that goes on fetches stages and boxes anew this often at most. */
const detailIntervalMs = 1000

export const rolloutListQuery = queryOptions({
  queryKey: ['rollouts'],
  queryFn: ({ signal }) => call('rolloutList', { query: {}, signal }),
})

/** How many boxes ran the version over time, by rollout. */
export const progressQuery = (rolloutIds: readonly string[]) =>
  queryOptions({
    queryKey: ['rolloutProgress', ...rolloutIds],
    queryFn: async ({ signal }) => {
      const rollouts = rolloutIds.join(',')
      const lines = await call('rolloutProgress', { query: { rollouts }, signal })
      return new Map(lines.rollouts.map(({ rolloutId, confirmed }) => [rolloutId, confirmed]))
    },
    enabled: rolloutIds.length > 0,
    placeholderData: keepPreviousData,
    refetchInterval: 30_000,
  })

/** Of one model. */
export const rolloutsOfQuery = (name: string) =>
  queryOptions({
    queryKey: ['rollouts', name],
    queryFn: ({ signal }) => call('rolloutList', { query: { name }, signal }),
  })

export const rolloutQuery = (rolloutId: string) =>
  queryOptions({
    queryKey: ['rollout', rolloutId],
    queryFn: ({ signal }) => call('rolloutShow', { params: { rolloutId }, signal }),
  })

/** What of a rollout's boxes is listed; all of it stands in the address. */
export type BoxFilter = {
  readonly stage?: number
  readonly state?: BoxState
  readonly search?: string
}

const pageBoxes = 200

export const boxesQuery = (rolloutId: string, filter: BoxFilter) =>
  infiniteQueryOptions({
    queryKey: ['rollout', rolloutId, 'boxes', filter] as const,
    queryFn: ({ pageParam, signal }) =>
      call('rolloutBoxList', {
        params: { rolloutId },
        query: { ...filter, limit: pageBoxes, ...(pageParam === null ? {} : { after: pageParam }) },
        signal,
      }),
    initialPageParam: null as number | null,
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
  })

/** @param request undefined while it is not whole */
export const previewQuery = (request: RolloutRequest | undefined) =>
  queryOptions({
    queryKey: ['rolloutPreview', request],
    queryFn: ({ signal }) => call('rolloutPreview', { body: request as RolloutRequest, signal }),
    enabled: request !== undefined,
    placeholderData: keepPreviousData,
    retry: false,
    gcTime: 60_000,
  })

export const siteListQuery = queryOptions({
  queryKey: ['sites'],
  queryFn: ({ signal }) => call('siteList', { signal }),
})

export const deviceUpdatesQuery = (deviceId: string) =>
  queryOptions({
    queryKey: ['device', deviceId, 'updates'],
    queryFn: ({ signal }) => call('deviceUpdateList', { params: { deviceId }, signal }),
  })

/** Keeps what is cached of rollouts as the hub has it, while a page of them is open. */
export function useRolloutChanges(): void {
  const queryClient = useQueryClient()
  const waiting = useRef(new Map<string, ReturnType<typeof setTimeout>>())
  const later = (rolloutId: string) => {
    if (waiting.current.has(rolloutId)) return
    const timer = setTimeout(() => {
      waiting.current.delete(rolloutId)
      void queryClient.invalidateQueries({ queryKey: rolloutQuery(rolloutId).queryKey })
    }, detailIntervalMs)
    waiting.current.set(rolloutId, timer)
  }
  useChanges(
    (batch) => {
      for (const change of batch) {
        if (change.kind !== 'rollout') continue
        const { rollout } = change
        const known = queryClient.getQueryData(rolloutListQuery.queryKey)
        if (known?.some(({ rolloutId }) => rolloutId === rollout.rolloutId)) {
          queryClient.setQueryData(rolloutListQuery.queryKey, (rows) =>
            rows?.map((row) =>
              row.rolloutId === rollout.rolloutId && row.revision <= rollout.revision
                ? rollout
                : row,
            ),
          )
        } else if (known) {
          void queryClient.invalidateQueries({ ...rolloutListQuery, exact: true })
        }
        void queryClient.invalidateQueries({ queryKey: rolloutsOfQuery(rollout.name).queryKey })
        queryClient.setQueryData(rolloutQuery(rollout.rolloutId).queryKey, (detail) =>
          detail && detail.rollout.revision <= rollout.revision ? { ...detail, rollout } : detail,
        )
        later(rollout.rolloutId)
      }
    },
    () => void queryClient.invalidateQueries({ queryKey: ['rollout'] }),
  )
}
