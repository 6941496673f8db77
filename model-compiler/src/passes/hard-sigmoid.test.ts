/** HardSwish and HardSigmoid: from every form that exporters write to the one that is fast, and back. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyPass } from '../../../test/compiler/apply-pass.ts'
import { type Attribute, model, node, value } from '../onnx/build.ts'
import type { NodeProto } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { hardSigmoid, hardSigmoidAsArithmetic } from './hard-sigmoid.ts'
import type { Pass } from './pass.ts'
import { removeDead } from './remove-dead.ts'

const numbers = { zero: 0, three: 3, six: 6, sixth: 1 / 6, seven: 7 }
const shape = [2, 3, 4]
const of = (opset: number, ...nodes: readonly NodeProto[]) => {
  const made = model({
    name: 'gates',
    opset,
    inputs: [value('x', 'float32', shape)],
    outputs: [value('y', 'float32', shape)],
    initializers: Object.entries(numbers)
      .filter(([name]) => nodes.some(({ input }) => input.includes(name)))
      .map(([name, number]) => tensor(name, [], Float32Array.of(number))),
    // The inputs of the test lie in −2..2, and all three pieces of the curve are wanted.
    nodes: [node('Mul', ['x', 'x'], ['xx']), node('Mul', ['xx', 'x'], ['a']), ...nodes],
  })
  made.graph!.valueInfo = 'abcdefg'.split('').map((name) => value(name, 'float32', shape))
  return made
}
const cleaned = (pass: Pass): Pass => ({
  ...pass,
  run: async (graph) => {
    const changes = await pass.run(graph)
    await removeDead.run(graph)
    return changes
  },
})
const operators = async (pass: Pass, opset: number, ...nodes: readonly NodeProto[]) =>
  (await applyPass(of(opset, ...nodes), cleaned(pass))).operators.replace('Mul Mul ', '')

const gate: Record<string, Attribute> = { alpha: { float: 1 / 6 }, beta: { float: 0.5 } }
const sum = node('Add', ['a', 'three'], ['b'])
const clip = node('Clip', ['b', 'zero', 'six'], ['c'])

const forms: Record<string, readonly NodeProto[]> = {
  'the operator itself': [node('HardSwish', ['a'], ['y'])],
  'a product over six': [
    sum,
    clip,
    node('Mul', ['a', 'c'], ['d']),
    node('Div', ['d', 'six'], ['y']),
  ],
  'a sixth of a product': [
    ...[sum, clip, node('Mul', ['c', 'a'], ['d'])],
    node('Mul', ['sixth', 'd'], ['y']),
  ],
  'a product with a part': [
    ...[sum, clip, node('Div', ['c', 'six'], ['d'])],
    node('Mul', ['a', 'd'], ['y']),
  ],
}
for (const [what, nodes] of Object.entries(forms)) {
  test(`HardSwish as ${what} becomes x · HardSigmoid(x)`, async () => {
    assert.equal(await operators(hardSigmoid, 14, ...nodes), 'HardSigmoid Mul')
  })
}
test('HardSigmoid alone, with bounds as attributes, becomes the operator', async () => {
  const old = node('Clip', ['b'], ['c'], { min: { float: 0 }, max: { float: 6 } })
  assert.equal(
    await operators(hardSigmoid, 10, sum, old, node('Div', ['c', 'six'], ['y'])),
    'HardSigmoid',
  )
})
test('what only looks like HardSwish stays', async () => {
  const other = node('Clip', ['b', 'zero', 'seven'], ['c'])
  const over = node('Div', ['d', 'six'], ['y'])
  assert.equal(
    await operators(hardSigmoid, 14, sum, other, node('Mul', ['a', 'c'], ['d']), over),
    'Add Clip Mul Div',
  )
  // Gated by itself shifted, not by itself.
  assert.equal(
    await operators(hardSigmoid, 14, sum, clip, node('Mul', ['b', 'c'], ['d']), over),
    'Add Clip Mul Div',
  )
})
test('for int8, HardSwish and HardSigmoid become arithmetic', async () => {
  assert.equal(
    await operators(hardSigmoidAsArithmetic, 14, node('HardSwish', ['a'], ['y'])),
    'Add Clip Mul Mul',
  )
  assert.equal(
    await operators(hardSigmoidAsArithmetic, 13, node('HardSigmoid', ['a'], ['y'], gate)),
    'Add Clip Mul',
  )
  // Another slope is another function.
  assert.equal(
    await operators(hardSigmoidAsArithmetic, 13, node('HardSigmoid', ['a'], ['y'])),
    'HardSigmoid',
  )
})
