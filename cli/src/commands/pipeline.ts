/** `edgeloop pipeline …`: what takes a model from new annotations to the boxes by itself. */
import { readFile } from 'node:fs/promises'
import {
  isRoundOver,
  type PipelineRequest,
  type PipelineRound,
  type PipelineRow,
  type PipelineStepName,
  pipelineSteps,
} from '@edgeloop/protocol'
import { Command, Option } from 'commander'
import { parse } from 'yaml'
import { Failure } from '../failure.ts'
import { connectHub, type HubOptions } from '../hub-client.ts'
import { integer, withHub } from '../options.ts'
import { ago, formatTable, plain, printJson } from '../output.ts'

type Options = HubOptions & { json?: boolean }

const lookIntervalMs = 1000

export function pipelineCommand(): Command {
  const pipeline = new Command('pipeline')
    .description('Take a model from new annotations to the boxes by itself, round after round')
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop pipeline put gate gate.yaml      its dataset, what begins a round, how steps are done
  $ ./edgeloop pipeline dry-run gate            what a round would do now, and why none begins
  $ ./edgeloop pipeline run gate --watch        begin a round now
  $ ./edgeloop pipeline show gate               every step of the newest round
  $ ./edgeloop pipeline approve gate            approve what its round waits for
  $ ./edgeloop pipeline retry gate --step train
  $ ./edgeloop pipeline history gate`,
    )

  withHub(pipeline.command('list').description('list the pipelines')).action(
    async (options: Options) => {
      const hub = await connectHub(options)
      const rows = await hub.call('pipelineList', {})
      if (options.json) {
        for (const row of rows) printJson(row)
        return
      }
      if (rows.length === 0) {
        process.stderr.write(
          'There are no pipelines yet. Set one: ./edgeloop pipeline put MODEL FILE\n',
        )
        return
      }
      console.log(
        formatTable(rows, [
          { title: 'MODEL', of: (row) => row.model },
          { title: 'STATE', of: (row) => row.state },
          { title: 'ROUND', of: (row) => row.rounds, right: true },
          { title: 'LAST', of: ({ last }) => last?.state ?? 'none yet' },
          { title: 'NEW LABELS', of: (row) => row.annotations, right: true },
          { title: 'WHY', of: (row) => row.why },
        ]),
      )
    },
  )

  named(pipeline, 'show', 'show a pipeline: what it waits for, and its newest round').action(
    async (model: string, options: Options) => {
      const hub = await connectHub(options)
      const row = await hub.call('pipelineShow', { params: { model } })
      if (options.json) return printJson(row)
      console.log(described(row).join('\n'))
    },
  )

  withHub(
    pipeline
      .command('put')
      .argument('<model>', 'the model whose versions it makes')
      .argument('<file>', 'the pipeline as YAML or JSON, in the form of the API')
      .description('set the pipeline of a model; a round that is open goes on as it was begun')
      .addHelpText('after', '\nExample:\n  $ ./edgeloop pipeline put gate gate.yaml'),
  ).action(async (model: string, file: string, options: Options) => {
    const body = (await readPipeline(file)) as PipelineRequest
    const hub = await connectHub(options)
    const row = await hub.call('pipelinePut', { params: { model }, body })
    if (options.json) return printJson(row)
    console.log(plain(`The pipeline of ${model} is set. ${row.why}`))
  })

  named(pipeline, 'remove', 'remove a pipeline with the record of its rounds').action(
    async (model: string, options: Options) => {
      const hub = await connectHub(options)
      await hub.call('pipelineRemove', { params: { model } })
      if (options.json) return printJson({ removed: model })
      console.log(plain(`The pipeline of ${model} is removed; what its rounds made stays`))
    },
  )

  named(pipeline, 'dry-run', 'say what a round would do now, and why none begins').action(
    async (model: string, options: Options) => {
      const hub = await connectHub(options)
      const dry = await hub.call('pipelineDryRun', { params: { model } })
      if (options.json) return printJson(dry)
      const lines = [dry.begins ? `A round would begin now: ${dry.why}` : `None begins: ${dry.why}`]
      for (const { met, text } of dry.checks) lines.push(`  ${met ? 'yes' : 'no '}  ${text}`)
      lines.push('', 'A round would do this:')
      for (const { name, text, problem } of dry.steps) {
        lines.push(`  ${name.padEnd(8)} ${text}`)
        if (problem !== '') lines.push(`  ${''.padEnd(8)} but: ${problem}`)
      }
      console.log(plainLines(lines))
    },
  )

  named(pipeline, 'run', 'begin a round now, whatever it waits for')
    .option('--watch', 'stay until it is over; Ctrl-C leaves it running')
    .action(async (model: string, options: Options & { watch?: true }) => {
      const hub = await connectHub(options)
      const row = await hub.call('pipelineStart', { params: { model } })
      if (options.watch) return await watch(options, model, row)
      if (options.json) return printJson(row)
      console.log(plain(`${model}: ${row.last ? roundText(row.last) : row.why}`))
    })

  named(pipeline, 'history', 'list the rounds of a pipeline, newest first')
    .option('--limit <rounds>', 'how many', integer(1, 100))
    .action(async (model: string, options: Options & { limit?: number }) => {
      const hub = await connectHub(options)
      const query = options.limit === undefined ? {} : { limit: options.limit }
      const rounds = await hub.call('pipelineRoundList', { params: { model }, query })
      if (options.json) {
        for (const round of rounds) printJson(round)
        return
      }
      if (rounds.length === 0) {
        process.stderr.write(`${model} has had no round yet\n`)
        return
      }
      const now = Date.now()
      console.log(
        formatTable(rounds, [
          { title: 'ROUND', of: ({ round }) => round, right: true },
          { title: 'STATE', of: ({ state }) => state },
          { title: 'VERSION', of: ({ version }) => version ?? '', right: true },
          { title: 'FIGURE', of: ({ key }) => (key ? `${key.name} ${key.after.toFixed(4)}` : '') },
          { title: 'BEFORE', of: ({ key }) => key?.before?.toFixed(4) ?? '', right: true },
          { title: 'LABELS', of: ({ annotations }) => annotations, right: true },
          { title: 'BEGUN', of: ({ startedAt }) => ago(startedAt, now) },
          { title: 'WHY', of: ({ why }) => why },
        ]),
      )
    })

  named(pipeline, 'retry', 'do the step again that failed, or an earlier one of the newest round')
    .addOption(new Option('--step <name>', 'from this step on').choices([...pipelineSteps]))
    .action(async (model: string, options: Options & { step?: PipelineStepName }) => {
      const hub = await connectHub(options)
      const round = await newestOf(options, model)
      const body = options.step === undefined ? {} : { step: options.step }
      say(await hub.call('pipelineRetry', { params: { model, round }, body }), options)
    })

  const ofRound = (
    name: 'approve' | 'cancel',
    route: 'pipelineApprove' | 'pipelineCancel',
    text: string,
  ) =>
    named(pipeline, name, text).action(async (model: string, options: Options) => {
      const hub = await connectHub(options)
      const round = await newestOf(options, model)
      say(await hub.call(route, { params: { model, round } }), options)
    })
  ofRound('approve', 'pipelineApprove', 'approve what its round waits for')
  ofRound('cancel', 'pipelineCancel', 'end its round where it is, with what that has begun')

  const ofPipeline = (
    name: string,
    route: 'pipelinePark' | 'pipelineResume' | 'pipelineWaitSkip',
    text: string,
  ) =>
    named(pipeline, name, text).action(async (model: string, options: Options) => {
      const hub = await connectHub(options)
      const row = await hub.call(route, { params: { model } })
      if (options.json) return printJson(row)
      console.log(plain(`${model} is ${row.state}. ${row.why}`))
    })
  ofPipeline('park', 'pipelinePark', 'begin nothing further until it is resumed')
  ofPipeline('resume', 'pipelineResume', 'let a parked pipeline go on')
  ofPipeline(
    'skip-wait',
    'pipelineWaitSkip',
    'wait no longer for a next try, or between two rounds',
  )
  return pipeline
}

const named = (pipeline: Command, name: string, description: string): Command =>
  withHub(
    pipeline
      .command(name)
      .argument('<model>', 'the model that it is of')
      .description(description)
      .addHelpText('after', `\nExample:\n  $ ./edgeloop pipeline ${name} gate`),
  )

/** The number of its newest round. @throws {Failure} where there is none */
async function newestOf(options: Options, model: string): Promise<number> {
  const hub = await connectHub(options)
  const { last } = await hub.call('pipelineShow', { params: { model } })
  if (last) return last.round
  throw new Failure(
    `Cannot change a round of "${model}": it has had none`,
    `begin one: ./edgeloop pipeline run ${model}`,
  )
}

async function readPipeline(file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new Failure(`Cannot read the pipeline: ${error.message}`)
  })
  const read: unknown = parse(text)
  if (read !== null && typeof read === 'object' && !Array.isArray(read)) return read
  throw new Failure(`Cannot use "${file}" as a pipeline: it is not a list of names and values`)
}

/** Says each change of the newest round until it is over. */
async function watch(options: Options, model: string, row: PipelineRow): Promise<void> {
  const hub = await connectHub(options)
  const number = row.last && !isRoundOver(row.last) ? row.last.round : row.rounds + 1
  const told = new Set<string>()
  for (;;) {
    const [round] = await hub.call('pipelineRoundList', { params: { model }, query: { limit: 1 } })
    if (round && round.round >= number) {
      for (const { name, state, why } of round.steps) {
        const line = `${name.padEnd(8)} ${state.padEnd(8)} ${state === 'running' ? '' : why}`
        if (state === 'ahead' || told.has(line)) continue
        told.add(line)
        process.stderr.write(`${plain(line.trimEnd())}\n`)
      }
      if (isRoundOver(round) || round.state === 'parked') {
        if (options.json) printJson(round)
        else console.log(plain(roundText(round)))
        if (round.state !== 'done') process.exitCode = 1
        return
      }
    }
    await new Promise((resolve) => setTimeout(resolve, lookIntervalMs))
  }
}

const roundText = ({ round, state, why }: PipelineRound): string =>
  `round ${round} is ${state}${why === '' ? '' : `: ${why}`}`

function say(round: PipelineRound, { json }: Options): void {
  if (json) printJson(round)
  else console.log(plain(`${round.model}: ${roundText(round)}`))
}

const plainLines = (lines: readonly string[]): string => lines.map(plain).join('\n')

function described(row: PipelineRow): string[] {
  const { model, config, state, why, checks, last } = row
  const lines = [`${model} on ${config.dataset}: ${state}`, `  ${why}`]
  for (const { kind, met, text } of checks) {
    if (kind !== 'open' && kind !== 'parked') lines.push(`  ${met ? 'yes' : 'no '}  ${text}`)
  }
  if (last) {
    lines.push('', `Round ${last.round}, ${last.state}: ${last.cause.text}`)
    for (const { name, state: at, why: text } of last.steps) {
      lines.push(`  ${name.padEnd(8)} ${at.padEnd(8)} ${text}`.trimEnd())
    }
    for (const { by, verdict, ships, why: text } of last.sites) {
      if (by === 'site') lines.push(`  ${verdict.padEnd(8)} ${ships ? '' : 'left out: '}${text}`)
    }
  }
  return lines.map(plain)
}
