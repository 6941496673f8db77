/** `edgeloop device config …`: what is wanted of a device, its past, and the way back. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import {
  type ConfigChange,
  DeviceConfig,
  diffConfigs,
  emptyConfig,
  hideSecrets,
} from '@edgeloop/protocol'
import { parse } from '@edgeloop/protocol/check'
import { Command } from 'commander'
import { type Static, Type } from 'typebox'
import { parse as parseYaml, stringify } from 'yaml'
import { lineOf } from '../config-change.ts'
import { Failure } from '../failure.ts'
import { connectHub, type HubClient, type HubOptions } from '../hub-client.ts'
import { integer } from '../options.ts'
import { ago, formatTable, printJson } from '../output.ts'

type Options = HubOptions & { json?: boolean }

const versionMax = Number.MAX_SAFE_INTEGER
const version = integer(0, versionMax)

/** @param withHub adds the options that lead to a hub */
export function deviceConfigCommand(withHub: (command: Command) => Command): Command {
  const config = new Command('config')
    .description('Show, change, compare and roll back what is wanted of a device')
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop device config show gate-7 > gate-7.yaml
  $ ./edgeloop device config diff gate-7 --file gate-7.yaml
  $ ./edgeloop device config set gate-7 gate-7.yaml
  $ ./edgeloop device config history gate-7
  $ ./edgeloop device config rollback gate-7 12

Passwords of cameras are shown as "…"; what is set with a "…" keeps the password that is stored.`,
    )
  const of = (name: string, description: string): Command =>
    withHub(config.command(name).argument('<device>', 'id of the device').description(description))

  of('show', 'print the configuration as YAML, without passwords')
    .option('--version <n>', 'an earlier version', integer(1, versionMax))
    .action(async (deviceId: string, options: Options & { version?: number }) => {
      const shown = await versionOf(await connectHub(options), deviceId, options.version)
      if (options.json) printJson(shown)
      else process.stdout.write(stringify(shown))
    })

  of('set', 'replace the configuration by that of a YAML or JSON file')
    .argument('<file>', 'as `show` prints it, or with `streams` alone')
    .option('--version <n>', 'version that was edited (default: the one in the file)', version)
    .action(async (deviceId: string, file: string, options: Options & { version?: number }) => {
      const hub = await connectHub(options)
      const wanted = await readConfigFile(file)
      const edited =
        options.version ?? wanted.version ?? (await versionOf(hub, deviceId, undefined)).version
      const desired = await hub.call('desiredPut', {
        params: { deviceId },
        body: { version: edited, config: wanted.config },
      })
      report(deviceId, desired, options)
    })

  of('diff', 'say in what two versions differ, or a file and the newest version')
    .argument('[from]', 'version to begin with (default: the one before `to`)', version)
    .argument('[to]', 'version to compare with (default: the newest)', version)
    .option('--file <file>', 'compare the newest version with a file')
    .action(async (deviceId, from, to, options: Options & { file?: string }) => {
      const hub = await connectHub(options)
      const changes =
        options.file === undefined
          ? await diffOf(hub, deviceId, from, to)
          : await diffWithFile(hub, deviceId, options.file)
      if (options.json) printJson(changes)
      else if (changes.length === 0) process.stderr.write('There is no difference.\n')
      else console.log(changes.map(lineOf).join('\n'))
    })

  of('history', 'list the versions that are kept, newest first').action(
    async (deviceId: string, options: Options) => {
      const hub = await connectHub(options)
      const versions = await hub.call('configVersionList', { params: { deviceId } })
      if (options.json) {
        for (const one of versions) printJson(one)
        return
      }
      if (versions.length === 0) {
        process.stderr.write(`Nothing has been wanted of "${deviceId}" yet.\n`)
        return
      }
      const now = Date.now()
      console.log(
        formatTable(versions, [
          { title: 'VERSION', of: (one) => one.version, right: true },
          { title: 'WHEN', of: (one) => ago(one.at, now) },
          { title: 'BY', of: (one) => one.by || 'unknown' },
          { title: 'OUTCOME', of: (one) => one.outcome },
          { title: 'WHY', of: (one) => one.reason },
        ]),
      )
    },
  )

  of('rollback', 'want an earlier version again, as a new one')
    .argument('<to>', 'the earlier version', integer(1, versionMax))
    .option('--version <n>', 'newest version you have seen (default: the newest)', version)
    .action(async (deviceId: string, to: number, options: Options & { version?: number }) => {
      const hub = await connectHub(options)
      const newest = options.version ?? (await versionOf(hub, deviceId, undefined)).version
      const desired = await hub.call('configRollback', {
        params: { deviceId },
        body: { version: newest, to },
      })
      report(deviceId, desired, options)
    })
  return config
}

type Shown = { readonly version: number; readonly at?: string; readonly config: DeviceConfig }

async function versionOf(
  hub: HubClient,
  deviceId: string,
  wanted: number | undefined,
): Promise<Shown> {
  if (wanted !== undefined) {
    const params = { deviceId, version: wanted }
    const { version, at, config } = await hub.call('configVersionShow', { params })
    return { version, at, config }
  }
  const { desired } = await hub.call('deviceShow', { params: { deviceId } })
  return desired ?? { version: 0, config: emptyConfig }
}

/** What a file holds: what `show` prints, or a configuration alone. */
const ConfigFile = Type.Object(
  {
    version: Type.Optional(Type.Integer({ minimum: 0 })),
    at: Type.Optional(Type.String()),
    config: DeviceConfig,
  },
  { additionalProperties: false },
)

async function readConfigFile(name: string): Promise<Static<typeof ConfigFile>> {
  const file = resolve(process.env.INIT_CWD ?? process.cwd(), name)
  const value = await readYaml(file)
  const isShown = typeof value === 'object' && value !== null && 'config' in value
  try {
    if (isShown) return parse(ConfigFile, value, `"${file}"`)
    return { config: parse(DeviceConfig, value, `"${file}"`) }
  } catch (cause) {
    throw new Failure(
      (cause as Error).message,
      'print an example with `./edgeloop device config show DEVICE`',
      { cause },
    )
  }
}

async function readYaml(file: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    const why = missing ? 'there is no such file' : (cause as Error).message
    throw new Failure(`Cannot read "${file}": ${why}`, undefined, { cause })
  }
  try {
    return parseYaml(text)
  } catch (cause) {
    const [firstLine] = (cause as Error).message.split('\n')
    throw new Failure(`Cannot read "${file}": it is no YAML (${firstLine})`, undefined, { cause })
  }
}

async function diffOf(
  hub: HubClient,
  deviceId: string,
  from: number | undefined,
  to: number | undefined,
): Promise<ConfigChange[]> {
  const last = to ?? (await versionOf(hub, deviceId, undefined)).version
  const query = { from: from ?? Math.max(0, last - 1), to: last }
  return (await hub.call('configDiff', { params: { deviceId }, query })).changes
}

async function diffWithFile(
  hub: HubClient,
  deviceId: string,
  file: string,
): Promise<ConfigChange[]> {
  const { config } = await readConfigFile(file)
  const newest = await versionOf(hub, deviceId, undefined)
  // The hub shows no passwords: one that is written in the file cannot be compared.
  return diffConfigs(newest.config, hideSecrets(config))
}

function report(deviceId: string, desired: { version: number }, { json }: Options): void {
  if (json) {
    printJson(desired)
    return
  }
  process.stderr.write(
    `Device "${deviceId}" is asked for configuration ${desired.version}; see what it makes of it with ./edgeloop device config history ${deviceId}\n`,
  )
}
