/** Small files that a user writes: recipes, searches, lists of labels. */
import { readFile } from 'node:fs/promises'
import { parse as parseYaml } from 'yaml'
import { Failure } from '../failure.ts'

/** Most bytes of one. */
const fileBytesMax = 1024 * 1024

/**
 * What a file of YAML or JSON says.
 * @param what it is to the user: `recipe`
 * @throws {Failure} where it cannot be read
 */
export async function objectIn(file: string, what: string): Promise<unknown> {
  const text = await readText(file, what)
  try {
    return parseYaml(text) ?? {}
  } catch (cause) {
    const [line = ''] = (cause as Error).message.split('\n')
    throw new Failure(`Cannot read ${what} "${file}": not YAML or JSON (${line})`, undefined, {
      cause,
    })
  }
}

/** @throws {Failure} where it cannot be read, or is too large */
export async function readText(file: string, what: string): Promise<string> {
  try {
    const text = await readFile(file, 'utf8')
    if (text.length > fileBytesMax) throw new Error(`it is larger than ${fileBytesMax} bytes`)
    return text
  } catch (cause) {
    throw new Failure(`Cannot read ${what} "${file}": ${(cause as Error).message}`, undefined, {
      cause,
    })
  }
}
