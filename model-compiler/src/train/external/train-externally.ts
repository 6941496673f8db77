/** Training by a program of others: the order goes out, a model comes back, and only one that fits the order is taken. */
import type { TrainProgress } from '../run/progress.ts'
import { type Accepted, acceptModel } from './accept-model.ts'
import type { MetricLine } from './contract.ts'
import { type OrderParts, prepareOrder } from './prepare-order.ts'
import { type ProcessOptions, runProcess } from './run-process.ts'

export type ExternalOptions = OrderParts &
  Pick<ProcessOptions, 'command' | 'pause' | 'signal' | 'graceMs' | 'lookEveryMs'> & {
    /** Where order, data set and results lie; a paused trainer goes on in the same. */
    readonly folder: string
    readonly progress?: (progress: TrainProgress) => void
  }

/** @throws {TrainError} as `prepareOrder`, `runProcess` and `acceptModel` do */
export async function trainExternally(options: ExternalOptions): Promise<Accepted | 'paused'> {
  const { folder, progress, split, recipe, pause, signal } = options
  const order = await prepareOrder(options, folder, signal)
  const parts = [...split.values()]
  const count = (name: string) => parts.filter((part) => part === name).length
  const samples = { train: count('train'), validation: count('validation'), test: count('test') }
  progress?.({
    kind: 'started',
    steps: 0,
    step: 0,
    batch: recipe.batch,
    samples,
    stepsPerEpoch: Math.ceil(samples.train / recipe.batch),
    // What the trainer makes of the model is its own affair.
    parameters: 0,
    trainable: 0,
    memoryBytes: 0,
  })
  let last = 0
  const ended = await runProcess({
    folder,
    command: options.command,
    limits: order.limits,
    ...(pause && { pause }),
    ...(signal && { signal }),
    ...(options.graceMs !== undefined && { graceMs: options.graceMs }),
    ...(options.lookEveryMs !== undefined && { lookEveryMs: options.lookEveryMs }),
    onMetrics: (line) => {
      last = line.step
      for (const word of wordsOf(line)) progress?.(word)
    },
    onWarning: (text) => progress?.({ kind: 'warning', text }),
  })
  if (ended === 'paused') {
    progress?.({ kind: 'paused', step: last })
    return 'paused'
  }
  return await acceptModel(folder, order, signal)
}

/** A line of metrics in our own words. */
function wordsOf(line: MetricLine): TrainProgress[] {
  const { step, steps = step, loss, figures } = line
  return [
    ...(loss === undefined
      ? []
      : [
          {
            kind: 'step' as const,
            step,
            steps,
            epoch: line.epoch ?? 0,
            loss,
            terms: {},
            learningRate: line.learningRate ?? 0,
            imagesPerSecond: line.imagesPerSecond ?? 0,
            dataWaitShare: 0,
            outsideShare: 0,
            etaMs: null,
          },
        ]),
    ...(figures
      ? [{ kind: 'evaluation' as const, step, on: 'validation' as const, figures, best: false }]
      : []),
  ]
}
