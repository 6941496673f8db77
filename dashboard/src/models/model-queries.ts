/** What is fetched about models and jobs, and how it stays current. */
import { isOver } from '@edgeloop/protocol'
import { queryOptions, useQueryClient } from '@tanstack/react-query'
import { call } from '../api/call.ts'
import { useChanges } from '../api/changes.tsx'

export const modelListQuery = queryOptions({
  queryKey: ['models'],
  queryFn: ({ signal }) => call('modelList', { signal }),
})

export const compilerQuery = queryOptions({
  queryKey: ['compiler'],
  queryFn: ({ signal }) => call('compilerShow', { signal }),
  staleTime: Number.POSITIVE_INFINITY,
})

export const modelQuery = (name: string, version: number) =>
  queryOptions({
    queryKey: ['models', name, version],
    queryFn: ({ signal }) => call('modelShow', { params: { name, version }, signal }),
  })

export const modelVersionsQuery = (name: string) =>
  queryOptions({
    queryKey: ['models', name, 'versions'],
    queryFn: ({ signal }) => call('modelVersionList', { params: { name }, signal }),
  })

/** What boxes may be offered of a version, per kind of box. */
export const publishedQuery = (name: string, version: number) =>
  queryOptions({
    queryKey: ['models', name, version, 'published'],
    queryFn: ({ signal }) => call('modelPublished', { params: { name, version }, signal }),
  })

/** What boxes may be offered of all versions of a model, newest first. */
export const publishedListQuery = (name: string) =>
  queryOptions({
    queryKey: ['models', name, 'published'],
    queryFn: ({ signal }) => call('modelPublishedList', { params: { name }, signal }),
    enabled: name !== '',
  })

/** @param subject `NAME/VERSION` */
export const jobListQuery = (subject: string) =>
  queryOptions({
    queryKey: ['jobs', subject],
    queryFn: ({ signal }) => call('jobList', { query: { subject }, signal }),
  })

/** Keeps what is cached of models and jobs as the hub has it, while a page of them is open. */
export function useModelChanges(): void {
  const queryClient = useQueryClient()
  useChanges((batch) => {
    if (batch.some(({ kind }) => kind === 'models')) {
      void queryClient.invalidateQueries({ queryKey: ['models'] })
    }
    for (const change of batch) {
      if (change.kind !== 'job') continue
      const { job } = change
      const { queryKey } = jobListQuery(job.subject)
      const known = queryClient.getQueryData(queryKey)
      if (known?.some(({ jobId }) => jobId === job.jobId)) {
        queryClient.setQueryData(queryKey, (jobs) =>
          jobs?.map((one) => (one.jobId === job.jobId ? job : one)),
        )
      } else if (known) void queryClient.invalidateQueries({ queryKey })
      if (isOver(job)) void queryClient.invalidateQueries({ queryKey: ['models'] })
    }
  })
}
