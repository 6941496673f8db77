/** `edgeloop device rollback|history|tag`, and `edgeloop site …`: what rollouts need to know of devices, and leave on them. */
import { Command } from 'commander'
import { connectHub, type HubOptions } from '../hub-client.ts'
import { withHub } from '../options.ts'
import { ago, bytes, formatTable, plain, printJson } from '../output.ts'

type Options = HubOptions & { json?: boolean }

/** Adds the commands to `device`. */
export function addUpdates(device: Command): void {
  withHub(
    device
      .command('history')
      .argument('<device>', 'id of the device')
      .description('what a device runs, and every update it was offered')
      .addHelpText('after', '\nExample:\n  $ ./edgeloop device history gate-7'),
  ).action(async (deviceId: string, options: Options) => {
    const hub = await connectHub(options)
    const { running, at, updates } = await hub.call('deviceUpdateList', { params: { deviceId } })
    if (options.json) return printJson({ running, at, updates })
    const now = Date.now()
    for (const { name, version } of running) {
      console.log(
        plain(
          `Runs ${name}, ${version === 0 ? 'its own file' : `version ${version}`}, said ${ago(at, now)}`,
        ),
      )
    }
    if (updates.length === 0) {
      process.stderr.write('It was offered no update yet\n')
      return
    }
    console.log(
      formatTable(updates, [
        { title: 'ROLLOUT', of: (one) => one.rolloutId.slice(0, 8) },
        { title: 'MODEL', of: (one) => `${one.name}/${one.version}` },
        { title: 'STATE', of: (one) => (one.goingBack ? 'going back' : one.state) },
        { title: 'SINCE', of: (one) => ago(one.since, now) },
        { title: 'TRY', of: (one) => one.attempt, right: true },
        {
          title: 'BYTES',
          of: (one) => bytes(one.bytes.fromHub + one.bytes.fromMirrors),
          right: true,
        },
        { title: 'WHY', of: (one) => one.reason },
      ]),
    )
  })

  withHub(
    device
      .command('rollback')
      .argument('<device>', 'id of the device')
      .argument('<model>', 'name of the model')
      .description('take a device back to what it ran before the newest update of a model')
      .addHelpText('after', '\nExample:\n  $ ./edgeloop device rollback gate-7 gate'),
  ).action(async (deviceId: string, name: string, options: Options) => {
    const hub = await connectHub(options)
    const box = await hub.call('deviceModelRollBack', { params: { deviceId, name } })
    if (options.json) return printJson(box)
    console.log(`Device "${deviceId}" was asked to go back from version ${box.version} of ${name}`)
  })

  withHub(
    device
      .command('tag')
      .argument('<device>', 'id of the device')
      .argument('[tags...]', 'its tags from now on; none takes all away')
      .description('set the tags by which rollouts choose devices')
      .addHelpText('after', '\nExample:\n  $ ./edgeloop device tag gate-7 pilot outdoor'),
  ).action(async (deviceId: string, tags: string[], options: Options) => {
    const hub = await connectHub(options)
    const set = await hub.call('deviceTagsSet', { params: { deviceId }, body: { tags } })
    if (options.json) return printJson(set)
    console.log(`Tags of "${deviceId}": ${set.tags.length === 0 ? 'none' : set.tags.join(', ')}`)
  })
}

export function siteCommand(): Command {
  const site = new Command('site').description('List sites and set their time zones').addHelpText(
    'after',
    `
Examples:
  $ ./edgeloop site list
  $ ./edgeloop site time-zone mill Europe/Berlin     maintenance windows are read in it`,
  )
  withHub(site.command('list').description('list the sites')).action(async (options: Options) => {
    const hub = await connectHub(options)
    const rows = await hub.call('siteList', {})
    if (options.json) {
      for (const row of rows) printJson(row)
      return
    }
    console.log(
      formatTable(rows, [
        { title: 'SITE', of: (row) => row.site },
        { title: 'TIME ZONE', of: (row) => row.timeZone },
        { title: 'DEVICES', of: (row) => row.devices, right: true },
      ]),
    )
  })
  withHub(
    site
      .command('time-zone')
      .argument('<site>', 'name of the site')
      .argument('<zone>', 'such as Europe/Berlin')
      .description('set the time zone of a site')
      .addHelpText('after', '\nExample:\n  $ ./edgeloop site time-zone mill Europe/Berlin'),
  ).action(async (name: string, timeZone: string, options: Options) => {
    const hub = await connectHub(options)
    const row = await hub.call('siteTimeZoneSet', { params: { site: name }, body: { timeZone } })
    if (options.json) return printJson(row)
    console.log(`Clocks of ${row.site} show ${row.timeZone}`)
  })
  return site
}
