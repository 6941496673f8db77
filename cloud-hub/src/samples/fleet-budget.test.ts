/** How the budget of a day is dealt out: never more than it is, never nothing, more to whom it is of more use. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { divideBudget, evenShare, type StreamNeed } from './fleet-budget.ts'

const budget = { framesPerDay: 1000, bytesPerDay: 100_000_000 }
const need = (streamId: string, more: Partial<StreamNeed> = {}): StreamNeed => ({
  deviceId: 'gate',
  streamId,
  wished: 10_000,
  doubt: 0,
  alarm: false,
  labelled: 0,
  mended: 0,
  ...more,
})
const framesOf = (...needs: StreamNeed[]): number[] =>
  divideBudget(budget, needs).map(({ frames }) => frames)

test('streams of which the same is known get the same, in frames and bytes', () => {
  assert.deepEqual(
    divideBudget(budget, [need('a'), need('b')]).map(({ frames, bytes }) => [frames, bytes]),
    [
      [500, 50_000_000],
      [500, 50_000_000],
    ],
  )
})

test('what one would not use goes to the others, and what nobody would use to all', () => {
  assert.deepEqual(framesOf(need('a', { wished: 200 }), need('b', { wished: 300 })), [450, 550])
  assert.deepEqual(framesOf(need('a', { wished: 50 }), need('b')), [100, 900])
  assert.deepEqual(framesOf(need('a', { wished: 0 }), need('b', { wished: 0 })), [500, 500])
})

test('doubt, drift and what people mended before weigh more; each alone', () => {
  for (const more of [{ doubt: 1 }, { alarm: true }, { labelled: 100, mended: 90 }]) {
    const [some, other] = framesOf(need('a', more), need('b'))
    assert.ok(some! > 1.4 * other!, `${JSON.stringify(more)}: ${some} against ${other}`)
  }
  const [useless, other] = framesOf(need('a', { labelled: 200, mended: 0 }), need('b'))
  assert.ok(useless! < other! / 2, 'nothing was ever to be mended')
  assert.ok(useless! >= (1000 * evenShare) / 2, 'it is heard all the same')
})

test('whatever is wished, no more is dealt out than there is, and nearly all of it', () => {
  const seed = Date.now() % 1_000_000
  console.log(`seed ${seed}`)
  const needs = fc.array(
    fc.record({
      wished: fc.nat(1_000_000),
      doubt: fc.double({ min: 0, max: 1, noNaN: true }),
      alarm: fc.boolean(),
      labelled: fc.nat(1000),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
    { minLength: 1, maxLength: 60 },
  )
  fc.assert(
    fc.property(needs, fc.nat(100_000), fc.nat(1_000_000_000), (given, frames, bytes) => {
      const all = given.map(({ share, ...one }, i) => {
        return need(`s${i}`, { ...one, mended: Math.floor(one.labelled * share) })
      })
      const shares = divideBudget({ framesPerDay: frames, bytesPerDay: bytes }, all)
      const dealt = shares.reduce((sum, share) => sum + share.frames, 0)
      assert.ok(dealt <= frames && dealt >= frames - 1, `${dealt} of ${frames}`)
      assert.ok(shares.reduce((sum, share) => sum + share.bytes, 0) <= bytes)
      const even = Math.floor((frames * evenShare) / all.length)
      for (const share of shares) assert.ok(share.frames >= even && share.bytes >= 0)
    }),
    { seed, numRuns: 200 },
  )
})
