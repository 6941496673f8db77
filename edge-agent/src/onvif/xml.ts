/**
 * XML of strangers: small documents without a document type, so that there are no entities but the five
 * of XML itself, and nothing outside the document is ever asked for.
 */
import { XMLParser } from 'fast-xml-parser'

/** A longer document is refused: the replies used here have a few kilobytes. */
export const xmlMaxBytes = 1 << 20

const parser = new XMLParser({
  removeNSPrefix: true,
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  parseTagValue: false,
  parseAttributeValue: false,
})

/**
 * The document as plain objects: elements by their local names, attributes behind an `@`.
 * @throws {Error} for what is too long, has a document type, or is no XML
 */
export function parseXml(text: string): unknown {
  if (Buffer.byteLength(text) > xmlMaxBytes) throw new Error(`longer than ${xmlMaxBytes} bytes`)
  if (/<!(DOCTYPE|ENTITY)/i.test(text)) throw new Error('a document type is not allowed')
  return parser.parse(text, true)
}

/** What stands under these names, one within the other; undefined where one of them is missing. */
export function at(value: unknown, ...names: string[]): unknown {
  return names.reduce<unknown>(
    (inner, name) =>
      typeof inner === 'object' && inner !== null && Object.hasOwn(inner, name)
        ? (inner as Record<string, unknown>)[name]
        : undefined,
    value,
  )
}

/** Elements of one name: none, one or several, bounded. */
export function each(value: unknown, max: number): unknown[] {
  return value === undefined ? [] : [value].flat().slice(0, max)
}

/** Text of an element, without what a terminal would obey, shortened; empty where there is none. */
export function textOf(value: unknown, max = 2048): string {
  const text = typeof value === 'object' ? at(value, '#text') : value
  if (typeof text !== 'string') return ''
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '').slice(0, max)
}

/** Text that may stand in an element or an attribute. */
export const escapeXml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
