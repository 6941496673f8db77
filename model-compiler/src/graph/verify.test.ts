/** verify(): what is wrong with a model is named, all of it, and what is right passes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clone, create } from '@bufbuild/protobuf'
import { model, node, value } from '../onnx/build.ts'
import { OnnxError } from '../onnx/read.ts'
import { type ModelProto, ModelProtoSchema } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { Graph } from './graph.ts'
import { faultsMax, findFaults, verify } from './verify.ts'

const weights = tensor('w', [2, 2], new Float32Array([1, 2, 3, 4]))
const parts = {
  name: 'good',
  inputs: [value('x', 'float32', ['n', 2])],
  outputs: [value('y', 'float32', ['n', 2])],
  initializers: [weights],
  nodes: [node('MatMul', ['x', 'w'], ['h']), node('Relu', ['h'], ['y'])],
}
const changed = (change: (made: ModelProto) => void): ModelProto => {
  const made = clone(ModelProtoSchema, model(parts))
  change(made)
  return made
}
const numbers = (...values: number[]) => tensor('w', [2, 2], new Float32Array(values))

test('a good model passes, as a model and as a graph', () => {
  verify(model(parts))
  verify(new Graph(model(parts)))
})

const faulty: Record<string, [ModelProto, RegExp]> = {
  'an operator that nobody knows': [
    model({ ...parts, nodes: [node('Relru', ['x'], ['y'])] }),
    /operator "Relru" of "Relru:y" is not known; did you mean "Relu"\?/,
  ],
  'a domain that nobody knows': [
    changed((made) => {
      made.graph!.node[0]!.domain = 'com.microsft'
    }),
    /"MatMul:h" \(MatMul\) is of domain "com.microsft", which is not known; did you mean "com.microsoft"\?/,
  ],
  'a domain without a version': [
    changed((made) => {
      Object.assign(made.graph!.node[0]!, { domain: 'com.microsoft', opType: 'FusedMatMul' })
    }),
    /domain "com.microsoft", whose version the model does not state/,
  ],
  'an operator set that is too old': [
    model({ ...parts, opset: 6 }),
    /its operator set is 6, and 7 to 21/,
  ],
  'an operator set that is too new': [model({ ...parts, opset: 22 }), /its operator set is 22/],
  'an operator from a later set': [
    model({ ...parts, opset: 12, nodes: [node('HardSwish', ['x'], ['y'])] }),
    /\(HardSwish\) is there since operator set 14, and the model states 12/,
  ],
  'an operator that went away': [
    model({ ...parts, opset: 11, nodes: [node('Upsample', ['x', 'w'], ['y'])] }),
    /\(Upsample\) is gone since operator set 10/,
  ],
  'a value that nothing makes': [
    model({ ...parts, nodes: [node('MatMul', ['x', 'ww'], ['y'])] }),
    /"MatMul:y" \(MatMul\) reads "ww", which nothing makes; did you mean "w"\?/,
  ],
  'an output that nothing makes': [
    model({ ...parts, nodes: [node('Relu', ['x'], ['z'])] }),
    /output "y" is made by nothing/,
  ],
  'a missing input': [
    model({ ...parts, nodes: [node('MatMul', ['x'], ['y'])] }),
    /has 1 inputs, at least 2 are needed/,
  ],
  'an input left out that is needed': [
    model({ ...parts, nodes: [node('MatMul', ['', 'w'], ['y'])] }),
    /lacks its input 1/,
  ],
  'too many inputs': [
    model({ ...parts, nodes: [node('Relu', ['x', 'w'], ['y'])] }),
    /has 2 inputs, at most 1 are read/,
  ],
  'too many outputs': [
    model({ ...parts, nodes: [node('Relu', ['x'], ['y', 'z'])] }),
    /has 2 outputs, at most 1 are made/,
  ],
  'a value that is made twice': [
    model({ ...parts, nodes: [node('Relu', ['x'], ['y']), node('Neg', ['x'], ['y'])] }),
    /value "y" is made twice, by "Relu:y" \(Relu\) and by "Neg:y" \(Neg\)/,
  ],
  'a tensor that is there twice': [
    model({ ...parts, initializers: [weights, weights] }),
    /tensor "w" is there twice/,
  ],
  'a cycle': [
    model({ ...parts, nodes: [node('MatMul', ['y', 'w'], ['h']), node('Relu', ['h'], ['y'])] }),
    /"MatMul:h" \(MatMul\) depends on itself, by "h"/,
  ],
  'shapes that contradict each other': [
    model({ ...parts, inputs: [value('x', 'float32', ['n', 3])] }),
    /"MatMul:h" \(MatMul\): inner dimensions 3 and 2 differ/,
  ],
  'an output of another shape than it says': [
    model({ ...parts, outputs: [value('y', 'float32', ['n', 7])] }),
    /the file says n×7, it comes out as n×2/,
  ],
  'an enormous dimension': [
    model({ ...parts, inputs: [value('x', 'float32', [2 ** 40, 2])] }),
    /input "x" has a dimension of 1099511627776/,
  ],
  'a value of enormous size': [
    model({
      ...parts,
      inputs: [value('x', 'float32', [2 ** 20, 1]), value('z', 'float32', [2 ** 20])],
      outputs: [value('y', 'float32', [])],
      nodes: [node('Add', ['x', 'z'], ['y'])],
    }),
    /value "y" would have the shape 1048576×1048576/,
  ],
  'a tensor with a negative dimension': [
    changed((made) => {
      made.graph!.initializer[0]!.dims = [-2n, -2n]
    }),
    /tensor "w" has the dimensions -2×-2/,
  ],
  'a tensor that is too short': [
    changed((made) => {
      made.graph!.initializer[0] = { ...numbers(1, 2, 3, 4), dims: [2n, 9n] }
    }),
    /tensor "w": its dimensions hold 18 values, 4 are there/,
  ],
  'a tensor of no type': [
    changed((made) => {
      made.graph!.initializer[0] = { ...numbers(1, 2, 3, 4), dataType: 99 }
    }),
    /tensor "w" has elements of type 99/,
  ],
  'NaN in weights': [
    model({ ...parts, initializers: [numbers(1, Number.NaN, 3, Number.NaN)] }),
    /tensor "w" holds NaN 2 times among 4 values/,
  ],
  'infinity in weights': [
    model({ ...parts, initializers: [numbers(1, -Infinity, 3, 4)] }),
    /tensor "w" holds infinity 1 times among 4 weights/,
  ],
  'an attribute of the wrong type': [
    model({ ...parts, nodes: [node('Softmax', ['x'], ['y'], { axis: { float: 1 } })] }),
    /has attribute "axis" as float, it has to be int/,
  ],
  'an attribute that the operator does not know': [
    model({ ...parts, nodes: [node('Softmax', ['x'], ['y'], { axes: { int: 1 } })] }),
    /has an attribute "axes", which the operator does not know; did you mean "axis"\?/,
  ],
  'an attribute given twice': [
    changed((made) => {
      const softmax = node('Softmax', ['h'], ['y'], { axis: { int: 1 } })
      softmax.attribute.push(softmax.attribute[0]!)
      made.graph!.node[1] = softmax
    }),
    /has attribute "axis" twice/,
  ],
  'no graph': [create(ModelProtoSchema, {}), /it has no graph/],
}
for (const [what, [made, expected]] of Object.entries(faulty)) {
  test(`verify() names ${what}`, () => {
    assert.throws(
      () => verify(made, { name: 'x.onnx' }),
      (error) =>
        error instanceof OnnxError &&
        error.message.startsWith('Cannot use "x.onnx"') &&
        expected.test(error.message),
      findFaults(made).faults.join('\n'),
    )
  })
}

test('verify() looks into bodies, which see what is around them', () => {
  const body = (reads: string) => {
    const inner = model({
      ...parts,
      inputs: [],
      initializers: [],
      nodes: [node('Relu', [reads], ['y'])],
    }).graph!
    const holder = node('If', ['c'], ['y'], { then_branch: { int: 0 }, else_branch: { int: 0 } })
    for (const attribute of holder.attribute) Object.assign(attribute, { g: inner, type: 5 })
    return model({
      ...parts,
      inputs: [...parts.inputs, value('c', 'bool', [])],
      outputs: [value('y', 'float32', ['n', 2])],
      nodes: [holder],
    })
  }
  verify(body('x'))
  assert.throws(() => verify(body('q')), /reads "q", which nothing makes/)
})

test('verify() lists all faults, at most a screen of them, and counts the rest', () => {
  const many = Array.from({ length: 70 }, (_, at) => node('Relu', [`from${at}`], [`to${at}`]))
  assert.throws(
    () => verify(model({ ...parts, nodes: [...parts.nodes, ...many] })),
    (error) => {
      const lines = (error as Error).message.split('\n')
      assert.equal(lines[0], 'Cannot use the model, it has 70 faults:')
      assert.equal(lines.length, 1 + faultsMax + 1)
      assert.equal(lines.at(-1), '  and 20 more')
      return true
    },
  )
})
