import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { agreementOf } from './agreement.ts'

const at = (label: string, score: number, x: number, y = 0.1) => ({
  label,
  score,
  box: [x, y, 0.2, 0.2],
})
const saw = (...detections: ReturnType<typeof at>[]) => ({ detections })

test('agreementOf() counts what both see, by label and place, one for one', () => {
  const both = saw(at('bolt', 0.9, 0.1), at('gear', 0.8, 0.5))
  assert.deepEqual(agreementOf(both, both, 0.5), { detections: 4, common: 4 })
  // Moved by a quarter of its width: IoU .6; by half: .33.
  assert.equal(agreementOf(saw(at('bolt', 0.9, 0.1)), saw(at('bolt', 0.7, 0.15)), 0.5).common, 2)
  assert.equal(agreementOf(saw(at('bolt', 0.9, 0.1)), saw(at('bolt', 0.9, 0.2)), 0.5).common, 0)
  assert.equal(agreementOf(saw(at('bolt', 0.9, 0.1)), saw(at('gear', 0.9, 0.1)), 0.5).common, 0)
  const twice = saw(at('bolt', 0.9, 0.1), at('bolt', 0.8, 0.11))
  assert.deepEqual(agreementOf(twice, saw(at('bolt', 0.9, 0.1)), 0.5), { detections: 3, common: 2 })
  assert.deepEqual(agreementOf(saw(), saw(), 0.5), { detections: 0, common: 0 })
})

test('a score that moves a little across the threshold is no disagreement', () => {
  const [sure, unsure] = [saw(at('bolt', 0.52, 0.1)), saw(at('bolt', 0.48, 0.1))]
  assert.deepEqual(agreementOf(sure, unsure, 0.5), { detections: 1, common: 1 })
  assert.deepEqual(agreementOf(unsure, unsure, 0.5), { detections: 0, common: 0 })
})

test('classes and areas agree by their labels', () => {
  const [cat, dog] = [
    { classes: [{ label: 'cat', score: 0.9 }] },
    { classes: [{ label: 'dog', score: 0.9 }] },
  ]
  assert.deepEqual(agreementOf(cat, cat, 0.5), { detections: 2, common: 2 })
  assert.deepEqual(agreementOf(cat, dog, 0.5), { detections: 2, common: 0 })
  assert.deepEqual(agreementOf({ embedding: [1] }, { embedding: [0] }, 0.5), {
    detections: 0,
    common: 0,
  })
})

const reading = fc
  .array(
    fc.record({
      label: fc.constantFrom('a', 'b'),
      score: fc.float({ min: 0, max: 1, noNaN: true }),
      x: fc.integer({ min: 0, max: 8 }),
    }),
  )
  .map((all) => saw(...all.map(({ label, score, x }) => at(label, score, x / 10))))

test('agreement is the same both ways, whole with itself, and never more than there is', () => {
  fc.assert(
    fc.property(reading, reading, (a, b) => {
      const one = agreementOf(a, b, 0.5)
      assert.deepEqual(one, agreementOf(b, a, 0.5))
      assert.ok(one.common <= one.detections)
      const self = agreementOf(a, a, 0.5)
      assert.equal(self.common, self.detections)
    }),
  )
})
