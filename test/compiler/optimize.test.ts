/** The optimizer as a whole: real models and random graphs compute afterwards what they did before. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { Graph } from '../../model-compiler/src/graph/graph.ts'
import { readModel } from '../../model-compiler/src/onnx/read.ts'
import { writeModel } from '../../model-compiler/src/onnx/write.ts'
import { differences, randomFeeds } from '../../model-compiler/src/passes/equivalence.ts'
import { optimize } from '../../model-compiler/src/passes/optimize.ts'
import { openSession } from '../../model-compiler/src/runtime/session.ts'
import { dropInitializerInputs } from '../../model-compiler/src/shapes/input-shapes.ts'
import { material, needs } from '../require.ts'
import { assertSame } from './apply-pass.ts'
import { operatorCount, randomGraph } from './random-graph.ts'

const relativeMax = 1e-4
const seed = Number(process.env.EDGELOOP_SEED ?? 20261121)

test(
  'every real model computes after optimize() what it did before',
  needs('material'),
  async (t) => {
    const files = globSync('*.onnx', { cwd: `${material}/models` })
    assert.ok(files.length >= 9)
    for (const file of files) {
      const original = readModel(readFileSync(`${material}/models/${file}`), { name: file })
      const graph = new Graph(original)
      dropInitializerInputs(graph)
      await optimize(graph)
      const changed = graph.toModel()
      await using session = await openSession(writeModel(changed))
      const feeds = randomFeeds(session.inputs, seed)
      for (const level of ['disabled', 'all'] as const) {
        const found = await differences(original, changed, feeds, level)
        const relative = Math.max(...found.map((one) => one.relative))
        const elementwise = Math.max(...found.map((one) => one.elementwise))
        t.diagnostic(
          `${file} at ${level}: ${original.graph!.node.length} nodes became ${graph.nodes.length}, relative ${relative.toExponential(1)}, elementwise ${elementwise.toExponential(1)}`,
        )
        assert.ok(relative <= relativeMax, `${file} at ${level}: ${relative}`)
      }
      const left = graph.nodes.map(({ opType }) => opType)
      for (const gone of ['BatchNormalization', 'Identity', 'Dropout', 'Constant', 'Shape']) {
        assert.ok(!left.includes(gone), `${file} still has ${gone}`)
      }
    }
  },
)

test(`random graphs compute after optimize() what they did before (seed ${seed})`, async () => {
  const step = fc.record({
    operator: fc.nat(operatorCount - 1),
    first: fc.nat(20),
    second: fc.nat(20),
    seed: fc.nat(1000),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 14 }), async (steps) => {
      const original = randomGraph(steps)
      const graph = new Graph(original)
      await optimize(graph)
      await assertSame(original, graph.toModel(), { relativeMax, seed })
    }),
    { numRuns: 100, seed },
  )
})
