/** Agreement of boxes, in cases worked out by hand. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Box, Found } from './average-precision.ts'
import { boxAgreement } from './box-agreement.ts'

const found = (box: Box, score = 0.9, label = 'x', image = 'a'): Found => ({
  image,
  label,
  box,
  score,
})

test('boxAgreement() is 1 for the same boxes, and for none on both sides', () => {
  const boxes = [found([0, 0, 1, 1]), found([0, 0, 1, 1], 0.8), found([5, 5, 2, 2], 0.4, 'y', 'b')]
  assert.equal(boxAgreement(boxes, boxes.toReversed()), 1)
  assert.equal(boxAgreement([], []), 1)
  assert.equal(boxAgreement(boxes, []), 0)
  assert.equal(boxAgreement([], boxes), 0)
})

test('boxAgreement() gives each box one partner of its label and image', () => {
  const reference = [found([0, 0, 2, 2])]
  // Two on the same thing, one of another label, one in another image: one hit of 1 and 4.
  const said = [
    found([0, 0, 2, 2]),
    found([0, 0, 2, 1.9], 0.5),
    found([0, 0, 2, 2], 0.9, 'y'),
    found([0, 0, 2, 2], 0.9, 'x', 'b'),
  ]
  assert.equal(boxAgreement(reference, said), 2 / 5)
})

test('boxAgreement() wants an overlap of a half', () => {
  assert.equal(boxAgreement([found([0, 0, 2, 2])], [found([0, 0, 2, 1])]), 1)
  assert.equal(boxAgreement([found([0, 0, 2, 2])], [found([0, 0, 2, 0.9])]), 0)
})
