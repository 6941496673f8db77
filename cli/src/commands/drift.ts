/** `edgeloop drift …`: streams that no longer show what they used to, and what people say to that. */
import type { DriftAlarm, DriftFigure, DriftStream } from '@edgeloop/protocol'
import { Command } from 'commander'
import { UsageFailure } from '../failure.ts'
import { connectHub, type HubOptions } from '../hub-client.ts'
import { integer, withHub } from '../options.ts'
import { ago, formatTable, plain, printJson } from '../output.ts'

type Options = HubOptions & { json?: boolean }

export function driftCommand(): Command {
  const drift = new Command('drift')
    .description('Streams that no longer show what they used to')
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop drift list                    streams, those with alarms first
  $ ./edgeloop drift show gate/yard          its figures beside what is usual
  $ ./edgeloop drift accept gate/yard        this is the new normal: learn it anew
  $ ./edgeloop drift snooze 12 --minutes 480 tell nobody of it for a working day`,
    )
  withHub(
    drift
      .command('list')
      .description('list streams, those with alarms first')
      .option('--device <id>', 'only those of a device'),
  ).action(list)
  withHub(
    drift
      .command('show')
      .argument('<device/stream>', 'a stream')
      .description('show figures of a stream beside what is usual, and its alarms'),
  ).action(show)
  withHub(
    drift
      .command('accept')
      .argument('<device/stream>', 'a stream')
      .description('say that what it shows from now on is the new normal: it is learnt anew'),
  ).action(async (name: string, options: Options) => {
    const hub = await connectHub(options)
    const stream = await hub.call('driftAccept', { params: streamOf(name) })
    if (options.json) return printJson(stream)
    console.log(`${plain(name)} is learnt anew, from ${stream.learnsFrom} sketches`)
  })
  withHub(
    drift
      .command('snooze')
      .argument('<alarm>', 'number of an alarm', integer(1, Number.MAX_SAFE_INTEGER))
      .description('tell nobody of an alarm, nor of another of its kind on its stream')
      .option('--minutes <minutes>', 'for so long; 0 takes it back', integer(0, 43_200), 60),
  ).action(async (alarmId: number, options: Options & { minutes: number }) => {
    const hub = await connectHub(options)
    const { minutes } = options
    const alarm = await hub.call('driftSnooze', { params: { alarmId }, body: { minutes } })
    if (options.json) return printJson(alarm)
    console.log(
      alarm.snoozedUntil
        ? `Nobody is told of alarm ${alarmId} before ${alarm.snoozedUntil}`
        : `Alarm ${alarmId} is told again`,
    )
  })
  return drift
}

async function list(options: Options & { device?: string }): Promise<void> {
  const hub = await connectHub(options)
  const query = options.device === undefined ? {} : { device: options.device }
  const streams = await hub.call('driftStreamList', { query })
  if (options.json) {
    for (const stream of streams) printJson(stream)
    return
  }
  if (streams.length === 0) {
    process.stderr.write(
      'No sketch has come yet. A stream sends one each minute unless its sketchIntervalMs is 0\n',
    )
    return
  }
  const now = Date.now()
  console.log(
    formatTable(streams, [
      { title: 'STREAM', of: ({ deviceId, streamId }) => `${deviceId}/${streamId}` },
      { title: 'STATE', of: sayState },
      { title: 'SINCE', of: ({ alarms: [alarm] }) => (alarm ? ago(alarm.raisedAt, now) : '') },
      { title: 'NEWEST', of: ({ newestAt }) => ago(newestAt, now) },
      { title: 'WHY', of: ({ alarms: [alarm] }) => alarm?.why ?? '' },
    ]),
  )
}

async function show(name: string, options: Options): Promise<void> {
  const hub = await connectHub(options)
  const detail = await hub.call('driftStreamShow', { params: streamOf(name), query: { hours: 24 } })
  if (options.json) return printJson(detail)
  const { stream, past } = detail
  console.log(`${plain(name)}: ${sayState(stream)}`)
  const { accuracy } = stream
  if (accuracy) {
    const [at, low, high] = [accuracy.precision, accuracy.low, accuracy.high].map(percent)
    console.log(`Estimated precision: ${at} (${low} to ${high}), ${accuracy.from}`)
  }
  const digits = (value: number): string => String(Number(value.toPrecision(3)))
  console.log(
    formatTable(stream.figures, [
      { title: 'FIGURE', of: (figure: DriftFigure) => figure.name },
      { title: 'NOW', of: ({ now }) => digits(now), right: true },
      { title: 'USUAL', of: ({ usual }) => digits(usual), right: true },
      { title: '±', of: ({ tolerance }) => digits(tolerance), right: true },
      {
        title: '',
        of: ({ now, usual, tolerance }) => (Math.abs(now - usual) > tolerance ? 'unusual' : ''),
      },
    ]),
  )
  if (past.length === 0) return
  const now = Date.now()
  console.log(
    `\n${formatTable(past.slice(0, 20), [
      { title: 'ALARM', of: (alarm: DriftAlarm) => alarm.alarmId, right: true },
      { title: 'KIND', of: ({ kind }) => kind },
      { title: 'RAISED', of: ({ raisedAt }) => ago(raisedAt, now) },
      {
        title: 'ENDED',
        of: ({ endedAt, endedBy }) => (endedAt ? `${ago(endedAt, now)}, ${endedBy}` : ''),
      },
      { title: 'WHY', of: ({ why }) => why },
    ])}`,
  )
}

/** @throws {UsageFailure} for what names no stream */
function streamOf(name: string): { deviceId: string; streamId: string } {
  const [deviceId, streamId, ...rest] = name.split('/')
  if (deviceId && streamId && rest.length === 0) return { deviceId, streamId }
  throw new UsageFailure(`Cannot find stream "${name}": name it as DEVICE/STREAM`)
}

function sayState({ phase, alarms, learnt, learnsFrom }: DriftStream): string {
  if (phase === 'silent') return 'silent'
  if (phase === 'learning') return `learning ${learnt}/${learnsFrom}`
  return alarms.length > 0 ? alarms.map(({ kind }) => kind).join(', ') : 'as usual'
}

const percent = (share: number): string => `${Math.round(share * 1000) / 10} %`
