/** `edgeloop dataset create|import|list|show|freeze|remove`: the datasets that a hub keeps. */
import type { DatasetVersion, SplitCounts, SplitRequest } from '@edgeloop/protocol'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { sendDataset } from '../dataset/send-dataset.ts'
import { Failure } from '../failure.ts'
import { followJob } from '../follow-job.ts'
import { connectHub, type HubOptions } from '../hub-client.ts'
import { integer, number, withHub } from '../options.ts'
import { ago, bytes, formatTable, plain, printJson } from '../output.ts'
import { stopSignal } from '../stopping.ts'
import { isFolderName, showFolder } from './dataset-local.ts'

type Options = HubOptions & { json?: boolean }

const problemsTold = 5
const tellIntervalMs = 1000

/** Puts the commands for a hub's datasets under `dataset`. */
export function addHubDatasetCommands(dataset: Command): void {
  withHub(
    dataset
      .command('create')
      .argument('<name>', 'dataset; there is none of that name yet')
      .description('make an empty dataset in a hub, for a label queue to fill')
      .requiredOption('--labels <names>', 'what can be said of a sample, with commas between')
      .option('--description <text>', 'what it is for'),
  )
    .addHelpText(
      'after',
      '\nExample:\n  $ ./edgeloop dataset create street --labels car,bus,truck,person',
    )
    .action(createDataset)

  withHub(
    dataset
      .command('import')
      .argument('<dir>', 'folder with pictures and labels')
      .description('send a folder to a hub; what the hub has already is not sent again')
      .requiredOption('--name <name>', 'dataset in the hub; made where there is none')
      .option(
        '--format <name>',
        'coco, yolo, voc, cvat, label-studio, folders, masks, idx or frozen (default: looked for)',
      )
      .option('--labels <names>', 'labels in the order of a model, with commas between')
      .option('--description <text>', 'what a new dataset is for'),
  )
    .addHelpText(
      'after',
      '\nExample:\n  $ ./edgeloop dataset import photos/ --name parts --format voc',
    )
    .action(importFolder)

  withHub(dataset.command('list').description('list the datasets of the hub'))
    .addHelpText('after', '\nExample:\n  $ ./edgeloop dataset list --json')
    .action(listDatasets)

  withHub(
    dataset
      .command('show')
      .argument('<name|dir>', 'dataset of the hub, or a folder (with a / in it)')
      .description('show a dataset with its frozen versions, or what is in a folder'),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  $ ./edgeloop dataset show parts\n  $ ./edgeloop dataset show ./photos',
    )
    .action(showDataset)

  withHub(
    dataset
      .command('freeze')
      .argument('<name>', 'dataset of the hub')
      .description('freeze what is in a dataset now, with its split; runs take nothing else')
      .addOption(
        new Option('--holdout <share|last:N>', 'for the test (default: 0.2)').argParser(
          readHoldout,
        ),
      )
      .option('--validation <share>', 'of the rest, to choose among checkpoints', number(0, 0.9))
      .addOption(
        new Option('--by <what>', 'what stays together (default: what is known)').choices([
          'sample',
          'stream',
          'time',
        ]),
      )
      .option('--no-stratify', 'labels need not have their share on each side')
      .option('--folds <n>', 'cross-validation instead of one test set', integer(2, 20))
      .option('--seed <n>', 'the same seed splits the same (default: 1)', integer(0, 2 ** 31 - 1))
      .option('--note <text>', 'what is to be known about it'),
  )
    .addHelpText(
      'after',
      '\nExample:\n  $ ./edgeloop dataset freeze parts --holdout 0.2 --by stream --note "week 46"',
    )
    .action(freezeDataset)

  withHub(
    dataset
      .command('remove')
      .argument('<name>', 'dataset of the hub')
      .description('remove a dataset with all its versions')
      .option('--yes', 'without it, only says what would go'),
  )
    .addHelpText('after', '\nExample:\n  $ ./edgeloop dataset remove parts --yes')
    .action(removeDataset)
}

async function createDataset(
  name: string,
  options: Options & { labels: string; description?: string },
): Promise<void> {
  const hub = await connectHub(options)
  const { description = '' } = options
  const body = { name, labels: listed(options.labels), description }
  const made = await hub.call('datasetAdd', { body })
  if (options.json) return printJson(made)
  console.log(plain(`${name}: empty, with the labels ${made.labels.join(', ')}`))
}

const listed = (names: string): string[] => names.split(',').map((label) => label.trim())

async function importFolder(
  folder: string,
  options: Options & { name: string; format?: string; labels?: string; description?: string },
): Promise<void> {
  const signal = stopSignal()
  const { datasetFormats, openDataset, problemText } = await import(
    '@edgeloop/model-compiler/datasets'
  )
  const { name, description } = options
  const format = datasetFormats.find((one) => one === options.format)
  if (options.format !== undefined && format === undefined) {
    throw new Failure(
      `Cannot read the format "${options.format}"`,
      `known are ${datasetFormats.join(', ')}`,
    )
  }
  const labels = options.labels === undefined ? undefined : listed(options.labels)
  const read = await openDataset(folder, {
    ...(format && { format }),
    ...(labels && { labels }),
    signal,
  })
  for (const problem of read.problems.kept.slice(0, problemsTold)) {
    process.stderr.write(`${plain(problemText(problem))}\n`)
  }
  if (read.problems.total > problemsTold) {
    process.stderr.write(`and ${read.problems.total - problemsTold} problems more\n`)
  }
  const hub = await connectHub(options)
  const there = (await hub.call('datasetList', {})).find((one) => one.name === name)
  if (!there) {
    await hub.call('datasetAdd', {
      body: { name, labels: [...read.labels], ...(description && { description }) },
    })
  } else if (read.labels.some((label) => !there.labels.includes(label))) {
    await hub.call('datasetEdit', {
      params: { dataset: name },
      body: { addLabels: [...read.labels] },
    })
  }
  const begun = Date.now()
  let toldAt = begun
  const sent = await sendDataset(hub, read, name, {
    signal,
    told: ({ samples, bytes: sentBytes }) => {
      if (Date.now() - toldAt < tellIntervalMs) return
      toldAt = Date.now()
      const rate = samples / ((toldAt - begun) / 1000)
      const left = rate > 0 ? `, ${Math.ceil((read.samples.length - samples) / rate)} s left` : ''
      process.stderr.write(
        `${samples} of ${read.samples.length} samples, ${bytes(sentBytes)} sent${left}\n`,
      )
    },
  })
  if (options.json) return printJson({ dataset: name, problems: read.problems.total, ...sent })
  console.log(
    `${name}: ${sent.added} samples added, ${sent.changed} changed, ${sent.unchanged} as they were; ${sent.pictures} pictures sent (${bytes(sent.bytes)})`,
  )
}

async function listDatasets(options: Options): Promise<void> {
  const hub = await connectHub(options)
  const rows = await hub.call('datasetList', {})
  if (options.json) {
    for (const row of rows) printJson(row)
    return
  }
  if (rows.length === 0) {
    process.stderr.write('No datasets yet: ./edgeloop dataset import DIR --name NAME\n')
  }
  const now = Date.now()
  console.log(
    formatTable(rows, [
      { title: 'DATASET', of: (row) => row.name },
      { title: 'SAMPLES', of: (row) => row.samples, right: true },
      { title: 'ANNOTATED', of: (row) => row.annotated, right: true },
      { title: 'LABELS', of: (row) => row.labels.length, right: true },
      { title: 'VERSIONS', of: (row) => row.versions, right: true },
      { title: 'CHANGED', of: (row) => ago(row.changedAt, now) },
      { title: 'DESCRIPTION', of: (row) => row.description },
    ]),
  )
}

async function showDataset(name: string, options: Options): Promise<void> {
  if (isFolderName(name)) return await showFolder(name, options.json ? { json: true } : {})
  const hub = await connectHub(options)
  const params = { dataset: name }
  const { dataset: shown } = await hub.call('datasetShow', { params })
  const versions: DatasetVersion[] = await hub.call('datasetVersionList', { params })
  if (options.json) return printJson({ ...shown, frozen: versions })
  console.log(
    `${name}: ${shown.samples} samples, ${shown.annotated} annotated; ${shown.labels.length} labels`,
  )
  if (shown.description) console.log(plain(shown.description))
  if (shown.labels.length > 0) console.log(plain(shown.labels.join(', ')))
  const now = Date.now()
  const side = (word: keyof SplitCounts) => (version: DatasetVersion) =>
    version.folds.map((counts) => counts[word]).join(' ')
  console.log(
    formatTable(versions, [
      { title: 'VERSION', of: (row) => row.version, right: true },
      { title: 'SAMPLES', of: (row) => row.samples, right: true },
      { title: 'TRAIN', of: side('train'), right: true },
      { title: 'VALID.', of: side('validation'), right: true },
      { title: 'TEST', of: side('test'), right: true },
      { title: 'DIGEST', of: (row) => row.digest.slice(0, 12) },
      { title: 'FROZEN', of: (row) => ago(row.createdAt, now) },
      { title: 'NOTE', of: (row) => row.note },
    ]),
  )
}

async function freezeDataset(
  name: string,
  options: Options & {
    holdout?: number | string
    validation?: number
    by?: 'sample' | 'stream' | 'time'
    stratify: boolean
    folds?: number
    seed?: number
    note?: string
  },
): Promise<void> {
  const hub = await connectHub(options)
  const { holdout, validation, by, stratify, folds, seed, note } = options
  const split: SplitRequest = {
    ...(holdout !== undefined && { holdout }),
    ...(validation !== undefined && { validation }),
    ...(by !== undefined && { by }),
    ...(!stratify && { stratify }),
    ...(folds !== undefined && { folds }),
    ...(seed !== undefined && { seed }),
  }
  const params = { dataset: name }
  const job = await hub.call('datasetFreeze', {
    params,
    body: { split, ...(note !== undefined && { note }) },
  })
  const end = await followJob(hub, job)
  if (end.state !== 'done') {
    throw new Failure(end.error || `Cannot freeze "${name}": the job was cancelled`)
  }
  const [version] = await hub.call('datasetVersionList', { params })
  if (!version) throw new Failure(`Cannot find what was frozen of "${name}": it was removed`)
  if (options.json) return printJson(version)
  const [counts] = version.folds
  const sides =
    version.folds.length > 1
      ? `${version.folds.length} folds`
      : `train ${counts?.train}, validation ${counts?.validation}, test ${counts?.test}`
  console.log(
    `${name}/${version.version}: ${version.samples} samples (${sides}), ${version.digest.slice(0, 12)}`,
  )
}

async function removeDataset(name: string, options: Options & { yes?: true }): Promise<void> {
  const hub = await connectHub(options)
  const params = { dataset: name }
  const { samples, versions } = (await hub.call('datasetShow', { params })).dataset
  if (!options.yes) {
    throw new Failure(
      `Cannot remove "${name}" without --yes: ${samples} samples and ${versions} frozen versions go`,
    )
  }
  await hub.call('datasetRemove', { params })
  if (options.json) printJson({ dataset: name, samples, versions, removed: true })
  else console.log(`${name} is removed, with ${samples} samples and ${versions} versions`)
}

function readHoldout(text: string): number | string {
  if (/^last:[1-9]\d{0,6}$/.test(text)) return text
  const share = Number(text)
  if (share >= 0.01 && share <= 0.9) return share
  throw new InvalidArgumentError('it must be a share from 0.01 to 0.9, or last:N')
}
