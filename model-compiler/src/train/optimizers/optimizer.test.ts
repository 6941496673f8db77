import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Optimizer, type OptimizerSettings, type Stretch } from './optimizer.ts'

const f = Math.fround
const settings = (name: OptimizerSettings['name'], nesterov = false): OptimizerSettings => ({
  name,
  nesterov,
  momentum: 0.9,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
})

/** A generator of numbers that look random (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

type Form = { settings: OptimizerSettings; averaged: boolean; scaled: boolean }
const forms: readonly Form[] = [
  { settings: settings('sgd'), averaged: false, scaled: false },
  { settings: settings('sgd', true), averaged: true, scaled: true },
  { settings: settings('adam'), averaged: true, scaled: false },
  { settings: settings('adam'), averaged: false, scaled: true },
  { settings: settings('adamw'), averaged: true, scaled: true },
  { settings: settings('adamw'), averaged: false, scaled: false },
]

/** The same arithmetic one number at a time, each result rounded to float32. */
class Reference {
  readonly p: Float32Array
  readonly m: Float32Array
  readonly v: Float32Array
  readonly average: Float32Array
  t = 0
  readonly form: Form
  constructor(form: Form, p: Float32Array) {
    this.form = form
    this.p = Float32Array.from(p)
    this.m = new Float32Array(p.length)
    this.v = new Float32Array(p.length)
    this.average = Float32Array.from(p)
  }

  step(g: Float32Array, scale: Float32Array, stretches: readonly Stretch[], rates: number[]): void {
    const { settings: s, averaged, scaled } = this.form
    this.t += 1
    const [rate, gradientScale, averageDecay] = rates as [number, number, number]
    const [b1, r1, b2, r2] = [f(s.beta1), f(1 - s.beta1), f(s.beta2), f(1 - s.beta2)]
    const [c1, c2] = [f(1 / (1 - s.beta1 ** this.t)), f(1 / (1 - s.beta2 ** this.t))]
    for (const { offset, elements, rate: own, weightDecay } of stretches) {
      for (let i = offset; i < offset + elements; i += 1) {
        const p = this.p[i]!
        const decay = f(f(weightDecay) * p)
        let gradient = f(g[i]! * f(gradientScale))
        if (s.name !== 'adamw') gradient = f(gradient + decay)
        let direction: number
        if (s.name === 'sgd') {
          this.m[i] = f(f(f(s.momentum) * this.m[i]!) + gradient)
          direction = s.nesterov ? f(gradient + f(f(s.momentum) * this.m[i]!)) : this.m[i]!
        } else {
          this.m[i] = f(f(b1 * this.m[i]!) + f(r1 * gradient))
          this.v[i] = f(f(b2 * this.v[i]!) + f(f(r2 * gradient) * gradient))
          const width = f(f(Math.sqrt(f(this.v[i]! * c2))) + f(s.epsilon))
          direction = f(f(this.m[i]! * c1) / width)
          if (s.name === 'adamw') direction = f(direction + decay)
        }
        if (scaled) direction = f(scale[i]! * direction)
        this.p[i] = f(p - f(f(rate * own) * direction))
        const rest = f(1 - averageDecay)
        const difference = f(this.p[i]! - this.average[i]!)
        if (averaged) this.average[i] = f(this.average[i]! + f(rest * difference))
      }
    }
  }
}

test('Optimizer steps as the formulas say, bit for bit, wherever its vectors are cut', () => {
  for (const [index, form] of forms.entries()) {
    const random = seeded(index + 1)
    const elements = 1039
    // Lengths that are no multiple of four, rates and decays of their own, and a part that is not learned.
    const stretches: readonly Stretch[] = [
      { offset: 0, elements: 3, rate: 1, weightDecay: 0 },
      { offset: 3, elements: 514, rate: 0.5, weightDecay: 0.01 },
      { offset: 520, elements: 519, rate: 2, weightDecay: 0.1 },
    ]
    const draw = () => Float32Array.from({ length: elements }, () => random() * 2 - 1)
    const optimizer = new Optimizer({ elements, stretches, accumulates: false, ...form })
    const initial = draw()
    optimizer.parameters.set(initial)
    optimizer.average?.set(initial)
    const scale = draw()
    optimizer.scale?.set(scale)
    const reference = new Reference(form, initial)
    for (let step = 0; step < 12; step += 1) {
      const gradient = draw()
      optimizer.take(gradient.subarray(0, 700), 0, false)
      optimizer.take(gradient.subarray(700), 700, false)
      const rates = [0.05 / (step + 1), step % 2 === 0 ? 1 : 0.25, step / (step + 2)]
      optimizer.step(rates[0]!, rates[1]!, rates[2]!)
      reference.step(gradient, scale, stretches, rates)
    }
    assert.deepEqual(optimizer.parameters, reference.p, JSON.stringify(form))
    if (form.averaged) assert.deepEqual(optimizer.average, reference.average)
    assert.deepEqual(optimizer.parameters.slice(517, 520), initial.slice(517, 520))
  }
})

test('Optimizer goes on from what a checkpoint keeps as if it had not been away', () => {
  for (const [index, form] of forms.entries()) {
    const random = seeded(index + 77)
    const elements = 21
    const stretches = [{ offset: 0, elements, rate: 1, weightDecay: 0.01 }]
    const options = { elements, stretches, accumulates: false, ...form }
    const gradients = Array.from({ length: 6 }, () =>
      Float32Array.from({ length: elements }, () => random() - 0.5),
    )
    const whole = new Optimizer(options)
    const first = new Optimizer(options)
    const second = new Optimizer(options)
    for (const gradient of gradients) {
      whole.take(gradient, 0, false)
      whole.step(0.01, 1, 0.9)
    }
    for (const gradient of gradients.slice(0, 3)) {
      first.take(gradient, 0, false)
      first.step(0.01, 1, 0.9)
    }
    second.restore(structuredClone(first.vectors()), first.steps)
    for (const gradient of gradients.slice(3)) {
      second.take(gradient, 0, false)
      second.step(0.01, 1, 0.9)
    }
    assert.deepEqual(second.vectors(), whole.vectors())
  }
})

test('Optimizer sums gradients, and measures how long they are', () => {
  const random = seeded(5)
  for (const elements of [1, 2, 3, 4, 7, 64, 1001]) {
    const optimizer = new Optimizer({
      elements,
      stretches: [],
      averaged: false,
      scaled: false,
      accumulates: true,
      settings: settings('sgd'),
    })
    const [a, b] = [0, 1].map(() => Float32Array.from({ length: elements }, () => random() - 0.5))
    optimizer.take(a!, 0, false)
    optimizer.take(b!, 0, true)
    const sum = a!.map((x, i) => x + b![i]!)
    assert.deepEqual(optimizer.gradients, sum)
    const norm = Math.hypot(...sum)
    assert.ok(Math.abs(optimizer.gradientNorm() - norm) <= 1e-12 * norm)
    optimizer.gradients[elements - 1] = Number.NaN
    assert.ok(Number.isNaN(optimizer.gradientNorm()))
  }
})

test('Optimizer refuses more than WebAssembly can address', () => {
  assert.throws(
    () =>
      new Optimizer({
        elements: 300e6,
        stretches: [],
        averaged: true,
        scaled: false,
        accumulates: false,
        settings: settings('adam'),
      }),
    /300000000 parameters.*4 GiB/,
  )
})
