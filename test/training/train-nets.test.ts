/** What the bench of training says of its nets. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { choicesOf, forTorch, operationsOf } from '../bench/train-nets.ts'

test('operations of a step are three times those that the paper counts, less the first gradient', () => {
  // 300 M multiplications for one picture of 224 pixels with 1000 classes (Sandler et al., 2018).
  const operations = operationsOf({ net: 'mobilenet-v2', channels: 3, size: 224, batch: 2 })
  const share = operations / (2 * 2 * 3 * 300e6)
  assert.ok(share > 0.95 && share < 1.02, `${share}`)
})

test('each convolution of a net is listed with its formulations', () => {
  const choices = choicesOf({ net: 'mobilenet-v2', channels: 3, size: 96, batch: 16 })
  assert.equal(choices.length, 52)
  assert.equal(choices[0]!.weightGradient, 'exchanged')
  const forwards = new Set(choices.map(({ forward }) => forward))
  assert.deepEqual(forwards, new Set(['volume', 'planes', 'product', 'toeplitz']))
})

test('the other side is told all parameters and no constant', () => {
  const net = JSON.parse(forTorch({ net: 'mobilenet-v2', channels: 3, size: 96, batch: 2 }, 2))
  const count = (shapes: Record<string, number[]>) =>
    Object.values(shapes).reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0)
  // 3,504,872 of the net with 1000 classes, less the 990 that are not told apart here.
  assert.equal(count(net.parameters), 3_504_872 - 990 * 1281)
  assert.equal(Object.keys(net.state).length, 104)
})
