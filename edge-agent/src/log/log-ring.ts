/**
 * The newest lines of the log in memory, for whoever asks from afar: a second destination beside standard
 * error. Bounded in lines and bytes; the oldest give way. No password is in it.
 */
import {
  type LogAnswer,
  type LogLevel,
  type LogLine,
  type LogRequest,
  logAnswerBytesMax,
} from '@edgeloop/protocol'
import { secretsIn, withoutSecrets } from './secretless-text.ts'

const linesMax = 2000
const bytesMax = 1024 * 1024
const textMax = 2000
/** Of the answer: what stands around the lines. */
const frameBytes = 256
/** Sets of secrets that are remembered: those of the newest wishes, so that a changed password stays hidden. */
const wishesMax = 8

/** What pino writes, beside the facts. */
type Written = { level?: number; time?: number; msg?: string; err?: unknown }
/** Of no use to whoever looks at one agent. */
const unsaid = new Set(['level', 'time', 'msg', 'pid', 'hostname', 'name', 'v'])

export class LogRing {
  #lines: { line: LogLine; bytes: number }[] = []
  #bytes = 0
  #sequence = 0
  #secrets: string[][] = []

  /** Takes one line as pino writes it. */
  write(json: string): void {
    const { level = 30, time = Date.now(), msg = '', ...facts } = parse(json)
    this.#sequence++
    this.#keep({
      sequence: this.#sequence,
      at: new Date(time).toISOString(),
      level: levelOf(level),
      text: this.#safe(msg),
      facts: this.#safe(sayFacts(facts)),
    })
  }

  /** Hides the passwords of all addresses in `value` from now on, and in what is kept. */
  hide(value: unknown): void {
    this.#secrets = [...this.#secrets, secretsIn(value)].slice(-wishesMax)
    const kept = this.#lines
    this.#lines = []
    this.#bytes = 0
    for (const { line } of kept) {
      this.#keep({ ...line, text: this.#safe(line.text), facts: this.#safe(line.facts) })
    }
  }

  /** The newest lines that were asked for and fit into one answer, oldest first. */
  read({ after, linesMax }: Pick<LogRequest, 'after' | 'linesMax'>, bootId: string): LogAnswer {
    const from = after?.bootId === bootId ? after.sequence : 0
    const lines: LogLine[] = []
    let bytes = frameBytes
    for (const kept of this.#lines.toReversed()) {
      bytes += kept.bytes
      if (kept.line.sequence <= from || lines.length >= linesMax || bytes > logAnswerBytesMax) break
      lines.unshift(kept.line)
    }
    const first = lines[0]?.sequence ?? this.#sequence + 1
    return { bootId, lines, omitted: Math.max(0, first - from - 1) }
  }

  #safe(text: string): string {
    return withoutSecrets(text, this.#secrets.flat()).slice(0, textMax)
  }

  #keep(line: LogLine): void {
    const bytes = Buffer.byteLength(JSON.stringify(line)) + 1
    this.#lines.push({ line, bytes })
    this.#bytes += bytes
    while (this.#lines.length > linesMax || this.#bytes > bytesMax) {
      this.#bytes -= this.#lines.shift()?.bytes ?? 0
    }
  }
}

function parse(json: string): Written {
  try {
    return JSON.parse(json) as Written
  } catch {
    return { msg: json.trimEnd() }
  }
}

/** Of the numbers that pino gives to levels, by its documentation. */
function levelOf(level: number): LogLevel {
  if (level >= 50) return 'error'
  if (level >= 40) return 'warn'
  return level >= 30 ? 'info' : 'debug'
}

function sayFacts(facts: Record<string, unknown>): string {
  return Object.entries(facts)
    .filter(([key]) => !unsaid.has(key))
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ')
}
