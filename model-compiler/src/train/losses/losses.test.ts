/** Each loss and its gradient against the formula in float64, written out one number at a time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../builders/random.ts'
import { writeModel } from '../../onnx/write.ts'
import { openSession } from '../../runtime/session.ts'
import { type Sym, Tape } from '../tape/tape.ts'
import { binaryCrossEntropy, crossEntropy, sigmoidFocal } from './cross-entropy.ts'
import { meanAbsoluteError, meanSquaredError, smoothL1 } from './distance.ts'
import { softenedDivergence } from './distillation.ts'

type Case = {
  readonly shape: readonly number[]
  /** Numbers that are fed beside the first. */
  readonly other: Float64Array
  readonly write: (tape: Tape, x: Sym, other: Sym) => Sym
  readonly formula: (x: Float64Array, other: Float64Array) => number
}

/** @returns the worst difference of value and gradient, relative to the largest gradient */
async function worstError({ shape, other, write, formula }: Case, seed: number): Promise<number> {
  const random = seededRandom(seed)
  const size = shape.reduce((product, one) => product * one, 1)
  const data = Float32Array.from({ length: size }, () => (random() - 0.5) * 6)
  const fed = Float32Array.from(other)
  const tape = new Tape()
  const x = tape.input('x', 'float32', shape, { needsGradient: true })
  const given = tape.input('other', 'float32', shape)
  const loss = write(tape, x, given)
  const [gradient] = tape.gradients(loss, [x])
  await using session = await openSession(
    writeModel(tape.toModel('loss', { loss, gradient: gradient! })),
  )
  const results = await session.run({
    x: { type: 'float32', dims: shape, data },
    other: { type: 'float32', dims: shape, data: fed },
  })
  const exact = Float64Array.from(data)
  const exactOther = Float64Array.from(fed)
  const value = formula(exact, exactOther)
  const step = 1e-5
  const differences = exact.map((at, i) => {
    const moved = (by: number) => formula(exact.with(i, at + by), exactOther)
    return (moved(step) - moved(-step)) / (2 * step)
  })
  const largest = Math.max(...differences.map(Math.abs))
  const said = results.gradient!.data as Float32Array
  const off = Math.max(...differences.map((one, i) => Math.abs(one - said[i]!))) / largest
  const offValue = Math.abs(value - Number(results.loss!.data[0])) / Math.max(1e-3, Math.abs(value))
  return Math.max(off, offValue)
}

const softmax = (row: readonly number[]): number[] => {
  const sum = row.reduce((before, one) => before + Math.exp(one), 0)
  return row.map((one) => Math.exp(one) / sum)
}
/** Rows along the second of three axes. */
const rows = (x: Float64Array, n: number, k: number, rest: number): number[][] =>
  Array.from({ length: n * rest }, (_, i) =>
    Array.from(
      { length: k },
      (_, c) => x[Math.floor(i / rest) * k * rest + c * rest + (i % rest)]!,
    ),
  )

/** Targets of [n, k, rest]: one class at each place, none at the last. */
function targets(n: number, k: number, rest: number): Float64Array {
  const target = new Float64Array(n * k * rest)
  for (let i = 0; i < n * rest - 1; i += 1) {
    target[Math.floor(i / rest) * k * rest + ((i * 7) % k) * rest + (i % rest)] = 1
  }
  return target
}

test('crossEntropy() with smoothing, weights and focus, also over pictures', async () => {
  for (const [n, k, rest] of [
    [5, 3, 1],
    [2, 4, 6],
  ] as const) {
    for (const [smoothing, weighted, gamma] of [
      [0, false, 0],
      [0.1, true, 0],
      [0, true, 2],
      [0.2, false, 1.5],
    ] as const) {
      const weights = Array.from({ length: k }, (_, c) => (weighted ? 0.5 + c : 1))
      const seed = n * 100 + k
      const error = await worstError(
        {
          shape: rest === 1 ? [n, k] : [n, k, 2, rest / 2],
          other: targets(n, k, rest),
          write: (tape, x, target) =>
            crossEntropy(tape, x, target, tape.constant([1], [n]), {
              labelSmoothing: smoothing,
              focalGamma: gamma,
              ...(weighted && { classWeights: weights }),
            }),
          formula: (x, target) => {
            const wanted = rows(target, n, k, rest)
            let sum = 0
            for (const [i, row] of rows(x, n, k, rest).entries()) {
              const probabilities = softmax(row)
              const whole = wanted[i]!.reduce((before, one) => before + one, 0)
              for (const [c, p] of probabilities.entries()) {
                const share = wanted[i]![c]! * (1 - smoothing) + (whole * smoothing) / k
                sum -= share * weights[c]! * (1 - p) ** gamma * Math.log(p)
              }
            }
            return sum / n
          },
        },
        seed,
      )
      assert.ok(error < 1e-5, `seed ${seed}: ${error}`)
    }
  }
})

test('losses of single logits: cross-entropy and its focal form', async () => {
  const target = Float64Array.from({ length: 24 }, (_, i) => [0, 1, 0.3][i % 3]!)
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))
  const entropy = (x: number, t: number) =>
    -t * Math.log(sigmoid(x)) - (1 - t) * Math.log(1 - sigmoid(x))
  const sum = (one: (x: number, t: number) => number) => (x: Float64Array, t: Float64Array) =>
    x.reduce((before, value, i) => before + one(value, t[i]!), 0)
  const shape = [4, 6]
  const cases: Case[] = [
    {
      shape,
      other: target,
      write: (tape, x, t) => tape.reduceSum(binaryCrossEntropy(tape, x, t)),
      formula: sum(entropy),
    },
    {
      shape,
      other: target,
      write: (tape, x, t) => tape.reduceSum(sigmoidFocal(tape, x, t, { alpha: 0.3, gamma: 2 })),
      formula: sum((x, t) => {
        const off = sigmoid(x) * (1 - t) + (1 - sigmoid(x)) * t
        return (0.3 * t + 0.7 * (1 - t)) * off ** 2 * entropy(x, t)
      }),
    },
  ]
  for (const [i, one] of cases.entries()) {
    const error = await worstError(one, 11 + i)
    assert.ok(error < 1e-5, `case ${i}: ${error}`)
  }
})

test('losses of numbers and of softened logits', async () => {
  const random = seededRandom(9)
  const other = Float64Array.from({ length: 24 }, () => (random() - 0.5) * 6)
  const mean = (one: (off: number) => number) => (x: Float64Array, wanted: Float64Array) =>
    x.reduce((sum, value, i) => sum + one(value - wanted[i]!), 0) / x.length
  const cases: Pick<Case, 'write' | 'formula'>[] = [
    { write: meanSquaredError, formula: mean((off) => off * off) },
    { write: meanAbsoluteError, formula: mean(Math.abs) },
    {
      write: (tape, x, wanted) => smoothL1(tape, x, wanted, 0.7),
      formula: mean((off) =>
        Math.abs(off) < 0.7 ? (0.5 * off * off) / 0.7 : Math.abs(off) - 0.35,
      ),
    },
    {
      write: (tape, x, teacher) => softenedDivergence(tape, x, teacher, 3),
      formula: (x, teacher) => {
        const said = rows(x, 4, 6, 1).map((row) => softmax(row.map((one) => one / 3)))
        const wanted = rows(teacher, 4, 6, 1).map((row) => softmax(row.map((one) => one / 3)))
        let sum = 0
        for (const [i, row] of wanted.entries()) {
          for (const [c, p] of row.entries()) sum += p * Math.log(p / said[i]![c]!)
        }
        return (sum / 4) * 9
      },
    },
  ]
  for (const [i, one] of cases.entries()) {
    const error = await worstError({ shape: [4, 6], other, ...one }, 21 + i)
    assert.ok(error < 1e-5, `case ${i}: ${error}`)
  }
})
