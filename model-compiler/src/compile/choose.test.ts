/** The choice, figure by figure. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { candidateNames, candidatesFor, choose, type Judged, precisions } from './choose.ts'

const original: Judged = { name: 'original', sizeBytes: 100, latencyRatio: 1, drop: 0 }
const fp32: Judged = { name: 'fp32', sizeBytes: 99, latencyRatio: 1.1, drop: 0 }
const light: Judged = { name: 'int8-weights', sizeBytes: 28, latencyRatio: 1.09, drop: 0.001 }
const int8: Judged = { name: 'int8', sizeBytes: 27, latencyRatio: 1.6, drop: 0.005 }
const auto = { precision: 'auto', maxDrop: 0.01 } as const

const whyOf = (list: readonly Judged[], name: Judged['name'], rules = auto) =>
  choose(list, rules).verdicts.get(name)?.why

test('the fastest that is right enough is chosen, and everyone hears why not', () => {
  const all = [original, fp32, light, int8]
  const { chosen, verdicts } = choose(all, auto)
  assert.equal(chosen, 'int8')
  assert.deepEqual(
    [...verdicts].map(([name, { verdict, why }]) => [name, verdict, why]),
    [
      ['original', 'passed', 'slower than int8: 1.00 against 1.60 times as fast as the original'],
      ['fp32', 'passed', 'slower than int8: 1.10 against 1.60 times as fast as the original'],
      [
        'int8-weights',
        'passed',
        'slower than int8: 1.09 against 1.60 times as fast as the original',
      ],
      ['int8', 'chosen', 'the fastest of 4 that are right enough'],
    ],
  )
})

test('what loses too much is refused, and so is what is slower; a measure that is no number refuses', () => {
  const wrong = { ...int8, drop: 0.0301 }
  assert.equal(choose([original, fp32, wrong], auto).chosen, 'fp32')
  assert.equal(whyOf([original, wrong], 'int8'), 'loses 0.030, at most 0.01 is allowed')
  assert.equal(choose([original, { ...int8, drop: Number.NaN }], auto).chosen, 'original')
  const slow = { ...int8, latencyRatio: 0.9 }
  assert.equal(whyOf([original, slow], 'int8'), 'slower than the original: 0.90 times as fast')
  assert.equal(whyOf([original, slow], 'original'), 'nothing else is as fast and as right')
  const failed = { ...int8, failure: 'no weights' }
  assert.equal(whyOf([original, failed], 'int8'), 'fails: no weights')
})

test('of two that are equally fast the smaller is chosen', () => {
  assert.equal(choose([original, fp32, light], auto).chosen, 'int8-weights')
  assert.equal(whyOf([original, fp32, light], 'fp32'), 'as fast as int8-weights, but larger')
  assert.match(whyOf([original, fp32, light], 'int8-weights') ?? '', /within 2 %\), and smaller/)
})

test('a precision that was asked for is shipped though it is slower, but not though it is wrong', () => {
  const asked = { precision: 'int8', maxDrop: 0.01 } as const
  const slow = { ...int8, latencyRatio: 0.7 }
  assert.equal(choose([original, slow], asked).chosen, 'int8')
  assert.equal(choose([original, { ...slow, drop: 0.2 }], asked).chosen, undefined)
  assert.deepEqual(candidatesFor('int8'), ['original', 'int8', 'int8-search'])
  assert.deepEqual(candidatesFor('fp16'), ['original', 'fp16'])
  assert.deepEqual(candidatesFor('int4-weights'), ['original', 'int4-weights'])
  assert.ok(!candidatesFor('auto').includes('int8-qoperator'))
})

test('whatever is measured, auto ships nothing slower and nothing worse', () => {
  const figure = fc.record({
    name: fc.constantFrom(...candidateNames.slice(1)),
    sizeBytes: fc.integer({ min: 1, max: 1e9 }),
    latencyRatio: fc.double({ min: 0, max: 10 }),
    drop: fc.double({ min: -1, max: 1 }),
  })
  fc.assert(
    fc.property(
      fc.uniqueArray(figure, { selector: ({ name }) => name }),
      fc.double({ min: 0, max: 0.1, noNaN: true }),
      (figures, maxDrop) => {
        const list = [original, ...figures]
        const { chosen, verdicts } = choose(list, { precision: 'auto', maxDrop })
        const best = list.find(({ name }) => name === chosen)
        assert(best && best.latencyRatio >= 1 && best.drop <= maxDrop)
        assert.equal([...verdicts.values()].filter(({ verdict }) => verdict === 'chosen').length, 1)
        assert.equal(verdicts.size, list.length)
      },
    ),
  )
  for (const precision of precisions) assert(candidatesFor(precision).includes('original'))
})
