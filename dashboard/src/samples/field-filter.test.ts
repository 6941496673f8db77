import assert from 'node:assert/strict'
import { test } from 'node:test'
import { queryOf, readFieldFilter } from './field-filter.ts'

test('a filter is read from an address, and what does not fit is left out', () => {
  const filter = {
    reason: 'uncertain',
    device: 'gate',
    stream: 'cam',
    site: 'mill',
    model: 'parts',
    from: '2026-02-28',
    to: '2026-03-01',
  }
  assert.deepEqual(readFieldFilter(filter), filter)
  assert.deepEqual(readFieldFilter({ device: 12 }), { device: '12' })
  const wrong = {
    reason: 'bored',
    device: '../x',
    stream: 'A b',
    site: ['mill'],
    model: '',
    from: '2026-02-30',
    to: 'yesterday',
    found: true,
  }
  assert.deepEqual(readFieldFilter(wrong), {})
})

test('the last day of a filter is asked for as a whole', () => {
  assert.deepEqual(queryOf({ from: '2026-02-28', to: '2026-02-28', device: 'gate' }), {
    device: 'gate',
    from: '2026-02-28T00:00:00.000Z',
    to: '2026-03-01T00:00:00.000Z',
  })
  assert.deepEqual(queryOf({}), {})
})
