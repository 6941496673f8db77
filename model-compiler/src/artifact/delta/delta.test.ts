import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { needs } from '../../../../test/require.ts'
import { model, node, value } from '../../onnx/build.ts'
import { readModel } from '../../onnx/read.ts'
import { tensor } from '../../onnx/tensor.ts'
import { writeModel } from '../../onnx/write.ts'
import { ArtifactError, applyDelta, digestOf, makeDelta, readDeltaHead } from '../index.ts'
import { makeDeltaInDetail } from './delta.ts'
import { walk } from './onnx-payloads.ts'
import { randomOf, randomPair } from './random-models.ts'
import { RangeDecoder, RangeEncoder } from './range-coder.ts'

const boundsOf = (bytes: Uint8Array) => ({ lengthBytes: bytes.length, digest: digestOf(bytes) })
const same = (a: Uint8Array, b: Uint8Array) => assert.deepEqual(Buffer.from(a), Buffer.from(b))
const code = (want: string) => (error: unknown) =>
  error instanceof ArtifactError && error.code === want

test('the range coder gives back bits of any probability, and plain ones', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.tuple(
          fc.integer({ min: 22, max: 65514 }),
          fc.integer({ min: 0, max: 1 }),
          fc.integer({ min: 1, max: 16 }),
        ),
        { maxLength: 400 },
      ),
      (steps) => {
        const encoder = new RangeEncoder(1)
        for (const [probability, bit, count] of steps) {
          encoder.bit(probability, bit)
          encoder.plain(count, probability & (2 ** count - 1))
        }
        const decoder = new RangeDecoder(encoder.finish())
        for (const [probability, bit, count] of steps) {
          assert.equal(decoder.bit(probability), bit)
          assert.equal(decoder.plain(count), probability & (2 ** count - 1))
        }
        decoder.finish()
      },
    ),
  )
})

test('a model and any later version of it: the delta makes the one of the other, and is made the same twice', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (seed) => {
      const { base, next } = randomPair(seed)
      const patch = makeDelta(base, next)
      same(applyDelta(base, patch, boundsOf(next)), next)
      same(makeDelta(base, next), patch)
    }),
    { numRuns: 150 },
  )
})

test('the tensors of random models are told by those of the base, wherever they are kept', () => {
  let told = 0
  for (let seed = 1; seed <= 60; seed++) {
    const { base, next } = randomPair(seed)
    assert.ok(walk(base) !== undefined || base.length < 200, `seed ${seed} is not read as a model`)
    const head = readDeltaHead(makeDelta(base, next))
    if (head.method === 'tensors') told++
  }
  assert.ok(told > 10, `only ${told} of 60 were told by tensors`)
})

test('any two files: empty ones, texts, bytes', () => {
  const text = fc.array(fc.constantFrom('quick ', 'brown ', 'fox\n'), { maxLength: 200 })
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    text.map((words) => new TextEncoder().encode(words.join(''))),
  )
  fc.assert(
    fc.property(bytes, bytes, (base, next) => {
      const patch = makeDelta(base, next)
      same(applyDelta(base, patch, boundsOf(next)), next)
      assert.ok(patch.length <= next.length + 100)
    }),
  )
})

/** A small net of codes, and the net after some training: codes moved in some rows, one scale and bias with them. */
function smallNet(seed: number, trained: boolean, moved = 0.3, inRows = 4): Uint8Array {
  const random = randomOf(seed)
  const [rows, columns] = [32, 288]
  const weights = Int8Array.from({ length: rows * columns }, () => (random() + random() - 1) * 90)
  const scales = Float32Array.from({ length: rows }, () => 0.001 + 0.01 * random())
  const bias = Int32Array.from({ length: rows }, () => (random() - 0.5) * 20_000)
  if (trained) {
    for (let i = 0; i < weights.length; i++) {
      if (Math.floor(i / columns) % inRows === 0 && random() < moved)
        weights[i]! += random() < 0.8 ? 1 : -1
    }
    for (let i = 0; i < rows; i += 4) {
      scales[i] = scales[i]! * 1.001
      bias[i]! += 37
    }
  }
  const inputScale = Math.fround(0.0173)
  const biasScales = scales.map((one) => inputScale * one)
  const made = model({
    name: 'small',
    inputs: [value('x', 'float32', [1, 32, 8, 8])],
    outputs: [value('y', 'float32', [1, 32, 6, 6])],
    nodes: [
      node('QuantizeLinear', ['x', 'x_scale', 'x_zero'], ['x_codes']),
      node('DequantizeLinear', ['x_codes', 'x_scale', 'x_zero'], ['x_again']),
      node('DequantizeLinear', ['w', 'w_scale'], ['w_again'], { axis: { int: 0 } }),
      node('DequantizeLinear', ['b', 'b_scale'], ['b_again'], { axis: { int: 0 } }),
      node('Conv', ['x_again', 'w_again', 'b_again'], ['y']),
    ],
    initializers: [
      tensor('x_scale', [], Float32Array.of(inputScale)),
      tensor('x_zero', [], Uint8Array.of(3)),
      tensor('w', [rows, 32, 3, 3], weights),
      tensor('w_scale', [rows], scales),
      tensor('b', [rows], bias),
      tensor('b_scale', [rows], biasScales),
    ],
  })
  return writeModel(made)
}

test('codes cost no more than 1.05 times the entropy of how they moved, and less where only some rows did', (t) => {
  const ratio = (moved: number, inRows: number): number => {
    const [base, next] = [smallNet(3, false), smallNet(3, true, moved, inRows)]
    const { told } = makeDeltaInDetail(base, next)
    const [was, is] = [base, next].map((bytes) => {
      const { graph } = readModel(bytes)
      return graph?.initializer.find(({ name }) => name === 'w')?.rawData ?? assert.fail()
    }) as [Uint8Array, Uint8Array]
    const counts = new Map<number, number>()
    for (const [at, code] of is.entries()) {
      const step = (code - was[at]!) & 255
      counts.set(step, (counts.get(step) ?? 0) + 1)
    }
    const entropy = [...counts.values()].reduce((sum, n) => sum - n * Math.log2(n / is.length), 0)
    return told.find(({ name }) => name.startsWith(':w#'))!.bits / entropy
  }
  const evenly = [0.02, 0.14, 0.4, 0.9].map((moved) => ratio(moved, 1))
  const inRows = [0.14, 0.4, 0.9].map((moved) => ratio(moved, 4))
  t.diagnostic(
    `bits over entropy: ${evenly.map((one) => one.toFixed(3)).join(' ')}; in a quarter of the rows ${inRows.map((one) => one.toFixed(3)).join(' ')}`,
  )
  for (const one of evenly) assert.ok(one <= 1.05, `${one}`)
  for (const one of inRows) assert.ok(one <= 0.95, `${one}`)
})

test('scales of biases that are products cost nothing, and unchanged tensors next to nothing', () => {
  const [base, next] = [smallNet(1, false), smallNet(1, true)]
  const { patch, told } = makeDeltaInDetail(base, next)
  const of = (name: string) => told.find((one) => one.name.startsWith(`:${name}#`))!
  assert.equal(of('b_scale').mode, 'product')
  assert.equal(of('x_zero').mode, 'same')
  assert.ok(of('b_scale').bits < 12)
  assert.ok(of('w').bits < 0.35 * 32 * 288, `${of('w').bits} bits for the weights`)
  assert.ok(patch.length < 700, `${patch.length} bytes`)
  same(applyDelta(base, patch, boundsOf(next)), next)
})

test('applyDelta() refuses a wrong base, another file, other lengths, newer formats and what is no delta', () => {
  const [base, next] = [smallNet(1, false), smallNet(1, true)]
  const patch = makeDelta(base, next)
  const bounds = boundsOf(next)
  const changed = (at: number, byte: number) => {
    const copy = Uint8Array.from(patch)
    copy[at] = byte
    return copy
  }
  assert.throws(() => applyDelta(next, patch, bounds), code('wrong-base'))
  assert.throws(() => applyDelta(base, patch, boundsOf(base)), code('damaged'))
  assert.throws(() => applyDelta(base, patch, { ...bounds, lengthBytes: 5 }), code('damaged'))
  assert.throws(
    () => applyDelta(base, patch, { ...bounds, lengthBytes: 2 ** 40 }),
    code('too-large'),
  )
  assert.throws(() => applyDelta(base, changed(3, 2), bounds), code('unsupported'))
  assert.throws(() => applyDelta(base, changed(4, 9), bounds), code('damaged'))
  assert.throws(() => applyDelta(base, changed(0, 0), bounds), code('damaged'))
  assert.throws(() => applyDelta(base, patch.subarray(0, 40), bounds), code('damaged'))
  assert.throws(() => applyDelta(base, new Uint8Array(0), bounds), code('damaged'))
})

test('lengths that lie and a zstd bomb inside a delta reserve nothing', () => {
  const [base, next] = [smallNet(1, false), smallNet(1, true)]
  const patch = makeDelta(base, next)
  const bounds = boundsOf(next)
  const headBytes = 75
  const bomb = zstdCompressSync(new Uint8Array(128 * 1024 * 1024))
  const before = process.memoryUsage().rss
  for (const [skeleton, apart] of [
    [next.length, 0],
    [0, next.length],
    [0xffffffff, 0xffffffff],
    [100, 100],
  ] as const) {
    const lie = Buffer.concat([patch.subarray(0, headBytes), Buffer.alloc(12), bomb])
    lie.writeUInt32LE(skeleton, headBytes)
    lie.writeUInt32LE(apart, headBytes + 4)
    lie.writeUInt32LE(bomb.length, headBytes + 8)
    assert.throws(() => applyDelta(base, lie, bounds), code('damaged'))
  }
  const other = Buffer.concat([patch.subarray(0, headBytes), bomb])
  other[4] = 0
  assert.throws(() => applyDelta(base, other, bounds), code('damaged'))
  assert.ok(process.memoryUsage().rss - before < 64 * 1024 * 1024)
})

/** Damages patches by `seeds`; says how many were refused. A wrong byte fails the test. */
function damagePatches(seeds: Iterable<number>): {
  tried: number
  refused: number
  longestMs: number
} {
  const pairs = [1, 2, 3, 4].map((seed) => {
    const { base, next } =
      seed < 3 ? { base: smallNet(seed, false), next: smallNet(seed, true) } : randomPair(seed * 7)
    return { base, bounds: boundsOf(next), patch: makeDelta(base, next) }
  })
  let [tried, refused, longestMs] = [0, 0, 0]
  for (const seed of seeds) {
    const random = randomOf(seed)
    const { base, bounds, patch } = pairs[seed % pairs.length]!
    let damaged: Uint8Array = Uint8Array.from(patch)
    for (let left = 1 + Math.floor(random() * 3); left > 0; left--) {
      const at = Math.floor(random() * damaged.length)
      const kind = Math.floor(random() * 5)
      if (kind === 0) damaged = damaged.subarray(0, at)
      else if (kind === 1) damaged[at]! ^= 1 << Math.floor(random() * 8)
      else if (kind === 2) damaged[at] = random() * 256
      else if (kind === 3) damaged.fill(random() < 0.5 ? 0 : 255, at, at + 1 + random() * 12)
      else damaged.copyWithin(at, Math.floor(random() * damaged.length), damaged.length)
    }
    const begun = performance.now()
    tried++
    try {
      assert.equal(digestOf(applyDelta(base, damaged, bounds)), bounds.digest, `seed ${seed}`)
    } catch (error) {
      if (!(error instanceof ArtifactError)) throw error
      refused++
    }
    longestMs = Math.max(longestMs, performance.now() - begun)
  }
  return { tried, refused, longestMs }
}

test('400 damaged patches: each is refused, or makes the right file all the same', (t) => {
  const { tried, refused } = damagePatches(Array.from({ length: 400 }, (_, i) => i + 1))
  t.diagnostic(`${tried} tried, ${refused} refused`)
  assert.ok(refused > 0.8 * tried)
})

test('6,000 damaged patches, in bounded time and memory', needs('time'), (t) => {
  const before = process.memoryUsage().rss
  const { tried, refused, longestMs } = damagePatches(
    Array.from({ length: 6000 }, (_, i) => i + 1000),
  )
  const grownBytes = process.memoryUsage().rss - before
  t.diagnostic(
    `${tried} tried, ${refused} refused, longest ${Math.round(longestMs)} ms, ${grownBytes} bytes more`,
  )
  assert.ok(refused > 0.8 * tried)
  assert.ok(grownBytes < 256 * 1024 * 1024)
})

const golden = (name: string) => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url))

test('golden files: this delta makes this file of this base, in every implementation', () => {
  const names = {
    base: golden('base.onnx'),
    next: golden('next.onnx'),
    patch: golden('patch.delta'),
  }
  if (process.env.EDGELOOP_UPDATE_GOLDEN) {
    const [base, next] = [smallNet(2026, false), smallNet(2026, true)]
    writeFileSync(names.base, base)
    writeFileSync(names.next, next)
    writeFileSync(names.patch, makeDelta(base, next))
  }
  const [base, next, patch] = [names.base, names.next, names.patch].map((file) =>
    readFileSync(file),
  ) as [Buffer, Buffer, Buffer]
  same(applyDelta(base, patch, boundsOf(next)), next)
  same(makeDelta(base, next), patch)
  assert.equal(readDeltaHead(patch).method, 'tensors')
})
