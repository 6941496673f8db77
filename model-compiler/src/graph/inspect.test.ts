/** What a model is in numbers: counted by hand here, by the program there. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { material, needs } from '../../../test/require.ts'
import { model, node, value } from '../onnx/build.ts'
import { OnnxError, readModel } from '../onnx/read.ts'
import { tensor } from '../onnx/tensor.ts'
import { inspect } from './inspect.ts'

const floats = (name: string, ...dims: number[]) =>
  tensor(name, dims, new Float32Array(dims.reduce((product, dim) => product * dim, 1)))
const parts = {
  name: 'g',
  inputs: [value('x', 'float32', [1, 4, 8, 8])],
  outputs: [value('y', 'float32', [1, 10])],
  initializers: [floats('k', 6, 2, 3, 3), floats('t', 6, 5, 2, 2), floats('w', 5, 10)],
  nodes: [
    node('Conv', ['x', 'k'], ['a'], {
      group: { int: 2 },
      strides: { ints: [2, 2] },
      pads: { ints: [1, 1, 1, 1] },
    }),
    node('ConvTranspose', ['a', 't'], ['b'], { strides: { ints: [2, 2] } }),
    node('GlobalAveragePool', ['b'], ['p']),
    node('Flatten', ['p'], ['f']),
    node('MatMul', ['f', 'w'], ['y']),
  ],
}

test('inspect() counts operators, parameters and multiplications', () => {
  const found = inspect(model(parts))
  assert.equal(found.parameters, 6 * 2 * 9 + 6 * 5 * 4 + 50)
  assert.equal(found.weightBytes, 4 * found.parameters)
  // a is 1×6×4×4, b is 1×5×8×8.
  assert.equal(found.macs, 6 * 4 * 4 * (2 * 9) + 6 * 4 * 4 * (5 * 4) + 5 * 10)
  assert.equal(found.macsUnknown, 0)
  assert.deepEqual(found.opsets, { '': 17 })
  assert.deepEqual(found.inputs, [{ name: 'x', type: 'float32', shape: [1, 4, 8, 8] }])
  assert.deepEqual([found.faults, found.warnings], [[], []])
})

test('inspect() warns of what may surprise, and lists what is wrong', () => {
  const free = inspect(
    model({
      ...parts,
      inputs: [value('x', 'float32', ['n', 4, 'h', 'w'])],
      initializers: [...parts.initializers, floats('idle', 3)],
    }),
  )
  assert.deepEqual(free.warnings, [
    'input "x" has free dimensions; fix them to compile for one shape',
    'the work of 2 nodes is not known, because their shapes are not',
    '1 constants are read by nothing',
  ])
  const wrong = inspect(model({ ...parts, nodes: [node('Reluu', ['x'], ['y'])] }))
  assert.match(wrong.faults[0]!, /operator "Reluu" .*did you mean "Relu"\?/)
  const twice = [node('Relu', ['x'], ['y']), node('Relu', ['x'], ['y'])]
  assert.throws(
    () => inspect(model({ ...parts, nodes: twice })),
    (error) => error instanceof OnnxError && /made twice/.test(error.message),
  )
})

test('inspect() finds the published work of real models', needs('material'), () => {
  const at = (file: string) => inspect(readModel(readFileSync(`${material}/models/${file}`)))
  // Its authors say 1.08 GFLOPs at 416×416, which counts a multiplication and an addition as two.
  const yolox = at('yolox_nano_416.onnx')
  assert.ok(Math.abs(yolox.macs / 0.54e9 - 1) < 0.05, String(yolox.macs))
  assert.equal(yolox.operators.Conv, 113)
  assert.equal(at('mnist-8_cntk.onnx').warnings.length, 1)
})
