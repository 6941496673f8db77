/** `edgeloop model evaluate`: how good a model is on labelled samples, run as a box would run it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { EvaluationReport } from '@edgeloop/model-compiler'
import { Command } from 'commander'
import { versionFromHub } from '../dataset/version-from-hub.ts'
import { Failure, UsageFailure } from '../failure.ts'
import type { HubOptions } from '../hub-client.ts'
import type { Evaluated, EvaluateOrder, EvaluateProgress } from '../model/evaluate-order.ts'
import type { ProgressForm } from '../model/tell-progress.ts'
import { integer, number, withHub } from '../options.ts'
import { formatTable, plain, printJson } from '../output.ts'
import { stopSignal } from '../stopping.ts'
import { limitsOf, progressOption } from './model-compile.ts'

const evaluateProcess = fileURLToPath(new URL('../model/evaluate-process.ts', import.meta.url))

type Options = HubOptions & {
  datasetDir?: string
  dataset?: string
  format?: string
  layout?: string
  labels?: string
  description?: string
  holdout?: string
  split?: string
  part?: string
  seed: number
  rounds?: number
  worst: number
  out?: string
  timeLimit: number
  memoryLimit?: number
  progress: ProgressForm
  json?: boolean
}

export function evaluateCommand(): Command {
  return withHub(new Command('evaluate'))
    .description(
      'how good a model is on labelled samples, with intervals, groups and the worst samples',
    )
    .argument('<file>', 'ONNX model')
    .option('--dataset-dir <dir>', 'folder of images with their labels')
    .option(
      '--dataset <name[@version]>',
      'a frozen version of a dataset of the hub, its test part (default: the newest version)',
    )
    .option('--format <name>', 'how labels are written (default: the folder is looked at)')
    .option('--layout <name>', 'input and output conventions, as for detect')
    .option(
      '--labels <file>',
      "the model's labels: one per line, or coco (default: the data set's)",
    )
    .option('--description <file>', 'model description; NAME.model.yaml beside the model is found')
    .option(
      '--holdout <part>',
      'only what train holds out with the same words and seed: last:N or a share',
    )
    .option('--split <file>', 'only one part of a split that a file names (JSON: digest to part)')
    .option(
      '--part <name>',
      'which part of --split or --dataset: train, validation or test; all of a dataset (default: test)',
    )
    .option(
      '--seed <n>',
      'deals what is held out, and draws samples for the intervals',
      integer(0, 2 ** 31),
      42,
    )
    .option(
      '--rounds <n>',
      'how often samples are drawn for the intervals; 0 for none',
      integer(0, 100_000),
    )
    .option('--worst <n>', 'how many of the worst samples are named', integer(0, 1000), 20)
    .option('--out <file>', 'report as a page (.html) or as data with all curves (.json)')
    .option('--time-limit <s>', 'seconds after which it is ended', number(1, 86_400), 1800)
    .option('--memory-limit <mib>', 'MiB of memory after which it is ended', number(64, 1e6))
    .addOption(progressOption())
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop model evaluate yolox_nano_416.onnx --layout yolox --labels coco --dataset-dir photos/
  $ ./edgeloop model evaluate out/mnist/model.onnx --dataset-dir mnist/ --format idx --holdout last:10000 --out report.html
  $ ./edgeloop model evaluate gate.onnx --layout classifier --labels gate.txt --dataset-dir gate/ --json
  $ ./edgeloop model evaluate gate.onnx --layout classifier --dataset gate@3                          from the hub`,
    )
    .action(evaluate)
}

async function evaluate(file: string, given: Options): Promise<void> {
  const { runInChild } = await import('@edgeloop/model-compiler/compile')
  const write = writerOf(given.out)
  const signal = stopSignal()
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-evaluate-'))
  const teller = countTeller(given.progress)
  try {
    const data = await dataOf(given, folder, signal)
    const evaluated = await runInChild<EvaluateOrder, EvaluateProgress, Evaluated>({
      program: evaluateProcess,
      order: { ...orderOf(file, given, folder), ...data },
      what: `evaluate "${file}"`,
      doing: (last) =>
        last ? `evaluating sample ${last.done} of ${last.total}` : 'reading the data set',
      onProgress: teller.tell,
      limits: limitsOf(given),
      signal,
    }).finally(teller.end)
    await write?.(evaluated)
    for (const note of evaluated.notes) process.stderr.write(`note: ${plain(note)}\n`)
    if (given.json) printJson(summaryOf(evaluated))
    else describe(evaluated)
  } catch (error) {
    throw signal.aborted ? new Failure(`Cannot evaluate "${file}": it was stopped`) : error
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Where the samples are, and which of them; what is in a hub is fetched first. */
async function dataOf(
  given: Options,
  folder: string,
  signal: AbortSignal,
): Promise<Pick<EvaluateOrder, 'data' | 'part'>> {
  const { datasetDir, dataset, format, holdout, split, part = 'test', seed } = given
  if ((datasetDir === undefined) === (dataset === undefined)) {
    throw new UsageFailure(
      `Cannot evaluate on ${dataset === undefined ? 'nothing' : 'two data sets'}`,
      'give --dataset-dir DIR for a folder, or --dataset NAME for one of the hub',
    )
  }
  if (holdout !== undefined && split !== undefined) {
    throw new UsageFailure(
      'Cannot take both --holdout and --split: each says which samples',
      'leave one out',
    )
  }
  if (dataset !== undefined) {
    const { folder: laid, splitFile } = await versionFromHub(dataset, given, folder, signal)
    const held: EvaluateOrder['part'] =
      holdout !== undefined
        ? { kind: 'held-out', holdout, seed }
        : { kind: 'file', file: split ?? splitFile, part }
    const isAll = part === 'all' && holdout === undefined && split === undefined
    return { data: { folder: laid, format: 'frozen' }, ...(!isAll && { part: held }) }
  }
  return {
    data: {
      folder: datasetDir as string,
      ...(format !== undefined && {
        format: format as NonNullable<EvaluateOrder['data']['format']>,
      }),
    },
    ...(holdout !== undefined && { part: { kind: 'held-out', holdout, seed } }),
    ...(split !== undefined && { part: { kind: 'file', file: split, part } }),
  }
}

function orderOf(
  file: string,
  given: Options,
  folder: string,
): Omit<EvaluateOrder, 'data' | 'part'> {
  const { layout, labels, description, seed } = given
  return {
    file,
    folder,
    seed,
    worst: given.worst,
    ...(layout !== undefined && { layout }),
    ...(labels !== undefined && { labels }),
    ...(description !== undefined && { description }),
    ...(given.rounds !== undefined && { rounds: given.rounds }),
  }
}

/** Decides before the work whether the result can be written. */
function writerOf(out: string | undefined): ((evaluated: Evaluated) => Promise<void>) | undefined {
  if (out === undefined) return undefined
  const ending = extname(out).toLowerCase()
  if (ending === '.json') {
    return (evaluated) => writeFile(out, `${JSON.stringify(evaluated, null, 2)}\n`)
  }
  if (ending !== '.html') {
    throw new UsageFailure(
      `Cannot write "${out}": it ends in "${ending}"`,
      'give --out a name that ends in .html or .json',
    )
  }
  return async ({ model, data, report }) => {
    const { evaluationPage } = await import('@edgeloop/model-compiler')
    const about = `${report.task} on ${report.samples} samples of ${data.name} (${data.digest.slice(0, 12)}), model ${model.digest.slice(0, 12)}`
    await writeFile(out, evaluationPage(model.file, about, report))
  }
}

/** Without what only plots need. */
function summaryOf({ report, ...about }: Evaluated) {
  const { roc: _, precisionRecall: __, scatter: ___, confusion: ____, ...rest } = report
  return { ...about, ...rest }
}

function describe({ report, data }: Evaluated): void {
  console.log(`${report.task} on ${report.samples} samples of ${plain(data.name)}\n`)
  const figures = figureRows(report)
  console.log(
    formatTable(figures, [
      { title: 'FIGURE', of: ({ name }) => name },
      { title: 'VALUE', of: ({ value }) => value.toFixed(4), right: true },
      {
        title: '95 % WITHIN',
        of: ({ interval }) => interval?.map((bound) => bound.toFixed(4)).join('–') ?? '',
        right: true,
      },
    ]),
  )
  if (report.groups.length > 0) {
    console.log(
      `\n${formatTable(report.groups, [
        { title: 'GROUP', of: ({ by, name }) => `${by} ${name}` },
        { title: 'SAMPLES', of: ({ samples }) => samples, right: true },
        { title: report.metric.toUpperCase(), of: ({ value }) => value.toFixed(4), right: true },
      ])}`,
    )
  }
  if (report.worst.length > 0) {
    console.log(
      `\n${formatTable(report.worst, [
        { title: 'WORST SAMPLES', of: ({ name }) => name },
        { title: '', of: ({ says }) => says },
      ])}`,
    )
  }
}

function figureRows({ figures, intervals, metric }: EvaluationReport) {
  return (Object.entries(figures) as [EvaluationReport['metric'], number][])
    .map(([name, value]) => ({ name, value, interval: intervals[name] }))
    .sort((a, b) => Number(b.name === metric) - Number(a.name === metric))
}

/** Progress that is a count, told in the forms that `progressTeller` has. */
function countTeller(form: ProgressForm, out = process.stderr) {
  let open = false
  let told = -1
  return {
    tell(progress: EvaluateProgress): void {
      const percent = Math.floor((100 * progress.done) / progress.total)
      if (form === 'none' || percent === told) return
      told = percent
      if (form === 'json') out.write(`${JSON.stringify({ progress })}\n`)
      else if (out.isTTY) {
        out.write(
          `\r\u001b[K${String(percent).padStart(3)} %  ${progress.done}/${progress.total} samples`,
        )
        open = true
      }
    },
    end(): void {
      if (open) out.write('\r\u001b[K')
    },
  }
}
