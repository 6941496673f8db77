/**
 * How the terminal speaks: standard output carries results only, everything else goes to standard
 * error. With `--json` a result is one or more JSON lines, the last of which is the result.
 */
import { stripVTControlCharacters, styleText } from 'node:util'

/** Writes one JSON line to standard output. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

export type Column<Row> = {
  readonly title: string
  readonly of: (row: Row) => string | number
  /** Numbers are set to the right. */
  readonly right?: boolean
}

/**
 * Rows as a table that fits the terminal (80 columns where there is none): the widest text column
 * gives way. What a device or camera said may hold control characters; they are taken out.
 */
export function formatTable<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  widthMax = terminalWidth(),
): string {
  const cells = [
    columns.map((column) => column.title),
    ...rows.map((row) => columns.map((column) => plain(String(column.of(row))))),
  ]
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i]?.length ?? 0)))
  const gap = 2
  let excess = widths.reduce((sum, width) => sum + width + gap, -gap) - widthMax
  while (excess > 0) {
    const widest = widths.indexOf(Math.max(...widths))
    const width = widths[widest] ?? 0
    if (width <= 8) break
    const cut = Math.min(excess, width - 8)
    widths[widest] = width - cut
    excess -= cut
  }
  const lines = cells.map((line) =>
    line
      .map((cell, i) => {
        const width = widths[i] ?? 0
        const text = cell.length > width ? `${cell.slice(0, width - 1)}…` : cell
        return columns[i]?.right ? text.padStart(width) : text.padEnd(width)
      })
      .join(' '.repeat(gap))
      .trimEnd(),
  )
  const [head = '', ...body] = lines
  return [styleText('dim', head, { stream: process.stdout }), ...body].join('\n')
}

const terminalWidth = (): number => process.stdout.columns ?? 80

/** One line of text without anything that could steer a terminal. */
export function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: taking them out is the point
  return stripVTControlCharacters(text).replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ')
}

/** How long ago, in words: `12 s ago`. */
export function ago(at: string | null, now: number): string {
  if (at === null) return 'never'
  const seconds = Math.max(0, Math.round((now - Date.parse(at)) / 1000))
  if (seconds < 120) return `${seconds} s ago`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h ago`
  return `${Math.round(seconds / 86_400)} d ago`
}

/** `1234567` as `1.2 MB`. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = count
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}
