/** Fastify's validator and serializer made of the protocol's own checks: one checker, one kind of text. */

import { Refusal } from '@edgeloop/protocol'
import { Misfit, misfitOf, parse } from '@edgeloop/protocol/check'
import type { FastifyInstance, FastifySchemaCompiler } from 'fastify'
import type { FastifySerializerCompiler } from 'fastify/types/schema.js'
import type { TSchema } from 'typebox'
import { Value } from 'typebox/value'

/** Makes `app` check what comes in and what goes out against TypeBox schemas. */
export function checkSchemas(app: FastifyInstance): void {
  app.setValidatorCompiler(validator)
  app.setSerializerCompiler(serializer)
}

const partNames: Readonly<Record<string, string>> = {
  body: 'the body',
  querystring: 'the query',
  params: 'the path',
}

const validator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  // Path and query are text: numbers in them are converted. Those in a body must be numbers, and what
  // a body leaves out stays left out, so that a default that changes later applies to it too.
  const isText = httpPart !== 'body'
  return (data: unknown) => {
    try {
      const converted = isText ? Value.Convert(schema, data) : data
      return { value: parse(schema, converted, partNames[httpPart ?? ''] ?? 'request') }
    } catch (error) {
      if (error instanceof Misfit) return { error: new Refusal('badRequest', error.message) }
      throw error
    }
  }
}

/** A reply that does not fit what the route promises is our fault, and nobody's data. */
const serializer: FastifySerializerCompiler<TSchema> =
  ({ schema, url }) =>
  (data) => {
    const misfit = misfitOf(schema, data)
    if (misfit !== undefined) throw new Error(`Cannot answer ${url}: ${misfit}`)
    return JSON.stringify(data)
  }
