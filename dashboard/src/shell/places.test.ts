import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keyTable } from './keys.ts'
import { groups, groupsFor } from './places.ts'

test('every place has a key that leads there, and every such key a place', () => {
  const places = groups.flatMap((group) => [...group.places])
  const keys = keyTable.flatMap(({ action, does }) =>
    action.startsWith('go') ? [[action, does]] : [],
  )
  assert.deepEqual(
    places.map(({ go, word }) => `${go}: Go to ${word}`).sort(),
    keys.map(([action, does]) => `${action}: ${does?.replace(' (admins)', '')}`).sort(),
  )
  const pressed = keyTable.map((row) => row.keys.join(' '))
  assert.equal(new Set(pressed).size, pressed.length, 'no two rows have the same keys')
})

test('places that answer only to admins are shown to admins only', () => {
  const words = (isAdmin: boolean) => groupsFor(isAdmin).map(({ word }) => word)
  assert.deepEqual(words(true), ['Home', 'Watch', 'Fleet', 'Learn', 'Admin'])
  assert.deepEqual(words(false), ['Home', 'Watch', 'Fleet', 'Learn'])
})
