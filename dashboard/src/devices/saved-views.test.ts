import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forgetView, readSavedViews, sameView, savedViewsMax, saveView } from './saved-views.ts'

function storage(text: string | null = null) {
  let kept = text
  return {
    getItem: () => kept,
    setItem: (_: string, value: string) => {
      kept = value
    },
  }
}

test('saveView() keeps a view under its name, replaces it, and bounds how many there are', () => {
  const place = storage()
  saveView(place, { name: 'Line', view: { q: 'line' } })
  saveView(place, { name: 'Line', view: { q: 'line', site: 'north' } })
  assert.deepEqual(readSavedViews(place), [{ name: 'Line', view: { q: 'line', site: 'north' } }])
  for (let n = 0; n < savedViewsMax; n++) saveView(place, { name: `View ${n}`, view: {} })
  assert.equal(readSavedViews(place).length, savedViewsMax)
  assert.equal(readSavedViews(place)[0]?.name, 'View 0')
  assert.equal(forgetView(place, 'View 0').length, savedViewsMax - 1)
})

test('readSavedViews() takes nothing that is not a view', () => {
  for (const text of ['', 'no json', '{}', '[1,null,{"name":2}]', 'null']) {
    assert.deepEqual(readSavedViews(storage(text)), [], text)
  }
  const odd = '[{"name":"x","view":{"health":"great","q":"a","onerror":1}}]'
  assert.deepEqual(readSavedViews(storage(odd)), [{ name: 'x', view: { q: 'a' } }])
})

test('sameView() does not care about order or defaults', () => {
  assert.ok(sameView({ q: 'a', site: 'b' }, { site: 'b', q: 'a' }))
  assert.ok(sameView({ sort: 'health' }, {}))
  assert.ok(!sameView({ q: 'a' }, {}))
})
