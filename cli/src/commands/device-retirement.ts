/** `edgeloop device retire|remove`: the end of a device. */
import type { Removal } from '@edgeloop/protocol'
import type { Command } from 'commander'
import { Failure } from '../failure.ts'
import { connectHub, type HubClient, type HubOptions } from '../hub-client.ts'
import { formatTable, printJson } from '../output.ts'

type Options = HubOptions & { json?: boolean }

/** Deleting the rows of a device that has been there for years takes a while. */
const removeTimeoutMs = 600_000

/** Adds both commands to `device`. @param withHub adds the options that lead to a hub */
export function addRetirement(device: Command, withHub: (command: Command) => Command): void {
  withHub(
    device
      .command('retire')
      .argument('<device...>', 'ids of devices')
      .description('shut devices out at once and keep what they told; `device add` brings one back')
      .option('--dry-run', 'only say what would be done')
      .addHelpText(
        'after',
        '\nExamples:\n  $ ./edgeloop device retire gate-7\n  $ ./edgeloop device retire gate-7 gate-8 --dry-run',
      ),
  ).action(async (devices: string[], options: Options & { dryRun?: boolean }) => {
    const hub = await connectHub(options)
    const [deviceId = ''] = devices
    if (devices.length > 1 || options.dryRun) return await retireMany(hub, devices, options)
    const row = await hub.call('deviceRetire', { params: { deviceId } })
    if (options.json) return printJson(row)
    process.stderr.write(
      `Device "${deviceId}" is retired: its certificate opens nothing any more. Bring it back with ./edgeloop device add ${deviceId}, or delete it with ./edgeloop device remove ${deviceId}\n`,
    )
  })

  withHub(
    device
      .command('remove')
      .argument('<device>', 'id of a retired device')
      .description('delete a retired device and everything it told')
      .option('--yes', 'delete; without it, only say what would be deleted')
      .addHelpText('after', '\nExample:\n  $ ./edgeloop device remove gate-7 --yes'),
  ).action(async (deviceId: string, options: Options & { yes?: boolean }) => {
    const hub = await connectHub(options)
    if (!options.yes) {
      const counted = await hub.call('deviceRemovalShow', { params: { deviceId } })
      if (options.json) printJson({ ...counted, removed: false })
      else console.log(`Would delete ${describe(counted)}`)
      throw counted.retired
        ? new Failure(`Device "${deviceId}" was not removed`, 'add --yes to delete this')
        : new Failure(
            `Cannot remove "${deviceId}": it is not retired`,
            `retire it first: ./edgeloop device retire ${deviceId}`,
          )
    }
    const signal = AbortSignal.timeout(removeTimeoutMs)
    const removal = await hub.call('deviceRemove', { params: { deviceId }, signal })
    if (options.json) return printJson({ ...removal, removed: true })
    console.log(`Deleted ${describe(removal)}`)
  })
}

async function retireMany(
  hub: HubClient,
  devices: string[],
  { json, dryRun = false }: Options & { dryRun?: boolean },
): Promise<void> {
  const signal = AbortSignal.timeout(removeTimeoutMs)
  const acts = await hub.call('devicesRetire', { body: { devices, dryRun }, signal })
  const { changed, unchanged, failed } = acts
  if (json) printJson(acts)
  else {
    console.log(
      formatTable(acts.devices, [
        { title: 'DEVICE', of: (one) => one.deviceId },
        { title: 'OUTCOME', of: (one) => one.outcome },
        { title: 'WHAT', of: (one) => one.text },
      ]),
    )
    const verbs = dryRun ? ['Would change', 'leave', 'fail on'] : ['Changed', 'left', 'failed on']
    process.stderr.write(
      `${verbs[0]} ${changed}, ${verbs[1]} ${unchanged} as they are, ${verbs[2]} ${failed}\n`,
    )
  }
  if (failed > 0) throw new Failure(`${failed} of ${acts.devices.length} devices were not retired`)
}

function describe(removal: Removal): string {
  const { deviceId, events, healthFigures, quarantined, configVersions } = removal
  return `device "${deviceId}": ${events} events, ${healthFigures} health figures, ${quarantined} entries that could not be taken, ${configVersions} versions of its configuration`
}
