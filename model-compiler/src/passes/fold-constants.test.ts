/** Constant folding: what depends on constants alone is computed once, and nothing else is. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyPass } from '../../../test/compiler/apply-pass.ts'
import { model, node, value } from '../onnx/build.ts'
import { tensor, valuesOf } from '../onnx/tensor.ts'
import { foldConstants, growthElementsMax } from './fold-constants.ts'

const ints = (name: string, ...numbers: number[]) =>
  tensor(name, [numbers.length], BigInt64Array.from(numbers, BigInt))
const floats = (name: string, ...numbers: number[]) =>
  tensor(name, [numbers.length], Float32Array.from(numbers))

test('a chain of constants is one constant, in the type that the runtime gives it', async () => {
  const { graph, operators } = await applyPass(
    model({
      name: 'chain',
      inputs: [value('x', 'float32', ['n', 2])],
      outputs: [value('y', 'float32', ['n', 2]), value('z', 'float32', [1, 'm'])],
      initializers: [floats('a', 1, 2), floats('b', 3, 4), ints('s', 1), ints('t', -1)],
      nodes: [
        node('Add', ['a', 'b'], ['c']),
        node('Sqrt', ['c'], ['d']),
        node('Mul', ['x', 'd'], ['y']),
        node('Concat', ['s', 't'], ['shape'], { axis: { int: 0 } }),
        node('Cast', ['shape'], ['half'], { to: { int: 10 } }),
        node('Cast', ['half'], ['back'], { to: { int: 7 } }),
        node('Reshape', ['x', 'back'], ['z']),
      ],
    }),
    foldConstants,
  )
  assert.equal(operators, 'Mul Reshape')
  assert.deepEqual(valuesOf(graph.initializers.get('d')!), Float32Array.of(2, Math.sqrt(6)))
  assert.deepEqual(valuesOf(graph.initializers.get('back')!), BigInt64Array.of(1n, -1n))
})

test('random numbers, weights that are stored as codes, and what grows large stay', async () => {
  const side = Math.ceil(Math.sqrt(growthElementsMax)) + 1
  const { operators } = await applyPass(
    model({
      name: 'staying',
      inputs: [value('x', 'float32', [1])],
      outputs: [value('y', 'float32', ['n']), value('z', 'float32', ['n', 'm'])],
      initializers: [
        tensor('codes', [2], Int8Array.of(1, -3)),
        tensor('scale', [], Float32Array.of(0.5)),
        ints('large', side, side),
        tensor('one', [1], Float32Array.of(1)),
      ],
      nodes: [
        node('DequantizeLinear', ['codes', 'scale'], ['w']),
        node('Mul', ['x', 'w'], ['y']),
        node('RandomUniformLike', ['one'], ['noise']),
        node('Mul', ['noise', 'x'], ['zero']),
        node('Sub', ['zero', 'zero'], ['nothing']),
        node('Expand', ['one', 'large'], ['map']),
        node('Add', ['map', 'nothing'], ['z']),
      ],
    }),
    foldConstants,
  )
  assert.match(operators, /DequantizeLinear/)
  assert.match(operators, /RandomUniformLike/)
  assert.match(operators, /Expand/)
})

test('what the runtime cannot compute alone stays, and the rest of its batch is folded', async () => {
  const graph = model({
    name: 'beyond',
    inputs: [value('x', 'float32', [2])],
    outputs: [value('y', 'float32', [2])],
    initializers: [floats('a', 1, 2), floats('b', 3, 4), ints('wrong', 5)],
    nodes: [
      node('Add', ['a', 'b'], ['c']),
      node('Add', ['x', 'c'], ['y']),
      // Two elements do not become five; nobody reads it, so the model as such runs.
      node('Identity', ['wrong'], ['shape']),
    ],
  })
  graph.graph!.node.push(node('Reshape', ['a', 'wrong'], ['r']), node('Identity', ['r'], ['s']))
  const { Graph } = await import('../graph/graph.ts')
  const changed = new Graph(graph)
  await foldConstants.run(changed)
  assert.ok(changed.initializers.has('c'))
  assert.equal(changed.producerOf('r')?.opType, 'Reshape')
})

test('an output of the graph keeps the node that makes it', async () => {
  const { operators } = await applyPass(
    model({
      name: 'output',
      inputs: [value('x', 'float32', [2])],
      outputs: [value('c', 'float32', [2]), value('y', 'float32', [2])],
      initializers: [floats('a', 1, 2), floats('b', 3, 4)],
      nodes: [node('Add', ['a', 'b'], ['c']), node('Mul', ['x', 'c'], ['y'])],
    }),
    foldConstants,
  )
  assert.equal(operators, 'Add Mul')
})

test('what an input can replace is no constant', async () => {
  const overridable = model({
    name: 'overridable',
    inputs: [value('a', 'float32', [1]), value('x', 'float32', [1])],
    outputs: [value('y', 'float32', [1])],
    initializers: [floats('a', 1)],
    nodes: [node('Neg', ['a'], ['b']), node('Mul', ['x', 'b'], ['y'])],
  })
  assert.equal((await applyPass(overridable, foldConstants)).changes, 0)
})
