/** `edgeloop model compare`: two models on the same images, side by side. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import type { Compared, CompareOrder, OrderProgress } from '../model/compile-order.ts'
import { doing, type ProgressForm, progressTeller } from '../model/tell-progress.ts'
import { integer, jsonOption, number } from '../options.ts'
import { bytes, formatTable, printJson } from '../output.ts'
import { stopSignal } from '../stopping.ts'
import { compileProcess, limitsOf, progressOption } from './model-compile.ts'

type Options = {
  layout?: string
  labels?: string
  description?: string
  images: string
  seed: number
  timeLimit: number
  memoryLimit?: number
  progress: ProgressForm
  json?: boolean
}

export function compareCommand(): Command {
  return new Command('compare')
    .description('two models on the same images: speed, size, and how far they say the same')
    .argument('<a>', 'ONNX model')
    .argument('<b>', 'ONNX model that is compared with it')
    .option('--layout <name>', 'input and output conventions, as for detect')
    .option('--labels <file>', 'file with one label per line, or coco')
    .option('--description <file>', 'model description; NAME.model.yaml beside each model is found')
    .requiredOption('--images <dir>', 'images, best with labels')
    .option('--seed <n>', 'orders the images', integer(0, 2 ** 31), 1)
    .option('--time-limit <s>', 'seconds after which it is ended', number(1, 86_400), 1800)
    .option('--memory-limit <mib>', 'MiB of memory after which it is ended', number(64, 1e6))
    .addOption(progressOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop model compare nanodet_m_320.onnx compiled/model.onnx --layout nanodet --labels coco --images photos/
  $ ./edgeloop model compare old.onnx new.onnx --layout classifier --labels digits.txt --images digits/ --json`,
    )
    .action(compare)
}

async function compare(a: string, b: string, given: Options): Promise<void> {
  const { runInChild } = await import('@edgeloop/model-compiler/compile')
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-compare-'))
  const teller = progressTeller(given.progress)
  try {
    const { layout, labels, description, images, seed } = given
    const compared = await runInChild<CompareOrder, OrderProgress, Compared>({
      program: compileProcess,
      order: {
        kind: 'compare',
        files: [a, b],
        images,
        seed,
        folder,
        ...(layout !== undefined && { layout }),
        ...(labels !== undefined && { labels }),
        ...(description !== undefined && { description }),
      },
      what: `compare "${a}" with "${b}"`,
      doing,
      onProgress: teller.tell,
      limits: limitsOf(given),
      signal: stopSignal(),
    }).finally(teller.end)
    if (given.json) printJson(compared)
    else describe(compared)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function describe({ models, latencyRatio, outputs, images }: Compared): void {
  const metric = models[0]?.evaluation.metric ?? ''
  console.log(
    formatTable(models, [
      { title: 'MODEL', of: ({ file }) => file },
      { title: 'SIZE', of: ({ sizeBytes }) => bytes(sizeBytes), right: true },
      { title: 'LATENCY', of: ({ latencyMs }) => `${latencyMs.toFixed(2)} ms`, right: true },
      {
        title: metric.toUpperCase(),
        of: ({ evaluation }) => evaluation.value.toFixed(3),
        right: true,
      },
    ]),
  )
  const near = outputs.map(
    ({ name, cosine }) => `${name} ${cosine === null ? 'is not there' : cosine.toFixed(5)}`,
  )
  console.log(
    `\nThe second is ${latencyRatio.toFixed(2)} times as fast. Cosine of outputs over ${images} images: ${near.join(', ')}.`,
  )
}
