import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Value } from 'typebox/value'
import { planDefaults, RolloutPlan, RolloutRequest, stageDefaults } from './rollouts.ts'
import { careDefaults, careDoubts, driftSeenMs } from './updates.ts'

test('what is left out of a request makes a plan that fits its own schema', () => {
  for (const devices of [10, 50]) {
    const plan = {
      ...planDefaults,
      stages: stageDefaults(devices),
      care: careDefaults,
      name: 'door',
      version: 2,
      select: { all: true },
    }
    assert.deepEqual([...Value.Errors(RolloutPlan, plan)], [])
  }
})

test('what nobody looks at in a hurry is said, and of what is usual nothing', () => {
  assert.deepEqual(careDoubts(careDefaults), [])
  assert.deepEqual(careDoubts({ ...careDefaults, probationMs: driftSeenMs }), [])
  const [doubt, ...more] = careDoubts({ ...careDefaults, probationMs: driftSeenMs - 1 })
  assert.match(doubt ?? '', /^On a probation of 80 s no device can see .* takes 80 s$/)
  assert.deepEqual(more, [])
  assert.equal(careDoubts({ ...careDefaults, shadowMs: 0, probationMs: 0 }).length, 2)
})

test('a request is taken with parts of its parts, and refused with what it does not know', () => {
  const least = { name: 'door', version: 2, select: { sites: ['mill'] } }
  const parts = {
    ...least,
    stages: [{ share: 1, gate: { failuresMax: 1 } }],
    rate: { perMinute: 5 },
    care: { shadowMs: 0 },
    deadlines: { downloading: 60_000 },
  }
  for (const good of [least, parts]) assert.ok(Value.Check(RolloutRequest, good))
  for (const bad of [
    { ...least, select: {} },
    { ...least, stages: [] },
    { ...least, stages: [{ share: 0 }] },
    { ...least, stages: [{ share: 1, gate: { failures: 1 } }] },
    { ...least, rate: { perMinut: 5 } },
    { ...least, care: { shadow: 0 } },
    { ...least, deadlines: { committed: 60_000 } },
    { ...least, windows: [{ days: [0], from: '22:00', to: '05:00' }] },
    { ...least, windows: [{ days: [1], from: '24:00', to: '05:00' }] },
  ]) {
    assert.ok(!Value.Check(RolloutRequest, bad), JSON.stringify(bad))
  }
})
