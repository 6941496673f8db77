import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EventRule } from '@edgeloop/protocol'
import { EventRule as EventRuleSchema } from '@edgeloop/protocol'
import { fits } from '@edgeloop/protocol/check'
import { draftOf, newDraft, ruleOf, sayRule, sayTrial } from './rule-words.ts'

const rule: EventRule = {
  description: 'kept',
  when: {
    kinds: ['zone'],
    labels: ['person', 'dog'],
    zones: ['dock'],
    scoreMin: 0.6,
    hours: [{ days: [1], from: '22:00', to: '06:00' }],
  },
  count: { atLeast: 3, withinSeconds: 120 },
  groupBy: ['site', 'track'],
  coolDownSeconds: 60,
  gatherSeconds: 5,
  tell: ['guard'],
}

test('a rule goes through the form as it was, also what the form does not show', () => {
  assert.deepEqual(ruleOf(draftOf('dock', rule), rule), rule)
  const plain: EventRule = {
    when: {},
    groupBy: [],
    coolDownSeconds: 0,
    gatherSeconds: 0,
    tell: ['x'],
  }
  assert.deepEqual(ruleOf(draftOf('all', plain), plain), plain)
})

test('what is typed is what the hub takes', () => {
  const draft = { ...newDraft, name: 'x', labels: ' person,, dog ,person', tell: ['guard'] }
  const made = ruleOf(draft)
  assert.ok(fits(EventRuleSchema, made))
  assert.deepEqual(made.when, { kinds: ['appeared'], labels: ['person', 'dog'] })
  assert.deepEqual(made.groupBy, ['device', 'stream'])
  assert.deepEqual(ruleOf({ ...draft, kinds: ['line'], areas: 'gate' }).when.lines, ['gate'])
  assert.deepEqual(ruleOf({ ...draft, kinds: ['zone'], areas: 'gate' }).when.zones, ['gate'])
})

test('rules and trials in words', () => {
  assert.equal(
    sayRule(rule),
    'zone of person, dog, in dock, score 0.6 or more, at its hours, at least 3 within 2 min',
  )
  const trial = {
    from: '',
    to: '',
    looked: 40,
    matched: 13,
    fired: 12,
    silenced: 1,
    whole: true,
    examples: [],
  }
  assert.equal(
    sayTrial(trial),
    'It would have fired 12 times in the last day: 13 of 40 events fit; 1 fell into its cool-down.',
  )
  assert.match(sayTrial({ ...trial, fired: 1, silenced: 0 }), /fired once in the last day/)
})
