import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readSampleFilter } from './sample-filter.ts'

test('a filter is what an address says, and nothing that no hub would take', () => {
  const given = { version: 2, label: 'nut', split: 'test', fold: 1, stream: 'one', more: 'x' }
  const { more, ...kept } = given
  assert.deepEqual(readSampleFilter(given), kept)
  assert.deepEqual(readSampleFilter({ version: 0, label: '', split: 'tests', annotated: 'x' }), {})
  // Labels of digits are numbers in an address.
  assert.deepEqual(readSampleFilter({ label: 7, annotated: 'no' }), { label: '7', annotated: 'no' })
})

test('only a version has sides', () => {
  assert.deepEqual(readSampleFilter({ split: 'test', fold: 1, label: 'nut' }), { label: 'nut' })
})
