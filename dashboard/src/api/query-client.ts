/** How replies of the hub are cached: changes keep them fresh, focus and reconnects are the safety net. */
import { CallFailed } from '@edgeloop/protocol'
import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query'
import { isSignedOut } from './call.ts'

/** How often a call that got no answer, or an answer of 500 and above, is tried again. */
const retriesMax = 2

/** @param onSignedOut called whenever a reply says that there is no session (any more) */
export function makeQueryClient(onSignedOut: () => void): QueryClient {
  return new QueryClient({
    queryCache: new QueryCache({
      onError: (error, query) => {
        if (isSignedOut(error) && query.queryKey[0] !== 'session') onSignedOut()
      },
    }),
    mutationCache: new MutationCache({
      onError: (error) => {
        if (isSignedOut(error)) onSignedOut()
      },
    }),
    defaultOptions: {
      queries: {
        staleTime: 30_000,
        retry: (failures, error) => failures < retriesMax && mayPass(error),
        retryDelay: (attempt) => 400 * 2 ** attempt,
        networkMode: 'always',
      },
      mutations: { networkMode: 'always' },
    },
  })
}

/** True where the same call may succeed a moment later. */
function mayPass(error: unknown): boolean {
  return error instanceof CallFailed && (error.status === 0 || error.status >= 500)
}
