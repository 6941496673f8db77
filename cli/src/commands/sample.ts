/** `edgeloop sample …`: what boxes sent to be learned from, and what they may send; `edgeloop forget`. */
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import {
  type FieldSample,
  type FieldSampleQuery,
  type ForgetAffected,
  type ForgetRequest,
  fieldSamplesPageMax,
  type SampleReason,
  sampleReasons,
} from '@edgeloop/protocol'
import { Command, Option } from 'commander'
import { connectHub, type HubClient, type HubOptions } from '../hub-client.ts'
import { integer, withHub } from '../options.ts'
import { ago, bytes, formatTable, plain, printJson } from '../output.ts'

type Options = HubOptions & { json?: boolean }
type FilterOptions = Options & {
  device?: string
  stream?: string
  site?: string
  reason?: SampleReason
  model?: string
  from?: string
  to?: string
  limit: number
}
type BudgetOptions = Options & { frames?: number; bytes?: number }
type ForgetOptions = Options & { stream?: string; from?: string; to?: string; yes?: true }

export function sampleCommand(): Command {
  const sample = new Command('sample').description('Frames that boxes sent to be learned from')
  withFilter(
    sample
      .command('list')
      .description('list samples, newest first')
      .addHelpText(
        'after',
        '\nExample:\n  $ ./edgeloop sample list --device gate --reason uncertain --limit 20',
      ),
    50,
  ).action(list)
  withHub(
    sample
      .command('show')
      .argument('<sample>', 'number of the sample', integer(1, Number.MAX_SAFE_INTEGER))
      .description('show all that is known of a sample')
      .addHelpText('after', '\nExample:\n  $ ./edgeloop sample show 4711 --json | jq .why'),
  ).action(show)
  withFilter(
    sample
      .command('export')
      .argument(
        '<folder>',
        'where pictures and samples.jsonl are written; made where it is missing',
      )
      .description('write pictures as DIGEST.jpg, and what is known of them, a line each')
      .addHelpText(
        'after',
        '\nExample:\n  $ ./edgeloop sample export picked/ --stream belt --from 2026-11-20T00:00:00.000Z',
      ),
    1000,
  ).action(exportTo)
  withHub(
    sample
      .command('budget')
      .description('show what boxes may send in a day and who gets it, or set it (admin)')
      .option('--frames <count>', 'frames of all boxes in a day', integer(0, 10_000_000))
      .option('--bytes <count>', 'bytes of all boxes in a day', integer(0, 1e14))
      .addHelpText(
        'after',
        '\nExample:\n  $ ./edgeloop sample budget --frames 2000 --bytes 400000000',
      ),
  ).action(budget)
  return sample
}

export function forgetCommand(): Command {
  return withHub(
    new Command('forget')
      .argument('<device>', 'name of the device')
      .description('Delete what a device or a stream showed, and say what learned from it (admin)')
      .option('--stream <stream>', 'only of this stream')
      .option(
        '--from <time>',
        'only what was captured from then on, such as 2026-11-20T08:00:00.000Z',
      )
      .option('--to <time>', 'only what was captured before')
      .option('--yes', 'do it; without it is only said what would be deleted')
      .addHelpText(
        'after',
        `
Examples:
  $ ./edgeloop forget gate --stream yard --from 2026-11-20T08:00:00.000Z --to 2026-11-20T09:00:00.000Z
  $ ./edgeloop forget gate --yes
Backups that were made before hold it still.`,
      ),
  ).action(forget)
}

const withFilter = (command: Command, limit: number): Command =>
  withHub(
    command
      .option('--device <device>', 'only of this device')
      .option('--stream <stream>', 'only of this stream')
      .option('--site <site>', 'only of devices that stood there')
      .addOption(new Option('--reason <reason>', 'only kept for this').choices(sampleReasons))
      .option('--model <model>', 'only while this model was active')
      .option('--from <time>', 'captured from then on, such as 2026-11-20T08:00:00.000Z')
      .option('--to <time>', 'captured before')
      .option('--limit <count>', 'at most so many', integer(1, 1_000_000), limit),
  )

/** Samples that fit, newest first, page after page. */
async function* fitting(hub: HubClient, options: FilterOptions): AsyncGenerator<FieldSample> {
  const { device, stream, site, reason, model, from, to } = options
  const given: FieldSampleQuery = {
    ...(device !== undefined && { device }),
    ...(stream !== undefined && { stream }),
    ...(site !== undefined && { site }),
    ...(reason !== undefined && { reason }),
    ...(model !== undefined && { model }),
    ...(from !== undefined && { from }),
    ...(to !== undefined && { to }),
  }
  let left = options.limit
  let before: number | undefined
  while (left > 0) {
    const limit = Math.min(left, fieldSamplesPageMax)
    const query = { ...given, limit, ...(before !== undefined && { before }) }
    const page = await hub.call('fieldSampleList', { query })
    yield* page.samples
    left -= page.samples.length
    if (page.next === null) return
    before = page.next
  }
}

async function list(options: FilterOptions): Promise<void> {
  const hub = await connectHub(options)
  const rows: FieldSample[] = []
  for await (const one of fitting(hub, options)) {
    if (options.json) printJson(one)
    else rows.push(one)
  }
  if (options.json) return
  if (rows.length === 0) return void process.stderr.write('There is no such sample\n')
  const now = Date.now()
  console.log(
    formatTable(rows, [
      { title: 'SAMPLE', of: (row) => row.sampleId, right: true },
      { title: 'STREAM', of: (row) => `${row.deviceId}/${row.streamId}` },
      { title: 'CAPTURED', of: (row) => ago(row.capturedAt, now) },
      { title: 'REASON', of: (row) => row.reason },
      { title: 'HIDDEN', of: (row) => hiddenIn(row) },
      { title: 'WHY', of: (row) => row.why },
    ]),
  )
}

/** What was made unreadable, in a word. */
function hiddenIn({ redaction, signatureValid }: FieldSample): string {
  const { masks, method, regions } = redaction
  const what = method === 'none' ? '' : `${regions.length} regions`
  const all = [masks > 0 ? `${masks} masks` : '', what].filter((each) => each !== '')
  return `${all.join(', ') || '–'}${signatureValid ? '' : ' (not signed)'}`
}

async function show(sampleId: number, options: Options): Promise<void> {
  const hub = await connectHub(options)
  const one = await hub.call('fieldSampleShow', { params: { sampleId } })
  if (options.json) return printJson(one)
  const { model, detections, datasets, tasks } = one
  const lines = [
    ['sample', `${one.sampleId}, ${one.width}×${one.height}, ${bytes(one.sizeBytes)}`],
    ['picture', one.digest],
    ['stream', `${one.deviceId}/${one.streamId} at site ${one.site}`],
    ['captured', one.capturedAt],
    ['received', one.receivedAt],
    ['kept', `${one.reason}: ${one.why}`],
    ['probability', String(one.probability)],
    ['model', `${model.name}@${model.version} (${model.digest.slice(0, 12)})`],
    ['found', detections.map((d) => `${d.label} ${d.score.toFixed(2)}`).join(', ') || 'nothing'],
    ['hidden', hiddenIn(one)],
    ['datasets', datasets.join(', ') || '–'],
    ['queues', tasks.map(({ queue, state }) => `${queue} (${state})`).join(', ') || '–'],
  ]
  for (const [what = '', said = ''] of lines) console.log(plain(`${what.padEnd(12)}${said}`))
}

async function exportTo(folder: string, options: FilterOptions): Promise<void> {
  const hub = await connectHub(options)
  await mkdir(folder, { recursive: true })
  const lines: string[] = []
  let sizeBytes = 0
  for await (const one of fitting(hub, options)) {
    const jpeg = await buffer(await hub.stream('samplePicture', { params: { digest: one.digest } }))
    await writeFile(join(folder, `${one.digest}.jpg`), jpeg)
    lines.push(`${JSON.stringify(one)}\n`)
    sizeBytes += jpeg.length
  }
  // Whole or not at all: who reads the list finds every picture that it names.
  const part = join(folder, 'samples.jsonl.part')
  await writeFile(part, lines.join(''))
  await rename(part, join(folder, 'samples.jsonl'))
  if (options.json) return printJson({ folder, samples: lines.length, sizeBytes })
  console.log(plain(`${lines.length} samples, ${bytes(sizeBytes)}, in ${folder}`))
}

async function budget({ frames, bytes: given, ...options }: BudgetOptions): Promise<void> {
  const hub = await connectHub(options)
  let shown = await hub.call('sampleBudgetShow', {})
  if (frames !== undefined || given !== undefined) {
    const { framesPerDay = 0, bytesPerDay = 0 } = shown
    const body = { framesPerDay: frames ?? framesPerDay, bytesPerDay: given ?? bytesPerDay }
    shown = await hub.call('sampleBudgetPut', { body })
  }
  if (options.json) return printJson(shown)
  console.log(plain(`${shown.framesPerDay} frames and ${bytes(shown.bytesPerDay)} a day`))
  if (shown.streams.length === 0) return
  console.log(
    formatTable(shown.streams, [
      { title: 'STREAM', of: (row) => `${row.deviceId}/${row.streamId}` },
      { title: 'SENT', of: (row) => row.frames, right: true },
      { title: 'MAY', of: (row) => row.framesPerDay, right: true },
      { title: 'WISHES', of: (row) => Math.round(row.wishedPerDay), right: true },
      { title: 'WEIGHT', of: (row) => row.weight.toFixed(2), right: true },
      { title: 'BYTES', of: (row) => bytes(row.bytes), right: true },
    ]),
  )
}

async function forget(deviceId: string, options: ForgetOptions): Promise<void> {
  const { stream, from, to, yes, json, ...hubOptions } = options
  const hub = await connectHub(hubOptions)
  const body: ForgetRequest = {
    deviceId,
    ...(stream !== undefined && { streamId: stream }),
    ...(from !== undefined && { from }),
    ...(to !== undefined && { to }),
  }
  const affected = await hub.call(yes ? 'forget' : 'forgetPreview', { body })
  if (json) return printJson({ ...affected, done: yes === true })
  for (const line of affectedLines(affected)) console.log(plain(line))
  process.stderr.write(yes ? 'Forgotten\n' : 'Nothing was deleted; --yes does it\n')
}

function affectedLines(affected: ForgetAffected): string[] {
  const { deviceId, streamId, from, to, samples, snapshots, clips, tasks } = affected
  return [
    `${deviceId}/${streamId ?? '*'} from ${from} to ${to}`,
    `${samples} samples, ${snapshots} pictures of events, ${clips} clips, ${tasks} tasks of queues`,
    ...affected.datasets.map((one) => `${one.samples} samples of dataset ${one.dataset}`),
    ...affected.versions.map(
      ({ dataset, version, samples: named }) =>
        `frozen version ${dataset}/${version} names ${named} of them: it stays, and can be trained on no more`,
    ),
    ...affected.models.map(
      ({ name, version, from: source }) => `model ${name}/${version} learned from it: ${source}`,
    ),
  ]
}
