/** `edgeloop hub broker-config`: all that an external broker needs to serve a hub, in one folder. */
import { join, resolve } from 'node:path'
import { Command, Option } from 'commander'
import { dataOption, integer, jsonOption } from '../options.ts'
import { printJson } from '../output.ts'

type Options = {
  for: 'mosquitto'
  out: string
  host: string
  bind: string
  port: number
  hubPort: number
  data: string
  json?: boolean
}

export function brokerConfigCommand(): Command {
  return new Command('broker-config')
    .description('write configuration, access rules and certificates for an external broker')
    .addOption(
      new Option('--for <broker>', 'which broker').choices(['mosquitto']).makeOptionMandatory(),
    )
    .requiredOption('--out <dir>', 'folder to write; keys and certificates in it are made anew')
    .option('--host <name>', 'name or address of the broker, for its certificate', 'localhost')
    .option('--bind <address>', 'address it listens on (default: all)', '')
    .option('--port <n>', 'port for devices', integer(1, 65_535), 8883)
    .option('--hub-port <n>', 'port for the hub and its replicas', integer(1, 65_535), 8884)
    .addOption(jsonOption())
    .addOption(dataOption())
    .addHelpText(
      'after',
      `
Example:
  $ ./edgeloop hub broker-config --for mosquitto --out /etc/mosquitto/edgeloop --host broker.example.org

The broker's user must be able to read the folder and to write its data/, the hub's to read hub.key and to
write devices.crl. Started as root, mosquitto becomes the user mosquitto.
The broker must be told to read devices.crl again when it has changed: kill -HUP, or systemctl reload.
Run it again to renew the certificates, then restart broker and hub.`,
    )
    .action(run)
}

async function run(options: Options): Promise<void> {
  const { writeMosquittoConfig } = await import('@edgeloop/cloud-hub')
  const folder = resolve(options.out)
  const files = await writeMosquittoConfig({
    dataDir: join(resolve(options.data), 'hub'),
    out: folder,
    host: options.host,
    bind: options.bind,
    devicePort: options.port,
    hubPort: options.hubPort,
  })
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  const broker = `mqtts://${host}:${options.hubPort}`
  const brokerPublic = `mqtts://${host}:${options.port}`
  if (options.json) {
    printJson({ folder, files, broker, brokerPublic })
    return
  }
  console.log(`Wrote ${files.length} files to ${folder}

  mosquitto -c ${join(folder, 'mosquitto.conf')}
  ./edgeloop hub --broker ${broker} --broker-public ${brokerPublic} --broker-files ${options.out}`)
}
