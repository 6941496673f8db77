/** `edgeloop stream …`: which cameras a device looks at. */
import {
  hardwareDecodes,
  hideSecret,
  nearestName,
  type SampleReason,
  type SamplingConfig,
  sampleAskMax,
  sampleReasons,
} from '@edgeloop/protocol'
import { Command, InvalidArgumentError, Option } from 'commander'
import { Failure } from '../failure.ts'
import { connectHub, type HubOptions } from '../hub-client.ts'
import { gather, integer, number, withHub } from '../options.ts'
import { formatTable, printJson } from '../output.ts'

type Options = HubOptions & { json?: boolean }
type SampleOptions = Options & { frames?: number; why?: string }
type AddOptions = Options & {
  id: string
  source: string
  name?: string
  model?: string
  analysisFps?: number
  scoreMin?: number
  label?: string[]
  hardwareDecode?: string
  detectSource?: string
  clips?: true
  sampling?: true | number
  samplingReason?: SampleReason[]
}

/** What is to be kept for learning; undefined where nothing was said of it. */
function samplingOf({ sampling, samplingReason }: AddOptions): SamplingConfig | undefined {
  if (sampling === undefined && samplingReason === undefined) return undefined
  return {
    ...(typeof sampling === 'number' && { framesPerDay: sampling }),
    ...(samplingReason && { reasons: samplingReason }),
  }
}

/** Gathers reasons to keep a frame. */
function reasons(text: string, before: readonly SampleReason[] | undefined): SampleReason[] {
  const reason = sampleReasons.find((one) => one === text)
  if (reason) return [...(before ?? []), reason]
  const near = nearestName(text, sampleReasons)
  const hint = near === undefined ? '' : `; did you mean "${near}"?`
  throw new InvalidArgumentError(`it must be one of ${sampleReasons.join(', ')}${hint}`)
}

export function streamCommand(): Command {
  const stream = new Command('stream')
    .description('Add, list and remove the streams of a device')
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop stream add demo --id gate --source rtsp://user:secret@camera/stream1
  $ ./edgeloop stream add demo --id street --source clips/street.mp4 --label car --label person --clips
  $ ./edgeloop stream add demo --id belt --source demo:7 --sampling 300 --sampling-reason uncertain
  $ ./edgeloop stream sample demo belt --frames 5 --why "new pallets"
  $ ./edgeloop stream list demo
  $ ./edgeloop stream remove demo gate`,
    )
  withHub(
    stream
      .command('add')
      .argument('<device>', 'id of the device')
      .description('add a stream')
      .requiredOption('--id <stream>', 'id of the stream, unique within the device')
      .requiredOption(
        '--source <source>',
        'rtsp://…, http://… (MJPEG or JPEG), a clip or folder on the device, or demo:SEED',
      )
      .option('--detect-source <source>', 'smaller stream of the same camera, to detect on')
      .option('--name <name>', 'name that people see')
      .option('--model <name>', 'model the device should use; its only one if left out')
      .option('--analysis-fps <n>', 'frames per second to look at', number(0.01, 60))
      .option('--score-min <n>', 'ignore detections below this score', number(0, 1))
      .option('--label <label>', 'only this label; may be repeated', gather)
      .option(
        '--sampling [frames]',
        'keep frames for learning: so many in a day, 200 where no number is given',
        integer(0, 100_000),
      )
      .option('--sampling-reason <reason>', 'only for this reason; may be repeated', reasons)
      .option('--clips', 'record clips of events, from 5 s before to 10 s after (H.264 only)')
      .addOption(
        new Option('--hardware-decode <method>', 'hardware that decodes, through ffmpeg').choices(
          hardwareDecodes,
        ),
      ),
  ).action(async (deviceId: string, options: AddOptions) => {
    const hub = await connectHub(options)
    const { id: streamId, source, name, model, analysisFps, scoreMin, label: labels } = options
    const { hardwareDecode, detectSource } = options
    const wanted = {
      streamId,
      source,
      name,
      model,
      analysisFps,
      scoreMin,
      labels,
      hardwareDecode,
      detectSource,
      // What the device takes when nothing is said.
      clips: options.clips && {},
      sampling: samplingOf(options),
    }
    // JSON leaves out what was not given, so that the device's defaults hold.
    const body = JSON.parse(JSON.stringify(wanted)) as { streamId: string; source: string }
    const desired = await hub.call('streamAdd', { params: { deviceId }, body })
    if (options.json) return printJson(desired)
    process.stderr.write(
      `Stream "${streamId}" added; device "${deviceId}" is asked for configuration ${desired.version}\n`,
    )
  })

  withHub(
    stream.command('list').argument('<device>', 'id of the device').description('list the streams'),
  ).action(async (deviceId: string, options: Options) => {
    const hub = await connectHub(options)
    const { desired, reported } = await hub.call('deviceShow', { params: { deviceId } })
    const rows = (desired?.config.streams ?? []).map((wanted) => {
      const is = reported?.streams.find((candidate) => candidate.streamId === wanted.streamId)
      return {
        ...wanted,
        source: hideSecret(wanted.source),
        state: is?.state ?? 'not reported',
        reason: is?.reason ?? '',
      }
    })
    if (options.json) {
      for (const row of rows) printJson(row)
      return
    }
    if (rows.length === 0) {
      process.stderr.write(
        `Device "${deviceId}" has no streams. Add one: ./edgeloop stream add ${deviceId} --id NAME --source SOURCE\n`,
      )
      return
    }
    console.log(
      formatTable(rows, [
        { title: 'STREAM', of: (row) => row.streamId },
        { title: 'STATE', of: (row) => row.state },
        { title: 'MODEL', of: (row) => row.model ?? '(only one)' },
        { title: 'SOURCE', of: (row) => row.source },
        { title: 'WHY', of: (row) => row.reason },
      ]),
    )
  })

  withHub(
    stream
      .command('sample')
      .argument('<device>', 'id of the device')
      .argument('<stream>', 'id of the stream, which keeps frames for learning')
      .description('ask for frames of a stream to learn from, whatever they show')
      .option('--frames <n>', 'how many; one if left out', integer(1, sampleAskMax))
      .option('--why <words>', 'what for')
      .addHelpText(
        'after',
        '\nExample:\n  $ ./edgeloop stream sample demo belt --frames 5 --why "new pallets"',
      ),
  ).action(async (deviceId: string, streamId: string, options: SampleOptions) => {
    const hub = await connectHub(options)
    const { frames, why } = options
    const body = { ...(frames !== undefined && { frames }), ...(why !== undefined && { why }) }
    const asked = await hub.call('sampleAsk', { params: { deviceId, streamId }, body })
    if (options.json) return printJson(asked)
    if (asked.state === 'offline') throw new Failure(`Cannot ask for frames: ${asked.reason}`)
    process.stderr.write(
      `Device "${deviceId}" is asked for ${asked.frames} frames of "${streamId}"; they come as samples\n`,
    )
  })

  withHub(
    stream
      .command('remove')
      .argument('<device>', 'id of the device')
      .argument('<stream>', 'id of the stream')
      .description('remove a stream'),
  ).action(async (deviceId: string, streamId: string, options: Options) => {
    const hub = await connectHub(options)
    const desired = await hub.call('streamRemove', { params: { deviceId, streamId } })
    if (options.json) return printJson(desired)
    process.stderr.write(
      `Stream "${streamId}" removed; device "${deviceId}" is asked for configuration ${desired.version}\n`,
    )
  })
  return stream
}
