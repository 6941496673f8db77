import assert from 'node:assert/strict'
import { test } from 'node:test'
import { faultsOf, promised, type RoundFigures } from './verdict.ts'

const good: RoundFigures = {
  round: 1,
  drift: 'light',
  version: 2,
  labels: 100,
  bytesUp: 1,
  bytesDown: 1,
  bytesWhole: 1,
  before: { north: 0.98, south: 0.96 },
  drifted: { north: 0.6, south: 0.8 },
  after: { north: 0.97, south: 0.93 },
  reference: { north: 0.98, south: 0.96 },
  deltaBytes: 20,
  fullBytes: 100,
  minutes: 4,
}

test('the loop has closed only where every round says so', () => {
  assert.deepEqual(faultsOf([good, { ...good, round: 2 }], 0), [])
  const faultOf = (change: Partial<RoundFigures>, lost = 0) =>
    faultsOf([{ ...good, ...change }], lost)
  assert.match(faultOf({ drifted: { north: 0.9, south: 0.85 } }).join(), /fell by 0.095/)
  assert.match(faultOf({ after: { north: 0.95, south: 0.9 } }).join(), /0.045 below/)
  assert.match(
    faultOf({ drifted: { north: 0.5, south: 0.94 }, before: { north: 0.98, south: 0.98 } }).join(),
    /box south got worse by 0.010/,
  )
  assert.match(faultOf({ deltaBytes: 21 }).join(), /21 of 100 bytes/)
  assert.match(faultOf({}, 3).join(), /3 events were lost/)
  assert.equal(
    faultsOf([{ ...good, deltaBytes: 21 }], 0, { ...promised, deltaShareMax: 0.3 }).length,
    0,
  )
  // What was not measured is no success.
  assert.equal(faultOf({ after: {} }).length, 1)
})
