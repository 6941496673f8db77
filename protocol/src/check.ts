/**
 * Checks data against the protocol's schemas where it crosses a boundary. Apart from the other door
 * because it compiles schemas to code, which a browser's content security policy forbids.
 * @module
 */
import type { Static, TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { type Event, type EventKind, eventSchemas } from './event.ts'
import { type MessageName, messages, type Payload } from './messages.ts'
import { nearestName } from './nearest.ts'

const compiled = new WeakMap<TSchema, ReturnType<typeof Compile>>()

function compile(schema: TSchema): ReturnType<typeof Compile> {
  let check = compiled.get(schema)
  if (!check) {
    check = Compile(schema)
    compiled.set(schema, check)
  }
  return check
}

/** Thrown when data does not fit its schema; the text names the place, the reason and a way out. */
export class Misfit extends Error {
  constructor(text: string) {
    super(text)
    this.name = 'Misfit'
  }
}

/** True where `value` fits `schema`. */
export function fits<S extends TSchema>(schema: S, value: unknown): value is Static<S> {
  return compile(schema).Check(value)
}

/** Why `value` does not fit, in one line, or undefined where it does. */
export function misfitOf(schema: TSchema, value: unknown): string | undefined {
  const check = compile(schema)
  if (check.Check(value)) return undefined
  const errors = check.Errors(value)
  for (const { keyword, params, instancePath } of errors) {
    // An unknown key is reported twice: as a `false` schema at the key, and by its object.
    if (keyword !== 'additionalProperties') continue
    const unknown = (params as { additionalProperties: readonly string[] }).additionalProperties[0]
    if (unknown === undefined) continue
    const near = nearestName(unknown, knownKeys(schema, instancePath))
    const hint = near === undefined ? '' : `; did you mean "${near}"?`
    return `${instancePath || '/'} has the unknown key "${unknown}"${hint}`
  }
  const first = errors[0]
  return first ? `${first.instancePath || '/'} ${first.message}` : '/ does not fit'
}

/**
 * Gives `value` back as what `schema` says it is.
 * @param what names the data in the error, such as `desired payload`
 * @throws {Misfit} `Cannot read desired payload: /version must be >= 1`
 */
export function parse<S extends TSchema>(schema: S, value: unknown, what: string): Static<S> {
  const misfit = misfitOf(schema, value)
  if (misfit !== undefined) throw new Misfit(`Cannot read ${what}: ${misfit}`)
  return value as Static<S>
}

/**
 * Reads the payload of a message: size first, then JSON, then schema.
 * @throws {Misfit} saying which of the three failed
 */
export function parsePayload<N extends MessageName>(name: N, bytes: Uint8Array): Payload<N> {
  const { bytesMax, payload } = messages[name]
  if (bytes.length > bytesMax) {
    throw new Misfit(`Cannot read ${name} payload: ${bytes.length} bytes, allowed ${bytesMax}`)
  }
  return parse(payload, parseJson(bytes, `${name} payload`), `${name} payload`) as Payload<N>
}

/** JSON of UTF-8 bytes. @throws {Misfit} when they are not */
export function parseJson(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw new Misfit(`Cannot read ${what}: not JSON (${(cause as Error).message})`)
  }
}

/** An entry of a batch as the event it claims to be, or why it is none. */
export function checkEvent(entry: unknown): { event: Event } | { misfit: string } {
  const kind = (entry as { kind?: unknown } | null)?.kind
  const schema = Object.hasOwn(eventSchemas, String(kind)) && eventSchemas[kind as EventKind]
  if (!schema) return { misfit: `/kind "${String(kind)}" is none of ${Object.keys(eventSchemas)}` }
  if (fits(schema, entry)) return { event: entry as Event }
  return { misfit: misfitOf(schema, entry) ?? '/ does not fit' }
}

/** Keys that the schema knows at a JSON pointer; array indexes step into items. */
function knownKeys(schema: TSchema, pointer: string): readonly string[] {
  type Node = { properties?: Record<string, Node>; items?: Node } | undefined
  let node = schema as Node
  for (const step of pointer.split('/').slice(1)) {
    node = node?.properties?.[step] ?? (/^\d+$/.test(step) ? node?.items : undefined)
  }
  return Object.keys(node?.properties ?? {})
}
