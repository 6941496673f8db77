import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { ago, bytes, formatTable, plain } from './output.ts'

const columns = [
  { title: 'NAME', of: (row: { name: string; count: number }) => row.name },
  { title: 'COUNT', of: (row: { name: string; count: number }) => row.count, right: true },
]

test('formatTable() sets text left and numbers right', () => {
  const rows = [
    { name: 'a', count: 5 },
    { name: 'longer', count: 1234 },
  ]
  const text = stripVTControlCharacters(formatTable(rows, columns, 80))
  assert.deepEqual(text.split('\n'), ['NAME    COUNT', 'a           5', 'longer   1234'])
})

test('formatTable() cuts the widest column to fit the terminal, and marks the cut', () => {
  const text = stripVTControlCharacters(
    formatTable([{ name: 'x'.repeat(200), count: 1 }], columns, 40),
  )
  for (const line of text.split('\n')) assert.ok(line.length <= 40, line)
  assert.match(text, /x…/)
})

test('plain() takes out what could steer a terminal', () => {
  assert.equal(plain('a\u001b[31mred\u001b[0m\u0007b\nc'), 'ared b c')
})

test('ago() says how long in one unit', () => {
  const now = Date.parse('2026-01-02T00:00:00.000Z')
  assert.equal(ago('2026-01-01T23:59:48.000Z', now), '12 s ago')
  assert.equal(ago('2026-01-01T23:00:00.000Z', now), '60 min ago')
  assert.equal(ago('2026-01-01T00:00:00.000Z', now), '24 h ago')
  assert.equal(ago(null, now), 'never')
})

test('bytes() uses decimal units', () => {
  assert.deepEqual([0, 999, 1500, 2_000_000, 3e12].map(bytes), [
    '0 B',
    '999 B',
    '1.5 kB',
    '2.0 MB',
    '3.0 TB',
  ])
})
