/** `edgeloop run …`: training in a hub, and what begins it by itself. */
import { writeFile } from 'node:fs/promises'
import { isRunOver, type Run, runFileKinds, type ScheduleCause } from '@edgeloop/protocol'
import { Command, Option } from 'commander'
import { Failure } from '../failure.ts'
import { connectHub, type HubClient, type HubOptions } from '../hub-client.ts'
import { integer, withHub } from '../options.ts'
import { ago, bytes, formatTable, plain, printJson } from '../output.ts'
import { stopSignal } from '../stopping.ts'
import { partsOf, type RunOptions, requestOf, sayFigure, withAsked } from '../train/run-asked.ts'
import { addSearchCommands } from './run-search.ts'

type Options = HubOptions & { json?: boolean }

const lookIntervalMs = 1000
const logLinesShown = 20

export function runCommand(): Command {
  const run = new Command('run').description('Train models in a hub').addHelpText(
    'after',
    `
Examples:
  $ ./edgeloop run start --dataset digits --model new:mnist-cnn --set epochs=3 --watch
  $ ./edgeloop run start --dataset gate/4 --model yolox/2 --compile
  $ ./edgeloop run list
  $ ./edgeloop run watch 8c0e7d52                  an id, or how it begins
  $ ./edgeloop run pause 8c0e7d52; ./edgeloop run resume 8c0e7d52
  $ ./edgeloop run search start search.yaml --dataset gate --model gate --watch
  $ ./edgeloop run schedule weekly --dataset gate --model yolox --at "17 3 * * 1"`,
  )

  withHub(
    withAsked(run.command('start').description('ask for a run on a frozen dataset')).option(
      '--watch',
      'stay until it is over; Ctrl-C leaves it running',
    ),
  ).action(async (options: Options & RunOptions & { watch?: true }) => {
    const hub = await connectHub(options)
    const begun = await hub.call('runAdd', { body: await requestOf(hub, options) })
    if (!options.watch) {
      if (options.json) printJson(begun)
      else console.log(`Run ${begun.runId} waits for its turn`)
      return
    }
    await watch(hub, begun, options.json)
  })

  addSearchCommands(run)

  withHub(
    run
      .command('list')
      .description('list the newest runs')
      .option('--model <name>', 'only those whose result is a version of it')
      .option('--dataset <name>', 'only those on this dataset'),
  ).action(async (options: Options & { model?: string; dataset?: string }) => {
    const hub = await connectHub(options)
    const { model, dataset } = options
    const rows = await hub.call('runList', {
      query: {
        ...(model === undefined ? {} : { model }),
        ...(dataset === undefined ? {} : { dataset }),
      },
    })
    if (options.json) {
      for (const row of rows) printJson(row)
      return
    }
    if (rows.length === 0) process.stderr.write('No runs yet: ./edgeloop run start …\n')
    const now = Date.now()
    console.log(
      formatTable(rows, [
        { title: 'ID', of: (row) => row.runId.slice(0, 8) },
        { title: 'STATE', of: (row) => sayState(row) },
        { title: 'MODEL', of: (row) => row.model },
        { title: 'FROM', of: (row) => row.parent },
        { title: 'DATASET', of: (row) => `${row.dataset.name}/${row.dataset.version}` },
        {
          title: 'KEY',
          of: (row) => (row.key ? `${row.key.name} ${sayFigure(row.key.value)}` : ''),
        },
        { title: 'STEPS', of: (row) => `${row.step}/${row.steps}`, right: true },
        { title: 'RESULT', of: sayResult },
        { title: 'ASKED', of: (row) => ago(row.createdAt, now) },
      ]),
    )
  })

  withHub(
    run
      .command('show')
      .argument('<id>', 'id of the run, or how it begins')
      .description('show a run with its evaluations, its recipe and the end of its log'),
  ).action(async (id: string, options: Options) => {
    const hub = await connectHub(options)
    const detail = await hub.call('runShow', { params: { runId: (await find(hub, id)).runId } })
    if (options.json) return printJson(detail)
    const { run: shown, evaluations, files, log } = detail
    console.log(
      `${shown.model}: ${sayState(shown)}, step ${shown.step} of ${shown.steps}, ${Math.round(shown.activeMs / 1000)} s`,
    )
    console.log(
      `${shown.dataset.name}/${shown.dataset.version} (${shown.dataset.digest.slice(0, 12)}) + ${shown.parent} → ${sayResult(shown) || 'nothing yet'}`,
    )
    if (shown.result) console.log(plain(shown.result.why))
    if (shown.error) console.log(shown.error.split('\n').map(plain).join('\n'))
    const ends = evaluations.filter(({ on }) => on !== 'validation')
    const names = [...new Set(ends.flatMap(({ figures }) => Object.keys(figures)))]
    if (ends.length > 0) {
      console.log(
        formatTable(ends, [
          { title: 'ON', of: ({ on }) => on },
          ...names.map((name) => ({
            title: name,
            of: ({ figures }: (typeof ends)[number]) => {
              const value = figures[name]
              return value === undefined ? '' : sayFigure(value)
            },
            right: true,
          })),
        ]),
      )
    }
    for (const { kind, sizeBytes } of files) console.log(`${kind}: ${bytes(sizeBytes)}`)
    for (const line of log.slice(-logLinesShown)) console.log(`${line.at} ${plain(line.text)}`)
  })

  withHub(
    run
      .command('watch')
      .argument('<id>', 'id of the run, or how it begins')
      .description('show how far a run is until it is over; Ctrl-C leaves it running'),
  ).action(async (id: string, options: Options) => {
    const hub = await connectHub(options)
    await watch(hub, await find(hub, id), options.json)
  })

  for (const { verb, name, does, said } of [
    {
      verb: 'runPause',
      name: 'pause',
      does: 'let a run end at a checkpoint from which it can go on',
      said: 'ends at its next checkpoint',
    },
    {
      verb: 'runResume',
      name: 'resume',
      does: 'let a run go on that is paused, has failed or was cancelled',
      said: 'goes on when it is its turn',
    },
    { verb: 'runCancel', name: 'cancel', does: 'ask a run to end', said: 'ends' },
  ] as const) {
    withHub(
      run.command(name).argument('<id>', 'id of the run, or how it begins').description(does),
    ).action(async (id: string, options: Options) => {
      const hub = await connectHub(options)
      const { runId } = await find(hub, id)
      const changed = await hub.call(verb, { params: { runId } })
      if (options.json) printJson(changed)
      else console.log(`Run ${runId} ${said}`)
    })
  }

  withHub(
    run
      .command('fetch')
      .argument('<id>', 'id of the run, or how it begins')
      .description('fetch a file of a run')
      .addOption(new Option('--part <name>', 'which file').choices(runFileKinds).default('report'))
      .requiredOption('-o, --out <file>', 'where it is written'),
  ).action(
    async (id: string, options: Options & { part: (typeof runFileKinds)[number]; out: string }) => {
      const hub = await connectHub(options)
      const { runId } = await find(hub, id)
      const signal = stopSignal()
      const params = { runId, kind: options.part }
      await writeFile(options.out, await hub.stream('runFile', { params, signal }))
      if (options.json) printJson({ file: options.out })
      else console.log(options.out)
    },
  )

  withHub(
    run
      .command('remove')
      .argument('<id>', 'id of the run, or how it begins')
      .description('remove a run that is over; the model version that it made stays'),
  ).action(async (id: string, options: Options) => {
    const hub = await connectHub(options)
    const { runId } = await find(hub, id)
    await hub.call('runRemove', { params: { runId } })
    if (options.json) printJson({ runId, removed: true })
    else console.log(`Run ${runId} is removed`)
  })

  withHub(
    withAsked(
      run
        .command('schedule')
        .argument('<name>', 'name of the schedule; one of that name is replaced')
        .description('let the hub begin runs by itself')
        .option('--at <cron>', 'minute, hour, day, month, weekday: "17 3 * * 1"')
        .option(
          '--annotations <n>',
          'when so many samples are newly annotated',
          integer(1, 1_000_000),
        )
        .option('--off', 'keep it, and switch it off'),
    ),
  ).action(
    async (
      name: string,
      options: Options & RunOptions & { at?: string; annotations?: number; off?: true },
    ) => {
      const hub = await connectHub(options)
      const { note: _, fold: __, ...asked } = await partsOf(options)
      const body = {
        cause: causeOf(options),
        run: { ...asked, dataset: options.dataset, parent: options.model },
        enabled: options.off !== true,
      }
      const put = await hub.call('trainingSchedulePut', { params: { name }, body })
      if (options.json) printJson(put)
      else console.log(put.nextAt ? `Next at ${put.nextAt}` : `${put.name} is set`)
    },
  )

  withHub(run.command('schedules').description('list what begins runs by itself')).action(
    async (options: Options) => {
      const hub = await connectHub(options)
      const rows = await hub.call('trainingScheduleList', {})
      if (options.json) {
        for (const row of rows) printJson(row)
        return
      }
      console.log(
        formatTable(rows, [
          { title: 'NAME', of: (row) => row.name },
          { title: 'MODEL', of: (row) => row.run.parent },
          { title: 'DATASET', of: (row) => row.run.dataset },
          {
            title: 'NEXT',
            of: ({ enabled, cause, nextAt, have }) =>
              !enabled
                ? 'off'
                : cause.kind === 'calendar'
                  ? (nextAt ?? cause.cron)
                  : `${have ?? 0} of ${cause.count} samples`,
          },
          { title: 'LAST', of: (row) => row.lastOutcome || (row.lastRun?.slice(0, 8) ?? 'never') },
        ]),
      )
    },
  )

  withHub(
    run
      .command('unschedule')
      .argument('<name>', 'name of the schedule')
      .description('remove a schedule; its runs stay'),
  ).action(async (name: string, options: Options) => {
    const hub = await connectHub(options)
    await hub.call('trainingScheduleRemove', { params: { name } })
    if (options.json) printJson({ name, removed: true })
    else console.log(`${name} is removed`)
  })
  return run
}

function causeOf(options: { at?: string; annotations?: number }): ScheduleCause {
  const { at, annotations } = options
  if (at !== undefined && annotations === undefined) return { kind: 'calendar', cron: at }
  if (annotations !== undefined && at === undefined)
    return { kind: 'annotations', count: annotations }
  throw new Failure('Cannot set the schedule: when?', 'give --at or --annotations, one of them')
}

/** A run by its id, or by how its id begins. */
async function find(hub: HubClient, id: string): Promise<Run> {
  const runs = await hub.call('runList', {})
  const found = runs.filter(({ runId }) => runId.startsWith(id))
  const [one] = found
  if (one && found.length === 1) return one
  throw new Failure(
    found.length > 1
      ? `Cannot tell which run "${id}" is: ${found.length} begin so`
      : `Cannot find run "${id}"`,
    './edgeloop run list shows them',
  )
}

/** Shows how far a run is until it is over, and then what it came to. */
async function watch(hub: HubClient, begun: Run, json: boolean | undefined): Promise<void> {
  const run = await watchRun(hub, begun)
  if (json) printJson(run)
  else console.log(`Run ${run.runId} ${sayState(run)}${run.result ? `: ${sayResult(run)}` : ''}`)
  if (run.state === 'failed') throw new Failure(run.error)
}

/** Shows on standard error how far a run is. @returns the run when it is over */
export async function watchRun(hub: HubClient, begun: Run): Promise<Run> {
  let said = ''
  for (;;) {
    const { run } = await hub.call('runShow', { params: { runId: begun.runId } })
    const line = sayProgress(run)
    if (line !== said) process.stderr.write(`${line}\n`)
    said = line
    if (isRunOver(run)) return run
    await new Promise((resolve) => setTimeout(resolve, lookIntervalMs))
  }
}

function sayProgress(run: Run): string {
  const { state, step, steps, loss, etaMs, phase, imagesPerSecond } = run
  if (state === 'queued') return 'it waits for its turn'
  if (steps === 0 || phase !== 'training') return plain(phase || state)
  const left = etaMs === null ? '' : `, ${Math.ceil(etaMs / 1000)} s left`
  const value = loss === null ? '' : `, loss ${sayFigure(loss)}`
  return `step ${step} of ${steps}${value}, ${Math.round(imagesPerSecond)} images/s${left}`
}

const sayState = (run: Run): string =>
  run.asked === '' ? run.state : run.asked === 'pause' ? 'pausing' : 'ending'

const sayResult = ({ model, result }: Run): string =>
  result ? `${model}/${result.version}${result.champion ? ' (champion)' : ''}` : ''
