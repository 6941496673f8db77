import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dayOf, readAuditFilter, startOfDay } from './audit-filter.ts'

test('readAuditFilter() keeps what fits and drops the rest', () => {
  assert.deepEqual(
    readAuditFilter({
      actor: 'anna',
      action: '',
      target: 7,
      outcome: { not: 'text' },
      from: '2026-11-21T10:00:00Z',
      to: 'tomorrow',
      page: 3,
    }),
    { actor: 'anna', target: '7', from: '2026-11-21T10:00:00.000Z' },
  )
  assert.deepEqual(readAuditFilter({ target: 'x'.repeat(201) }), {})
})

test('a day goes into the address as the midnight of the viewer, and comes back as the day', () => {
  const from = startOfDay('2026-03-29') // a day of 23 hours in Central Europe
  assert.equal(dayOf(from), '2026-03-29')
  assert.equal(startOfDay('soon'), undefined)
  assert.equal(dayOf(undefined), '')
})
