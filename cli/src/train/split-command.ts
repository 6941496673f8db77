/** A command as one text, cut at blanks; what stands in quotes stays together. No shell reads it, so nothing in it is expanded. */
import { UsageFailure } from '../failure.ts'

/** @throws {UsageFailure} when a quote is not closed */
export function splitCommand(text: string): string[] {
  const words: string[] = []
  let word: string | undefined
  let quote = ''
  for (const sign of text) {
    if (quote !== '') {
      if (sign === quote) quote = ''
      else word += sign
    } else if (sign === '"' || sign === "'") {
      quote = sign
      word ??= ''
    } else if (/\s/.test(sign)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else word = (word ?? '') + sign
  }
  if (quote !== '') {
    throw new UsageFailure(`Cannot read the command "${text}": a ${quote} is not closed`)
  }
  return word === undefined ? words : [...words, word]
}
