/** The optimizer on ONNX's own node suite: every operator still gives what it is specified to give. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Graph } from '../../model-compiler/src/graph/graph.ts'
import { altered } from '../../model-compiler/src/onnx/altered.ts'
import { readModel, readTensor } from '../../model-compiler/src/onnx/read.ts'
import {
  type ModelProto,
  type TensorProto,
  TensorProtoSchema,
} from '../../model-compiler/src/onnx/schema.ts'
import { numberTypeOf, valuesOf } from '../../model-compiler/src/onnx/tensor.ts'
import { writeModel } from '../../model-compiler/src/onnx/write.ts'
import { optimize } from '../../model-compiler/src/passes/optimize.ts'
import { openSession, type Value } from '../../model-compiler/src/runtime/session.ts'
import { needs } from '../require.ts'
import { type NodeCase, readNodeSuite } from './node-suite.ts'

/** Of ONNX's own backend tests. */
const relativeMax = 1e-3
/** Of the largest magnitude of the output: sums that should come to 0 do not quite. */
const absoluteMax = 1e-6

for (const { title, constants } of [
  { title: 'with inputs as they are', constants: false },
  { title: 'with all inputs but the first as constants', constants: true },
]) {
  test(
    `what ONNX Runtime passes of the node suite it passes after optimize(), ${title}`,
    needs('material'),
    async (t) => {
      const cases = (await readNodeSuite()).filter(({ runtime }) => runtime === 'pass')
      assert.equal(cases.length, 1252)
      const failed: string[] = []
      const beyond: string[] = []
      const refused: string[] = []
      let changed = 0
      for (const one of cases) {
        const outcome = await check(one, constants).catch((error: Error) => error.message)
        if (outcome === 'beyond') beyond.push(one.name)
        else if (outcome === 'refused') refused.push(one.name)
        else if (outcome === 'changed') changed++
        else if (outcome !== 'same') failed.push(`${one.name}: ${outcome}`)
      }
      t.diagnostic(
        `${cases.length - beyond.length - refused.length} compared, ${changed} of them changed; Node cannot feed or read ${beyond.length}, the runtime refuses ${refused.length} as they are given`,
      )
      // Text and sequences.
      assert.ok(beyond.length <= 15, beyond.join())
      // Range is given an axis too many, which the runtime overlooks until it knows the numbers.
      const strict = constants ? 4 : 0
      assert.ok(refused.length <= strict, refused.join())
      assert.deepEqual(failed, [])
    },
  )
}
async function check(one: NodeCase, constants: boolean): Promise<string> {
  const model = readModel(one.model, { name: one.name })
  const prepared = prepare(model, one, constants)
  if (prepared === undefined) {
    const graph = new Graph(model)
    await optimize(graph)
    // What it computes cannot be compared here, but it still has to be a model that loads.
    await (await openSession(writeModel(graph.toModel())))[Symbol.asyncDispose]()
    return 'beyond'
  }
  const { graph, feeds, expected } = prepared
  const original = graph.toModel()
  const reports = await optimize(graph)
  await using session = await openSession(writeModel(graph.toModel())).catch(async (error) => {
    const alike = await openSession(writeModel(original)).catch(() => undefined)
    if (alike === undefined) return undefined
    await alike[Symbol.asyncDispose]()
    throw error
  })
  if (session === undefined) return 'refused'
  const results = await session.run(feeds)
  for (const tensor of expected) assertClose(results[tensor.name]!, numbersIn(tensor)!)
  return reports.length > 0 ? 'changed' : 'same'
}

type Prepared = {
  readonly graph: Graph
  readonly feeds: Record<string, Value>
  readonly expected: readonly TensorProto[]
}

/** Undefined where Node cannot feed the inputs or read the outputs: text, sequences, types below a byte. */
function prepare(model: ModelProto, one: NodeCase, constants: boolean): Prepared | undefined {
  const ports = [...model.graph!.input, ...model.graph!.output]
  if (ports.some(({ type }) => type?.value.case !== 'tensorType')) return undefined
  const named = (files: readonly Uint8Array[], names: readonly { name: string }[]) =>
    files.map((file, at) => altered(TensorProtoSchema, readTensor(file), { name: names[at]!.name }))
  const graph = new Graph(model)
  const listed = graph.inputs.filter(({ name }) => !graph.initializers.has(name))
  const inputs = named(one.inputs, listed)
  const expected = named(one.outputs, model.graph!.output).filter(({ name }) => name !== '')
  const feeds: Record<string, Value> = {}
  for (const [at, tensor] of inputs.entries()) {
    const value = numbersIn(tensor)
    if (value === undefined || (constants && at > 0)) {
      graph.removeInput(tensor.name)
      graph.setInitializer(tensor)
    } else feeds[tensor.name] = value
  }
  return expected.every(numbersIn) ? { graph, feeds, expected } : undefined
}

function numbersIn(tensor: TensorProto): Value | undefined {
  const type = numberTypeOf(tensor.dataType)
  if (type === undefined) return undefined
  return { type, dims: tensor.dims.map(Number), data: valuesOf(tensor) }
}

function assertClose(actual: Value, expected: Value): void {
  assert.equal(`${actual.type} [${actual.dims}]`, `${expected.type} [${expected.dims}]`)
  const largest = Array.from(expected.data as ArrayLike<number | bigint>, (one) =>
    Math.abs(Number(one)),
  )
    .filter(Number.isFinite)
    .reduce((all, one) => Math.max(all, one), 0)
  for (let at = 0; at < expected.data.length; at++) {
    const [a, b] = [Number(actual.data[at]), Number(expected.data[at])]
    if (Object.is(a, b) || a === b) continue
    const apart = Math.abs(a - b)
    if (!(apart <= absoluteMax * largest + relativeMax * Math.abs(b))) {
      assert.fail(`element ${at} is ${a}, expected ${b}`)
    }
  }
}
