import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addRange, countSelected, nobody, toggle, toggleAll } from './fleet-selection.ts'

const shown = ['a', 'b', 'c', 'd']

test('toggle() adds and takes out again, and leaves what it was given as it was', () => {
  const one = toggle(nobody, 'a')
  assert.deepEqual([...one], ['a'])
  assert.deepEqual([...toggle(one, 'a')], [])
  assert.equal(nobody.size, 0)
})

test('addRange() takes both directions, and one alone where the other is not shown', () => {
  assert.deepEqual([...addRange(nobody, shown, 'b', 'd')], ['b', 'c', 'd'])
  assert.deepEqual([...addRange(nobody, shown, 'd', 'b')], ['b', 'c', 'd'])
  assert.deepEqual([...addRange(nobody, shown, 'z', 'b')], ['b'])
})

test('toggleAll() completes first and empties second, and never touches what is not shown', () => {
  const some = new Set(['a', 'elsewhere'])
  const all = toggleAll(some, shown)
  assert.deepEqual([...all].sort(), ['a', 'b', 'c', 'd', 'elsewhere'])
  assert.deepEqual([...toggleAll(all, shown)], ['elsewhere'])
})

test('countSelected() counts what the filter hides and forgets what is gone', () => {
  const selection = new Set(['a', 'b', 'hidden', 'gone'])
  const existing = new Set([...shown, 'hidden'])
  const counted = countSelected(selection, shown, existing)
  assert.deepEqual(counted, { ids: ['a', 'b', 'hidden'], hidden: 1, shownAll: false })
  assert.equal(countSelected(new Set(shown), shown, existing).shownAll, true)
  assert.equal(countSelected(nobody, [], existing).shownAll, false)
})
