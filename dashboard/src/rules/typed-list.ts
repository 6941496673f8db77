/** Lists as people type them, with commas between. Pure. */

export const typed = (words: readonly string[] | undefined): string => (words ?? []).join(', ')

/** Undefined where nothing was typed; what was typed twice counts once. */
export function listed(text: string): string[] | undefined {
  const words = text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
  return words.length === 0 ? undefined : [...new Set(words)]
}
