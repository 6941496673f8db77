/** What is fetched about pipelines, and how it stays current. */
import { queryOptions, useQueryClient } from '@tanstack/react-query'
import { call } from '../api/call.ts'
import { useChanges } from '../api/changes.tsx'

export const pipelineListQuery = queryOptions({
  queryKey: ['pipelines'],
  queryFn: ({ signal }) => call('pipelineList', { signal }),
})

export const pipelineQuery = (model: string) =>
  queryOptions({
    queryKey: ['pipeline', model],
    queryFn: ({ signal }) => call('pipelineShow', { params: { model }, signal }),
  })

/** Rounds that a page shows. */
const roundsShown = 50

export const roundsQuery = (model: string) =>
  queryOptions({
    queryKey: ['pipeline', model, 'rounds'],
    queryFn: ({ signal }) =>
      call('pipelineRoundList', { params: { model }, query: { limit: roundsShown }, signal }),
  })

export const dryRunQuery = (model: string) =>
  queryOptions({
    queryKey: ['pipeline', model, 'dry-run'],
    queryFn: ({ signal }) => call('pipelineDryRun', { params: { model }, signal }),
    staleTime: 0,
    gcTime: 0,
  })

/** Keeps what is cached of pipelines as the hub has it, while a page of them is open. */
export function usePipelineChanges(): void {
  const queryClient = useQueryClient()
  useChanges(
    (batch) => {
      const changed = new Set(
        batch.flatMap((change) => (change.kind === 'pipeline' ? [change.model] : [])),
      )
      if (changed.size > 0) void queryClient.invalidateQueries({ ...pipelineListQuery })
      for (const model of changed) {
        void queryClient.invalidateQueries({ queryKey: pipelineQuery(model).queryKey })
      }
      // What is newly said counts for whoever waits for it.
      if (batch.some(({ kind }) => kind === 'dataset')) {
        void queryClient.invalidateQueries({ queryKey: ['pipeline'] })
      }
    },
    () => void queryClient.invalidateQueries({ queryKey: ['pipeline'] }),
  )
}
