/** `edgeloop run search …`: several values of a recipe in a hub, of which the best becomes a model version. */
import { isSearchOver, type Search, type SearchPlan, type SearchTrial } from '@edgeloop/protocol'
import type { Command } from 'commander'
import { Failure } from '../failure.ts'
import { connectHub, type HubClient, type HubOptions } from '../hub-client.ts'
import { withHub } from '../options.ts'
import { ago, formatTable, plain, printJson } from '../output.ts'
import { objectIn } from '../train/object-file.ts'
import { type RunOptions, requestOf, sayFigure, withAsked } from '../train/run-asked.ts'

type Options = HubOptions & { json?: boolean }

const lookIntervalMs = 1000

export function addSearchCommands(run: Command): void {
  const search = run
    .command('search')
    .description('try values of a recipe in a hub; the best becomes a model version')
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop run search start search.yaml --dataset gate --model gate --watch
  $ ./edgeloop run search list
  $ ./edgeloop run search show 8c0e7d52            an id, or how it begins
  $ ./edgeloop run search cancel 8c0e7d52

search.yaml:
  method: halving            # or grid, or random
  trials: 9
  keys:
    optimizer.learningRate: { from: 0.0003, to: 0.03, scale: log }
    batch: [32, 64]`,
    )

  withHub(
    withAsked(
      search
        .command('start')
        .argument('<file>', 'what is tried: method, keys, trials (YAML or JSON)')
        .description('ask for a search on a frozen dataset that has validation samples'),
    ).option('--watch', 'stay until it is over; Ctrl-C leaves it running'),
  ).action(async (file: string, options: Options & RunOptions & { watch?: true }) => {
    const hub = await connectHub(options)
    const begun = await beginSearch(hub, file, options)
    if (options.watch) return await tellEnd(await watchSearch(hub, begun), options)
    if (options.json) printJson(begun)
    else console.log(`Search ${begun.searchId} begins with its ${begun.trials} trials`)
  })

  withHub(search.command('list').description('list searches, newest first')).action(
    async (options: Options) => {
      const hub = await connectHub(options)
      const rows = await hub.call('searchList', {})
      if (options.json) {
        for (const row of rows) printJson(row)
        return
      }
      if (rows.length === 0)
        process.stderr.write('No searches yet: ./edgeloop run search start …\n')
      const now = Date.now()
      console.log(
        formatTable(rows, [
          { title: 'ID', of: (row) => row.searchId.slice(0, 8) },
          { title: 'STATE', of: ({ state }) => state },
          { title: 'MODEL', of: (row) => row.model },
          { title: 'DATASET', of: ({ dataset }) => `${dataset.name}/${dataset.version}` },
          { title: 'METHOD', of: ({ method }) => method },
          { title: 'TRIALS', of: (row) => `${row.ended}/${row.trials}`, right: true },
          {
            title: 'BEST',
            of: ({ best, metric }) => (best ? `${metric} ${sayFigure(best.value)}` : ''),
          },
          { title: 'RESULT', of: sayResult },
          { title: 'ASKED', of: (row) => ago(row.createdAt, now) },
        ]),
      )
    },
  )

  withHub(
    search
      .command('show')
      .argument('<id>', 'id of the search, or how it begins')
      .description('show a search with its trials, best first'),
  ).action(async (id: string, options: Options) => {
    const hub = await connectHub(options)
    const { searchId } = await find(hub, id)
    const detail = await hub.call('searchShow', { params: { searchId } })
    if (options.json) return printJson(detail)
    const { search: shown, trials } = detail
    console.log(`${shown.model}: ${shown.state}, ${sayTrials(shown)}${sayBecame(shown)}`)
    if (shown.error) console.log(plain(shown.error))
    console.log(
      formatTable(trials, [
        { title: 'TRIAL', of: ({ trial }) => trial },
        { title: 'RUN', of: ({ runId }) => runId.slice(0, 8) },
        {
          title: 'SETTINGS',
          of: ({ settings }) =>
            plain(
              Object.entries(settings)
                .map((pair) => pair.join('='))
                .join(' '),
            ),
        },
        { title: 'EPOCHS', of: ({ share }) => `${Math.round(share * 100)} %`, right: true },
        { title: (shown.metric || 'figure').toUpperCase(), of: sayOutcome, right: true },
      ]),
    )
  })

  withHub(
    search
      .command('watch')
      .argument('<id>', 'id of the search, or how it begins')
      .description('show how far a search is until it is over; Ctrl-C leaves it running'),
  ).action(async (id: string, options: Options) => {
    const hub = await connectHub(options)
    await tellEnd(await watchSearch(hub, await find(hub, id)), options)
  })

  withHub(
    search
      .command('cancel')
      .argument('<id>', 'id of the search, or how it begins')
      .description('end a search with the trial that runs; those that ended stay'),
  ).action(async (id: string, options: Options) => {
    const hub = await connectHub(options)
    const { searchId } = await find(hub, id)
    const changed = await hub.call('searchCancel', { params: { searchId } })
    if (options.json) printJson(changed)
    else console.log(`Search ${searchId} is cancelled`)
  })

  withHub(
    search
      .command('remove')
      .argument('<id>', 'id of the search, or how it begins')
      .description('remove a search that is over with its runs; the model version stays'),
  ).action(async (id: string, options: Options) => {
    const hub = await connectHub(options)
    const { searchId } = await find(hub, id)
    await hub.call('searchRemove', { params: { searchId } })
    if (options.json) printJson({ searchId, removed: true })
    else console.log(`Search ${searchId} is removed`)
  })
}

/** Asks a hub for a search. @throws {Failure} where the file or a name stands for nothing */
export async function beginSearch(
  hub: HubClient,
  file: string,
  options: RunOptions,
): Promise<Search> {
  const plan = (await objectIn(file, 'search')) as SearchPlan
  return await hub.call('searchAdd', { body: { run: await requestOf(hub, options), plan } })
}

/** Shows on standard error how far a search is. @returns it when it is over */
export async function watchSearch(hub: HubClient, begun: Search): Promise<Search> {
  let said = ''
  for (;;) {
    const { search } = await hub.call('searchShow', { params: { searchId: begun.searchId } })
    const line = search.state === 'keeping' ? 'the best is being kept' : sayTrials(search)
    if (line !== said) process.stderr.write(`${line}\n`)
    said = line
    if (isSearchOver(search)) return search
    await new Promise((resolve) => setTimeout(resolve, lookIntervalMs))
  }
}

/** @throws {Failure} where it failed */
function tellEnd(search: Search, { json }: Options): void {
  if (json) printJson(search)
  else console.log(`Search ${search.searchId} ${search.state}${sayBecame(search)}`)
  if (search.state === 'failed') throw new Failure(search.error)
}

/** A search by its id, or by how its id begins. */
async function find(hub: HubClient, id: string): Promise<Search> {
  const found = (await hub.call('searchList', {})).filter(({ searchId }) => searchId.startsWith(id))
  const [one] = found
  if (one && found.length === 1) return one
  throw new Failure(
    found.length > 1
      ? `Cannot tell which search "${id}" is: ${found.length} begin so`
      : `Cannot find search "${id}"`,
    './edgeloop run search list shows them',
  )
}

const sayTrials = ({ ended, trials, best, metric }: Search): string =>
  `${ended} of ${trials} trials${best ? `, best ${metric} ${sayFigure(best.value)}` : ''}`

const sayResult = ({ model, result }: Search): string =>
  result ? `${model}/${result.version}${result.champion ? ' (champion)' : ''}` : ''

const sayBecame = (search: Search): string => {
  const result = sayResult(search)
  return result === '' ? '' : `: ${result}`
}

const sayOutcome = ({ over, value, failure }: SearchTrial): string =>
  value !== null ? sayFigure(value) : over ? plain(failure).slice(0, 80) : '…'
