/** Gradients of elementwise functions against differences in doubles. */
import { test } from 'node:test'
import {
  checkOperator,
  floats,
  ints,
  type OperatorNet,
  randomTensor,
} from '../../../../../test/training/operator-net.ts'
import { tensor } from '../../../onnx/tensor.ts'

const shape = [3, 4, 5]
/** Three times as far out as random inputs reach, so that both bounds of a gate are met. */
const wide = (op: string): OperatorNet => ({ op, shape })

const plain = [
  'Relu',
  'Sigmoid',
  'Tanh',
  'Softplus',
  'Erf',
  'Exp',
  'Atan',
  'Neg',
  'Abs',
  'Identity',
]
for (const op of plain) {
  test(`${op} has the gradient that differences show`, async () => {
    await checkOperator(wide(op))
  })
}

const numbers = (length: number, from: number, to: number) =>
  Array.from({ length }, (_, at) => from + ((to - from) * ((at * 7) % length)) / length)

for (const op of ['HardSigmoid', 'HardSwish', 'Gelu'] as const) {
  test(`${op} beyond both of its bends`, async () => {
    await checkOperator({ op, shape }, { inputs: { x: numbers(120, -4.013, 4.017) }, tried: 40 })
  })
}
test('HardSigmoid with numbers of its own', async () => {
  const attributes = { alpha: { float: 0.4 }, beta: { float: 0.3 } }
  await checkOperator(
    { op: 'HardSigmoid', shape, attributes },
    { inputs: { x: numbers(120, -2.013, 3.017) }, tried: 40 },
  )
})
test('Gelu by tanh', async () => {
  await checkOperator({ op: 'Gelu', shape, attributes: { approximate: { string: 'tanh' } } })
})
test('SiLU as the runtime knows it, with any factor', async () => {
  for (const alpha of [1, 1.702]) {
    const attributes = { alpha: { float: alpha } }
    await checkOperator({ op: 'QuickGelu', domain: 'com.microsoft', shape, attributes })
  }
})
test('Log, Sqrt and Reciprocal above 0', async () => {
  for (const op of ['Log', 'Sqrt', 'Reciprocal']) {
    await checkOperator({ op, shape, alone: true }, { inputs: { x: numbers(120, 0.2, 3) } })
  }
})
test('Clip lets through what lies between its bounds, either of which may be left out', async () => {
  const least = tensor('least', [], Float32Array.of(-0.31))
  const most = tensor('most', [], Float32Array.of(0.4))
  const constants = [least, most]
  for (const inputs of [
    ['x', 'least', 'most'],
    ['x', 'least'],
    ['x', '', 'most'],
  ]) {
    await checkOperator({ op: 'Clip', shape, inputs, constants }, { tried: 40 })
  }
})
test('Clip of older models says its bounds as attributes', async () => {
  const attributes = { min: { float: -0.3 }, max: { float: 0.6 } }
  await checkOperator({ op: 'Clip', shape, opset: 9, attributes })
})
test('LeakyRelu and PRelu, with a slope for all or one per channel', async () => {
  await checkOperator({ op: 'LeakyRelu', shape, attributes: { alpha: { float: 0.2 } } })
  for (const dims of [[3, 1, 1], [1], [1, 3, 1, 1]]) {
    const constants = [randomTensor('slope', dims, 4)]
    await checkOperator({ op: 'PRelu', shape, inputs: ['x', 'slope'], constants })
  }
})
test('Softmax and LogSoftmax along any axis', async () => {
  for (const axis of [-1, 1, 2]) {
    const attributes = { axis: { int: axis } }
    await checkOperator({ op: 'Softmax', shape, attributes })
    await checkOperator({ op: 'LogSoftmax', shape, attributes })
  }
  await checkOperator({ op: 'Softmax', shape: [6] })
})
test('Softmax of older models takes all axes behind its own together', async () => {
  await checkOperator({ op: 'Softmax', shape: [6], opset: 11, attributes: { axis: { int: 1 } } })
})
test('Dropout lets everything through', async () => {
  const constants = [
    tensor('ratio', [], Float32Array.of(0.9)),
    ints('unused', 1),
    floats('none', 1),
  ]
  await checkOperator({ op: 'Dropout', shape, inputs: ['x', 'ratio'], constants })
})
