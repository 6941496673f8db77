/** The graph: what is changed changes, what is not comes out as it went in, and the indexes stay true. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { create } from '@bufbuild/protobuf'
import { material, needs } from '../../../test/require.ts'
import { model, node, value } from '../onnx/build.ts'
import { OnnxError, readModel } from '../onnx/read.ts'
import { type NodeProto, OperatorSetIdProtoSchema, TensorProtoSchema } from '../onnx/schema.ts'
import { tensor, valuesOf } from '../onnx/tensor.ts'
import { writeModel } from '../onnx/write.ts'
import { intOf, intsOf, setAttribute } from './attributes.ts'
import { Graph } from './graph.ts'
import { staticShape } from './value-type.ts'

const chain = () =>
  model({
    name: 'chain',
    inputs: [value('x', 'float32', ['n', 2])],
    outputs: [value('y', 'float32', ['n', 2])],
    initializers: [tensor('two', [1], new Float32Array([2]))],
    nodes: [
      node('Mul', ['x', 'two'], ['a']),
      node('Identity', ['a'], ['b']),
      node('Relu', ['b'], ['c']),
      node('Identity', ['c'], ['y']),
    ],
  })
const shapeOf = (nodes: readonly NodeProto[]) =>
  nodes.map(({ opType, input, output }) => `${opType}(${input})→${output}`)

test('a graph that nobody changed is the same file', () => {
  const bytes = writeModel(chain())
  assert.deepEqual(writeModel(new Graph(readModel(bytes)).toModel()), bytes)
})

test('a graph of a real model that nobody changed is the same file', needs('material'), () => {
  const folder = join(material, 'models')
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.onnx'))) {
    const bytes = readFileSync(join(folder, file))
    const graph = new Graph(readModel(bytes))
    assert.ok(Buffer.from(writeModel(graph.toModel())).equals(bytes), file)
    graph.sort()
    assert.ok(Buffer.from(writeModel(graph.toModel())).equals(bytes), `${file}, sorted`)
  }
})

test('what changes in a graph changes neither the model it came from nor one it gave', () => {
  const before = chain()
  const bytes = writeModel(before)
  const graph = new Graph(before)
  const given = graph.toModel()
  graph.setInput(graph.nodes[0]!, 0, 'y')
  setAttribute(graph.nodes[2]!, 'axis', { int: 3 })
  graph.setInterface('x', { elementType: 1, shape: [1, 2] })
  graph.setOpset('', 21)
  graph.setOpset('com.microsoft', 1)
  graph.setMetadata('who', 'me')
  graph.remove(graph.nodes[3]!)
  graph.removeInitializer('two')
  assert.deepEqual(writeModel(before), bytes)
  assert.deepEqual(writeModel(given), bytes)
  assert.equal(graph.opset, 21)
  assert.equal(graph.opsetOf('com.microsoft'), 1)
  assert.deepEqual(staticShape(graph.typeOf('x')), [1, 2])
  assert.equal(graph.metadata('who'), 'me')
})

test('bypass() keeps the names of the graph’s outputs, and keeps a node that it cannot do without', () => {
  const graph = new Graph(chain())
  const [, first, , last] = graph.nodes
  assert.ok(graph.bypass(first!))
  assert.ok(graph.bypass(last!))
  assert.deepEqual(shapeOf(graph.nodes), ['Mul(x,two)→a', 'Relu(a)→y'])
  assert.equal(graph.producerOf('y'), graph.nodes[1])
  assert.deepEqual(graph.usersOf('a'), [graph.nodes[1]])
  assert.ok(graph.isReadOnlyBy('a', graph.nodes[1]!))

  const through = new Graph(
    model({
      name: 'through',
      inputs: [value('x', 'float32', [1])],
      outputs: [value('y', 'float32', [1])],
      nodes: [node('Identity', ['x'], ['y'])],
    }),
  )
  assert.equal(through.bypass(through.nodes[0]!), false)
  assert.deepEqual(shapeOf(through.nodes), ['Identity(x)→y'])
})

test('a value that a body reads has the node with the body as its user, and is renamed there', () => {
  const body = chain().graph!
  body.input = []
  body.initializer = []
  const branch = node('If', ['condition'], ['z'])
  const holder = node('Anything', [], ['w'])
  const graph = new Graph(
    model({
      name: 'outer',
      inputs: [value('x', 'float32', ['n', 2]), value('condition', 'bool', [])],
      outputs: [value('z', 'float32', ['n', 2])],
      initializers: [tensor('two', [1], new Float32Array([2]))],
      nodes: [node('Identity', ['x'], ['x2']), branch, holder],
    }),
  )
  const outer = graph.nodes[1]!
  graph.edit(outer, () => {
    setAttribute(outer, 'then_branch', { int: 0 })
    const attribute = outer.attribute[0]!
    attribute.g = body
    attribute.type = 5
  })
  assert.deepEqual(graph.usersOf('two'), [outer])
  graph.redirect('two', 'three')
  assert.deepEqual(graph.usersOf('two'), [])
  assert.deepEqual(graph.usersOf('three'), [outer])
  assert.equal(body.node[0]!.input[1], 'three')
  assert.equal(graph.freshName('c'), 'c_1', 'names within bodies are taken')
})

test('sort() orders by what is read, keeps the order otherwise, and names a cycle', () => {
  const graph = new Graph(chain())
  const [mul, ...rest] = graph.nodes
  graph.remove(mul!)
  graph.insert([mul!])
  graph.sort()
  assert.deepEqual(graph.nodes, [mul, ...rest])
  graph.setInput(mul!, 0, 'c')
  assert.throws(() => graph.sort(), /"Mul:a" \(Mul\) depends on itself|depends on itself/)
})

test('what a file leaves unsaid has its default after a copy, too', () => {
  const before = chain()
  before.opsetImport[0] = create(OperatorSetIdProtoSchema, { version: 9n }) // The domain of ONNX is "".
  const graph = new Graph(before)
  assert.equal(graph.opset, 9)
  assert.equal(new Graph(graph.toModel()).opset, 9)
  const floats = create(TensorProtoSchema, {
    name: 'two',
    dims: [1n],
    dataType: 1,
    floatData: [2],
  })
  const name = graph.addInitializer(floats)
  assert.equal(name, 'two_1')
  assert.deepEqual(valuesOf(graph.constantOf(name)!), new Float32Array([2]))
})

test('a value is made once', () => {
  const graph = new Graph(chain())
  assert.throws(
    () => graph.insert([node('Relu', ['x'], ['b'])]),
    (error) => error instanceof OnnxError && /"Identity:b".*already makes "b"/.test(error.message),
  )
})

test('constants: initializers, Constant nodes, and not what an input may override', () => {
  const two = tensor('two', [1], new Float32Array([2]))
  const parts = {
    name: 'constants',
    outputs: [value('y', 'float32', [1])],
    initializers: [two],
    nodes: [
      node('Constant', [], ['c'], { value: { tensor: two } }),
      node('Add', ['two', 'c'], ['y'], { axis: { int: 2 }, pads: { ints: [1, 2] } }),
    ],
  }
  const plain = new Graph(model({ ...parts, inputs: [] }))
  assert.equal(plain.constantOf('two'), two)
  assert.deepEqual(plain.constantOf('c')?.rawData, two.rawData)
  const open = new Graph(model({ ...parts, inputs: [value('two', 'float32', [1])] }))
  assert.equal(open.constantOf('two'), undefined)
  assert.deepEqual(open.requiredInputs, [])
  open.removeInput('two')
  assert.equal(open.constantOf('two'), two)
  const add = plain.nodes[1]!
  assert.deepEqual(
    [intOf(add, 'axis', 0), intOf(add, 'other', 7), intsOf(add, 'pads', undefined)],
    [2, 7, [1, 2]],
  )
})
