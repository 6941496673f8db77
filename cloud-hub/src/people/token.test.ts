import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newId } from './token.ts'

test('newId() never looks like an option of a command', () => {
  const ids = Array.from({ length: 2000 }, newId)
  assert.deepEqual(
    ids.filter((id) => !/^\w[\w-]{11}$/.test(id)),
    [],
  )
  assert.equal(new Set(ids).size, ids.length)
})
