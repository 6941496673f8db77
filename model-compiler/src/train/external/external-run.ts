/**
 * A run whose steps a program of others takes. Around them everything is as in a run of our own: the same folder, the same
 * samples for the test, the same report, and figures that we have measured.
 */
import { join } from 'node:path'
import type { EvaluationReport } from '../../evaluate/evaluation-report.ts'
import { readModelFile } from '../../onnx/model-file.ts'
import { writeModel } from '../../onnx/write.ts'
import { cardOf } from '../card/card.ts'
import { cardText } from '../card/card-text.ts'
import { runPage } from '../card/run-page.ts'
import { partsOf, settled } from '../run/plan-run.ts'
import type { Figures, TrainProgress } from '../run/progress.ts'
import { digestOf, RunFolder } from '../run/run-folder.ts'
import type { TrainOptions } from '../run/train.ts'
import type { TrainResult } from '../run/train-result.ts'
import type { ExternalLimits } from './contract.ts'
import { type JobWish, manifestName, orderJob } from './order-a-job.ts'
import { trainExternally } from './train-externally.ts'

export type ExternalRunOptions = Omit<TrainOptions, 'replay'> & {
  readonly trainer: Trainer
  readonly limits?: Partial<ExternalLimits>
}

/** Who takes the steps: a program of this machine, or a container as a Kubernetes Job. */
export type Trainer =
  | { readonly kind: 'command'; readonly command: readonly string[] }
  | ({ readonly kind: 'job' } & JobWish)

/** Nothing of such a run but its folders is kept in checkpoints of ours. */
type NoFacts = Readonly<Record<string, never>>

/**
 * Trains by a program of others, or goes on where it was paused.
 * @throws {TrainError | OnnxError | DatasetError} as `trainExternally`, and when the folder holds another run
 */
export async function runExternally(options: ExternalRunOptions): Promise<TrainResult> {
  const { task, dataset, split, seed, trainer, limits, signal, pause } = options
  const parts = partsOf(dataset, split)
  const recipe = settled(options.recipe, parts.train.length)
  const identity = {
    data: dataset.digest,
    replay: null,
    model: digestOf(writeModel(task.model)),
    split: digestOf(
      [...split]
        .map((entry) => entry.join(' '))
        .sort()
        .join('\n'),
    ),
    recipe,
    seed,
    trainer,
  }
  await using folder = await RunFolder.open<NoFacts>(
    options.folder,
    identity,
    options.asked ?? null,
  )
  const before = await folder.result()
  if (before) return before
  const startedAt = performance.now()
  let last: Extract<TrainProgress, { kind: 'step' }> | undefined
  // Words come faster than they are written; each waits for the one before it.
  let written: Promise<unknown> = Promise.resolve()
  const tell = (word: TrainProgress): void => {
    if (word.kind === 'step') last = word
    if (word.kind === 'step' || word.kind === 'evaluation') {
      written = written.then(() => folder.addWords([word]))
      // Whoever waits for the last word hears of it.
      written.catch(() => {})
    }
    options.progress?.(word)
  }
  const given = { task, dataset, split, recipe, seed, ...(limits && { limits }) }
  const place = join(folder.path, 'external')
  const accepted =
    trainer.kind === 'job'
      ? await orderJob(given, trainer, place, signal)
      : await trainExternally({
          ...given,
          command: trainer.command,
          folder: place,
          progress: tell,
          ...(pause && { pause }),
          ...(signal && { signal }),
        })
  await written
  if (accepted === 'ordered' && trainer.kind === 'job') {
    tell({ kind: 'warning', text: orderedText(place, trainer) })
  }
  if (accepted === 'paused' || accepted === 'ordered') {
    return { kind: 'paused', step: last?.step ?? 0, steps: last?.steps ?? 0 }
  }
  await folder.write('model.onnx', accepted.bytes)
  const modelFile = join(folder.path, 'model.onnx')
  const model = await readModelFile(modelFile)
  const { trainer: name, steps, bestStep = steps, seconds } = accepted.result
  const evaluate = async (on: 'validation' | 'test'): Promise<EvaluationReport | undefined> => {
    if (parts[on].length === 0) return undefined
    const report = await task.evaluate(model, parts[on], {
      threads: recipe.threads,
      seed,
      ...(signal && { signal }),
    })
    tell({ kind: 'evaluation', step: bestStep, on, figures: { ...report.figures }, best: true })
    await written
    return report
  }
  const validation = await evaluate('validation')
  const test = await evaluate('test')
  const figures = (report: EvaluationReport): Figures => ({ ...report.figures })
  const result: TrainResult = {
    kind: 'ended',
    why: 'all steps done',
    modelFile,
    digest: accepted.digest,
    step: steps,
    steps,
    bestStep,
    ...(validation && { validation: figures(validation) }),
    ...(test && { test: figures(test) }),
    // As it says of itself; we have not watched its steps.
    imagesPerSecond: last?.imagesPerSecond ?? 0,
    dataWaitShare: 0,
    outsideShare: 0,
    recipe,
    seconds: (performance.now() - startedAt) / 1000,
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
  }
  const card = cardOf({
    name: options.name,
    digest: result.digest,
    createdAt: new Date().toISOString(),
    task: task.name,
    labels: task.labels,
    code: options.code,
    recipe,
    seed,
    data: {
      name: dataset.name,
      digest: dataset.digest,
      split: options.splitText,
      samples: {
        train: parts.train.length,
        validation: parts.validation.length,
        test: parts.test.length,
      },
    },
    ...(options.parent && { parent: options.parent }),
    training: { trainer: name, steps, bestStep, seconds },
    ...(test && { evaluation: test }),
  })
  const report = { schemaVersion: 1, card, validation, test }
  await folder.write('report.json', `${JSON.stringify(report, null, 2)}\n`)
  await folder.write('report.html', runPage(card, await folder.words()))
  await folder.write('card.md', cardText(card))
  await folder.write('result.json', `${JSON.stringify(result, null, 2)}\n`)
  return result
}

const orderedText = (place: string, { claim, path }: JobWish): string =>
  `the order is ready: copy "${place}" to "${path || '.'}" of claim ${claim}, kubectl apply -f ${join(place, manifestName)}, and when the Job has ended, copy its output/ back and give the same command again`
