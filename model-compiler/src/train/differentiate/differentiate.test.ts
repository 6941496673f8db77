/** A model becomes a training step whose gradients are right. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { needs } from '../../../../test/require.ts'
import { checkGradient, runStep } from '../../../../test/training/check-gradient.ts'
import { evaluate, trainingOperators } from '../../../../test/training/doubles.ts'
import { floats, ints, randomTensor } from '../../../../test/training/operator-net.ts'
import { randomNet } from '../../../../test/training/random-net.ts'
import { model, node, value } from '../../onnx/build.ts'
import type { ModelProto } from '../../onnx/schema.ts'
import { tensor } from '../../onnx/tensor.ts'
import { writeModel } from '../../onnx/write.ts'
import { openSession, type Value } from '../../runtime/session.ts'
import type { Tape } from '../tape/tape.ts'
import { type DifferentiateOptions, differentiate } from './differentiate.ts'
import { freezeDepth, freezePrefix, trainableParameters } from './freezing.ts'

/** Two convolutions and a dense layer. */
const net = (): ModelProto =>
  model({
    name: 'net',
    inputs: [value('x', 'float32', ['n', 1, 10, 10])],
    outputs: [value('y', 'float32', ['n', 5])],
    initializers: [
      randomTensor('conv1.w', [4, 1, 3, 3], 1),
      randomTensor('conv1.b', [4], 2),
      randomTensor('conv2.w', [6, 4, 3, 3], 3, 0.5),
      randomTensor('conv2.b', [6], 4),
      randomTensor('fc.w', [5, 24], 5, 0.3),
      randomTensor('fc.b', [5], 6),
    ],
    nodes: [
      node('Conv', ['x', 'conv1.w', 'conv1.b'], ['a'], { pads: { ints: [1, 1, 1, 1] } }),
      node('Relu', ['a'], ['b']),
      node('MaxPool', ['b'], ['c'], { kernel_shape: { ints: [2, 2] }, strides: { ints: [2, 2] } }),
      node('Conv', ['c', 'conv2.w', 'conv2.b'], ['d'], { strides: { ints: [2, 2] } }),
      node('Relu', ['d'], ['e']),
      node('Flatten', ['e'], ['f']),
      node('Gemm', ['f', 'fc.w', 'fc.b'], ['y'], { transB: { int: 1 } }),
    ],
  })

const sumOfSquares: DifferentiateOptions['loss'] = (tape, outputs) => {
  const sums = Object.values(outputs).map((one) => tape.reduceSum(tape.mul(one, one)))
  return { total: sums.reduce((a, b) => tape.add(a, b)) }
}
const everything: DifferentiateOptions = {
  batch: 2,
  trainable: () => true,
  batchNorm: 'frozen',
  loss: sumOfSquares,
}
const random = (name: string, dims: readonly number[], seed = 7): Value => {
  const data = new Float32Array(randomTensor(name, dims, seed).rawData.slice().buffer)
  return { type: 'float32', dims, data }
}

test('a small convolutional net: every gradient agrees with differences in doubles', async () => {
  const { step } = await checkGradient(net())
  assert.deepEqual(
    step.parameters.map(({ name, offset, channelAxis }) => [name, offset, channelAxis]),
    [
      ['conv1.w', 0, 0],
      ['conv1.b', 36, 0],
      ['conv2.w', 40, 0],
      ['conv2.b', 256, 0],
      ['fc.w', 262, 0],
      ['fc.b', 382, 0],
    ],
  )
})

test('small parameters travel as one, large ones as views of their own', async () => {
  const wide = model({
    name: 'wide',
    inputs: [value('x', 'float32', ['n', 70])],
    outputs: [value('y', 'float32', ['n', 2])],
    initializers: [
      randomTensor('large', [70, 60], 1, 0.1),
      randomTensor('bias', [60], 2),
      randomTensor('last', [60, 2], 3, 0.1),
    ],
    nodes: [
      node('Gemm', ['x', 'large', 'bias'], ['a']),
      node('Tanh', ['a'], ['b']),
      node('MatMul', ['b', 'last'], ['y']),
    ],
  })
  const { step } = await checkGradient(wide)
  assert.deepEqual(
    step.parameters.map(({ name, offset }) => [name, offset]),
    [
      ['bias', 0],
      ['last', 60],
      ['large', 180],
    ],
  )
  assert.deepEqual(
    step.inputs.map(({ name, shape }) => [name, shape]),
    [
      ['parameters/small', [180]],
      ['large', [70, 60]],
    ],
  )
})

test('what is frozen is a constant, and nothing is computed for it', async () => {
  const model = net()
  const whole = differentiate(model, everything)
  const trainable = freezePrefix('conv1.')
  const step = differentiate(model, { ...everything, trainable })
  assert.ok(step.parameters.every(({ name }) => !name.startsWith('conv1.')))
  const { initializer = [], node = [] } = step.model.graph!
  assert.ok(initializer.some(({ name }) => name === 'conv1.w'))
  // Back from the second convolution no gradient goes to what it reads.
  const forwardOf = (name: string) => node.filter(({ output }) => output.includes(name)).length
  assert.equal(forwardOf('a'), 1)
  assert.ok(node.length < whole.model.graph!.node.length * 0.7)
  const feeds = { x: random('x', [2, 1, 10, 10]) }
  const all = await runStep(whole, feeds)
  const some = await runStep(step, feeds)
  assert.ok(Math.abs(all.loss - some.loss) < 1e-4 * all.loss)
  for (const { name, offset, elements } of step.parameters) {
    const other = whole.parameters.find((one) => one.name === name)!
    const expected = all.gradient.subarray(other.offset, other.offset + elements)
    const found = some.gradient.subarray(offset, offset + elements)
    for (const [at, one] of found.entries()) {
      assert.ok(Math.abs(one - expected[at]!) < 1e-3 * Math.max(1, Math.abs(expected[at]!)), name)
    }
  }
})

test('freezeDepth() leaves the last layers, with all that stands behind them', () => {
  const names = trainableParameters(net()).map(({ name, depth }) => `${name} ${depth}`)
  assert.deepEqual(names, [
    ...['conv1.w 0', 'conv1.b 0', 'conv2.w 1', 'conv2.b 1', 'fc.w 2', 'fc.b 2'],
  ])
  const moving = (layers: number, cut?: readonly string[]) => {
    const moves = freezeDepth(net(), layers, { ...(cut && { cut }) })
    return trainableParameters(net())
      .map(({ name }) => name)
      .filter(moves)
  }
  assert.deepEqual(moving(1), ['fc.w', 'fc.b'])
  assert.deepEqual(moving(2), ['conv2.w', 'conv2.b', 'fc.w', 'fc.b'])
  assert.deepEqual(moving(0), [])
  assert.equal(moving(9).length, 6)
  assert.deepEqual(moving(1, ['d']), ['conv2.w', 'conv2.b'])
})

test('a cut ends the model where the loss is put on, and drops what lies behind', async () => {
  const { step } = await checkGradient(net(), { cut: ['d', 'b'] })
  assert.deepEqual(
    step.parameters.map(({ name }) => name),
    ['conv1.w', 'conv1.b', 'conv2.w', 'conv2.b'],
  )
  assert.throws(
    () => differentiate(net(), { ...everything, cut: ['dd'] }),
    /Cannot end the model at "dd": no node makes it; did you mean "d"\?/,
  )
})

/** Both layers read one weight; `b` is given out through Identity, as exporters do with equal values. */
const tied = () =>
  model({
    name: 'tied',
    inputs: [value('x', 'float32', ['n', 4])],
    outputs: [value('y', 'float32', ['n', 4])],
    initializers: [randomTensor('w', [4, 4], 1), randomTensor('b', [4], 2)],
    nodes: [
      node('Identity', ['b'], ['b2']),
      node('Gemm', ['x', 'w', 'b'], ['a']),
      node('Tanh', ['a'], ['c']),
      node('Gemm', ['c', 'w', 'b2'], ['y']),
    ],
  })
test('a weight that two layers read gets both gradients; equal values behind Identity are apart', async () => {
  const { step } = await checkGradient(tied())
  assert.deepEqual(
    step.parameters.map(({ name }) => name),
    ['w', 'b', 'b2'],
  )
})

test('numbers of activations and of pixels are no parameters', () => {
  const gated = model({
    name: 'gated',
    inputs: [value('x', 'float32', ['n', 3, 4, 4])],
    outputs: [value('y', 'float32', ['n', 3, 4, 4])],
    initializers: [
      randomTensor('mean', [3, 1, 1], 1),
      randomTensor('w', [3, 3, 1, 1], 2),
      floats('three', 3),
      tensor('six', [], Float32Array.of(6)),
      tensor('zero', [], Float32Array.of(0)),
    ],
    nodes: [
      node('Sub', ['x', 'mean'], ['a']),
      node('Conv', ['a', 'w'], ['b']),
      node('Add', ['b', 'three'], ['c']),
      node('Clip', ['c', 'zero', 'six'], ['d']),
      node('Mul', ['b', 'd'], ['e']),
      node('Div', ['e', 'six'], ['y']),
    ],
  })
  const names = trainableParameters(gated).map(({ name }) => name)
  assert.deepEqual(names, ['w'])
})

test('a bias that begins with zeros and a scale that begins with ones are trained', async () => {
  const fresh = model({
    name: 'fresh',
    inputs: [value('x', 'float32', ['n', 3])],
    outputs: [value('y', 'float32', ['n', 4])],
    initializers: [
      randomTensor('w', [3, 4], 1),
      tensor('b', [4], new Float32Array(4)),
      tensor('g', [4], new Float32Array(4).fill(1)),
      tensor('one', [], Float32Array.of(1)),
    ],
    nodes: [
      node('MatMul', ['x', 'w'], ['a']),
      node('Add', ['a', 'b'], ['c']),
      node('Mul', ['c', 'one'], ['d']),
      node('Mul', ['d', 'g'], ['y']),
    ],
  })
  const { step } = await checkGradient(fresh)
  assert.deepEqual(
    step.parameters.map(({ name }) => name),
    ['w', 'b', 'g'],
  )
})

test('pictures in bytes have no gradient, and weights in float16 are not trained', () => {
  const bytes = model({
    name: 'bytes',
    inputs: [value('x', 'uint8', ['n', 3])],
    outputs: [value('y', 'float32', ['n', 4])],
    initializers: [randomTensor('w', [3, 4], 1)],
    nodes: [node('Cast', ['x'], ['f'], { to: { int: 1 } }), node('MatMul', ['f', 'w'], ['y'])],
  })
  assert.equal(differentiate(bytes, everything).parameters.length, 1)
  assert.equal(
    differentiate(bytes, { ...everything, gradientsOf: ['f'] }).outputs.gradients.f,
    'gradient-of/f',
  )
  assert.throws(
    () => differentiate(bytes, { ...everything, inputGradient: true }),
    /Cannot give the gradient of "x": it holds uint8/,
  )
  bytes.graph!.initializer = [tensor('w', [3, 4], new Float16Array(12))]
  bytes.graph!.node[0] = node('Cast', ['x'], ['f'], { to: { int: 10 } })
  assert.throws(() => differentiate(bytes, everything), /it has no weights in float32/)
})

test('every node that cannot be differentiated is named at once, and what to do', () => {
  const odd = model({
    name: 'odd',
    inputs: [value('x', 'float32', ['n', 4, 6, 6])],
    outputs: [value('y', 'float32', ['n', 4, 12, 12])],
    initializers: [randomTensor('w', [4, 4, 1, 1], 1), floats('scales', 1, 1, 2, 2), ints('k', 3)],
    nodes: [
      node('Round', ['x'], ['frozen']),
      node('Conv', ['frozen', 'w'], ['a']),
      node('Round', ['a'], ['b']),
      node('Resize', ['b', '', 'scales'], ['c'], { mode: { string: 'cubic' } }),
      node('Relu', ['c'], ['y']),
    ],
  })
  assert.throws(
    () => differentiate(odd, everything),
    (error: Error) => {
      assert.equal(
        error.message,
        [
          'Cannot differentiate the model at 2 nodes:',
          '  "Round:b" (Round): no gradient is known',
          '  "Resize:c" (Resize): its mode is "cubic"',
          'Freeze the parameters before them, end the model before them, or train it elsewhere.',
        ].join('\n'),
      )
      return true
    },
  )
  assert.throws(
    () => differentiate(net(), { ...everything, trainable: () => false }),
    /none of its 6 parameters is to be trained/,
  )
})

test('inputs without lengths are refused, and take those that are given', () => {
  const free = net()
  free.graph!.input[0] = value('x', 'float32', ['n', 1, 'h', 'w'])
  assert.throws(() => differentiate(free, everything), /its input "x" has the shape n×1×h×w/)
  const step = differentiate(free, { ...everything, inputShapes: { x: [2, 1, 10, 10] } })
  assert.deepEqual(step.dataInputs[0]?.shape, [2, 1, 10, 10])
})

test('values and gradients of inner values are given out with the axes of the model', async () => {
  const step = differentiate(net(), {
    ...everything,
    trainable: () => false,
    values: ['e'],
    gradientsOf: ['e'],
    inputGradient: true,
    loss: (tape: Tape, { y }) => ({
      total: tape.reduceSum(tape.mul(y!, 2)),
      terms: { y: tape.reduceSum(y!) },
    }),
  })
  const { outputs, loss } = await runStep(step, { x: random('x', [2, 1, 10, 10]) })
  const e = outputs[step.outputs.values.e!]!
  const gradient = outputs[step.outputs.gradients.e!]!
  assert.deepEqual(
    [e.dims, gradient.dims],
    [
      [2, 6, 2, 2],
      [2, 6, 2, 2],
    ],
  )
  assert.deepEqual(outputs[step.outputs.gradients.x!]!.dims, [2, 1, 10, 10])
  // Behind `e` there is one matrix: its columns, summed over the five outputs, twice.
  const weights = new Float32Array(randomTensor('fc.w', [5, 24], 5, 0.3).rawData.slice().buffer)
  for (const [at, found] of (gradient.data as Float32Array).entries()) {
    let expected = 0
    for (let row = 0; row < 5; row++) expected += 2 * weights[row * 24 + (at % 24)]!
    assert.ok(Math.abs(found - expected) < 1e-5, `${at}: ${found}, ${expected}`)
  }
  assert.ok(Math.abs(loss - 2 * Number(outputs[step.outputs.terms.y!]!.data[0])) < 1e-4)
})

/** With BatchNorm, a weight in a Constant node, and one behind an Identity. */
const trainedForm = () =>
  model({
    name: 'master',
    opset: 13,
    inputs: [value('x', 'float32', [1, 3, 6, 6])],
    outputs: [value('y', 'float32', [1, 2])],
    initializers: [
      randomTensor('w', [4, 3, 3, 3], 1, 0.4),
      ...['scale', 'shift'].map((name, at) => randomTensor(name, [4], at + 2, 0.5, 1)),
      randomTensor('mean', [4], 4, 0.1),
      randomTensor('variance', [4], 5, 0.3, 1),
      randomTensor('b', [2], 6),
      ints('flat', 1, -1),
    ],
    metadata: { labels: 'cat,dog' },
    nodes: [
      node('Constant', [], ['v'], { value: { tensor: randomTensor('', [144, 2], 7, 0.1) } }),
      node('Identity', ['b'], ['bias']),
      node('Conv', ['x', 'w'], ['a'], { pads: { ints: [1, 1, 1, 1] } }),
      node('BatchNormalization', ['a', 'scale', 'shift', 'mean', 'variance'], ['n'], {
        momentum: { float: 0.8 },
      }),
      node('Relu', ['n'], ['r']),
      node('Dropout', ['r'], ['d']),
      node('Reshape', ['d', 'flat'], ['f']),
      node('Gemm', ['f', 'v', 'bias'], ['y']),
    ],
  })

test('write() puts parameters and running figures back: run plainly, the model gives what the step gave', async () => {
  const step = differentiate(trainedForm(), { ...everything, batch: 3, values: ['y'] })
  assert.equal(step.state.length, 0)
  const parameters = step.initial.parameters.map((one, at) => one + 0.05 * Math.sin(at))
  const x = random('x', [3, 3, 6, 6])
  const { outputs } = await runStep(step, { x }, parameters)
  const written = step.write(parameters, step.initial.state)
  assert.equal(written.metadataProps[0]?.value, 'cat,dog')
  assert.deepEqual(
    written.graph!.node.map(({ opType }) => opType),
    ['Conv', 'BatchNormalization', 'Relu', 'Dropout', 'Reshape', 'Gemm'],
  )
  await using session = await openSession(writeModel(written))
  const found: number[] = []
  for (let sample = 0; sample < 3; sample++) {
    const data = (x.data as Float32Array).slice(sample * 108, (sample + 1) * 108)
    const { y } = await session.run({ x: { type: 'float32', dims: [1, 3, 6, 6], data } })
    found.push(...(y!.data as Float32Array))
  }
  const expected = outputs[step.outputs.values.y!]!.data as Float32Array
  assert.deepEqual(outputs[step.outputs.values.y!]!.dims, [3, 2])
  for (const [at, one] of found.entries()) assert.ok(Math.abs(one - expected[at]!) < 1e-5)
  assert.throws(
    () => step.write(parameters.subarray(1), step.initial.state),
    /Cannot write \d+ values into the model: it takes \d+/,
  )
})

test('BatchNorm by the batch gives its figures out, in the order of the state', async () => {
  const step = differentiate(trainedForm(), { ...everything, batch: 3, batchNorm: 'train' })
  assert.deepEqual(
    step.state.map(({ name, offset, elements, momentum }) => [
      name,
      offset,
      elements,
      Math.fround(momentum),
    ]),
    [
      ['mean', 0, 4, Math.fround(0.8)],
      ['variance', 4, 4, Math.fround(0.8)],
    ],
  )
  const { outputs } = await runStep(step, { x: random('x', [3, 3, 6, 6]) })
  const figures = outputs[step.state[0]!.output]!.data as Float32Array
  const written = step.write(step.initial.parameters, figures)
  const again = differentiate(written, { ...everything, batch: 3, batchNorm: 'train' })
  assert.deepEqual(again.initial.state, figures)
  // Normalized by running figures that are those of the batch, it comes to the same.
  const frozen = differentiate(written, { ...everything, batch: 3 })
  const feeds = { x: random('x', [3, 3, 6, 6]) }
  const [byBatch, byFigures] = [await runStep(step, feeds), await runStep(frozen, feeds)]
  assert.ok(Math.abs(byBatch.loss - byFigures.loss) < 1e-4 * byBatch.loss)
})

test('a model that was exported for one picture is trained on several', async () => {
  const shuffled = model({
    name: 'shuffled',
    inputs: [value('x', 'float32', [1, 4, 3, 3])],
    outputs: [value('y', 'float32', [1, 18])],
    initializers: [
      randomTensor('w', [4, 4, 1, 1], 1),
      // As ShuffleNet does it: the batch counts into the first length, then no longer stands first.
      ints('apart', 2, 2, 9),
      ints('together', 2, -1, 2, 3, 3),
      tensor('one', [], BigInt64Array.of(1n)),
      ints('flat', 1, 18),
    ],
    nodes: [
      node('Conv', ['x', 'w'], ['c']),
      node('Reshape', ['c', 'apart'], ['a']),
      node('Transpose', ['a'], ['t'], { perm: { ints: [1, 0, 2] } }),
      node('Reshape', ['t', 'together'], ['s']),
      node('Gather', ['s', 'one'], ['g'], { axis: { int: 0 } }),
      node('Reshape', ['g', 'flat'], ['y']),
    ],
  })
  const step = differentiate(shuffled, { ...everything, batch: 3, values: ['y'] })
  const x = random('x', [3, 4, 3, 3])
  const { outputs } = await runStep(step, { x })
  const found = outputs[step.outputs.values.y!]!
  assert.deepEqual(found.dims, [3, 18])
  await using session = await openSession(writeModel(shuffled))
  for (let sample = 0; sample < 3; sample++) {
    const data = (x.data as Float32Array).slice(sample * 36, (sample + 1) * 36)
    const { y } = await session.run({ x: { type: 'float32', dims: [1, 4, 3, 3], data } })
    for (const [at, one] of (y!.data as Float32Array).entries()) {
      assert.ok(Math.abs(one - Number(found.data[sample * 18 + at])) < 1e-5)
    }
  }
})

const nets = fc
  .array(fc.record({ layer: fc.nat(1000), from: fc.nat(1000), seed: fc.nat(1_000_000) }), {
    minLength: 1,
    maxLength: 9,
  })
  .map(randomNet)
const agree = (seed: number, numRuns: number) =>
  fc.assert(
    fc.asyncProperty(nets, async (net) => {
      await checkGradient(net, { tried: 3, batch: 2 })
    }),
    // Making a failure smaller would take longer than reading it.
    { seed, numRuns, endOnFailure: true },
  )
test('random nets agree with differences in doubles', async () => {
  await agree(20, 12)
})
test('random nets agree in training, where BatchNorm looks at the whole batch', async () => {
  await fc.assert(
    fc.asyncProperty(nets, async (net) => {
      await checkGradient(net, {
        tried: 3,
        batch: 4,
        batchNorm: 'train',
        tolerance: 5e-4,
        evaluateWith: (model, given) => evaluate(model, given, trainingOperators),
      })
    }),
    { seed: 21, numRuns: 6, endOnFailure: true },
  )
})
test('many random nets agree with differences in doubles', needs('time'), async (t) => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  t.diagnostic(`seed ${seed}`)
  await agree(seed, 150)
})
