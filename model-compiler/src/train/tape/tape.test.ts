/** The tape by itself: what losses are written with, and what it refuses. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verify } from '../../graph/verify.ts'
import { writeModel } from '../../onnx/write.ts'
import { sequence } from '../../passes/equivalence.ts'
import { openSession, type Value } from '../../runtime/session.ts'
import { peakBytes } from './memory.ts'
import { type Sym, Tape } from './tape.ts'

const random = (length: number, seed: number): Float32Array => {
  const next = sequence(seed)
  return Float32Array.from({ length }, () => next() * 2 - 1)
}

/**
 * Compares gradients with differences that the runtime itself computes, of functions whose values it computes in float32: so
 * the tolerance is wide. What has an operator in ONNX is held against doubles beside the operators.
 */
async function agrees(
  shapes: readonly (readonly number[])[],
  write: (tape: Tape, inputs: readonly Sym[]) => Sym,
): Promise<void> {
  const tape = new Tape()
  const inputs = shapes.map((shape, at) =>
    tape.input(`x${at}`, 'float32', shape, { needsGradient: true }),
  )
  const result = write(tape, inputs)
  const weights = tape.constant(
    result.shape,
    random(
      result.shape.reduce((a, b) => a * b, 1),
      99,
    ),
  )
  const total = tape.reduceSum(tape.mul(result, weights))
  const gradients = tape.gradients(total, inputs)
  const outputs = Object.fromEntries(
    gradients.map((one, at) => [`g${at}`, one ?? tape.zeros(shapes[at]!)]),
  )
  const model = tape.toModel('test', { total, ...outputs })
  verify(model)
  await using session = await openSession(writeModel(model))
  const data = shapes.map((shape, at) =>
    random(
      shape.reduce((a, b) => a * b, 1),
      at + 1,
    ),
  )
  const run = async (wanted?: readonly string[]) => {
    const feeds = shapes.map((dims, at): [string, Value] => [
      `x${at}`,
      { type: 'float32', dims, data: data[at]! },
    ])
    return session.run(Object.fromEntries(feeds), wanted)
  }
  const found = await run()
  for (const [at, numbers] of data.entries()) {
    for (let index = 0; index < numbers.length; index += Math.ceil(numbers.length / 5)) {
      const before = numbers[index]!
      const h = 2 ** -7
      numbers[index] = before + h
      const above = Number((await run(['total'])).total!.data[0])
      numbers[index] = before - h
      const below = Number((await run(['total'])).total!.data[0])
      numbers[index] = before
      const expected = (above - below) / (2 * h)
      const gradient = Number(found[`g${at}`]!.data[index])
      assert.ok(
        Math.abs(gradient - expected) < 4e-3 * Math.max(1, Math.abs(expected)),
        `x${at}[${index}]: ${gradient}, by differences ${expected}`,
      )
    }
  }
}

test('one element for each index, as a loss picks the logit of a label', async () => {
  await agrees([[3, 4]], (tape, [x]) => {
    const labels = tape.constant([3, 1], [2, 0, 2], { type: 'int64' })
    return tape.gatherElements(tape.logSoftmax(x!, 1), labels, 1)
  })
})
test('rows picked by indices that are fed', async () => {
  await agrees([[4, 3]], (tape, [x]) => {
    const scores = tape.stopGradient(tape.reduceSum(x!, [1]))
    const [, best] = tape.emitSeveral('TopK', [scores, tape.ints([2])], 2)
    return tape.gather(x!, best!, 0)
  })
})
test('a box loss: extremes, quotients, clipping, arc tangent', async () => {
  await agrees(
    [
      [6, 4],
      [6, 4],
    ],
    (tape, [a, b]) => {
      const [ax, , aw] = tape.split(a!, [1, 1, 2], 1)
      const [bx, , bw] = tape.split(b!, [1, 1, 2], 1)
      const width = tape.add(tape.abs(aw!), 0.5)
      const overlap = tape.relu(tape.sub(tape.add(tape.min(ax!, bx!), 1), tape.max(ax!, bx!)))
      const angle = tape.atan(tape.div(tape.exp(bw!), width))
      return tape.mul(tape.clip(tape.mul(overlap, overlap), 0.01), angle)
    },
  )
})
test('of several largest values each has its share', async () => {
  const tape = new Tape()
  const x = tape.input('x', 'float32', [1, 4], { needsGradient: true })
  const [gradient] = tape.gradients(tape.reduceSum(tape.reduceMax(x, [1])), [x])
  await using session = await openSession(writeModel(tape.toModel('ties', { gradient: gradient! })))
  const { gradient: found } = await session.run({
    x: { type: 'float32', dims: [1, 4], data: Float32Array.of(2, 1, 2, 0) },
  })
  assert.deepEqual([...found!.data], [0.5, 0, 0.5, 0])
})
test('nothing flows through what is stopped, and a value that is watched has a gradient of its own', () => {
  const tape = new Tape()
  const x = tape.input('x', 'float32', [2], { needsGradient: true })
  const frozen = tape.input('frozen', 'float32', [2])
  const stopped = tape.reduceSum(tape.mul(tape.stopGradient(x), frozen))
  assert.deepEqual(tape.gradients(stopped, [x]), [undefined])
  const watched = tape.watch(tape.mul(frozen, 2))
  const [gradient] = tape.gradients(tape.reduceSum(tape.exp(watched)), [watched])
  assert.deepEqual(gradient?.shape, [2])
})
test('equal constants stand in the graph once, and what nothing needs not at all', () => {
  const tape = new Tape()
  const x = tape.input('x', 'float32', [3], { needsGradient: true })
  assert.equal(tape.scalar(2), tape.scalar(2))
  assert.notEqual(tape.scalar(0), tape.scalar(-0))
  tape.exp(x)
  const y = tape.add(tape.mul(x, 2), 2)
  const { graph } = tape.toModel('small', { y, same: y, x })
  assert.deepEqual(
    graph!.node.map(({ opType }) => opType),
    ['Mul', 'Add', 'Identity', 'Identity'],
  )
  assert.equal(graph!.initializer.length, 1)
})
test('what does not fit is refused by name', () => {
  const tape = new Tape()
  const x = tape.input('x', 'float32', [2, 3], { needsGradient: true })
  const y = tape.input('y', 'float32', [4, 5])
  assert.throws(() => tape.add(x, y), /Cannot add Add "add" of 2×3, 4×5 to the step graph: shapes/)
  assert.throws(() => tape.input('x', 'float32', []), /Cannot add input "x".*the name is taken/)
  assert.throws(
    () => tape.gradients(x, [x]),
    /Cannot differentiate "x": it is float32 2×3, not one float32/,
  )
  const wrong = tape.record([x], tape.emit('Neg', [x]), () => [tape.scalar(1)])
  assert.throws(
    () => tape.gradients(tape.reduceSum(wrong), [x]),
    /through "neg": the gradient of "x" came back as float32 scalar for float32 2×3/,
  )
})
test('the estimate of memory grows with what is alive at a time, not with how much there is', () => {
  const bytesOf = (layers: number, length: number, needsGradient: boolean) => {
    const tape = new Tape()
    let x = tape.input('x', 'float32', [length], { needsGradient })
    const first = x
    for (let layer = 0; layer < layers; layer++) x = tape.sigmoid(x)
    const total = tape.reduceSum(x)
    const [gradient] = needsGradient ? tape.gradients(total, [first]) : []
    const model = tape.toModel('chain', { total, ...(gradient && { gradient }) })
    return peakBytes(model, (name) => tape.symOf(name))
  }
  const length = 2 ** 20
  assert.equal(bytesOf(3, length, false), bytesOf(30, length, false))
  const kept = bytesOf(30, length, true) - bytesOf(3, length, true)
  // The way back needs the result of each layer: 27 more of 4 MB each, and what the arena adds.
  assert.ok(kept > 27 * 4 * length && kept < 2 * 27 * 4 * length, `${kept}`)
})
