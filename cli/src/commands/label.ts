/** `edgeloop label …`: what waits for people at a hub; and, for scripts, tasks taken and answered. */
import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import {
  type LabelAnswer,
  type LabelQueueConfig,
  type LabelQueueRow,
  labelAnswersMax,
  labelKinds,
  tasksTakenMax,
} from '@edgeloop/protocol'
import { Command, Option } from 'commander'
import { Failure, UsageFailure } from '../failure.ts'
import { followJob } from '../follow-job.ts'
import { connectHub, type HubOptions } from '../hub-client.ts'
import { gather, integer, number, withHub } from '../options.ts'
import { formatTable, plain, printJson } from '../output.ts'

type Options = HubOptions & { json?: boolean }
type PutOptions = Options & {
  dataset?: string
  model?: string[]
  stream?: string[]
  kind?: (typeof labelKinds)[number][]
  suggestBy?: string
  teacher?: string
  annotators?: number
  review?: boolean
  agreeIou?: number
  tasksMax?: number
}

export function labelCommand(): Command {
  const label = new Command('label')
    .description('Queues of samples that wait for people, and what people said')
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop label queue put parts --dataset parts --model conveyor --suggest-by conveyor
  $ ./edgeloop label queue list
  $ ./edgeloop label add parts --annotated no
  $ ./edgeloop label statistics parts
  $ ./edgeloop label take parts --count 10 > tasks.jsonl
  $ ./edgeloop label answer parts answers.jsonl`,
    )

  const queue = label.command('queue').description('make, show and remove queues')
  withHub(queue.command('list').description('list queues with what waits in each'))
    .addHelpText('after', '\nExample:\n  $ ./edgeloop label queue list --json')
    .action(async (options: Options) => {
      const hub = await connectHub(options)
      const rows = await hub.call('queueList', {})
      if (options.json) {
        for (const row of rows) printJson(row)
        return
      }
      if (rows.length === 0) {
        process.stderr.write(
          'No queues yet: ./edgeloop label queue put NAME --dataset NAME --model NAME\n',
        )
      }
      console.log(queueTable(rows))
    })

  withHub(
    queue
      .command('put')
      .argument('<name>', 'queue; made where there is none, else what is given is changed')
      .description('make a queue, or say anew what is asked in it')
      .option('--dataset <name>', 'that it fills; stays as it is')
      .option(
        '--model <name>',
        'samples of boxes that ran it become tasks; may be repeated',
        gather,
      )
      .option('--stream <device/stream>', 'only of this stream; may be repeated', gather)
      .addOption(
        new Option('--kind <kind>', 'annotations that are asked for; may be repeated')
          .choices(labelKinds)
          .argParser((value: string, before: string[] | undefined) => {
            if (!labelKinds.some((one) => one === value)) {
              throw new UsageFailure(
                `Cannot ask for "${value}": it is one of ${labelKinds.join(', ')}`,
              )
            }
            return [...(before ?? []), value]
          }),
      )
      .option('--suggest-by <model>', 'its champion proposes annotations')
      .option('--teacher <model>', 'a larger model that proposes too')
      .option('--annotators <n>', 'different people for each task', integer(1, 5))
      .option('--review', 'a further person looks before it counts')
      .option('--no-review', 'agreement of the annotators is enough')
      .option('--agree-iou <share>', 'overlap of the same box, drawn by two', number(0.1, 0.95))
      .option('--tasks-max <n>', 'that wait; the least useful give way', integer(1, 100_000)),
  )
    .addHelpText(
      'after',
      '\nExample:\n  $ ./edgeloop label queue put parts --dataset parts --model conveyor --annotators 2',
    )
    .action(putQueue)

  withHub(
    queue
      .command('show')
      .argument('<name>', 'queue')
      .description('show what is asked in a queue, and what waits in it'),
  )
    .addHelpText('after', '\nExample:\n  $ ./edgeloop label queue show parts')
    .action(async (name: string, options: Options) => {
      const hub = await connectHub(options)
      const row = await hub.call('queueShow', { params: { queue: name } })
      if (options.json) return printJson(row)
      console.log(queueTable([row]))
      for (const [key, value] of Object.entries(row.config)) {
        const text = Array.isArray(value) ? value.join(', ') || 'none' : String(value)
        console.log(plain(`${key}: ${text}`))
      }
      console.log(plain(`labels: ${row.labels.join(', ')}`))
    })

  withHub(
    queue
      .command('remove')
      .argument('<name>', 'queue')
      .description('remove a queue with its tasks and answers; what is in the dataset stays')
      .option('--yes', 'without it, only says what would go'),
  )
    .addHelpText('after', '\nExample:\n  $ ./edgeloop label queue remove parts --yes')
    .action(async (name: string, options: Options & { yes?: true }) => {
      const hub = await connectHub(options)
      const params = { queue: name }
      const { counts } = await hub.call('queueShow', { params })
      const tasks = Object.values(counts).reduce((sum, one) => sum + one, 0)
      if (!options.yes) {
        throw new Failure(
          `Cannot remove the queue "${name}" without --yes: ${tasks} tasks go, ${counts.open} of them open`,
        )
      }
      await hub.call('queueRemove', { params })
      if (options.json) printJson({ queue: name, tasks, removed: true })
      else console.log(`${name} is removed, with ${tasks} tasks`)
    })

  withHub(
    label
      .command('add')
      .argument('<queue>', 'queue')
      .description('put samples into a queue: these, or those of its dataset that fit')
      .option('--digest <digest>', 'this sample; may be repeated', gather)
      .option('--label <label>', 'that have it')
      .addOption(
        new Option('--annotated <yes|no>', 'that anything is said of').choices(['yes', 'no']),
      )
      .option('--site <site>', 'of this site')
      .option('--stream <stream>', 'of this stream')
      .option('--problem <kind>', 'with this problem, as the last inspection found it')
      .option('--why <text>', 'what people are told'),
  )
    .addHelpText('after', '\nExample:\n  $ ./edgeloop label add parts --annotated no')
    .action(addTasks)

  withHub(
    label
      .command('suggest')
      .argument('<queue>', 'queue')
      .description('let the models of a queue look at what waits now, and stay until they have'),
  )
    .addHelpText('after', '\nExample:\n  $ ./edgeloop label suggest parts')
    .action(async (name: string, options: Options) => {
      const hub = await connectHub(options)
      const job = await hub.call('queueSuggest', { params: { queue: name } })
      const end = await followJob(hub, job)
      if (end.state !== 'done') {
        throw new Failure(end.error || `Cannot make proposals for "${name}": it was cancelled`)
      }
      if (options.json) printJson(end)
      else console.log(`${name}: what waits has been looked at`)
    })

  withHub(
    label
      .command('statistics')
      .argument('<queue>', 'queue')
      .description('how fast people answer, and how much they agree'),
  )
    .addHelpText('after', '\nExample:\n  $ ./edgeloop label statistics parts')
    .action(statistics)

  withHub(
    label
      .command('take')
      .argument('<queue>', 'queue')
      .description('take the next tasks, kept from others for ten minutes; JSON lines')
      .option('--count <n>', 'how many', integer(1, tasksTakenMax), 1)
      .option('--review', 'those that a further person has to look at')
      .addOption(
        new Option('--order <how>', 'by use, or one camera after the other')
          .choices(['use', 'camera'])
          .default('use'),
      ),
  )
    .addHelpText('after', '\nExample:\n  $ ./edgeloop label take parts --count 10')
    .action(async (name: string, options: Options & TakeOptions) => {
      const hub = await connectHub(options)
      const { tasks } = await hub.call('tasksTake', {
        params: { queue: name },
        body: {
          count: options.count,
          order: options.order,
          for: options.review ? 'review' : 'label',
        },
      })
      for (const task of tasks) printJson(task)
      if (tasks.length === 0) process.stderr.write(`Nothing waits in "${name}" for you\n`)
    })

  withHub(
    label
      .command('answer')
      .argument('<queue>', 'queue')
      .argument('[file]', 'JSON lines of answers as the API takes them', '-')
      .description('answer tasks; JSON lines of what came of each')
      .addHelpText(
        'after',
        `
Each line: {"taskId":7,"revision":0,"verdict":"annotated","annotations":[{"kind":"box","label":"bolt","box":[0.1,0.1,0.2,0.2]}]}
A line without answerId gets one: give your own where you may have to send it again.

Example:
  $ ./edgeloop label answer parts answers.jsonl`,
      ),
  ).action(answer)

  return label
}

type TakeOptions = { count: number; review?: true; order: 'use' | 'camera' }

const queueTable = (rows: readonly LabelQueueRow[]): string =>
  formatTable(rows, [
    { title: 'QUEUE', of: (row) => row.name },
    { title: 'DATASET', of: (row) => row.config.dataset },
    { title: 'OPEN', of: (row) => row.counts.open, right: true },
    { title: 'REVIEW', of: (row) => row.counts.review, right: true },
    { title: 'FLAGGED', of: (row) => row.counts.flagged, right: true },
    { title: 'DONE', of: (row) => row.counts.done, right: true },
    { title: 'BAD', of: (row) => row.counts.bad, right: true },
    { title: 'TODAY', of: (row) => row.answersToday, right: true },
    { title: 'MODELS', of: (row) => row.config.models.join(' ') },
  ])

async function putQueue(name: string, options: PutOptions): Promise<void> {
  const hub = await connectHub(options)
  const params = { queue: name }
  const before = (await hub.call('queueList', {})).find((one) => one.name === name)?.config
  const dataset = options.dataset ?? before?.dataset
  if (dataset === undefined) {
    throw new UsageFailure(
      `Cannot make the queue "${name}" without --dataset`,
      'for example --dataset parts; ./edgeloop dataset list shows what there is',
    )
  }
  const { model, stream, kind, suggestBy, teacher, annotators, review, agreeIou, tasksMax } =
    options
  const config: LabelQueueConfig = {
    ...before,
    dataset,
    models: model ?? before?.models ?? [],
    ...(stream && { streams: stream }),
    ...(kind && { kinds: kind }),
    ...(suggestBy !== undefined && { suggestBy }),
    ...(teacher !== undefined && { teacher }),
    ...(annotators !== undefined && { annotators }),
    ...(review !== undefined && { review }),
    ...(agreeIou !== undefined && { agreeIou }),
    ...(tasksMax !== undefined && { tasksMax }),
  }
  const row = await hub.call('queuePut', { params, body: config })
  if (options.json) printJson(row)
  else console.log(queueTable([row]))
}

async function addTasks(
  name: string,
  options: Options & {
    digest?: string[]
    label?: string
    annotated?: 'yes' | 'no'
    site?: string
    stream?: string
    problem?: string
    why?: string
  },
): Promise<void> {
  const { digest: digests, label, annotated, site, stream, problem, why } = options
  const fitting = {
    ...(label !== undefined && { label }),
    ...(annotated !== undefined && { annotated }),
    ...(site !== undefined && { site }),
    ...(stream !== undefined && { stream }),
    ...(problem !== undefined && { problem }),
  }
  if (digests === undefined && Object.keys(fitting).length === 0) {
    throw new UsageFailure(
      'Cannot add everything: say which samples',
      'for example --annotated no, or --digest DIGEST',
    )
  }
  const hub = await connectHub(options)
  const added = await hub.call('tasksAdd', {
    params: { queue: name },
    body: {
      ...(digests && { digests }),
      ...(Object.keys(fitting).length > 0 && { fitting }),
      ...(why !== undefined && { why }),
    },
  })
  if (options.json) return printJson({ queue: name, ...added })
  const gone = added.dropped > 0 ? `; ${added.dropped} gave way` : ''
  console.log(`${name}: ${added.added} tasks added, ${added.already} were there${gone}`)
}

async function statistics(name: string, options: Options): Promise<void> {
  const hub = await connectHub(options)
  const found = await hub.call('queueStatistics', { params: { queue: name } })
  if (options.json) return printJson(found)
  const percent = (share: number | null) => (share === null ? '–' : `${Math.round(share * 100)} %`)
  const { agreement } = found
  console.log(
    `${name}: ${found.answers} answers, ${found.perMinute.toFixed(1)} a minute, ${percent(found.untouched)} of proposals taken as they were`,
  )
  if (agreement) {
    const kappa = agreement.kappa === null ? '' : `, kappa of labels ${agreement.kappa.toFixed(2)}`
    console.log(`agreement on ${agreement.tasks} tasks: ${percent(agreement.matched)}${kappa}`)
  }
  console.log(
    formatTable(found.people, [
      { title: 'WHO', of: (row) => row.by },
      { title: 'ANSWERS', of: (row) => row.answers, right: true },
      { title: 'UNTOUCHED', of: (row) => row.untouched, right: true },
      { title: 'A MINUTE', of: (row) => row.perMinute.toFixed(1), right: true },
      { title: 'MEDIAN', of: (row) => `${(row.lookedMs / 1000).toFixed(1)} s`, right: true },
      { title: 'EDITS', of: (row) => row.editsPerFrame.toFixed(1), right: true },
      { title: 'AGREEMENT', of: (row) => percent(row.agreement), right: true },
    ]),
  )
}

async function answer(name: string, file: string, options: Options): Promise<void> {
  const hub = await connectHub(options)
  let kept = 0
  let others = 0
  const send = async (answers: readonly LabelAnswer[]): Promise<void> => {
    const { outcomes } = await hub.call('labelAnswer', {
      params: { queue: name },
      body: { answers: [...answers] },
    })
    for (const outcome of outcomes) {
      printJson(outcome)
      if (outcome.outcome === 'kept') kept++
      else others++
    }
  }
  let batch: LabelAnswer[] = []
  for await (const one of answersIn(file)) {
    batch.push(one)
    if (batch.length < labelAnswersMax) continue
    await send(batch)
    batch = []
  }
  if (batch.length > 0) await send(batch)
  if (others > 0) {
    throw new Failure(
      `Cannot keep ${others} of ${kept + others} answers: the lines above say why`,
      'look at those tasks again: somebody else may have answered them',
    )
  }
}

async function* answersIn(file: string): AsyncGenerator<LabelAnswer> {
  const input = file === '-' ? process.stdin : createReadStream(file)
  let line = 0
  try {
    for await (const text of createInterface({ input })) {
      line++
      if (text.trim() === '') continue
      const { answerId = randomUUID(), ...said } = JSON.parse(text) as Partial<LabelAnswer>
      // The hub checks the rest, and says which key is wrong.
      yield { annotations: [], lookedMs: 0, edits: 0, ...said, answerId } as LabelAnswer
    }
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') throw new Failure(`Cannot read "${file}": there is no such file`)
    if (!(cause instanceof SyntaxError)) throw cause
    throw new UsageFailure(`Cannot read line ${line} of "${file}": it is not JSON`)
  }
}
