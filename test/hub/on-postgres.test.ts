/** Every test of this folder once more, with the hub's store in PostgreSQL. */
import { globSync } from 'node:fs'
import { test } from 'node:test'
import { needs } from '../require.ts'

const missing = needs('postgresql')
/** This file, and what takes its own store away. */
const without = ['on-postgres.test.ts', 'store-away.test.ts']

if (missing.skip) {
  test('the hub on PostgreSQL', missing)
} else {
  process.env.EDGELOOP_TEST_STORE = 'postgres'
  const files = globSync('*.test.ts', { cwd: import.meta.dirname }).sort()
  for (const file of files) if (!without.includes(file)) await import(`./${file}`)
}
