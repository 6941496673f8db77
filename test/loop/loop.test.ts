/** The loop closes: one round of `npm run loop` with two boxes and fewer labels, through real programs. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { needs } from '../require.ts'

const program = fileURLToPath(new URL('./loop.ts', import.meta.url))
const data = await mkdtemp(join(tmpdir(), 'edgeloop-loop-test-'))
after(() => rm(data, { recursive: true, force: true }))

test('the light changes, boxes ask, a person labels, and both boxes see as well as before', {
  ...needs('time'),
  timeout: 600_000,
}, async (t) => {
  const args = [program, '--short', '--json', '--seed', '1', '--data', data, '--out', data]
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, {
    timeout: 590_000,
    maxBuffer: 16 * 1024 * 1024,
  }).catch((error: Error & { stdout: string; stderr: string }) => {
    assert.fail(`${error.message}\n${error.stderr?.slice(-6000)}`)
  })
  t.diagnostic(stderr.slice(-2000))
  const { rounds, eventsLost, faults } = JSON.parse(stdout)
  assert.deepEqual(faults, [])
  assert.equal(eventsLost, 0)
  assert.equal(rounds.length, 1)
  assert.ok(rounds[0].labels <= 50)
})
