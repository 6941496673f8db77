/** What is fetched about samples of boxes. */
import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query'
import { call } from '../api/call.ts'
import { type FieldFilter, queryOf } from './field-filter.ts'

const pageSamples = 100
/** What was spent changes with every sample: nobody needs it at once. */
const budgetIntervalMs = 30_000

export const fieldListQuery = (filter: FieldFilter) =>
  infiniteQueryOptions({
    queryKey: ['fieldSamples', 'list', filter] as const,
    queryFn: ({ pageParam, signal }) =>
      call('fieldSampleList', {
        query: {
          ...queryOf(filter),
          limit: pageSamples,
          ...(pageParam === null ? {} : { before: pageParam }),
        },
        signal,
      }),
    initialPageParam: null as number | null,
    getNextPageParam: (page) => page.next,
  })

export const fieldSampleQuery = (sampleId: number) =>
  queryOptions({
    queryKey: ['fieldSamples', 'one', sampleId],
    queryFn: ({ signal }) => call('fieldSampleShow', { params: { sampleId }, signal }),
  })

export const sampleBudgetQuery = queryOptions({
  queryKey: ['sampleBudget'],
  queryFn: ({ signal }) => call('sampleBudgetShow', { signal }),
  refetchInterval: budgetIntervalMs,
})
