/** The loop over the passes: to a fixed point, bounded, told step by step, and it can be stopped. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertSame } from '../../../test/compiler/apply-pass.ts'
import { Graph } from '../graph/graph.ts'
import { model, node, value } from '../onnx/build.ts'
import { tensor } from '../onnx/tensor.ts'
import { optimize } from './optimize.ts'
import type { Pass } from './pass.ts'

const small = () =>
  model({
    name: 'small',
    inputs: [value('x', 'float32', [2])],
    outputs: [value('y', 'float32', [2])],
    initializers: [tensor('two', [1], new Float32Array([2]))],
    nodes: [
      node('Sqrt', ['two'], ['root']),
      node('Identity', ['x'], ['a']),
      node('Mul', ['a', 'root'], ['b']),
      node('Neg', ['x'], ['unread']),
      node('Identity', ['b'], ['y']),
    ],
  })

test('optimize() runs the passes until none finds anything, and tells each that found something', async () => {
  const graph = new Graph(small())
  const told: string[] = []
  const reports = await optimize(graph, {
    trace: ({ pass, changes }, { nodes }) => told.push(`${pass} ${changes} ${nodes.length}`),
  })
  assert.deepEqual(told, ['fold-constants 1 4', 'remove-identities 2 2', 'remove-dead 2 1'])
  assert.deepEqual(
    reports.map(({ pass, round }) => [pass, round]),
    [
      ['fold-constants', 1],
      ['remove-identities', 1],
      ['remove-dead', 1],
    ],
  )
  await assertSame(small(), graph.toModel())
})

test('passes that undo each other end at the last round', async () => {
  const restless: Pass = { name: 'restless', about: 'Never content.', run: () => 1 }
  const reports = await optimize(new Graph(small()), { passes: [restless], roundsMax: 4 })
  assert.equal(reports.length, 4)
})

test('optimize() stops when it is told to', async () => {
  const signal = AbortSignal.abort(new Error('enough'))
  await assert.rejects(optimize(new Graph(small()), { signal }), /enough/)
})
