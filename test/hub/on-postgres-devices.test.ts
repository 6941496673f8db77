import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { test } from 'node:test'
import { otherTests, runOnPostgres, storeTests } from './on-postgres.ts'

test('every test of the hub runs on PostgreSQL too, or is said not to need it', () => {
  const files = globSync('*.test.ts', { cwd: import.meta.dirname })
  const names = files.map((file) => file.replace('.test.ts', ''))
  const said = [...Object.values(storeTests).flat(), ...otherTests] as string[]
  assert.deepEqual(
    names.filter((name) => !name.startsWith('on-postgres-') && !said.includes(name)),
    [],
  )
})

await runOnPostgres('devices')
