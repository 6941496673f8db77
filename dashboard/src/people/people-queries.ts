/** What is fetched about people, and how it is kept fresh: nothing of it comes by the change stream. */
import { queryOptions } from '@tanstack/react-query'
import { call } from '../api/call.ts'

/** Others may change it at any time: looked at again whenever somebody comes back to the page. */
const staleTime = 5_000

export const userListQuery = queryOptions({
  queryKey: ['people', 'users'],
  queryFn: ({ signal }) => call('userList', { signal }),
  staleTime,
})

/** @param user whose sessions; one's own where it is left out */
export const sessionListQuery = (user?: string) =>
  queryOptions({
    queryKey: ['people', 'sessions', user ?? null],
    queryFn: ({ signal }) =>
      call('sessionList', { query: user === undefined ? {} : { user }, signal }),
    staleTime,
  })

export const apiTokenListQuery = queryOptions({
  queryKey: ['people', 'tokens'],
  queryFn: ({ signal }) => call('apiTokenList', { signal }),
  staleTime,
})

/** Everything above: an act on one of them often changes the others. */
export const peopleKey = ['people'] as const
