/** The runtime behind the compiler: runs, dumps, profiles, refuses. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { model, node, value } from '../onnx/build.ts'
import { OnnxError, readModel } from '../onnx/read.ts'
import { tensor } from '../onnx/tensor.ts'
import { writeModel } from '../onnx/write.ts'
import { openSession } from './session.ts'

const doubling = writeModel(
  model({
    name: 'doubling',
    inputs: [value('x', 'float32', ['n']), value('k', 'int64', [1])],
    outputs: [value('y', 'float32', ['n']), value('i', 'int64', [1])],
    initializers: [tensor('two', [1], new Float32Array([2]))],
    nodes: [node('Mul', ['x', 'two'], ['y']), node('Identity', ['k'], ['i'])],
  }),
)
const feeds = {
  x: { type: 'float32', dims: [3], data: new Float32Array([1, 2, 3]) },
  k: { type: 'int64', dims: [1], data: new BigInt64Array([7n]) },
} as const

test('a session runs a model, all outputs or those that are wanted', async () => {
  await using session = await openSession(doubling)
  assert.deepEqual(session.inputs[0], { name: 'x', type: 'float32', shape: ['n'] })
  const { y, i } = await session.run(feeds)
  assert.deepEqual(y, { type: 'float32', dims: [3], data: new Float32Array([2, 4, 6]) })
  assert.deepEqual(i?.data, new BigInt64Array([7n]))
  assert.deepEqual(Object.keys(await session.run(feeds, ['i'])), ['i'])
})

test('a session refuses what is no model and what does not fit', async () => {
  await assert.rejects(openSession(new Uint8Array([1, 2, 3])), OnnxError)
  await using session = await openSession(doubling)
  await assert.rejects(
    session.run({ ...feeds, x: { type: 'int64', dims: [1], data: new BigInt64Array(1) } }),
    /Cannot run the model: .*x/,
  )
})

test('a session shows what the runtime made of the graph, and where time went', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-session-'))
  t.after(() => rm(folder, { recursive: true }))
  const dumpTo = join(folder, 'dump.onnx')
  await using session = await openSession(doubling, {
    dumpTo,
    profileTo: join(folder, 'profile'),
    level: 'basic',
  })
  await session.run(feeds)
  session.endProfiling()
  const made = readModel(await readFile(dumpTo)).graph!.node.map(({ opType }) => opType)
  assert.ok(made.includes('Mul'))
  const profile = (await readdir(folder)).find((name) => name.startsWith('profile'))!
  assert.match(await readFile(join(folder, profile), 'utf8'), /"Mul/)
})

test('numbers of 16 bits go in and come out as what they are', async () => {
  const half = model({
    name: 'half',
    inputs: [value('x', 'float16', [2])],
    outputs: [value('y', 'float16', [2])],
    nodes: [node('Neg', ['x'], ['y'])],
  })
  await using session = await openSession(writeModel(half))
  const whole = Float16Array.of(9, 1.5, -2)
  const { y } = await session.run({
    x: { type: 'float16', dims: [2], data: whole.subarray(1) },
  })
  assert.deepEqual(y, { type: 'float16', dims: [2], data: Float16Array.of(-1.5, 2) })
})
