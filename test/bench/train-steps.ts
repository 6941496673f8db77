/**
 * One net in training, in a process of its own: takes an order, then trains for as long as it is told and answers how long
 * each step took. Its memory is that of nothing else.
 */
import { writeModel } from '../../model-compiler/src/onnx/write.ts'
import { openSession, type Value } from '../../model-compiler/src/runtime/session.ts'
import { Optimizer } from '../../model-compiler/src/train/optimizers/optimizer.ts'
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

async function open({ threads, level, profileTo, ...net }: StepOrder) {
  const step = inTraining(net)
  const session = await openSession(writeModel(step.model), {
    ...{ threads, level },
    ...(profileTo !== undefined && { profileTo }),
    extra: { session: { intra_op: { allow_spinning: '1' }, force_spinning_stop: '1' } },
  })
  const { parameters } = step.initial
  const optimizer = new Optimizer({
    elements: parameters.length,
    settings: {
      ...{ name: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
      ...{ momentum: 0.9, nesterov: false },
    },
    stretches: [{ offset: 0, elements: parameters.length, rate: 1, weightDecay: 0 }],
    ...{ averaged: false, scaled: false, accumulates: false },
  })
  optimizer.parameters.set(parameters)
  const state = step.initial.state.slice()
  const feeds: Record<string, Value> = {}
  for (const { name, offset, elements, shape } of step.inputs) {
    const data = optimizer.parameters.subarray(offset, offset + elements)
    feeds[name] = { type: 'float32', dims: shape, data }
  }
  for (const { name, shape } of step.dataInputs) {
    const dims = shape as readonly number[]
    const length = dims.reduce((product, one) => product * one, 1)
    feeds[name] = { type: 'float32', dims, data: fill[name]!(length, dims) }
  }
  const once = async () => {
    const begin = performance.now()
    const results = await session.run(feeds)
    const ran = performance.now()
    for (const { name, offset } of step.gradients) {
      optimizer.take(results[name]!.data as Float32Array, offset, false)
    }
    for (const { output, offset, elements, momentum } of step.state) {
      const batch = results[output]!.data as Float32Array
      for (let at = offset; at < offset + elements; at++) {
        state[at] = momentum * state[at]! + (1 - momentum) * batch[at]!
      }
    }
    optimizer.step(1e-3, 1, 0)
    const loss = Number(results[step.outputs.loss]!.data[0])
    return { loss, runMs: ran - begin, stepMs: performance.now() - begin }
  }
  return async (seconds: number): Promise<StepTimes> => {
    const end = performance.now() + seconds * 1000
    const busy = process.cpuUsage()
    const done: Awaited<ReturnType<typeof once>>[] = []
    while (done.length < 3 || performance.now() < end) done.push(await once())
    if (profileTo !== undefined) session.endProfiling()
    const { user, system } = process.cpuUsage(busy)
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
