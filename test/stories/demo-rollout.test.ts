/** `npm run demo:rollout` tells its story to the end: one version comes through, two are stopped, and every box runs the good one. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { needs } from '../require.ts'

const program = fileURLToPath(new URL('../../cli/demo/rollout.ts', import.meta.url))

test('three boxes get a good model, and two bad ones are stopped', needs('time'), async (t) => {
  const { stdout } = await promisify(execFile)(process.execPath, [program, '--json'], {
    ...{ timeout: 900_000, maxBuffer: 16 * 1024 * 1024, signal: t.signal },
  })
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  for (const line of lines) t.diagnostic(`${line.seconds} s  ${line.text}`)
  const states = lines.flatMap(({ state }) => state ?? [])
  assert.ok(states.filter((state) => state === 'committed').length >= 3)
  assert.ok(states.includes('failed') && states.includes('rolled-back'))
  const ends = lines.slice(-3)
  assert.deepEqual(
    ends.map(({ version }) => version),
    [2, 2, 2],
  )
})
