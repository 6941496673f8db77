/**
 * One net in training, in a process of its own: takes an order, then trains for as long as it is told and answers how long
 * each step took. Its memory is that of nothing else.
 */
import type { Value } from '../../model-compiler/src/runtime/session.ts'
import { recipeDefault, recipeOf } from '../../model-compiler/src/train/run/recipe.ts'
import { StepRunner } from '../../model-compiler/src/train/run/step-runner.ts'
import { inTraining, type NetOrder } from './train-nets.ts'

export type StepTimes = {
  /** Whole steps, and the part of each that the runtime had. */
  readonly stepMs: readonly number[]
  readonly runMs: readonly number[]
  /** Of all threads, for each step; while they wait for each other they count as busy. */
  readonly cpuMs: number
  readonly loss: number
  readonly peakBytes: number
}
export type StepOrder = NetOrder & {
  readonly threads: number
  readonly level: 'basic' | 'extended' | 'all'
  readonly profileTo?: string
}

process.once('message', async (order: StepOrder) => {
  const train = await open(order)
  process.send!('ready')
  process.on('message', async (seconds: number) => process.send!(await train(seconds)))
})
process.once('disconnect', () => process.exit(0))

/** Adam at one rate and nothing else, as PyTorch's side has it. */
const recipe = (threads: number) =>
  recipeOf(recipeDefault, {
    threads,
    ema: 0,
    optimizer: { name: 'adam', learningRate: 1e-3, weightDecay: 0, clipNorm: 0 },
    schedule: { name: 'constant', warmupSteps: 0 },
  })

async function open({ threads, level, profileTo, ...net }: StepOrder) {
  const step = inTraining(net)
  const runner = await StepRunner.open(step, recipe(threads), {
    level,
    ...(profileTo !== undefined && { profileTo }),
  })
  const feeds: Record<string, Value> = {}
  for (const { name, shape } of step.dataInputs) {
    const dims = shape as readonly number[]
    const length = dims.reduce((product, one) => product * one, 1)
    feeds[name] = { type: 'float32', dims, data: fill[name]!(length, dims) }
  }
  const once = async () => {
    const begin = performance.now()
    const { loss, runMs } = await runner.run(feeds, false)
    runner.move(0, 1)
    return { loss, runMs, stepMs: performance.now() - begin }
  }
  return async (seconds: number): Promise<StepTimes> => {
    const end = performance.now() + seconds * 1000
    const busy = process.cpuUsage()
    const done: Awaited<ReturnType<typeof once>>[] = []
    while (done.length < 3 || performance.now() < end) done.push(await once())
    const { user, system } = process.cpuUsage(busy)
    // The profile is written when the session ends.
    if (profileTo !== undefined) await runner[Symbol.asyncDispose]()
    return {
      stepMs: done.map(({ stepMs }) => stepMs),
      runMs: done.map(({ runMs }) => runMs),
      cpuMs: (user + system) / 1000 / done.length,
      loss: done.at(-1)!.loss,
      peakBytes: process.resourceUsage().maxRSS * 1024,
    }
  }
}

/** Pictures with something in them, and one label each. */
const fill: Readonly<Record<string, (length: number, dims: readonly number[]) => Float32Array>> = {
  input: (length) => Float32Array.from({ length }, (_, at) => Math.abs(Math.sin(at * 12.9898))),
  target: (length, [, classes]) => {
    const target = new Float32Array(length)
    for (let at = 0; at * classes! < length; at++) target[at * classes! + (at % classes!)] = 1
    return target
  },
}
