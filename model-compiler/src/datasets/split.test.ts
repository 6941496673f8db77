/** How samples are dealt to training, choosing and testing: shares, labels, streams, times and duplicates. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Annotation, Sample, Split, SplitName } from './dataset.ts'
import { digestsOf, foldDataset, growSplit, readHoldout, splitDataset } from './split.ts'

const sampleOf = (at: number, more: Partial<Sample> = {}): Sample => ({
  digest: `d${at}`,
  name: `${at}.jpg`,
  width: 4,
  height: 4,
  annotations: [],
  ...more,
})
const setOf = (samples: readonly Sample[]) => ({ name: 'set', samples })
const labelled = (label: string): readonly Annotation[] => [{ kind: 'class', label }]
const sizeOf = (split: Split, name: SplitName) =>
  [...split.values()].filter((part) => part === name).length

test('splitDataset() deals shares, and the same for the same seed whatever the order', () => {
  const samples = Array.from({ length: 100 }, (_, at) => sampleOf(at))
  const split = splitDataset(setOf(samples), { holdout: 0.2, validation: 0.25, seed: 42 })
  assert.deepEqual(
    (['train', 'validation', 'test'] as const).map((name) => sizeOf(split, name)),
    [60, 20, 20],
  )
  const again = splitDataset(setOf(samples.toReversed()), {
    holdout: 0.2,
    validation: 0.25,
    seed: 42,
  })
  assert.deepEqual(new Map([...again].sort()), new Map([...split].sort()))
  const other = splitDataset(setOf(samples), { holdout: 0.2, validation: 0.25, seed: 43 })
  assert.notDeepEqual(
    digestsOf(setOf(samples), other, 'test'),
    digestsOf(setOf(samples), split, 'test'),
  )
})

test('splitDataset() holds out the same whatever becomes of the rest', () => {
  const samples = Array.from({ length: 80 }, (_, at) =>
    sampleOf(at, {
      annotations: labelled(at % 7 ? 'a' : 'b'),
      stream: `s${at % 4}`,
      capturedAt: at * 60_000,
    }),
  )
  for (const by of ['sample', 'time'] as const) {
    const held = [0, 0.1, 0.5].map((validation) =>
      digestsOf(setOf(samples), splitDataset(setOf(samples), { validation, by, seed: 4 }), 'test'),
    )
    assert(held[0]!.length > 0)
    assert.deepEqual(held[1], held[0])
    assert.deepEqual(held[2], held[0])
  }
})

test('splitDataset() holds out the last N in their order, and leaves out what shows the same', () => {
  const samples = Array.from({ length: 10 }, (_, at) => sampleOf(at))
  const split = splitDataset(setOf(samples), {
    holdout: 'last:3',
    seed: 1,
    together: [
      ['d2', 'd8'],
      ['d0', 'd1'],
    ],
  })
  assert.deepEqual(digestsOf(setOf(samples), split, 'test'), ['d7', 'd8', 'd9'])
  assert.deepEqual(digestsOf(setOf(samples), split, 'train'), ['d0', 'd1', 'd3', 'd4', 'd5', 'd6'])
  assert.throws(
    () => splitDataset(setOf(samples), { holdout: 'last:10', seed: 1 }),
    /leave none to learn/,
  )
})

test('splitDataset() gives each part its share of every label, also of rare ones', () => {
  const samples = Array.from({ length: 200 }, (_, at) =>
    sampleOf(at, { annotations: labelled(at < 10 ? 'rare' : at < 60 ? 'some' : 'many') }),
  )
  for (const seed of [1, 2, 3]) {
    const split = splitDataset(setOf(samples), { holdout: 0.2, seed })
    const held = samples.filter(({ digest }) => split.get(digest) === 'test')
    const count = (wanted: string) =>
      held.filter(({ annotations: [first] }) => first?.kind === 'class' && first.label === wanted)
        .length
    assert.deepEqual([count('rare'), count('some'), count('many')], [2, 10, 28])
  }
})

test('splitDataset() never parts what belongs together: streams, joined samples, moments', () => {
  const arbitrary = fc.record({
    samples: fc.array(
      fc.record({ stream: fc.integer({ min: 0, max: 9 }), at: fc.integer({ min: 0, max: 5000 }) }),
      { minLength: 60, maxLength: 120 },
    ),
    by: fc.constantFrom('sample', 'stream', 'time'),
    pairs: fc.array(fc.tuple(fc.nat(59), fc.nat(59)), { maxLength: 5 }),
    seed: fc.integer(),
  })
  fc.assert(
    fc.property(arbitrary, ({ samples: drawn, by, pairs, seed }) => {
      const samples = drawn.map(({ stream, at }, index) =>
        sampleOf(index, { stream: `s${stream}`, capturedAt: at * 1000 }),
      )
      const together = pairs.map(([a, b]) => [`d${a}`, `d${b}`])
      let split: Split
      try {
        split = splitDataset(setOf(samples), { by, together, seed, holdout: 0.3 })
      } catch (error) {
        // Few streams, or all of them joined: the refusal is right.
        assert.match((error as Error).message, /nothing is left for/)
        return
      }
      if (by !== 'time') assert.equal(split.size, samples.length)
      for (const [a, b] of together) {
        const [one, other] = [split.get(a!), split.get(b!)]
        assert(one === undefined || other === undefined || one === other)
      }
      for (const one of samples) {
        for (const other of samples) {
          if (one.stream !== other.stream || by === 'sample') continue
          const [a, b] = [split.get(one.digest), split.get(other.digest)]
          if (by === 'stream') assert.equal(a, b)
          else if (a && b && a !== b)
            assert(Math.abs(one.capturedAt! - other.capturedAt!) >= 10_000)
        }
      }
    }),
    { numRuns: 60 },
  )
})

test('splitDataset() deals blocks of time by itself where streams say when', () => {
  const samples = Array.from({ length: 300 }, (_, at) =>
    sampleOf(at, { stream: `s${at % 3}`, capturedAt: Math.floor(at / 3) * 60_000 }),
  )
  const split = splitDataset(setOf(samples), { seed: 5 })
  const line = samples
    .filter(({ stream }) => stream === 's0')
    .map(({ digest }) => split.get(digest))
  const changes = line.filter((part, at) => at > 0 && part !== line[at - 1]).length
  assert(changes > 0 && changes <= 10, `${changes} changes in a stream`)
  // One time for all says nothing.
  const exported = samples.map((sample) => ({ ...sample, capturedAt: 7, stream: sample.name }))
  assert.equal(splitDataset(setOf(exported), { seed: 5 }).size, 300)
})

test('splitDataset() refuses what cannot be dealt, and says what to do', () => {
  const one = Array.from({ length: 9 }, (_, at) => sampleOf(at, { stream: 'only' }))
  assert.throws(
    () => splitDataset(setOf(one), { seed: 1 }),
    /nothing is left for test, as 9 samples are 1 stream/,
  )
  assert.throws(() => splitDataset(setOf(one), { holdout: 1.5, seed: 1 }), /holdout is 1.5/)
  for (const text of ['last:', 'last:0', 'last:x', '1', '', 'all']) {
    assert.throws(() => readHoldout(text), /Cannot (hold out|split)/, text)
  }
  assert.deepEqual([readHoldout('last:10'), readHoldout('.25')], ['last:10', 0.25])
})

test('foldDataset() tests every sample once', () => {
  const samples = Array.from({ length: 23 }, (_, at) => sampleOf(at))
  const folds = foldDataset(setOf(samples), { folds: 4, seed: 9 })
  const tested = folds.flatMap((split) => digestsOf(setOf(samples), split, 'test'))
  assert.deepEqual(tested.toSorted(), samples.map(({ digest }) => digest).sort())
  assert.throws(
    () => foldDataset(setOf(samples.slice(0, 3)), { folds: 4, seed: 9 }),
    /3 samples can be dealt/,
  )
})

test('growSplit() leaves everything on its side for ever, round after round, and lets each stream give its share to the test', () => {
  const arbitrary = fc.record({
    rounds: fc.array(
      fc.array(
        fc.record({
          stream: fc.integer({ min: 0, max: 3 }),
          at: fc.integer({ min: 0, max: 200_000 }),
        }),
        { minLength: 40, maxLength: 90 },
      ),
      { minLength: 2, maxLength: 4 },
    ),
    by: fc.constantFrom('sample', 'time'),
    pairs: fc.array(fc.tuple(fc.nat(159), fc.nat(159)), { maxLength: 5 }),
    seed: fc.integer(),
  })
  fc.assert(
    fc.property(arbitrary, ({ rounds, by, pairs, seed }) => {
      const together = pairs.map(([a, b]) => [`d${a}`, `d${b}`])
      const samples: Sample[] = []
      let before: Split = new Map()
      for (const drawn of rounds) {
        for (const { stream, at } of drawn) {
          samples.push(sampleOf(samples.length, { stream: `s${stream}`, capturedAt: at * 1000 }))
        }
        const split = growSplit(setOf(samples), before, { by, seed, holdout: 0.25, together })
        for (const [digest, side] of before) assert.equal(split.get(digest), side)
        // What is new is never near an old frame of another side, nor the same picture as one.
        for (const one of samples) {
          const side = split.get(one.digest)
          if (before.has(one.digest) || side === undefined) continue
          for (const other of samples) {
            const theirs = split.get(other.digest)
            if (by !== 'time' || theirs === undefined || theirs === side) continue
            if (other.stream !== one.stream) continue
            assert(Math.abs(one.capturedAt! - other.capturedAt!) >= 10_000)
          }
          for (const group of together) {
            if (!group.includes(one.digest)) continue
            for (const digest of group) {
              const theirs = split.get(digest)
              assert(theirs === undefined || theirs === side)
            }
          }
        }
        before = split
      }
      if (by !== 'sample' || pairs.length > 0) return
      for (const stream of [0, 1, 2, 3].map((at) => `s${at}`)) {
        const those = samples.filter((one) => one.stream === stream)
        const tests = those.filter(({ digest }) => before.get(digest) === 'test').length
        assert(Math.abs(tests - those.length * 0.25) <= 1, `${tests} of ${those.length}`)
      }
    }),
    { numRuns: 60 },
  )
})

test('growSplit() keeps a stream that is dealt whole where it was, and refuses to leave no test', () => {
  const samples = ['a', 'b', 'c', 'd'].flatMap((stream, at) =>
    [0, 1].map((more) => sampleOf(at * 2 + more, { stream })),
  )
  const first = splitDataset(setOf(samples), { by: 'stream', holdout: 0.25, seed: 3 })
  const more = [...samples, ...samples.map((one, at) => ({ ...one, digest: `n${at}` }))]
  const grown = growSplit(setOf(more), first, { by: 'stream', holdout: 0.25, seed: 3 })
  for (const [at, { digest }] of samples.entries()) {
    assert.equal(grown.get(`n${at}`), first.get(digest))
  }
  assert.throws(
    () => growSplit(setOf(samples.slice(0, 1)), new Map(), { seed: 1 }),
    /nothing is left for test/,
  )
})
