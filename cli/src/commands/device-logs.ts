/** `edgeloop device logs`: the newest lines of an agent's log, as the device itself keeps them. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type LogLevel, type LogLine, logLevels, logLinesMax } from '@edgeloop/protocol'
import { type Command, Option } from 'commander'
import { Failure } from '../failure.ts'
import { connectHub, type HubOptions } from '../hub-client.ts'
import { integer } from '../options.ts'
import { plain, printJson } from '../output.ts'
import { stopSignal } from '../stopping.ts'

type Options = HubOptions & { json?: boolean; lines: number; level: LogLevel; follow?: boolean }

/** How often a device is asked for what is new. */
const followIntervalMs = 2000
/** The hub itself waits for a device for some seconds. */
const answerTimeoutMs = 30_000

/** Adds the command to `device`. @param withHub adds the options that lead to a hub */
export function addLogs(device: Command, withHub: (command: Command) => Command): void {
  withHub(
    device
      .command('logs')
      .argument('<device>', 'id of the device')
      .description("print the newest lines of a device's log, oldest first")
      .option('-n, --lines <n>', 'how many', integer(1, logLinesMax), 200)
      .addOption(
        new Option('--level <level>', 'least important lines to print')
          .choices([...logLevels])
          .default('debug'),
      )
      .option('-f, --follow', 'go on with new lines as they are written')
      .addHelpText(
        'after',
        `
Examples:
  $ ./edgeloop device logs gate-7 --level warn
  $ ./edgeloop device logs gate-7 --follow --json | jq .text`,
      ),
  ).action(logs)
}

async function logs(deviceId: string, options: Options): Promise<void> {
  const hub = await connectHub(options)
  const signal = stopSignal()
  const isShown = ({ level }: LogLine) =>
    logLevels.indexOf(level) >= logLevels.indexOf(options.level)
  let place: { boot: string; after: number } | undefined
  let said = ''
  try {
    for (;;) {
      const query = { lines: options.lines, ...place }
      const soon = AbortSignal.any([signal, AbortSignal.timeout(answerTimeoutMs)])
      const params = { deviceId }
      const log = await hub.call('deviceLogShow', { params, query, signal: soon })
      if (log.bootId === null) {
        if (!options.follow) throw new Failure(`Cannot show the log: ${log.reason}`)
        // Said once, not every other second.
        if (said !== log.reason) process.stderr.write(`${plain(log.reason)}\n`)
        said = log.reason
      } else {
        said = ''
        if (place && place.boot !== log.bootId) process.stderr.write('The agent started anew\n')
        if (place && log.omitted > 0) process.stderr.write(`${log.omitted} lines are missing\n`)
        for (const line of log.lines.filter(isShown)) print(line, options)
        const after = log.lines.at(-1)?.sequence
        if (after !== undefined) place = { boot: log.bootId, after }
      }
      if (!options.follow) return
      await sleep(followIntervalMs, undefined, { signal })
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

function print(line: LogLine, { json }: Options): void {
  if (json) {
    printJson(line)
    return
  }
  const at = line.at.slice(0, 19).replace('T', ' ')
  console.log(plain(`${at}  ${line.level.padEnd(5)}  ${line.text}  ${line.facts}`.trimEnd()))
}
