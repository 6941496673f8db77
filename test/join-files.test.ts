import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { joinFiles, sharesWith } from './join-files.ts'

test('sharesWith() leaves alone what reaches beyond its file', () => {
  assert.equal(sharesWith('protocol/src/a.test.ts', "test('adds', () => {})"), 'plain')
  for (const source of [
    "import { spawn } from 'node:child_process'",
    "process.env.HOME = '/'",
    "test('draws', needs('chromium'), () => {})",
    'before(() => {})',
  ]) {
    assert.equal(sharesWith('protocol/src/a.test.ts', source), undefined, source)
  }
  assert.equal(sharesWith('test/stories/a.test.ts', "test('adds', () => {})"), undefined)
  assert.equal(sharesWith('test/hub/a.test.ts', "test('adds', needs('time'), () => {})"), 'hub')
  assert.equal(sharesWith('test/hub/a.test.ts', "import '../faults/hub-process.ts'"), undefined)
  assert.equal(sharesWith('test/hub/a.test.ts', "import './on-postgres.ts'"), undefined)
})

test('joinFiles() runs every file once: some by another that imports them', (t) => {
  const repository = mkdtempSync(join(tmpdir(), 'edgeloop-join-'))
  t.after(() => rmSync(repository, { recursive: true }))
  const names = Array.from({ length: 45 }, (_, at) => `room/unit-${at}.test.ts`)
  mkdirSync(join(repository, 'room/node_modules'), { recursive: true })
  for (const name of names) writeFileSync(join(repository, name), '')
  mkdirSync(join(repository, 'test/hub'), { recursive: true })
  const hubs = Array.from({ length: 6 }, (_, at) => `test/hub/unit-${100 + at}.test.ts`)
  for (const name of hubs) writeFileSync(join(repository, name), '')
  writeFileSync(join(repository, 'room/alone.test.ts'), 'process.env.A')
  writeFileSync(join(repository, 'room/node_modules/theirs.test.ts'), '')
  const files = joinFiles(repository, ['{room,test}/**/*.test.ts'], repository)
  assert.equal(files.length, 6, 'three and two that import, and one by itself')
  assert.equal(files.at(-1), 'room/alone.test.ts')
  const imported = files
    .slice(0, 5)
    .flatMap((file) => readFileSync(file, 'utf8').match(/unit-\d+/g))
  assert.equal(imported.length, 51)
  assert.equal(new Set(imported).size, 51)
})
