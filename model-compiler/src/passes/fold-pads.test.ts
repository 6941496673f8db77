/** Pad into the operator behind it: zeros around the picture only. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyPass } from '../../../test/compiler/apply-pass.ts'
import { type Attribute, model, node, value } from '../onnx/build.ts'
import { tensor } from '../onnx/tensor.ts'
import { foldPads } from './fold-pads.ts'

type Case = {
  readonly pads: readonly number[]
  readonly mode?: string
  readonly fill?: number
  readonly op: 'Conv' | 'AveragePool' | 'MaxPool'
  readonly attributes?: Record<string, Attribute>
  readonly folds: boolean
}
const around = [0, 0, 1, 2, 0, 0, 1, 0]
const pool = { kernel_shape: { ints: [3, 3] } }
const cases: Record<string, Case> = {
  'zeros before a convolution': { pads: around, op: 'Conv', folds: true },
  'zeros before a convolution that pads itself': {
    pads: around,
    op: 'Conv',
    folds: true,
    attributes: { pads: { ints: [1, 0, 0, 1] } },
  },
  'zeros before a mean': { pads: around, op: 'AveragePool', attributes: pool, folds: true },
  'zeros before a mean that pads itself without counting': {
    pads: around,
    op: 'AveragePool',
    folds: false,
    attributes: { ...pool, pads: { ints: [1, 1, 1, 1] } },
  },
  'zeros before a maximum': { pads: around, op: 'MaxPool', attributes: pool, folds: false },
  'another number': { pads: around, fill: 1, op: 'Conv', folds: false },
  'the mirrored edge': { pads: around, mode: 'reflect', op: 'Conv', folds: false },
  'more channels': { pads: [0, 1, 0, 0, 0, 0, 0, 0], op: 'Conv', folds: false },
  'a smaller picture': { pads: [0, 0, -1, 0, 0, 0, 0, 0], op: 'Conv', folds: false },
}
for (const [what, { pads, mode = 'constant', fill, op, attributes = {}, folds }] of Object.entries(
  cases,
)) {
  test(`Pad: ${what} ${folds ? 'goes into the operator' : 'stays'}`, async () => {
    const channels = 2 + pads[1]!
    const weights = Float32Array.from({ length: 3 * channels * 9 }, (_, at) => Math.cos(at))
    const { operators } = await applyPass(
      model({
        name: 'pad',
        inputs: [value('x', 'float32', [1, 2, 5, 5])],
        outputs: [value('y', 'float32', ['n', 'c', 'h', 'w'])],
        initializers: [
          tensor('pads', [8], BigInt64Array.from(pads, BigInt)),
          ...(fill === undefined ? [] : [tensor('fill', [], Float32Array.of(fill))]),
          ...(op === 'Conv' ? [tensor('w', [3, channels, 3, 3], weights)] : []),
        ],
        nodes: [
          node('Pad', ['x', 'pads', ...(fill === undefined ? [] : ['fill'])], ['a'], {
            mode: { string: mode },
          }),
          node(op, op === 'Conv' ? ['a', 'w'] : ['a'], ['y'], attributes),
        ],
      }),
      foldPads,
    )
    assert.equal(operators, folds ? op : `Pad ${op}`)
  })
}
