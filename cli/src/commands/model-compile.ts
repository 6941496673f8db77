/** `edgeloop model compile`: a float model in, the fastest one that is still right out. */
import { fileURLToPath } from 'node:url'
import { precisions } from '@edgeloop/protocol'
import { Command, Option } from 'commander'
import { Failure, UsageFailure } from '../failure.ts'
import type { Compiled, CompileOrder, OrderProgress } from '../model/compile-order.ts'
import { doing, type ProgressForm, progressTeller } from '../model/tell-progress.ts'
import { gather, integer, jsonOption, number } from '../options.ts'
import { bytes, formatTable, printJson } from '../output.ts'
import { stopSignal } from '../stopping.ts'

/** The program that compiles and compares, in a process of its own. */
export const compileProcess = fileURLToPath(new URL('../model/compile-process.ts', import.meta.url))

type Options = {
  layout?: string
  labels?: string
  description?: string
  calibrate: string
  evaluate?: string
  target?: string
  precision: CompileOrder['precision']
  maxDrop: number
  keep?: string[]
  seed: number
  out: string
  timeLimit: number
  memoryLimit?: number
  measureSeconds: number
  trace?: boolean
  against?: string
  deltaAware?: boolean
  successors?: boolean
  progress: ProgressForm
  json?: boolean
}

export const progressOption = (): Option =>
  new Option('--progress <form>', 'on standard error: for people, as JSON lines, or none')
    .choices(['auto', 'json', 'none'])
    .default('auto')

export function compileCommand(): Command {
  return new Command('compile')
    .description('make the fastest model that is still right, by measuring')
    .argument('<file>', 'ONNX model in float')
    .option('--layout <name>', 'input and output conventions, as for detect')
    .option('--labels <file>', 'file with one label per line, or coco')
    .option('--description <file>', 'model description; NAME.model.yaml beside the model is found')
    .requiredOption('--calibrate <dir>', 'images of what the camera will see, 8 or more')
    .option(
      '--evaluate <dir>',
      'other images, best with labels (YOLO, VOC, a folder per class, masks); without it half of those that calibrate',
    )
    .option('--target <name>', 'what it will run on (default: this machine)')
    .addOption(
      new Option('--precision <name>', 'auto measures all but the last two')
        .choices(precisions)
        .default('auto'),
    )
    .option('--max-drop <n>', 'largest loss of the metric that is accepted', number(0, 1), 0.01)
    .option('--keep <name>', 'keep this candidate as well; may be repeated, or all', gather)
    .option('--seed <n>', 'orders the images that are split', integer(0, 2 ** 31), 1)
    .requiredOption('--out <dir>', 'folder of the result; that of an earlier run is replaced')
    .option('--time-limit <s>', 'seconds after which it is ended', number(1, 86_400), 1800)
    .option('--memory-limit <mib>', 'MiB of memory after which it is ended', number(64, 1e6))
    .option(
      '--measure-seconds <s>',
      'time for one measurement of a candidate against the original; the search takes 22 of them',
      number(0.05, 600),
      3,
    )
    .option(
      '--against <file>',
      'int8 model that boxes run now: its scales are kept where they fit, so that the delta is small',
    )
    .option(
      '--delta-aware',
      'with --against: codes change only where the metric notices, for a smaller delta',
    )
    .option(
      '--successors',
      'versions will follow: int8 takes scales that they can keep, where those are right enough',
    )
    .option('--trace', 'write trace.txt too: the graph after each pass that has changed something')
    .addOption(progressOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop model compile yolox_nano_416.onnx --layout yolox --labels coco --calibrate photos/ --out compiled/
  $ ./edgeloop model compile nanodet_m_320.onnx --layout nanodet --labels coco --calibrate photos/ \\
      --evaluate labelled/ --max-drop 0.005 --out compiled/ --json
  $ ./edgeloop model compile mnist.onnx --layout classifier --labels digits.txt --calibrate digits/ --precision int8 --out compiled/
  $ ./edgeloop model compile gate-4.onnx --layout classifier --calibrate photos/ --precision int8 --against gate-3/model.onnx --out gate-4/

Writes model.onnx with its description, manifest.json, report.json and report.html: all of them or nothing.`,
    )
    .action(compile)
}

async function compile(file: string, given: Options): Promise<void> {
  const compiler = await import('@edgeloop/model-compiler/compile')
  const signal = stopSignal()
  const keep = keptNames(given.keep ?? [], compiler.candidateNames)
  await using output = await compiler.openOutputFolder(given.out)
  const {
    layout,
    labels,
    description,
    calibrate,
    evaluate,
    precision,
    maxDrop,
    seed,
    measureSeconds,
    against,
    deltaAware,
  } = given
  if (deltaAware && against === undefined) {
    throw new UsageFailure('Cannot use --delta-aware alone', 'name what boxes run now: --against')
  }
  const order: CompileOrder = {
    kind: 'compile',
    file,
    calibrate,
    precision,
    maxDrop,
    keep,
    seed,
    measureSeconds,
    folder: output.draft,
    ...(layout !== undefined && { layout }),
    ...(labels !== undefined && { labels }),
    ...(description !== undefined && { description }),
    ...(evaluate !== undefined && { evaluate }),
    ...(given.trace && { trace: true }),
    ...(given.successors && { successors: true }),
    ...(against !== undefined && { against, deltaAware: deltaAware ?? false }),
    target: given.target ?? compiler.ownTarget(),
  }
  const teller = progressTeller(given.progress)
  let compiled: Compiled
  try {
    compiled = await compiler.runInChild<CompileOrder, OrderProgress, Compiled>({
      program: compileProcess,
      order,
      what: `compile "${file}"`,
      doing,
      signal,
      onProgress: teller.tell,
      limits: limitsOf(given),
    })
  } catch (error) {
    throw signal.aborted ? new Failure(`Cannot compile "${file}": it was stopped`) : error
  } finally {
    teller.end()
  }
  await output.commit()
  if (given.json) printJson(compiler.resultOf(compiled.report))
  else describe(compiled, given.out)
}

export const limitsOf = ({
  timeLimit,
  memoryLimit,
}: {
  readonly timeLimit: number
  readonly memoryLimit?: number
}) => ({
  timeoutMs: timeLimit * 1000,
  ...(memoryLimit !== undefined && { memoryBytesMax: memoryLimit * 1024 ** 2 }),
})

function keptNames(
  wanted: readonly string[],
  names: readonly CompileOrder['keep'][number][],
): CompileOrder['keep'] {
  if (wanted.includes('all')) return names
  return wanted.map((name) => {
    const known = names.find((one) => one === name)
    if (known) return known
    throw new UsageFailure(
      `Cannot keep candidate "${name}": there is none of that name`,
      `candidates are ${names.join(', ')}, or all`,
    )
  })
}

function describe({ report, calibrationImages, evaluationImages, leftOut }: Compiled, out: string) {
  const { metric } = report
  const figure = (value: number | null | undefined, digits: number): string =>
    value === null || value === undefined ? '' : value.toFixed(digits)
  const table = formatTable(report.candidates, [
    { title: 'CANDIDATE', of: ({ name }) => name },
    {
      title: 'SIZE',
      of: ({ sizeBytes }) => (sizeBytes === null ? '' : bytes(sizeBytes)),
      right: true,
    },
    {
      title: 'SPEED',
      of: ({ latencyRatio: ratio }) => (ratio === null ? '' : `${ratio.toFixed(2)}×`),
      right: true,
    },
    { title: metric.toUpperCase(), of: ({ metrics }) => figure(metrics[metric], 3), right: true },
    { title: '', of: ({ verdict, why }) => (verdict === 'chosen' ? `chosen: ${why}` : why) },
  ])
  const without = leftOut > 0 ? ` (${leftOut} that calibrate were left out)` : ''
  console.log(table)
  console.log(
    `\n${report.chosen} of "${report.source.name}" for ${report.target} is in ${out}/: ${calibrationImages} images calibrated, ${evaluationImages} evaluated${without}.`,
  )
  if (report.scales) {
    const { epoch, kept, why } = report.scales
    console.log(`${kept ? 'Scales kept' : 'New scales'} (epoch ${epoch}): ${why}.`)
  }
  if (report.unfused.length > 0) {
    console.log(
      `${report.unfused.length} operators stayed float that were meant to compute with codes; report.html names them.`,
    )
  }
}
