/** What is known of a device's log: answers put together, narrowed for the page, and written to a file. Pure. */
import { type DeviceLog, type LogLevel, type LogLine, logLevels } from '@edgeloop/protocol'

/** One line, and the start of the agent that it is of. */
export type KeptLine = LogLine & { readonly bootId: string }

export type KeptLog = {
  /** Oldest first. */
  readonly lines: readonly KeptLine[]
  /** Keys of lines before which something is missing, and how much. */
  readonly gaps: Readonly<Record<string, number>>
  /** When lines were last read, ms; undefined where none ever were. */
  readonly readAt: number | undefined
  /** What came of the last question, and why there was no answer. */
  readonly state: DeviceLog['state']
  readonly reason: string
}

/** Lines that are kept of one device; the oldest give way. */
export const keptLinesMax = 3000

export const keyOfLine = ({ bootId, sequence }: KeptLine): string => `${bootId} ${sequence}`

/**
 * Adds an answer to what was read before.
 * @param readAt now, ms
 */
export function mergeLog(before: KeptLog | undefined, answer: DeviceLog, readAt: number): KeptLog {
  const { state, reason, bootId } = answer
  const { lines = [], gaps = {} } = before ?? {}
  if (bootId === null) return { lines, gaps, readAt: before?.readAt, state, reason }
  const newest = lines.at(-1)
  const known = newest?.bootId === bootId ? newest.sequence : 0
  const added = answer.lines
    .filter(({ sequence }) => sequence > known)
    .map((line) => ({ ...line, bootId }))
  const all = [...lines, ...added].slice(-keptLinesMax)
  const [first] = added
  const marked =
    first && answer.omitted > 0 ? { ...gaps, [keyOfLine(first)]: answer.omitted } : gaps
  return { lines: all, gaps: marked, readAt, state, reason }
}

/** Lines from a level on that hold every word of `words`, in whatever case. */
export function narrowLog(
  lines: readonly KeptLine[],
  { level = 'debug', words = '' }: { level?: LogLevel | undefined; words?: string | undefined },
): KeptLine[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean)
  const least = logLevels.indexOf(level)
  return lines.filter((line) => {
    const text = `${line.text} ${line.facts}`.toLowerCase()
    return logLevels.indexOf(line.level) >= least && wanted.every((word) => text.includes(word))
  })
}

/** The lines as a text file, times in UTC. */
export const writeLog = (lines: readonly KeptLine[]): string =>
  lines
    .map(({ at, level, text, facts }) => `${at} ${level.padEnd(5)} ${text} ${facts}`.trimEnd())
    .map((line) => `${line}\n`)
    .join('')
