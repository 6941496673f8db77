/** The route tables as an OpenAPI 3.1 document. TypeBox schemas are JSON Schema already. */
import { deviceRoutes, OipProblem, Problem, type Route, routes } from '@edgeloop/protocol'
import type { TSchema } from 'typebox'

/** @returns the document as plain JSON data */
export function openApi(): Record<string, unknown> {
  const named = new Map<string, unknown>()
  const paths: Record<string, Record<string, unknown>> = {}
  for (const [name, route] of Object.entries({ ...routes, ...deviceRoutes })) {
    const path = route.path.replace(/:(\w+)/g, '{$1}')
    paths[path] ??= {}
    paths[path][route.method.toLowerCase()] = operation(name, route, named)
  }
  reference(Problem, named)
  return {
    openapi: '3.1.0',
    info: {
      title: 'Edgeloop hub',
      version: '1',
      description: 'Routes for people and programs, and those of the device listener',
    },
    paths,
    components: {
      schemas: Object.fromEntries([...named].sort(([a], [b]) => a.localeCompare(b))),
      securitySchemes: {
        session: { type: 'apiKey', in: 'cookie', name: 'edgeloop_session' },
        token: { type: 'http', scheme: 'bearer' },
        certificate: { type: 'mutualTLS' },
      },
    },
  }
}

function operation(name: string, route: Route, named: Map<string, unknown>): unknown {
  const parameters = [
    ...parametersOf('path', route.params, named),
    ...parametersOf('query', route.query, named),
  ]
  const status = String(route.status ?? 200)
  const reply = {
    ...(route.produces === undefined ? {} : contentOf(route.produces, undefined, named)),
    ...(route.produces !== undefined && route.response === undefined
      ? {}
      : contentOf('application/json', route.response, named)),
  }
  const takesBody = route.body !== undefined || route.consumes !== undefined
  return {
    operationId: name,
    summary: route.summary,
    'x-access': route.access,
    security: securityOf(route),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(takesBody
      ? {
          requestBody: {
            required: true,
            content: contentOf(route.consumes ?? 'application/json', route.body, named),
          },
        }
      : {}),
    responses: {
      [status]: {
        description: route.summary,
        ...(status === '204' ? {} : { content: reply }),
      },
      default: {
        description: 'A refusal',
        content:
          route.speaks === 'oip'
            ? contentOf('application/json', OipProblem, named)
            : contentOf('application/problem+json', Problem, named),
      },
    },
  }
}

function securityOf({ access }: Route): readonly unknown[] {
  if (access === 'public' || access === 'enrolment') return []
  return access === 'device' ? [{ certificate: [] }] : [{ session: [] }, { token: [] }]
}

function contentOf(type: string, schema: TSchema | undefined, named: Map<string, unknown>) {
  return { [type]: schema ? { schema: reference(schema, named) } : {} }
}

function parametersOf(place: string, schema: TSchema | undefined, named: Map<string, unknown>) {
  if (!schema) return []
  const { properties = {}, required = [] } = plain(schema) as {
    properties?: Record<string, unknown>
    required?: readonly string[]
  }
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: place,
    required: required.includes(name),
    schema: reference(property, named),
  }))
}

/** Schemas that carry an `$id` become components, and a reference where they are used. */
function reference(schema: unknown, named: Map<string, unknown>): unknown {
  if (Array.isArray(schema)) return schema.map((item) => reference(item, named))
  if (typeof schema !== 'object' || schema === null) return schema
  const { $id, ...rest } = plain(schema) as { $id?: string }
  const resolved = Object.fromEntries(
    Object.entries(rest).map(([key, value]) => [key, reference(value, named)]),
  )
  if ($id === undefined) return resolved
  named.set($id, resolved)
  return { $ref: `#/components/schemas/${$id}` }
}

/** Without what TypeBox keeps for itself. */
function plain(schema: object): unknown {
  return Object.fromEntries(Object.entries(schema).filter(([key]) => !key.startsWith('~')))
}
