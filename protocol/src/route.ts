/** What a route of the hub is: path, role, and the schema of what goes in and out. */
import type { TSchema } from 'typebox'
import type { Role } from './people.ts'

/**
 * `public` needs nothing; a role needs a session or an API token; `device` needs a device's
 * certificate; `enrolment` needs a one-time token.
 */
export type Access = 'public' | Role | 'device' | 'enrolment'

export type Route = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly path: string
  readonly access: Access
  /** One sentence for the OpenAPI document. */
  readonly summary: string
  readonly params?: TSchema
  readonly query?: TSchema
  readonly body?: TSchema
  /** JSON reply. Of a route that `produces` something: what it may answer instead. */
  readonly response?: TSchema
  /** Media type of routes that answer bytes or a stream. */
  readonly produces?: string
  /** Media type of a body that is not JSON, and its limit. */
  readonly consumes?: string
  readonly bytesMax?: number
  /** Success status; 200 unless said. */
  readonly status?: 201 | 204
  /** True where a method that usually changes something changes nothing one must answer for: not audited. */
  readonly unaudited?: true
  /** Whose manners it has: bodies are read by the handler, refusals are `{error}`. */
  readonly speaks?: 'oip'
}

/**
 * The path of a route with its parameters and query filled in.
 * @throws {Error} when a parameter is missing
 */
export function pathOf(
  route: Route,
  params: Record<string, string | number> = {},
  query: Record<string, string | number | undefined> = {},
): string {
  const path = route.path.replace(/:(\w+)/g, (_, key: string) => {
    const value = params[key]
    if (value === undefined) throw new Error(`Cannot make path ${route.path}: no ${key}`)
    return encodeURIComponent(value)
  })
  const search = new URLSearchParams()
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined) search.set(key, String(value))
  }
  return search.size > 0 ? `${path}?${search}` : path
}
