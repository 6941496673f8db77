/** Times that can be believed: the slower model is found slower, and the work is found where it is. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { model, node, value } from '../onnx/build.ts'
import { OnnxError } from '../onnx/read.ts'
import { tensor } from '../onnx/tensor.ts'
import { writeModel } from '../onnx/write.ts'
import { comparePairs } from './compare-pairs.ts'
import { profileOperators } from './profile.ts'

const size = 320
const dims = [size, size]

/** So many matrix products after each other, and one Relu. */
const products = (count: number) =>
  writeModel(
    model({
      name: `${count} products`,
      inputs: [value('x', 'float32', dims)],
      outputs: [value('y', 'float32', dims)],
      initializers: [tensor('w', dims, new Float32Array(size * size).fill(1 / size))],
      nodes: [
        ...Array.from({ length: count }, (_, at) =>
          node('MatMul', [`${at || 'x'}`, 'w'], [`${at + 1}`]),
        ),
        node('Relu', [`${count}`], ['y']),
      ],
    }),
  )
const feeds = { x: { type: 'float32', dims, data: new Float32Array(size * size).fill(1) } } as const

/** What this process has computed: others on a busy machine do not count. */
const clock = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

test('four times the work takes several times as long, and a model is as fast as itself', async () => {
  const { medianRatio, ratioQuartiles, aMs, bMs, ratios } = await comparePairs(
    ...([products(8), products(2), feeds, { seconds: 60, pairs: 20, clock }] as const),
  )
  assert.ok(medianRatio > 2 && medianRatio < 8, `${medianRatio}`)
  assert.ok(aMs > bMs)
  assert.equal(ratios.length, 20)
  assert.ok(ratioQuartiles[0] <= medianRatio && medianRatio <= ratioQuartiles[1])
  const same = await comparePairs(products(4), products(4), feeds, {
    seconds: 60,
    pairs: 40,
    clock,
  })
  assert.ok(same.medianRatio > 0.7 && same.medianRatio < 1.4, `${same.medianRatio}`)
})

test('the time ends a comparison, but not before there is a median', async () => {
  const { ratios } = await comparePairs(products(2), products(2), feeds, { seconds: 0.001 })
  assert.equal(ratios.length, 5)
})

test('a comparison ends when it is aborted, and refuses what it cannot do', async () => {
  const aborted = comparePairs(products(2), products(2), feeds, {
    seconds: 600,
    pairs: 1e9,
    signal: AbortSignal.timeout(200),
  })
  await assert.rejects(aborted, { name: 'TimeoutError' })
  await assert.rejects(
    comparePairs(products(1), products(1), feeds, { seconds: 0 }),
    (error) => error instanceof OnnxError && /in 0 seconds/.test(error.message),
  )
  const other = { x: { ...feeds.x, dims: [1, size * size] } }
  await assert.rejects(
    comparePairs(products(1), products(1), feeds, { feedsOfB: other }),
    OnnxError,
  )
})

test('a profile says which operators take the time', async () => {
  const { totalMs, operators, nodes } = await profileOperators(products(3), feeds, { runs: 4 })
  assert.equal(operators[0]?.opType, 'MatMul')
  assert.equal(operators[0]?.count, 3)
  assert.ok(operators[0].ms > totalMs / 2 && operators[0].ms <= totalMs)
  assert.equal(nodes.length, 4)
  assert.deepEqual(operators.map(({ opType }) => opType).toSorted(), ['MatMul', 'Relu'])
  await assert.rejects(profileOperators(products(1), feeds, { signal: AbortSignal.abort() }), {
    name: 'AbortError',
  })
})
