/** `edgeloop dataset check|split|export`, and `show` of a folder: labelled pictures where they lie, without a hub. */
import { stat, writeFile } from 'node:fs/promises'
import { extname } from 'node:path'
import type {
  Dataset,
  DatasetFormat,
  Inspection,
  Problems,
  Split,
  SplitOptions,
  SplitUnit,
} from '@edgeloop/model-compiler/datasets'
import { datasetFormats } from '@edgeloop/protocol'
import { type Command, Option } from 'commander'
import { exportFromHub } from '../dataset/export-from-hub.ts'
import { Failure, UsageFailure } from '../failure.ts'
import type { HubOptions } from '../hub-client.ts'
import { integer, jsonOption, number, withHub } from '../options.ts'
import { formatTable, plain, printJson } from '../output.ts'
import { stopSignal } from '../stopping.ts'

const formats = datasetFormats

type Folder = { format?: DatasetFormat; labels?: string; json?: boolean }

/** Options of every command that opens a folder. */
const withFolder = (command: Command): Command =>
  command
    .addOption(
      new Option('--format <name>', 'form of the labels (default: looked for)').choices(formats),
    )
    .option('--labels <names>', 'labels in the order of a model, with commas between')
    .addOption(jsonOption())

/** Puts the commands for folders under `dataset`. */
export function addLocalDatasetCommands(dataset: Command): void {
  withFolder(
    dataset
      .command('check')
      .argument('<dir>', 'folder with pictures and labels')
      .description('list what is wrong with pictures and labels; every picture is decoded')
      .option('--all', 'show every problem that was kept, not the first few of a kind'),
  )
    .addHelpText('after', '\nExample:\n  $ ./edgeloop dataset check photos/ --format yolo')
    .action(checkFolder)

  withFolder(
    dataset
      .command('split')
      .argument('<dir>', 'folder with pictures and labels')
      .description('deal samples to training, choosing and testing; near copies stay on one side')
      .option('--holdout <share|last:N>', 'for the test (default: 0.2)')
      .option('--validation <share>', 'of the rest, to choose among checkpoints', number(0, 0.9), 0)
      .option('--folds <n>', 'cross-validation: as many splits', integer(2, 100))
      .addOption(
        new Option('--by <what>', 'what is dealt whole (default: what is known)').choices([
          ...['sample', 'stream', 'time'],
        ]),
      )
      .option('--no-stratify', 'labels need not have their share on each side')
      .option('--no-copies', 'near copies are not looked for')
      .option('--seed <n>', 'the same seed splits the same', integer(0, 2 ** 31 - 1), 1)
      .option('--out <file>', 'JSON with the part of each digest; NAME-1.json … with --folds'),
  )
    .addHelpText(
      'after',
      '\nExample:\n  $ ./edgeloop dataset split photos/ --holdout 0.2 --validation 0.1 --out split.json',
    )
    .action(splitFolder)

  withHub(
    dataset
      .command('export')
      .argument('<dir|name>', 'folder with pictures and labels, or a dataset of the hub')
      .description('write a folder, or a frozen version of a dataset, in another form')
      .addOption(new Option('--to <name>', 'form to write').choices(formats))
      .addOption(
        new Option(
          '--format <name>',
          'form of the labels of a folder (default: looked for)',
        ).choices(formats),
      )
      .option('--labels <names>', 'labels in the order of a model, with commas between')
      .option(
        '--version <n>',
        'of a dataset of the hub (default: the newest)',
        integer(1, 1_000_000),
      )
      .requiredOption('--out <dir>', 'folder that is not there yet'),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  $ ./edgeloop dataset export photos/ --to coco --out photos-coco/\n  $ ./edgeloop dataset export parts --to label-studio --out parts-tasks/      from the hub',
    )
    .action(exportFolder)
}

const isFolder = async (name: string): Promise<boolean> =>
  await stat(name).then(
    (entry) => entry.isDirectory(),
    () => false,
  )

/** Whether the argument of `show` is a folder: names in a hub have no such characters. */
export const isFolderName = (name: string): boolean => /[/\\]|^\.{1,2}$/.test(name)

/** What is in a folder, in figures. */
export async function showFolder(folder: string, given: Folder): Promise<void> {
  const { inspectDataset } = await import('@edgeloop/model-compiler/datasets')
  const dataset = await open(folder, given, stopSignal())
  const found = await inspectDataset(dataset)
  if (given.json) printJson(figuresOf(found))
  else printFigures(found)
}

async function checkFolder(folder: string, given: Folder & { all?: boolean }): Promise<void> {
  const { inspectDataset } = await import('@edgeloop/model-compiler/datasets')
  const signal = stopSignal()
  const dataset = await open(folder, given, signal)
  const found = await inspectDataset(dataset, { pixels: true, signal })
  if (given.json) printJson({ ...figuresOf(found), problems: problemsOf(found.problems) })
  else {
    printFigures(found)
    printProblems(found.problems, given.all ? Number.POSITIVE_INFINITY : 5)
  }
}

type SplitWords = Folder & {
  holdout?: string
  validation: number
  folds?: number
  by?: SplitUnit
  stratify: boolean
  copies: boolean
  seed: number
  out?: string
}

async function splitFolder(folder: string, given: SplitWords): Promise<void> {
  const { splitDataset, foldDataset, readHoldout } = await import(
    '@edgeloop/model-compiler/datasets'
  )
  const { holdout, validation, folds, by, stratify, seed, out } = given
  if (folds !== undefined && (holdout !== undefined || validation > 0)) {
    throw new UsageFailure(
      'Cannot use --folds with --holdout or --validation',
      'each fold is the test of one split, and the rest is learned from',
    )
  }
  const signal = stopSignal()
  const dataset = await open(folder, given, signal)
  const together = given.copies ? await copiesIn(dataset, signal) : []
  const options: SplitOptions = {
    seed,
    stratify,
    together,
    validation,
    ...(by && { by }),
    ...(holdout !== undefined && { holdout: readHoldout(holdout) }),
  }
  const splits =
    folds === undefined
      ? [splitDataset(dataset, options)]
      : foldDataset(dataset, { ...options, folds })
  const files = out === undefined ? [] : await write(splits, out)
  const rows = splits.map((split) => partsOf(dataset, split))
  if (given.json) {
    const parts = splits.map((split, at) => ({ ...rows[at], split: Object.fromEntries(split) }))
    printJson({ digest: dataset.digest, near: together.length, files, seed, splits: parts })
    return
  }
  const text = (value: number) => String(value)
  console.log(
    formatTable(rows, [
      { title: 'TRAIN', of: ({ train }) => text(train), right: true },
      { title: 'VALIDATION', of: (row) => text(row.validation), right: true },
      { title: 'TEST', of: ({ test }) => text(test), right: true },
      { title: 'LEFT OUT', of: ({ leftOut }) => text(leftOut), right: true },
      { title: 'LABELS ONLY ON ONE SIDE', of: ({ lonely }) => plain(lonely.join(', ')) || '–' },
    ]),
  )
  if (together.length > 0) {
    console.log(
      `${together.length} group${together.length === 1 ? '' : 's'} of near copies stay on one side`,
    )
  }
  for (const file of files) console.log(file)
}

async function exportFolder(
  folder: string,
  given: HubOptions & Folder & { to?: DatasetFormat; out: string; version?: number },
): Promise<void> {
  if (!isFolderName(folder) && !(await isFolder(folder))) {
    const to = given.to ?? given.format ?? 'frozen'
    const exported = await exportFromHub(folder, { ...given, to }, stopSignal())
    if (given.json) printJson(exported)
    else {
      const { dataset, version, samples } = exported
      console.log(`${given.out}: ${dataset}/${version}, ${samples} samples as ${to}`)
    }
    return
  }
  const { to } = given
  if (to === undefined) {
    throw new UsageFailure('Cannot export a folder without --to', `one of ${formats.join(', ')}`)
  }
  const { exportDataset } = await import('@edgeloop/model-compiler/datasets')
  const signal = stopSignal()
  const dataset = await open(folder, given, signal)
  const { samples, lost } = await exportDataset(dataset, given.out, { format: to, signal })
  if (given.json) {
    printJson({ folder: given.out, format: to, samples, lost: problemsOf(lost) })
    return
  }
  console.log(`${given.out}: ${samples} of ${dataset.samples.length} samples as ${to}`)
  printProblems(lost, 5)
}

async function open(
  folder: string,
  { format, labels }: Folder,
  signal: AbortSignal,
): Promise<Dataset> {
  const { openDataset } = await import('@edgeloop/model-compiler/datasets')
  return await openDataset(folder, {
    signal,
    ...(format && { format }),
    ...(labels !== undefined && { labels: labels.split(',').map((label) => label.trim()) }),
  })
}

async function copiesIn(
  dataset: Dataset,
  signal: AbortSignal,
): Promise<readonly (readonly string[])[]> {
  const { nearCopies } = await import('@edgeloop/model-compiler/datasets')
  const { groups, complete } = await nearCopies(dataset, { signal })
  if (!complete) {
    process.stderr.write('warning: raw or very many pictures are not compared for near copies\n')
  }
  return groups
}

type Parts = {
  readonly train: number
  readonly validation: number
  readonly test: number
  readonly leftOut: number
  /** Labels that are learned and never tested, or the other way round. */
  readonly lonely: readonly string[]
}

function partsOf({ samples }: Dataset, split: Split): Parts {
  const count = { train: 0, validation: 0, test: 0 }
  const learned = new Set<string>()
  const tested = new Set<string>()
  for (const { digest, annotations } of samples) {
    const part = split.get(digest)
    if (part === undefined) continue
    count[part]++
    const labels = annotations.flatMap((one) => ('label' in one ? [one.label] : []))
    for (const label of labels) (part === 'test' ? tested : learned).add(label)
  }
  const lonely = [...learned.symmetricDifference(tested)].sort()
  return { ...count, leftOut: samples.length - split.size, lonely: count.test > 0 ? lonely : [] }
}

/** @returns the files */
async function write(splits: readonly Split[], out: string): Promise<string[]> {
  const ending = extname(out)
  const stem = out.slice(0, out.length - ending.length)
  const files = splits.length === 1 ? [out] : splits.map((_, at) => `${stem}-${at + 1}${ending}`)
  for (const [at, split] of splits.entries()) {
    try {
      await writeFile(files[at]!, `${JSON.stringify(Object.fromEntries(split), null, 1)}\n`)
    } catch (cause) {
      throw new Failure(`Cannot write "${files[at]}": ${(cause as Error).message}`, undefined, {
        cause,
      })
    }
  }
  return files
}

const figuresOf = ({ problems, ...figures }: Inspection) => ({ ...figures, faults: problems.total })
const problemsOf = (problems: Problems) => ({
  counts: Object.fromEntries(problems.counts),
  first: problems.kept,
})

function printFigures(found: Inspection): void {
  const kinds = Object.entries(found.annotations).map(([kind, count]) => `${count} ${kind}`)
  console.log(
    `${plain(found.name)}: ${found.samples} samples (${found.empty} with nothing in them), ${kinds.join(', ') || 'no annotations'}`,
  )
  console.log(`digest ${found.digest}`)
  const sizes = found.sizes
    .slice(0, 3)
    .map(({ width, height, samples }) => `${width}×${height} (${samples})`)
  console.log(`sizes ${sizes.join(', ')}${found.sizes.length > 3 ? ', …' : ''}`)
  if (found.labels.length > 0) {
    console.log(
      formatTable(found.labels.slice(0, 100), [
        { title: 'LABEL', of: ({ label }) => label },
        { title: 'ANNOTATIONS', of: ({ annotations }) => annotations, right: true },
        { title: 'SAMPLES', of: ({ samples }) => samples, right: true },
        {
          title: 'MEDIAN AREA',
          of: ({ areaMedian }) =>
            areaMedian === undefined ? '–' : `${(100 * areaMedian).toFixed(1)} %`,
          right: true,
        },
      ]),
    )
  }
  if (found.streams.length > 0) {
    const day = (at: number | undefined) =>
      at === undefined ? '–' : new Date(at).toISOString().slice(0, 16)
    console.log(
      formatTable(found.streams.slice(0, 100), [
        { title: 'SITE', of: ({ site }) => site ?? '–' },
        { title: 'STREAM', of: ({ stream }) => stream ?? '–' },
        { title: 'SAMPLES', of: ({ samples }) => samples, right: true },
        { title: 'FROM', of: ({ from }) => day(from) },
        { title: 'TO', of: ({ to }) => day(to) },
      ]),
    )
  }
}

function printProblems(problems: Problems, ofEach: number): void {
  for (const [kind, count] of problems.counts) {
    console.log(`\n${count} × ${kind}`)
    const kept = problems.kept.filter((problem) => problem.kind === kind).slice(0, ofEach)
    for (const { file, line, text } of kept) {
      console.log(`  ${plain(file)}${line === undefined ? '' : `:${line}`}: ${plain(text)}`)
    }
    if (count > kept.length) console.log(`  … and ${count - kept.length} more`)
  }
}
