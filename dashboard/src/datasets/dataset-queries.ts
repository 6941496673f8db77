/** What is fetched about datasets, and how it stays current. */
import { CallFailed, isOver } from '@edgeloop/protocol'
import { infiniteQueryOptions, queryOptions, useQueryClient } from '@tanstack/react-query'
import { call } from '../api/call.ts'
import { useChanges } from '../api/changes.tsx'
import { jobListQuery } from '../models/model-queries.ts'
import type { SampleFilter } from './sample-filter.ts'

const pageSamples = 100
const previewTriesMax = 30
const previewWaitMs = 1000

export const datasetListQuery = queryOptions({
  queryKey: ['datasets'],
  queryFn: ({ signal }) => call('datasetList', { signal }),
})

export const datasetQuery = (dataset: string) =>
  queryOptions({
    queryKey: ['datasets', dataset],
    queryFn: ({ signal }) => call('datasetShow', { params: { dataset }, signal }),
  })

export const versionListQuery = (dataset: string) =>
  queryOptions({
    queryKey: ['datasets', dataset, 'versions'],
    queryFn: ({ signal }) => call('datasetVersionList', { params: { dataset }, signal }),
  })

export const inspectionQuery = (dataset: string) =>
  queryOptions({
    queryKey: ['datasets', dataset, 'inspection'],
    queryFn: ({ signal }) => call('datasetInspection', { params: { dataset }, signal }),
  })

export const sampleListQuery = (dataset: string, filter: SampleFilter) =>
  infiniteQueryOptions({
    queryKey: ['datasets', dataset, 'samples', filter] as const,
    queryFn: ({ pageParam, signal }) =>
      call('datasetSampleList', {
        params: { dataset },
        query: {
          ...filter,
          limit: pageSamples,
          ...(pageParam === null ? {} : { after: pageParam }),
        },
        signal,
      }),
    initialPageParam: null as number | null,
    getNextPageParam: (page) => page.next,
  })

export const sampleQuery = (dataset: string, digest: string) =>
  queryOptions({
    queryKey: ['datasets', dataset, 'sample', digest],
    queryFn: ({ signal }) => call('datasetSampleShow', { params: { dataset, digest }, signal }),
  })

/** @param augment keys of `augment` in a recipe, as JSON */
export const augmentationQuery = (dataset: string, augment: string, seed: number) =>
  queryOptions({
    // Apart from what changes with the dataset: pictures are made anew only when somebody asks.
    queryKey: ['augmentation', dataset, augment, seed],
    queryFn: ({ signal }) =>
      call('datasetAugmentation', { params: { dataset }, query: { augment, seed }, signal }),
    staleTime: Number.POSITIVE_INFINITY,
    // The hub makes one at a time: whoever comes second waits for the first.
    retry: (failures, error) =>
      error instanceof CallFailed && error.code === 'tooManyRequests' && failures < previewTriesMax,
    retryDelay: previewWaitMs,
  })

/** Subject of the jobs of a dataset. */
export const subjectOf = (dataset: string): string => `datasets/${dataset}`

/** Keeps what is cached of datasets and their jobs as the hub has it, while a page of them is open. */
export function useDatasetChanges(): void {
  const queryClient = useQueryClient()
  useChanges((batch) => {
    let others = false
    for (const change of batch) {
      if (change.kind === 'dataset') {
        others = true
        void queryClient.invalidateQueries({ queryKey: ['datasets', change.name] })
      }
      if (change.kind !== 'job') continue
      const { job } = change
      if (!job.subject.startsWith(subjectOf(''))) continue
      const { queryKey } = jobListQuery(job.subject)
      const known = queryClient.getQueryData(queryKey)
      if (known?.some(({ jobId }) => jobId === job.jobId)) {
        queryClient.setQueryData(queryKey, (jobs) =>
          jobs?.map((one) => (one.jobId === job.jobId ? job : one)),
        )
      } else if (known) void queryClient.invalidateQueries({ queryKey })
      if (isOver(job)) void queryClient.invalidateQueries({ queryKey: ['datasets'] })
    }
    if (others)
      void queryClient.invalidateQueries({ queryKey: datasetListQuery.queryKey, exact: true })
  })
}
