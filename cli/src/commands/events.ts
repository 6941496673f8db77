/** `edgeloop events`: what the fleet saw, newest first, or as it happens. */
import {
  type Attribute,
  type Counts,
  type EventKind,
  type EventQuery,
  eventKinds,
  type StoredEvent,
} from '@edgeloop/protocol'
import { Command, Option } from 'commander'
import { Failure } from '../failure.ts'
import { connectHub, type HubOptions } from '../hub-client.ts'
import { caOption, dataOption, hubOption, integer, jsonOption, tokenOption } from '../options.ts'
import { bytes, formatTable, plain, printJson } from '../output.ts'
import { readServerSentEvents } from '../server-sent-events.ts'
import { stopSignal } from '../stopping.ts'
import { addClip } from './events-clip.ts'

type Options = HubOptions & {
  json?: boolean
  device?: string
  stream?: string
  label?: string
  kind?: EventKind
  limit: number
  follow?: boolean
}

export function eventsCommand(): Command {
  const events = new Command('events')
    .description('List stored events, newest first')
    .option('--device <id>', 'only this device')
    .option('--stream <id>', 'only this stream')
    .option('--label <label>', 'only this label')
    .addOption(new Option('--kind <kind>', 'only this kind').choices([...eventKinds]))
    .option('--limit <n>', 'how many', integer(1, 500), 20)
    .option('-f, --follow', 'go on with new events as they are stored')
    .addOption(jsonOption())
    .addOption(hubOption())
    .addOption(caOption())
    .addOption(tokenOption())
    .addOption(dataOption())
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop events --label person --limit 5
  $ ./edgeloop events --follow --json | jq .label
  $ ./edgeloop events clip 4711 -o gate.mp4`,
    )
    .action(async (options: Options) => {
      const hub = await connectHub(options)
      const query: EventQuery = { limit: options.limit }
      for (const key of ['device', 'stream', 'label', 'kind'] as const) {
        if (options[key] !== undefined) Object.assign(query, { [key]: options[key] })
      }
      if (!options.follow) {
        const { events } = await hub.call('eventList', { query })
        if (options.json) for (const event of events) printJson(event)
        else if (events.length === 0) process.stderr.write('No events fit.\n')
        else console.log(formatTable(events, columns))
        return
      }
      const signal = stopSignal()
      try {
        // First the stream, then the past: what is stored in between comes twice and is told by its id.
        const stream = await hub.stream('changes', { signal })
        const { events } = await hub.call('eventList', { query })
        let newest = 0
        for (const event of events.toReversed()) {
          newest = Math.max(newest, event.eventId)
          print(event, options)
        }
        for await (const { event: type, data } of readServerSentEvents(stream)) {
          if (type === 'reset')
            throw new Failure('Cannot follow any longer: too much happened at once', 'start again')
          const change = JSON.parse(data) as { kind: string; event?: StoredEvent }
          if (change.event && change.event.eventId > newest && fits(change.event, options))
            print(change.event, options)
        }
        if (!signal.aborted)
          throw new Failure('The hub ended the connection', 'is it still running? Start again')
      } catch (error) {
        if (!signal.aborted) throw error
      }
    })
  addClip(events)
  return events
}

const columns = [
  { title: 'AT', of: (event: StoredEvent) => event.at.slice(0, 19).replace('T', ' ') },
  { title: 'DEVICE', of: (event: StoredEvent) => event.deviceId },
  { title: 'STREAM', of: (event: StoredEvent) => event.streamId ?? '' },
  { title: 'EVENT', of: (event: StoredEvent) => event.kind },
  { title: 'WHAT', of: describe },
]

function fits(event: StoredEvent, options: Options): boolean {
  return (
    (options.device ?? event.deviceId) === event.deviceId &&
    (options.stream ?? event.streamId) === event.streamId &&
    (options.label ?? event.label) === event.label &&
    (options.kind ?? event.kind) === event.kind
  )
}

function print(event: StoredEvent, options: Options): void {
  if (options.json) {
    printJson(event)
    return
  }
  const { at, deviceId, streamId, kind } = event
  console.log(
    plain(
      [at.slice(0, 19).replace('T', ' '), deviceId, streamId ?? '-', kind, describe(event)].join(
        '  ',
      ),
    ),
  )
}

/** The event in a few words. */
function describe({ label, score, data }: StoredEvent): string {
  if (label !== null) {
    const more = (data.attributes as Attribute[] | undefined) ?? []
    const said = more.flatMap(({ classes = [] }) => classes.slice(0, 1).map((best) => best.label))
    const named = said.length === 0 ? label : `${label} (${said.join(', ')})`
    const what = score === null ? named : `${named} ${score.toFixed(2)}`
    if (typeof data.zone === 'string') return `${what} ${data.act} zone "${data.zone}"`
    if (typeof data.line !== 'string') return what
    return `${what} crossed line "${data.line}" ${data.direction === 'toRight' ? 'to its right' : 'to its left'}`
  }
  if (Array.isArray(data.objects)) {
    const objects = data.objects as Counts['objects']
    return objects.map(({ label, appeared }) => `${label} ${appeared}`).join(', ')
  }
  if (typeof data.clip === 'string') {
    const seconds = `${(Number(data.durationMs) / 1000).toFixed(1)} s`
    return `${seconds}, ${bytes(Number(data.sizeBytes))}`
  }
  const text = data.text ?? data.reason
  if (typeof data.state === 'string') return text ? `${data.state}: ${text}` : data.state
  if (typeof data.through === 'number')
    return `${data.sequence}…${data.through} lost: ${data.reason}`
  if (typeof data.cpuShare === 'number' && typeof data.memoryBytes === 'number') {
    return `cpu ${Math.round(data.cpuShare * 100)} %, memory ${bytes(data.memoryBytes)}`
  }
  return typeof text === 'string' ? text : ''
}
