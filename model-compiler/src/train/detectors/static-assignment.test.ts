import assert from 'node:assert/strict'
import { test } from 'node:test'
import { numbersFrom, tinyYolox } from '../../../../test/training/tiny-detectors.ts'
import type { Annotation } from '../../datasets/dataset.ts'
import { Anchors } from './anchors.ts'
import { recognizeHead } from './head.ts'
import { assignByCentre } from './static-assignment.ts'
import { packTruths, slotsFor } from './truths.ts'

// Maps of 8×8 cells of stride 8 and 4×4 of stride 16.
const head = recognizeHead(tinyYolox({ classes: 2 }))
const anchors = new Anchors(head)
const labels = ['a', 'b']
const box = (label: string, x: number, y: number, w: number, h: number): Annotation => ({
  kind: 'box',
  label,
  box: [x / 64, y / 64, w / 64, h / 64],
})
/** Cells of each slot of the first picture. */
function cellsOf(annotations: readonly Annotation[]): number[][] {
  const truths = packTruths([annotations], labels, head, 16)
  const matched = assignByCentre(truths, anchors, 1)
  return annotations.map((_, slot) =>
    [...matched.subarray(slot * anchors.count, (slot + 1) * anchors.count).entries()].flatMap(
      ([at, one]) => (one === 1 ? [at] : []),
    ),
  )
}

test('assignByCentre() takes the cells in the box around its middle', () => {
  // The middle is (20, 20), that of cell (2, 2): the nine cells around it have theirs in the box.
  assert.deepEqual(cellsOf([box('a', 8, 8, 24, 24)]), [[9, 10, 11, 17, 18, 19, 25, 26, 27]])
  assert.deepEqual(cellsOf([box('a', 17, 8, 6, 24)]), [[10, 18, 26]])
})

test('assignByCentre() gives a box smaller than a cell the nearest one', () => {
  assert.deepEqual(cellsOf([box('a', 1, 1, 2, 2)]), [[0]])
  assert.deepEqual(cellsOf([box('a', 61, 61, 3, 3)]), [[63]])
})

test('assignByCentre() gives a cell that two want to the smaller box', () => {
  const [large, small] = cellsOf([box('a', 0, 0, 40, 40), box('b', 16, 16, 8, 8)])
  assert.deepEqual(small, [18])
  assert.ok(large!.length > 0 && !large!.includes(18))
})

test('assignByCentre() leaves no box without a cell, unless all of its cells are wanted by smaller ones', (t) => {
  const seed = 11
  t.diagnostic(`seed ${seed}`)
  const random = numbersFrom(seed)
  for (let round = 0; round < 200; round++) {
    const boxes = Array.from({ length: 1 + Math.floor(random() * 8) }, () => {
      const [w, h] = [2 + random() * 40, 2 + random() * 40]
      return box('a', random() * (64 - w), random() * (64 - h), w, h)
    })
    const cells = cellsOf(boxes)
    const all = cells.flat()
    assert.equal(new Set(all).size, all.length, 'a cell answers for one box')
    // packTruths puts the largest first, so the last slot holds the smallest.
    assert.ok(cells.at(-1)!.length > 0)
  }
})

test('packTruths() cuts, leaves out and ignores what nobody could find', () => {
  const annotations: Annotation[] = [
    box('a', -10, -10, 20, 20),
    box('b', 30, 30, 1, 20),
    box('b', 70, 70, 5, 5),
    box('other', 10, 10, 10, 10),
    { ...box('b', 0, 0, 64, 64), crowd: true } as Annotation,
    { kind: 'class', label: 'a' },
  ]
  const truths = packTruths([annotations], labels, head, 16)
  assert.deepEqual([...truths.present.subarray(0, 4)], [1, 0, 0, 0])
  assert.deepEqual([...truths.crowd.subarray(0, 4)], [0, 1, 1, 0])
  assert.deepEqual([...truths.boxes.subarray(0, 4)], [0, 0, 10, 10])
  assert.deepEqual([...truths.boxes.subarray(4, 8)], [0, 0, 64, 64])
  assert.deepEqual([...truths.classes.subarray(0, 4)], [1, 0, 0, 0])
})

test('packTruths() keeps the largest where there are more than slots', () => {
  const many = Array.from({ length: 20 }, (_, at) => box('a', at, at, 4 + at, 4 + at))
  const truths = packTruths([many], labels, head, 16)
  assert.equal(truths.present.filter((one) => one === 1).length, 16)
  assert.equal(truths.boxes[3], 42)
  assert.deepEqual([slotsFor(0), slotsFor(16), slotsFor(17), slotsFor(1000)], [16, 16, 64, 128])
})
