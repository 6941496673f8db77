/**
 * What ffmpeg says about each frame: two `showinfo` filters, one before and one after the selection,
 * write a line per frame to standard error, among whatever else it has to say. Pure.
 */

/** Names of the two filters: every decoded frame, and those selected for analysis. */
export const decodedFilter = 'showinfo@decoded'
export const pickedFilter = 'showinfo@picked'

export type LogEntry =
  /** Seconds per tick of the time stamps that follow. */
  | { readonly kind: 'time base'; readonly tickSeconds: number }
  | {
      readonly kind: 'decoded'
      /** In ticks; undefined where the source gave none. */
      readonly ticks: number | undefined
      readonly width: number
      readonly height: number
      /** Pixel format, as FFmpeg calls it. */
      readonly format: string
      readonly isKey: boolean
    }
  | { readonly kind: 'picked' }
  /** The decoder had to invent something, or the network lost a packet. */
  | { readonly kind: 'damage'; readonly text: string }
  /** Why it gives up, or is about to: for the error message. */
  | { readonly kind: 'complaint'; readonly text: string }

const damage =
  /error while decoding|concealing|corrupt|decode_slice|no frame!|invalid data|RTP: missed|missing reference|reference picture missing|non-existing|cabac decode|out of range intra/i
const complaint =
  /error|fail|invalid|refused|timed out|unauthorized|forbidden|not found|not implemented|unsupported|denied|unable|could not/i
const numbers = /pts:\s*(-?\d+|NOPTS) .* fmt:(\S+) .*s:(\d+)x(\d+) .*iskey:(\d)/
const timeBase = /config in time_base: (\d+)\/(\d+)/

/** One line of standard error, without its end; undefined where it says nothing new. */
export function parseLogLine(line: string): LogEntry | undefined {
  if (line.startsWith(`[${decodedFilter}`)) {
    const found = numbers.exec(line)
    if (found !== null) {
      const [, ticks, format = '', width, height, key] = found
      return {
        kind: 'decoded',
        ticks: ticks === 'NOPTS' ? undefined : Number(ticks),
        width: Number(width),
        height: Number(height),
        format,
        isKey: key === '1',
      }
    }
    const base = timeBase.exec(line)
    if (base === null) return undefined
    return { kind: 'time base', tickSeconds: Number(base[1]) / Number(base[2]) }
  }
  if (line.startsWith(`[${pickedFilter}`))
    return numbers.test(line) ? { kind: 'picked' } : undefined
  const text = line.replace(/^\[[^\]]* @ 0x[0-9a-f]+\]\s*/, '').trim()
  if (damage.test(text)) return { kind: 'damage', text }
  return complaint.test(text) ? { kind: 'complaint', text } : undefined
}

/** Longest line kept while its end has not come: side data is printed as hex without a bound. */
const lineMax = 4096

/** Cuts a stream of text into lines; of a line longer than `lineMax` only the beginning is kept. */
export function lineSplitter(take: (line: string) => void): (text: string) => void {
  let rest = ''
  return (text) => {
    let from = 0
    for (;;) {
      const end = text.indexOf('\n', from)
      if (end < 0) break
      take(rest.length < lineMax ? rest + text.slice(from, end) : rest)
      rest = ''
      from = end + 1
    }
    if (rest.length < lineMax) rest += text.slice(from, from + lineMax)
  }
}
