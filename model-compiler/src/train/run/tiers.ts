/**
 * The cheapest training that is good enough: first the last layer, then the last four, then everything, until the
 * validation samples are read as well as the recipe's gate asks for. Each is a run of its own in a folder below; the
 * one that was good enough, or the best of all, becomes the result.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { EvaluationReport } from '../../evaluate/evaluation-report.ts'
import { type FigureName, figures as figureFacts, isBetter } from '../../evaluate/figures.ts'
import type { Facts } from './checkpoint-folder.ts'
import type { RunFolder } from './run-folder.ts'
import type { TrainOptions } from './train.ts'
import { TrainError } from './train-error.ts'
import type { TrainResult } from './train-result.ts'

const tiers = ['head', 'blocks:4', 'all'] as const
const copied = ['model.onnx', 'report.json', 'report.html', 'card.md', 'curves.jsonl'] as const

/** The figure that decides, by task: as evaluation says it. */
const deciding: Readonly<Record<EvaluationReport['task'], FigureName>> = {
  classification: 'accuracy',
  detection: 'ap50',
  segmentation: 'miou',
  regression: 'rmse',
}

type Ended = Extract<TrainResult, { kind: 'ended' }>

/**
 * @param folder of the whole
 * @param trainOne one run
 * @throws {TrainError} when there is nothing to choose by
 */
export async function trainTiers<F extends Facts>(
  options: TrainOptions,
  folder: RunFolder<F>,
  trainOne: (options: TrainOptions) => Promise<TrainResult>,
): Promise<TrainResult> {
  const { task, recipe, progress } = options
  const { gate } = recipe
  if (gate === null) {
    throw new TrainError(
      'Cannot choose how much is trained: trainable is auto, and no gate says what is good enough',
      'for example --set gate=0.95, or --set trainable=all',
    )
  }
  const figure = deciding[task.name]
  let best: { readonly result: Ended; readonly place: string; readonly value: number } | undefined
  for (const [at, trainable] of tiers.entries()) {
    const place = join(options.folder, 'tiers', trainable.replace(':', '-'))
    const result = await trainOne({
      ...options,
      folder: place,
      recipe: { ...recipe, trainable, gate: null },
    })
    if (result.kind === 'paused') return result
    const value = result.validation?.[figure]
    if (value === undefined) {
      throw new TrainError(
        `Cannot choose how much is trained: no validation samples say how good ${trainable} is`,
        'set some aside: --validation 0.1',
      )
    }
    if (best === undefined || isBetter(figure, value, best.value)) best = { result, place, value }
    const isGood = value === gate || isBetter(figure, value, gate)
    const { title, decimals } = figureFacts[figure]
    const said = `${trainable}: ${title} ${value.toFixed(decimals)}, the gate is ${gate}`
    const next = tiers[at + 1]
    const then = isGood ? 'good enough' : next ? `${next} is next` : 'the best of all is kept'
    progress?.({ kind: 'warning', text: `${said}; ${then}` })
    if (isGood) break
  }
  const { result, place } = best!
  for (const name of copied) await folder.write(name, await readFile(join(place, name)))
  const whole: Ended = { ...result, modelFile: join(folder.path, 'model.onnx') }
  await folder.write('result.json', `${JSON.stringify(whole, null, 2)}\n`)
  return whole
}
