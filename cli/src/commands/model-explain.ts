/** `edgeloop model explain`: where in an image a classifier sees what it says. */
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { Failure } from '../failure.ts'
import type { Explained, ExplainOrder } from '../model/explain-order.ts'
import { jsonOption, number } from '../options.ts'
import { formatTable, plain, printJson } from '../output.ts'
import { stopSignal } from '../stopping.ts'
import { limitsOf } from './model-compile.ts'

const explainProcess = fileURLToPath(new URL('../model/explain-process.ts', import.meta.url))

type Options = {
  image: string
  out: string
  layout?: string
  labels?: string
  description?: string
  label?: string
  layer?: string
  timeLimit: number
  memoryLimit?: number
  json?: boolean
}

export function explainCommand(): Command {
  return new Command('explain')
    .description(
      'where in an image a classifier sees what it says: Grad-CAM and saliency as pictures',
    )
    .argument('<file>', 'ONNX model in float')
    .requiredOption('--image <file>', 'image to look at')
    .requiredOption('--out <dir>', 'folder for the pictures')
    .option('--label <name>', 'label to ask about (default: the one the model says)')
    .option('--layer <value>', 'value that Grad-CAM looks at (default: the last map over places)')
    .option('--layout <name>', 'input and output conventions (default: classifier)')
    .option('--labels <file>', 'file with one label per line, or coco')
    .option('--description <file>', 'model description; NAME.model.yaml beside the model is found')
    .option('--time-limit <s>', 'seconds after which it is ended', number(1, 86_400), 300)
    .option('--memory-limit <mib>', 'MiB of memory after which it is ended', number(64, 1e6))
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop model explain gate.onnx --labels gate.txt --image open.jpg --out why/
  $ ./edgeloop model explain gate.onnx --labels gate.txt --image open.jpg --label closed --out why/ --json

Writes IMAGE.grad-cam.png (what speaks for the label, coarse) and IMAGE.saliency.png (which pixels it depends on).`,
    )
    .action(explain)
}

async function explain(file: string, given: Options): Promise<void> {
  const { runInChild } = await import('@edgeloop/model-compiler/compile')
  const signal = stopSignal()
  const { image, out, layout, labels, description, label, layer } = given
  const explained = await runInChild<ExplainOrder, never, Explained>({
    program: explainProcess,
    order: {
      file,
      image,
      out: resolve(out),
      ...(layout !== undefined && { layout }),
      ...(labels !== undefined && { labels }),
      ...(description !== undefined && { description }),
      ...(label !== undefined && { label }),
      ...(layer !== undefined && { layer }),
    },
    what: `explain "${file}"`,
    doing: () => 'explaining',
    limits: limitsOf(given),
    signal,
  }).catch((error) => {
    throw signal.aborted ? new Failure(`Cannot explain "${file}": it was stopped`) : error
  })
  if (given.json) return printJson(explained)
  const { files, peak, scores, layer: at } = explained
  console.log(
    formatTable(scores, [
      { title: 'LABEL', of: ({ label: name }) => name },
      { title: 'SCORE', of: ({ score }) => score.toFixed(4), right: true },
    ]),
  )
  console.log(
    `\n"${plain(explained.label)}" is seen strongest at ${peak.map((share) => `${(share * 100).toFixed(0)} %`).join(' of the width and ')} of the height, by layer "${plain(at)}".`,
  )
  console.log(`${files.gradCam}\n${files.saliency}`)
}
