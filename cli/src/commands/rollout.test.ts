import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stagesOf, windowOf } from './rollout.ts'

test('windows are written as days and hours', () => {
  const every = [1, 2, 3, 4, 5, 6, 7]
  for (const [text, days, from, to] of [
    ['mon-fri 22:00-05:00', [1, 2, 3, 4, 5], '22:00', '05:00'],
    ['Sat,Sun 00:00-24:00', [6, 7], '00:00', '00:00'],
    ['fri-mon 01:00-02:30', [1, 5, 6, 7], '01:00', '02:30'],
    ['03:00-04:00', every, '03:00', '04:00'],
  ] as const) {
    assert.deepEqual(windowOf(text), { days, from, to }, text)
  }
  assert.throws(
    () => windowOf('someday 22:00-05:00'),
    /"someday" is no day; write it as "mon-fri 22:00-05:00"/,
  )
  assert.throws(() => windowOf('at night'), /it is no days and hours/)
})

test('stages are written as shares in percent; the first of several is the canary', () => {
  assert.deepEqual(stagesOf('1,25,100', { soakMs: 5 }), [
    { share: 0.01, name: 'canary', devicesMin: 10, soakMs: 5 },
    { share: 0.25, soakMs: 5 },
    { share: 1, soakMs: 5 },
  ])
  assert.deepEqual(stagesOf('100%', {}), [{ share: 1 }])
  assert.throws(() => stagesOf('1,all', {}), /Cannot use "all" as a stage: write shares in percent/)
})
