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

const validator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  // Path and query are text: numbers in them are converted, those in a body must be numbers.
  const isText = httpPart !== 'body'
  return (data: unknown) => {
    try {
      const complete = Value.Default(schema, isText ? Value.Convert(schema, data) : data)
      return { value: parse(schema, complete, httpPart ?? 'request') }
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
