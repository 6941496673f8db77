/** Suppression is compared with the textbook: one pass per class, every pair, no early end. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Candidates, candidatesMax } from './candidates.ts'
import { suppress } from './nms.ts'

type Entry = { score: number; classIndex: number; box: readonly number[] }

function candidatesOf(entries: readonly Entry[]): Candidates {
  const candidates = new Candidates()
  for (const { score, classIndex, box } of entries) {
    const [left = 0, top = 0, right = 0, bottom = 0] = box
    candidates.add(score, classIndex, left, top, right, bottom)
  }
  return candidates
}

const overlapping: Entry[] = [
  { score: 0.8, classIndex: 0, box: [1, 0, 11, 10] },
  { score: 0.9, classIndex: 0, box: [0, 0, 10, 10] },
  { score: 0.7, classIndex: 1, box: [0, 0, 10, 10] },
  { score: 0.6, classIndex: 0, box: [50, 50, 60, 60] },
]

test('suppress() keeps the best of overlapping boxes of a class', () => {
  const kept = suppress(candidatesOf(overlapping), { iouMax: 0.6, keepMax: 100 })
  assert.deepEqual(kept, [1, 2, 3])
})

test('suppress() keeps both where they overlap by no more than allowed', () => {
  // 9 × 10 shared of 110: .818
  const kept = suppress(candidatesOf(overlapping), { iouMax: 0.82, keepMax: 100 })
  assert.deepEqual(kept, [1, 0, 2, 3])
})

test('suppress() keeps at most keepMax, and only the classes asked for', () => {
  const candidates = candidatesOf(overlapping)
  assert.deepEqual(suppress(candidates, { iouMax: 0.6, keepMax: 2 }), [1, 2])
  assert.deepEqual(suppress(candidates, { iouMax: 0.6, keepMax: 0 }), [])
  const classes = new Set([1])
  assert.deepEqual(suppress(candidates, { iouMax: 0.6, keepMax: 100, classes }), [2])
})

test('suppress() agrees with one pass per class', () => {
  const side = fc.integer({ min: 0, max: 20 })
  const entry = fc.record({
    score: fc.integer({ min: 1, max: 100 }).map((percent) => Math.fround(percent / 100)),
    classIndex: fc.integer({ min: 0, max: 2 }),
    box: fc.tuple(side, side, side, side).map(([x, y, w, h]) => [x, y, x + w, y + h]),
  })
  fc.assert(
    fc.property(
      fc.array(entry, { maxLength: 40 }),
      fc.constantFrom(0, 0.3, 0.6, 1),
      fc.integer({ min: 1, max: 40 }),
      (entries, iouMax, keepMax) => {
        const kept = suppress(candidatesOf(entries), { iouMax, keepMax })
        assert.deepEqual(kept, textbook(entries, iouMax).slice(0, keepMax))
      },
    ),
  )
})

function textbook(entries: readonly Entry[], iouMax: number): number[] {
  const best = entries.map((_, index) => index)
  best.sort((a, b) => entries[b]!.score - entries[a]!.score || a - b)
  const gone = new Set<number>()
  for (const [rank, index] of best.entries()) {
    if (gone.has(index)) continue
    for (const other of best.slice(rank + 1)) {
      const [a, b] = [entries[index]!, entries[other]!]
      if (a.classIndex === b.classIndex && overlap(a.box, b.box) > iouMax) gone.add(other)
    }
  }
  return best.filter((index) => !gone.has(index))
}

function overlap(a: readonly number[], b: readonly number[]): number {
  const width = Math.max(0, Math.min(a[2]!, b[2]!) - Math.max(a[0]!, b[0]!))
  const height = Math.max(0, Math.min(a[3]!, b[3]!) - Math.max(a[1]!, b[1]!))
  const area = (box: readonly number[]) => (box[2]! - box[0]!) * (box[3]! - box[1]!)
  return width * height > 0 ? (width * height) / (area(a) + area(b) - width * height) : 0
}

test('Candidates grows to its bound, then drops and counts', () => {
  const candidates = new Candidates()
  for (let index = 0; index < candidatesMax + 3; index++) candidates.add(0.5, index, 0, 0, 1, 1)
  assert.equal(candidates.count, candidatesMax)
  assert.equal(candidates.dropped, 3)
  assert.equal(candidates.classes[candidatesMax - 1], candidatesMax - 1)
  candidates.clear()
  assert.equal(candidates.count, 0)
  assert.equal(candidates.dropped, 0)
})
