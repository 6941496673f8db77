/** Who is signed in, and how a one-time link becomes a session. */
import type { Session } from '@edgeloop/protocol'
import { queryOptions } from '@tanstack/react-query'
import { call } from '../api/call.ts'

export const sessionQuery = queryOptions({
  queryKey: ['session'],
  queryFn: ({ signal }): Promise<Session> => call('session', { signal }),
  staleTime: Number.POSITIVE_INFINITY,
})

/**
 * Takes the token of a one-time link out of the address bar at once, before anything else can see, log or
 * bookmark it. It stands behind the `#`, which browsers send to nobody.
 * @returns the token, or undefined where the address holds none
 */
export function takeToken(
  location: Pick<Location, 'href'>,
  history: Pick<History, 'replaceState'>,
): string | undefined {
  const url = new URL(location.href)
  const token = tokenOf(url)
  if (token === undefined) return undefined
  url.searchParams.delete('token')
  url.hash = ''
  history.replaceState(null, '', `${url.pathname}${url.search}`)
  return token
}

/**
 * The token in what somebody pasted: a whole sign-in link or the token alone.
 * @returns undefined where there is none
 */
export function tokenIn(pasted: string): string | undefined {
  const text = pasted.trim()
  if (text === '') return undefined
  if (!URL.canParse(text)) return /\s/.test(text) ? undefined : text
  return tokenOf(new URL(text))
}

/** Behind the `#`, or in the query, where links of older hubs had it. */
const tokenOf = ({ hash, searchParams }: URL): string | undefined =>
  new URLSearchParams(hash.slice(1)).get('token') ?? searchParams.get('token') ?? undefined
