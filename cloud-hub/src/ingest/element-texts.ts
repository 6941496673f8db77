/**
 * The texts of the elements of an array inside a JSON text, cut out and not written anew: an event is kept
 * exactly as it came, and at half the cost of writing it again.
 */

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const openBracket = 0x5b
const closeBracket = 0x5d
const openBrace = 0x7b
const closeBrace = 0x7d

/**
 * Texts of the elements of the array under `key` at the top of `json`, in order; of the last one where the
 * key stands twice, as `JSON.parse` has it. Undefined where there is no such array, or its key is written
 * with escapes.
 * @param json a text that `JSON.parse` has accepted as an object
 */
export function elementTexts(json: string, key: string): string[] | undefined {
  let found: string[] | undefined
  let i = skipSpace(json, 0) + 1
  for (;;) {
    i = skipSpace(json, i)
    if (json.charCodeAt(i) === closeBrace || i >= json.length) return found
    if (json.charCodeAt(i) === comma) {
      i++
      continue
    }
    const keyEnd = skipString(json, i)
    const isKey = json.slice(i + 1, keyEnd - 1) === key
    const start = skipSpace(json, skipSpace(json, keyEnd) + 1)
    if (isKey && json.charCodeAt(start) === openBracket) {
      found = []
      i = cut(json, start, found)
    } else {
      if (isKey) found = undefined
      i = skipValue(json, start)
    }
  }
}

/** Cuts the elements of the array that begins at `start`; returns where it ends. */
function cut(json: string, start: number, elements: string[]): number {
  let i = start + 1
  for (;;) {
    i = skipSpace(json, i)
    const c = json.charCodeAt(i)
    if (c === closeBracket) return i + 1
    if (c === comma) {
      i++
      continue
    }
    const end = skipValue(json, i)
    elements.push(json.slice(i, end))
    i = end
  }
}

function skipSpace(json: string, from: number): number {
  let i = from
  while (json.charCodeAt(i) <= 0x20) i++
  return i
}

/** `from` is at the opening quote. Leaps from quote to quote. */
function skipString(json: string, from: number): number {
  let end = from
  for (;;) {
    end = json.indexOf('"', end + 1)
    let escapes = 0
    while (json.charCodeAt(end - 1 - escapes) === backslash) escapes++
    if (escapes % 2 === 0) return end + 1
  }
}

function skipValue(json: string, from: number): number {
  const first = json.charCodeAt(from)
  if (first === quote) return skipString(json, from)
  if (first !== openBrace && first !== openBracket) return skipScalar(json, from)
  let depth = 0
  for (let i = from; ; ) {
    const c = json.charCodeAt(i)
    if (c === quote) {
      i = skipString(json, i)
      continue
    }
    i++
    if (c === openBrace || c === openBracket) depth++
    else if ((c === closeBrace || c === closeBracket) && --depth === 0) return i
  }
}

/** A number, `true`, `false` or `null`: up to what may follow a value. */
function skipScalar(json: string, from: number): number {
  for (let i = from; ; i++) {
    const c = json.charCodeAt(i)
    if (!(c > 0x20) || c === comma || c === closeBrace || c === closeBracket) return i
  }
}
