/** A recipe as people write it: one `KEY=VALUE` a line, keys with dots. Pure. */

export type Settings = Readonly<Record<string, unknown>>

/** @returns the recipe, or why a line is no setting */
export function settingsIn(text: string): { settings: Settings } | { problem: string } {
  const settings: Record<string, unknown> = {}
  for (const line of text.split(/\r?\n/).map((one) => one.trim())) {
    if (line === '' || line.startsWith('#')) continue
    const cut = line.indexOf('=')
    const path = line.slice(0, Math.max(0, cut)).trim().split('.')
    if (cut < 1 || path.some((step) => !/^[A-Za-z][\w:-]*$/.test(step))) {
      return { problem: `“${line}” is no setting: write KEY=VALUE, such as epochs=5` }
    }
    let at = settings
    for (const step of path.slice(0, -1)) {
      const inner = Object.hasOwn(at, step) ? at[step] : undefined
      const next = typeof inner === 'object' && inner !== null ? inner : {}
      at[step] = next
      at = next as Record<string, unknown>
    }
    at[path.at(-1) ?? ''] = readValue(line.slice(cut + 1).trim())
  }
  return { settings }
}

/** JSON where it is, else the text itself: names need no quotes. */
function readValue(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** Settings of one depth as they are written, a line each. */
export const settingsText = (settings: Settings): string =>
  Object.entries(settings)
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join('\n')
