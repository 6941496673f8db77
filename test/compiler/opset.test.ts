/** Upgraded models compute the same: ONNX Runtime runs each before and after. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Graph } from '../../model-compiler/src/graph/graph.ts'
import { staticShape } from '../../model-compiler/src/graph/value-type.ts'
import { findFaults } from '../../model-compiler/src/graph/verify.ts'
import { OnnxError, readModel, readTensor } from '../../model-compiler/src/onnx/read.ts'
import { type Numbers, numberTypeOf, valuesOf } from '../../model-compiler/src/onnx/tensor.ts'
import { writeModel } from '../../model-compiler/src/onnx/write.ts'
import { upgradeOpset } from '../../model-compiler/src/opset/upgrade.ts'
import { openSession, type Value } from '../../model-compiler/src/runtime/session.ts'
import { inferTypes } from '../../model-compiler/src/shapes/infer-types.ts'
import { material, needs } from '../require.ts'
import { type NodeCase, readNodeSuite } from './node-suite.ts'

type Feeds = Readonly<Record<string, Value>>

async function outputsOf(model: Uint8Array, feeds: Feeds): Promise<Record<string, Value>> {
  await using session = await openSession(model, { level: 'disabled' })
  return await session.run(feeds)
}

/** Largest difference, relative to the largest value; shapes and types have to be equal. */
function difference(a: Record<string, Value>, b: Record<string, Value>): number {
  assert.deepEqual(Object.keys(b), Object.keys(a))
  let worst = 0
  for (const [name, before] of Object.entries(a)) {
    const after = b[name]!
    assert.deepEqual([after.dims, after.type], [before.dims, before.type], name)
    const scale = largest(before.data)
    for (const [at, one] of before.data.entries()) {
      if (Object.is(one, after.data[at])) continue
      const apart = Math.abs(Number(one) - Number(after.data[at])) / scale
      worst = Math.max(worst, Number.isNaN(apart) ? 1 : apart)
    }
  }
  return worst
}

function largest(values: Numbers): number {
  let most = 1e-6
  for (const one of values) most = Math.max(most, Math.abs(Number(one)) || 0)
  return most
}

/** Small inputs that look random and are the same every time. */
function feedsOf(graph: Graph): Feeds {
  return Object.fromEntries(
    graph.requiredInputs.map(({ name }) => {
      const dims = staticShape(graph.typeOf(name))!
      const data = new Float32Array(dims.reduce((product, dim) => product * dim, 1))
      for (let at = 0; at < data.length; at++) data[at] = ((at * 2654435761) % 1000) / 500 - 1
      return [name, { type: 'float32', dims, data }]
    }),
  )
}

test(
  'every real model computes the same in operator sets 13 and 21',
  needs('material'),
  async () => {
    const files = globSync('*.onnx', { cwd: `${material}/models` })
    assert.ok(files.length >= 9)
    for (const file of files) {
      const bytes = readFileSync(`${material}/models/${file}`)
      const feeds = feedsOf(new Graph(readModel(bytes)))
      const before = await outputsOf(bytes, feeds)
      for (const to of [13, 21]) {
        const graph = new Graph(readModel(bytes))
        assert.ok(upgradeOpset(graph, to) > 0 || file.startsWith('mnist'), file)
        assert.equal(graph.opset, to)
        const after = writeModel(graph.toModel())
        assert.deepEqual(findFaults(readModel(after)).faults, [], `${file} at ${to}`)
        const apart = difference(before, await outputsOf(after, feeds))
        assert.ok(apart <= 1e-6, `${file} at ${to}: outputs are ${apart} apart`)
      }
    }
  },
)

/** They draw numbers. */
const random = ['Bernoulli', 'RandomUniformLike', 'RandomNormalLike', 'Dropout']

test(
  'every case of the node suite computes the same in operator set 21',
  needs('material'),
  async () => {
    let compared = 0
    let changed = 0
    const refused: string[] = []
    const wrong: string[] = []
    for (const one of await readNodeSuite()) {
      const graph = new Graph(readModel(one.model))
      const feeds = inputsOf(one, graph)
      const draws = graph.nodes.some(({ opType }) => random.includes(opType))
      if (one.runtime !== 'pass' || !feeds || draws || graph.opset < 7 || graph.opset > 20) continue
      try {
        changed += upgradeOpset(graph, 21) > 0 ? 1 : 0
      } catch (error) {
        if (!(error instanceof OnnxError)) throw error
        refused.push(`${one.name}: ${error.message}`)
        continue
      }
      const [before, after] = await Promise.allSettled([
        outputsOf(one.model, feeds),
        outputsOf(writeModel(graph.toModel()), feeds),
      ])
      if (before.status === 'rejected') continue
      compared += 1
      if (after.status === 'rejected') wrong.push(`${one.name}: ${after.reason.message}`)
      else {
        const apart = difference(before.value, after.value)
        if (apart > 1e-6) wrong.push(`${one.name}: outputs are ${apart} apart`)
      }
    }
    assert.deepEqual(wrong, [])
    assert.deepEqual(refused, [
      'node/test_scan_sum: Cannot bring the model from operator set 8 to 21: "y" (Scan): its batches are gone',
      'node/test_upsample_nearest: Cannot bring the model from operator set 9 to 21: "Y" (Resize): its scales are computed, so how it rounds is not known',
    ])
    assert.ok(compared >= 800 && changed >= 45, `${compared} compared, ${changed} changed`)
  },
)

/** What a case feeds, or undefined where it is not all numbers. */
function inputsOf(one: NodeCase, graph: Graph): Feeds | undefined {
  const feeds: Record<string, Value> = {}
  for (const [at, { name }] of graph.requiredInputs.entries()) {
    if (graph.typeOf(name) === undefined || !one.inputs[at]) return undefined
    const tensor = readTensor(one.inputs[at])
    const type = numberTypeOf(tensor.dataType)
    if (!type) return undefined
    feeds[name] = { type, dims: tensor.dims.map(Number), data: valuesOf(tensor) }
  }
  inferTypes(graph)
  const numbers = graph.outputs.every(({ name }) =>
    numberTypeOf(graph.typeOf(name)?.elementType ?? 0),
  )
  return numbers ? feeds : undefined
}
