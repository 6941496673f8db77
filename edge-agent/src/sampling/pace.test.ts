import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fits } from '@edgeloop/protocol/check'
import { seededRandom } from '../demo/random.ts'
import { advance, type Budget, dayMs, drawRandom, firstSpent, hasRoom, pay, Spent } from './pace.ts'

const budget: Budget = { framesPerDay: 200, bytesPerDay: 40e6, randomShare: 0.1 }
const noon = Date.UTC(2026, 10, 21, 12)
const bytes = 150_000

test('bucket and reserve fill by the steady clock alone, and hold no more than they may', () => {
  const first = firstSpent(budget, noon, 0.5)
  assert.ok(fits(Spent, first))
  const empty = { ...first, bucket: 0, reserve: 0 }
  const hour = advance(empty, budget, noon + 3_600_000, 3_600_000)
  assert.ok(Math.abs(hour.bucket - (180 * 0.6) / 24) < 1e-9)
  assert.ok(Math.abs(hour.reserve - (180 * 0.4) / 24) < 1e-9)
  const jumped = advance(empty, budget, noon + 40 * dayMs, 1_000)
  assert.ok(jumped.bucket < 0.01 && jumped.reserve < 0.01)
  const long = advance(empty, budget, noon + 9 * dayMs, 9 * dayMs)
  assert.deepEqual([long.bucket, long.reserve], [18, 72])
})

test('a day ends with a later date or after a day, never by a clock that goes back', () => {
  const spent = pay(firstSpent(budget, noon, 0), budget, bytes, 'bucket')
  const back = advance(spent, budget, noon - 3 * dayMs, 1_000)
  assert.deepEqual([back.frames, back.bytes], [1, bytes])
  assert.equal(advance(spent, budget, noon + dayMs, 1_000).frames, 0)
  // The clock was years ahead and is right now: the day still ends.
  const ahead = advance(spent, budget, noon + 3650 * dayMs, 1_000)
  const full = pay(ahead, budget, bytes, 'bucket')
  assert.equal(advance(full, budget, noon, dayMs / 2).frames, 1)
  assert.equal(advance(advance(full, budget, noon, dayMs / 2), budget, noon, dayMs / 2).frames, 0)
})

test('hasRoom() bounds frames and bytes; a large picture costs more of the bucket', () => {
  const first = firstSpent(budget, noon, 0)
  assert.ok(hasRoom({ ...first, frames: 199 }, budget, bytes))
  assert.ok(!hasRoom({ ...first, frames: 200 }, budget, bytes))
  assert.ok(!hasRoom({ ...first, bytes: 39.9e6 }, budget, bytes))
  assert.equal(pay(first, budget, 200_000, 'bucket').bucket, first.bucket - 1)
  assert.equal(pay(first, budget, 600_000, 'bucket').bucket, first.bucket - 3)
})

test('drawRandom() keeps one frame of each interval, each by the time it stands for', () => {
  const seed = 7
  const random = seededRandom(seed)
  let spent = firstSpent(budget, noon, random())
  let drawn = 0
  let busy = 0
  let [weighed, weighedBusy] = [0, 0]
  const days = 40
  for (let ms = 0; ms < days * dayMs; ) {
    // Half of the time frames come every two seconds, half of the time every ten.
    const isBusy = Math.floor(ms / 3_600_000) % 2 === 0
    const gap = isBusy ? 2_000 : 10_000
    const looked = drawRandom(spent, budget, gap, random())
    spent = looked.spent
    ms += gap
    assert.ok(Math.abs(looked.probability - gap / (dayMs / 20)) < 1e-12)
    if (!looked.isDrawn) continue
    drawn++
    if (isBusy) busy++
    weighed += 1 / looked.probability
    if (isBusy) weighedBusy += 1 / looked.probability
  }
  assert.ok(Math.abs(drawn - days * 20) <= 1, `${drawn} drawn, seed ${seed}`)
  assert.ok(Math.abs(busy / drawn - 0.5) < 0.06, `${busy} of ${drawn} while busy, seed ${seed}`)
  // An unbiased figure: five of six frames came while it was busy, and samples weighed by their probability say so.
  assert.ok(
    Math.abs(weighedBusy / weighed - 5 / 6) < 0.04,
    `${weighedBusy / weighed}, seed ${seed}`,
  )
})
