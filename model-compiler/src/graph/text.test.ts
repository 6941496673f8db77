/** The text of a graph: every line says what is made, of which type, by what; nothing in a file can steer the terminal. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { model, node, value } from '../onnx/build.ts'
import { tensor } from '../onnx/tensor.ts'
import { inferTypes } from '../shapes/infer-types.ts'
import { Graph } from './graph.ts'
import { graphLines } from './text.ts'

test('graphLines() shows a graph in columns, small constants by value', () => {
  const inner = model({
    name: 'b',
    inputs: [],
    outputs: [value('z', 'float32', [])],
    nodes: [node('Neg', ['h'], ['z'])],
  }).graph!
  const branch = node('If', ['c'], ['y'], { then_branch: { int: 0 } })
  Object.assign(branch.attribute[0]!, { g: inner, type: 5 })
  const graph = new Graph(
    model({
      name: 'g',
      inputs: [value('x', 'float32', ['n', 3, 8, 8]), value('c', 'bool', [])],
      outputs: [value('y', 'float32', ['n', 4, 'r'])],
      initializers: [
        tensor('weights', [4, 3, 3, 3], new Float32Array(108)),
        tensor('to', [3], BigInt64Array.of(0n, 4n, -1n)),
      ],
      nodes: [
        node('Conv', ['x', 'weights', ''], ['a'], { pads: { ints: [1, 1, 1, 1] } }),
        node('Clip', ['a'], ['b']),
        node('Reshape', ['b', 'to'], ['h'], { allowzero: { int: 0 } }),
        branch,
      ],
    }),
  )
  inferTypes(graph)
  assert.equal(
    [...graphLines(graph)].join('\n'),
    `graph: operator set 17, IR 8, 4 nodes
input  x  float32 n×3×8×8
input  c  bool scalar
  a  float32 n×4×8×8  Conv(x, weights: float32 4×3×3×3, -) pads=[1 1 1 1]
  b  float32 n×4×8×8  Clip(a)
  h  float32 n×4×64   Reshape(b, to: int64 [0 4 -1]) allowzero=0
  y  float32 n×4×r    If(c)
    body of If:y:
      z    Neg(h)
    gives z
output  y  float32 n×4×r`.replace('body of If:y:', 'body of If:y: '),
  )
})

test('graphLines() cuts names and takes out what could steer a terminal', () => {
  const name = `evil\n\u001b[31m${'x'.repeat(500)}`
  const nodes = [node('Relu', ['x'], [name]), node('Relu', [name], ['y'])]
  const graph = new Graph(
    model({
      name: 'g',
      nodes,
      inputs: [value('x', 'float32', [1])],
      outputs: [value('y', 'float32', [1])],
    }),
  )
  const lines = [...graphLines(graph)]
  assert.equal(lines.length, 5)
  for (const line of lines) {
    assert.ok(line.length < 200, line)
    assert.doesNotMatch(line, /\p{C}/u)
  }
})
