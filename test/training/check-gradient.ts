/**
 * Holds the gradients of a training step against differences in doubles: the loss is a sum of all outputs with fixed random
 * weights, evaluated by the plain loops of `doubles.ts` a little to both sides of each parameter.
 */
import assert from 'node:assert/strict'
import type { ModelProto } from '../../model-compiler/src/onnx/schema.ts'
import { writeModel } from '../../model-compiler/src/onnx/write.ts'
import { sequence } from '../../model-compiler/src/passes/equivalence.ts'
import type { Value } from '../../model-compiler/src/runtime/session.ts'
import { openSession } from '../../model-compiler/src/runtime/session.ts'
import {
  type DifferentiateOptions,
  differentiate,
  type Step,
} from '../../model-compiler/src/train/differentiate/differentiate.ts'
import { prepare } from '../../model-compiler/src/train/differentiate/prepare.ts'
import { type Doubles, evaluate } from './doubles.ts'

export type CheckOptions = Partial<Omit<DifferentiateOptions, 'loss'>> & {
  /** Worst that a gradient may be off, relative to the largest of its tensor (default 1e-4). */
  readonly tolerance?: number
  /** Elements of each parameter that are tried; of larger ones as many, spread over them (default 12). */
  readonly tried?: number
  readonly seed?: number
  /** Numbers that an input holds in place of random ones between -1 and 1. */
  readonly inputs?: Readonly<Record<string, readonly number[]>>
  /** Evaluates in another way than `evaluate` (BatchNorm by the batch). */
  readonly evaluateWith?: typeof evaluate
}

/** What a step gave: the loss, gradients in the order of the flat vector, and everything else by its output. */
export type StepResult = {
  readonly loss: number
  readonly gradient: Float32Array
  readonly outputs: Readonly<Record<string, Value>>
}

/** Runs a step once. @param parameters default: the initial ones */
export async function runStep(
  step: Step,
  feeds: Readonly<Record<string, Value>>,
  parameters = step.initial.parameters,
): Promise<StepResult> {
  await using session = await openSession(writeModel(step.model))
  const given: Record<string, Value> = { ...feeds }
  for (const { name, offset, elements, shape } of step.inputs) {
    const data = parameters.subarray(offset, offset + elements)
    given[name] = { type: 'float32', dims: shape, data }
  }
  const outputs = await session.run(given)
  const gradient = new Float32Array(parameters.length)
  for (const { name, offset } of step.gradients) {
    gradient.set(outputs[name]!.data as Float32Array, offset)
  }
  return { loss: Number(outputs[step.outputs.loss]!.data[0]), gradient, outputs }
}

/**
 * Checks every parameter, and every input, of a model whose inputs and outputs are float32.
 * @returns the worst relative error, and the step
 */
export async function checkGradient(
  model: ModelProto,
  options: CheckOptions = {},
): Promise<{ worst: number; step: Step; result: StepResult }> {
  const { tolerance = 1e-4, tried = 12, seed = 1, evaluateWith = evaluate } = options
  const next = sequence(seed)
  const random = (count: number) => Float32Array.from({ length: count }, () => next() * 2 - 1)
  const asked: DifferentiateOptions = {
    batch: 2,
    trainable: () => true,
    batchNorm: 'frozen',
    inputGradient: true,
    ...options,
    loss: (tape, outputs) => {
      const sums = Object.entries(outputs).map(([name, output]) => {
        const weights = tape.input(`weights of ${name}`, 'float32', output.shape)
        return tape.reduceSum(tape.mul(output, weights))
      })
      return { total: sums.reduce((a, b) => tape.add(a, b)) }
    },
  }
  const step = differentiate(model, asked)
  const feeds: Record<string, Value> = {}
  for (const { name, shape } of step.dataInputs) {
    const dims = shape as readonly number[]
    const given = options.inputs?.[name]
    const data = given ? Float32Array.from(given) : random(dims.reduce((a, b) => a * b, 1))
    feeds[name] = { type: 'float32', dims, data }
  }
  const result = await runStep(step, feeds)

  const plain = prepare(model, asked).toModel()
  const doubles = new Map<string, Doubles>()
  for (const [name, { dims, data }] of Object.entries(feeds)) {
    doubles.set(name, { shape: dims, data: Float64Array.from(data as Float32Array) })
  }
  for (const { name, shape, offset, elements } of step.parameters) {
    const data = Float64Array.from(step.initial.parameters.subarray(offset, offset + elements))
    doubles.set(name, { shape, data })
  }
  const lossOf = (): number => {
    const values = evaluateWith(plain, Object.fromEntries(doubles))
    let total = 0
    for (const { name } of plain.graph!.output) {
      const weights = doubles.get(`weights of ${name}`)!.data
      for (const [at, value] of values.get(name)!.data.entries()) total += value * weights[at]!
    }
    return total
  }
  const loss = lossOf()
  assert.ok(
    Math.abs(result.loss - loss) <= tolerance * Math.max(1, Math.abs(loss)),
    `the loss is ${result.loss}, in doubles ${loss}`,
  )
  // In training a shift before a BatchNorm has a gradient of 0 but for rounding: it is measured by those around it.
  const overall = result.gradient.reduce((most, one) => Math.max(most, Math.abs(one)), 0)
  // Where paths cancel to 0, what float32 leaves of each is about 1e-7.
  const least = Math.max(1e-3, asked.batchNorm === 'train' ? 1e-2 * overall : 0)
  let worst = 0
  const compare = (name: string, gradient: Float32Array) => {
    const { data } = doubles.get(name)!
    const count = Math.min(tried, data.length)
    const pairs = Array.from({ length: count }, (_, index) => {
      const at = Math.floor((index * data.length) / count)
      const before = data[at]!
      const h = 1e-6
      data[at] = before + h
      const above = lossOf()
      data[at] = before - h
      const below = lossOf()
      data[at] = before
      return { at, expected: (above - below) / (2 * h), found: gradient[at]! }
    })
    const largest = Math.max(
      ...gradient.map(Math.abs),
      ...pairs.map((one) => Math.abs(one.expected)),
    )
    for (const { at, expected, found } of pairs) {
      // Differences in doubles are themselves right to about 1e-9.
      const error = Math.abs(expected - found) / Math.max(largest, least)
      worst = Math.max(worst, error)
      assert.ok(
        error <= tolerance,
        `the gradient of "${name}" at ${at} is ${found}, by differences ${expected} (seed ${seed})`,
      )
    }
  }
  for (const { name, offset, elements } of step.parameters) {
    compare(name, result.gradient.subarray(offset, offset + elements))
  }
  for (const [name, output] of Object.entries(step.outputs.gradients)) {
    compare(name, result.outputs[output]!.data as Float32Array)
  }
  return { worst, step, result }
}
