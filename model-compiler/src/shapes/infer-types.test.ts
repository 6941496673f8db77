/** Inference by hand: what shapes are computed from is followed, names of free dimensions live on, nonsense is named. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Graph } from '../graph/graph.ts'
import { model, node, value } from '../onnx/build.ts'
import { OnnxError } from '../onnx/read.ts'
import type { NodeProto, TensorProto } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { shapeText } from './dimensions.ts'
import { inferTypes } from './infer-types.ts'
import { dropInitializerInputs, setInputShapes } from './input-shapes.ts'

const longs = (name: string, ...values: number[]) =>
  tensor(name, [values.length], BigInt64Array.from(values, BigInt))
const weights = (name: string, ...dims: number[]) =>
  tensor(name, dims, new Float32Array(dims.reduce((product, dim) => product * dim, 1)))

function graphOf(
  input: readonly (number | string)[],
  nodes: readonly NodeProto[],
  initializers: readonly TensorProto[] = [],
  output: readonly (number | string)[] | undefined = undefined,
): Graph {
  const y = value('y', 'float32', output ?? [])
  const graph = new Graph(
    model({
      name: 'g',
      nodes,
      initializers,
      inputs: [value('x', 'float32', input)],
      outputs: [y],
    }),
  )
  if (output === undefined) graph.setType('y', { elementType: 0, shape: undefined })
  return graph
}
const shapeOf = (graph: Graph, name: string) => shapeText(graph.typeOf(name)?.shape)

test('the name of a free dimension lives on through what leaves it alone', () => {
  const graph = graphOf(
    ['n', 3, 'h', 'w'],
    [
      node('Conv', ['x', 'k'], ['a'], { pads: { ints: [1, 1, 1, 1] } }),
      node('Relu', ['a'], ['b']),
      node('Transpose', ['b'], ['c'], { perm: { ints: [0, 2, 3, 1] } }),
      node('Conv', ['x', 'k'], ['d'], { pads: { ints: [1, 1, 1, 1] }, strides: { ints: [2, 2] } }),
      node('GlobalAveragePool', ['d'], ['e']),
      node('Flatten', ['e'], ['y']),
    ],
    [weights('k', 8, 3, 3, 3)],
  )
  assert.deepEqual(inferTypes(graph).faults, [])
  assert.equal(shapeOf(graph, 'c'), 'n×h×w×8')
  assert.equal(shapeOf(graph, 'd'), 'n×8×?×?')
  assert.equal(shapeOf(graph, 'y'), 'n×8')
})

test('shapes that a graph computes are followed, names included', () => {
  const graph = graphOf(
    ['n', 3, 4, 5],
    [
      node('Shape', ['x'], ['s']),
      node('Gather', ['s', 'zero'], ['batch']),
      node('Unsqueeze', ['batch', 'front'], ['b1']),
      node('Concat', ['b1', 'rest'], ['to'], { axis: { int: 0 } }),
      node('Reshape', ['x', 'to'], ['r']),
      node('Slice', ['s', 'two', 'four'], ['hw']),
      node('Mul', ['hw', 'hw'], ['squares']),
      node('ReduceProd', ['hw'], ['area'], { keepdims: { int: 1 } }),
      node('Concat', ['squares', 'area'], ['grid'], { axis: { int: 0 } }),
      node('ConstantOfShape', ['grid'], ['y']),
    ],
    [
      tensor('zero', [], BigInt64Array.of(0n)),
      longs('front', 0),
      longs('rest', 3, -1),
      longs('two', 2),
      longs('four', 4),
    ],
  )
  const { values, faults } = inferTypes(graph)
  assert.deepEqual(faults, [])
  assert.deepEqual(values.get('to'), ['n', 3, -1])
  assert.equal(shapeOf(graph, 'r'), 'n×3×20')
  assert.equal(shapeOf(graph, 'y'), '16×25×20')
})

test('what cannot be is named, and the rest is inferred all the same', () => {
  const graph = graphOf(
    [1, 3, 8, 8],
    [
      node('Conv', ['x', 'k'], ['a']),
      node('MatMul', ['x', 'm'], ['b']),
      node('Concat', ['x', 'b'], ['c'], { axis: { int: 7 } }),
      node('Sigmoid', ['x'], ['y']),
    ],
    [weights('k', 8, 4, 3, 3), weights('m', 9, 2)],
    [1, 3, 8, 9],
  )
  const { faults, unknown } = inferTypes(graph)
  assert.deepEqual(faults, [
    '"Conv:a" (Conv): weights for 4×1 channels meet an input of 3',
    '"MatMul:b" (MatMul): inner dimensions 8 and 9 differ',
    '"Concat:c" (Concat): axis 7 is outside a shape of rank 4',
    '"y", made by "Sigmoid:y" (Sigmoid): the file says 1×3×8×9, it comes out as 1×3×8×8',
  ])
  assert.deepEqual(unknown, ['a', 'b', 'c'])
})

test('an operator that nobody knows leaves its results unknown, or what the file says of them', () => {
  const graph = graphOf([1], [node('Frobnicate', ['x'], ['a']), node('Relu', ['a'], ['y'])])
  assert.deepEqual(inferTypes(graph).unknown, ['a', 'y'])
  graph.setType('a', { elementType: 1, shape: [1, 'm'] })
  assert.deepEqual(inferTypes(graph).unknown, [])
  assert.equal(shapeOf(graph, 'y'), '1×m')
})

test('setInputShapes() fixes what was free and says what cannot be', () => {
  const nodes = [
    node('Conv', ['x', 'k'], ['a'], { strides: { ints: [2, 2] }, pads: { ints: [1, 1, 1, 1] } }),
    node('Reshape', ['a', 'to'], ['y']),
  ]
  const graph = () =>
    graphOf(
      ['n', 3, 'h', 'w'],
      nodes,
      [weights('k', 8, 3, 3, 3), longs('to', -1, 8, 16)],
      ['n', 8, 16],
    )
  const fixed = graph()
  setInputShapes(fixed, { x: [1, 3, 8, 8] })
  assert.equal(shapeOf(fixed, 'a'), '1×8×4×4')
  assert.equal(shapeText(new Graph(fixed.toModel()).typeOf('y')?.shape), '1×8×16')
  const free = graph()
  setInputShapes(free, { x: ['batch', 3, 8, 8] })
  assert.equal(shapeOf(free, 'a'), 'batch×8×4×4')
  const wrong: [Record<string, (number | string)[]>, RegExp][] = [
    [{ xx: [1] }, /input "xx" .*did you mean "x"\?/],
    [{ x: [1, 3] }, /"x" the shape 1×3: the model wants 4 dimensions, n×3×h×w/],
    [{ x: [1, 3, -8, 8] }, /-8 is no length/],
    [{ x: [1, 3, 2 ** 40, 8] }, /1099511627776 is no length/],
    [{ x: [1, 4, 8, 8] }, /"x" 1×4×8×8: "Conv:a" \(Conv\): weights for 3×1 channels/],
    [{ x: [1, 3, 9, 9] }, /"Reshape:y" \(Reshape\): 200 elements do not fill -1×8×16/],
  ]
  for (const [shapes, expected] of wrong) {
    assert.throws(
      () => setInputShapes(graph(), shapes),
      (error) => error instanceof OnnxError && expected.test(error.message),
      JSON.stringify(shapes),
    )
  }
})

test('dropInitializerInputs() makes constants of initializers that are listed as inputs', () => {
  const parts = model({
    name: 'old',
    inputs: [value('x', 'float32', [1]), value('w', 'float32', [1])],
    outputs: [value('y', 'float32', [1])],
    initializers: [weights('w', 1)],
    nodes: [node('Mul', ['x', 'w'], ['y'])],
  })
  parts.irVersion = 3n
  const graph = new Graph(parts)
  assert.equal(dropInitializerInputs(graph), 1)
  assert.deepEqual(
    graph.inputs.map(({ name }) => name),
    ['x'],
  )
  assert.equal(graph.irVersion, 4, 'before IR 4 an initializer had to be an input')
  assert.equal(dropInitializerInputs(graph), 0)
})

test('an operator of any number of inputs that has none is known to be nothing', () => {
  const graph = new Graph(
    model({
      name: 'none',
      inputs: [],
      outputs: [value('y', 'float32', [])],
      nodes: ['Max', 'Min', 'Sum', 'Mean', 'Concat', 'Where'].map((opType) =>
        node(opType, [], [opType === 'Max' ? 'y' : opType]),
      ),
    }),
  )
  assert.doesNotThrow(() => inferTypes(graph))
})
