import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type RolloutRequest, RolloutRequest as Schema } from '@edgeloop/protocol'
import { parse } from '@edgeloop/protocol/check'
import { type Draft, readDraft, requestOf, stagesProblem, stagesUsual } from './draft.ts'

const whole: Draft = {
  name: 'parts',
  version: 3,
  sites: ['plant'],
  tags: ['pilot'],
  step: 4,
  stages: stagesUsual,
  window: { days: [6, 7], from: '22:00', to: '04:00' },
  approval: 'after-canary',
  onStop: 'stage',
  join: true,
  note: 'week 46',
  shadowMinutes: 5,
  probationMinutes: 20,
  agreement: 80,
}

test('a draft comes out of the address as it went in, and is what the hub takes', () => {
  assert.deepEqual(readDraft(JSON.parse(JSON.stringify(whole))), whole)
  const request: RolloutRequest = requestOf(whole) ?? assert.fail()
  assert.deepEqual(parse(Schema, request, 'the request'), request)
  assert.deepEqual(
    request.stages?.map(({ name, share }) => `${name} ${share}`),
    ['canary 0.01', '5 % 0.05', '25 % 0.25', '100 % 1'],
  )
  assert.equal(request.care?.shadowMs, 300_000)
})

test('an address that was tampered with leaves a draft that still fits', () => {
  const odd = {
    name: 7,
    version: -1,
    sites: [1, '', 'plant'],
    tags: 'pilot',
    stages: [{ percent: 400 }],
    window: { days: [9], from: '25:00', to: '' },
    approval: 'always',
    step: 99,
    all: 'yes',
  }
  assert.deepEqual(readDraft(odd), { sites: ['plant'], tags: ['pilot'] })
})

test('nothing is asked while model, boxes or stages are not whole', () => {
  const { name: _, ...nameless } = whole
  const { sites: __, tags: ___, ...boxless } = whole
  const [first] = stagesUsual
  assert.ok(first)
  assert.equal(requestOf(nameless), undefined)
  assert.equal(requestOf(boxless), undefined)
  assert.equal(requestOf({ ...whole, stages: [first] }), undefined)
  assert.match(stagesProblem([first]) ?? '', /100 %/)
  assert.match(stagesProblem([first, first]) ?? '', /Stage 2/)
  assert.deepEqual(requestOf({ ...boxless, all: true })?.select, { all: true })
})
