/** Whose folder it is. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { RunFolder } from './run-folder.ts'

test('a folder waits for a process that is about to end, and takes over from one that is gone', async (t) => {
  const parent = await mkdtemp(join(tmpdir(), 'edgeloop-folder-'))
  t.after(() => rm(parent, { recursive: true }))
  const path = join(parent, 'run')
  const lock = join(path, '.lock')
  const open = () => RunFolder.open(path, { seed: 1 }, null)
  {
    await using _ = await open()
    assert.ok(existsSync(lock))
  }
  assert.ok(!existsSync(lock))
  // Half a second later it has ended.
  const other = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 500)'])
  await writeFile(lock, String(other.pid))
  await using folder = await open()
  assert.notEqual(other.exitCode, null)
  assert.equal(folder.path, path)
})

test('a folder that another process is at work on is refused with its number', async (t) => {
  const path = await mkdtemp(join(tmpdir(), 'edgeloop-folder-'))
  t.after(() => rm(path, { recursive: true }))
  await writeFile(join(path, '.lock'), String(process.ppid))
  await assert.rejects(
    RunFolder.open(path, { seed: 1 }, null, { lockedMsMax: 300 }),
    new RegExp(`process ${process.ppid} is at work there`),
  )
})

test('a run with another teacher does not go on in the folder of the first', async (t) => {
  const path = await mkdtemp(join(tmpdir(), 'edgeloop-folder-'))
  t.after(() => rm(path, { recursive: true }))
  await (await RunFolder.open(path, { seed: 1, teacher: 'a' }, null))[Symbol.asyncDispose]()
  for (const identity of [{ seed: 1, teacher: 'b' }, { seed: 1 }]) {
    await assert.rejects(RunFolder.open(path, identity, null), /a run that differs in the teacher/)
  }
})
