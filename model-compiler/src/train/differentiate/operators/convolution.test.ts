import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { node } from '../../../onnx/build.ts'
import type { Sym } from '../../tape/sym.ts'
import type { Tape } from '../../tape/tape.ts'
import { checkInDoubles, type Doubles } from './checked-in-doubles.ts'
import { chooseConvolution } from './choose-convolution.ts'
import { convolution, transposedConvolution } from './convolution.ts'
import {
  type ConvolutionShape,
  convolutionShapeOf,
  outputOf,
  type Pair,
  transposedShapeOf,
} from './convolution-shape.ts'

type Sketch = {
  readonly batch?: number
  readonly channels: number
  readonly outputs: number
  readonly group?: number
  readonly map: Pair
  readonly kernel: Pair
  readonly strides?: Pair
  readonly dilations?: Pair
  readonly pads?: readonly [top: number, left: number, bottom: number, right: number]
}

function shapeOf(sketch: Sketch): ConvolutionShape {
  const { batch = 2, channels, outputs, group = 1, map, kernel } = sketch
  const { strides = [1, 1], dilations = [1, 1], pads = [0, 0, 0, 0] } = sketch
  const window = {
    kernel,
    strides,
    dilations,
    before: [pads[0], pads[1]] as Pair,
    after: [pads[2], pads[3]] as Pair,
  }
  return { ...window, batch, channels, outputs, group, input: map, output: outputOf(window, map) }
}

/** Every product of an element of the input with a weight, and where it goes. */
function eachProduct(
  shape: ConvolutionShape,
  visit: (x: number, w: number, y: number) => void,
): void {
  const { batch, channels, outputs, group, input, output, kernel, strides, dilations, before } =
    shape
  const [perGroup, outputsPerGroup] = [channels / group, outputs / group]
  for (let o = 0; o < outputs; o++) {
    for (let c = 0; c < perGroup; c++) {
      const channel = Math.floor(o / outputsPerGroup) * perGroup + c
      for (let n = 0; n < batch; n++) {
        for (let row = 0; row < output[0]; row++) {
          for (let column = 0; column < output[1]; column++) {
            for (let a = 0; a < kernel[0]; a++) {
              for (let b = 0; b < kernel[1]; b++) {
                const i = row * strides[0] + a * dilations[0] - before[0]
                const j = column * strides[1] + b * dilations[1] - before[1]
                if (i < 0 || j < 0 || i >= input[0] || j >= input[1]) continue
                visit(
                  ((channel * batch + n) * input[0] + i) * input[1] + j,
                  ((o * perGroup + c) * kernel[0] + a) * kernel[1] + b,
                  ((o * batch + n) * output[0] + row) * output[1] + column,
                )
              }
            }
          }
        }
      }
    }
  }
}

const sizesOf = ({ batch, channels, outputs, group, input, output, kernel }: ConvolutionShape) => ({
  x: [channels, batch, ...input],
  w: [outputs, channels / group, ...kernel],
  y: [outputs, batch, ...output],
})
const count = (shape: readonly number[]) => shape.reduce((product, one) => product * one, 1)

function plainConvolution(shape: ConvolutionShape, { x, w, b }: Doubles): Float64Array {
  const places = count(sizesOf(shape).y) / shape.outputs
  const y = Float64Array.from({ length: places * shape.outputs }, (_, at) =>
    b ? b[Math.floor(at / places)]! : 0,
  )
  eachProduct(shape, (from, weight, to) => {
    y[to]! += x![from]! * w![weight]!
  })
  return y
}
function plainTransposed(shape: ConvolutionShape, { x, w, b }: Doubles): Float64Array {
  const places = count(sizesOf(shape).x) / shape.channels
  const y = Float64Array.from({ length: places * shape.channels }, (_, at) =>
    b ? b[Math.floor(at / places)]! : 0,
  )
  eachProduct(shape, (to, weight, from) => {
    y[to]! += x![from]! * w![weight]!
  })
  return y
}

/** One of each regime: name, shape, the three ways that are chosen. */
const regimes: readonly (readonly [name: string, sketch: Sketch, ways: string])[] = [
  ['1×1', { channels: 5, outputs: 7, map: [6, 5], kernel: [1, 1] }, 'product product product'],
  [
    '1×1 by strides that do not divide the map',
    { channels: 3, outputs: 4, map: [7, 6], kernel: [1, 1], strides: [2, 3] },
    'product product product',
  ],
  [
    '1×1 by stride 2 on an even map',
    { channels: 3, outputs: 4, map: [6, 8], kernel: [1, 1], strides: [2, 2] },
    'product product product',
  ],
  [
    'padded 1×1',
    { channels: 6, outputs: 4, map: [4, 4], kernel: [1, 1], pads: [1, 0, 0, 1] },
    'volume scattered columns',
  ],
  [
    '3×3 with few weights',
    { channels: 6, outputs: 5, map: [8, 9], kernel: [3, 3], pads: [1, 1, 1, 1] },
    'volume flipped columns',
  ],
  [
    '3×3 with many weights on a small map',
    { channels: 24, outputs: 20, map: [4, 3], kernel: [3, 3], pads: [1, 1, 1, 1] },
    'volume scattered columns',
  ],
  [
    '3×3 without padding',
    { channels: 8, outputs: 6, map: [9, 10], kernel: [3, 3] },
    'volume flipped columns',
  ],
  [
    '3×3 by stride 2 on a small map',
    { channels: 6, outputs: 5, map: [8, 7], kernel: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
    'volume scattered columns',
  ],
  [
    '3×3 by stride 2 on a larger map',
    { channels: 6, outputs: 5, map: [13, 12], kernel: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
    'volume transposed columns',
  ],
  [
    '5×3, dilated and padded to one side',
    {
      channels: 5,
      outputs: 6,
      map: [11, 9],
      kernel: [5, 3],
      dilations: [2, 1],
      pads: [4, 0, 2, 1],
    },
    'volume flipped columns',
  ],
  [
    'padding wider than the window',
    { channels: 5, outputs: 5, map: [9, 9], kernel: [2, 2], pads: [3, 3, 3, 3] },
    'volume transposed columns',
  ],
  [
    'strided and dilated, with rows that no window reaches',
    {
      channels: 6,
      outputs: 4,
      map: [14, 12],
      kernel: [3, 2],
      strides: [3, 2],
      dilations: [2, 3],
    },
    'volume transposed columns',
  ],
  [
    'first layer of one channel',
    { channels: 1, outputs: 8, map: [12, 12], kernel: [3, 3] },
    'volume flipped exchanged',
  ],
  [
    'first layer of three channels, 7×7 by stride 2',
    { channels: 3, outputs: 6, map: [14, 15], kernel: [7, 7], strides: [2, 2], pads: [3, 3, 3, 3] },
    'volume transposed exchanged',
  ],
  [
    'two groups',
    { channels: 6, outputs: 4, group: 2, map: [9, 8], kernel: [3, 3], pads: [1, 1, 1, 1] },
    'volume flipped columns',
  ],
  [
    'groups by stride 2',
    {
      channels: 6,
      outputs: 9,
      group: 3,
      map: [8, 8],
      kernel: [3, 3],
      strides: [2, 2],
      pads: [1, 1, 1, 1],
    },
    'volume transposed columns',
  ],
  [
    'grouped 1×1',
    { channels: 6, outputs: 4, group: 2, map: [5, 5], kernel: [1, 1] },
    'volume flipped columns',
  ],
  [
    'depthwise with two outputs for each channel',
    { channels: 4, outputs: 8, group: 4, map: [7, 7], kernel: [3, 3], pads: [1, 1, 1, 1] },
    'volume flipped columns',
  ],
  ...[1, 2].flatMap((stride) =>
    [3, 5].flatMap((k) =>
      ([6, 10, 17] as const).map((map) => {
        const pad = (k - 1) / 2
        const ways =
          map === 6
            ? 'toeplitz toeplitz toeplitz'
            : `planes ${stride === 1 ? 'planes-flipped' : 'planes-transposed'} rows`
        const sketch: Sketch = {
          channels: 3,
          outputs: 3,
          group: 3,
          map: [map, map],
          kernel: [k, k],
          strides: [stride, stride],
          pads: [pad, pad, pad, pad],
        }
        return [`depthwise ${k}×${k} by ${stride} on ${map}×${map}`, sketch, ways] as const
      }),
    ),
  ),
  [
    'depthwise, dilated, padded so wide that rows of windows see nothing',
    {
      channels: 3,
      outputs: 3,
      group: 3,
      map: [2, 40],
      kernel: [3, 3],
      dilations: [4, 1],
      pads: [4, 1, 4, 1],
    },
    'planes planes-flipped rows',
  ],
]

for (const [name, sketch, ways] of regimes) {
  const shape = shapeOf(sketch)
  const sizes = sizesOf(shape)
  test(`chooseConvolution() for ${name}: ${ways}`, () => {
    const { forward, inputGradient, weightGradient } = chooseConvolution(shape)
    assert.equal(`${forward} ${inputGradient} ${weightGradient}`, ways)
  })
  test(`convolution ${name}: result and gradients as in doubles`, async () => {
    await checkInDoubles({
      name,
      given: { x: { shape: sizes.x }, w: { shape: sizes.w }, b: { shape: [shape.outputs] } },
      build: (tape, { x, w, b }) => convolution(tape, x!, w!, b, shape),
      plain: (values) => plainConvolution(shape, values),
      moved: 16,
    })
  })
  test(`transposed convolution ${name}: result and gradients as in doubles`, async () => {
    await checkInDoubles({
      name,
      given: { x: { shape: sizes.y }, w: { shape: sizes.w }, b: { shape: [shape.channels] } },
      build: (tape, { x, w, b }) => transposedConvolution(tape, x!, w!, b, shape),
      plain: (values) => plainTransposed(shape, values),
      moved: 16,
    })
  })
}

test('convolution: without a bias, and with parts that are not trained', async () => {
  const shape = shapeOf({ channels: 5, outputs: 6, map: [6, 6], kernel: [3, 3] })
  const sizes = sizesOf(shape)
  const built = (tape: Tape, { x, w, b }: Readonly<Record<string, Sym>>) =>
    convolution(tape, x!, w!, b, shape)
  const plain = (values: Doubles) => plainConvolution(shape, values)
  const bias = { shape: [6] }
  const [x, w] = [{ shape: sizes.x }, { shape: sizes.w }]
  const still = { gradient: false }
  await checkInDoubles({ name: 'no bias', given: { x, w }, build: built, plain })
  const frozenWeight = { x, w: { ...w, ...still }, b: bias }
  await checkInDoubles({ name: 'frozen weight', given: frozenWeight, build: built, plain })
  const frozenBias = { x, w, b: { ...bias, ...still } }
  await checkInDoubles({ name: 'frozen bias', given: frozenBias, build: built, plain })
  const noInput = { x: { ...x, ...still }, w, b: bias }
  await checkInDoubles({ name: 'first layer', given: noInput, build: built, plain })
})

test('convolutionShapeOf() resolves auto_pad as ONNX says', () => {
  const made = (auto: string, size: number, stride: number) => {
    const attributes = { auto_pad: { string: auto }, strides: { ints: [stride, stride] } }
    const { before, after, output } = convolutionShapeOf(
      node('Conv', ['x', 'w'], ['y'], attributes),
      [1, 1, size, size],
      [1, 1, 4, 4],
    )
    return [before[0], after[0], output[0]]
  }
  assert.deepEqual(made('SAME_UPPER', 7, 1), [1, 2, 7])
  assert.deepEqual(made('SAME_LOWER', 7, 1), [2, 1, 7])
  assert.deepEqual(made('SAME_UPPER', 7, 3), [1, 2, 3])
  assert.deepEqual(made('VALID', 7, 3), [0, 0, 2])
})

test('transposedShapeOf() knows output_padding and output_shape, and refuses what no window reaches', () => {
  const of = (attributes: Parameters<typeof node>[3]) =>
    transposedShapeOf(
      node('ConvTranspose', ['x', 'w'], ['y'], attributes),
      [3, 1, 5, 5],
      [3, 2, 3, 3],
    )
  const strides = { ints: [2, 2] }
  const padded = of({ strides, pads: { ints: [1, 1, 1, 1] }, output_padding: { ints: [1, 1] } })
  assert.deepEqual([padded.input, padded.channels, padded.outputs], [[10, 10], 2, 3])
  const said = of({ strides, output_shape: { ints: [10, 10] } })
  assert.deepEqual(
    [said.before, said.after],
    [
      [1, 1],
      [0, 0],
    ],
  )
  const upper = of({ strides, auto_pad: { string: 'SAME_UPPER' } })
  assert.deepEqual(
    [upper.input, upper.before, upper.after],
    [
      [10, 10],
      [0, 0],
      [1, 1],
    ],
  )
  assert.throws(
    () => of({ strides, output_shape: { ints: [20, 20] } }),
    /more than its windows reach/,
  )
})
