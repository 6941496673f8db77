/** The log of a long-running command: lines for people in a terminal, JSON lines elsewhere, on standard error. */
import { Option } from 'commander'
import { type DestinationStream, type Logger, multistream, pino } from 'pino'
import pretty from 'pino-pretty'

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

export const logLevelOption = (): Option =>
  new Option('--log-level <level>', 'least important lines to log')
    .choices([...logLevels])
    .default('info')

/**
 * Opens the log; `name` stands in every line.
 * @param also takes every line too, those of `info` at least, whatever the terminal is shown
 */
export function openLog(name: string, level: LogLevel, also?: DestinationStream): Logger {
  const people = process.stderr.isTTY
  const stream = people
    ? pretty({ destination: 2, colorize: true, ignore: 'pid,hostname', sync: true })
    : pino.destination({ dest: 2, sync: true })
  if (!also) return pino({ name, level }, stream)
  const alsoLevel = level === 'debug' ? 'debug' : 'info'
  const shown = level === 'silent' ? [] : [{ stream, level }]
  const streams = [...shown, { stream: also, level: alsoLevel } as const]
  return pino({ name, level: alsoLevel }, multistream(streams))
}
