/** A test file that does not end does not hold up all others. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { limitFiles } from './file-limit.ts'

/** Runs a test file of this text by itself, as `npm test` runs many. */
function runFile(t: TestContext, text: string, ...flags: string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'edgeloop-file-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'hanging.test.ts')
  writeFileSync(file, `import { test } from 'node:test'\n${text}\n`)
  // The runner starts none within a run of its own kind.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  let runner: number | undefined
  const ended = new Promise<string>((resolve) => {
    const child = execFile(process.execPath, [...flags, '--test', file], { env }, (_, out, err) =>
      resolve(out + err),
    )
    runner = child.pid
  })
  return { folder, ended, runner: runner ?? assert.fail() }
}

test('a file whose tests are over is ended, with what it holds', async (t) => {
  const end = new URL('./file-end.ts?patienceMs=50', import.meta.url).href
  const text = "test('leaves a timer', () => void setInterval(() => {}, 1000))"
  const { ended } = runFile(t, text, `--import=${end}`)
  const said = await ended
  assert.match(said, /hanging\.test\.ts is ended: its tests are over, but it holds .*Timeout/)
  assert.match(said, /fail 1\b/)
})

test('a file that blocks its thread is ended at its limit, and named', {
  skip: process.platform !== 'linux' && 'who has started whom is known on Linux only',
}, async (t) => {
  const text = "test('waits', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))"
  const { folder, runner, ended } = runFile(t, text)
  const told: string[] = []
  const stop = new AbortController()
  const watching = limitFiles({
    runner,
    folder,
    limitMs: 1000,
    signal: stop.signal,
    tell: (file) => told.push(file),
  })
  assert.match(await ended, /fail 1\b/)
  stop.abort()
  await watching
  assert.deepEqual(told, ['hanging.test.ts'])
})
