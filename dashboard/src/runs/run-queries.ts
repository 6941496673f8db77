/** What is fetched about runs, and how it stays current. */
import { isRunOver } from '@edgeloop/protocol'
import { queryOptions, useQueryClient } from '@tanstack/react-query'
import { useRef } from 'react'
import { call } from '../api/call.ts'
import { useChanges } from '../api/changes.tsx'
import { appendPoints } from './join-curves.ts'

/** A page of a run that goes on fetches log and evaluations anew this often at most. */
const detailIntervalMs = 2000

export const runListQuery = queryOptions({
  queryKey: ['runs'],
  queryFn: ({ signal }) => call('runList', { signal }),
})

export const runQuery = (runId: string) =>
  queryOptions({
    queryKey: ['run', runId],
    queryFn: ({ signal }) => call('runShow', { params: { runId }, signal }),
  })

/** A stretch of steps, ends included; from the first or to the last where left out. */
export type StepRange = { readonly first?: number; readonly last?: number }

/** @param points of each curve at most */
export const curvesQuery = (runId: string, points: number, range: StepRange = {}) =>
  queryOptions({
    queryKey: ['curves', runId, points, range],
    queryFn: ({ signal }) =>
      call('runCurves', {
        params: { runId },
        query: {
          points,
          ...(range.first === undefined ? {} : { from: range.first }),
          ...(range.last === undefined ? {} : { to: range.last }),
        },
        signal,
      }),
  })

export const trainerQuery = queryOptions({
  queryKey: ['trainer'],
  queryFn: ({ signal }) => call('trainerShow', { signal }),
  staleTime: Number.POSITIVE_INFINITY,
})

/** Keeps what is cached of runs as the hub has it, while a page of them is open. */
export function useRunChanges(): void {
  const queryClient = useQueryClient()
  const detailAt = useRef(new Map<string, number>())
  useChanges((batch) => {
    for (const change of batch) {
      if (change.kind === 'run') {
        const { run } = change
        const known = queryClient.getQueryData(runListQuery.queryKey)
        if (known?.some(({ runId }) => runId === run.runId)) {
          queryClient.setQueryData(runListQuery.queryKey, (rows) =>
            rows?.map((row) => (row.runId === run.runId ? run : row)),
          )
        } else if (known) void queryClient.invalidateQueries({ queryKey: runListQuery.queryKey })
        const { queryKey } = runQuery(run.runId)
        const before = queryClient.getQueryData(queryKey)?.run
        queryClient.setQueryData(queryKey, (detail) => detail && { ...detail, run })
        const now = Date.now()
        const turned = before?.state !== run.state || before?.phase !== run.phase
        if (turned || now - (detailAt.current.get(run.runId) ?? 0) > detailIntervalMs) {
          detailAt.current.set(run.runId, now)
          void queryClient.invalidateQueries({ queryKey })
        }
        if (isRunOver(run) && turned) {
          void queryClient.invalidateQueries({ queryKey: ['curves', run.runId] })
        }
      } else if (change.kind === 'runPoints') {
        const { runId } = change.points
        const queries = queryClient.getQueryCache().findAll({ queryKey: ['curves', runId] })
        for (const { queryKey } of queries) {
          const { last } = (queryKey[3] ?? {}) as StepRange
          // A stretch that was chosen has its end.
          if (last !== undefined) continue
          const exact = curvesQuery(runId, queryKey[2] as number, queryKey[3] as StepRange).queryKey
          const curves = queryClient.getQueryData(exact)
          const more = curves && appendPoints(curves, change.points)
          if (more) queryClient.setQueryData(exact, more)
          else if (curves) void queryClient.invalidateQueries({ queryKey: exact })
        }
      } else if (change.kind === 'runRemoved') {
        queryClient.removeQueries({ queryKey: runQuery(change.runId).queryKey })
        void queryClient.invalidateQueries({ queryKey: runListQuery.queryKey })
      }
    }
  })
}
