/** PicoDet: the head on four strides, and boxes decoded by the export. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TensorInfo } from '../../runtimes/runtime.ts'
import { Candidates } from '../candidates.ts'
import { picodet } from './picodet.ts'

const output = (name: string, ...shape: number[]): TensorInfo => ({ name, type: 'float32', shape })
const floatsOf = ({ name, shape }: TensorInfo, fill: Record<number, number> = {}) => {
  const data = new Float32Array(shape.reduce<number>((a, b) => a * Number(b), 1))
  for (const [at, value] of Object.entries(fill)) data[Number(at)] = value
  return [name, { type: 'float32', shape: shape.map(Number), data }] as const
}

test('picodet decodes the head of its four strides', () => {
  // 64×64: 8², 4², 2² and 1 cells; scores come first of each size.
  const sides = [8, 4, 2, 1]
  const outputs = [
    ...sides.map((side) => output(`scores${side}`, 1, side * side, 2)),
    ...sides.map((side) => output(`sides${side}`, 1, side * side, 32)),
  ]
  const checked = picodet.check({ width: 64, height: 64, outputs })
  assert('decode' in checked)
  assert.equal(checked.classes, 2)
  // The last cell of stride 32 (the 2×2 map): class 1; each side certainly in bin 1.
  const certain = Object.fromEntries([1, 9, 17, 25].map((bin) => [3 * 32 + bin, 60]))
  const tensors = Object.fromEntries(
    outputs.map((info) =>
      floatsOf(info, info.name === 'scores2' ? { 7: 0.75 } : info.name === 'sides2' ? certain : {}),
    ),
  )
  const candidates = new Candidates()
  checked.decode(tensors, 0.5, candidates)
  assert.equal(candidates.count, 1)
  assert.deepEqual([candidates.classes[0], candidates.scores[0]], [1, 0.75])
  assert.deepEqual([...candidates.corners.subarray(0, 4)], [16, 16, 80, 80])
})

test('picodet takes boxes and scores that the export has decoded', () => {
  const outputs = [output('boxes', 1, 85, 4), output('scores', 1, 2, 85)]
  const checked = picodet.check({ width: 64, height: 64, outputs })
  assert('decode' in checked)
  const box = { 40: 8, 41: 4, 42: 24, 43: 32 }
  const tensors = Object.fromEntries([
    floatsOf(outputs[0]!, box),
    floatsOf(outputs[1]!, { 10: 0.3, 95: 0.8, 11: 0.4 }),
  ])
  const candidates = new Candidates()
  checked.decode(tensors, 0.5, candidates)
  assert.equal(candidates.count, 1)
  assert.deepEqual([candidates.classes[0], candidates.scores[0]], [1, Math.fround(0.8)])
  assert.deepEqual([...candidates.corners.subarray(0, 4)], [8, 4, 24, 32])
})

test('picodet.check() says what it had expected', () => {
  const checked = picodet.check({ width: 64, height: 64, outputs: [output('x', 1, 84, 4)] })
  assert('expected' in checked)
  assert.equal(
    checked.expected,
    'two outputs per stride, [1, cells, classes] and [1, cells, 4 × bins], with 64, 16, 4, 1 cells (strides 8, 16, 32, 64 at 64×64), or boxes [1, 85, 4] and scores [1, classes, 85]',
  )
})
