/** SiLU in each of its forms becomes HardSwish, and a sigmoid that means something else stays. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Graph } from '../../graph/graph.ts'
import { model, node, value } from '../../onnx/build.ts'
import { writeModel } from '../../onnx/write.ts'
import { openSession } from '../../runtime/session.ts'
import { siluToHardSwish } from './replace-activations.ts'

const net = (nodes: Parameters<typeof model>[0]['nodes']) =>
  model({
    name: 'net',
    inputs: [value('x', 'float32', [1, 7])],
    outputs: [value('y', 'float32', [1, 7])],
    nodes,
  })
const operators = (made: ReturnType<typeof net>) =>
  new Graph(made).nodes.map(({ opType }) => opType).join(' ')

test('x·sigmoid(x) becomes HardSwish, whichever factor comes first', async () => {
  for (const factors of [
    ['x', 's'],
    ['s', 'x'],
  ]) {
    const { model: made, replaced } = siluToHardSwish(
      net([node('Sigmoid', ['x'], ['s']), node('Mul', factors, ['y'])]),
    )
    assert.equal(replaced, 1)
    assert.equal(operators(made), 'HardSwish')
    await using session = await openSession(writeModel(made))
    const data = Float32Array.of(-4, -3, -1, 0, 1, 3, 4)
    const { y } = await session.run({ x: { type: 'float32', dims: [1, 7], data } })
    const wanted = [0, 0, -1 / 3, 0, 2 / 3, 3, 4]
    for (const [at, one] of wanted.entries()) {
      assert.ok(Math.abs(Number(y!.data[at]) - one) < 1e-6, `${y!.data[at]} for ${one}`)
    }
  }
})

test('a gate of something else, or a sigmoid that is read elsewhere, is none', () => {
  const gate = net([
    node('Relu', ['x'], ['r']),
    node('Sigmoid', ['x'], ['s']),
    node('Mul', ['r', 's'], ['y']),
  ])
  assert.throws(() => siluToHardSwish(gate), /the model has no x·sigmoid\(x\)/)
  const twice = net([
    node('Sigmoid', ['x'], ['s']),
    node('Mul', ['x', 's'], ['m']),
    node('Add', ['m', 's'], ['y']),
  ])
  assert.throws(() => siluToHardSwish(twice), /no x·sigmoid/)
})
