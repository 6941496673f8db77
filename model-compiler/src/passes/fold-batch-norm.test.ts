/** BatchNormalization into weights: after and before each linear operator, and where it must not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyPass } from '../../../test/compiler/apply-pass.ts'
import { type Attribute, model, node, value } from '../onnx/build.ts'
import { tensor } from '../onnx/tensor.ts'
import { sequence } from './equivalence.ts'
import { foldBatchNorm } from './fold-batch-norm.ts'

const random = (name: string, dims: readonly number[], seed: number, from = -1) => {
  const next = sequence(seed)
  const size = dims.reduce((all, one) => all * one, 1)
  return tensor(
    name,
    dims,
    Float32Array.from({ length: size }, () => from + next() * 2),
  )
}
const norm = (input: string, output: string) =>
  node('BatchNormalization', [input, 'gamma', 'beta', 'mean', 'variance'], [output], {
    epsilon: { float: 1e-3 },
  })
const normOf = (channels: number) => [
  ...['gamma', 'beta', 'mean'].map((name, at) => random(name, [channels], at + 1)),
  random('variance', [channels], 9, 0.1),
]

type Case = {
  readonly op: string
  readonly x: readonly number[]
  readonly w: readonly number[]
  readonly bias?: readonly number[]
  readonly attributes?: Record<string, Attribute>
  readonly outputs: number
}
const picture = [2, 4, 6, 5]
const cases: Record<string, Case> = {
  'a convolution': { op: 'Conv', x: picture, w: [6, 4, 3, 3], outputs: 6 },
  'a convolution with bias and padding': {
    op: 'Conv',
    x: picture,
    w: [6, 4, 3, 3],
    bias: [6],
    outputs: 6,
    attributes: { pads: { ints: [1, 1, 1, 1] } },
  },
  'a grouped convolution': {
    op: 'Conv',
    x: picture,
    w: [6, 2, 3, 3],
    outputs: 6,
    attributes: { group: { int: 2 } },
  },
  'a depthwise convolution': {
    op: 'Conv',
    x: picture,
    w: [4, 1, 3, 3],
    outputs: 4,
    attributes: { group: { int: 4 } },
  },
  'a convolution of one dimension': { op: 'Conv', x: [1, 4, 9], w: [3, 4, 2], outputs: 3 },
  'a transposed convolution': {
    op: 'ConvTranspose',
    x: picture,
    w: [4, 3, 2, 2],
    bias: [3],
    outputs: 3,
    attributes: { strides: { ints: [2, 2] } },
  },
  'a grouped transposed convolution': {
    op: 'ConvTranspose',
    x: picture,
    w: [4, 3, 2, 2],
    outputs: 6,
    attributes: { group: { int: 2 } },
  },
  'a matrix product': {
    op: 'Gemm',
    x: [3, 4],
    w: [4, 5],
    bias: [1, 5],
    outputs: 5,
    attributes: { alpha: { float: 0.5 }, beta: { float: 2 } },
  },
  'a matrix product of transposed weights': {
    op: 'Gemm',
    x: [3, 4],
    w: [5, 4],
    bias: [5],
    outputs: 5,
    attributes: { transB: { int: 1 }, alpha: { float: 0.5 } },
  },
}

function parts({ w, bias }: Case) {
  const weights = [random('w', w, 11), ...(bias ? [random('b', bias, 12)] : [])]
  return { weights, names: weights.map(({ name }) => name) }
}

for (const [what, one] of Object.entries(cases)) {
  const { weights, names } = parts(one)
  test(`BatchNormalization after ${what} goes into its weights`, async () => {
    const { operators } = await applyPass(
      model({
        name: 'after',
        inputs: [value('x', 'float32', one.x)],
        outputs: [
          value(
            'y',
            'float32',
            one.x.map((_, at) => `d${at}`),
          ),
        ],
        initializers: [...weights, ...normOf(one.outputs)],
        nodes: [node(one.op, ['x', ...names], ['a'], one.attributes), norm('a', 'y')],
      }),
      foldBatchNorm,
    )
    assert.equal(operators, one.op)
  })

  const isBeside = one.op !== 'ConvTranspose' && !('pads' in (one.attributes ?? {}))
  test(`BatchNormalization before ${what} ${isBeside ? 'goes into its weights' : 'stays'}`, async () => {
    const { operators } = await applyPass(
      model({
        name: 'before',
        inputs: [value('x', 'float32', one.x)],
        outputs: [
          value(
            'y',
            'float32',
            one.x.map((_, at) => `d${at}`),
          ),
        ],
        initializers: [...weights, ...normOf(one.x[1]!)],
        nodes: [norm('x', 'a'), node(one.op, ['a', ...names], ['y'], one.attributes)],
      }),
      foldBatchNorm,
    )
    assert.equal(operators, isBeside ? one.op : `BatchNormalization ${one.op}`)
  })
}

test('weights that two convolutions share are folded for each apart', async () => {
  const { operators, graph } = await applyPass(
    model({
      name: 'shared',
      inputs: [value('x', 'float32', picture)],
      outputs: ['y', 'z'].map((name) => value(name, 'float32', ['n', 4, 'h', 'w'])),
      initializers: [random('w', [4, 4, 1, 1], 3), ...normOf(4)],
      nodes: [node('Conv', ['x', 'w'], ['a']), norm('a', 'y'), node('Conv', ['x', 'w'], ['z'])],
    }),
    foldBatchNorm,
  )
  assert.equal(operators, 'Conv Conv')
  assert.equal(graph.initializers.has('w'), true)
})

test('BatchNormalization stays where somebody else reads the convolution, or it is training', async () => {
  const { operators } = await applyPass(
    model({
      name: 'read',
      inputs: [value('x', 'float32', picture)],
      outputs: ['a', 'y'].map((name) => value(name, 'float32', ['n', 4, 'h', 'w'])),
      initializers: [random('w', [4, 4, 1, 1], 3), ...normOf(4)],
      nodes: [node('Conv', ['x', 'w'], ['a']), norm('a', 'y')],
    }),
    foldBatchNorm,
  )
  assert.equal(operators, 'Conv BatchNormalization')
})
