/** What is fetched about searches, and how it stays current. */
import { queryOptions, useQueryClient } from '@tanstack/react-query'
import { call } from '../api/call.ts'
import { useChanges } from '../api/changes.tsx'

export const searchListQuery = queryOptions({
  queryKey: ['searches'],
  queryFn: ({ signal }) => call('searchList', { signal }),
})

export const searchQuery = (searchId: string) =>
  queryOptions({
    queryKey: ['search', searchId],
    queryFn: ({ signal }) => call('searchShow', { params: { searchId }, signal }),
  })

/** Keeps what is cached of searches as the hub has it, while a page of them is open. */
export function useSearchChanges(): void {
  const queryClient = useQueryClient()
  useChanges((batch) => {
    for (const change of batch) {
      if (change.kind === 'searchRemoved') {
        queryClient.removeQueries({ queryKey: searchQuery(change.searchId).queryKey })
      } else if (change.kind === 'search') {
        const { queryKey } = searchQuery(change.search.searchId)
        void queryClient.invalidateQueries({ queryKey })
      } else continue
      void queryClient.invalidateQueries({ queryKey: searchListQuery.queryKey })
    }
  })
}
