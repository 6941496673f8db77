import assert from 'node:assert/strict'
import { test } from 'node:test'
import { actionOf, chordMsMax, keyTable } from './keys.ts'

test('actionOf() finds every row of the key table', () => {
  for (const { action, keys } of keyTable) {
    let pending: ReturnType<typeof actionOf>['pending']
    let found: string | undefined
    for (const key of keys)
      ({ pending, action: found } = { action: undefined, ...actionOf(key, pending, 5) })
    assert.equal(found, action, keys.join(' '))
  }
})

test('actionOf() forgets the first key of a pair after a second', () => {
  const { pending } = actionOf('g', undefined, 0)
  assert.equal(actionOf('e', pending, chordMsMax).action, 'goEvents')
  assert.equal(actionOf('e', pending, chordMsMax + 1).action, undefined)
  assert.equal(actionOf('x', pending, 1).pending, undefined)
})
