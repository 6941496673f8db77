/** What is fetched about rules, and how it stays current. */
import type { DeliveryState } from '@edgeloop/protocol'
import { infiniteQueryOptions, queryOptions, useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef } from 'react'
import { call } from '../api/call.ts'
import { useChanges } from '../api/changes.tsx'

const key = 'rules'
const pageRows = 50
/** However much happens, lists are fetched anew this often at most. */
const againMs = 1000

export const ruleListQuery = queryOptions({
  queryKey: [key, 'list'],
  queryFn: ({ signal }) => call('ruleList', { signal }),
})

/** Only operators may see where things go. */
export const receiverListQuery = (isAllowed: boolean) =>
  queryOptions({
    queryKey: [key, 'receivers'],
    queryFn: ({ signal }) => call('receiverList', { signal }),
    enabled: isAllowed,
  })

export type DeliveryFilter = {
  readonly rule?: string
  readonly receiver?: string
  readonly state?: DeliveryState
}

export const deliveriesQuery = (filter: DeliveryFilter) =>
  infiniteQueryOptions({
    queryKey: [key, 'deliveries', filter],
    queryFn: ({ signal, pageParam }) =>
      call('deliveryList', {
        query: {
          ...filter,
          limit: pageRows,
          ...(pageParam === null ? {} : { before: pageParam }),
        },
        signal,
      }),
    initialPageParam: null as number | null,
    getNextPageParam: ({ next }) => next,
  })

/** Fetches anew what is shown of rules when the hub says that it is another. */
export function useRuleChanges(): () => void {
  const queryClient = useQueryClient()
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => () => clearTimeout(timer.current), [])
  const again = () => void queryClient.invalidateQueries({ queryKey: [key] })
  useChanges((batch) => {
    if (!batch.some(({ kind }) => kind === 'rules') || timer.current !== undefined) return
    timer.current = setTimeout(() => {
      timer.current = undefined
      again()
    }, againMs)
  })
  return again
}
