/** `edgeloop infer …`: asks a model of a hub about pictures. */
import { createHash, randomUUID } from 'node:crypto'
import {
  type BatchInputs,
  batchScoreMin,
  type InferenceBatch,
  type InferenceBatchRequest,
  type InferenceResult,
  isOver,
} from '@edgeloop/protocol'
import { Command } from 'commander'
import { Failure, UsageFailure } from '../failure.ts'
import { connectHub, type HubClient, type HubOptions } from '../hub-client.ts'
import { number, withHub } from '../options.ts'
import { ago, formatTable, plain, printJson } from '../output.ts'
import { stopSignal } from '../stopping.ts'

type Options = HubOptions & { json?: boolean }
type InferOptions = Options & {
  dataset?: string
  device?: string
  stream?: string
  task?: string
  scoreMin: number
}
type Names = ReadonlyMap<string, readonly string[]>

const lookIntervalMs = 1000
const reasonsShown = 3

export function inferCommand(): Command {
  const infer = withHub(
    new Command('infer')
      .description('Ask a model of a hub about pictures')
      .argument('[model]', 'NAME, or NAME@VERSION; the champion where no version is named')
      .argument('[paths...]', 'images, or folders of images; they are sent to the hub')
      .option(
        '--dataset <name>',
        'pictures of a dataset of the hub, or NAME/VERSION of a frozen one',
      )
      .option('--device <id>', 'pictures that a device has sent to be learned from')
      .option('--stream <id>', 'only those of this stream')
      .option(
        '--task <id>',
        'name of the batch: asked again, it is not begun again (default: made of the pictures)',
      )
      .option('--score-min <n>', 'leave out what is less sure', number(batchScoreMin, 1), 0.3),
  ).addHelpText(
    'after',
    `
Examples:
  $ ./edgeloop infer parts photos/
  $ ./edgeloop infer parts@3 door.jpg --json
  $ ./edgeloop infer parts --dataset line/2 --task night-7
  $ ./edgeloop infer list
  $ ./edgeloop infer results night-7

Boxes are left, top, width, height as shares (0..1) of the picture. Ctrl-C leaves the batch
running; what was found is kept by the hub and not computed again.`,
  )
  infer.action(async (model: string | undefined, paths: string[], options: InferOptions) => {
    await ask(model, paths, options)
  })

  withHub(infer.command('list').description('list the newest batches')).action(
    async (options: Options) => {
      const hub = await connectHub(options)
      const rows = await hub.call('inferenceBatchList', { query: {} })
      if (options.json) {
        for (const row of rows) printJson(row)
        return
      }
      const now = Date.now()
      console.log(
        formatTable(rows, [
          { title: 'TASK', of: (row) => row.taskId },
          { title: 'MODEL', of: (row) => `${row.model}@${row.version}` },
          { title: 'STATE', of: (row) => row.state },
          { title: 'DONE', of: (row) => `${row.done}/${row.pictures}`, right: true },
          { title: 'KNOWN', of: (row) => String(row.cached), right: true },
          { title: 'FAILED', of: (row) => String(row.failed), right: true },
          { title: 'BY', of: (row) => row.by },
          { title: 'ASKED', of: (row) => ago(row.createdAt, now) },
        ]),
      )
    },
  )
  for (const { name, route, does } of [
    { name: 'show', route: 'inferenceBatchShow', does: 'show how far a batch is' },
    { name: 'cancel', route: 'inferenceBatchCancel', does: 'end a batch; its results stay' },
    {
      name: 'retry',
      route: 'inferenceBatchRetry',
      does: 'go on with a batch that failed or was cancelled, or of which pictures failed',
    },
  ] as const) {
    withHub(infer.command(name).argument('<task>', 'its task id').description(does)).action(
      async (taskId: string, options: Options) => {
        const hub = await connectHub(options)
        const batch = await hub.call(route, { params: { taskId } })
        if (options.json) return printJson(batch)
        console.log(`${batch.taskId}: ${batch.model}@${batch.version}, ${sayState(batch)}`)
        if (batch.error) console.log(batch.error.split('\n').map(plain).join('\n'))
      },
    )
  }
  withHub(
    infer
      .command('results')
      .argument('<task>', 'its task id')
      .description('print what was found so far'),
  ).action(async (taskId: string, options: Options) => {
    const hub = await connectHub(options)
    const batch = await hub.call('inferenceBatchShow', { params: { taskId } })
    await printResults(hub, batch, new Map(), options.json, stopSignal())
  })
  withHub(
    infer
      .command('remove')
      .argument('<task>', 'its task id')
      .description('remove a batch that is over'),
  ).action(async (taskId: string, options: Options) => {
    const hub = await connectHub(options)
    await hub.call('inferenceBatchRemove', { params: { taskId } })
    if (options.json) printJson({ taskId, removed: true })
    else console.log(`Batch ${taskId} is removed`)
  })
  return infer
}

async function ask(
  model: string | undefined,
  paths: readonly string[],
  options: InferOptions,
): Promise<void> {
  const { dataset, device, stream, task, scoreMin } = options
  const ways = [paths.length > 0, dataset !== undefined, device !== undefined]
  if (model === undefined || ways.filter(Boolean).length !== 1) {
    throw new UsageFailure(
      'Cannot ask: name a model, and either images, --dataset or --device',
      'for example: infer parts photos/',
    )
  }
  if (stream !== undefined && device === undefined) {
    throw new UsageFailure('Cannot use --stream without --device', 'name the device of the stream')
  }
  const signal = stopSignal()
  const hub = await connectHub(options)
  const [name = '', version] = model.split('@')
  let names: Names = new Map()
  let inputs: BatchInputs
  if (dataset !== undefined) {
    const [of = '', frozen] = dataset.split('/')
    inputs = { dataset: of, ...(frozen !== undefined && { version: numberOf(frozen, dataset) }) }
  } else if (device !== undefined) {
    inputs = { fieldSamples: { device, ...(stream !== undefined && { stream }) } }
  } else {
    const { listImages } = await import('@edgeloop/edge-agent/detect')
    const { sendPictures } = await import('../infer/send-pictures.ts')
    const told = (pictures: number) => process.stderr.write(`${pictures} pictures sent\n`)
    names = await sendPictures(hub, await listImages(paths), { told, signal })
    inputs = { pictures: [...names.keys()] }
  }
  const wanted: Omit<InferenceBatchRequest, 'taskId'> = {
    model: name,
    inputs,
    scoreMin,
    ...(version !== undefined && { version: numberOf(version, model) }),
  }
  const taskId = task ?? taskIdOf(wanted)
  const batch = await follow(hub, await begin(hub, { ...wanted, taskId }), signal)
  if (!isOver(batch)) {
    process.stderr.write(`The batch goes on: ./edgeloop infer results ${taskId}\n`)
    return
  }
  await printResults(hub, batch, names, options.json, signal)
  if (batch.state === 'done') return
  throw new Failure(
    `Cannot finish the batch "${taskId}": ${batch.error || `it was ${batch.state}`}`,
    `./edgeloop infer retry ${taskId} goes on with it`,
  )
}

/** One that failed or was cancelled is gone on with: whoever asks again wants it. */
async function begin(hub: HubClient, body: InferenceBatchRequest): Promise<InferenceBatch> {
  const batch = await hub.call('inferenceBatchAdd', { body })
  if (batch.state !== 'failed' && batch.state !== 'cancelled') return batch
  return await hub.call('inferenceBatchRetry', { params: { taskId: batch.taskId } })
}

/** The same pictures are the same batch; what is in a dataset now, or came from boxes, may be other pictures tomorrow. */
function taskIdOf({ inputs, ...wanted }: Omit<InferenceBatchRequest, 'taskId'>): string {
  if (!('pictures' in inputs)) return `infer-${randomUUID().slice(0, 13)}`
  const content = JSON.stringify([wanted, inputs.pictures.toSorted()])
  return `infer-${createHash('sha256').update(content).digest('hex').slice(0, 16)}`
}

function numberOf(text: string, within: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  throw new UsageFailure(`Cannot read the version in "${within}": "${text}" is no number`)
}

async function follow(
  hub: HubClient,
  begun: InferenceBatch,
  signal: AbortSignal,
): Promise<InferenceBatch> {
  let said = ''
  for (let batch = begun; ; ) {
    const line = `batch ${batch.taskId}: ${sayState(batch)}`
    if (line !== said) process.stderr.write(`${line}\n`)
    said = line
    if (isOver(batch) || signal.aborted) return batch
    await new Promise((resolve) => setTimeout(resolve, lookIntervalMs))
    batch = await hub.call('inferenceBatchShow', { params: { taskId: batch.taskId } })
  }
}

function sayState({ state, done, pictures, cached, failed }: InferenceBatch): string {
  const share = pictures === 0 ? 100 : Math.floor((done / pictures) * 100)
  const known = cached === 0 ? '' : `, ${cached} known before`
  const bad = failed === 0 ? '' : `, ${failed} failed`
  return `${state}, ${share} %, ${done} of ${pictures} pictures${known}${bad}`
}

type Row = { readonly picture: string; readonly what: string; score: string; where: string }

/** @throws {Failure} after the last, where pictures have no answer */
async function printResults(
  hub: HubClient,
  batch: InferenceBatch,
  names: Names,
  json: boolean | undefined,
  signal: AbortSignal,
): Promise<void> {
  const reasons: string[] = []
  const rows: Row[] = []
  const { taskId } = batch
  const bytes = await hub.stream('inferenceBatchResults', { params: { taskId }, signal })
  for await (const line of linesOf(bytes)) {
    const result = JSON.parse(line) as InferenceResult
    const sources = names.get(result.picture) ?? [result.name || result.picture.slice(0, 12)]
    for (const source of sources) {
      if ('error' in result) reasons.push(`${plain(source)}: ${plain(result.error)}`)
      if (json) printJson({ source, ...result })
      else rows.push(...rowsOf(source, result))
    }
  }
  if (json) printJson(batch)
  else if (rows.length > 0) {
    console.log(
      formatTable(rows, [
        { title: 'PICTURE', of: ({ picture }) => picture },
        { title: 'LABEL', of: ({ what }) => what },
        { title: 'SCORE', of: ({ score }) => score, right: true },
        { title: 'BOX', of: ({ where }) => where },
      ]),
    )
  }
  if (reasons.length === 0) return
  const shown = reasons.slice(0, reasonsShown).join('; ')
  const rest = reasons.length > reasonsShown ? '; …' : ''
  throw new Failure(
    `${reasons.length} of ${batch.pictures} pictures have no answer: ${shown}${rest}`,
  )
}

function rowsOf(picture: string, result: InferenceResult): Row[] {
  if ('error' in result) return [{ picture, what: 'no answer', score: '', where: '' }]
  const { detections = [], classes = [], areas = [], embedding } = result
  const rows: Row[] = [
    ...detections.map(({ label, score, box }) => ({
      picture,
      what: label,
      score: score.toFixed(2),
      where: box.map((share) => share.toFixed(3)).join(' '),
    })),
    ...classes.map(({ label, score }) => ({
      picture,
      what: label,
      score: score.toFixed(2),
      where: '',
    })),
    ...areas.map(({ label, share, polygons }) => ({
      picture,
      what: label,
      score: '',
      where: `${(share * 100).toFixed(1)} %, ${polygons.length} outlines`,
    })),
    ...(embedding
      ? [{ picture, what: '', score: '', where: `${embedding.length} numbers; --json has them` }]
      : []),
  ]
  return rows.length > 0 ? rows : [{ picture, what: '–', score: '', where: '' }]
}

async function* linesOf(bytes: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of bytes) {
    const lines = `${rest}${decoder.decode(chunk, { stream: true })}`.split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
}
