/** Gradients of Resize: back it is computed from weights of our own, so every mode is run. */
import { test } from 'node:test'
import { checkOperator, floats, ints } from '../../../../../test/training/operator-net.ts'

const coordinates = [
  'half_pixel',
  'pytorch_half_pixel',
  'align_corners',
  'asymmetric',
  'half_pixel_symmetric',
]

const resize = (
  mode: string,
  coordinate: string,
  scales: readonly number[] | undefined,
  sizes?: readonly number[],
  rounding = 'round_prefer_floor',
) =>
  checkOperator({
    op: 'Resize',
    shape: [2, 4, 5],
    inputs: scales ? ['x', '', 'scales'] : ['x', '', '', 'sizes'],
    constants: [
      ...(scales ? [floats('scales', 1, 1, ...scales)] : []),
      ...(sizes ? [ints('sizes', 2, 2, ...sizes)] : []),
    ],
    attributes: {
      mode: { string: mode },
      coordinate_transformation_mode: { string: coordinate },
      nearest_mode: { string: rounding },
    },
  })

for (const coordinate of coordinates) {
  test(`linear, ${coordinate}: larger, smaller, by factors and by lengths`, async () => {
    await resize('linear', coordinate, [2, 2])
    await resize('linear', coordinate, [0.5, 1.7])
    await resize('linear', coordinate, undefined, [7, 3])
  })
}
test('nearest in the ways that exporters write', async () => {
  await resize('nearest', 'asymmetric', [2, 2], undefined, 'floor')
  await resize('nearest', 'half_pixel', [2, 3])
  await resize('nearest', 'half_pixel', [2, 2], undefined, 'round_prefer_ceil')
  await resize('nearest', 'asymmetric', [1.5, 2.4], undefined, 'floor')
  await resize('nearest', 'asymmetric', [0.5, 0.5], undefined, 'ceil')
  await resize('nearest', 'align_corners', undefined, [7, 3])
  await resize('nearest', 'pytorch_half_pixel', undefined, [8, 9], 'floor')
})
