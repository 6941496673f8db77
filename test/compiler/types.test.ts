/** Types and shapes: what inference says beforehand is what comes out. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Graph } from '../../model-compiler/src/graph/graph.ts'
import { staticShape, type ValueType } from '../../model-compiler/src/graph/value-type.ts'
import { readModel, readTensor } from '../../model-compiler/src/onnx/read.ts'
import { tensorTypes } from '../../model-compiler/src/onnx/types.ts'
import { writeModel } from '../../model-compiler/src/onnx/write.ts'
import { openSession, type Value } from '../../model-compiler/src/runtime/session.ts'
import { inferTypes } from '../../model-compiler/src/shapes/infer-types.ts'
import { material, needs } from '../require.ts'
import { type NodeCase, readNodeSuite } from './node-suite.ts'

test(
  'every value of every real model has the type and shape that ONNX Runtime gives it',
  needs('material'),
  async () => {
    const models = globSync('*.onnx', { cwd: `${material}/models` })
    assert.ok(models.length >= 9)
    for (const file of models) {
      const graph = new Graph(readModel(readFileSync(`${material}/models/${file}`)))
      const { faults, unknown } = inferTypes(graph)
      assert.deepEqual({ faults, unknown }, { faults: [], unknown: [] }, file)
      const inner = graph.nodes.flatMap(({ output }) => output).filter((name) => name !== '')
      for (const name of inner) if (!graph.isOutput(name)) graph.addOutput(name)
      await using session = await openSession(writeModel(graph.toModel()), { level: 'disabled' })
      const feeds: Record<string, Value> = {}
      for (const { name } of graph.requiredInputs) {
        const dims = staticShape(graph.typeOf(name))!
        const data = new Float32Array(dims.reduce((product, dim) => product * dim, 1)).fill(0.5)
        feeds[name] = { type: 'float32', dims, data }
      }
      const results = await session.run(feeds)
      for (const name of inner) {
        const { type, dims } = results[name]!
        const said = graph.typeOf(name)
        assert.deepEqual(
          { shape: said?.shape, elementType: said?.elementType },
          { shape: dims, elementType: tensorTypes[type] },
          `${file}: ${name}`,
        )
      }
    }
  },
)

/** Operators whose results have a shape that only running them tells, or that are of a domain nobody here uses. */
const unknowable = [
  ...['NonZero', 'NonMaxSuppression', 'Unique', 'StringSplit', 'StringNormalizer', 'ImageDecoder'],
  ...['Loop', 'Scan', 'SequenceAt', 'ConcatFromSequence', 'OptionalGetElement'],
  ...['Adagrad', 'Adam', 'Momentum', 'Gradient', 'LabelEncoder', 'TreeEnsemble'],
  // Its past and present are not followed.
  'Attention',
]
/** The suite has bfloat16 results as their bits in uint16. */
const asBits = ['node/test_cast_FLOAT_to_BFLOAT16', 'node/test_castlike_FLOAT_to_BFLOAT16_expanded']

test(
  'what every operator of the node suite gives is inferred, and never wrongly',
  needs('material'),
  async () => {
    const cases = await readNodeSuite()
    assert.equal(cases.length, 1473)
    const wrong: string[] = []
    const open: string[] = []
    let right = 0
    for (const one of cases) {
      for (const { name, said, truth, operators } of inferred(one)) {
        const where = `${one.name} ${name}: ${JSON.stringify(said)}, not ${JSON.stringify(truth)}`
        if (contradicts(said, truth)) wrong.push(asBits.includes(one.name) ? '' : where)
        else if (JSON.stringify(said) === JSON.stringify(truth)) right += 1
        // An expanded case computes a shape from real numbers in a way of its own.
        else if (
          !one.name.endsWith('_expanded') &&
          !operators.some((type) => unknowable.includes(type))
        )
          open.push(where)
      }
    }
    assert.deepEqual(wrong.filter(Boolean), [])
    assert.deepEqual(open, [])
    assert.ok(right >= 1600, `${right} of the results are inferred whole`)
  },
)

type Result = {
  readonly name: string
  readonly said: ValueType
  readonly truth: ValueType
  readonly operators: readonly string[]
}

/** The model of a case with small inputs as constants, as shapes and axes are in real models, inferred. */
function inferred(one: NodeCase): Result[] {
  const graph = new Graph(readModel(one.model, { name: one.name }))
  const tensors = new Set(
    [...graph.inputs, ...graph.outputs]
      .filter(({ type }) => type?.value.case === 'tensorType')
      .map(({ name }) => name),
  )
  for (const [at, { name }] of [...graph.inputs].entries()) {
    const file = one.inputs[at]
    if (!file || !tensors.has(name)) continue
    const given = readTensor(file)
    given.name = name
    if (given.dims.reduce((product, dim) => product * Number(dim), 1) > 64) continue
    graph.setInitializer(given)
    graph.removeInput(name)
  }
  graph.forgetShapes()
  for (const { name } of graph.outputs) {
    if (tensors.has(name)) graph.setType(name, { elementType: 0, shape: undefined })
  }
  const { faults } = inferTypes(graph)
  assert.deepEqual(faults, [], one.name)
  return graph.outputs.flatMap(({ name }, at) => {
    const file = one.outputs[at]
    if (!file || !tensors.has(name)) return []
    const { dataType, dims } = readTensor(file)
    const { elementType = 0, shape } = graph.typeOf(name) ?? {}
    return {
      name,
      said: { elementType, shape },
      truth: { elementType: dataType, shape: dims.map(Number) },
      operators: graph.nodes.map(({ opType }) => opType),
    }
  })
}

function contradicts(said: ValueType, truth: ValueType): boolean {
  if (said.elementType !== 0 && said.elementType !== truth.elementType) return true
  if (!said.shape || !truth.shape) return false
  return (
    said.shape.length !== truth.shape.length ||
    said.shape.some((one, axis) => typeof one === 'number' && one !== truth.shape![axis])
  )
}
