import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stageDefaults } from '@edgeloop/protocol'
import { dealOut, isSelected, planOf, stageSizes } from './selection.ts'

const fleet = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    deviceId: `box-${index}`,
    site: `site-${index % 4}`,
    target: index % 10 === 0 ? 'linux-arm64' : 'linux-x64',
    reachable: index % 3 !== 0,
  }))

test('stages add up to all devices: 50 of 5,000 are the canary, 10 of few, and small fleets have empty stages', () => {
  const sizes = (devices: number) => stageSizes(stageDefaults(devices), devices)
  assert.deepEqual(sizes(5000), [50, 200, 1000, 3750])
  assert.deepEqual(sizes(100), [10, 0, 15, 75])
  assert.deepEqual(sizes(7), [7, 0, 0, 0])
  assert.deepEqual(sizes(0), [0, 0, 0, 0])
})

test('devices that can be reached come first, in fair shares of sites and kinds; the same seed deals the same', () => {
  const stages = stageDefaults(50)
  const devices = fleet(3000)
  const dealt = dealOut(stages, devices, 'a')
  assert.deepEqual(
    dealt.map(({ stage }) => stage),
    dealt.map(({ stage }) => stage).toSorted((a, b) => a - b),
  )
  assert.equal(new Set(dealt.map(({ device }) => device.deviceId)).size, 3000)
  assert.deepEqual(dealOut(stages, devices.toReversed(), 'a'), dealt)
  assert.notDeepEqual(dealOut(stages, devices, 'b'), dealt)
  const firstOff = dealt.findIndex(({ device }) => !device.reachable)
  assert.equal(firstOff, devices.filter(({ reachable }) => reachable).length)
  for (const [stage, size] of [
    [0, 30],
    [1, 120],
  ] as const) {
    const members = dealt.filter((one) => one.stage === stage)
    assert.equal(members.length, size)
    for (const site of ['site-0', 'site-1', 'site-2', 'site-3']) {
      const share = members.filter(({ device }) => device.site === site).length / size
      assert.ok(Math.abs(share - 0.25) < 0.1, `${stage} ${site} ${share}`)
    }
    assert.ok(members.some(({ device }) => device.target === 'linux-arm64'))
  }
})

test('a selection wants every list that is given, and any word of each', () => {
  const device = { deviceId: 'gate', site: 'mill', tags: ['pilot', 'roof'], targets: ['linux-x64'] }
  for (const [selection, hit] of [
    [{ all: true }, true],
    [{ tags: ['cellar', 'roof'] }, true],
    [{ tags: ['roof'], sites: ['quarry'] }, false],
    [{ devices: ['gate'], targets: ['linux-x64', 'linux-arm64'] }, true],
    [{ devices: ['other'] }, false],
  ] as const) {
    assert.equal(
      isSelected(selection as unknown as Parameters<typeof isSelected>[0], device),
      hit,
      JSON.stringify(selection),
    )
  }
})

test('a plan is what was asked, and usual otherwise: the gate of a canary goes by its size', () => {
  const least = { name: 'gate', version: 2, select: { all: true } } as const
  const stops = (devices: number, given = {}) =>
    planOf({ ...least, ...given }, devices).stages.map(({ gate }) => gate.failuresMax)
  assert.deepEqual(stops(500), [2, 3, 3, 3])
  assert.deepEqual(stops(5000), [3, 3, 3, 3])
  assert.deepEqual(stops(5000, { stages: [{ share: 0.001 }, { share: 1 }] }), [2, 3])
  const asked = planOf(
    {
      ...least,
      stages: [{ share: 1, gate: { driftMax: 9 } }],
      care: { shadowMs: 0 },
      rate: { perMinute: 5000 },
    },
    5,
  )
  assert.deepEqual(
    [asked.stages[0]?.gate.driftMax, asked.care.shadowMs, asked.rate.perMinuteMax],
    [9, 0, 5000],
  )
})
