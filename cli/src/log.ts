/** The log of a long-running command: lines for people in a terminal, JSON lines elsewhere, on standard error. */
import { Option } from 'commander'
import { type Logger, pino } from 'pino'
import pretty from 'pino-pretty'

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

export const logLevelOption = (): Option =>
  new Option('--log-level <level>', 'least important lines to log')
    .choices([...logLevels])
    .default('info')

/** Opens the log; `name` stands in every line. */
export function openLog(name: string, level: LogLevel): Logger {
  const people = process.stderr.isTTY
  const stream = people
    ? pretty({ destination: 2, colorize: true, ignore: 'pid,hostname', sync: true })
    : pino.destination({ dest: 2, sync: true })
  return pino({ name, level }, stream)
}
