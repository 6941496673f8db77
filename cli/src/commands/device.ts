/** `edgeloop device …`: the fleet in the terminal. */
import type { MeasuredRuntime, ReportedModel } from '@edgeloop/protocol'
import { Command } from 'commander'
import { UsageFailure } from '../failure.ts'
import { connectHub, type HubOptions } from '../hub-client.ts'
import { integer, withHub } from '../options.ts'
import { ago, bytes, formatTable, plain, printJson } from '../output.ts'

import { deviceConfigCommand } from './device-config.ts'
import { addLogs } from './device-logs.ts'
import { addRetirement } from './device-retirement.ts'
import { addUpdates } from './device-updates.ts'

type Options = HubOptions & { json?: boolean }

export function deviceCommand(): Command {
  const device = new Command('device')
    .description('List, show, enrol, retire and remove devices')
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop device list
  $ ./edgeloop device show demo --json
  $ ./edgeloop device add gate-7 --site lab        a one-time token that enrols a box
  $ ./edgeloop device edit gate-7 --site harbour   it stands elsewhere now
  $ ./edgeloop device logs gate-7 --follow         what its agent says
  $ ./edgeloop device history gate-7               its model updates
  $ ./edgeloop device rollback gate-7 gate         back to what it ran before
  $ ./edgeloop device tag gate-7 pilot             rollouts choose by tags
  $ ./edgeloop device retire gate-7                shuts it out at once`,
    )
  withHub(device.command('list').description('list the devices')).action(
    async (options: Options) => {
      const hub = await connectHub(options)
      const rows = await hub.call('deviceList', {})
      if (options.json) {
        for (const row of rows) printJson(row)
        return
      }
      if (rows.length === 0) {
        process.stderr.write('There are no devices yet. Add one: ./edgeloop device add NAME\n')
        return
      }
      const now = Date.now()
      console.log(
        formatTable(rows, [
          { title: 'DEVICE', of: (row) => row.deviceId },
          { title: 'SITE', of: (row) => row.site },
          { title: 'HEALTH', of: (row) => row.health },
          { title: 'STREAMS', of: (row) => `${row.streamsLive}/${row.streamsTotal}`, right: true },
          { title: 'FPS', of: (row) => row.analysedFps.toFixed(1), right: true },
          { title: 'CPU', of: (row) => `${Math.round(row.cpuShare * 100)} %`, right: true },
          { title: 'MEMORY', of: (row) => bytes(row.memoryBytes), right: true },
          {
            title: 'SEEN',
            of: (row) => (row.connectivity === 'online' ? 'now' : ago(row.lastSeenAt, now)),
          },
        ]),
      )
    },
  )

  withHub(
    device.command('show').argument('<device>', 'id of the device').description('show one device'),
  ).action(async (deviceId: string, options: Options) => {
    const hub = await connectHub(options)
    const detail = await hub.call('deviceShow', { params: { deviceId } })
    if (options.json) return printJson(detail)
    const { device: row, reported, certificate } = detail
    const facts: [string, string][] = [
      ['Device', `${row.deviceId} (site ${row.site})`],
      ['Name', row.name === row.deviceId ? '' : row.name],
      ['Enrolled at', certificate.site === row.site ? '' : `site ${certificate.site}`],
      ['Health', row.reason === '' ? row.health : `${row.health}: ${row.reason}`],
      ['Last seen', row.connectivity === 'online' ? 'now' : ago(row.lastSeenAt, Date.now())],
      [
        'Agent',
        reported ? `${reported.agentVersion} on ${reported.platform}` : 'has not reported yet',
      ],
      ['Processor', reported ? `${reported.cpu}, ${reported.cores} cores` : ''],
      [
        'Configuration',
        `${reported?.configVersion ?? 0} in force, ${detail.desired?.version ?? 0} wanted`,
      ],
      ['Refused because', reported?.config?.reason ?? ''],
      ['Certificate', `until ${certificate.notAfter}`],
      ['Events stored', String(row.eventsStored)],
    ]
    for (const [name, value] of facts) {
      if (value !== '') console.log(`${name.padEnd(16)} ${plain(value)}`)
    }
    if (!reported) return
    console.log(
      `\n${formatTable(reported.streams, [
        { title: 'STREAM', of: (stream) => stream.streamId },
        { title: 'STATE', of: (stream) => stream.state },
        { title: 'SIZE', of: (stream) => (stream.width ? `${stream.width}×${stream.height}` : '') },
        { title: 'MODEL', of: (stream) => stream.model ?? '' },
        { title: 'SOURCE', of: (stream) => stream.source },
        { title: 'WHY', of: (stream) => stream.reason || (stream.noClips ?? '') },
      ])}`,
    )
    if (reported.models.length === 0) return
    console.log(
      `\n${formatTable(reported.models.flatMap(runtimesOf), [
        { title: 'MODEL', of: ({ model }) => model },
        { title: 'RUNTIME', of: ({ runtime }) => runtime },
        {
          title: 'MEDIAN',
          of: ({ medianMs }) => (medianMs === undefined ? '' : `${medianMs.toFixed(1)} ms`),
          right: true,
        },
        { title: '', of: ({ inUse, reason }) => (inUse ? 'in use' : (reason ?? '')) },
      ])}`,
    )
  })

  withHub(
    device
      .command('add')
      .alias('token')
      .argument('<device>', 'id of the device; a known one is enrolled again')
      .description('make a one-time token that enrols a device, and print what to run on it')
      .option('--site <site>', 'site the device belongs to (default: the one of the hub)')
      .option('--name <name>', 'name that people see')
      .option('--valid-minutes <n>', 'how long the token can be used', integer(1, 10_080), 60),
  ).action(
    async (
      deviceId: string,
      options: Options & { site?: string; name?: string; validMinutes: number },
    ) => {
      const hub = await connectHub(options)
      const { site, name, validMinutes } = options
      const given = { ...(site !== undefined && { site }), ...(name !== undefined && { name }) }
      const made = await hub.call('enrolmentCreate', {
        body: { deviceId, validMinutes, ...given },
      })
      if (options.json) return printJson(made)
      process.stderr.write(`One device can enrol with this until ${made.expiresAt}. On the box:\n`)
      // Without an agent to give, the box needs a checkout of its own.
      console.log(
        made.installCommand ??
          `EDGELOOP_ENROLMENT_TOKEN=${made.token} ./edgeloop agent --hub ${made.deviceUrl} --ca-fingerprint ${made.caFingerprint}`,
      )
    },
  )
  withHub(
    device
      .command('edit')
      .argument('<device>', 'id of the device')
      .description('change the name or the site that people see of a device')
      .option('--name <name>', 'what people call it')
      .option(
        '--site <site>',
        'site where it stands now; its certificate and topics keep the first',
      )
      .addHelpText(
        'after',
        '\nExamples:\n  $ ./edgeloop device edit gate-7 --name "Gate 7, north"\n  $ ./edgeloop device edit gate-7 --site harbour',
      ),
  ).action(edit)
  addLogs(device, withHub)
  addUpdates(device)
  addRetirement(device, withHub)
  device.addCommand(deviceConfigCommand(withHub))
  return device
}

async function edit(
  deviceId: string,
  { name, site, ...options }: Options & { name?: string; site?: string },
): Promise<void> {
  if (name === undefined && site === undefined) {
    throw new UsageFailure(
      'Cannot edit the device: nothing to change',
      'give --name, --site or both',
    )
  }
  const hub = await connectHub(options)
  const body = { ...(name !== undefined && { name }), ...(site !== undefined && { site }) }
  const row = await hub.call('deviceEdit', { params: { deviceId }, body })
  if (options.json) return printJson(row)
  process.stderr.write(plain(`Device "${deviceId}" is "${row.name}" at site "${row.site}" now`))
  process.stderr.write('\n')
}

/** A row per way to execute a model: what was measured, and which of them is in use. */
function runtimesOf({ name, runtime, measured }: ReportedModel) {
  const rows: readonly MeasuredRuntime[] = measured?.runtimes ?? []
  const known = rows.some((row) => row.runtime === runtime)
  return [...(known ? [] : [{ runtime }]), ...rows].map((row: MeasuredRuntime) => ({
    ...row,
    model: name,
    inUse: row.runtime === runtime,
  }))
}
