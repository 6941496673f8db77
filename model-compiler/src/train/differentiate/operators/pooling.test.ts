import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { writeModel } from '../../../onnx/write.ts'
import { openSession } from '../../../runtime/session.ts'
import { Tape } from '../../tape/tape.ts'
import { checkInDoubles } from './checked-in-doubles.ts'
import type { Pair } from './convolution-shape.ts'
import { averagePool, chooseMaxPool, globalAverage, maxPool, type PoolingShape } from './pooling.ts'

type Sketch = {
  readonly map: Pair
  readonly kernel: Pair
  readonly strides?: Pair
  readonly dilations?: Pair
  readonly pads?: readonly [top: number, left: number, bottom: number, right: number]
  readonly ceil?: boolean
}
const planes = [3, 2] as const

/** As ONNX counts: with ceil_mode a last window may hang over, but not begin behind the map. */
function shapeOf(sketch: Sketch): PoolingShape {
  const { map, kernel, strides = [1, 1], dilations = [1, 1], pads = [0, 0, 0, 0], ceil } = sketch
  const steps = (at: 0 | 1) => {
    const room = map[at] + pads[at] + pads[at + 2]! - (kernel[at] - 1) * dilations[at] - 1
    if (!ceil) return Math.floor(room / strides[at]) + 1
    const count = Math.ceil(room / strides[at]) + 1
    return (count - 1) * strides[at] >= map[at] + pads[at] ? count - 1 : count
  }
  return {
    kernel,
    strides,
    dilations,
    before: [pads[0], pads[1]],
    after: [pads[2], pads[3]],
    input: map,
    output: [steps(0), steps(1)],
  }
}

/** What each window of each plane makes of the elements under it; places beyond the map are undefined. */
function plainPool(
  { kernel, strides, dilations, before, input, output }: PoolingShape,
  x: Float64Array,
  of: (under: readonly (number | undefined)[], row: number, column: number) => number,
): Float64Array {
  const y: number[] = []
  for (let plane = 0; plane < planes[0] * planes[1]; plane++) {
    for (let row = 0; row < output[0]; row++) {
      for (let column = 0; column < output[1]; column++) {
        const under: (number | undefined)[] = []
        for (let a = 0; a < kernel[0]; a++) {
          for (let b = 0; b < kernel[1]; b++) {
            const i = row * strides[0] + a * dilations[0] - before[0]
            const j = column * strides[1] + b * dilations[1] - before[1]
            const inside = i >= 0 && j >= 0 && i < input[0] && j < input[1]
            under.push(inside ? x[(plane * input[0] + i) * input[1] + j] : undefined)
          }
        }
        y.push(of(under, row, column))
      }
    }
  }
  return Float64Array.from(y)
}
const inside = (under: readonly (number | undefined)[]) => under.filter((one) => one !== undefined)

const sketches: Readonly<Record<string, Sketch & { gradient: string }>> = {
  '2×2 by 2': { map: [6, 8], kernel: [2, 2], strides: [2, 2], gradient: 'enlarged' },
  '3×2 by its own size': { map: [9, 4], kernel: [3, 2], strides: [3, 2], gradient: 'enlarged' },
  '2×2 by 2 on an odd map': { map: [7, 5], kernel: [2, 2], strides: [2, 2], gradient: 'indexed' },
  'overlapping 3×3 by 2, padded': {
    map: [8, 9],
    kernel: [3, 3],
    strides: [2, 2],
    pads: [1, 1, 1, 1],
    gradient: 'indexed',
  },
  '5×5 by 1, padded': { map: [6, 6], kernel: [5, 5], pads: [2, 2, 2, 2], gradient: 'indexed' },
  '3×3 by 2, the last window hanging over': {
    map: [8, 10],
    kernel: [3, 3],
    strides: [2, 2],
    ceil: true,
    gradient: 'indexed',
  },
  'padded to one side': {
    map: [6, 7],
    kernel: [3, 2],
    strides: [1, 2],
    pads: [0, 1, 2, 0],
    gradient: 'indexed',
  },
}

for (const [name, sketch] of Object.entries(sketches)) {
  const shape = shapeOf(sketch)
  const given = { x: { shape: [...planes, ...sketch.map] } }
  const ceil = sketch.ceil ?? false
  test(`maxPool() ${name}: ${sketch.gradient}, as in doubles`, async () => {
    assert.equal(chooseMaxPool(shape), sketch.gradient)
    await checkInDoubles({
      name,
      given,
      build: (tape, { x }) => maxPool(tape, x!, shape, ceil),
      plain: ({ x }) => plainPool(shape, x!, (under) => Math.max(...inside(under))),
    })
  })
  for (const countPadding of [false, true]) {
    test(`averagePool() ${name}, padding ${countPadding ? 'counted' : 'left out'}: as in doubles`, async () => {
      const counted = (row: number, column: number) =>
        ([row, column] as const)
          .map((step, at) => {
            const first = step * shape.strides[at as 0 | 1] - shape.before[at as 0 | 1]
            const end = shape.input[at as 0 | 1] + shape.after[at as 0 | 1]
            return Math.min(shape.kernel[at as 0 | 1], end - first)
          })
          .reduce((product, one) => product * one)
      await checkInDoubles({
        name,
        given,
        build: (tape, { x }) => averagePool(tape, x!, shape, { ceil, countPadding }),
        plain: ({ x }) =>
          plainPool(shape, x!, (under, row, column) => {
            const values = inside(under)
            const sum = values.reduce((all, one) => all + one, 0)
            return sum / (countPadding ? counted(row, column) : values.length)
          }),
      })
    })
  }
}

test('maxPool(): elements that are equally large share what goes back', async () => {
  const tape = new Tape()
  const x = tape.input('x', 'float32', [1, 1, 2, 6], { needsGradient: true })
  const shape = shapeOf({ map: [2, 6], kernel: [2, 2], strides: [2, 2] })
  const y = maxPool(tape, x, shape, false)
  const loss = tape.reduceSum(tape.mul(y, tape.constant([1, 1, 1, 3], [8, 4, 2])))
  const [gradient] = tape.gradients(loss, [x])
  await using session = await openSession(writeModel(tape.toModel('ties', { gradient: gradient! })))
  const data = Float32Array.of(3, 3, 0, 5, 1, 0, 3, 3, 5, 5, 0, -1)
  const found = await session.run({ x: { type: 'float32', dims: [1, 1, 2, 6], data } })
  const shared = [2, 2, 0, 4 / 3, 2, 0, 2, 2, 4 / 3, 4 / 3, 0, 0]
  for (const [at, one] of (found.gradient!.data as Float32Array).entries()) {
    assert.ok(Math.abs(one - shared[at]!) < 1e-6, `element ${at}: ${one}, not ${shared[at]}`)
  }
})

test('globalAverage(): as in doubles', async () => {
  await checkInDoubles({
    name: 'global',
    given: { x: { shape: [4, 3, 5, 7] } },
    build: (tape, { x }) => globalAverage(tape, x!),
    plain: ({ x }) =>
      Float64Array.from({ length: 12 }, (_, plane) => {
        const map = x!.subarray(plane * 35, plane * 35 + 35)
        return map.reduce((sum, one) => sum + one, 0) / 35
      }),
  })
})
