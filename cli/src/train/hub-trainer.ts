/** The trainer as a hub has it: the same work as `train` and `model evaluate`, each in a child with limits. */
import { readFile, writeFile } from 'node:fs/promises'
import { basename, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { CompareOrder, DescribedModel, Judged, Trainer } from '@edgeloop/cloud-hub'
import { type EvaluationReport, figures } from '@edgeloop/model-compiler'
import { type ChildLimits, childLimitsDefault, runInChild } from '@edgeloop/model-compiler/compile'
import {
  builders,
  compresses,
  type Trainer as ExternalTrainer,
  recipeDefault,
  recipeOf,
  type TrainOrder,
  type TrainProgress,
  type TrainResult,
  trialPlanner,
  wantedNet,
} from '@edgeloop/model-compiler/train'
import { parse } from 'yaml'
import { Failure } from '../failure.ts'
import type { Evaluated, EvaluateOrder, EvaluateProgress } from '../model/evaluate-order.ts'
import { version } from '../version.ts'
import { trainingAt } from './tell-training.ts'

const trainProcess = fileURLToPath(new URL('./train-process.ts', import.meta.url))
const evaluateProcess = fileURLToPath(new URL('../model/evaluate-process.ts', import.meta.url))

/** Evaluating many samples of a slow model is silent for long. */
const silenceMs = 15 * 60_000
const compareMs = 3_600_000
/** Draws the samples of intervals. */
const seed = 1
/** What the process that trains writes beside the model, and reads beside its parent. */
const descriptionName = 'model.model.json'

/**
 * @param options.memoryBytesMax of one run, instead of three quarters of the machine's or 4 GiB
 * @param options.external who takes the steps of runs that ask for it
 */
export function openHubTrainer(
  options: { readonly memoryBytesMax?: number; readonly external?: ExternalTrainer } = {},
): Trainer {
  const { memoryBytesMax = childLimitsDefault.memoryBytesMax, external: others } = options
  return {
    builders: Object.keys(builders),
    recipe: { ...recipeDefault },
    codeVersion: version,
    trials: trialPlanner,
    external: others?.kind ?? '',

    check: ({ parent, recipe, teacher = false, external = false, replay = false }) => {
      const { compress } = recipeOf(recipeDefault, recipe)
      if (teacher && compress.distill === 0) {
        throw new Failure(
          'Cannot learn from a teacher: compress.distill is 0',
          'say how much of the loss is the teacher’s: compress.distill=0.5',
        )
      }
      if (external) refuseExternal(others, { compress: compresses(compress), replay })
      if (parent.startsWith('new:')) wantedNet(parent)
    },

    train: async (order, { external, told, pause, signal }) => {
      const trainer = external ? trainerFor(others, basename(order.folder)) : undefined
      return await runInChild<TrainOrder, TrainProgress, TrainResult>({
        program: trainProcess,
        what: 'train',
        doing: trainingAt,
        order: { ...order, ...(trainer && { trainer }) },
        onProgress: told,
        pause,
        signal,
        limits: {
          memoryBytesMax,
          timeoutMs: Number.POSITIVE_INFINITY,
          // A trainer of others has limits of its own, and need not say anything.
          silenceMs: trainer ? Number.POSITIVE_INFINITY : silenceMs,
        },
      }).catch(withoutFolder(order.folder))
    },

    describe: async (model) => {
      const file = model.file.replace(/\.onnx$/i, '.model.json')
      await writeFile(file, JSON.stringify(described(model)))
    },

    described: async (folder) => {
      const text = await readFile(join(folder, descriptionName), 'utf8').catch(() => undefined)
      if (text === undefined) return undefined
      const {
        layout = '',
        labels: _,
        ...rest
      } = JSON.parse(text) as {
        layout?: string
        labels?: unknown
      }
      return { layout, description: `${JSON.stringify(rest, null, 2)}\n` }
    },

    compare: async (order, signal) => {
      const { report } = await evaluate(order, order.trained, 'trained', signal)
      const { metric } = report
      const rivals: (Judged | { problem: string })[] = []
      for (const [at, rival] of order.rivals.entries()) {
        try {
          const rated = await evaluate(order, rival, `rival-${at}`, signal)
          rivals.push(judgedBy(rated.report, metric))
        } catch (error) {
          signal.throwIfAborted()
          rivals.push({ problem: (error as Error).message })
        }
      }
      const { better } = figures[metric]
      return { metric, better, trained: judgedBy(report, metric), rivals }
    },
  }

  async function evaluate(
    given: CompareOrder,
    model: DescribedModel,
    which: string,
    signal: AbortSignal,
  ): Promise<Evaluated> {
    const { data, folder } = given
    const limits: ChildLimits = { memoryBytesMax, silenceMs, timeoutMs: compareMs }
    const description = join(folder, `${which}.model.json`)
    await writeFile(description, JSON.stringify(described(model)))
    const order: EvaluateOrder = {
      file: model.file,
      description,
      folder,
      seed,
      worst: 0,
      ...(model.layout === '' ? {} : { layout: model.layout }),
      data: { folder: data.folder, format: 'frozen' },
      part: { kind: 'file', file: data.splitFile, part: 'test' },
    }
    return await runInChild<EvaluateOrder, EvaluateProgress, Evaluated>({
      program: evaluateProcess,
      order,
      what: `evaluate "${model.name}"`,
      limits,
      signal,
      doing: (last) =>
        last ? `evaluating sample ${last.done} of ${last.total}` : 'reading the dataset',
    }).catch(withoutFolder(folder))
  }
}

const configuring =
  'whoever runs the hub starts it with --external-trainer "external:COMMAND" or "kubernetes:IMAGE?claim=NAME"'

/** @throws {Failure} where there is none, or it cannot do what is asked besides */
function refuseExternal(
  others: ExternalTrainer | undefined,
  asked: { readonly compress: boolean; readonly replay: boolean },
): void {
  if (!others) {
    throw new Failure(
      'Cannot train by an external trainer: this hub was started without one',
      configuring,
    )
  }
  if (asked.compress) {
    throw new Failure(
      'Cannot compress with a trainer of others: only our own steps can round, prune and follow a teacher',
      'train without recipe.compress, and fine-tune the result with it',
    )
  }
  if (asked.replay) {
    throw new Failure('Cannot replay an older version with a trainer of others', 'leave it out')
  }
}

/** Each run has a folder of its own on the claim. */
function trainerFor(others: ExternalTrainer | undefined, run: string): ExternalTrainer {
  // The hub may have been started anew without it.
  if (!others) throw new Failure('Cannot go on by an external trainer: there is none', configuring)
  return others.kind === 'command' ? others : { ...others, path: posix.join(others.path, run) }
}

/** @throws {Error} where there is no such figure */
function judgedBy(report: EvaluationReport, metric: EvaluationReport['metric']): Judged {
  const { figures: found, intervals, groups } = report
  const value = found[metric]
  if (value === undefined || report.metric !== metric) throw new Error(`It has no ${metric}`)
  const interval = intervals[metric]
  return {
    figures: { ...found },
    value,
    ...(interval && { interval: [...interval] as [number, number] }),
    groups: groups.map(({ interval: span, ...group }) => ({
      ...group,
      ...(span && { interval: [...span] as [number, number] }),
    })),
  }
}

/** What a box would be told of the model: its description, with layout and labels where it lacks them. */
export function described({ layout, labels, description }: DescribedModel): object {
  const said: unknown = description === '' ? {} : parse(description)
  return {
    ...(layout === '' ? {} : { layout }),
    ...(labels.length === 0 ? {} : { labels: [...labels] }),
    ...(typeof said === 'object' ? said : {}),
  }
}

/** People know the run by its name, and need no paths of the hub. */
const withoutFolder =
  (folder: string) =>
  (error: unknown): never => {
    if (error instanceof Error) error.message = error.message.replaceAll(`${folder}/`, '')
    throw error
  }
