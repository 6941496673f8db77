/** What is fetched about label queues, and how it stays current. */
import type { TaskQuery } from '@edgeloop/protocol'
import { keepPreviousData, queryOptions, useQueryClient } from '@tanstack/react-query'
import { call } from '../api/call.ts'
import { useChanges } from '../api/changes.tsx'

export const queueListQuery = queryOptions({
  queryKey: ['queues'],
  queryFn: ({ signal }) => call('queueList', { signal }),
})

export const queueQuery = (queue: string) =>
  queryOptions({
    queryKey: ['queues', queue],
    queryFn: ({ signal }) => call('queueShow', { params: { queue }, signal }),
  })

export const queueStatisticsQuery = (queue: string) =>
  queryOptions({
    queryKey: ['queues', queue, 'statistics'],
    queryFn: ({ signal }) => call('queueStatistics', { params: { queue }, signal }),
  })

export const taskListQuery = (queue: string, query: TaskQuery) =>
  queryOptions({
    queryKey: ['queues', queue, 'tasks', query],
    queryFn: ({ signal }) => call('taskList', { params: { queue }, query, signal }),
    placeholderData: keepPreviousData,
  })

/** Keeps what is cached of queues as the hub has it, while a page of them is open. */
export function useQueueChanges(onQueue?: (queue: string) => void): void {
  const queryClient = useQueryClient()
  useChanges(
    (batch) => {
      const names = new Set(
        batch.flatMap((change) => (change.kind === 'labelQueue' ? [change.name] : [])),
      )
      for (const name of names) {
        void queryClient.invalidateQueries({ queryKey: queueQuery(name).queryKey })
        onQueue?.(name)
      }
      if (names.size > 0) void queryClient.invalidateQueries({ ...queueListQuery, exact: true })
    },
    () => void queryClient.invalidateQueries({ queryKey: queueListQuery.queryKey }),
  )
}
