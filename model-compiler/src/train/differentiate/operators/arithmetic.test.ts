/** Gradients of arithmetic that stretches its operands. */
import { test } from 'node:test'
import { checkGradient } from '../../../../../test/training/check-gradient.ts'
import { checkOperator, randomTensor } from '../../../../../test/training/operator-net.ts'
import { model, node, value } from '../../../onnx/build.ts'
import { tensor } from '../../../onnx/tensor.ts'

const shape = [3, 4, 5]
const inputs = ['x', 'k']

for (const op of ['Add', 'Sub', 'Mul', 'Div', 'Max', 'Min']) {
  test(`${op} with operands of every rank, on either side`, async () => {
    for (const dims of [[], [5], [4, 1], [3, 1, 1], [1, 3, 4, 5], [2, 1, 4, 1]]) {
      const constants = [randomTensor('k', dims, 3, 0.4, op === 'Div' ? 1.2 : 0)]
      await checkOperator({ op, shape, inputs, constants }, { tried: 8 })
    }
    if (op === 'Div') return
    const constants = [randomTensor('k', [3, 1, 1], 3)]
    await checkOperator({ op, shape, inputs: ['k', 'x'], constants })
  })
}
test('a scale and a bias per channel behind a layer are trained', async () => {
  const net = model({
    name: 'net',
    inputs: [value('x', 'float32', ['n', 3, 4, 4])],
    outputs: [value('y', 'float32', ['n', 3, 4, 4])],
    initializers: [
      randomTensor('mean', [3, 1, 1], 1),
      randomTensor('w', [3, 3, 1, 1], 2),
      randomTensor('gamma', [1, 3, 1, 1], 3),
      randomTensor('beta', [3, 1, 1], 4),
      tensor('six', [], Float32Array.of(6)),
    ],
    nodes: [
      node('Sub', ['x', 'mean'], ['a']),
      node('Conv', ['a', 'w'], ['b']),
      node('Mul', ['b', 'gamma'], ['c']),
      node('Add', ['beta', 'c'], ['d']),
      node('Div', ['d', 'six'], ['y']),
    ],
  })
  const { step } = await checkGradient(net)
  const names = step.parameters.map(({ name }) => name)
  if (names.join() !== 'w,gamma,beta') throw new Error(`trained: ${names}`)
})
test('one value as both operands', async () => {
  await checkOperator({ op: 'Mul', shape, inputs: ['x', 'x'] })
  await checkOperator({ op: 'Sub', shape, inputs: ['x', 'x'] })
})
test('x · Sigmoid(x) is one function with a gradient of its own', async () => {
  const net = model({
    name: 'silu',
    inputs: [value('x', 'float32', ['n', 3, 4, 4])],
    outputs: [value('y', 'float32', ['n', 3, 4, 4])],
    initializers: [randomTensor('w', [3, 3, 1, 1], 2)],
    nodes: [
      node('Conv', ['x', 'w'], ['a']),
      node('Sigmoid', ['a'], ['b']),
      node('Mul', ['b', 'a'], ['y']),
    ],
  })
  const { step } = await checkGradient(net)
  const operators = step.model.graph!.node.map(({ opType }) => opType)
  if (!operators.includes('QuickGelu')) throw new Error(operators.join())
})
test('powers, of numbers and of a trained exponent', async () => {
  const positive = Array.from({ length: 120 }, (_, at) => 0.3 + ((at * 11) % 120) / 60)
  for (const exponent of [2, 3, 0.5, -1]) {
    const constants = [tensor('k', [], Float32Array.of(exponent))]
    await checkOperator(
      { op: 'Pow', shape, inputs, constants, alone: true },
      { inputs: { x: positive } },
    )
  }
})
test('Sum and Mean of several', async () => {
  const constants = [randomTensor('k', [3, 1, 1], 3), randomTensor('m', [5], 4)]
  for (const op of ['Sum', 'Mean']) {
    await checkOperator({ op, shape, inputs: ['x', 'k', 'm'], constants })
  }
})
test('Where takes the gradient to the side that was taken', async () => {
  const net = model({
    name: 'where',
    inputs: [value('x', 'float32', ['n', 3, 4, 4])],
    outputs: [value('y', 'float32', ['n', 3, 4, 4])],
    initializers: [
      randomTensor('w', [3, 3, 1, 1], 2),
      randomTensor('k', [4], 3),
      tensor('zero', [], Float32Array.of(0)),
    ],
    nodes: [
      node('Conv', ['x', 'w'], ['a']),
      node('Greater', ['a', 'zero'], ['c']),
      node('Exp', ['a'], ['b']),
      node('Where', ['c', 'b', 'k'], ['y']),
    ],
  })
  await checkGradient(net)
})
test('Cast between floats lets gradients through', async () => {
  await checkOperator({ op: 'Cast', shape, attributes: { to: { int: 1 } } })
})
